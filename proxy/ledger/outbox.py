"""The outbox on SQLite: what is to be told to people and other systems, until it has been.

What belongs here: a row for each delivery, written in the transaction of what it tells, and marked when it was sent. A lane is what is
sent in one order: one notice's target, or one webhook. Who sends takes the lane for a short time, so that of two proxies on one ledger
one sends; a lane whose holder died is free when that time is over. A row that was not marked is sent again, under the same id.

Links are here too: a link that was opened leaves its digest, and opens no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.ledger.store import OutboxRow

if TYPE_CHECKING:
    from proxy.ledger.connection import Connection

OUTBOX_DDL: tuple[str, ...] = (
    """CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        lane TEXT NOT NULL, event TEXT NOT NULL, hold_id TEXT, body BLOB NOT NULL,
        created_at_ms INTEGER NOT NULL, next_at_ms INTEGER NOT NULL,
        state TEXT NOT NULL, attempts INTEGER NOT NULL, error TEXT, done_at_ms INTEGER
    ) STRICT""",
    "CREATE INDEX outbox_waiting ON outbox (lane, next_at_ms) WHERE state = 'waiting'",
    "CREATE INDEX outbox_done ON outbox (done_at_ms) WHERE done_at_ms IS NOT NULL",
    """CREATE TABLE outbox_lanes (
        lane TEXT PRIMARY KEY, holder TEXT NOT NULL, until_ms INTEGER NOT NULL,
        sent_at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE used_links (
        digest TEXT PRIMARY KEY, used_at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX used_links_by_time ON used_links (used_at_ms)",
)

_COLUMNS = (
    "id, lane, event, created_at_ms, next_at_ms, hold_id, body, state, attempts, error, done_at_ms"
)
_WAITING = "waiting"
_LINKS_KEPT_MS = 30 * 86_400_000
"""Longer than any link lasts."""


class SqliteOutbox:
    """The part of a transaction that knows what is still to be told."""

    _db: Connection

    def put_outbox(self, row: OutboxRow) -> None:
        self._db.run(
            f"INSERT INTO outbox ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a constant
            (
                row.id,
                row.lane,
                row.event,
                row.created_at_ms,
                row.next_at_ms,
                row.hold_id,
                row.body,
                row.state,
                row.attempts,
                row.error,
                row.done_at_ms,
            ),
        )

    def due_lanes(self, now_ms: int) -> frozenset[str]:
        rows = self._db.rows(
            "SELECT DISTINCT lane FROM outbox WHERE state = 'waiting' AND next_at_ms <= ?",
            (now_ms,),
        )
        return frozenset(row[0] for row in rows)

    def due_outbox(
        self, lane: str, now_ms: int, limit: int, *, in_order: bool = False
    ) -> tuple[OutboxRow, ...]:
        last: int | None = None
        if in_order:
            blocked = "SELECT min(seq) FROM outbox WHERE lane = ? AND state = 'waiting' AND next_at_ms > ?"
            last = self._db.rows(blocked, (lane, now_ms))[0][0]
        rows = self._db.rows(
            f"SELECT {_COLUMNS} FROM outbox WHERE lane = ? AND state = 'waiting' AND next_at_ms <= ?"  # noqa: S608 - a constant
            " AND seq < ? ORDER BY seq LIMIT ?",
            (lane, now_ms, 2**63 - 1 if last is None else last, limit),
        )
        return tuple(OutboxRow(*row) for row in rows)

    def outbox(self, states: Sequence[str], limit: int = 1000) -> tuple[OutboxRow, ...]:
        marks = ", ".join("?" * len(states))
        rows = self._db.rows(
            f"SELECT {_COLUMNS} FROM outbox WHERE state IN ({marks}) ORDER BY seq DESC LIMIT ?",  # noqa: S608 - only marks are put in
            (*states, limit),
        )
        return tuple(OutboxRow(*row) for row in rows)

    def mark_outbox(
        self, id: str, state: str, at_ms: int, error: str | None = None, *, tried: bool = True
    ) -> None:
        waits = state == _WAITING
        self._db.run(
            "UPDATE outbox SET state = ?, next_at_ms = CASE WHEN ? THEN ? ELSE next_at_ms END,"
            " done_at_ms = ?, attempts = attempts + ?, error = coalesce(?, error)"
            " WHERE id = ? AND state = 'waiting'",
            (state, int(waits), at_ms, None if waits else at_ms, int(tried), error, id),
        )

    def take_lane(self, lane: str, holder: str, now_ms: int, until_ms: int) -> int | None:
        taken = self._db.run(
            "INSERT INTO outbox_lanes VALUES (?, ?, ?, 0) ON CONFLICT (lane) DO UPDATE"
            " SET holder = excluded.holder, until_ms = excluded.until_ms"
            " WHERE holder = excluded.holder OR until_ms <= ?",
            (lane, holder, until_ms, now_ms),
        )
        if not taken:
            return None
        rows = self._db.rows("SELECT sent_at_ms FROM outbox_lanes WHERE lane = ?", (lane,))
        return int(rows[0][0])

    def leave_lane(self, lane: str, holder: str, sent_at_ms: int | None = None) -> None:
        self._db.run(
            "UPDATE outbox_lanes SET until_ms = 0, sent_at_ms = coalesce(?, sent_at_ms)"
            " WHERE lane = ? AND holder = ?",
            (sent_at_ms, lane, holder),
        )

    def forget_outbox(self, before_ms: int) -> None:
        self._db.run("DELETE FROM outbox WHERE done_at_ms < ?", (before_ms,))

    def use_link(self, digest: str, now_ms: int) -> bool:
        before_ms = now_ms - _LINKS_KEPT_MS
        self._db.run("DELETE FROM used_links WHERE used_at_ms < ?", (before_ms,))
        return bool(
            self._db.run("INSERT OR IGNORE INTO used_links VALUES (?, ?)", (digest, now_ms))
        )
