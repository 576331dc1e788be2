"""The pipeline as one object: what the glue calls, and what the admin side calls.

It owns the rules in force, the ledger's writer and the parts that work on them. It is made before
the first connection is taken, so that nothing passes before it can be judged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from proxy.errors import CheckreinError
from proxy.ledger.store import Credential, SessionSummary, Transaction
from proxy.ledger.writer import Emit, LedgerWriter
from proxy.model import Call as ToolCall
from proxy.model import Effect, Entry, Hold, HttpCall, Identity, Json, Reason, Verdict
from proxy.pipeline.carried import Carried
from proxy.pipeline.clients import ClientProfile, profile_of
from proxy.pipeline.conversations import Conversations
from proxy.pipeline.decision import Decision
from proxy.pipeline.definitions import Definitions
from proxy.pipeline.desk import HoldDesk
from proxy.pipeline.grant_desk import GrantDesk
from proxy.pipeline.happenings import Happenings, Untold
from proxy.pipeline.judge import Asked, Judge
from proxy.pipeline.memory import RefusalMemory
from proxy.pipeline.reading import Reader
from proxy.pipeline.records import error_record, rules_record, session_record
from proxy.pipeline.results import Results
from proxy.pipeline.rulebook import Rejected, Rulebook
from proxy.pipeline.signal_desk import SignalDesk
from proxy.pipeline.story import Story
from proxy.pipeline.undoing import UndoDesk
from proxy.pipeline.waiting import Presence, WaitingRoom
from proxy.policy.ruleset import RuleSet
from proxy.settings import Settings
from proxy.wire.codec import ParsedRequest

logger = logging.getLogger("checkrein")

_SEEN_SESSIONS = 16_384


_DECIDING = ("shadow", "hold_expiry_s", "approval_expiry_s", "settle_after_s")


def _deciding(settings: Settings) -> dict[str, Json]:
    """Returns what of a run's settings decides what becomes of a call: a replay needs it."""
    return {name: getattr(settings, name) for name in _DECIDING}


def _take_over(tx: Transaction, rules: RuleSet) -> list[tuple[str, str]]:
    """Moves what was counted under budgets' former names; returns (former, new) of those that had any."""
    return [(was, name) for was, name in rules.renamed if tx.rename_budget(was, name)]


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Pipeline:
    """Everything between the wire and the account."""

    def __init__(
        self,
        rules: RuleSet,
        writer: LedgerWriter,
        settings: Settings,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self.rulebook = Rulebook(rules, now_ms(), int(settings.settle_after_s * 1000))
        self.settings = settings
        self.happenings: Happenings = Untold()
        self.closing = False
        self.own_addresses: list[tuple[str, int]] = []  # where people's servers listen
        self.carried = Carried()
        self.room = WaitingRoom()
        self._writer = writer
        self._now_ms = now_ms
        key = writer.submit(lambda tx, _emit: tx.state_key("prints")).result()
        self.reader = Reader(key)
        self.story = Story(self.reader)
        self.judge = Judge(self, writer, settings, self.story, now_ms)
        self.results = Results(self, writer, self.story, self.reader, now_ms)
        self.memory = RefusalMemory(writer, now_ms)
        self.definitions = Definitions(now_ms)
        self.conversations = Conversations(self, writer, now_ms, self.definitions)
        self.desk = HoldDesk(writer, self.room, settings, self, now_ms)
        self.signals = SignalDesk(self, writer, self.desk, now_ms)
        self.grants = GrantDesk(writer, self.desk, now_ms)
        self.undo = UndoDesk(writer, now_ms)
        self._sessions: OrderedDict[tuple[str, str], None] = OrderedDict()

    def start(self, providers: Sequence[str]) -> None:
        """Reads what outlived the last run and notes the rules in force; before any connection.

        Raises:
            LedgerError, LogError: ledger or log cannot be written; the proxy must not start.
        """
        self.memory.load(providers)

        def note(tx: Transaction, emit: Emit) -> None:
            rules = self.rules
            renamed = _take_over(tx, rules)
            emit(rules_record(rules, "loaded", settings=_deciding(self.settings), renamed=renamed))

        self._writer.submit(note).result()

    # --- rules -----------------------------------------------------------------------------------

    @property
    def rules(self) -> RuleSet:
        """The rules in force."""
        return self.rulebook.rules

    def client_profile(self, user_agent: str) -> ClientProfile:
        """Returns how long the client with this User-Agent can be kept, by the rules in force."""
        return profile_of(user_agent, self.rules.waiting)

    def rules_at(self, reserved_at_ms: int) -> RuleSet:
        """The rules that were in force when something was reserved."""
        return self.rulebook.at(reserved_at_ms)

    async def change_rules(self, rules: RuleSet) -> None:
        """Puts another set in force, between two calls; the ledger's counts stay.

        Raises:
            LedgerError, LogError: it could not be noted; the old set stays in force.
        """
        former = self.rules.digest

        def note(tx: Transaction, emit: Emit) -> None:
            renamed = _take_over(tx, rules)
            deciding = _deciding(self.settings)
            emit(rules_record(rules, "reloaded", former=former, settings=deciding, renamed=renamed))

        await self._writer.run_between(note, lambda: self.rulebook.put(rules, self._now_ms()))

    async def reject_rules(self, problems: Sequence[str]) -> None:
        """Notes that an edit was not taken over; the rules in force stay."""
        rejected = Rejected(tuple(problems), self._now_ms())
        self.rulebook.rejected = rejected  # first: a full disk must not hide it
        record = rules_record(self.rules, "rejected", problems=rejected.problems)
        await self._writer.run(lambda _tx, emit: emit(record))

    async def rules_in_order(self) -> None:
        """Notes that the files say again what is in force, after an edit that was not taken over."""
        self.rulebook.rejected = None
        await self._writer.run(lambda _tx, emit: emit(rules_record(self.rules, "in-order")))

    def close(self) -> None:
        """The proxy is going down: connections end, holds stay."""
        self.closing = True

    async def sweep(self, interval_s: float = 1.0) -> None:
        """Commits and expires what is due, for ever."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self.results.commit_due()
                await self.desk.expire_due()
                await self.desk.abandon_left()
            except CheckreinError as error:
                logger.error("sweep: %s", error)

    # --- calls -----------------------------------------------------------------------------------

    async def decide(
        self,
        call: ToolCall,
        identity: Identity,
        key: str,
        http: HttpCall | None = None,
        *,
        effects: Sequence[Effect] | None = None,
        reasons: Sequence[Reason] = (),
    ) -> Decision:
        """Decides a call; see `judge.py`. `effects` are given for what has no tool entry."""
        asked = Asked(call, identity, key, http, effects, reasons)
        decision = await self.judge.decide(asked)
        if decision.verdict is Verdict.ALLOW:
            self.results.released(key, call.arguments)
        return decision

    async def account(
        self,
        call: ToolCall,
        identity: Identity,
        key: str,
        *,
        effects: Sequence[Effect] | None = None,
        reasons: Sequence[Reason] = (),
    ) -> None:
        """Counts a call that the provider has executed itself."""
        asked = Asked(call, identity, key, None, effects, reasons, ran_already=True)
        await self.judge.decide(asked)
        await self.results.commit(key, "provider")

    async def observe(self, identity: Identity, request: ParsedRequest) -> None:
        """Takes in what a model request says: user's and system's words, tools' results."""
        await self.conversations.observe(identity, request)
        await self.results.observe_texts(identity, request)
        await self.results.observe(identity, request.results)

    async def settle_amounts(
        self,
        key: str,
        amounts: Mapping[str, Decimal] | None,
        why: str,
        fault: str | None = None,
    ) -> None:
        """Commits what was reserved under a key with the real amounts by kind; None releases it."""
        await self.results.settle_amounts(key, amounts, why, fault)

    async def abandon(self, hold_id: str, *, for_good: bool = False) -> None:
        """The client of a held call went away; not so when it is the proxy that goes.

        `for_good`: it said so itself. Else it may come back: SDKs send a request again whose connection broke.
        """
        if self.closing:
            return
        if self.settings.abandon_after_s > 0 and not for_good:
            self.desk.leave(hold_id)
        else:
            await self.desk.abandon(hold_id)

    async def wait_for(
        self, holds: dict[str, Hold], presence: Presence, timeout_s: float
    ) -> dict[str, Hold]:
        """Waits for answers; returns the holds, by id, that are not pending any more.

        The ledger is read again on every wake-up and at the end of the time.
        """
        await self.room.wait(holds.keys(), presence, timeout_s)

        def read(tx: Transaction, _emit: Emit) -> dict[str, Hold]:
            now = {hold_id: tx.hold(hold_id) for hold_id in holds}
            return {i: h for i, h in now.items() if h is not None and h.state is not holds[i].state}

        return await self._writer.run(read)

    async def in_transaction[T](self, job: Callable[[Transaction, Emit], T]) -> T:
        """Runs a job of a part that keeps its own account beside the judge's."""
        return await self._writer.run(job)

    # --- identity ----------------------------------------------------------------------------------

    async def see_session(self, identity: Identity, peer: str) -> None:
        """Notes a session when it is first seen by this process."""
        name = (identity.session, identity.agent)
        if name in self._sessions:
            return

        def note(tx: Transaction, emit: Emit) -> None:
            if tx.see_session(identity, self._now_ms()):
                emit(session_record(identity, peer))

        await self._writer.run(note)
        self._sessions[name] = None
        if len(self._sessions) > _SEEN_SESSIONS:
            self._sessions.popitem(last=False)

    async def linked_session(self, key: str) -> str | None:
        return await self._writer.run(lambda tx, _emit: tx.linked_session(key))

    async def link(self, key: str, session: str) -> None:
        """Notes that a provider's id was given out in a session."""
        await self._writer.run(lambda tx, _emit: tx.link(key, session, self._now_ms()))

    async def add_credential(self, credential: Credential) -> None:
        await self._writer.run(lambda tx, _emit: tx.add_credential(credential))

    async def credential(self, token_sha256: str) -> Credential | None:
        now_ms = self._now_ms()
        return await self._writer.run(lambda tx, _emit: tx.credential(token_sha256, now_ms))

    # --- the operator's view -------------------------------------------------------------------------

    async def sessions(self) -> tuple[SessionSummary, ...]:
        return await self._writer.run(lambda tx, _emit: tx.sessions())

    async def session(
        self, session: str
    ) -> tuple[tuple[Entry, ...], tuple[tuple[str, str, str], ...]]:
        """Returns a session's entries and its budgets' totals."""
        now_ms = self._now_ms()
        return await self._writer.run(
            lambda tx, _emit: (tx.session_entries(session), tx.session_budgets(session, now_ms))
        )

    async def note_error(self, identity: Identity | None, where: str, text: str) -> None:
        """Writes an error record; where even that fails, stderr has it."""
        logger.error("%s: %s", where, text)
        try:
            await self._writer.run(lambda _tx, emit: emit(error_record(identity, where, text)))
        except CheckreinError as error:
            logger.error("%s: could not be logged: %s", where, error)

    def now_ms(self) -> int:
        return self._now_ms()
