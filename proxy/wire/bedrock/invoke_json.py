"""The gate over InvokeModel's answer: one JSON object in the shape of the model's own API.

What belongs here: telling by the answer whose it is (a model id may be an opaque ARN), and Cohere's
Command R, which no other codec reads. An answer of several shapes, or of none, passes only if nothing
in it looks like a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.anthropic.blocks import refusal_text
from proxy.wire.anthropic.json_gate import MessageGate
from proxy.wire.bedrock.blocks import Context
from proxy.wire.bedrock.chat_shape import BedrockChatGate
from proxy.wire.bedrock.converse_json import ConverseGate
from proxy.wire.bedrock.invoke_memory import ANTHROPIC, CHAT, COHERE, NOVA, PLAIN
from proxy.wire.bedrock.shapes import may_hold_call, refuse_hidden
from proxy.wire.bedrock.stream_gate import named
from proxy.wire.codec import GateEvent, RefusedResponse, ResponseGate, Ruling
from proxy.wire.json_gate import MAX_BODY_BYTES, Found, JsonGate
from proxy.wire.jsontext import call_from_value, decode_marked
from proxy.wire.unnamed import named as with_id
from proxy.wire.usage import Usage

_WHAT = "bedrock: response"
_PLACES = {ANTHROPIC: "content", NOVA: "output", CHAT: "choices", COHERE: "tool_calls"}


class InvokeGate:
    """Holds a whole answer until its calls are ruled on (`codec.ResponseGate`)."""

    def __init__(
        self, context: Context, *, status: int, error_body: Callable[[int, str], bytes]
    ) -> None:
        self._context = context
        self._status = status
        self._error_body = error_body
        self._body = bytearray()
        self._family = PLAIN
        self._inner: ResponseGate | None = None

    @property
    def streams(self) -> bool:
        return False

    @property
    def response_id(self) -> str | None:
        return None

    @property
    def usage(self) -> Usage | None:
        return self._inner.usage if self._inner is not None else None

    @property
    def confidence(self) -> float | None:
        return self._inner.confidence if self._inner is not None else None

    @property
    def pending(self) -> Sequence[int]:
        return self._inner.pending if self._inner is not None else ()

    def feed(self, data: bytes) -> list[GateEvent]:
        if self._inner is not None:
            return []
        self._body += data
        if len(self._body) > MAX_BODY_BYTES:
            raise WireError(f"{_WHAT}: a body of more than {MAX_BODY_BYTES} bytes")
        if data:
            return []
        body = bytes(self._body)
        self._family = self._told(body)
        self._inner = self._open(self._family)
        return self._named([*self._inner.feed(body), *self._inner.feed(b"")])

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        if self._inner is None:
            return []
        return self._named(self._inner.rule(key, ruling))

    def keepalive(self) -> bytes:
        return b"\n"

    def fail(self, text: str) -> bytes:
        return self._error_body(502, text)

    def _told(self, body: bytes) -> str:
        try:
            document = decode_marked(body, _WHAT)
        except WireError:
            return PLAIN  # the plain gate says the same, or lets an error's page pass
        families = [
            family
            for family, place in _PLACES.items()
            if isinstance(document.get(place), dict if family == NOVA else list)
        ]
        if len(families) == 1:
            refuse_hidden(document, [*_READ_TOO.get(families[0], ()), _PLACES[families[0]]], _WHAT)
            return families[0]
        if may_hold_call(document):
            raise WireError(f"{_WHAT}: an answer of the shapes {families}, with a call in it")
        return PLAIN

    def _open(self, family: str) -> ResponseGate:
        ref, status = self._context.ref, self._status
        match family:
            case "anthropic":
                return _AnthropicGate(status=status, ref=ref, error_body=self._error_body)
            case "nova":
                return ConverseGate(self._context, status=status, error_body=self._error_body)
            case "chat":
                return BedrockChatGate(ref=ref, status=status)
            case "cohere":
                return _CohereGate(status=status)
        return _PlainGate(status=status)

    def _named(self, events: Sequence[GateEvent]) -> list[GateEvent]:
        return [named(event, self._context.provider, self._family) for event in events]


_READ_TOO = {COHERE: ("chat_history",)}


class _PlainGate(JsonGate):
    """An answer in which nothing looks like a call."""

    def __init__(self, *, status: int) -> None:
        super().__init__(what=_WHAT, status=status)

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        return []

    def strip(self, document: dict[str, Json], refused: Mapping[int, str]) -> None:
        return None

    def fail(self, text: str) -> bytes:
        return b""  # `InvokeGate` writes it


class _AnthropicGate(MessageGate):
    """A message of Claude's."""

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        found = super().find_calls(document)
        for block in document.get("content") or ():
            if "tool_use" not in str(block.get("type")).lower() and may_hold_call(
                {k: v for k, v in block.items() if k not in ("type", "content")}
            ):
                raise WireError(f"{_WHAT}: a call inside a block of another type")
        return found

    def strip(self, document: dict[str, Json], refused: Mapping[int, str]) -> RefusedResponse:
        memory = super().strip(document, refused)
        # Signed requests cannot be restored, and Claude misses the result of a call that text
        # follows: the refusals stand ahead of the calls that are left.
        content: list[Json] = document["content"]
        ours = [self._places[position] for position in refused]
        first = min(p for n, p in enumerate(self._places) if not self._found[n].seen)
        behind = [block for n, block in enumerate(content) if n >= first and n not in ours]
        document["content"] = [*content[:first], *(content[n] for n in sorted(ours)), *behind]
        return memory


class _CohereGate(_PlainGate):
    """Command R: `tool_calls` with names and `parameters`, without ids, repeated in `chat_history`."""

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        found: list[Found] = []
        for entry in document["tool_calls"]:
            if not isinstance(entry, dict):
                raise WireError(f"{_WHAT}: expected an object - at $.tool_calls")
            name, given = entry.get("name"), entry.get("parameters")
            call = call_from_value(
                {} if given is None else given,
                id=None,
                name=name if isinstance(name, str) else "",
                provider="",
            )
            if not call.name or not isinstance(call.arguments, dict):
                fault = call.fault or "no name, or parameters that are no object"
                call = replace(call, arguments=None, fault=fault)
            value = given if isinstance(given, dict | list) else None
            found.append(Found(with_id(call), value))
        for turn in self._turns(document)[-1:]:  # the older ones have been answered
            if turn.get("tool_calls") != document["tool_calls"] and may_hold_call(turn):
                raise WireError(f"{_WHAT}: `chat_history` says other calls than `tool_calls`")
        return found

    def strip(self, document: dict[str, Json], refused: Mapping[int, str]) -> None:
        """Takes calls out; results of Command R name their call themselves, so none is restored."""
        came = document["tool_calls"]
        left = [entry for n, entry in enumerate(came) if n not in refused]
        texts = [refusal_text(text) for _, text in sorted(refused.items())]
        for turn in self._turns(document):
            if turn.get("tool_calls") == came:
                turn["tool_calls"] = left
                turn["message"] = "\n\n".join(filter(None, [turn.get("message"), *texts]))
        document["tool_calls"] = left
        document["text"] = "\n\n".join(filter(None, [document.get("text"), *texts]))

    @staticmethod
    def _turns(document: dict[str, Json]) -> list[dict[str, Json]]:
        history = document.get("chat_history")
        return [t for t in history if isinstance(t, dict)] if isinstance(history, list) else []
