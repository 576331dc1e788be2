"""A gate of another API over the chunks of a Bedrock stream.

What belongs here: the translation there and back, and the order in which Claude's blocks leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.model import Json
from proxy.wire.anthropic.blocks import is_client_call
from proxy.wire.bedrock.chat_shape import with_stop_reasons
from proxy.wire.bedrock.eventstream import WHAT, exception_frame, json_bytes
from proxy.wire.bedrock.framing import chunk_frame
from proxy.wire.codec import Emit, GateEvent, ResponseGate, Ruling
from proxy.wire.jsontext import decode_object
from proxy.wire.sse import SseReader

_NO_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")
_ENDS = ("message_delta", "message_stop", "error")


@dataclass(slots=True)
class Piece:
    """One frame on its way out; `is_ours` where the inner gate wrote it."""

    raw: bytes
    document: dict[str, Json] | None
    is_ours: bool = False


class InOrder:
    """Lets every piece leave at once."""

    def add(self, piece: Piece) -> bytes:
        return piece.raw

    def rest(self) -> bytes:
        return b""


class TextsFirst(InOrder):
    """Puts the refusals ahead of the calls that are left, and counts the blocks anew.

    Signed requests cannot be restored, and Claude misses the result of a call that text follows. What
    stands behind the first call that was let through waits for the message's end; no agent acts earlier.
    """

    def __init__(self) -> None:
        self._held: list[Piece] | None = None

    def add(self, piece: Piece) -> bytes:
        document = piece.document or {}
        kind = document.get("type")
        if self._held is None:
            block = document.get("content_block") if kind == "content_block_start" else None
            if not isinstance(block, dict) or not is_client_call(str(block.get("type"))):
                return piece.raw
            self._held = []
        self._held.append(piece)
        return self.rest() if kind in _ENDS else b""

    def rest(self) -> bytes:
        held, self._held = self._held or [], None
        ours = [piece for piece in held if piece.is_ours and "index" in (piece.document or {})]
        if not ours:
            return b"".join(piece.raw for piece in held)
        theirs = [piece for piece in held if not any(piece is one for one in ours)]
        begun = [
            piece.document["index"]
            for piece in (*ours, *theirs)
            if piece.document and piece.document.get("type") == "content_block_start"
        ]
        numbers = dict(zip(begun, sorted(begun), strict=True))
        return b"".join(_renumbered(piece, numbers) for piece in (*ours, *theirs))


def _renumbered(piece: Piece, numbers: dict[int, int]) -> bytes:
    index: Json = (piece.document or {}).get("index")
    number = numbers.get(index)
    if piece.document is None or number in (None, index):
        return piece.raw
    return chunk_frame(json_bytes(piece.document | {"index": number}))


class Translated:
    """A gate over server-sent events, fed with chunks; its output mapped back to frames.

    Each event carries the number of its frame as its `id`: what has one leaves as the frame it came in,
    what has none was written by the gate and becomes a chunk.
    """

    def __init__(self, gate: ResponseGate, *, order: InOrder) -> None:
        self._gate = gate
        self._order = order
        self._reader = SseReader()
        self._frames: dict[int, Piece] = {}
        self._count = self._left = 0
        self._ended = False
        self._last = b""

    @property
    def pending(self) -> Sequence[int]:
        return self._gate.pending

    def take(
        self, data: bytes | None, document: dict[str, Json] | None, raw: bytes
    ) -> list[GateEvent]:
        """Takes one chunk; `data` is what it carries, None where that says nothing to the gate."""
        number, self._count = self._count, self._count + 1
        self._frames[number] = Piece(raw, document)
        frame = b"id: %d\n\n" % number
        if data is not None:
            # In JSON a line's end is white space between tokens: it was read strictly already.
            line = data.translate(_NO_LINE_ENDS)
            frame = b"id: %d\ndata: %s\n\n" % (number, line)
        return self._mapped(self._gate.feed(frame))

    def end(self, last: bytes) -> list[GateEvent]:
        """The stream is over, or its provider gave up; `last` leaves behind all that still waits."""
        if self._ended:
            return [Emit(last)] if last else []
        self._ended, self._last = True, last
        return self._finished(self._mapped(self._gate.feed(b"")))

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        return self._finished(self._mapped(self._gate.rule(key, ruling)))

    def _finished(self, events: list[GateEvent]) -> list[GateEvent]:
        if self._ended and not self._gate.pending:
            rest, self._last = self._order.rest() + self._last, b""
            if rest:
                events.append(Emit(rest))
        return events

    def _mapped(self, events: Sequence[GateEvent]) -> list[GateEvent]:
        made: list[GateEvent] = []
        for event in events:
            if not isinstance(event, Emit):
                made.append(event)
                continue
            out = bytearray()
            for frame in self._reader.feed(event.data):
                if frame.raw.startswith(b"id: "):
                    number = int(frame.raw[4 : frame.raw.index(b"\n")])
                    for gone in range(self._left, number):  # of calls that were refused
                        self._frames.pop(gone, None)
                    self._left = number + 1
                    out += self._order.add(self._frames.pop(number))
                elif frame.data is not None:
                    out += self._order.add(_new_frame(frame.data))
            if out:
                made.append(Emit(bytes(out)))
        return made


def _new_frame(data: bytes) -> Piece:
    document = decode_object(data, WHAT)
    error = document.get("error")
    if isinstance(error, dict):
        frame = exception_frame(str(error.get("message", "")))
        return Piece(frame, {"type": "error"}, is_ours=True)
    with_stop_reasons(document)
    return Piece(chunk_frame(json_bytes(document)), document, is_ours=True)
