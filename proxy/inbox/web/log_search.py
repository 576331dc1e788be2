"""The decision log from its end backwards: what a page shows, without reading the whole file.

What belongs here: lines from an offset towards the beginning, a bounded part of the file at a time, and whether a record is what is looked for.
Records are as they were written, redacted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from proxy.model import Json

MOST_BYTES = 8 << 20
"""How much of the file one question may read."""
_BLOCK = 1 << 16

_decode = msgspec.json.Decoder(dict[str, Json]).decode


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; empty: anything."""

    text: str = ""
    session: str = ""
    agent: str = ""
    tool: str = ""
    rule: str = ""
    verdict: str = ""
    type: str = ""

    def may_be_in(self, line: bytes) -> bool:
        """Whether a line has the text, in whatever case: cheaper than reading it."""
        if not self.text:
            return True
        written = msgspec.json.encode(self.text).decode()[1:-1]  # as the log writes quotation marks
        return written.casefold() in line.decode("utf-8", "replace").casefold()

    def fits(self, record: Mapping[str, Json]) -> bool:
        call = record.get("call") or {}
        reasons = record.get("reasons") or ()
        asked = (
            (self.session, record.get("session")),
            (self.agent, record.get("agent")),
            (self.tool, call.get("name") if isinstance(call, dict) else None),
            (self.verdict, record.get("verdict")),
            (self.type, record.get("type")),
        )
        if any(wanted and wanted != is_ for wanted, is_ in asked):
            return False
        return not self.rule or any(r.get("rule") == self.rule for r in reasons)


@dataclass(frozen=True, slots=True)
class Found:
    """Records, the newest first; `before`: the offset to go on from, None at the file's beginning."""

    records: tuple[dict[str, Json], ...]
    before: int | None
    read_bytes: int


def search(
    path: Path,
    wanted: Wanted,
    *,
    most: int = 100,
    before: int | None = None,
    most_bytes: int = MOST_BYTES,
) -> Found:
    """Looks for records from an offset (the file's end) backwards.

    Raises:
        OSError: the file cannot be read.
    """
    found: list[dict[str, Json]] = []
    read = 0
    end = before
    for offset, line in _backwards(path, before):
        read += len(line) + 1
        end = offset
        if line and wanted.may_be_in(line):
            try:
                record = _decode(line)
            except msgspec.DecodeError:
                continue  # torn: it was never acknowledged
            if wanted.fits(record):
                found.append(record)
        if len(found) >= most or read >= most_bytes:
            break
    return Found(tuple(found), end or None, read)


def _backwards(path: Path, before: int | None) -> Iterator[tuple[int, bytes]]:
    """Yields (offset, line) from the end to the beginning."""
    with path.open("rb") as file:
        position = file.seek(0, 2)
        if before is not None:
            position = min(before, position)
        rest = b""
        while position > 0:
            size = min(_BLOCK, position)
            position -= size
            file.seek(position)
            rest = file.read(size) + rest
            lines = rest.split(b"\n")
            rest = lines[0]
            offset = position + len(rest) + 1
            starts = []
            for line in lines[1:]:
                starts.append((offset, line))
                offset += len(line) + 1
            yield from reversed(starts)
        if rest:
            yield 0, rest
