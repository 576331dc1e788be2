"""The databases that the tool APIs of the scenarios keep their data in: SQLite, or PostgreSQL.

What belongs here: two statements, `run` and `rows`, with the same SQL on both. Parameters are written
`:name`. PostgreSQL is spoken to through `psql`, one process a statement: nothing has to be installed
beside the server, and a value can only ever be a quoted literal (`:'name'`).
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import threading
from pathlib import Path
from typing import Any, Protocol

type Row = dict[str, Any]

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


class Database(Protocol):
    """What a tool API needs of its database."""

    def run(self, statement: str, **values: object) -> None:
        """Runs statements that return nothing."""

    def rows(self, statement: str, **values: object) -> list[Row]:
        """Runs a query."""

    def close(self) -> None: ...


class SqliteDatabase:
    """A file of its own."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, autocommit=True)
        self._connection.row_factory = sqlite3.Row
        self._lock = threading.Lock()

    def run(self, statement: str, **values: object) -> None:
        with self._lock:
            if values:
                self._connection.execute(statement, values)
            else:
                self._connection.executescript(statement)

    def rows(self, statement: str, **values: object) -> list[Row]:
        with self._lock:
            return [dict(row) for row in self._connection.execute(statement, values)]

    def close(self) -> None:
        self._connection.close()


class PostgresDatabase:
    """A database of a running cluster, by `psql`."""

    def __init__(self, psql: Path, options: tuple[str, ...]) -> None:
        self._argv = [str(psql), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]
        self._argv += ["--set", "ON_ERROR_STOP=1", *options]

    def run(self, statement: str, **values: object) -> None:
        self._ask(statement, values)

    def rows(self, statement: str, **values: object) -> list[Row]:
        # The statement is the API's own text; what a request says comes in as parameters alone.
        told = self._ask(f"SELECT coalesce(json_agg(r), '[]') FROM ({statement}) r", values)  # noqa: S608
        made: list[Row] = json.loads(told)
        return made

    def close(self) -> None:
        """Nothing is kept open between statements."""

    def _ask(self, statement: str, values: dict[str, object]) -> str:
        settings = [part for k, v in values.items() for part in ("--set", f"{k}={v}")]
        done = subprocess.run(
            [*self._argv, *settings],
            input=_PARAMETER.sub(r":'\1'", statement) + ";\n",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"psql: {done.stderr.strip()}")
        return done.stdout
