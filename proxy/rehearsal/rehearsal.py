"""One rule set, a throw-away ledger and a clock that is set: what the proxy would have answered.

How it works. A `Rehearsal` holds the proxy's own `Pipeline`; a `Conversation` is one session of it, and tells
it what an agent's traffic would have told it: each text and result in a model request, each call in a
response of its own (or several in one), each HTTP or MCP call on the tool's side. The clock stands still
until it is moved: a step takes a second, `wait` as long as it says, and what falls due meanwhile
(reservations, holds) is swept as the proxy sweeps it.

A rehearsal runs its coroutines on a loop of its own: use it where no loop is running.

What the model itself costs (`tokens.*`, `spend`) is not rehearsed: no provider tells its usage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from proxy.approval import needed
from proxy.errors import CheckreinError
from proxy.ledger.writer import Record, Sink
from proxy.model import (
    Call,
    Effect,
    Hold,
    HttpCall,
    Identity,
    Json,
    Reason,
    Trust,
    Verdict,
)
from proxy.pipeline.decision import Decision
from proxy.pipeline.judge import Asked
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.conversation import Conversation, Judged
from proxy.rehearsal.instant import InstantWriter
from proxy.rehearsal.ledger import ThrowawayStore
from proxy.rehearsal.recall import Recall, RecallingPipeline
from proxy.settings import Settings

START_MS = 1_767_603_600_000
"""2026-01-05T09:00:00Z, a Monday morning: nothing is out of hours unless a rehearsal says so."""

STEP_MS = 1_000
BY = "rehearsal"
"""Who answers holds."""

_NOWHERE = Path("rehearsal")
_SETTINGS = Settings(state=_NOWHERE, log=_NOWHERE, admin=_NOWHERE)


class RehearsalError(CheckreinError):
    """A step that makes no sense where it stands: nothing is held, there is no such call."""


class Rehearsal:
    """Rules, tried. Close it, or use it as a context manager."""

    def __init__(
        self,
        rules: RuleSet,
        *,
        settings: Settings = _SETTINGS,
        started_at_ms: int = START_MS,
        spills: bool = False,
        sink: Sink | None = None,
    ) -> None:
        """Opens an empty ledger.

        Args:
            rules: the rule set.
            settings: how long holds, approvals and reservations last.
            started_at_ms: where the clock begins.
            spills: many sessions share the ledger, it may outgrow memory.
            sink: where the decision log's records go, `DecisionLog.append` for one.
        """
        self._sink = sink
        self.rules = rules
        self._spills = spills
        self.settings = settings
        self._started_at_ms = started_at_ms
        self._loop = asyncio.new_event_loop()
        self._open(started_at_ms)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._writer.close()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def reset(self, started_at_ms: int | None = None) -> None:
        """Begins anew: an empty ledger, the clock where it was at first or at `started_at_ms`."""
        self._writer.close()
        self._open(self._started_at_ms if started_at_ms is None else started_at_ms)

    def _open(self, started_at_ms: int) -> None:
        self.now_ms = started_at_ms
        self._writer = InstantWriter(ThrowawayStore(spills=self._spills), self._sink)
        self.recall = Recall()
        self.pipeline = RecallingPipeline(
            self.rules, self._writer, self.settings, lambda: self.now_ms, self.recall
        )
        self._conversations: dict[tuple[str, str], Conversation] = {}
        self._numbers = 0
        self.pending: list[Hold] = []
        self.signals: dict[str, int] = {}  # that were met, and how often

    # --- who ---------------------------------------------------------------------------------------
    def session(
        self,
        name: str = "session",
        *,
        agent: str = "agent",
        human: str | None = None,
        parent: str | None = None,
        trust: Trust = Trust.CREDENTIAL,
        agent_trust: Trust | None = None,
    ) -> Conversation:
        """Returns the conversation of a session and agent, a new one when it is first asked for.

        `trust` is what the session's name is worth, and the agent's, unless `agent_trust` says.
        """
        found = self._conversations.get((name, agent))
        if found is None:
            identity = Identity(
                name, agent, trust, trust if agent_trust is None else agent_trust, human, parent
            )
            found = self._conversations[name, agent] = Conversation(self, identity)
            self.finish(self.pipeline.see_session(identity, BY))
        return found

    # --- time --------------------------------------------------------------------------------------
    def step(self) -> None:
        """A moment passes."""
        self.now_ms += STEP_MS

    def wait(self, duration_s: float | Decimal) -> None:
        """Time passes; what has fallen due is swept."""
        self.now_ms += int(duration_s * 1000)
        self.sweep()

    def sweep(self) -> None:
        """Commits and expires what is due, as the proxy does every second."""
        while self.finish(self.pipeline.results.commit_due()):
            pass
        self.finish(self.pipeline.desk.expire_due())

    # --- holds -------------------------------------------------------------------------------------
    def approve(self, hold: Hold | None = None, *, reason: str | None = None) -> Hold:
        """A human says yes, to the newest hold when none is named; as many do as the rules ask for."""
        hold = self._held(hold)
        for number in range(needed(hold)):
            by = BY if number == 0 else f"{BY} {number + 1}"
            hold = self.finish(self.pipeline.desk.approve(hold.id, by, reason))
        return hold

    def deny(self, hold: Hold | None = None, *, reason: str | None = None) -> Hold:
        """A human says no."""
        hold = self._held(hold)
        return self.finish(self.pipeline.desk.deny(hold.id, BY, reason))

    def _held(self, hold: Hold | None) -> Hold:
        if hold is not None:
            return hold
        if not self.pending:
            raise RehearsalError("no call was held before this step")
        return self.pending[-1]

    # --- signals -----------------------------------------------------------------------------------
    def freeze(self, session: str, *, reason: str | None = None) -> None:
        """The operator stops a session."""
        if self.finish(self.pipeline.signals.freeze(session, BY, reason)) is None:
            raise RehearsalError(f"the session '{session}' was not seen before this step")

    def thaw(self, session: str, *, reason: str | None = None) -> None:
        """The operator lets it go on."""
        if self.finish(self.pipeline.signals.thaw(session, BY, reason)) is None:
            raise RehearsalError(f"the session '{session}' was not seen before this step")

    def post_signal(self, name: str, **fields: Json) -> None:
        """Another system tells something; `session`, `agent` or `human` say whom it is about."""
        try:
            self.finish(self.pipeline.signals.post({"name": name, **fields}, BY))
        except ValueError as error:
            raise RehearsalError(str(error)) from error

    # --- what conversations use ----------------------------------------------------------------------
    def finish[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Runs one of the pipeline's coroutines to its end."""
        return self._loop.run_until_complete(work)

    def number(self) -> int:
        """Returns the next of the numbers that name responses and calls."""
        self._numbers += 1
        return self._numbers

    def decide(
        self,
        conversation: Conversation,
        call: Call,
        key: str,
        http: HttpCall | None = None,
        *,
        costs: Sequence[Effect] | None = None,
    ) -> Judged:
        """Judges a call as the proxy does; `costs` are the effects of a model request."""
        recorded = self.recall.now
        asked = Asked(
            call,
            conversation.identity,
            key,
            http,
            costs,
            recorded.given if recorded is not None else (),
            ran_already=call.executor == "provider",
        )
        self._take_records()
        try:
            decision = self.finish(self._decide(asked))
        except Exception as error:  # noqa: BLE001 - whatever it is, the proxy refuses the call
            text = f"checkrein could not judge this call: {type(error).__name__}"
            decision = Decision(Verdict.BLOCK, call, (Reason("error", text, Verdict.BLOCK),))
        effects: tuple[Mapping[str, Json], ...] = ()
        for record in self._take_records():
            if record["type"] == "decision":
                effects = tuple(record["effects"])
        if decision.verdict is Verdict.HOLD and decision.hold is not None:
            self.pending.append(decision.hold)
        return Judged(conversation, call, key, decision, effects, http)

    def effect_rules(self, judged: Judged) -> tuple[str, ...]:
        """Returns which entries' effects a call has had (`Effect.rule`): those it waits with, or reserved."""
        hold = judged.decision.hold
        if hold is not None and judged.verdict is Verdict.HOLD:
            return tuple(effect.rule for effect in hold.effects)
        entries = self._writer.submit(lambda tx, _emit: tx.entries_of_key(judged.key)).result()
        return tuple(entry.effect.rule for entry in entries)

    def _take_records(self) -> list[Record]:
        """Returns what was logged since the last time, and notes which signals were met."""
        taken = self._writer.take_records()
        for record in taken:
            if record["type"] == "signal":
                for rule in record["rules"]:
                    self.signals[rule["name"]] = self.signals.get(rule["name"], 0) + 1
        return taken

    def signals_met(self) -> dict[str, int]:
        """Returns the signals that were met so far, by name."""
        self._take_records()
        return dict(self.signals)

    async def _decide(self, asked: Asked) -> Decision:
        pipeline = self.pipeline
        if asked.ran_already:
            decision = await pipeline.judge.decide(asked)
            await pipeline.results.commit(asked.key, "provider")
            return decision
        return await pipeline.decide(
            asked.call,
            asked.identity,
            asked.key,
            asked.http,
            effects=asked.effects,
            reasons=asked.reasons,
        )
