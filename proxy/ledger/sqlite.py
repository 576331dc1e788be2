"""The ledger in one SQLite file: decisions, holds, memory of refused responses, sessions.

How it works. WAL with synchronous=FULL, so that a commit survives a power cut; BEGIN IMMEDIATE, so
that what a transaction reads cannot change under it, in this process or another. The adding up is
in `account.py`. Any failure is a `LedgerError`, on which the call is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from proxy.errors import LedgerError
from proxy.ledger.account import SqliteAccount
from proxy.ledger.connection import Connection
from proxy.ledger.counts import SqliteCounts
from proxy.ledger.grants import SqliteGrants
from proxy.ledger.outbox import SqliteOutbox
from proxy.ledger.rows import hold_documents, hold_from, hold_name
from proxy.ledger.signals import SqliteSignals
from proxy.ledger.sources import SqliteSources
from proxy.ledger.store import Credential, PastDecision, SessionSummary
from proxy.ledger.story import SqliteStory
from proxy.ledger.undo import SqliteUndo
from proxy.model import Hold, HoldState, Identity, Verdict

_KEYS_A_QUERY = 500  # below SQLite's limit on host parameters, whatever it was built with

_COUNT_CALL = (
    "UPDATE sessions SET last_seen_ms = max(last_seen_ms, ?), calls = calls + ?, held = held + ?,"
    " blocked = blocked + ? WHERE id = ?"
)


_ELSEWHERE = 32
"""How many sessions an agent's same call is looked for in: all of them wait for one answer."""


class SqliteTransaction(
    SqliteAccount,
    SqliteStory,
    SqliteSources,
    SqliteSignals,
    SqliteGrants,
    SqliteOutbox,
    SqliteCounts,
    SqliteUndo,
):
    """All reads and writes of `store.Transaction`."""

    def __init__(self, db: Connection) -> None:
        SqliteAccount.__init__(self, db)
        SqliteSources.__init__(self, db)

    def rename_budget(self, was: str, name: str) -> bool:
        self.rename_in_signals(was, name)
        return self.move_budget(was, name)

    def state_key(self, name: str) -> bytes:
        self._db.run(
            "INSERT OR IGNORE INTO state_keys VALUES (?, ?)", (name, secrets.token_bytes(32))
        )
        rows = self._db.rows("SELECT key FROM state_keys WHERE name = ?", (name,))
        return bytes(rows[0][0])

    # --- decisions ---------------------------------------------------------------------------
    def past_decision(self, key: str) -> PastDecision | None:
        for row in self._db.rows(
            "SELECT key, verdict, hold_id, at_ms FROM decisions WHERE key = ?", (key,)
        ):
            return PastDecision(row[0], Verdict(row[1]), row[2], row[3])
        return None

    def record_decision(
        self,
        key: str,
        identity: Identity,
        verdict: Verdict,
        hold_id: str | None,
        now_ms: int,
        *,
        before: PastDecision | None,
    ) -> None:
        self._db.run(
            "INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?)",
            (key, int(verdict), hold_id, now_ms),
        )
        changed = before is None or before.verdict is not verdict
        counts = (
            now_ms,
            int(before is None),
            int(changed and verdict is Verdict.HOLD),
            int(changed and verdict is Verdict.BLOCK),
            identity.session,
        )
        if not self._db.run(_COUNT_CALL, counts):
            self._touch(identity, now_ms)
            self._db.run(_COUNT_CALL, counts)

    # --- holds -------------------------------------------------------------------------------
    def add_hold(self, hold: Hold) -> None:
        self._db.run(
            "INSERT INTO holds (id, state, session, agent, name, args_sha256, expires_at_ms,"
            " document, arguments) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                hold.id,
                hold.state.value,
                hold.session,
                hold.agent,
                hold_name(hold.name, hold.namespace),
                hold.args_sha256,
                hold.expires_at_ms,
                *hold_documents(hold),
            ),
        )

    def put_hold(self, hold: Hold) -> None:
        touched = self._db.run(
            "UPDATE holds SET state = ?, expires_at_ms = ?, document = ?, arguments = ?"
            " WHERE id = ?",
            (hold.state.value, hold.expires_at_ms, *hold_documents(hold), hold.id),
        )
        if not touched:
            raise LedgerError(f"hold {hold.id}: not in this ledger")

    def hold(self, hold_id: str) -> Hold | None:
        return self._first_hold("WHERE id = ?", (hold_id,))

    def holds(self, states: Sequence[HoldState] = (), limit: int = 1000) -> tuple[Hold, ...]:
        wanted = tuple(state.value for state in states or HoldState)
        return self._holds(
            f"WHERE state IN ({_marks(wanted)}) ORDER BY seq DESC LIMIT ?", (*wanted, limit)
        )

    def waiting_holds(self, *, limit: int, skip: int = 0) -> tuple[tuple[Hold, ...], int]:
        count = self._db.rows("SELECT count(*) FROM holds WHERE state = 'pending'")[0][0]
        held = self._holds("WHERE state = 'pending' ORDER BY seq LIMIT ? OFFSET ?", (limit, skip))
        return held, int(count)

    def hold_before(self, hold: Hold) -> Hold | None:
        return self._first_hold(
            "WHERE agent = ? AND name = ? AND seq < (SELECT seq FROM holds WHERE id = ?)"
            " ORDER BY seq DESC LIMIT 1",
            (hold.agent, hold_name(hold.name, hold.namespace), hold.id),
        )

    def open_hold_for(
        self,
        *,
        session: str,
        name: str,
        args_sha256: str,
        now_ms: int,
        namespace: str | None = None,
    ) -> Hold | None:
        return self._first_hold(
            "WHERE session = ? AND args_sha256 = ? AND name = ? AND expires_at_ms > ?"
            " AND state IN ('pending', 'approved') ORDER BY state = 'approved' DESC, seq DESC"
            " LIMIT 1",
            (session, args_sha256, hold_name(name, namespace), now_ms),
        )

    def open_holds_of_agent(
        self,
        *,
        agent: str,
        name: str,
        args_sha256: str,
        now_ms: int,
        namespace: str | None = None,
    ) -> tuple[Hold, ...]:
        return self._holds(
            "WHERE agent = ? AND args_sha256 = ? AND name = ? AND expires_at_ms > ?"
            " AND state IN ('pending', 'approved') ORDER BY state = 'approved' DESC, seq DESC"
            " LIMIT ?",
            (agent, args_sha256, hold_name(name, namespace), now_ms, _ELSEWHERE),
        )

    def due_holds(self, now_ms: int) -> tuple[Hold, ...]:
        return self._holds(
            "WHERE state IN ('pending', 'approved') AND expires_at_ms <= ? ORDER BY expires_at_ms",
            (now_ms,),
        )

    def _first_hold(self, where: str, values: Sequence[str | int]) -> Hold | None:
        return next(iter(self._holds(where, values)), None)

    def _holds(self, where: str, values: Sequence[str | int]) -> tuple[Hold, ...]:
        rows = self._db.rows(f"SELECT document, arguments FROM holds {where}", values)  # noqa: S608 - `where` is a constant of this class
        return tuple(hold_from(document, arguments) for document, arguments in rows)

    # --- memory of refused responses -----------------------------------------------------------
    def remember(
        self, *, ref: str, provider: str, keys: Sequence[str], document: bytes, now_ms: int
    ) -> None:
        self._db.run(
            "INSERT INTO memories (ref, provider, document, at_ms) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET provider = excluded.provider,"
            " document = excluded.document, at_ms = excluded.at_ms",
            (ref, provider, document, now_ms),
        )
        for key in keys:
            self._db.run("INSERT OR IGNORE INTO memory_keys VALUES (?, ?, ?)", (provider, key, ref))

    def recall(self, provider: str, keys: Sequence[str]) -> tuple[tuple[str, bytes], ...]:
        found: dict[int, tuple[str, bytes]] = {}
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), _KEYS_A_QUERY):
            part = wanted[start : start + _KEYS_A_QUERY]
            for seq, ref, document in self._db.rows(
                "SELECT DISTINCT m.seq, m.ref, m.document FROM memory_keys k"  # noqa: S608 - only marks are put in
                " JOIN memories m ON m.ref = k.ref"
                f" WHERE k.provider = ? AND k.key IN ({_marks(part)})",
                (provider, *part),
            ):
                found[seq] = (ref, document)
        return tuple(found[seq] for seq in sorted(found))

    def memory_keys(self, provider: str) -> frozenset[str]:
        rows = self._db.rows("SELECT key FROM memory_keys WHERE provider = ?", (provider,))
        return frozenset(row[0] for row in rows)

    def forget_key(self, provider: str, key: str) -> None:
        self._db.run("DELETE FROM memory_keys WHERE provider = ? AND key = ?", (provider, key))

    # --- tool definitions ----------------------------------------------------------------------
    def tool_pins(self, server: str) -> dict[str, tuple[str, bytes]]:
        rows = self._db.rows(
            "SELECT tool, digest, document FROM tool_pins WHERE server = ?", (server,)
        )
        return {tool: (digest, document) for tool, digest, document in rows}

    def pin_tool(self, server: str, tool: str, digest: str, document: bytes, now_ms: int) -> None:
        self._db.run(
            "INSERT OR REPLACE INTO tool_pins VALUES (?, ?, ?, ?, ?)",
            (server, tool, digest, document, now_ms),
        )

    def unpin_tool(self, server: str, tool: str) -> None:
        self._db.run("DELETE FROM tool_pins WHERE server = ? AND tool = ?", (server, tool))

    # --- sessions and identity -----------------------------------------------------------------
    def see_session(self, identity: Identity, now_ms: int) -> bool:
        return self._touch(identity, now_ms)

    def _touch(self, identity: Identity, now_ms: int) -> bool:
        seen = self._db.run(
            "UPDATE sessions SET last_seen_ms = max(last_seen_ms, ?) WHERE id = ?",
            (now_ms, identity.session),
        )
        if seen:
            return False
        parent = identity.parent
        if parent is not None and self._db.rows(
            "SELECT 1 FROM sessions WHERE parent = ? LIMIT 1", (identity.session,)
        ):
            parent = None  # a root already: its family's past must not move under another name
        self._db.run(
            "INSERT INTO sessions (id, agent, trust, parent, first_seen_ms, last_seen_ms)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                identity.session,
                identity.agent,
                identity.session_trust.label,
                parent,
                now_ms,
                now_ms,
            ),
        )
        return True

    def sessions(self, limit: int = 1000) -> tuple[SessionSummary, ...]:
        rows = self._db.rows(
            "SELECT id, agent, trust, parent, first_seen_ms, last_seen_ms, calls, held, blocked"
            " FROM sessions ORDER BY last_seen_ms DESC, id LIMIT ?",
            (limit,),
        )
        return tuple(SessionSummary(*row) for row in rows)

    def link(self, key: str, session: str, now_ms: int) -> None:
        """The first link stands: an id that was handed to one session is not taken by another."""
        self._db.run("INSERT OR IGNORE INTO links VALUES (?, ?, ?)", (key, session, now_ms))

    def linked_session(self, key: str) -> str | None:
        for row in self._db.rows("SELECT session FROM links WHERE key = ?", (key,)):
            return str(row[0])
        return None

    def add_credential(self, credential: Credential) -> None:
        self._db.run(
            "INSERT INTO credentials VALUES (?, ?, ?, ?, ?, ?)",
            (
                credential.token_sha256,
                credential.session,
                credential.agent,
                credential.created_at_ms,
                credential.expires_at_ms,
                credential.human,
            ),
        )

    def credential(self, token_sha256: str, now_ms: int) -> Credential | None:
        for row in self._db.rows(
            "SELECT token_sha256, session, agent, created_at_ms, expires_at_ms, human"
            " FROM credentials"
            " WHERE token_sha256 = ? AND (expires_at_ms IS NULL OR expires_at_ms > ?)",
            (token_sha256, now_ms),
        ):
            return Credential(*row)
        return None


class SqliteStore:
    """A `store.Store` over one file; threads take turns, processes wait for the write lock."""

    def __init__(self, path: Path, *, busy_timeout_s: float = 5.0) -> None:
        """Opens the file, making it (mode 0600) and its schema where they are missing.

        Raises:
            LedgerError: it cannot be opened, or a newer version wrote it.
        """
        self._connection = Connection(path, busy_timeout_s)
        self._transaction = SqliteTransaction(self._connection)

    @contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        connection = self._connection
        with connection.lock:
            connection.begin()
            try:
                yield self._transaction
                connection.commit()
            except BaseException:
                with suppress(LedgerError):  # the first error tells more
                    connection.rollback()
                raise

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        connection = self._connection
        connection.run("SAVEPOINT job")
        try:
            yield
        except BaseException:
            connection.run("ROLLBACK TO job")
            connection.run("RELEASE job")
            raise
        connection.run("RELEASE job")

    def close(self) -> None:
        self._connection.close()


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
