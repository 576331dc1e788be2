"""Grants on SQLite: one row each, found by the account that may use it.

What belongs here: a table with the few columns that are asked for, and the grant as a document. A grant that has ended stays, for
people to look at; what is asked with every call is only those in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from proxy.errors import LedgerError
from proxy.model import Grant

if TYPE_CHECKING:
    from proxy.ledger.connection import Connection

GRANTS_DDL: tuple[str, ...] = (
    """CREATE TABLE grants (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        scope TEXT NOT NULL, ends_at_ms INTEGER NOT NULL,
        document BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX grants_in_force ON grants (scope, ends_at_ms)",
)

_decode = msgspec.json.Decoder(Grant).decode
_encode = msgspec.json.Encoder(decimal_format="string").encode


class SqliteGrants:
    """The part of a transaction that knows what humans have granted."""

    _db: Connection

    def put_grant(self, grant: Grant) -> None:
        ends_ms = grant.expires_at_ms
        if grant.revoked_at_ms is not None:
            ends_ms = min(ends_ms, grant.revoked_at_ms)
        self._db.run(
            "INSERT INTO grants (id, scope, ends_at_ms, document) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET ends_at_ms = excluded.ends_at_ms,"
            " document = excluded.document",
            (grant.id, grant.scope, ends_ms, _encode(grant)),
        )

    def grants_in_force(self, scopes: Sequence[str], now_ms: int) -> tuple[Grant, ...]:
        marks = ", ".join("?" * len(scopes))
        rows = self._db.rows(
            "SELECT document FROM grants"  # noqa: S608 - only marks are put in
            f" WHERE scope IN ({marks}) AND ends_at_ms > ? ORDER BY seq",
            (*scopes, now_ms),
        )
        return tuple(_grant(row[0]) for row in rows)

    def grant(self, grant_id: str) -> Grant | None:
        for row in self._db.rows("SELECT document FROM grants WHERE id = ?", (grant_id,)):
            return _grant(row[0])
        return None

    def grants(self, limit: int = 1000) -> tuple[Grant, ...]:
        rows = self._db.rows("SELECT document FROM grants ORDER BY seq DESC LIMIT ?", (limit,))
        return tuple(_grant(row[0]) for row in rows)


def _grant(document: bytes) -> Grant:
    try:
        return _decode(document)
    except msgspec.DecodeError as error:
        raise LedgerError("a stored grant does not read back") from error
