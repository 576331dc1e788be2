"""A ledger that nobody needs afterwards: SQLite in memory, no file, no sync to disk.

How it works. It is the proxy's own store on another connection: statements, schema, transactions and errors are
the same. The empty database is made once a process and copied from then on, because making its
tables costs more than judging a call.
"""

from __future__ import annotations

import sqlite3
import threading
from functools import cache
from pathlib import Path

from proxy.ledger.connection import Connection
from proxy.ledger.schema import migrate
from proxy.ledger.sqlite import SqliteStore, SqliteTransaction

_NAME = Path("rehearsal")
"""Stands in messages where a real ledger has its file."""

_PRINTS_KEY = b"a rehearsal hides nothing from anybody"
"""The key of fingerprints: a fixed one, so that the same input gives the same answer."""


class _OwnConnection(Connection):
    """A connection to a database of its own, in memory, or in a file without a name."""

    def __init__(self, *, spills: bool) -> None:
        self.path = _NAME
        self.lock = threading.RLock()
        self._lost = False
        if spills:
            self._db = _open("")
            _fill(self._db)
        else:
            self._db = _open(":memory:")
            self._db.deserialize(_empty())


class ThrowawayStore(SqliteStore):
    """A `store.Store` that ends with the process, or earlier."""

    def __init__(self, *, spills: bool = False) -> None:
        """`spills`: it may become large; SQLite then moves what it does not need to a temporary file."""
        self._connection = _OwnConnection(spills=spills)
        self._transaction = SqliteTransaction(self._connection)


def _open(name: str) -> sqlite3.Connection:
    return sqlite3.connect(
        name, isolation_level=None, check_same_thread=False, cached_statements=256
    )


def _fill(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA synchronous = OFF")
    migrate(database, _NAME)
    database.execute("INSERT INTO state_keys VALUES ('prints', ?)", (_PRINTS_KEY,))


@cache
def _empty() -> bytes:
    database = _open(":memory:")
    try:
        _fill(database)
        return database.serialize()
    finally:
        database.close()
