"""Server-sent events, cut into frames whose bytes are kept.

What belongs here: the framing of https://html.spec.whatwg.org/multipage/server-sent-events.html
(read 2026-11): lines end in LF, CR or CRLF, a blank line ends a frame, one BOM may lead, a line
that starts with a colon is a comment, one space after a field's colon is dropped, several `data`
lines are joined by LF. The frame's raw bytes go with it, so that what is let through leaves as it
came. Cost per chunk does not depend on what came before: only the unfinished frame is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy.errors import WireError

MAX_FRAME_BYTES = 64 << 20
"""One frame larger than this ends the stream: an image result has 20 MB at most today."""

_BOM = b"\xef\xbb\xbf"
# A blank line. CR, LF and CRLF may be mixed. A CR at the very end of what we have may be half a CRLF,
# so it only counts with the byte behind it.
_BLANK = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Frame:
    """One event with the bytes it came in. `data` is None where it has no data line (comments)."""

    raw: bytes
    event: str | None
    data: bytes | None


class SseReader:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._at_start = True

    def feed(self, data: bytes) -> list[Frame]:
        """Returns the frames completed by these bytes.

        Raises:
            WireError: a frame grows past MAX_FRAME_BYTES.
        """
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start = 0
        at = self._searched
        while True:
            found = _BLANK.search(buffer, at)
            if found is None or (found.end() == len(buffer) and buffer[-1:] == b"\r"):
                break  # a lone CR at the end may be the first half of a CRLF
            frames.append(self._frame(bytes(buffer[start : found.end()])))
            start = at = found.end()
        if start:
            del buffer[:start]
        self._searched = max(0, len(buffer) - 3)
        if len(buffer) > MAX_FRAME_BYTES:
            raise WireError(f"event stream: a frame of more than {MAX_FRAME_BYTES} bytes")
        return frames

    def rest(self) -> Frame | None:
        """Returns what is left at the end of the stream as a frame; line-reading clients see it so."""
        raw, self._buffer = bytes(self._buffer), bytearray()
        return self._frame(raw) if raw else None

    def _frame(self, raw: bytes) -> Frame:
        body = raw
        if self._at_start:
            self._at_start = False
            body = body.removeprefix(_BOM)
        event: str | None = None
        data: list[bytes] = []
        for line in _LINE_END.split(body):
            if line.startswith(b"data:"):
                data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line.startswith(b"event:"):
                event = line[6:].strip().decode("utf-8", "replace")
            elif line == b"data":
                data.append(b"")
        return Frame(raw, event, b"\n".join(data) if data else None)


def frame_bytes(data: bytes, event: str | None = None) -> bytes:
    """Writes one event."""
    head = b"event: " + event.encode() + b"\n" if event else b""
    return head + b"data: " + data + b"\n\n"
