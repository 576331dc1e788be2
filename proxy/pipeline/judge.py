"""The judge: one call in, one durable decision out.

How a call is decided, all in one transaction. The rules say what it does, and which gates, chains and
preconditions it meets (`RuleSet.assess`), asking the session's past as it stands at that moment, so that
of two calls at once the second one sees the first. It is looked up (decided before? a human's answer
waiting?), reserved against every budget or not at all, and logged; the answer is given out only after
entry and record are on disk. The strictest verdict wins, a human's approval passes what holds, never
what blocks.

Idempotence. A call is decided once a *response*: the key is (session, agent, response id, call id,
name, argument digest). The same bytes fetched again are the same call; a provider that repeats ids in
a new response makes a new call, which is counted. A refused call that is asked for again meets its
hold through (session, name, argument digest), whatever its new id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Protocol

import uuid_utils

from proxy import grants
from proxy.canonical import sha256_hex
from proxy.holds import HoldEvent, transition
from proxy.ledger.store import PastDecision, Reservation, Transaction
from proxy.ledger.writer import Emit, LedgerWriter
from proxy.model import (
    BudgetState,
    Call,
    ChargedEffect,
    Effect,
    Entry,
    Grant,
    Hold,
    HoldState,
    HttpCall,
    Identity,
    Json,
    Reason,
    Side,
    Verdict,
)
from proxy.pipeline.decision import Decision
from proxy.pipeline.happenings import Happenings
from proxy.pipeline.records import decision_record, grant_record, hold_record
from proxy.pipeline.shadow import exceeded_if_shrunk, in_shadow, strictest, strictest_of_all
from proxy.pipeline.signals import Watch
from proxy.pipeline.standing import Who
from proxy.pipeline.story import Story, StoryFacts
from proxy.pipeline.texts import budget_text, plain
from proxy.policy.answers import asks_of
from proxy.policy.facts import NOTHING_IN_FORCE, InForce
from proxy.policy.ruleset import Assessment, RuleSet
from proxy.policy.signals import in_force, of_model_request
from proxy.redact import redact
from proxy.settings import Settings


class RulesInForce(Protocol):
    """Who knows the rule set that is in force now (it is swapped on reload)."""

    happenings: Happenings  # who is told of what happens

    @property
    def rules(self) -> RuleSet: ...

    def rules_at(self, reserved_at_ms: int) -> RuleSet:
        """The set that was in force when something was reserved."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call, as it comes to the judge."""

    call: Call
    identity: Identity
    key: str
    http: HttpCall | None = None
    effects: Sequence[Effect] | None = None  # of what has no tool entry: a model request
    reasons: Sequence[Reason] = ()  # against it, besides those that rules find
    ran_already: bool = False  # the provider executed it: counted and told, it cannot be stopped


@dataclass(frozen=True, slots=True)
class _Case:
    """All that the transaction knows about one call."""

    call: Call
    identity: Identity
    assessment: Assessment
    facts: StoryFacts
    watch: Watch
    asked: Asked
    rules_digest: str
    started_ns: int
    grants: tuple[Grant, ...] = ()  # that its accounts may use

    @property
    def key(self) -> str:
        return self.asked.key


def call_key(identity: Identity, call: Call, origin: str) -> str:
    """Returns the key under which a call is decided once.

    `origin` names the exchange, and counts where the provider gave its response no id.
    """
    response = call.response_id or origin
    parts = (
        identity.session,
        identity.agent,
        response,
        call.id or "",
        call.name,
        call.args_sha256,
    )
    return sha256_hex("\0".join(parts).encode("utf-8", "surrogatepass"))


class Judge:
    """Decides calls."""

    def __init__(
        self,
        in_force: RulesInForce,
        writer: LedgerWriter,
        settings: Settings,
        story: Story,
        now_ms: Callable[[], int],
    ) -> None:
        self._in_force = in_force
        self._writer = writer
        self._settings = settings
        self._story = story
        self._now_ms = now_ms

    async def decide(self, asked: Asked) -> Decision:
        """Returns the decision on a call, durable in ledger and log.

        Raises:
            LedgerError, LogError: it could not be made durable; the caller refuses the call.
        """
        return await self._writer.run(partial(self.decide_in, asked))

    def decide_in(self, asked: Asked, tx: Transaction, emit: Emit) -> Decision:
        """Decides a call in a transaction that is open."""
        started_ns = time.perf_counter_ns()
        rules = self._in_force.rules
        call, identity = asked.call, asked.identity
        above = tx.ancestors_of(identity.session, identity.parent)
        identity = replace(identity, ancestors=above)
        now_ms = self._now_ms()
        facts = self._story.facts(tx, identity, now_ms)
        facts.call_key = asked.key
        who = Who(identity.session, facts.family, identity.agent, identity.human)
        watch = Watch(tx, emit, who, now_ms, self._in_force.happenings)
        facts.in_force, facts.in_shadow = _acting(watch)
        if asked.effects is None:
            assessment = rules.assess(call, identity, asked.http, facts)
            fresh = not rules.signals or tx.past_decision(asked.key) is None
            if watch.take(rules, call, asked.http, identity, assessment, fresh=fresh):
                # It is judged by what it set off itself.
                facts.in_force, facts.in_shadow = _acting(watch)
                assessment = rules.assess(call, identity, asked.http, facts)
        else:
            facts.in_force = of_model_request(facts.in_force)
            facts.in_shadow = of_model_request(facts.in_shadow)
            assessment = rules.assess_effects(call, identity, asked.effects, asked.reasons, facts)
        granted = tx.grants_in_force(grants.scopes_of(identity), now_ms)
        assessment = self._in_mode(assessment, granted)
        case = _Case(
            call, identity, assessment, facts, watch, asked, rules.digest, started_ns, granted
        )
        step = self._account if asked.ran_already else self._decide
        return step(case, tx, emit)

    def _in_mode(self, assessment: Assessment, granted: Sequence[Grant]) -> Assessment:
        """Returns an assessment as this run takes it: limits as humans have raised them; where all is in
        shadow, nothing of it counts."""
        if granted:
            effects = grants.topped_up(assessment.effects, granted)
            assessment = replace(assessment, effects=effects)
        if not self._settings.shadow:
            return assessment
        return replace(assessment, reasons=in_shadow(assessment.reasons))

    # --- inside the transaction ------------------------------------------------------------------

    def _decide(self, case: _Case, tx: Transaction, emit: Emit) -> Decision:
        now_ms = self._now_ms()
        past = tx.past_decision(case.key)
        if past is not None and past.verdict is not Verdict.HOLD:
            reasons = case.assessment.reasons if past.verdict is Verdict.BLOCK else ()
            return self._repeated(case, past.verdict, reasons)
        hold = (
            _standing_for(past.hold_id, tx)
            if past is not None and past.hold_id is not None
            else self._open_hold(case, tx, now_ms)
        )
        if hold is not None and hold.expires_at_ms <= now_ms and hold.state in _OPEN:
            hold = self._expire(hold, tx, emit, now_ms)
        if past is not None and hold is not None and hold.state is not HoldState.APPROVED:
            # This very call is held already, or its hold has ended: the hold's state is the answer.
            verdict = Verdict.HOLD if hold.state is HoldState.PENDING else Verdict.BLOCK
            return self._repeated(case, verdict, hold.reasons, hold.budgets, hold)
        return self._weigh(case, tx, emit, now_ms, hold, before=past)

    def _weigh(
        self,
        case: _Case,
        tx: Transaction,
        emit: Emit,
        now_ms: int,
        hold: Hold | None,
        *,
        before: PastDecision | None,
    ) -> Decision:
        answered = hold if hold is not None and hold.state is HoldState.APPROVED else None
        if answered is not None and not self._was_shown(answered, case.assessment.reasons):
            answered = None
        counted = self._counted(case, tx, now_ms, dry=True)
        if counted:
            case = self._again_besides(case, counted[0])
        reasons = case.assessment.reasons
        gates = strictest(reasons)
        grant = self._granted(case, tx, now_ms) if answered is None and case.grants else None
        approved = answered is not None or grant is not None
        if counted:
            stated = {r.rule for r in reasons if r.verdict is Verdict.HOLD and not r.shadow}
            there = self._approved_there(counted, tx)
            covered = stated <= there
            if gates is not Verdict.BLOCK and (covered or approved):
                # Bound only here, when it passes: a call that is held leaves its entry to others.
                self._counted(case, tx, now_ms)
                self._counted_in_shadow(case, tx, now_ms)
                used = None
                if answered is not None and not covered:
                    used = transition(answered, HoldEvent.USE, now_ms=now_ms)
                    tx.put_hold(used)
                    emit(hold_record(used, "used"))
                    self._in_force.happenings.moved(tx, used, "used")
                elif grant is not None and not covered:
                    self._use(grant, case, tx, emit)
                reasons = tuple(r for r in reasons if not r.shadow or r.rule not in there)
                decision = self._decision(case, Verdict.ALLOW, reasons, hold=used, bound=counted[0])
                return self._conclude(case, tx, emit, now_ms, decision, before=before)
        drift = None if counted else self._drift(case, tx, now_ms)
        if drift is not None:
            reasons = (*reasons, _drift_reason(drift))
        passes = gates is Verdict.ALLOW or (approved and gates is Verdict.HOLD)
        if passes and not counted:
            case = self._once_in_shadow(case, tx, now_ms)
        reservation = self._reserve(case, tx, now_ms, approved=approved, dry=not passes)
        made = reservation.made and passes  # a dry one only says that the budgets would not stop it
        reasons = (*reasons, *self._exceeded(case, reservation, but_held=approved and made))
        budgets = (*case.assessment.call_states, *reservation.states)
        if made:
            if answered is not None:
                answered = transition(answered, HoldEvent.USE, now_ms=now_ms)
                tx.put_hold(answered)
                emit(hold_record(answered, "used", budgets))
                self._in_force.happenings.moved(tx, answered, "used")
            used_grants = self._drawn_on(case, reservation)
            if grant is not None:
                used_grants = (grant, *used_grants)
            for one in used_grants:
                self._use(one, case, tx, emit)
            decision = self._decision(
                case, Verdict.ALLOW, reasons, budgets, hold=answered, drift=drift
            )
            decision = replace(decision, grants=tuple(one.id for one in used_grants))
            return self._conclude(case, tx, emit, now_ms, decision, before=before)
        verdict = Verdict.BLOCK if strictest(reasons) is Verdict.BLOCK else Verdict.HOLD
        held = None
        if verdict is Verdict.HOLD:
            held = self._held(case, hold, reasons, budgets, tx, emit, now_ms)
        decision = self._decision(case, verdict, reasons, budgets, hold=held, drift=drift)
        return self._conclude(case, tx, emit, now_ms, decision, before=before)

    # --- what humans have granted ------------------------------------------------------------------

    def _granted(self, case: _Case, tx: Transaction, now_ms: int) -> Grant | None:
        """Returns the grant that answers all that holds a call; None where something is left."""
        effects = [charged.effect for charged in case.assessment.effects]
        about = [g for g in case.grants if grants.covers_call(g, case.identity, case.call, effects)]
        reasons = [r for r in case.assessment.reasons if not r.shadow]
        if not about or any(r.verdict is Verdict.BLOCK for r in reasons):
            return None
        states = self._reserve(case, tx, now_ms, dry=True).states
        exceeded = [s for s in (*case.assessment.call_states, *states) if s.exceeded]
        exceeded = [s for s in exceeded if not s.shadow]
        if any(state.on_exceed is Verdict.BLOCK for state in exceeded):
            return None
        holding = {r.rule for r in reasons if r.verdict is Verdict.HOLD}
        holding |= {state.name for state in exceeded}
        if not holding:
            return None  # it passes without one
        return next((g for g in about if grants.answers(g, holding)), None)

    @staticmethod
    def _drawn_on(case: _Case, reservation: Reservation) -> tuple[Grant, ...]:
        """Returns the top-ups without which a call that was counted would have been held."""
        topped = [g for g in case.grants if g.extra is not None]
        used: list[Grant] = []
        for state in reservation.states:
            mine = [g for g in topped if (g.budget, g.scope) == (state.name, state.scope)]
            raised = sum((g.extra for g in mine if g.extra is not None), Decimal(0))
            if mine and state.after > state.limit - raised:
                used += mine
        return tuple(used)

    def _use(self, grant: Grant, case: _Case, tx: Transaction, emit: Emit) -> None:
        grant = replace(grant, uses=grant.uses + 1)
        tx.put_grant(grant)
        call = case.call
        named = {"id": call.id, "name": call.name, "args_sha256": call.args_sha256}
        emit(grant_record(grant, "used", case.identity.agent, named))

    def _account(self, case: _Case, tx: Transaction, emit: Emit) -> Decision:
        """A call the provider runs itself: it cannot be held, so it is counted and told."""
        now_ms = self._now_ms()
        past = tx.past_decision(case.key)
        if past is not None:
            return Decision(past.verdict, case.call, repeated=True)
        reservation = self._reserve(case, tx, now_ms, unlimited=True)
        reasons = (*case.assessment.reasons, *self._exceeded(case, reservation))
        decision = self._decision(
            case, Verdict.ALLOW, reasons, (*case.assessment.call_states, *reservation.states)
        )
        decision = replace(decision, would=strictest_of_all(reasons))
        return self._conclude(case, tx, emit, now_ms, decision, before=None)

    # --- what is told ----------------------------------------------------------------------------

    def _decision(
        self,
        case: _Case,
        verdict: Verdict,
        reasons: Sequence[Reason],
        budgets: Sequence[BudgetState] = (),
        *,
        hold: Hold | None = None,
        bound: Entry | None = None,
        drift: Entry | None = None,
    ) -> Decision:
        """Puts apart what is told to the agent and what rules in shadow say."""
        beside = tuple(r for r in reasons if r.shadow)
        would = max(verdict, strictest_of_all(beside))
        return Decision(
            verdict,
            case.call,
            tuple(r for r in reasons if not r.shadow),
            tuple(b for b in budgets if not b.shadow),
            hold,
            would=would if would is not verdict or self._settings.shadow else None,
            bound=bound,
            drift=drift,
            shadow_reasons=beside,
            shadow_budgets=tuple(b for b in budgets if b.shadow),
        )

    def _repeated(
        self,
        case: _Case,
        verdict: Verdict,
        reasons: Sequence[Reason],
        budgets: Sequence[BudgetState] = (),
        hold: Hold | None = None,
    ) -> Decision:
        """The answer to a call that was decided before: what it was, and nothing of shadow."""
        stopping = tuple(r for r in reasons if not r.shadow)
        told = tuple(b for b in budgets if not b.shadow)
        return Decision(verdict, case.call, stopping, told, hold, repeated=True)

    def _exceeded(
        self, case: _Case, reservation: Reservation, *, but_held: bool = False
    ) -> tuple[Reason, ...]:
        """Returns why budgets speak against a call; `but_held`: a human has passed those that hold."""
        scaled = case.facts.in_force
        reasons = [
            _budget_reason(state, scaled)
            for state in reservation.states
            if state.exceeded and (state.shadow or not but_held)
        ]
        states = (*case.assessment.call_states, *reservation.states)
        for state, why in exceeded_if_shrunk(states, scaled, case.facts.in_shadow):
            reason = _budget_reason(state, NOTHING_IN_FORCE)
            reasons.append(replace(reason, text=f"{reason.text} {why}", shadow=True))
        return in_shadow(reasons) if self._settings.shadow else tuple(reasons)

    # --- the account -----------------------------------------------------------------------------

    def _reserve(
        self,
        case: _Case,
        tx: Transaction,
        now_ms: int,
        *,
        approved: bool = False,
        unlimited: bool = False,
        dry: bool = False,
    ) -> Reservation:
        return tx.reserve(
            identity=case.identity,
            call=case.call,
            call_key=case.key,
            effects=(*case.assessment.effects, *case.assessment.shadowed),
            now_ms=now_ms,
            settle_by_ms=now_ms + int(self._settings.settle_after_s * 1000),
            approved=approved,
            unlimited=unlimited or self._settings.shadow,
            dry=dry,
        )

    def _counted(
        self, case: _Case, tx: Transaction, now_ms: int, *, dry: bool = False
    ) -> Sequence[Entry]:
        """Returns the model side's entries of the same action: seen on two sides it counts once.

        Binding spares a call the budgets, not the rules: what holds it here, and was not part of what
        a human approved there, holds it still (another host, a path with two readings).
        """
        return self._bound(case, case.assessment.effects, tx, now_ms, dry=dry)

    def _counted_in_shadow(
        self, case: _Case, tx: Transaction, now_ms: int, *, dry: bool = False
    ) -> Sequence[Entry]:
        """The same for what only files in shadow know of; it is never the other side of anything else."""
        return self._bound(case, case.assessment.shadowed, tx, now_ms, dry=dry)

    def _bound(
        self,
        case: _Case,
        effects: Sequence[ChargedEffect],
        tx: Transaction,
        now_ms: int,
        *,
        dry: bool,
    ) -> Sequence[Entry]:
        if case.call.side is Side.MODEL or not effects:
            return ()
        bound = tx.bind(
            session=case.identity.session,
            effects=[charged.effect for charged in effects],
            call_key=case.key,
            since_ms=now_ms - int(self._settings.settle_after_s * 1000),
            dry=dry,
        )
        return bound or ()

    def _once_in_shadow(self, case: _Case, tx: Transaction, now_ms: int) -> _Case:
        """Leaves out what files in shadow have counted on the model's side of the action already."""
        if not self._counted_in_shadow(case, tx, now_ms, dry=True):
            return case
        self._counted_in_shadow(case, tx, now_ms)
        return replace(case, assessment=replace(case.assessment, shadowed=()))

    def _again_besides(self, case: _Case, entry: Entry) -> _Case:
        """Assesses a call again, now that its other side is known: that side's steps are its own."""
        asked = case.asked
        case.facts.besides = entry.call_key
        rules = self._in_force.rules
        assessment = rules.assess(asked.call, case.identity, asked.http, case.facts)
        return replace(case, assessment=self._in_mode(assessment, case.grants))

    def _approved_there(self, entries: Sequence[Entry], tx: Transaction) -> set[str]:
        """Returns the rules that held the model side of an action, and that a human approved there."""
        past = tx.past_decision(entries[0].call_key)
        if past is None or past.hold_id is None:
            return set()
        if past.hold_id.startswith(_BY_GRANT):
            grant = tx.grant(past.hold_id.removeprefix(_BY_GRANT))
            return set(grant.rules) if grant is not None else set()
        hold = tx.hold(past.hold_id)
        return {r.rule for r in hold.reasons if not r.shadow} if hold is not None else set()

    def _drift(self, case: _Case, tx: Transaction, now_ms: int) -> Entry | None:
        """Returns the model-side entry that a tool-side call is like, and differs from."""
        effects: Sequence[ChargedEffect] = case.assessment.effects
        if case.call.side is Side.MODEL or not effects:
            return None
        return tx.drifted_from(
            session=case.identity.session,
            effects=[charged.effect for charged in effects],
            since_ms=now_ms - int(self._settings.settle_after_s * 1000),
        )

    def _open_hold(self, case: _Case, tx: Transaction, now_ms: int) -> Hold | None:
        """Returns the hold that this call joins, or whose approval it may use: its session's own, else one
        of its agent's where all that hold it say so (`any_session`).
        """
        call, agent = case.call, case.identity.agent
        hold = tx.open_hold_for(
            session=case.identity.session,
            name=call.name,
            args_sha256=call.args_sha256,
            now_ms=now_ms,
            namespace=call.namespace,
        )
        # A session's name can be claimed; an answer given for one agent serves no other.
        if hold is not None and hold.agent == agent:
            return hold
        if not any(approval.any_session for approval in self._in_force.rules.approvals):
            return None
        elsewhere = tx.open_holds_of_agent(
            agent=agent,
            name=call.name,
            args_sha256=call.args_sha256,
            now_ms=now_ms,
            namespace=call.namespace,
        )
        for other in elsewhere:
            if other.side is call.side and other.asks and all(a.any_session for a in other.asks):
                return other
        return None

    def _held(
        self,
        case: _Case,
        hold: Hold | None,
        reasons: tuple[Reason, ...],
        budgets: tuple[BudgetState, ...],
        tx: Transaction,
        emit: Emit,
        now_ms: int,
    ) -> Hold:
        """Returns the hold that a call waits under: the one that is open, if humans are told all in it."""
        if hold is not None and hold.state is HoldState.PENDING and self._was_shown(hold, reasons):
            return hold
        made = self._new_hold(case, reasons, budgets, now_ms)
        tx.add_hold(made)
        self._in_force.happenings.held(tx, made)
        if hold is not None and hold.state in _OPEN:
            old = replace(hold, superseded_by=made.id)
            old = transition(old, HoldEvent.SUPERSEDE, now_ms=now_ms)
            tx.put_hold(old)
            emit(hold_record(old, "superseded", reason="the rules say more of this call now"))
            self._in_force.happenings.moved(tx, old, "superseded")
        return made

    def _was_shown(self, hold: Hold, reasons: Sequence[Reason]) -> bool:
        """Whether a hold tells, and asks, all that the rules in force say of its call now.

        What came since is asked anew. What humans were told as in shadow they were not asked about.
        """
        shown = {reason.rule for reason in hold.reasons if not reason.shadow}
        holding = [r for r in reasons if r.verdict is Verdict.HOLD and not r.shadow]
        asked = {(ask.rule, ask.by, ask.approvals) for ask in hold.asks}
        asks = asks_of(self._in_force.rules.approvals, (*holding, *hold.reasons))
        return all(r.rule in shown for r in holding) and all(
            (ask.rule, ask.by, ask.approvals) in asked for ask in asks
        )

    def _new_hold(
        self,
        case: _Case,
        reasons: tuple[Reason, ...],
        budgets: tuple[BudgetState, ...],
        now_ms: int,
    ) -> Hold:
        call, identity = case.call, case.identity
        return Hold(
            id=str(uuid_utils.uuid7()),
            state=HoldState.PENDING,
            session=identity.session,
            agent=identity.agent,
            name=call.name,
            args_sha256=call.args_sha256,
            provider=call.provider,
            side=call.side,
            call_id=call.id,
            arguments=redact(case.facts.shown(call.arguments)),
            reasons=reasons,
            budgets=budgets,
            effects=_shown_effects(case),
            rules_digest=case.rules_digest,
            created_at_ms=now_ms,
            expires_at_ms=now_ms + int(self._settings.hold_expiry_s * 1000),
            namespace=call.namespace,
            human=identity.human,
            asks=asks_of(self._in_force.rules.approvals, reasons),
            asked=case.facts.notes.record(call.arguments),
        )

    def _expire(self, hold: Hold, tx: Transaction, emit: Emit, now_ms: int) -> Hold:
        hold = transition(hold, HoldEvent.EXPIRE, now_ms=now_ms)
        tx.put_hold(hold)
        emit(hold_record(hold, "expired"))
        self._in_force.happenings.moved(tx, hold, "expired")
        return hold

    def _conclude(
        self,
        case: _Case,
        tx: Transaction,
        emit: Emit,
        now_ms: int,
        decision: Decision,
        *,
        before: PastDecision | None,
    ) -> Decision:
        hold_id = decision.hold.id if decision.hold is not None else None
        if hold_id is None and decision.grants:
            hold_id = f"{_BY_GRANT}{decision.grants[0]}"
        tx.record_decision(
            case.key, case.identity, decision.verdict, hold_id, now_ms, before=before
        )
        if decision.verdict is Verdict.ALLOW and not case.call.kind.startswith("model_request"):
            self._story.released(
                tx, case.facts, case.call, case.identity, case.key, case.assessment
            )
            if not case.assessment.known_in_shadow:
                case.watch.released(case.call, case.asked.http, case.assessment)
        if before is None and not case.call.kind.startswith("model_request"):
            tx.count_call(case.identity.agent, now_ms)
        if before is None:  # when a held call passes later, its hold's `used` record tells
            arguments: Json = redact(case.facts.shown(case.call.arguments))
            emit(
                decision_record(
                    decision,
                    case.identity,
                    (*_shown_effects(case), *_shown_effects(case, in_shadow=True)),
                    arguments,
                    asked=case.facts.notes.record(case.call.arguments),
                    rules_digest=case.rules_digest,
                    elapsed_us=(time.perf_counter_ns() - case.started_ns) // 1000,
                )
            )
        return decision


_BY_GRANT = "grant:"
"""Before a grant's id, where the hold's stands that let a call pass."""
_OPEN = (HoldState.PENDING, HoldState.APPROVED)


def _acting(watch: Watch) -> tuple[InForce, InForce]:
    """What signals have set in force, and what those in shadow would have besides."""
    acting = watch.acting()
    beside = [one for one in acting if one.shadow]
    return (
        in_force(one for one in acting if not one.shadow),
        in_force(beside) if beside else NOTHING_IN_FORCE,
    )


def _shown_effects(case: _Case, *, in_shadow: bool = False) -> tuple[Effect, ...]:
    """A call's effects as they may be written down: a target can carry a secret away."""
    charged_effects = case.assessment.shadowed if in_shadow else case.assessment.effects
    effects = (charged.effect for charged in charged_effects)
    return tuple(
        e if e.target is None else replace(e, target=case.facts.shown(e.target)) for e in effects
    )


def _standing_for(hold_id: str, tx: Transaction) -> Hold | None:
    """Returns a hold, or the one that stands for its call by now."""
    hold = tx.hold(hold_id)
    while hold is not None and hold.superseded_by is not None:
        hold = tx.hold(hold.superseded_by)
    return hold


def _drift_reason(entry: Entry) -> Reason:
    text = (
        f"Drift: the model's call {entry.name} ({entry.call_id or 'without an id'}) was let through "
        "with other arguments; this one is judged afresh."
    )
    return Reason("drift", text, Verdict.ALLOW)


def _budget_reason(state: BudgetState, scaled: InForce) -> Reason:
    text = budget_text(state)
    if state.name in scaled.scales:
        why = scaled.because[f"budget:{state.name}"]
        text = f"{text} {why} Its limit is {plain(scaled.scales[state.name])} of what it was."
    return Reason(
        rule=state.name,
        text=text,
        verdict=state.on_exceed,
        file=state.file,
        line=state.line,
        shadow=state.shadow,
    )
