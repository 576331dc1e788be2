"""The gate over a Messages event stream.

How it works. Every frame joins a queue, together with the block it belongs to if that block is a
call of the client. What stands at the head leaves at once unless its block waits: frames leave in
the order they came, byte for byte. A refused call's first frame gives way to a whole text block *at
the same index*, its other frames vanish, so no index has a gap. Ahead of the frame that ends the
message comes the memory of it.

A stream that SDKs would fold differently is refused: an index that is not the next one, a delta for
a block that is closed (the Python SDK would add it to a call we released), an event name that
contradicts the data.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.anthropic.assembly import Block, BlockState
from proxy.wire.anthropic.blocks import memory
from proxy.wire.anthropic.frames import WHAT as _WHAT
from proxy.wire.anthropic.frames import (
    check_is_event_stream,
    is_whole,
    text_frames,
    with_stop_reason,
)
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    Refuse,
    RefusedResponse,
    Remember,
    Ruling,
)
from proxy.wire.jsontext import decode_marked, is_ambiguous
from proxy.wire.sse import Frame, SseReader, frame_bytes
from proxy.wire.usage import AnswerMeter, Metered

_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_COMMENT = b": checkrein\n\n"


class _Message:
    """What one `message_start` opened. A body may hold several, one after the other."""

    def __init__(self, response_id: str | None) -> None:
        self.response_id = response_id
        self.blocks: list[Block] = []
        self.stopped = False
        self.remembered = 0  # how many blocks the last memory covers


@dataclass(slots=True)
class _Item:
    raw: bytes
    message: _Message | None = None
    block: Block | None = None  # only where the block is a call of the client
    starts: bool = False
    ends: dict[str, Json] | None = None  # a frame by which the client may take the turn as finished


class MessageStreamGate(Metered):
    """`codec.ResponseGate` for `text/event-stream`."""

    def __init__(self, *, ref: str, error_body: Callable[[int, str], bytes]) -> None:
        self._ref = ref
        self._error_body = error_body
        self._reader = SseReader()
        self._meter = AnswerMeter()
        self._queue: deque[_Item] = deque()
        self._message: _Message | None = None
        self._waiting: dict[int, Block] = {}
        self._next_key = 0
        self._started = False  # message_start has left
        self._ended = False
        self._broken = False

    @property
    def streams(self) -> bool:
        return True

    @property
    def response_id(self) -> str | None:
        return None  # no request of this API names an answer

    @property
    def pending(self) -> Sequence[int]:
        return tuple(self._waiting)

    def feed(self, data: bytes) -> list[GateEvent]:
        if self._ended:
            return []
        events: list[GateEvent] = []
        try:
            if data:
                for frame in self._reader.feed(data):
                    self._take(frame, events)
            elif rest := self._reader.rest():
                self._take_rest(rest, events)
        except WireError:
            # Nothing behind a contradiction may leave, whatever is ruled later.
            self._ended = self._broken = True
            self._queue.clear()
            self._waiting.clear()
            raise
        if not data:
            self._ended = True
            self._lose_open_calls()
        self._flush(events)
        return events

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        if self._broken:
            return []
        block = self._waiting.pop(key)
        if isinstance(ruling, Refuse):
            block.state, block.refusal = BlockState.REFUSED, ruling.text
        else:
            block.state = BlockState.RELEASED
        events: list[GateEvent] = []
        self._flush(events)
        return events

    def keepalive(self) -> bytes:
        """A `ping` event resets idle timers that comments do not; before the start no SDK expects one."""
        return _PING if self._started else _COMMENT

    def fail(self, text: str) -> bytes:
        # The blank line ends a frame that the provider may have left unfinished.
        return b"\n\n" + frame_bytes(self._error_body(502, text), "error")

    # --- reading -----------------------------------------------------------------------------
    def _take(self, frame: Frame, events: list[GateEvent]) -> None:
        if not frame.data:
            check_is_event_stream(frame)
            self._queue.append(_Item(frame.raw, self._message))
            return
        if frame.data.strip() == b"[DONE]" and frame.event is None:
            self._queue.append(_Item(frame.raw, self._message))  # some compatible servers end so
            return
        document = decode_marked(frame.data, _WHAT)
        kind = document.get("type")
        if not isinstance(kind, str):
            raise WireError(f"{_WHAT}: expected a string - at $.type")
        if frame.event is not None and frame.event != kind:
            raise WireError(f"{_WHAT}: event {frame.event!r} carries data of type {kind!r}")
        self._check_unambiguous(document, kind)
        if kind.startswith("message_"):
            self._meter.read(document)
        match kind:
            case "message_start":
                item = self._message_start(frame, document)
            case "content_block_start":
                item = self._block_start(frame, document)
            case "content_block_delta":
                item = self._block_delta(frame, document)
            case "content_block_stop":
                item = self._block_stop(frame, document, events)
            case "message_delta" | "message_stop":
                item = _Item(frame.raw, self._open_message(kind), ends=document)
                assert item.message is not None  # noqa: S101 - for the type checker
                item.message.stopped |= kind == "message_stop"
            case "error":
                # An error may follow a 200 (https://docs.claude.com/en/api/errors); the SDKs raise, and
                # what was unfinished stays so.
                self._lose_open_calls()
                item = _Item(frame.raw, self._message, ends=document)
            case _:
                # `ping`, and event types to come: clients are told to pass over what they do not
                # know (https://docs.claude.com/en/docs/build-with-claude/streaming).
                item = _Item(frame.raw, self._message)
        self._queue.append(item)

    def _take_rest(self, frame: Frame, events: list[GateEvent]) -> None:
        """Reads what stands behind the last blank line: a whole event, or one that was cut off."""
        if self._message is None or is_whole(frame):
            self._take(frame, events)
            return
        self._lose_open_calls()
        cut = self.fail("The answer ended in the middle of an event.")
        self._queue.append(_Item(cut, self._message, ends={"type": "error"}))

    def _check_unambiguous(self, document: dict[str, Json], kind: str) -> None:
        block: Json = document.get("content_block") if kind == "content_block_start" else None
        judged = frozenset({id(block["input"])}) if _has_input(block) else frozenset[int]()
        if is_ambiguous(document, but=judged):
            raise WireError(f"{_WHAT}: an object has the same key twice - in a {kind} event")

    def _message_start(self, frame: Frame, document: dict[str, Json]) -> _Item:
        head = document.get("message")
        if not isinstance(head, dict):
            raise WireError(f"{_WHAT}: expected an object - at $.message")
        content = head.get("content")
        if content:
            # Streams open with an empty `content`; SDKs would take a full one as it is, unseen by us.
            raise WireError(f"{_WHAT}: expected an empty array - at $.message.content")
        message_id = head.get("id")
        open_message = self._message
        if open_message is not None and not open_message.stopped:
            # Gateways send the same empty start twice; of a message with blocks no SDK's reading is sure.
            if open_message.blocks or open_message.response_id != message_id:
                raise WireError(f"{_WHAT}: a message starts inside a message")
            return _Item(frame.raw, open_message, starts=True)
        self._message = _Message(message_id if isinstance(message_id, str) else None)
        return _Item(frame.raw, self._message, starts=True)

    def _open_message(self, kind: str) -> _Message:
        if self._message is None or self._message.stopped:
            raise WireError(f"{_WHAT}: {kind} outside a message")
        return self._message

    def _block_start(self, frame: Frame, document: dict[str, Json]) -> _Item:
        message = self._open_message("content_block_start")
        index = document.get("index")
        if type(index) is not int or index != len(message.blocks):
            raise WireError(f"{_WHAT}: expected index {len(message.blocks)}, got {index!r}")
        block = Block(index, document.get("content_block"), f"{_WHAT} - block {index}")
        message.blocks.append(block)
        return _Item(frame.raw, message, block if block.waits else None, starts=True)

    def _block_delta(self, frame: Frame, document: dict[str, Json]) -> _Item:
        message, block = self._open_block(document, "content_block_delta")
        delta = document.get("delta")
        if not isinstance(delta, dict):
            raise WireError(f"{_WHAT}: expected an object - at $.delta")
        block.delta(delta, _WHAT)
        return _Item(frame.raw, message, block if block.waits else None)

    def _block_stop(
        self, frame: Frame, document: dict[str, Json], events: list[GateEvent]
    ) -> _Item:
        message, block = self._open_block(document, "content_block_stop")
        call = block.close(message.response_id)
        if call is not None and block.waits:
            key, self._next_key = self._next_key, self._next_key + 1
            self._waiting[key] = block
            # What stands before it leaves before anyone thinks about it.
            self._flush(events)
            events.append(CallFound(key, call))
        elif call is not None:
            events.append(CallSeen(call))
        return _Item(frame.raw, message, block if block.waits else None)

    def _open_block(self, document: dict[str, Json], kind: str) -> tuple[_Message, Block]:
        message = self._open_message(kind)
        index = document.get("index")
        if type(index) is not int or not 0 <= index < len(message.blocks):
            raise WireError(f"{_WHAT}: {kind} for a block that was not started: index {index!r}")
        block = message.blocks[index]
        if not block.open:
            raise WireError(f"{_WHAT}: {kind} for block {index}, which is closed")
        return message, block

    def _lose_open_calls(self) -> None:
        if self._message is not None:
            for block in self._message.blocks:
                if block.waits and block.open:
                    block.open, block.state = False, BlockState.LOST

    # --- writing -----------------------------------------------------------------------------
    def _flush(self, events: list[GateEvent]) -> None:
        out = bytearray()
        while self._queue:
            item = self._queue[0]
            state = item.block.state if item.block else BlockState.RELEASED
            if state in (BlockState.OPEN, BlockState.WAITING):
                break
            if state is BlockState.LOST and self._is_cut():
                self._queue.clear()
                _emit(out, events)
                self._remember_last(events)
                events.append(Emit(self.fail("The answer ended in the middle of a tool call.")))
                return
            self._queue.popleft()
            if item.ends is not None and (memory := self._memory(item.message)):
                _emit(out, events)
                events.append(Remember(memory))
            out += self._bytes_of(item, state)
            self._started |= item.starts
        _emit(out, events)
        if self._ended and not self._queue:
            self._remember_last(events)

    def _is_cut(self) -> bool:
        """Tells whether a lost call is the last that came; else an error event of the provider follows."""
        return self._ended and not any(
            i.ends is not None and i.ends["type"] == "error" for i in self._queue
        )

    def _bytes_of(self, item: _Item, state: BlockState) -> bytes:
        if state is BlockState.LOST:
            return b""
        if state is BlockState.REFUSED:
            assert item.block is not None  # noqa: S101 - only blocks are refused
            return text_frames(item.block.index, item.block.refusal) if item.starts else b""
        if item.ends is not None and item.message is not None and _refused(item.message):
            left = any(b.waits and b.state is BlockState.RELEASED for b in item.message.blocks)
            return with_stop_reason(item.ends, client_calls_left=left) or item.raw
        return item.raw

    def _memory(self, message: _Message | None) -> RefusedResponse | None:
        """Returns what the next request will need, once for as many blocks as there are."""
        if message is None or not _refused(message):
            return None
        if message.remembered == len(message.blocks):
            return None
        message.remembered = len(message.blocks)
        calls = [b for b in message.blocks if b.waits and b.call is not None]
        return memory(
            ref=self._ref,
            response_id=message.response_id,
            content=[b.value() for b in message.blocks if not b.open and b.state is not _LOST],
            calls=[b.call for b in calls if b.call is not None],
            refused={n: b.refusal for n, b in enumerate(calls) if b.state is BlockState.REFUSED},
        )

    def _remember_last(self, events: list[GateEvent]) -> None:
        """A stream cut short has no frame that ends its message; what it refused is still kept."""
        if memory := self._memory(self._message):
            events.append(Remember(memory))


_LOST = BlockState.LOST


def _refused(message: _Message) -> bool:
    return any(block.state is BlockState.REFUSED for block in message.blocks)


def _has_input(block: Json) -> bool:
    return isinstance(block, dict) and isinstance(block.get("input"), dict)


def _emit(out: bytearray, events: list[GateEvent]) -> None:
    if out:
        events.append(Emit(bytes(out)))
        out.clear()
