"""Outcomes of a long log, kept on disk until all is judged, and given out session by session.

What belongs here: a log's sessions are mixed, so that none is over before the log is. Calls are written as they are judged,
to a file in a temporary folder, and read again by session. Memory does not grow with the log.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from proxy.model import Reason, Verdict
from proxy.rehearsal.sessions import CallOutcome, SessionOutcome

_ROWS_A_TRANSACTION = 5_000
_MOST_NAMES = 10_000

type _Reasons = tuple[tuple[str, str, int, str | None, int | None, bool], ...]


class _Row(msgspec.Struct, array_like=True):
    """A call's outcome on disk; effects are left out."""

    id: str | None
    name: str
    verdict: int
    reasons: _Reasons
    was: str | None
    was_reasons: _Reasons
    would: int | None
    shadow_reasons: _Reasons
    unknown: tuple[str, ...]


_write = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(_Row).decode


class Spill:
    """The outcomes of one process."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE sessions (name BLOB PRIMARY KEY, first INTEGER) WITHOUT ROWID;"
            "CREATE TABLE calls (first INTEGER, line INTEGER, outcome BLOB,"
            " PRIMARY KEY (first, line)) WITHOUT ROWID"
        )
        self._database.execute("BEGIN")
        self._first: OrderedDict[str, int] = OrderedDict()
        self._open = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._database.execute("COMMIT")
        self._database.execute("CREATE INDEX firsts ON sessions (first)")
        self._database.close()

    def put(self, line: int, session: str, outcome: CallOutcome) -> None:
        """Keeps one outcome; `line` is where its call stands in the log."""
        row = (self._first_of(session, line), line, _row(outcome))
        self._database.execute("INSERT INTO calls VALUES (?, ?, ?)", row)
        self._open += 1
        if self._open >= _ROWS_A_TRANSACTION:
            self._open = 0
            self._database.execute("COMMIT")
            self._database.execute("BEGIN")

    def _first_of(self, session: str, line: int) -> int:
        """Returns the line of a session's first call."""
        found = self._first.get(session)
        if found is None:
            name = session.encode("utf-8", "surrogatepass")
            asked = "SELECT first FROM sessions WHERE name = ?"
            row = self._database.execute(asked, (name,)).fetchone()
            found = line if row is None else int(row[0])
            if row is None:
                self._database.execute("INSERT INTO sessions VALUES (?, ?)", (name, line))
            self._first[session] = found
            if len(self._first) > _MOST_NAMES:
                self._first.popitem(last=False)
        return found


def read_spills(paths: Sequence[Path]) -> Iterator[SessionOutcome]:
    """Yields the sessions of all processes in the order of their first calls."""
    for _, rows in groupby(merge(*map(_rows, paths)), key=lambda row: row[0]):
        found = [(name, _outcome(_read(blob))) for _, _, name, blob in rows]
        name = found[0][0].decode("utf-8", "surrogatepass")
        yield SessionOutcome(name, tuple(outcome for _, outcome in found))


def _rows(path: Path) -> Iterator[tuple[int, int, bytes, bytes]]:
    database = sqlite3.connect(path)
    try:
        yield from database.execute(
            "SELECT c.first, c.line, s.name, c.outcome FROM calls c"
            " JOIN sessions s ON s.first = c.first ORDER BY c.first, c.line"
        )
    finally:
        database.close()


def _row(outcome: CallOutcome) -> bytes:
    return _write(
        _Row(
            outcome.id,
            outcome.name,
            outcome.verdict,
            _reasons(outcome.reasons),
            outcome.was,
            _reasons(outcome.was_reasons),
            outcome.would,
            _reasons(outcome.shadow_reasons),
            outcome.unknown,
        )
    )


def _reasons(reasons: Sequence[Reason]) -> _Reasons:
    return tuple((r.rule, r.text, int(r.verdict), r.file, r.line, r.shadow) for r in reasons)


def _outcome(row: _Row) -> CallOutcome:
    return CallOutcome(
        row.id,
        row.name,
        Verdict(row.verdict),
        _read_reasons(row.reasons),
        was=row.was,
        was_reasons=_read_reasons(row.was_reasons),
        would=None if row.would is None else Verdict(row.would),
        shadow_reasons=_read_reasons(row.shadow_reasons),
        unknown=row.unknown,
    )


def _read_reasons(rows: _Reasons) -> tuple[Reason, ...]:
    return tuple(
        Reason(rule, text, Verdict(verdict), file, line, shadow)
        for rule, text, verdict, file, line, shadow in rows
    )
