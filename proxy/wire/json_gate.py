"""The gate over a buffered JSON answer, the same for every API whose answers are one JSON object.

What belongs here: collecting the body, the strict reading of it, the order of events, and the two
ends: all calls released, then the very bytes that came leave; else the subclass takes the refused
calls out and the rewritten body leaves, after its memory. A codec says where calls stand
(`find_calls`) and how to take some out (`strip`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    RefusedResponse,
    Release,
    Remember,
    Ruling,
)
from proxy.wire.jsontext import decode_marked, encode, is_ambiguous
from proxy.wire.usage import AnswerMeter, Metered

MAX_BODY_BYTES = 256 << 20
"""A buffered answer larger than this is refused rather than kept in memory."""


@dataclass(frozen=True, slots=True)
class Found:
    """One call in a body, in order of appearance."""

    call: Call
    value: Json = None  # the arguments where the body holds them as an object: judged with the call
    seen: bool = False  # the provider runs it: `CallSeen`, nothing waits
    refusal: str | None = None  # it must never leave, whatever a ruling would say (cut off)


class JsonGate(Metered, ABC):
    """Holds one JSON body back until all its calls are ruled on (`codec.ResponseGate`).

    Args:
        what: the place that error messages name, such as "openai.chat response".
        status: the HTTP status; an answer that is not 2xx may be anything as long as it holds no calls.
    """

    def __init__(self, *, what: str, status: int) -> None:
        self._what = what
        self._good = 200 <= status < 300
        self._body = bytearray()
        self._meter = AnswerMeter()
        self._document: dict[str, Json] = {}
        self._found: Sequence[Found] = ()
        self._waiting: list[int] = []
        self._refused: dict[int, str] = {}
        self._ended = False

    @property
    def streams(self) -> bool:
        return False

    @property
    def response_id(self) -> str | None:
        return None

    @abstractmethod
    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        """Returns the calls in order of appearance.

        Raises:
            WireError: something stands where a call could be and cannot be read.
        """

    @abstractmethod
    def strip(
        self, document: dict[str, Json], refused: Mapping[int, str]
    ) -> RefusedResponse | None:
        """Takes the refused calls out of the document, in place; returns the memory of them.

        Args:
            refused: position in what `find_calls` returned -> the text that stands in its place.
        """

    @abstractmethod
    def fail(self, text: str) -> bytes: ...

    @property
    def pending(self) -> Sequence[int]:
        return tuple(self._waiting)

    def feed(self, data: bytes) -> list[GateEvent]:
        if self._ended:
            return []
        if data:
            self._body += data
            if len(self._body) > MAX_BODY_BYTES:
                raise WireError(f"{self._what}: a body of more than {MAX_BODY_BYTES} bytes")
            return []
        self._ended = True
        if not self._body.strip():
            return [Emit(bytes(self._body))] if self._body else []
        try:
            self._document = decode_marked(bytes(self._body), self._what)
        except WireError:
            if self._good:
                raise
            return [Emit(bytes(self._body))]  # a gateway's error page; no client acts on it
        self._meter.read(self._document)
        self._found = self.find_calls(self._document)
        inside = frozenset(id(found.value) for found in self._found if found.value is not None)
        try:
            ambiguous = is_ambiguous(self._document, but=inside)
        except RecursionError as error:
            raise WireError(f"{self._what}: nested too deeply") from error
        if ambiguous and (self._good or self._found):
            raise WireError(f"{self._what}: an object has the same key twice")
        events: list[GateEvent] = []
        for position, found in enumerate(self._found):
            if found.seen:
                events.append(CallSeen(found.call))
            elif found.refusal is not None:
                self._refused[position] = found.refusal
            else:
                self._waiting.append(position)
                events.append(CallFound(position, found.call))
        return events if self._waiting else events + self._finish()

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        self._waiting.remove(key)
        if not isinstance(ruling, Release):
            self._refused[key] = ruling.text
        return [] if self._waiting else self._finish()

    def keepalive(self) -> bytes:
        """Whitespace ahead of JSON (RFC 8259 section 2)."""
        return b"\n"

    def _finish(self) -> list[GateEvent]:
        if not self._refused:
            return [Emit(bytes(self._body))]
        memory = self.strip(self._document, self._refused)
        try:
            body = Emit(encode(self._document))
        except (
            UnicodeEncodeError,
            RecursionError,
        ) as error:  # half a surrogate pair, spelled as an escape
            raise WireError(f"{self._what}: cannot be written again") from error
        return [body] if memory is None else [Remember(memory), body]
