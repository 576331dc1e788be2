"""A message put together from its stream, as the SDKs do it.

What belongs here: the fold of `content_block_*` events into blocks. The result is what the client
would send back as history, so that a refused turn can be restored whole: thinking with its signature,
server tools with their results, citations. Compared in the tests with the vendor's own SDK.
"""

from __future__ import annotations

from enum import Enum, auto

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.anthropic.blocks import (
    block_type,
    call_of,
    is_call,
    is_client_call,
    join_text,
    plain,
    remembered_input,
)

_GROWING = {"text_delta": "text", "thinking_delta": "thinking"}


class BlockState(Enum):
    OPEN = auto()  # more deltas will come
    WAITING = auto()  # complete, a client call without a ruling
    RELEASED = auto()
    REFUSED = auto()
    LOST = auto()  # a client call cut off in the middle: never leaves


class Block:
    """One content block while it arrives."""

    def __init__(self, index: int, start: Json, what: str) -> None:
        self.index = index
        self.kind = block_type(start, what)
        self.is_call = is_call(self.kind)
        self.waits = is_client_call(self.kind)
        self.state = BlockState.OPEN
        self.open = True
        self.call: Call | None = None
        self.refusal = ""
        self._start: dict[str, Json] = start
        self._text: dict[str, list[str]] = {}
        self._json: list[str] = []
        self._fault: str | None = None

    def delta(self, delta: dict[str, Json], what: str) -> None:
        kind = delta.get("type")
        if not isinstance(kind, str | None):
            raise WireError(f"{what}: expected a string - at $.delta.type")
        if kind == "input_json_delta":
            fragment = delta.get("partial_json")
            if not isinstance(fragment, str):
                raise WireError(f"{what}: expected a string - at $.delta.partial_json")
            if self.is_call:
                self._json.append(fragment)
            return
        if self.waits:
            # No vendor page knows such a delta; what a client makes of it cannot be told.
            self._fault = f"unexpected {kind!r} inside a tool call"
        if kind in _GROWING:
            field = _GROWING[kind]
            piece = delta.get(field)
            if not isinstance(piece, str):
                raise WireError(f"{what}: expected a string - at $.delta.{field}")
            first = self._start.get(field)
            self._text.setdefault(field, [first if isinstance(first, str) else ""]).append(piece)
        elif kind == "citations_delta":
            self._start["citations"] = [
                *(self._start.get("citations") or []),
                delta.get("citation"),
            ]
        else:  # signature_delta, compaction_delta and what may come: the fields are set, as the SDKs do
            self._start.update((k, v) for k, v in delta.items() if k != "type")

    def close(self, response_id: str | None) -> Call | None:
        """Ends the block; returns its call if it is one."""
        self.open = False
        self.state = BlockState.WAITING if self.waits else BlockState.RELEASED
        if self.is_call:
            self.call = call_of(self._start, join_text(self._json), response_id, self._fault)
        return self.call

    def value(self) -> dict[str, Json]:
        """Returns the block as it would stand in history."""
        made: dict[str, Json] = plain(
            self._start | {field: join_text(parts) for field, parts in self._text.items()}
        )
        if self.call is not None:
            made["input"] = remembered_input(self.call, self._start.get("input"))
        return made
