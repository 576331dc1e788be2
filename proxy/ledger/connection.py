"""One SQLite connection whose errors are ours.

What belongs here: opening the file safely, running statements, and the rule that a transaction
that SQLite rolled back by itself (disk full, I/O error) takes no further statement: without it,
each would be a small transaction of its own and half a call would be booked.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proxy.errors import LedgerError
from proxy.ledger.schema import migrate

type Value = str | int | bytes | None


class Connection:
    """A connection in explicit transactions; one thread at a time."""

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._lost = False
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made here first: SQLite would make it (and -wal and -shm after it) world-readable.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(
                path,
                timeout=busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"{path}: the ledger cannot be opened: {error}") from error
        try:
            self._into_wal(busy_timeout_s)
            self._db.execute("PRAGMA synchronous = FULL")
            migrate(self._db, path)
        except sqlite3.Error as error:
            self._db.close()
            raise LedgerError(f"{path}: the ledger cannot be opened: {_text(error)}") from error
        except LedgerError:
            self._db.close()
            raise

    def _into_wal(self, busy_timeout_s: float) -> None:
        """Switches a new file to WAL: two that do so at once get SQLITE_BUSY without any waiting."""
        give_up = time.monotonic() + busy_timeout_s
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() >= give_up:
                    raise
                time.sleep(0.01)
            else:
                return

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        if self._lost:
            raise self._is_lost()
        try:
            return self._db.execute(sql, values).fetchall()
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise self._failed(error) from error

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Runs a writing statement; returns how many rows it touched."""
        if self._lost:
            raise self._is_lost()
        try:
            return self._db.execute(sql, values).rowcount
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise self._failed(error) from error

    def begin(self) -> None:
        if self._db.in_transaction:
            raise LedgerError(f"{self.path}: a transaction is open already; they do not nest")
        self._lost = False
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: {_text(error)}") from error

    def commit(self) -> None:
        self.run("COMMIT")

    def rollback(self) -> None:
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise LedgerError(f"{self.path}: {_text(error)}") from error

    def close(self) -> None:
        with self.lock:
            try:
                self._db.close()
            except sqlite3.Error as error:
                raise LedgerError(f"{self.path}: {_text(error)}") from error

    def _failed(self, error: Exception) -> LedgerError:
        if not self._db.in_transaction:
            self._lost = True
        if isinstance(error, sqlite3.Error):
            return LedgerError(f"{self.path}: {_text(error)}")
        # Not the error's own text: it may quote the value.
        return LedgerError(f"{self.path}: a value cannot be stored ({type(error).__name__})")

    def _is_lost(self) -> LedgerError:
        return LedgerError(f"{self.path}: the transaction was rolled back by the database")


def _text(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", None)
    return f"{error} ({name})" if name else str(error)
