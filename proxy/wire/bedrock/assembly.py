"""A Converse message put together from its stream.

What belongs here: the fold of `contentBlock*` events into blocks. The result is what a request would
carry as history, so that a refused turn can be restored whole: reasoning with its signature, tools of
the provider with their results, citations.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlockDelta.html
(read 2026-11). Real streams leave out `contentBlockStart` for text, Nova leaves gaps between indexes.
"""

from __future__ import annotations

import base64
import binascii
from enum import Enum, auto

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.anthropic.blocks import join_text, plain
from proxy.wire.bedrock.blocks import Context, call_of, history_block, runs_at_client
from proxy.wire.bedrock.shapes import refuse_hidden

WHAT = "bedrock: event stream"


class BlockState(Enum):
    OPEN = auto()  # more deltas may come
    WAITING = auto()  # complete, a client call without a ruling
    RELEASED = auto()
    REFUSED = auto()
    LOST = auto()  # a client call that was never whole: it does not leave


class Block:
    """One content block while it arrives."""

    def __init__(self, index: int, start: dict[str, Json], context: Context) -> None:
        self.index = index
        self.state = BlockState.OPEN
        self.call: Call | None = None
        self.refusal = ""
        self.use: dict[str, Json] | None = start.get("toolUse")
        self.waits = self.use is not None and runs_at_client(self.use, context)
        self._context = context
        self._start = start
        self._input: list[str] = []
        self._deltas: list[dict[str, Json]] = []
        self._fault: str | None = None

    def delta(self, delta: dict[str, Json]) -> None:
        use = delta.get("toolUse")
        if self.use is None:
            if use is not None:
                raise WireError(f"{WHAT}: a part of a call for block {self.index}, which is none")
            refuse_hidden(delta, ("toolResult",), WHAT)
            self._deltas.append(delta)
            return
        if self.state is not BlockState.OPEN:
            raise WireError(f"{WHAT}: a part of a call for block {self.index}, which is closed")
        if use is None:
            # No vendor page knows such a delta; what a client makes of it cannot be told.
            self._fault = "something other than input inside a call"
            return
        fragment = use.get("input") if isinstance(use, dict) else None
        if not isinstance(fragment, str):
            raise WireError(f"{WHAT}: expected a string - at $.delta.toolUse.input")
        if len(delta) != 1 or len(use) != 1:
            self._fault = "something other than input inside a call"
        self._input.append(fragment)

    def close(self) -> Call | None:
        """Ends the block; returns its call if it is one. A second end changes nothing."""
        if self.state is not BlockState.OPEN:
            return None
        self.state = BlockState.WAITING if self.waits else BlockState.RELEASED
        if self.use is not None:
            self.call = call_of(self.use, join_text(self._input), self._context, self._fault)
        return self.call

    def value(self) -> dict[str, Json] | None:
        """Returns the block as it would stand in history; None for what a history does not carry."""
        if self.use is not None:
            return history_block(self.use, self.call) if self.call is not None else None
        result = self._start.get("toolResult")
        if isinstance(result, dict):
            parts: list[Json] = []
            for delta in self._deltas:
                parts += delta.get("toolResult") or []
            return {"toolResult": plain(result | {"content": parts})}
        text = self._joined("text")
        if citations := [d["citation"] for d in self._deltas if d.get("citation") is not None]:
            return {
                "citationsContent": plain({"content": [{"text": text}], "citations": citations})
            }
        return self._reasoning() or ({"text": plain(text)} if text.strip() else None)

    def _reasoning(self) -> dict[str, Json] | None:
        parts = [r for d in self._deltas if isinstance(r := d.get("reasoningContent"), dict)]
        text = join_text([p["text"] for p in parts if isinstance(p.get("text"), str)])
        signature = "".join(p["signature"] for p in parts if isinstance(p.get("signature"), str))
        hidden = [p["redactedContent"] for p in parts if isinstance(p.get("redactedContent"), str)]
        if hidden:
            try:
                whole = b"".join(base64.b64decode(piece) for piece in hidden)
            except binascii.Error as error:
                raise WireError(f"{WHAT}: redactedContent is not base64") from error
            return {"reasoningContent": {"redactedContent": base64.b64encode(whole).decode()}}
        if not text and not signature:
            return None
        said = {"text": plain(text)} | ({"signature": signature} if signature else {})
        return {"reasoningContent": {"reasoningText": said}}

    def _joined(self, field: str) -> str:
        return join_text([d[field] for d in self._deltas if isinstance(d.get(field), str)])
