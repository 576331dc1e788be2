"""The decision log, read: verify its chain, follow its end.

What belongs here: everything that reads the file and never writes it. `verify` finds an edited
record, a gap, a record out of place or twice, a cut head; a cut tail can only be found by someone
who knows where the end was, so the caller may say (`expect_last`).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from proxy.canonical import canonical_json, sha256_hex
from proxy.decisionlog import VERSION, ZERO
from proxy.errors import LogError
from proxy.model import Json

_pieces = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode

_CHAIN: tuple[str, ...] = ("v", "seq", "prev", "hash")


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` found; no problems means that the chain holds."""

    records: int
    first_seq: int | None
    last_seq: int | None
    last_hash: str | None
    problems: tuple[tuple[str, int, str], ...]  # file, line, text

    @property
    def ok(self) -> bool:
        return not self.problems


class _Verifier:
    def __init__(self, expect_first: int | None) -> None:
        self.expect_first = expect_first
        self.records = 0
        self.first: int | None = None
        self.seq: int | None = None
        self.hash: str | None = None
        self.seen_last = 0
        self.problems: list[tuple[str, int, str]] = []

    def line(self, file: str, number: int, line: bytes) -> None:
        if not line.endswith(b"\n"):
            self.problems.append((file, number, "torn: the last line has no newline"))
            return
        try:
            record, digest = _read(line[:-1])
        except (ValueError, RecursionError) as error:
            self.problems.append((file, number, f"not a record: {error}"))
            return
        seq, prev, stated = record.get("seq"), record.get("prev"), record.get("hash")
        if type(seq) is not int or type(prev) is not str or type(stated) is not str:
            self.problems.append((file, number, "not a record: seq, prev or hash is missing"))
            return
        self.records += 1
        if record.get("v") != VERSION:
            self.problems.append((file, number, f"record {seq}: unknown version"))
        if stated != digest:
            self.problems.append((file, number, f"record {seq}: edited: its hash does not match"))
        place = self._place(seq, prev)
        if place is not None:
            self.problems.append((file, number, place))
        if self.first is None:
            self.first = seq
        self.seq, self.hash = seq, stated
        self.seen_last = max(self.seen_last, seq)

    def _place(self, seq: int, prev: str) -> str | None:
        """Says what is wrong with where a record stands; None where it follows the one before."""
        if self.seq is None:
            if self.expect_first is not None and seq != self.expect_first:
                return f"the head is missing: the log begins at record {seq}"
            if seq == 1 and prev != ZERO:
                return "record 1: its prev is not the beginning of a chain"
            return None
        if seq == self.seq:
            return f"record {seq}: twice"
        if seq < self.seq:
            return f"record {seq}: out of place: it stands after {self.seq}"
        if seq > self.seq + 1:
            return f"gap: records {self.seq + 1} to {seq - 1} are missing"
        if prev != self.hash:
            return f"record {seq}: its prev is not the hash of record {self.seq}"
        return None


def verify(
    paths: Sequence[Path],
    *,
    expect_last: tuple[int, str] | None = None,
    expect_first: int | None = 1,
) -> VerifyReport:
    """Checks the chain over log files, oldest first.

    Args:
        expect_last: seq and hash that the chain must reach (`DecisionLog.head`).
        expect_first: the first record's seq; None when old files were deleted on purpose.

    Raises:
        LogError: a file cannot be read.
    """
    state = _Verifier(expect_first)
    file = ""
    number = 0
    for path in paths:
        file = str(path)
        number = 0
        try:
            with path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    state.line(file, number, line)
        except OSError as error:
            raise LogError(f"{path}: cannot be read: {error.strerror}") from error
    if expect_last is not None and (state.seq or 0, state.hash or ZERO) != expect_last:
        have = state.seq or 0
        text = (
            f"the tail is missing: the log ends at record {have}, not {expect_last[0]}"
            if have < expect_last[0]
            else f"record {have}: the log does not end as expected (record {expect_last[0]})"
        )
        state.problems.append((file, number, text))
    return VerifyReport(state.records, state.first, state.seq, state.hash, tuple(state.problems))


def _read(line: bytes) -> tuple[dict[str, Json], str]:
    """Returns a line's record and the hash it ought to have.

    Raises:
        ValueError: not one JSON object, or one with a key twice, which two readers read differently.
    """
    pieces = _pieces(line)
    if _encode(pieces) == line:  # as we wrote it: the pieces are canonical, or the hash will tell
        record: dict[str, Json] = {k: msgspec.json.decode(pieces[k]) for k in _CHAIN if k in pieces}
        pieces.pop("hash", None)
        digest = sha256_hex(_in_order(pieces))
        if digest == record.get("hash"):
            return record, digest
    record = json.loads(line, object_pairs_hook=_unique)
    return record, sha256_hex(canonical_json({k: v for k, v in record.items() if k != "hash"}))


def _in_order(pieces: dict[str, msgspec.Raw]) -> bytes:
    """Writes canonical pieces with their keys in RFC 8785's order, which is that of UTF-16."""
    if all(map(str.isascii, pieces)):
        return _encode_sorted(pieces)
    by_utf16 = sorted(pieces, key=lambda key: key.encode("utf-16-be"))
    return _encode({key: pieces[key] for key in by_utf16})


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def follow(
    path: Path,
    from_start: bool = False,
    poll_s: float = 0.2,
    *,
    until_idle: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[dict[str, Json]]:
    """Yields records as they are written, through rotation and truncation; waits for the file.

    A line that is no JSON object is yielded as an `error` record. `until_idle` ends it when there
    is nothing more to read (a plain `cat`), `stop` when it says so at such a moment.
    """
    at_end = not from_start
    while True:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            if until_idle or stop():
                return
            time.sleep(poll_s)
            at_end = False  # what comes now is new
            continue
        with file:
            if at_end:
                file.seek(0, os.SEEK_END)
            at_end = False
            yield from _follow_one(file, path, poll_s, lambda: until_idle or stop())
        if until_idle or stop():
            return


def _follow_one(
    file: BinaryIO, path: Path, poll_s: float, stop: Callable[[], bool]
) -> Iterator[dict[str, Json]]:
    """Yields one file's records until another file has its name."""
    rest = b""
    while True:
        # Looked at before reading: what was written before the rotation is then read for certain.
        gone = _is_other(file, path)
        position = file.tell()
        if os.fstat(file.fileno()).st_size < position:  # truncated in place (copytruncate)
            file.seek(0)
            rest = b""
        data = file.read()
        if data:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield _decoded(line, path)
        elif gone or stop():
            return
        else:
            time.sleep(poll_s)


def _is_other(file: BinaryIO, path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return True
    ours = os.fstat(file.fileno())
    return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)


def _decoded(line: bytes, path: Path) -> dict[str, Json]:
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        record = None
    if isinstance(record, dict):
        return record
    return {"type": "error", "where": str(path), "error": "a line of the log is not a record"}
