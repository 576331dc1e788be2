"""Decisions out of log files, one at a time, in the order in which they stand.

What belongs here: opening files (also `.gz`), and the few fields of a decision that are counted. Memory does not grow
with the log. A line that is no record is passed over and counted: the last line of a log may be written just now.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from proxy.errors import LogError

_ROTATED = re.compile(r"[.-]\d+(\.gz)?")


class Said(msgspec.Struct):
    """One reason of a decision; logs of before 2026-12 have neither `mode` nor `verdict`."""

    rule: str
    text: str = ""
    file: str | None = None
    line: int | None = None
    mode: str | None = None
    verdict: str | None = None


class Called(msgspec.Struct):
    name: str
    id: str | None = None
    executor: str = "client"


class Decided(msgspec.Struct):
    """One decision, as far as it is counted."""

    type: str
    time: datetime
    verdict: str
    call: Called
    session: str | None = None
    agent: str | None = None
    would: str | None = None
    reasons: list[Said] = []


class _Any(msgspec.Struct):
    type: str
    time: datetime


_decision = msgspec.json.Decoder(Decided).decode
_any = msgspec.json.Decoder(_Any).decode


@dataclass(slots=True)
class Reading:
    """What was met on the way."""

    records: int = 0
    newest: datetime | None = None  # of any record
    unread: str = ""  # where the first line stands that is no record
    unread_lines: int = 0


def with_rotated(log: Path) -> list[Path]:
    """Returns a log with those that it was rotated to: `log.1`, `log.2.gz`, `log-20261126`."""
    beside = log.parent.glob(f"{log.name}*") if log.parent.is_dir() else ()
    rotated = [p for p in beside if _ROTATED.fullmatch(p.name.removeprefix(log.name))]
    return [*sorted(rotated, reverse=True), log]


def decisions(paths: Iterable[Path], reading: Reading) -> Iterator[Decided]:
    """Yields the decisions of log files; what was met besides is noted in `reading`.

    Raises:
        LogError: a file cannot be read, or has no record of a decision log in it.
    """
    for path in paths:
        before, number = reading.records, 0
        try:
            with closing(_opened(path)) as lines:
                for number, line in enumerate(lines, 1):
                    made = _read(line, f"{path}:{number}", reading)
                    if made is not None:
                        yield made
        except (OSError, EOFError, zlib.error) as error:
            what = getattr(error, "strerror", None) or str(error)
            raise LogError(f"{path}: cannot be read: {what}") from error
        if number and reading.records == before:
            raise LogError(f"{path}: not a decision log: no line of it is a record")


def _opened(path: Path) -> BinaryIO:
    file = path.open("rb")
    if file.read(2) == b"\x1f\x8b":
        file.close()
        return cast("BinaryIO", gzip.open(path, "rb"))
    file.seek(0)
    return file


def _read(line: bytes, where: str, reading: Reading) -> Decided | None:
    """Returns the decision that a line is, None where it is another record, or none."""
    made = _decoded(line)
    if made is None or made.time.tzinfo is None:
        reading.unread_lines += 1
        reading.unread = reading.unread or where
        return None
    reading.records += 1
    if reading.newest is None or made.time > reading.newest:
        reading.newest = made.time
    return made if isinstance(made, Decided) else None


def _decoded(line: bytes) -> Decided | _Any | None:
    try:
        head = _any(line)
        return _decision(line) if head.type == "decision" else head
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
