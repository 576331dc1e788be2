"""The gate over a message that streams in Converse's events (ConverseStream, and Nova in chunks).

How it works. Frames leave at once until a call of the client begins. From there on all frames wait,
in order, until the message is over (`messageStop`, or the stream's end) and every call is ruled on.
Then they leave as they came; or, where calls were refused, without these, their texts as blocks *ahead*
of the calls that are left, and `contentBlockIndex` counted anew over the blocks that waited. Requests
to Bedrock are mostly signed, so that the history comes back as the client saw it: Claude misses the
result of a call that text follows.

A stream that SDKs would fold differently is refused: a part of a call for a block that is none or is
closed, an index that starts twice, a second message, an event name in other letters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.anthropic.blocks import stop_reason_after
from proxy.wire.bedrock.assembly import WHAT, Block, BlockState
from proxy.wire.bedrock.blocks import Context, memory, text_block
from proxy.wire.bedrock.eventstream import exception_frame
from proxy.wire.bedrock.shapes import may_hold_call, refuse_hidden
from proxy.wire.codec import CallFound, CallSeen, Emit, GateEvent, Refuse, Remember, Ruling
from proxy.wire.jsontext import decode_marked, is_ambiguous
from proxy.wire.usage import AnswerMeter

START, DELTA, STOP = "contentBlockStart", "contentBlockDelta", "contentBlockStop"
EVENTS = ("messageStart", START, DELTA, STOP, "messageStop", "metadata")
_LOWERED = {name.lower(): name for name in EVENTS}
MAX_HELD_BYTES = 64 << 20
"""A message that brings more than this behind its first call is refused rather than kept in memory."""
ENDED_INSIDE = "checkrein: the answer ended inside a tool call; the call was not let through."


@dataclass(slots=True)
class _Item:
    raw: bytes
    kind: str = ""
    document: dict[str, Json] | None = None
    block: Block | None = None


class MessageStream:
    """The fold of one message's events, and what of them may leave when.

    Args:
        context: of the answer.
        frame: writes an event of a kind anew.
    """

    def __init__(self, context: Context, frame: Callable[[str, Json], bytes]) -> None:
        self._context = context
        self._frame = frame
        self.meter = AnswerMeter()
        self._blocks: dict[int, Block] = {}
        self._queue: list[_Item] = []
        self._waiting: dict[int, Block] = {}
        self._next_key = 0
        self._started = self._stopped = False
        self._held_from: int | None = None  # number of blocks that began before the first call
        self._held_bytes = 0
        self._settled = False  # what waited for the calls has left

    @property
    def pending(self) -> Sequence[int]:
        return tuple(self._waiting)

    def take(self, kind: str, payload: bytes, raw: bytes, events: list[GateEvent]) -> None:
        """Reads one event.

        Raises:
            WireError: it has no single meaning.
        """
        document = decode_marked(payload, WHAT)
        if is_ambiguous(document):
            raise WireError(f"{WHAT}: an object has the same key twice - in a {kind} event")
        self.take_document(kind, document, raw, events)

    def take_document(
        self, kind: str, document: dict[str, Json], raw: bytes, events: list[GateEvent]
    ) -> None:
        item = _Item(raw, kind, document)
        if kind == "metadata":
            self.meter.read(document)
        if kind not in EVENTS:
            if kind.lower() in _LOWERED or may_hold_call(document):
                raise WireError(f"{WHAT}: an event {kind!r} that may be read as another")
            self._queue.append(item)  # event types to come; SDKs pass over them
            self._flush(events)
            return
        refuse_hidden(document, ("start", "delta"), WHAT)
        if self._stopped and kind != "metadata":
            raise WireError(f"{WHAT}: {kind} behind the message's end")
        match kind:
            case "messageStart":
                if self._started or self._blocks:
                    raise WireError(f"{WHAT}: a message starts inside a message")
                self._started = True
            case "contentBlockStart":
                item.block = self._begin(document)
            case "contentBlockDelta":
                item.block = self._delta(document)
            case "contentBlockStop":
                item.block = self._blocks.get(_index(document))
                if item.block is not None:
                    self._close(item.block, events)
            case "messageStop":
                # A client that waits for no `contentBlockStop` takes its calls as whole here.
                for block in self._blocks.values():
                    self._close(block, events)
                self._stopped = True
        self._queue.append(item)
        self._flush(events)

    def take_other(self, raw: bytes, events: list[GateEvent]) -> None:
        """Takes a frame that says nothing of the message."""
        self._queue.append(_Item(raw))
        self._flush(events)

    def take_error(self, raw: bytes, events: list[GateEvent]) -> None:
        """The provider gave up: what is unfinished stays so, and its error leaves behind the rest."""
        self._lose_open_calls()
        self._stopped = True
        self._queue.append(_Item(raw))
        self._flush(events)

    def end(self, events: list[GateEvent], *, whole: bool) -> None:
        """The stream is over; `whole` is false where a frame was cut."""
        lost = self._lose_open_calls()
        self._stopped = True
        if lost or not whole:
            self._queue.append(_Item(exception_frame(ENDED_INSIDE)))
        self._flush(events)

    def rule(self, key: int, ruling: Ruling, events: list[GateEvent]) -> None:
        block = self._waiting.pop(key)
        if isinstance(ruling, Refuse):
            block.state, block.refusal = BlockState.REFUSED, ruling.text
        else:
            block.state = BlockState.RELEASED
        self._flush(events)

    def abandon(self) -> None:
        """Nothing that waits may leave any more."""
        self._queue.clear()
        self._waiting.clear()

    # --- reading -----------------------------------------------------------------------------
    def _begin(self, document: dict[str, Json]) -> Block:
        index = _index(document)
        if index in self._blocks:
            raise WireError(f"{WHAT}: block {index} starts twice")
        start = document.get("start")
        start = {} if start is None else start
        if not isinstance(start, dict):
            raise WireError(f"{WHAT}: expected an object - at $.start")
        use = start.get("toolUse")
        if use is not None and not isinstance(use, dict):
            raise WireError(f"{WHAT}: expected an object - at $.start.toolUse")
        if use is not None and sum(value is not None for value in start.values()) != 1:
            raise WireError(f"{WHAT}: a call beside something else - at $.start")
        refuse_hidden(start, ("toolUse", "toolResult"), WHAT)
        return self._new(index, start)

    def _new(self, index: int, start: dict[str, Json]) -> Block:
        block = Block(index, start, self._context)
        if block.waits and self._held_from is None:
            self._held_from = len(self._blocks)
        self._blocks[index] = block
        return block

    def _delta(self, document: dict[str, Json]) -> Block:
        index, delta = _index(document), document.get("delta")
        if not isinstance(delta, dict):
            raise WireError(f"{WHAT}: expected an object - at $.delta")
        refuse_hidden(delta, ("toolUse", "toolResult"), WHAT)
        block = self._blocks.get(index)
        if block is None:
            block = self._new(index, {})
        block.delta(delta)
        return block

    def _close(self, block: Block, events: list[GateEvent]) -> None:
        call = block.close()
        if call is None:
            return
        if not block.waits:
            events.append(CallSeen(call))
            return
        key, self._next_key = self._next_key, self._next_key + 1
        self._waiting[key] = block
        events.append(CallFound(key, call))

    def _lose_open_calls(self) -> bool:
        lost = [b for b in self._blocks.values() if b.waits and b.state is BlockState.OPEN]
        for block in lost:
            block.state = BlockState.LOST
        return bool(lost)

    # --- writing -----------------------------------------------------------------------------
    def _flush(self, events: list[GateEvent]) -> None:
        if self._held_from is not None and not (self._stopped and not self._waiting):
            self._held_bytes += len(self._queue[-1].raw) if self._queue else 0
            if self._held_bytes > MAX_HELD_BYTES:
                raise WireError(f"{WHAT}: more than {MAX_HELD_BYTES} bytes behind a call")
            return
        if self._held_from is None or self._settled:
            self._emit(b"".join(item.raw for item in self._queue), events)
            return
        self._settled = True
        calls = [b for b in self._blocks.values() if b.waits]
        whole = [b for b in calls if b.call is not None]
        refused = {n: b.refusal for n, b in enumerate(whole) if b.state is BlockState.REFUSED}
        if refused:
            content = [b.value() for b in self._blocks.values() if b.state is not BlockState.LOST]
            known = [b.call for b in whole if b.call is not None]
            events.append(
                Remember(
                    memory(self._context, [b for b in content if b is not None], known, refused)
                )
            )
        gone = any(b.state is not BlockState.RELEASED for b in calls)
        self._emit(
            self._rewritten() if gone else b"".join(item.raw for item in self._queue), events
        )

    def _emit(self, data: bytes, events: list[GateEvent]) -> None:
        self._queue.clear()
        if data:
            events.append(Emit(data))

    def _rewritten(self) -> bytes:
        """Writes what waited, without the calls that may not leave."""
        waited = list(self._blocks.values())[self._held_from :]
        texts = [b for b in waited if b.state is BlockState.REFUSED]
        kept = [b for b in waited if b.state not in (BlockState.REFUSED, BlockState.LOST)]
        free = iter(sorted(block.index for block in waited))
        out = bytearray()
        for block in texts:
            index = next(free)
            out += self._frame(DELTA, {"delta": text_block(block.refusal)} | _at(index))
            out += self._frame(STOP, _at(index))
        renumbered = {block.index: next(free) for block in kept}
        left = any(b.waits for b in kept)
        for item in self._queue:
            if item.block is not None and item.block in (*texts, *self._lost()):
                continue
            document = dict(item.document or {})
            if item.block is not None and item.block.index in renumbered:
                document |= _at(renumbered[item.block.index])
            elif item.kind == "messageStop" and texts:
                reason = document.get("stopReason")
                document["stopReason"] = stop_reason_after(reason, client_calls_left=left)
            out += (
                item.raw if document == (item.document or {}) else self._frame(item.kind, document)
            )
        return bytes(out)

    def _lost(self) -> list[Block]:
        return [b for b in self._blocks.values() if b.state is BlockState.LOST]


def _at(index: int) -> dict[str, Json]:
    return {"contentBlockIndex": index}


def _index(document: dict[str, Json]) -> int:
    index = document.get("contentBlockIndex")
    if type(index) is not int:
        raise WireError(f"{WHAT}: expected a number - at $.contentBlockIndex")
    return index
