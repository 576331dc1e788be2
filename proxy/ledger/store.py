"""The store's contract, the same for every database.

A `Store` opens a transaction; everything that is decided together is written in one. All methods
are synchronous and run on the ledger's one writer thread (`writer.py`); `now_ms` comes in from the
caller. Amounts are exact `Decimal`s, stored as text.

Cost: a reservation touches one counter row a budget and scope, plus the charges that left a rolling
window since the last look, each once in its life: it does not depend on how long a session is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from proxy.model import (
    BudgetState,
    Call,
    ChargedEffect,
    Effect,
    Entry,
    Hold,
    HoldState,
    Identity,
    Settlement,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What `reserve` did: the budgets before and after, and the entries, none if not `made`."""

    made: bool
    states: tuple[BudgetState, ...]  # one a budget and scope, all effects of the call together
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class PastDecision:
    """What was decided for a call key before."""

    key: str
    verdict: Verdict
    hold_id: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class SessionSummary:
    id: str
    agent: str
    trust: str  # of the session's identity
    parent: str | None
    first_seen_ms: int
    last_seen_ms: int
    calls: int
    held: int
    blocked: int


@dataclass(frozen=True, slots=True)
class Credential:
    """A run's credential as `checkrein exec` minted it; only the token's digest is stored."""

    token_sha256: str
    session: str
    agent: str
    created_at_ms: int
    expires_at_ms: int | None = None


class Transaction(Protocol):
    """Reads and writes that become durable together, or not at all."""

    # --- account -----------------------------------------------------------------------------
    def reserve(
        self,
        *,
        identity: Identity,
        call: Call,
        call_key: str,
        effects: Sequence[ChargedEffect],
        now_ms: int,
        settle_by_ms: int,
        approved: bool = False,
        unlimited: bool = False,
        dry: bool = False,
    ) -> Reservation:
        """Reserves all effects of a call, or none.

        Nothing is written when a budget would be exceeded. `approved` (a human said yes) passes
        budgets whose on_exceed is hold, never those that block. `unlimited` (shadow mode) passes all.
        `dry` only computes the states.
        """

    def bind(
        self,
        *,
        session: str,
        effects: Sequence[Effect],
        call_key: str,
        since_ms: int,
        dry: bool = False,
    ) -> tuple[Entry, ...] | None:
        """Binds a tool-side call to the model-side reservation of the same action.

        All effects must equal (kind, unit, amount, target) the yet unbound, not released effects of
        *one* call in the session, reserved at or after `since_ms`; those entries are marked as bound
        and returned, else None and nothing changes. Oldest first. `dry` only looks.
        """

    def drifted_from(
        self, *, session: str, effects: Sequence[Effect], since_ms: int
    ) -> Entry | None:
        """The model-side entry of which a tool-side call that binds to none may be a changed form.

        The newest unbound, not released one of the session, reserved at or after `since_ms`, of the
        same kind as one of the effects; one with its target too goes before others.
        """

    def entries_of_call(
        self, *, session: str, call_id: str, args_sha256: str | None = None
    ) -> tuple[Entry, ...]:
        """Entries of a call id in a session, oldest first, whatever their state."""

    def entries_of_key(self, call_key: str) -> tuple[Entry, ...]:
        """Entries that were reserved under a key, or are bound to it as the same action."""

    def settle(self, entry_id: str, settlement: Settlement, now_ms: int) -> Entry:
        """Commits (ok True or None) or releases (ok False) a reserved entry; the real amount wins.

        An entry that is settled already is returned as it is: the first settlement stands.
        """

    def commit_due(self, now_ms: int, limit: int = 500) -> tuple[Entry, ...]:
        """Commits reservations whose result was not seen in time; returns them."""

    # --- decisions ---------------------------------------------------------------------------
    def past_decision(self, key: str) -> PastDecision | None: ...

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
        """Notes the verdict under its key (the latest stands) and counts it for the session.

        `before` is what `past_decision` said in this transaction: a call is counted once.
        """

    # --- holds -------------------------------------------------------------------------------
    def add_hold(self, hold: Hold) -> None: ...

    def put_hold(self, hold: Hold) -> None:
        """Writes a hold's new state."""

    def hold(self, hold_id: str) -> Hold | None: ...

    def holds(self, states: Sequence[HoldState] = (), limit: int = 1000) -> tuple[Hold, ...]:
        """Holds in these states (all when empty), newest first."""

    def open_hold_for(
        self, *, session: str, name: str, args_sha256: str, now_ms: int
    ) -> Hold | None:
        """The unexpired pending or approved hold of this very call; approved before pending."""

    def due_holds(self, now_ms: int) -> tuple[Hold, ...]:
        """Pending and approved holds whose time has run out."""

    # --- memory of refused responses -----------------------------------------------------------
    def remember(
        self, *, ref: str, provider: str, keys: Sequence[str], document: bytes, now_ms: int
    ) -> None: ...

    def recall(self, provider: str, keys: Sequence[str]) -> tuple[tuple[str, bytes], ...]:
        """(ref, document) of the memories under any of these keys, each once, oldest first."""

    def memory_keys(self, provider: str) -> frozenset[str]:
        """All keys under which something is remembered (to look up cheaply in memory)."""

    def forget_key(self, provider: str, key: str) -> None:
        """Drops one key (a conversation that has been given its outputs)."""

    # --- tool definitions ----------------------------------------------------------------------
    def tool_pins(self, server: str) -> Mapping[str, tuple[str, bytes]]:
        """(digest, definition) of each pinned tool of an MCP server, by name."""

    def pin_tool(
        self, server: str, tool: str, digest: str, document: bytes, now_ms: int
    ) -> None: ...

    def unpin_tool(self, server: str, tool: str) -> None: ...

    # --- sessions and identity -----------------------------------------------------------------
    def see_session(self, identity: Identity, now_ms: int) -> bool:
        """Notes that a session was seen; True when it is new."""

    def sessions(self, limit: int = 1000) -> tuple[SessionSummary, ...]:
        """Newest activity first."""

    def session_entries(self, session: str, limit: int = 1000) -> tuple[Entry, ...]: ...

    def session_budgets(self, session: str, now_ms: int) -> tuple[tuple[str, str, str], ...]:
        """(budget, scope, total) of the counters whose scope is this session."""

    def link(self, key: str, session: str, now_ms: int) -> None:
        """Notes that a provider's id ("response:…", "conversation:…") belongs to a session."""

    def linked_session(self, key: str) -> str | None: ...

    def add_credential(self, credential: Credential) -> None: ...

    def credential(self, token_sha256: str, now_ms: int) -> Credential | None: ...


class Store(Protocol):
    """One database."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begins (taking the write lock); commits durably on a clean exit, else rolls back.

        Raises:
            LedgerError: the database could not be read or written.
        """

    def savepoint(self) -> AbstractContextManager[None]:
        """Inside a transaction: what is written within is undone alone when it raises."""

    def close(self) -> None: ...
