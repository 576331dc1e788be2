"""What the desk's figures are made of, on SQLite: how many calls there were, and how long holds took.

What belongs here: one row an hour and agent, counted up with each call, so that a week is read in a few hundred rows; and when holds were
made and answered, as columns that the database computes from their documents, with an index each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from proxy.errors import LedgerError
from proxy.ledger.store import HoldFacts
from proxy.model import HoldState

if TYPE_CHECKING:
    from proxy.ledger.connection import Connection

HOUR_MS = 3_600_000
_KEPT_MS = 9 * 24 * HOUR_MS
"""A week, and what belongs to its first hours."""

COUNTS_DDL: tuple[str, ...] = (
    """CREATE TABLE call_counts (
        hour_ms INTEGER NOT NULL, agent TEXT NOT NULL, calls INTEGER NOT NULL,
        PRIMARY KEY (hour_ms, agent)
    ) STRICT, WITHOUT ROWID""",
    """ALTER TABLE holds ADD COLUMN created_at_ms INTEGER
        AS (json_extract(CAST(document AS TEXT), '$.created_at_ms')) VIRTUAL""",
    """ALTER TABLE holds ADD COLUMN decided_at_ms INTEGER
        AS (json_extract(CAST(document AS TEXT), '$.decided_at_ms')) VIRTUAL""",
    "CREATE INDEX holds_by_creation ON holds (created_at_ms)",
    "CREATE INDEX holds_by_answer ON holds (decided_at_ms) WHERE decided_at_ms IS NOT NULL",
)


class _Rule(msgspec.Struct):
    rule: str
    shadow: bool = False


class _Facts(msgspec.Struct):
    """The few fields of a hold that are asked for; the rest is skipped, not read."""

    agent: str
    name: str
    state: HoldState
    reasons: tuple[_Rule, ...]
    created_at_ms: int
    namespace: str | None = None
    decided_at_ms: int | None = None
    decided_by: str | None = None


_decode = msgspec.json.Decoder(_Facts).decode


class SqliteCounts:
    """The part of a transaction that counts for the desk's figures."""

    _db: Connection
    _hour_ms = 0  # in which it last counted

    def count_call(self, agent: str, now_ms: int) -> None:
        hour_ms = now_ms // HOUR_MS * HOUR_MS
        if hour_ms != self._hour_ms:
            self._hour_ms = hour_ms
            self._db.run("DELETE FROM call_counts WHERE hour_ms < ?", (hour_ms - _KEPT_MS,))
        self._db.run(
            "INSERT INTO call_counts VALUES (?, ?, 1)"
            " ON CONFLICT (hour_ms, agent) DO UPDATE SET calls = calls + 1",
            (hour_ms, agent),
        )

    def calls_since(self, since_ms: int) -> Mapping[str, int]:
        rows = self._db.rows(
            "SELECT agent, sum(calls) FROM call_counts WHERE hour_ms >= ? GROUP BY agent",
            (since_ms,),
        )
        return {agent: int(calls) for agent, calls in rows}

    def counted_since(self) -> int | None:
        first = self._db.rows("SELECT min(hour_ms) FROM call_counts")[0][0]
        return None if first is None else int(first)

    def hold_facts(self, since_ms: int, limit: int = 100_000) -> tuple[HoldFacts, ...]:
        rows = self._db.rows(
            "SELECT document FROM holds WHERE seq IN (SELECT seq FROM holds WHERE created_at_ms >= ?1"
            " UNION SELECT seq FROM holds WHERE decided_at_ms >= ?1) ORDER BY seq DESC LIMIT ?2",
            (since_ms, limit),
        )
        return tuple(_facts(row[0]) for row in rows)

    def pending_holds(self, now_ms: int) -> tuple[int, int | None]:
        row = self._db.rows(
            "SELECT count(*), min(created_at_ms) FROM holds WHERE state = 'pending'"
            " AND state IN ('pending', 'approved') AND expires_at_ms > ?",  # so the index serves
            (now_ms,),
        )[0]
        return int(row[0]), None if row[1] is None else int(row[1])


def _facts(document: bytes) -> HoldFacts:
    try:
        read = _decode(document)
    except msgspec.DecodeError as error:
        raise LedgerError("a stored hold does not read back") from error
    return HoldFacts(
        agent=read.agent,
        name=read.name,
        namespace=read.namespace,
        state=read.state,
        rules=tuple(dict.fromkeys(r.rule for r in read.reasons if not r.shadow)),
        created_at_ms=read.created_at_ms,
        decided_at_ms=read.decided_at_ms,
        decided_by=read.decided_by,
    )
