"""Items of a stored conversation that the agent reads back, one or a list of them.

What belongs here: `GET /conversations/{id}/items` and `…/items/{item}`. A call whose output stands in
the same list is history: it was judged in the response that made it. One without an output may still
be run by whoever reads it, so it is judged, under the conversation's id, for an item does not say which
response made it; reading it again decides nothing anew. A refused one is shown as the text that stands
for it; the provider's copy stays, and its output follows by `restore`.

Source: https://platform.openai.com/docs/api-reference/conversations (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.chat.calls import error_document
from proxy.wire.codec import ParsedRequest, RefusedResponse, ResponseGate
from proxy.wire.json_gate import Found, JsonGate
from proxy.wire.jsontext import encode
from proxy.wire.responses.items import (
    PROVIDER,
    Role,
    answer_key,
    arguments_of,
    call_key,
    call_of,
    message_item,
    role_of,
)
from proxy.wire.responses.protocol import ErrorGate, ResponsesProtocol


class StoredItemsGate(JsonGate):
    """Holds stored items back until the open calls among them are ruled on."""

    def __init__(self, *, ref: str, conversation: str) -> None:
        super().__init__(what="openai.responses: items", status=200)
        self._ref = ref
        self._conversation = conversation
        self._at: list[dict[str, Json]] = []

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        data = document.get("data")
        if data is not None and not isinstance(data, list):
            raise WireError("openai.responses: items: data is not a list")
        items = [item for item in [document, *(data or [])] if isinstance(item, dict)]
        answered = {answer_key(item) for item in items} - {None}
        found: list[Found] = []
        for item in items:
            if role_of(item) is Role.CLIENT and call_key(item) not in answered:
                self._at.append(item)
                value = arguments_of(item)
                inner = value if isinstance(value, dict | list) else None
                found.append(Found(call_of(item, self._conversation), value=inner))
        return found

    def strip(
        self, document: dict[str, Json], refused: Mapping[int, str]
    ) -> RefusedResponse | None:
        for number, (n, text) in enumerate(refused.items(), start=1):
            item = self._at[n]
            item.clear()
            item.update(message_item(self._ref, number, text))
        return None

    def fail(self, text: str) -> bytes:
        return encode(error_document(text))


class StoredItemsProtocol(ResponsesProtocol):
    """`codec.WireProtocol` for the items of one conversation."""

    def __init__(self, conversation: str) -> None:
        self._conversation = conversation

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        if not 200 <= status < 300 or status == 204:
            return ErrorGate()
        media = content_type.partition(";")[0].strip().lower()
        if media == "application/json" or media.endswith("+json"):
            return StoredItemsGate(ref=ref, conversation=self._conversation)
        raise WireError(f"{PROVIDER}: items of type {media or 'nothing'!r}; expected JSON")
