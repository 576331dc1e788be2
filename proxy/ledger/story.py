"""What a family of sessions has met, on SQLite: the past that chains, origins and preconditions ask for.

What belongs here: released calls (so that a result finds its call), one small document a family (what was
seen), chains' positions, evidence, targets met before, human checkpoints. Every question is one look-up by
primary key, so that what a call costs does not grow with its session. A family is named by its root session.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from proxy.errors import LedgerError
from proxy.ledger.rows import member_text
from proxy.ledger.store import ChainPosition, EvidenceRow, Released, StoryDocument, Words
from proxy.model import Side

if TYPE_CHECKING:
    from proxy.ledger.connection import Connection

STORY_DDL: tuple[str, ...] = (
    """CREATE TABLE released (
        seq INTEGER PRIMARY KEY,
        call_key TEXT NOT NULL UNIQUE,
        family TEXT NOT NULL, session TEXT NOT NULL, agent TEXT NOT NULL,
        call_id TEXT NOT NULL, args_sha256 TEXT NOT NULL,
        tool TEXT NOT NULL, side TEXT NOT NULL, effects TEXT NOT NULL,
        at_ms INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX released_by_call ON released (session, call_id)",
    """CREATE TABLE stories (
        family TEXT PRIMARY KEY, document BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE words (
        family TEXT PRIMARY KEY, said TEXT NOT NULL, seen TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE told (
        family TEXT NOT NULL, digest TEXT NOT NULL, call_no INTEGER NOT NULL,
        PRIMARY KEY (family, digest)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX told_by_call ON told (family, call_no)",
    """CREATE TABLE targets (
        agent TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, at_ms INTEGER NOT NULL,
        PRIMARY KEY (agent, kind, target)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE chain_positions (
        chain TEXT NOT NULL, scope TEXT NOT NULL, key TEXT NOT NULL, position INTEGER NOT NULL,
        started_ms INTEGER NOT NULL, at_ms INTEGER NOT NULL, via TEXT NOT NULL,
        call_key TEXT NOT NULL,
        PRIMARY KEY (chain, scope, key, position)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE evidence (
        family TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL,
        call_key TEXT NOT NULL, tool TEXT NOT NULL, side TEXT NOT NULL,
        is_error INTEGER NOT NULL, body TEXT NOT NULL,
        called_ms INTEGER NOT NULL, at_ms INTEGER NOT NULL,
        PRIMARY KEY (family, kind, target)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE checkpoints (
        scope TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, by TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(StoryDocument).decode
_SWEEP_CALLS = 32
"""What is too old is thrown out now and then, not with every call."""
_ANY_TARGET = ""
"""A target's row that stands for the newest of all; no real target is empty."""


class SqliteStory:
    """The part of a transaction that remembers."""

    _db: Connection

    # --- families --------------------------------------------------------------------------------
    def family_of(self, session: str, parent: str | None) -> str:
        """Returns the root of a session: its parent's parent's …."""
        return (session, *self.ancestors_of(session, parent))[-1]

    def ancestors_of(self, session: str, parent: str | None) -> tuple[str, ...]:
        """Returns a session's parent, the parent's parent …; a ring ends where it began.

        `parent` is what a request claims: it counts until the session is noted, and never again. A
        session that could name another parent later would leave its past behind.
        """
        rows = self._db.rows("SELECT parent FROM sessions WHERE id = ?", (session,))
        at = rows[0][0] if rows else parent
        found: list[str] = []
        while at is not None and at != session and at not in found and len(found) < 32:
            found.append(at)
            at = self.parent_of(at)
        return tuple(found)

    def is_run(self, session: str) -> bool:
        query = "SELECT 1 FROM credentials WHERE session = ? LIMIT 1"
        return bool(self._db.rows(query, (session,)))

    def parent_of(self, session: str) -> str | None:
        rows = self._db.rows("SELECT parent FROM sessions WHERE id = ?", (session,))
        return rows[0][0] if rows else None

    def story(self, family: str) -> StoryDocument:
        for row in self._db.rows("SELECT document FROM stories WHERE family = ?", (family,)):
            try:
                return _decode(row[0])
            except msgspec.DecodeError as error:
                raise LedgerError(f"session {family}: its story does not read back") from error
        return StoryDocument()

    def put_story(self, family: str, story: StoryDocument) -> None:
        self._db.run("INSERT OR REPLACE INTO stories VALUES (?, ?)", (family, _encode(story)))

    # --- what is said --------------------------------------------------------------------------------
    def words(self, family: str) -> Words:
        for row in self._db.rows("SELECT said, seen FROM words WHERE family = ?", (family,)):
            return Words(row[0], tuple(row[1].split()))
        return Words()

    def put_words(self, family: str, words: Words) -> None:
        self._db.run(
            "INSERT OR REPLACE INTO words VALUES (?, ?, ?)",
            (family, words.text, " ".join(words.seen)),
        )

    def note_told(self, family: str, digests: Sequence[str], call_no: int, *, most: int) -> None:
        for digest in digests:
            self._db.run("INSERT OR REPLACE INTO told VALUES (?, ?, ?)", (family, digest, call_no))
        self._db.run("DELETE FROM told WHERE family = ? AND call_no <= ?", (family, call_no - most))

    def told_among(self, family: str, digests: Sequence[str]) -> frozenset[str]:
        found = (
            self._db.rows("SELECT 1 FROM told WHERE family = ? AND digest = ?", (family, digest))
            for digest in digests
        )
        return frozenset(d for d, rows in zip(digests, found, strict=True) if rows)

    # --- calls that were let through ---------------------------------------------------------------
    def note_released(self, released: Released) -> None:
        self._db.run(
            "INSERT OR IGNORE INTO released (call_key, family, session, agent, call_id, args_sha256,"
            " tool, side, effects, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                released.call_key,
                released.family,
                released.session,
                released.agent,
                released.call_id,
                released.args_sha256,
                released.tool,
                released.side.value,
                json.dumps(released.effects),
                released.at_ms,
            ),
        )

    def released_calls(
        self, *, session: str, agent: str, call_id: str, args_sha256: str | None = None
    ) -> tuple[Released, ...]:
        rows = self._db.rows(
            f"SELECT {_RELEASED} FROM released WHERE session = ? AND call_id = ? AND agent = ?"  # noqa: S608 - a constant list of columns
            " AND (? IS NULL OR args_sha256 = ?) ORDER BY seq",
            (session, call_id, agent, args_sha256, args_sha256),
        )
        return tuple(map(_released, rows))

    def released_call(self, call_key: str) -> Released | None:
        rows = self._db.rows(
            f"SELECT {_RELEASED} FROM released WHERE call_key = ?",  # noqa: S608 - as above
            (call_key,),
        )
        return _released(rows[0]) if rows else None

    # --- targets -----------------------------------------------------------------------------------
    def knows_target(self, agent: str, kind: str, target: str) -> bool:
        key = (agent, kind, member_text(target))
        return bool(
            self._db.rows("SELECT 1 FROM targets WHERE agent = ? AND kind = ? AND target = ?", key)
        )

    def note_target(self, agent: str, kind: str, target: str, now_ms: int) -> None:
        self._db.run(
            "INSERT OR IGNORE INTO targets VALUES (?, ?, ?, ?)",
            (agent, kind, member_text(target), now_ms),
        )

    # --- chains ------------------------------------------------------------------------------------
    def chain_positions(self, chain: str, scope: str, key: str) -> tuple[ChainPosition, ...]:
        rows = self._db.rows(
            "SELECT position, started_ms, at_ms, via, call_key FROM chain_positions"
            " WHERE chain = ? AND scope = ? AND key = ? ORDER BY position",
            (chain, scope, member_text(key)),
        )
        return tuple(ChainPosition(r[0], r[1], r[2], tuple(json.loads(r[3])), r[4]) for r in rows)

    def put_chain_positions(
        self, chain: str, scope: str, key: str, positions: Sequence[ChainPosition]
    ) -> None:
        name = (chain, scope, member_text(key))
        self._db.run("DELETE FROM chain_positions WHERE chain = ? AND scope = ? AND key = ?", name)
        for p in positions:
            self._db.run(
                "INSERT INTO chain_positions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*name, p.index, p.started_ms, p.at_ms, json.dumps(p.via), p.by),
            )

    # --- evidence ----------------------------------------------------------------------------------
    def put_evidence(self, family: str, row: EvidenceRow) -> None:
        """Keeps the newest result of a kind and target, and of the kind on any target.

        A history is the agent's own word: what it says of a call never replaces what a tool's side
        has shown since that call was made, nor what it said of this call or a later one before.
        """
        for target in (row.target, _ANY_TARGET) if row.target else (_ANY_TARGET,):
            self._db.run(
                "INSERT INTO evidence VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (family, kind, target) DO UPDATE SET call_key = excluded.call_key,"
                " tool = excluded.tool, side = excluded.side, is_error = excluded.is_error,"
                " body = excluded.body, called_ms = excluded.called_ms, at_ms = excluded.at_ms"
                " WHERE excluded.side <> 'model' OR (evidence.side = 'model'"
                " AND evidence.call_key <> excluded.call_key"
                " AND evidence.called_ms <= excluded.called_ms)"
                " OR evidence.at_ms < excluded.called_ms",
                (
                    family,
                    row.kind,
                    member_text(target),
                    row.call_key,
                    row.tool,
                    row.side.value,
                    int(row.is_error),
                    row.text,
                    row.called_ms,
                    row.at_ms,
                ),
            )

    def evidence(self, family: str, kind: str, target: str | None) -> EvidenceRow | None:
        rows = self._db.rows(
            "SELECT kind, call_key, tool, side, is_error, body, called_ms, at_ms FROM evidence"
            " WHERE family = ? AND kind = ? AND target = ?",
            (family, kind, member_text(target) if target is not None else _ANY_TARGET),
        )
        for kind_, call_key, tool, side, is_error, text, called_ms, at_ms in rows:
            return EvidenceRow(
                kind_,
                target or "",
                call_key,
                tool,
                Side(side),
                bool(is_error),
                text,
                called_ms,
                at_ms,
            )
        return None

    # --- checkpoints ---------------------------------------------------------------------------------
    def checkpoint(self, scope: str, by: str, now_ms: int, budgets: Sequence[str]) -> None:
        """A human has looked: what these budgets have counted in this scope is spent no more."""
        self._db.run("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", (scope, now_ms, by))
        for budget in budgets:
            for table in ("counters", "charges", "members"):
                self._db.run(
                    f"DELETE FROM {table} WHERE budget = ? AND scope = ?",  # noqa: S608 - one of three names
                    (budget, scope),
                )

    def checkpoint_ms(self, scope: str) -> int:
        rows = self._db.rows("SELECT at_ms FROM checkpoints WHERE scope = ?", (scope,))
        return int(rows[0][0]) if rows else 0


_RELEASED = "call_key, family, session, agent, call_id, args_sha256, tool, side, effects, at_ms"


def _released(row: Sequence[str | int]) -> Released:
    key, family, session, agent, call_id, args, tool, side, effects, at_ms = row
    listed = [(str(kind), target) for kind, target in json.loads(str(effects))]
    return Released(
        str(key), str(family), str(session), str(agent), str(call_id), str(args), str(tool),
        Side(str(side)), tuple(listed), int(at_ms),
    )  # fmt: skip
