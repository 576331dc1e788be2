"""Newline-delimited JSON, cut into lines whose bytes are kept.

What belongs here: the framing, for Ollama and Cohere's v1. A line ends in LF; a CR before it is white
space in JSON. httpx, which both Python SDKs read lines with, also cuts at CR, U+0085, U+2028 and the
like. Outside of a string those are no JSON white space, inside of one the parts are no JSON; CR alone is
white space, so that a part may be a document of its own (cohere passes over the others): it is refused.

Keeping such a stream alive is possible with white space ahead of the next line only: `ollama` for
Python raises at a line that is blank.
"""

from __future__ import annotations

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.jsontext import encode
from proxy.wire.sse import Frame

MAX_LINE_BYTES = 64 << 20
"""One line larger than this ends the stream."""

KEEPALIVE = b" "


class NdjsonReader:
    """Cuts a byte stream into lines; a line of white space has no `data`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Returns the lines completed by these bytes.

        Raises:
            WireError: a line grows past MAX_LINE_BYTES.
        """
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start, at = 0, self._searched
        while (found := buffer.find(b"\n", at)) >= 0:
            frames.append(_line(bytes(buffer[start : found + 1])))
            start = at = found + 1
        if start:
            del buffer[:start]
        self._searched = len(buffer)
        if len(buffer) > MAX_LINE_BYTES:
            raise WireError(f"NDJSON: a line of more than {MAX_LINE_BYTES} bytes")
        return frames

    def rest(self) -> Frame | None:
        """Returns what is left at the end of the stream; every client reads it as a line."""
        raw, self._buffer = bytes(self._buffer), bytearray()
        return _line(raw) if raw else None


def _line(raw: bytes) -> Frame:
    if b"\r" in raw.rstrip(b"\r\n"):
        raise WireError("NDJSON: a carriage return inside a line")
    return Frame(raw, None, raw if raw.strip(b" \t\r\n") else None)


def line_bytes(document: Json) -> bytes:
    """Writes one line; the characters at which httpx would cut it are escaped (they stand in strings)."""
    made = encode(document)
    for mark, escaped in _CUTS:
        if mark in made:
            made = made.replace(mark, escaped)
    return made + b"\n"


_CUTS = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)
