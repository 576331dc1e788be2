"""A Gemini answer cut into the documents it is made of, with their bytes.

What belongs here: three framings of the same chunks. `Whole`: one JSON object. `Events`: server-sent
events (`?alt=sse`). `Elements`: one JSON array whose elements come one by one (no `alt`), which is how
the API streams by default, see https://cloud.google.com/apis/design/errors#http_mapping and
https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent (read 2026-11).

google-genai reads a stream by lines, whatever its content type says: a line that starts with
`data: ` is an event's, any other line is JSON of its own. So an event stream in which other lines stand
than the SSE fields is refused, except where nothing but one JSON text without calls stands (an error).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.errors import WireError
from proxy.wire.sse import Frame, SseReader

MAX_DOCUMENT_BYTES = 256 << 20
_WHAT = "gemini: response"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes; `body` is the JSON document in them, None where there is none."""

    raw: bytes
    body: bytes | None = None
    lead: bytes = b""  # what stands around the document when it is written again
    tail: bytes = b""

    def rewritten(self, body: bytes) -> bytes:
        return self.lead + body + self.tail


class Framing(Protocol):
    streams: bool

    def feed(self, data: bytes) -> Sequence[Piece]:
        """Returns the pieces these bytes complete; `b""` ends the body.

        Raises:
            WireError: the bytes have no single reading.
        """

    def error(self, body: bytes) -> bytes:
        """Returns the bytes that end the body with an error document, behind what has left."""

    def left(self, piece: Piece) -> None:
        """Notes that a piece has left."""


class Whole:
    """One JSON object."""

    streams = False

    def __init__(self) -> None:
        self._body = bytearray()

    def feed(self, data: bytes) -> Sequence[Piece]:
        if data:
            self._body += data
            if len(self._body) > MAX_DOCUMENT_BYTES:
                raise WireError(f"{_WHAT}: a body of more than {MAX_DOCUMENT_BYTES} bytes")
            return ()
        raw = bytes(self._body)
        if not raw.strip():
            return (Piece(raw),) if raw else ()
        return (Piece(raw, raw),)

    def error(self, body: bytes) -> bytes:
        return body

    def left(self, piece: Piece) -> None:
        pass


_FIELD = re.compile(rb"(?:|:.*|(?:event|id|retry)(?::.*)?)", re.DOTALL)
_LINES = re.compile(rb"\r\n|\n|\r")


class Events:
    """Server-sent events; other lines than their fields are JSON texts to google-genai.

    Args:
        check: looks at a JSON text that stands outside of events, and raises where it has calls.
    """

    streams = True

    def __init__(self, check: Callable[[bytes], None]) -> None:
        self._reader = SseReader()
        self._check = check
        self._raw: bytearray | None = None  # a JSON text outside of events, from its first line on
        self._begun = False

    def feed(self, data: bytes) -> Sequence[Piece]:
        frames = self._reader.feed(data)
        if not data and (rest := self._reader.rest()):
            frames.append(rest)
        pieces = [piece for frame in frames if (piece := self._piece(frame)) is not None]
        if not data and self._raw is not None:
            raw, self._raw = bytes(self._raw), None
            self._check(raw)
            pieces.append(Piece(raw))
        return pieces

    def error(self, body: bytes) -> bytes:
        """An event for readers of events, which google-genai raises; then the bare line that the API
        itself sends (`@google/genai` raises at that alone)."""
        return b"\n\ndata: " + body + b"\n\n" + body + b"\n"

    def left(self, piece: Piece) -> None:
        pass

    def _piece(self, frame: Frame) -> Piece | None:
        if self._raw is not None:
            self._raw += frame.raw
            if len(self._raw) > MAX_DOCUMENT_BYTES:
                raise WireError(f"{_WHAT}: a body of more than {MAX_DOCUMENT_BYTES} bytes")
            return None
        raw = frame.raw
        lines = _LINES.split(raw if self._begun else raw.removeprefix(b"\xef\xbb\xbf"))
        self._begun = True
        data = [line for line in lines if line.startswith(b"data:")]
        others = [line for line in lines if line not in data and not _FIELD.fullmatch(line)]
        if others and (data or lines[0].strip()[:1] not in (b"{", b"[")):
            raise WireError(f"{_WHAT}: a line that is no field of an event")
        if others:
            self._raw = bytearray(raw)
            return None
        if len(data) > 1 and not all(line.startswith(b"data: ") for line in data):
            raise WireError(f"{_WHAT}: an event whose lines can be read in two ways")
        if frame.data is None or frame.data.strip() in (b"", b"[DONE]"):
            return Piece(raw)
        end = b"\r\n\r\n" if b"\r\n" in raw else b"\n\n"
        return Piece(raw, frame.data, b"data: ", end)


_MARKS = re.compile(rb'["{}\[\]]')
_IN_TEXT = re.compile(rb'["\\]')
_SPACE = b" \t\r\n"


class Elements:
    """One JSON array, its elements one by one; or one lone object, as errors are."""

    streams = True

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0  # how far the buffer was searched
        self._depth = 0
        self._in_text = False
        self._expects = "start"  # start, first, element, comma, end
        self._alone = False
        self._state = "start"  # the same, of what has left

    def feed(self, data: bytes) -> Sequence[Piece]:
        self._buffer += data
        if len(self._buffer) > MAX_DOCUMENT_BYTES:
            raise WireError(f"{_WHAT}: a chunk of more than {MAX_DOCUMENT_BYTES} bytes")
        pieces: list[Piece] = []
        while self._next(pieces):
            pass
        if not data and (self._buffer or self._expects not in ("start", "end")):
            raise WireError(f"{_WHAT}: the array did not end")
        return pieces

    def error(self, body: bytes) -> bytes:
        lead = {"start": b"[", "comma": b",\n"}.get(self._state, b"")
        return lead + body + (b"" if self._alone or self._state == "end" else b"]")

    def left(self, piece: Piece) -> None:
        if piece.body is not None:
            self._state = "end" if self._alone else "comma"
        for mark, state in ((b"[", "first"), (b",", "element"), (b"]", "end")):
            if piece.body is None and mark in piece.raw:
                self._state = state

    def _next(self, pieces: list[Piece]) -> bool:
        """Takes the next mark or element off the buffer; False where more bytes are needed."""
        if self._depth:
            return self._element(pieces)
        rest = self._buffer.lstrip(_SPACE)
        space = len(self._buffer) - len(rest)
        if not rest:
            if space:
                pieces.append(Piece(self._take(space)))
            return False
        mark = chr(rest[0])
        if mark == "{" and self._expects in ("start", "first", "element"):
            self._alone = self._expects == "start"
            if space:
                pieces.append(Piece(self._take(space)))
            self._at, self._depth = 1, 1
            return True
        allowed = {"[": ("start",), ",": ("comma",), "]": ("first", "comma")}
        if self._expects not in allowed.get(mark, ()):
            raise WireError(f"{_WHAT}: expected an array of objects, got {mark!r}")
        self._expects = {"[": "first", ",": "element", "]": "end"}[mark]
        pieces.append(Piece(self._take(space + 1)))
        return True

    def _element(self, pieces: list[Piece]) -> bool:
        buffer = self._buffer
        while found := (_IN_TEXT if self._in_text else _MARKS).search(buffer, self._at):
            mark = found.group()
            if mark == b"\\":
                if found.end() == len(buffer):
                    self._at = found.start()  # what it escapes has not come yet
                    return False
                self._at = found.end() + 1
                continue
            self._at = found.end()
            if mark == b'"':
                self._in_text = not self._in_text
            else:
                self._depth += 1 if mark in b"{[" else -1
            if not self._depth:
                self._expects = "end" if self._alone else "comma"
                raw = self._take(self._at)
                pieces.append(Piece(raw, raw))
                return True
        self._at = len(buffer)
        return False

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._at = 0
        return taken
