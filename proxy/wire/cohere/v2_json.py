"""The gate over an answer of Cohere's v2 that is one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.cohere.v2_calls import MESSAGE, call_of, finish_without_calls, memory_of
from proxy.wire.frame_gate import refuse_odd_case
from proxy.wire.json_gate import Found, JsonGate
from proxy.wire.jsontext import encode

_WHAT = "cohere.v2 response"
_OUTER = frozenset({"message", "tool_calls", "finish_reason"})


class CohereJsonGate(JsonGate):
    """Holds one answer until its calls are ruled on."""

    def __init__(self, *, ref: str, status: int) -> None:
        super().__init__(what=_WHAT, status=status)
        self._ref = ref
        self._message: dict[str, Json] = {}
        self._entries: list[Json] = []

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        refuse_odd_case(document, _OUTER, _WHAT)
        if document.get("tool_calls"):
            raise WireError(f"{_WHAT}: $.tool_calls stands outside of a message")
        message = document.get("message")
        if not isinstance(message, dict):
            return []  # an error's message is a text
        refuse_odd_case(message, MESSAGE, _WHAT)
        entries = message.get("tool_calls")
        if entries is not None and not isinstance(entries, list):
            raise WireError(f"{_WHAT}: $.message.tool_calls: expected a list")
        self._message, self._entries = message, entries or []
        said = document.get("id")
        response_id = said if isinstance(said, str) else None
        found: list[Found] = []
        for entry in self._entries:
            call = call_of(entry, response_id, _WHAT)
            arguments = entry["function"].get("arguments")
            found.append(Found(call, arguments if isinstance(arguments, dict | list) else None))
        return found

    def strip(self, document: dict[str, Json], refused: Mapping[int, str]) -> RefusedResponse:
        message = self._message
        calls = [found.call for found in self._found]
        memory = memory_of(
            self._ref,
            message,
            self._entries,
            [RefusedCall(calls[n].id, calls[n].name, "function", t) for n, t in refused.items()],
            [entry.get("id") for n, entry in enumerate(self._entries) if n not in refused],
        )
        left = [entry for n, entry in enumerate(self._entries) if n not in refused]
        if left:
            message["tool_calls"] = left
        else:
            message.pop("tool_calls", None)
            finish_without_calls(document)
        text = "\n\n".join(refused.values())
        content = message.get("content")
        if isinstance(content, str):
            message["content"] = f"{content}\n\n{text}" if content else text
        else:
            message["content"] = [*(content or []), {"type": "text", "text": text}]
        return memory

    def fail(self, text: str) -> bytes:
        return encode({"message": text})
