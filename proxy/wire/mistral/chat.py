"""Mistral's own endpoints that speak Chat: agents' completions and fill-in-the-middle.

What belongs here: where they differ. A fill-in-the-middle request has a prompt and no messages. A history
in which a user's word follows a result is refused (“Unexpected role 'user' after role 'tool'”), so where a
refusal was the agent's last word, it stands between them as the model's.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.model import Json
from proxy.wire.chat.calls import PROVIDER
from proxy.wire.chat.protocol import ChatProtocol
from proxy.wire.chat.request import RAW
from proxy.wire.codec import ParsedRequest, RefusedResponse
from proxy.wire.jsontext import decode_object, encode
from proxy.wire.limits import answers_wanted, output_limit

_WHAT = "mistral request"


class AgentsProtocol(ChatProtocol):
    """`/v1/agents/completions`: Chat with an `agent_id` for a model."""

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        restored = super().restore(request, memories)
        return None if restored is None else in_order(restored, memories)


class FimProtocol(ChatProtocol):
    """`/v1/fim/completions`: an answer like Chat's to a prompt; it has no tools, and is gated all the same."""

    def parse_request(self, body: bytes) -> ParsedRequest:
        document = decode_object(body, _WHAT)
        prompt, model = document.get("prompt"), document.get("model")
        text = prompt if isinstance(prompt, str) else ""
        return ParsedRequest(
            provider=PROVIDER,
            document={RAW: body},
            model=model if isinstance(model, str) else None,
            stream=document.get("stream") is True,
            user_text=text,
            max_output_tokens=output_limit(document, "max_tokens"),
            answers=answers_wanted(document, "n"),
            opening=text,
        )

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return None


def in_order(body: bytes, memories: Sequence[RefusedResponse]) -> bytes:
    """Puts the model's word between a refused call's result and the user's next one."""
    document = decode_object(body, _WHAT)
    messages = document.get("messages")
    made: list[Json] = []
    for message in messages if isinstance(messages, list) else []:
        if _role(message) == "user" and made and _role(made[-1]) == "tool":
            text = made[-1].get("content")
            if any(text == refused.text for memory in memories for refused in memory.refused):
                made.append({"role": "assistant", "content": text})
        made.append(message)
    return encode(document | {"messages": made}) if made else body


def _role(message: Json) -> Json:
    return message.get("role") if isinstance(message, dict) else None
