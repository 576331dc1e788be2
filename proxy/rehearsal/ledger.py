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


class _MemoryConnection(Connection):
    """A connection to a database of its own, in memory."""

    def __init__(self) -> None:
        self.path = _NAME
        self.lock = threading.RLock()
        self._lost = False
        self._db = _open()
        self._db.deserialize(_empty())


class ThrowawayStore(SqliteStore):
    """A `store.Store` that ends with the process, or earlier."""

    def __init__(self) -> None:
        self._connection = _MemoryConnection()
        self._transaction = SqliteTransaction(self._connection)


def _open() -> sqlite3.Connection:
    return sqlite3.connect(
        ":memory:", isolation_level=None, check_same_thread=False, cached_statements=256
    )


@cache
def _empty() -> bytes:
    database = _open()
    try:
        migrate(database, _NAME)
        database.execute("INSERT INTO state_keys VALUES ('prints', ?)", (_PRINTS_KEY,))
        return database.serialize()
    finally:
        database.close()
