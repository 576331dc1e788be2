"""Compensating calls on SQLite: one row for each call that has one, from when its result was observed.

What belongs here: a table with a document a row. A row is open until somebody begins to run it; `begun` is written ahead of the call, so that after a crash it is known
that it may have run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from proxy.errors import LedgerError
from proxy.ledger.store import UndoRow

if TYPE_CHECKING:
    from proxy.ledger.connection import Connection

UNDO_DDL: tuple[str, ...] = (
    """CREATE TABLE undos (
        call_key TEXT PRIMARY KEY, session TEXT NOT NULL, document BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX undos_by_session ON undos (session)",
)
_A_QUERY = 400

_decode = msgspec.json.Decoder(UndoRow).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


class SqliteUndo:
    """The part of a transaction that knows what can be undone."""

    _db: Connection

    def put_undo(self, row: UndoRow) -> None:
        self._db.run(
            "INSERT INTO undos (call_key, session, document) VALUES (?, ?, ?)"
            " ON CONFLICT (call_key) DO UPDATE SET document = excluded.document",
            (row.call_key, row.session, _encode(row)),
        )

    def undo(self, call_key: str) -> UndoRow | None:
        for row in self._db.rows("SELECT document FROM undos WHERE call_key = ?", (call_key,)):
            return _read(row[0])
        return None

    def undos_of(self, sessions: Sequence[str]) -> tuple[UndoRow, ...]:
        found: list[UndoRow] = []
        for start in range(0, len(sessions), _A_QUERY):
            part = tuple(sessions[start : start + _A_QUERY])
            marks = ", ".join("?" * len(part))
            rows = self._db.rows(
                f"SELECT document FROM undos WHERE session IN ({marks})",  # noqa: S608 - only marks are put in
                part,
            )
            found += [_read(row[0]) for row in rows]
        return tuple(found)


def _read(document: bytes) -> UndoRow:
    try:
        return _decode(document)
    except msgspec.DecodeError as error:
        raise LedgerError("a stored compensating call does not read back") from error
