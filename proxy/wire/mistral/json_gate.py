"""The gate over a Mistral conversation's answer that is one JSON object.

What belongs here: `outputs` of an answer and `entries` of a history (`GET …/history`), which shows the
server's copy of calls that were stripped. For the latter nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.codec import RefusedResponse
from proxy.wire.frame_gate import refuse_odd_case
from proxy.wire.json_gate import Found, JsonGate
from proxy.wire.jsontext import encode
from proxy.wire.mistral.entries import (
    Role,
    call_of,
    error_document,
    memory_of,
    message_entry,
    role_of,
)

_WHAT = "mistral.conversations response"
_OUTER = frozenset({"outputs", "entries", "conversation_id", "messages"})
_FOREIGN = ("output", "items", "data", "choices", "tool_calls")


class ConversationGate(JsonGate):
    """Holds one answer until its calls are ruled on."""

    def __init__(self, *, ref: str, status: int, conversation: str | None) -> None:
        super().__init__(what=_WHAT, status=status)
        self._ref = ref
        self._conversation = conversation
        self._field = "outputs"
        self._places: list[int] = []

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        refuse_odd_case(document, _OUTER, _WHAT)
        if self._good and any(document.get(key) for key in _FOREIGN):
            raise WireError(f"{_WHAT}: an answer of another API")
        if document.get("outputs") and document.get("entries"):
            raise WireError(f"{_WHAT}: outputs and entries in one answer")
        self._field = next(
            (key for key in ("outputs", "entries", "messages") if document.get(key)), "outputs"
        )
        entries = document.get(self._field)
        if entries is None:
            return []  # a conversation's own description; OpenAI has the same path
        if not isinstance(entries, list):
            raise WireError(f"{_WHAT}: $.{self._field}: expected a list")
        if isinstance(name := document.get("conversation_id"), str):
            self._conversation = name
        found: list[Found] = []
        for place, entry in enumerate(entries):
            role = role_of(entry, _WHAT)
            if role is not Role.OTHER:
                self._places.append(place)
                call = call_of(entry, role, _WHAT)
                found.append(Found(call, entry.get("arguments"), seen=role is Role.SERVER))
        return found

    def strip(
        self, document: dict[str, Json], refused: Mapping[int, str]
    ) -> RefusedResponse | None:
        entries: list[Json] = document[self._field]
        memory = memory_of(
            self._ref,
            self._conversation,
            entries,
            [found.call for found in self._found],
            refused,
        )
        for number, (n, text) in enumerate(refused.items()):
            entries[self._places[n]] = message_entry(self._ref, number, text)
        return memory if self._field == "outputs" else None

    def fail(self, text: str) -> bytes:
        return encode(error_document(text))
