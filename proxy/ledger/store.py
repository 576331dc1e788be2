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
from dataclasses import dataclass, field
from typing import Protocol

from proxy.model import (
    BudgetState,
    Call,
    ChargedEffect,
    Effect,
    Entry,
    Grant,
    Hold,
    HoldState,
    Identity,
    Json,
    Settlement,
    Side,
    Source,
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
class Released:
    """A call that was let through, so that its result is known when it comes."""

    call_key: str
    family: str
    session: str
    agent: str
    call_id: str
    args_sha256: str
    tool: str
    side: Side
    effects: tuple[tuple[str, str | None], ...]  # (kind, target) of each
    at_ms: int


@dataclass(slots=True)
class StoryDocument:
    """What a family has met, small enough to be read with every call; each part is bounded."""

    kinds: dict[str, int] = field(default_factory=dict)  # of effects: when last let through, in ms
    results: dict[str, int] = field(default_factory=dict)  # of effects: when last a result came
    labels: dict[str, int] = field(default_factory=dict)  # of results: when last observed
    tools: dict[str, int] = field(default_factory=dict)  # whose results were observed
    untrusted_ms: int = 0
    calls: int = 0
    trail: str = ""  # how far pieces of a secret have left (`origins.Trail`)


@dataclass(frozen=True, slots=True)
class Words:
    """What the user of a family has said; apart from its story, for it is long and seldom asked for."""

    text: str = ""  # redacted, lower case, the newest part
    seen: tuple[str, ...] = ()  # digests of all messages that were taken in


@dataclass(frozen=True, slots=True)
class ChainPosition:
    """How far a chain has come; see `policy.facts.Position`."""

    index: int
    started_ms: int
    at_ms: int
    via: tuple[str, ...]
    by: str = ""


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """An observed result of an effect that some rule requires."""

    kind: str
    target: str
    call_key: str
    tool: str
    side: Side
    is_error: bool
    text: str
    called_ms: int  # when the call was let through
    at_ms: int  # when the result was observed


@dataclass(frozen=True, slots=True)
class SignalRow:
    """A signal that is in force, or a human's freeze."""

    scope: str  # "session:…" (the family's root), "agent:…", "human:…" or "fleet"
    name: str  # the rule's; `FROZEN_BY_HAND` for a freeze by a human
    actions: tuple[tuple[str, str, str], ...]  # (verb, budget, gate or glob over kinds; factor)
    why: str
    by: str  # "rules", "posted", or the human's name
    at_ms: int
    until_ms: int | None = None  # None: until a human's review, a freeze until it is thawed

    @property
    def freezes(self) -> bool:
        return any(verb == "freeze" for verb, _, _ in self.actions)


FROZEN_BY_HAND = "!frozen"
"""No signal of a rule file can have this name."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One thing that is to be told to somebody; `lane` says to whom ("notice:leads", "webhook:siem")."""

    id: str  # of the delivery: the same at each attempt
    lane: str
    event: str  # "held", "answered" …
    created_at_ms: int
    next_at_ms: int  # not before
    hold_id: str | None = None
    body: bytes = b""  # of a webhook, as it is sent; a notice's words are found when it goes out
    state: str = "waiting"  # or sent, dropped (there was nothing to tell any more), failed
    attempts: int = 0
    error: str | None = None
    done_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class HoldFacts:
    """A hold as the desk's figures count it."""

    agent: str
    name: str
    namespace: str | None
    state: HoldState
    rules: tuple[str, ...]  # that hold it, none of shadow
    created_at_ms: int
    decided_at_ms: int | None
    decided_by: str | None

    @property
    def is_approved(self) -> bool:
        """Whether a human said yes, also where the call was never made again."""
        yes = (HoldState.APPROVED, HoldState.USED, HoldState.EXPIRED)
        return self.decided_by is not None and self.state in yes


@dataclass(frozen=True, slots=True)
class Credential:
    """A run's credential as `checkrein exec` minted it; only the token's digest is stored."""

    token_sha256: str
    session: str
    agent: str
    created_at_ms: int
    expires_at_ms: int | None = None
    human: str | None = None  # who started the run


@dataclass(frozen=True, slots=True)
class UndoRow:
    """The compensating call of one call, as its result made it; `call` is redacted."""

    call_key: str
    session: str
    agent: str
    tool: str
    way: str  # tool, http, mcp
    at_ms: int
    call: Json = None
    fault: str = ""  # why it cannot be made
    state: str = "open"  # open, begun, done, failed
    by: str | None = None
    changed_at_ms: int | None = None
    error: str | None = None


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

    def waiting_holds(self, *, limit: int, skip: int = 0) -> tuple[tuple[Hold, ...], int]:
        """Holds that wait, the oldest first, and how many there are in all."""

    def hold_before(self, hold: Hold) -> Hold | None:
        """The last earlier hold of the same agent and tool, whatever became of it."""

    def open_hold_for(
        self,
        *,
        session: str,
        name: str,
        args_sha256: str,
        now_ms: int,
        namespace: str | None = None,
    ) -> Hold | None:
        """The unexpired pending or approved hold of this very call; approved before pending."""

    def open_holds_of_agent(
        self,
        *,
        agent: str,
        name: str,
        args_sha256: str,
        now_ms: int,
        namespace: str | None = None,
    ) -> tuple[Hold, ...]:
        """The unexpired pending and approved holds of this call in any of an agent's sessions; approved first."""

    def due_holds(self, now_ms: int) -> tuple[Hold, ...]:
        """Pending and approved holds whose time has run out."""

    # --- grants ------------------------------------------------------------------------------------
    def put_grant(self, grant: Grant) -> None:
        """Keeps a grant, or its new state."""

    def grant(self, grant_id: str) -> Grant | None: ...

    def grants(self, limit: int = 1000) -> tuple[Grant, ...]:
        """Returns grants, also those that have ended, the newest first."""

    def grants_in_force(self, scopes: Sequence[str], now_ms: int) -> tuple[Grant, ...]:
        """Returns the grants that these accounts may use, the oldest first."""

    # --- what is to be told ----------------------------------------------------------------------
    def put_outbox(self, row: OutboxRow) -> None: ...

    def due_lanes(self, now_ms: int) -> frozenset[str]:
        """The lanes in which something may be due."""

    def due_outbox(
        self, lane: str, now_ms: int, limit: int, *, in_order: bool = False
    ) -> tuple[OutboxRow, ...]:
        """What is due in a lane, oldest first; `in_order`: nothing from behind a row that waits longer."""

    def outbox(self, states: Sequence[str], limit: int = 1000) -> tuple[OutboxRow, ...]:
        """Rows in these states, newest first."""

    def mark_outbox(
        self, id: str, state: str, at_ms: int, error: str | None = None, *, tried: bool = True
    ) -> None:
        """Notes what became of a waiting row: `waiting` until `at_ms`, or ended then; `tried`: an attempt."""

    def take_lane(self, lane: str, holder: str, now_ms: int, until_ms: int) -> int | None:
        """Takes a lane for a time; returns when something was last sent in it (0: never), None where
        another holder has it."""

    def leave_lane(self, lane: str, holder: str, sent_at_ms: int | None = None) -> None:
        """Gives a lane back, and notes when something was sent in it."""

    def forget_outbox(self, before_ms: int) -> None:
        """Drops rows that ended before then."""

    def use_link(self, digest: str, now_ms: int) -> bool:
        """Uses a link up; False where it was used before."""

    # --- figures -----------------------------------------------------------------------------------
    def count_call(self, agent: str, now_ms: int) -> None: ...

    def calls_since(self, since_ms: int) -> Mapping[str, int]:
        """How many calls each agent made since an hour."""

    def counted_since(self) -> int | None:
        """The first hour that is counted; None: no call yet."""

    def hold_facts(self, since_ms: int, limit: int = 100_000) -> tuple[HoldFacts, ...]:
        """Holds that were made or decided since then, newest first."""

    def pending_holds(self, now_ms: int) -> tuple[int, int | None]:
        """How many holds wait, and since when the oldest does."""

    # --- memory of refused responses ---------------------------------------------------------------
    def put_undo(self, row: UndoRow) -> None:
        """Keeps a compensating call, or its new state."""

    def undo(self, call_key: str) -> UndoRow | None: ...

    def undos_of(self, sessions: Sequence[str]) -> tuple[UndoRow, ...]:
        """Returns the compensating calls of these sessions."""

    def remember(
        self, *, ref: str, provider: str, keys: Sequence[str], document: bytes, now_ms: int
    ) -> None: ...

    def recall(self, provider: str, keys: Sequence[str]) -> tuple[tuple[str, bytes], ...]:
        """(ref, document) of the memories under any of these keys, each once, oldest first."""

    def memory_keys(self, provider: str) -> frozenset[str]:
        """All keys under which something is remembered (to look up cheaply in memory)."""

    def forget_key(self, provider: str, key: str) -> None:
        """Drops one key (a conversation that has been given its outputs)."""

    def state_key(self, name: str) -> bytes:
        """A random key of this ledger's own, made when it is first asked for."""

    # --- the story of a family -------------------------------------------------------------------
    def ancestors_of(self, session: str, parent: str | None) -> tuple[str, ...]:
        """A session's parent, its parent's parent and so on, the root last."""

    def family_of(self, session: str, parent: str | None) -> str:
        """The session at the root: a sub-session's story is its parent's."""

    def is_run(self, session: str) -> bool:
        """Whether a credential was minted for a session of this name."""

    def parent_of(self, session: str) -> str | None:
        """The session that started this one, as it was first seen."""

    def story(self, family: str) -> StoryDocument: ...

    def put_story(self, family: str, story: StoryDocument) -> None: ...

    def words(self, family: str) -> Words: ...

    def put_words(self, family: str, words: Words) -> None: ...

    def note_told(self, family: str, digests: Sequence[str], call_no: int, *, most: int) -> None:
        """Keeps digests of what the arguments of a family's newest calls say; `most`: how many calls."""

    def told_among(self, family: str, digests: Sequence[str]) -> frozenset[str]:
        """Those of these digests that arguments have said."""

    def note_released(self, released: Released) -> None: ...

    def released_calls(
        self, *, session: str, agent: str, call_id: str, args_sha256: str | None = None
    ) -> tuple[Released, ...]:
        """Calls let through under an id, oldest first."""

    def released_call(self, call_key: str) -> Released | None: ...

    def knows_target(self, agent: str, kind: str, target: str) -> bool: ...

    def note_target(self, agent: str, kind: str, target: str, now_ms: int) -> None: ...

    def chain_positions(self, chain: str, scope: str, key: str) -> tuple[ChainPosition, ...]: ...

    def put_chain_positions(
        self, chain: str, scope: str, key: str, positions: Sequence[ChainPosition]
    ) -> None: ...

    def put_evidence(self, family: str, row: EvidenceRow) -> None:
        """Keeps the newest result; a history's word replaces none that a tool showed since the call."""

    def evidence(self, family: str, kind: str, target: str | None) -> EvidenceRow | None:
        """The newest result of this kind on a target; on any, where it is None."""

    def rename_budget(self, was: str, name: str) -> bool:
        """Moves what was counted under a former name to a new one; False where there is nothing to move.

        What both have counted is added up; a target that both have met counts once.
        """

    def checkpoint(self, scope: str, by: str, now_ms: int, budgets: Sequence[str]) -> None:
        """A human has looked: these budgets are full again in this scope."""

    def checkpoint_ms(self, scope: str) -> int:
        """When a human last looked; 0 for never."""

    def add_source(
        self, family: str, source: Source, prints: Sequence[int], *, digest: str, most_prints: int
    ) -> int:
        """Keeps a place that text came from, with its prints; the oldest make room. Returns its id."""

    def has_source(self, family: str, digest: str) -> bool: ...

    def has_forgotten_secrets(self, family: str) -> bool: ...

    def sources_by_print(
        self, family: str, prints: Sequence[int]
    ) -> Mapping[int, tuple[Source, ...]]: ...

    # --- signals ---------------------------------------------------------------------------------
    def signals_in_force(self, scopes: Sequence[str], now_ms: int) -> tuple[SignalRow, ...]:
        """What is in force in any of these scopes, oldest first."""

    def all_signals(self, now_ms: int, limit: int = 1000) -> tuple[SignalRow, ...]:
        """Everything in force, newest first."""

    def put_signal(self, row: SignalRow) -> None:
        """Sets a signal in force; one of the same name in the same scope is replaced."""

    def lift_signal(self, scope: str, name: str) -> bool:
        """Ends one; False where there is none."""

    def count_signal(
        self, scope: str, name: str, key: str, now_ms: int, *, within_ms: int, most: int
    ) -> int:
        """Counts one more under a key; returns how many there are within the time, at most `most`."""

    def forget_counts(self, scope: str) -> None:
        """A human has looked: what was counted in a scope counts no more."""

    def conversation_pin(
        self, session: str, agent: str, conversation: str
    ) -> Mapping[str, object] | None:
        """What a conversation's earlier requests had for a system prompt and tools."""

    def pin_conversation(
        self,
        session: str,
        agent: str,
        conversation: str,
        document: Mapping[str, object],
        now_ms: int,
    ) -> None: ...

    def agent_of(self, session: str) -> str | None:
        """The agent that a session was first seen with."""

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
