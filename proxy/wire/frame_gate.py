"""The gate over a stream of JSON documents, the same for every API that sends one a frame or a line.

What belongs here: reading in order, calls that wait, frames that wait for them, the order of events,
the two ends of a stream. A codec says what a frame means (`read`), how a frame is written once a call
has been refused (`write`), and what the next request will need (`memory`). Until the first refusal
every frame leaves as the bytes it came in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.codec import (
    CallFound,
    Emit,
    GateEvent,
    RefusedResponse,
    Release,
    Remember,
    Ruling,
)
from proxy.wire.jsontext import decode_marked, decode_object, is_ambiguous
from proxy.wire.sse import Frame
from proxy.wire.usage import AnswerMeter, Metered

ENDED_INSIDE = "checkrein: the answer ended inside a tool call; the call was not let through."
_BOM = b"\xef\xbb\xbf"
_USUAL_LINE_ENDS = 2  # of a frame that is one `data` line


@dataclass(slots=True, eq=False)
class StreamedCall:
    """One call of a stream, and what was ruled on it."""

    index: int = 0  # its number in this answer, or the one on the wire
    id: str | None = None
    name: str = ""
    texts: list[str] = field(default_factory=list)
    entry: dict[str, Json] = field(default_factory=dict)  # as a history carries it
    call: Call | None = None  # once it is whole
    refusal: str | None = None
    ruled: bool = False
    cut_off: bool = False  # never whole: not worth remembering


@dataclass(slots=True)
class Held:
    """A frame, and the calls it waits for."""

    frame: Frame
    document: dict[str, Json] | None = None
    calls: list[StreamedCall] = field(default_factory=list)


class Reader(Protocol):
    def feed(self, data: bytes) -> list[Frame]: ...
    def rest(self) -> Frame | None: ...


class FrameGate(Metered, ABC):
    """Holds back the frames of a stream that carry calls (`codec.ResponseGate`)."""

    def __init__(self, *, what: str, ref: str, reader: Reader) -> None:
        self._what = what
        self._ref = ref
        self._reader = reader
        self._meter = AnswerMeter()
        self._held: deque[Held] = deque()
        self._waiting: dict[int, StreamedCall] = {}
        self._next_key = 0
        self._events: list[GateEvent] = []
        self._error: WireError | None = None
        self._ended = False
        self._any_refused = False

    @property
    def streams(self) -> bool:
        return True

    @property
    def response_id(self) -> str | None:
        return None

    @property
    def pending(self) -> Sequence[int]:
        return tuple(self._waiting)

    def feed(self, data: bytes) -> list[GateEvent]:
        if self._error is not None:
            raise self._error
        if self._ended:
            return []
        try:
            if data:
                for frame in self._reader.feed(data):
                    self._take(frame)
            else:
                self._end()
        except WireError as error:
            # What came before the bad frame still leaves; the error follows at the next feed.
            self._error = error
            before = self._drain()
            if not before or self._ended:
                raise
            return before
        return self._drain()

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        call = self._waiting.pop(key)
        call.ruled = True
        if not isinstance(ruling, Release):
            call.refusal = ruling.text
            self._any_refused = True
            self._events.append(Remember(self.memory()))
        self._flush()
        return self._drain()

    # --- what a codec says -----------------------------------------------------------------

    @abstractmethod
    def read(self, frame: Frame) -> Held:
        """Reads one frame; calls that are whole now are given to `found`."""

    @abstractmethod
    def write(self, held: Held) -> bytes:
        """Writes a frame whose calls are ruled on, after something has been refused."""

    @abstractmethod
    def memory(self) -> RefusedResponse:
        """Returns what the next request needs of all that is refused so far."""

    @abstractmethod
    def keepalive(self) -> bytes: ...

    @abstractmethod
    def fail(self, text: str) -> bytes: ...

    def open_calls(self) -> Sequence[StreamedCall]:
        """Returns the calls that began and are not whole; asked at the end."""
        return ()

    def last_words(self) -> bytes:
        """Returns what a stream that ended early still has to say, such as a refusal's text."""
        return b""

    # --- what a codec uses -----------------------------------------------------------------

    def found(self, streamed: StreamedCall, call: Call) -> None:
        """Reports a whole call, which waits from now on."""
        streamed.call = call
        self._waiting[self._next_key] = streamed
        self._events.append(CallFound(self._next_key, call))
        self._next_key += 1

    def cut_off(self, streamed: StreamedCall, text: str) -> None:
        """Takes a call out that never became whole."""
        streamed.ruled = streamed.cut_off = True
        streamed.refusal = text
        self._any_refused = True

    # --- in order --------------------------------------------------------------------------

    def _take(self, frame: Frame) -> None:
        held = self.read(frame)
        if held.document is not None:
            self._meter.read(held.document)
        self._held.append(held)
        self._flush()

    def _end(self) -> None:
        self._ended = True
        whole = True
        try:
            rest = self._reader.rest()
            if rest is not None:
                self._take(rest)
        except WireError:
            whole = False  # a frame cut in the middle
        for call in self.open_calls():
            whole = False
            self.cut_off(call, ENDED_INSIDE)
        end = Frame(b"" if whole else self.fail(ENDED_INSIDE), None, None)
        self._held.append(Held(end))
        self._flush()

    def _flush(self) -> None:
        while self._held and all(call.ruled for call in self._held[0].calls):
            held = self._held.popleft()
            data = self.write(held) if self._any_refused and held.frame.data else held.frame.raw
            if self._ended and not self._held:
                data = self.last_words() + data
            self._emit(data)

    def _emit(self, data: bytes) -> None:
        if not data:
            return
        last = self._events[-1] if self._events else None
        if isinstance(last, Emit):
            self._events[-1] = Emit(last.data + data)
        else:
            self._events.append(Emit(data))

    def _drain(self) -> list[GateEvent]:
        events, self._events = self._events, []
        return events


def read_document(data: bytes, what: str, *, plain: bool) -> dict[str, Json]:
    """Reads a frame's document: the quick way where `plain`, else with duplicate keys marked."""
    return decode_object(data, what) if plain else decode_marked(data, what)


def refuse_ambiguous(document: dict[str, Json], what: str, inside: Sequence[Json] = ()) -> None:
    """Refuses a document in which a key stands twice; `inside` are arguments, judged with their call.

    Raises:
        WireError: two parsers may read it as two different things.
    """
    try:
        ambiguous = is_ambiguous(document, but=frozenset(id(v) for v in inside if v is not None))
    except RecursionError as error:
        raise WireError(f"{what}: nested too deeply") from error
    if ambiguous:
        raise WireError(f"{what}: an object has the same key twice")


def refuse_odd_case(value: dict[str, Json], names: frozenset[str], what: str) -> None:
    """Refuses keys that only a reader without regard to case (Go's) takes for the one that counts.

    Raises:
        WireError: such a key is there.
    """
    for key in value:
        if key not in names and key.casefold() in names:
            raise WireError(f"{what}: a key spelt {key!r}")


def refuse_odd_lines(frame: Frame, what: str, *, first: bool) -> None:
    """Refuses what some readers of event streams take for an event and others do not.

    JSON under no field (cohere's v1 client reads lines and never asks what they are), and a byte order mark at a line's start anywhere but at the very beginning:
    `mistralai` drops one at the start of every chunk that finds its buffer empty.

    Raises:
        WireError: such a line is there.
    """
    raw = frame.raw
    if frame.data is None or raw.count(b"\n") + raw.count(b"\r") > _USUAL_LINE_ENDS:
        for line in raw.removeprefix(_BOM).splitlines():
            if line.lstrip()[:1] in (b"{", b"["):
                raise WireError(f"{what}: JSON outside of any event")
    if _BOM in raw:
        body = raw.removeprefix(_BOM) if first else raw
        if any(line.startswith(_BOM) for line in body.splitlines()):
            raise WireError(f"{what}: a byte order mark inside the stream")
