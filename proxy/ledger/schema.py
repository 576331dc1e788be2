"""The SQLite schema, as forward-only steps.

What belongs here: one step a schema version, never edited once released; a new need is a new step.
`user_version` holds the number of steps taken; they run under the write lock, so two processes that
open a new file at once take each step once.

Money is text (exact decimals), times are integers in milliseconds. `counters` is the running total
a budget and scope; `charges` are the parts of it that may still change: windowed ones (until they
expire) and reserved ones (until they settle). A charge row that is gone can never be subtracted
again, which is what makes expiry, release and settlement safe to meet each other.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from proxy.errors import LedgerError
from proxy.ledger.counts import COUNTS_DDL
from proxy.ledger.grants import GRANTS_DDL
from proxy.ledger.outbox import OUTBOX_DDL
from proxy.ledger.signals import SIGNALS_DDL
from proxy.ledger.sources import SOURCES_DDL
from proxy.ledger.story import STORY_DDL
from proxy.ledger.undo import UNDO_DDL

_STEP_1 = (
    """CREATE TABLE entries (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        session TEXT NOT NULL, agent TEXT NOT NULL,
        call_key TEXT NOT NULL, call_id TEXT, name TEXT NOT NULL, args_sha256 TEXT NOT NULL,
        side TEXT NOT NULL,
        kind TEXT NOT NULL, target TEXT, amount TEXT, unit TEXT,
        reversibility TEXT NOT NULL, points TEXT NOT NULL, labels TEXT NOT NULL, rule TEXT NOT NULL,
        state TEXT NOT NULL,
        reserved_at_ms INTEGER NOT NULL, settle_by_ms INTEGER NOT NULL, settled_at_ms INTEGER,
        bound_by TEXT
    ) STRICT""",
    "CREATE INDEX entries_by_key ON entries (call_key)",
    "CREATE INDEX entries_by_call ON entries (session, call_id)",
    "CREATE INDEX entries_by_binding ON entries (bound_by) WHERE bound_by IS NOT NULL",
    "CREATE INDEX entries_due ON entries (settle_by_ms) WHERE state = 'reserved'",
    """CREATE INDEX entries_unbound ON entries (session, kind, target, reserved_at_ms)
        WHERE bound_by IS NULL AND state <> 'released' AND side = 'model'""",
    """CREATE TABLE counters (
        budget TEXT NOT NULL, scope TEXT NOT NULL, measure TEXT NOT NULL, unit TEXT NOT NULL,
        total TEXT NOT NULL,
        PRIMARY KEY (budget, scope, measure, unit)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX counters_by_scope ON counters (scope)",
    """CREATE TABLE charges (
        seq INTEGER PRIMARY KEY,
        entry TEXT NOT NULL,
        budget TEXT NOT NULL, scope TEXT NOT NULL, measure TEXT NOT NULL, unit TEXT NOT NULL,
        amount TEXT NOT NULL, member TEXT,
        expires_at_ms INTEGER
    ) STRICT""",
    "CREATE INDEX charges_by_entry ON charges (entry)",
    """CREATE INDEX charges_by_expiry ON charges (budget, scope, expires_at_ms)
        WHERE expires_at_ms IS NOT NULL""",
    """CREATE TABLE members (
        budget TEXT NOT NULL, scope TEXT NOT NULL, unit TEXT NOT NULL, member TEXT NOT NULL,
        uses INTEGER NOT NULL,
        PRIMARY KEY (budget, scope, unit, member)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE decisions (
        key TEXT PRIMARY KEY, verdict INTEGER NOT NULL, hold_id TEXT, at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE holds (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL, session TEXT NOT NULL, name TEXT NOT NULL, args_sha256 TEXT NOT NULL,
        expires_at_ms INTEGER NOT NULL,
        document BLOB NOT NULL, arguments BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX holds_open ON holds (session, args_sha256) WHERE state IN ('pending', 'approved')",
    "CREATE INDEX holds_due ON holds (expires_at_ms) WHERE state IN ('pending', 'approved')",
    """CREATE TABLE memories (
        seq INTEGER PRIMARY KEY,
        ref TEXT NOT NULL UNIQUE, provider TEXT NOT NULL, document BLOB NOT NULL,
        at_ms INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE memory_keys (
        provider TEXT NOT NULL, key TEXT NOT NULL, ref TEXT NOT NULL,
        PRIMARY KEY (provider, key, ref)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE sessions (
        id TEXT PRIMARY KEY, agent TEXT NOT NULL, trust TEXT NOT NULL, parent TEXT,
        first_seen_ms INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL,
        calls INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0,
        blocked INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX sessions_by_activity ON sessions (last_seen_ms)",
    """CREATE TABLE links (
        key TEXT PRIMARY KEY, session TEXT NOT NULL, at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE credentials (
        token_sha256 TEXT PRIMARY KEY, session TEXT NOT NULL, agent TEXT NOT NULL,
        created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER
    ) STRICT, WITHOUT ROWID""",
)

_STEP_2 = (
    """CREATE TABLE tool_pins (
        server TEXT NOT NULL, tool TEXT NOT NULL, digest TEXT NOT NULL, document BLOB NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (server, tool)
    ) STRICT, WITHOUT ROWID""",
)

_STEP_3 = (
    *STORY_DDL,
    *SOURCES_DDL,
    *SIGNALS_DDL,
    """CREATE TABLE state_keys (
        name TEXT PRIMARY KEY, key BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
)

_STEP_5 = (
    "ALTER TABLE holds ADD COLUMN agent TEXT",
    "UPDATE holds SET agent = json_extract(CAST(document AS TEXT), '$.agent')",
    """CREATE INDEX holds_of_agent ON holds (agent, args_sha256)
        WHERE state IN ('pending', 'approved')""",
    "CREATE INDEX holds_by_tool ON holds (agent, name, seq)",
    "CREATE INDEX holds_by_state ON holds (state, seq)",
    "ALTER TABLE credentials ADD COLUMN human TEXT",
)

STEPS: tuple[tuple[str, ...], ...] = (
    _STEP_1,
    _STEP_2,
    _STEP_3,
    GRANTS_DDL,
    _STEP_5,
    (*OUTBOX_DDL, *COUNTS_DDL),
    UNDO_DDL,
)
VERSION = len(STEPS)


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Brings the file to `VERSION`; takes the write lock only when there is something to do.

    Raises:
        LedgerError: the file was written by a newer checkrein.
        sqlite3.Error: the database could not be read or written.
    """
    if _version(db, path) == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for number in range(_version(db, path), VERSION):
            for statement in STEPS[number]:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number + 1}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _version(db: sqlite3.Connection, path: Path) -> int:
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        raise LedgerError(
            f"{path}: ledger schema {found} is newer than this checkrein knows ({VERSION}); "
            "run the newer version, or point --state at another file"
        )
    return found
