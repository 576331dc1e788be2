"""Signals on SQLite: what is in force and for whom, what was counted, how each conversation began.

What belongs here: four small tables, each read and written by primary key. A row in force is a signal's
name and a scope ("session:…", "agent:…", "human:…", "fleet"); a human's freeze is a row too. Counters
keep the newest times under a key, no more than a rule asks for, and go when the last is too old. A pin is
what a conversation's first request had for a system prompt and tools.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from proxy.ledger.rows import member_text
from proxy.ledger.store import SignalRow

if TYPE_CHECKING:
    from proxy.ledger.connection import Connection

SIGNALS_DDL: tuple[str, ...] = (
    """CREATE TABLE signals (
        scope TEXT NOT NULL, name TEXT NOT NULL,
        actions TEXT NOT NULL, why TEXT NOT NULL, by TEXT NOT NULL,
        at_ms INTEGER NOT NULL, until_ms INTEGER,
        PRIMARY KEY (scope, name)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE signal_counts (
        seq INTEGER PRIMARY KEY,
        scope TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL,
        times TEXT NOT NULL, expires_ms INTEGER NOT NULL,
        UNIQUE (scope, name, key)
    ) STRICT""",
    "CREATE INDEX signal_counts_due ON signal_counts (expires_ms)",
    """CREATE TABLE conversation_pins (
        seq INTEGER PRIMARY KEY,
        session TEXT NOT NULL, agent TEXT NOT NULL, conversation TEXT NOT NULL,
        document TEXT NOT NULL, at_ms INTEGER NOT NULL,
        UNIQUE (session, agent, conversation)
    ) STRICT""",
)

_SWEPT = 8
"""How many rows that are too old go with each count: more than one, so that none pile up."""
_MOST_CONVERSATIONS = 256
"""How many conversations a session may have pinned; the oldest makes room."""


class SqliteSignals:
    """The part of a transaction that knows what signals have set in force."""

    _db: Connection

    def signals_in_force(self, scopes: Sequence[str], now_ms: int) -> tuple[SignalRow, ...]:
        marks = ", ".join("?" * len(scopes))
        rows = self._db.rows(
            "SELECT scope, name, actions, why, by, at_ms, until_ms FROM signals"  # noqa: S608 - only marks are put in
            f" WHERE scope IN ({marks}) AND (until_ms IS NULL OR until_ms > ?)"
            " ORDER BY at_ms, scope, name",
            (*scopes, now_ms),
        )
        return tuple(map(_row, rows))

    def all_signals(self, now_ms: int, limit: int = 1000) -> tuple[SignalRow, ...]:
        rows = self._db.rows(
            "SELECT scope, name, actions, why, by, at_ms, until_ms FROM signals"
            " WHERE until_ms IS NULL OR until_ms > ? ORDER BY at_ms DESC LIMIT ?",
            (now_ms, limit),
        )
        return tuple(map(_row, rows))

    def put_signal(self, row: SignalRow) -> None:
        self._db.run(
            "INSERT OR REPLACE INTO signals VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                row.scope,
                row.name,
                json.dumps(row.actions),
                row.why,
                row.by,
                row.at_ms,
                row.until_ms,
            ),
        )

    def lift_signal(self, scope: str, name: str) -> bool:
        return bool(self._db.run("DELETE FROM signals WHERE scope = ? AND name = ?", (scope, name)))

    def rename_in_signals(self, was: str, name: str) -> None:
        """A budget that a signal in force scales has another name."""
        rows = self._db.rows("SELECT scope, name, actions FROM signals")
        for scope, signal, actions in rows:
            listed = json.loads(actions)
            moved = [[v, name if v == "scale" and on == was else on, f] for v, on, f in listed]
            if moved != listed:
                self._db.run(
                    "UPDATE signals SET actions = ? WHERE scope = ? AND name = ?",
                    (json.dumps(moved), scope, signal),
                )

    # --- counting ----------------------------------------------------------------------------------
    def count_signal(
        self, scope: str, name: str, key: str, now_ms: int, *, within_ms: int, most: int
    ) -> int:
        name_ = (scope, name, member_text(key))
        rows = self._db.rows(
            "SELECT times FROM signal_counts WHERE scope = ? AND name = ? AND key = ?", name_
        )
        kept: list[int] = json.loads(rows[0][0]) if rows else []
        times = [*(at for at in kept if at > now_ms - within_ms), now_ms][-most:]
        self._db.run(
            "INSERT INTO signal_counts (scope, name, key, times, expires_ms) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (scope, name, key) DO UPDATE SET times = excluded.times,"
            " expires_ms = excluded.expires_ms",
            (*name_, json.dumps(times), now_ms + within_ms),
        )
        self._db.run(
            "DELETE FROM signal_counts WHERE seq IN"
            " (SELECT seq FROM signal_counts WHERE expires_ms <= ? LIMIT ?)",
            (now_ms, _SWEPT),
        )
        return len(times)

    def forget_counts(self, scope: str) -> None:
        self._db.run("DELETE FROM signal_counts WHERE scope = ?", (scope,))

    # --- how conversations began ---------------------------------------------------------------------
    def conversation_pin(
        self, session: str, agent: str, conversation: str
    ) -> Mapping[str, object] | None:
        rows = self._db.rows(
            "SELECT document FROM conversation_pins"
            " WHERE session = ? AND agent = ? AND conversation = ?",
            (session, agent, conversation),
        )
        found: dict[str, object] | None = json.loads(rows[0][0]) if rows else None
        return found

    def pin_conversation(
        self,
        session: str,
        agent: str,
        conversation: str,
        document: Mapping[str, object],
        now_ms: int,
    ) -> None:
        self._db.run(
            "INSERT INTO conversation_pins (session, agent, conversation, document, at_ms)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (session, agent, conversation)"
            " DO UPDATE SET document = excluded.document, at_ms = excluded.at_ms",
            (session, agent, conversation, json.dumps(document), now_ms),
        )
        self._db.run(
            "DELETE FROM conversation_pins WHERE session = ? AND seq <= (SELECT seq FROM"
            " conversation_pins WHERE session = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)",
            (session, session, _MOST_CONVERSATIONS),
        )

    def agent_of(self, session: str) -> str | None:
        rows = self._db.rows("SELECT agent FROM sessions WHERE id = ?", (session,))
        return str(rows[0][0]) if rows else None


def _row(row: Sequence[str | int | None]) -> SignalRow:
    scope, name, actions, why, by, at_ms, until_ms = row
    listed = tuple(
        (str(verb), str(on), str(factor)) for verb, on, factor in json.loads(str(actions))
    )
    return SignalRow(
        scope=str(scope),
        name=str(name),
        actions=listed,
        why=str(why),
        by=str(by),
        at_ms=int(at_ms or 0),
        until_ms=None if until_ms is None else int(until_ms),
    )
