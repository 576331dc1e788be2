"""The gate over an answer of Cohere's v1 that is one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.model import Json
from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.cohere.v1_calls import calls_of, entries_of, last_said, memory_of, take_out
from proxy.wire.json_gate import Found, JsonGate
from proxy.wire.jsontext import encode

_WHAT = "cohere.v1 response"


class CohereV1JsonGate(JsonGate):
    """Holds one answer until its calls are ruled on."""

    def __init__(self, *, ref: str, status: int) -> None:
        super().__init__(what=_WHAT, status=status)
        self._ref = ref

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        said = document.get("response_id")
        calls = calls_of(document, said if isinstance(said, str) else None, _WHAT)
        entries = entries_of(document, _WHAT)
        return [
            Found(call, entry.get("parameters")) for call, entry in zip(calls, entries, strict=True)
        ]

    def strip(self, document: dict[str, Json], refused: Mapping[int, str]) -> RefusedResponse:
        said = last_said(document) or {}
        text = document.get("text") or said.get("message")
        calls = [found.call for found in self._found]
        memory = memory_of(
            self._ref,
            text if isinstance(text, str) else "",
            entries_of(document, _WHAT),
            [RefusedCall(calls[n].id, calls[n].name, "function", t) for n, t in refused.items()],
        )
        take_out(document, refused)
        return memory

    def fail(self, text: str) -> bytes:
        return encode({"message": text})
