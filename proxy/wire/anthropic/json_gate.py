"""The gate over a Messages answer that is one JSON object.

What belongs here: where calls stand in `content`, and how a refused one gives its place to a text
block. Collecting, reading and ordering are `json_gate`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.anthropic.blocks import (
    block_type,
    call_of,
    is_call,
    is_client_call,
    memory,
    plain,
    remembered_input,
    stop_reason_after,
    text_block,
)
from proxy.wire.codec import RefusedResponse
from proxy.wire.json_gate import Found, JsonGate

_WHAT = "anthropic: response"


class MessageGate(JsonGate):
    """Holds one message until its calls are ruled on."""

    def __init__(self, *, status: int, ref: str, error_body: Callable[[int, str], bytes]) -> None:
        super().__init__(what=_WHAT, status=status)
        self._ref = ref
        self._error_body = error_body
        self._response_id: str | None = None
        self._places: list[int] = []  # of each found call, where in `content` it stands

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        content = document.get("content")
        if not isinstance(content, list):
            if not self._good or document.get("type") == "error":
                return []
            raise WireError(f"{_WHAT}: expected an array - at $.content")
        message_id = document.get("id")
        self._response_id = message_id if isinstance(message_id, str) else None
        found: list[Found] = []
        for place, block in enumerate(content):
            kind = block_type(block, f"{_WHAT} - at $.content[{place}]")
            if is_call(kind):
                call = call_of(block, None, self._response_id, None)
                self._places.append(place)
                found.append(Found(call, block.get("input"), seen=not is_client_call(kind)))
        return found

    def strip(self, document: dict[str, Json], refused: Mapping[int, str]) -> RefusedResponse:
        content: list[Json] = document["content"]
        original: list[Json] = [plain(block) for block in content]
        calls: list[Call] = []
        refused_calls: dict[int, str] = {}
        for position, place in enumerate(self._places):
            found = self._found[position]
            original[place]["input"] = remembered_input(found.call, found.value)
            if found.seen:
                continue
            if position in refused:
                refused_calls[len(calls)] = refused[position]
                content[place] = text_block(refused[position])
            calls.append(found.call)
        left = len(calls) > len(refused_calls)
        if "stop_reason" in document:
            document["stop_reason"] = stop_reason_after(
                document["stop_reason"], client_calls_left=left
            )
        if not _is_utf8(document):
            document.update(plain(document))
        return memory(
            ref=self._ref,
            response_id=self._response_id,
            content=original,
            calls=calls,
            refused=refused_calls,
        )

    def fail(self, text: str) -> bytes:
        return self._error_body(502, text)


def _is_utf8(value: Json) -> bool:
    """Tells whether all text can be written; a model's answer may hold half a surrogate pair."""
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)
    if isinstance(value, dict):
        return all(_is_utf8(k) and _is_utf8(v) for k, v in value.items())
    if isinstance(value, list):
        return all(map(_is_utf8, value))
    return True
