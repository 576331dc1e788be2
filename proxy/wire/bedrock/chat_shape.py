"""Chat's shape as models on Bedrock answer in it (Mistral, gpt-oss, DeepSeek, Jamba, Qwen).

What belongs here: what differs from OpenAI's. Mistral's choices say `stop_reason` where Chat says
`finish_reason`: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-mistral-chat-completion.html
(read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from proxy.model import Json
from proxy.wire.bedrock.shapes import refuse_hidden
from proxy.wire.chat.json_gate import ChatJsonGate
from proxy.wire.codec import RefusedResponse
from proxy.wire.json_gate import Found

_WHAT = "bedrock: response"
_ASKS_FOR_CALLS = ("tool_calls", "tool_use", "function_call")
_MESSAGE = ("tool_calls", "function_call")


class BedrockChatGate(ChatJsonGate):
    """Holds a whole answer in Chat's shape."""

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        for choice in _choices(document):
            refuse_hidden(choice, ("message", "delta"), _WHAT)
            for name in ("message", "delta"):
                if isinstance(message := choice.get(name), dict):
                    refuse_hidden(message, _MESSAGE, _WHAT)
        return super().find_calls(document)

    def strip(
        self, document: dict[str, Json], refused: Mapping[int, str]
    ) -> RefusedResponse | None:
        memory = super().strip(document, refused)
        for choice in _choices(document):
            message = choice.get("message")
            left = isinstance(message, dict) and any(message.get(name) for name in _MESSAGE)
            if choice.get("stop_reason") in _ASKS_FOR_CALLS and not left:
                choice["stop_reason"] = "stop"
        return memory


def with_finish_reasons(document: dict[str, Json]) -> bool:
    """Adds Chat's word where only Mistral's stands, in place; tells whether it did."""
    changed = False
    for choice in _choices(document):
        if choice.get("stop_reason") and not choice.get("finish_reason"):
            choice["finish_reason"] = choice["stop_reason"]
            changed = True
    return changed


def with_stop_reasons(document: dict[str, Json]) -> bool:
    """Makes Mistral's word follow Chat's in a frame that was written anew, in place."""
    changed = False
    for choice in _choices(document):
        reason = choice.get("finish_reason")
        if choice.get("stop_reason") in _ASKS_FOR_CALLS and reason not in _ASKS_FOR_CALLS:
            choice["stop_reason"] = reason
            changed = True
    return changed


def _choices(document: dict[str, Json]) -> Iterator[dict[str, Json]]:
    choices = document.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            yield choice
