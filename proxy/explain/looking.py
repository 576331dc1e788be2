"""From what a rule set was asked to findings: each effect, gate, precondition, chain and budget with what it came to.

What belongs here: putting names, places, values and words to what `listening.py` has noted. It runs while the transaction of
the trial is open, since conditions are asked once more, part by part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from proxy.canonical import number_text
from proxy.explain.findings import (
    Asked,
    BudgetFound,
    Came,
    ChainFound,
    EffectFound,
    Place,
    RequireFound,
    RuleFound,
    StepFound,
)
from proxy.explain.listening import Act, Hearing
from proxy.explain.parts import parts_of
from proxy.explain.shown import Shown, span
from proxy.explain.trial import Outcome
from proxy.model import BudgetState, Json, Measure, Reason
from proxy.policy.amounts import AmountFault, read_amount, read_target
from proxy.policy.budgets import Budget
from proxy.policy.cel import (
    GATE,
    REQUIRES,
    ROUTE,
    TOOL,
    Dialect,
    Expression,
    ExpressionFault,
    Scope,
)
from proxy.policy.chains import CHECKPOINT, Chain, Step, _key
from proxy.policy.effects import CompiledEffect
from proxy.policy.facts import InForce, Position
from proxy.policy.gates import Gate
from proxy.policy.requires import Require, _variables
from proxy.policy.site import Site
from proxy.policy.tools import ToolEntry


@dataclass(frozen=True, slots=True)
class Looking:
    """One assessment, looked into."""

    heard: Hearing
    reasons: Sequence[Reason]  # of the decision
    shown: Shown

    # --- effects -----------------------------------------------------------------------------------
    def effects(self) -> Iterator[EffectFound]:
        """Yields the call's effects, and those that its entry could have had and has not."""
        made = {id(act.produced.source) for act in self.heard.acts if act.produced is not None}
        for act in self.heard.acts:
            yield self._effect(act)
        for found in self.heard.found:
            if found.tool.reader is None:
                yield from self._absent(found.tool, made)

    def _effect(self, act: Act) -> EffectFound:
        effect, source = act.effect, act.produced.source if act.produced is not None else None
        told: dict[str, Json] = {
            "kind": effect.kind,
            "amount": effect.amount,
            "unit": effect.unit,
            "target": self.shown.value(effect.target),
            "reversibility": effect.reversibility.value,
            "points": effect.points,
        }
        if source is None:
            return EffectFound(told, None, "")
        dialect = self._dialect(source)
        asked = () if dialect is None else tuple(self._of_effect(source, dialect, act.scope))
        faults = [] if dialect is None else list(_faults(source, act.scope))
        place = _place(source.site)
        return EffectFound(told, place, source.tool, asked, faults=tuple(faults))

    def _absent(self, tool: ToolEntry, made: set[int]) -> Iterator[EffectFound]:
        scope = next(iter(self.heard.scopes), None)
        dialect = TOOL if tool.route is None else ROUTE
        for source in tool.effects:
            if id(source) in made or source.when is None or scope is None:
                continue
            asked = self.asked("when", source.when, source.site.at("when"), dialect, scope)
            yield EffectFound(
                {"kind": source.kind}, _place(source.site), tool.label, (asked,), counted=False
            )

    def _dialect(self, source: CompiledEffect) -> Dialect | None:
        """Returns what an effect is written in; None where its scope was a reader's own."""
        for found in self.heard.found:
            if any(source is one for one in found.tool.effects):
                return TOOL if found.tool.route is None else ROUTE
        return None

    def _of_effect(self, source: CompiledEffect, dialect: Dialect, scope: Scope) -> Iterator[Asked]:
        parts = (
            ("when", source.when, ("when",)),
            ("amount", source.amount, ("amount",)),
            ("unit", source.unit, ("unit", "from")),
            ("target", source.target, ("target",)),
        )
        for name, expression, path in parts:
            if isinstance(expression, Expression):
                yield self.asked(name, expression, source.site.at(*path), dialect, scope)

    # --- gates ---------------------------------------------------------------------------------------
    def gates(self) -> Iterator[RuleFound]:
        """Yields the gates that were asked."""
        for gate in self.heard.gates:
            yield self._gate(gate)

    def _gate(self, gate: Gate) -> RuleFound:
        chosen, came = _deciding(gate, self.heard.scopes)
        site = gate.site.at("when")
        about = ""
        if len(self.heard.acts) > 1:
            act = next((act for act in self.heard.acts if act.scope is chosen), None)
            about = "" if act is None else self._named(act)
        asked = () if chosen is None else (self.asked(about, gate.when, site, GATE, chosen),)
        reason = self._reason(gate.name)
        verdict = (
            reason.verdict if reason is not None and came is not Came.NOT_MATCHED else gate.verdict
        )
        text = self.shown.text(reason.text) if reason is not None else gate.message or ""
        return RuleFound(gate.name, _place(site), came, verdict, asked, text, gate.shadow)

    def not_asked(self) -> Iterator[str]:
        """Yields the names of the gates that cannot be about this call."""
        asked = {gate.name for gate in self.heard.gates}
        yield from (gate.name for gate in self.heard.loaded.gates if gate.name not in asked)

    # --- preconditions ---------------------------------------------------------------------------------
    def requires(self) -> Iterator[RequireFound]:
        """Yields the preconditions of the call's effects."""
        for at, act in enumerate(self.heard.acts):
            for require in self.heard.requires.get(at, ()):
                yield self._require(require, act)

    def _require(self, require: Require, act: Act) -> RequireFound:
        facts = self.heard.facts
        kinds, tools = self.heard.evidence_kinds[require.name]
        target = act.effect.target if require.same_target else None
        missing = (
            require.judge(act.effect, act.scope, facts, kinds, tools) if facts is not None else None
        )
        evidence = self.heard.evidence.get((tuple(kinds), target))
        asked: tuple[Asked, ...] = ()
        if evidence is None or facts is None:
            said = "none was observed"
        else:
            age_ms = facts.now_ms - evidence.at_ms
            within = f", at most {span(require.within_ms)} counts" if require.within_ms else ""
            how = "failed" if evidence.is_error else "a result"
            said = (
                f"{how} of {self.shown.text(evidence.tool)} ({evidence.kind}), seen on the {evidence.side} side, "
                f"{span(age_ms)} old{within}"
            )
            if require.when is not None:
                scope = Scope(_variables(evidence, age_ms), act.scope)
                site = require.site.at("when")
                asked = (self.asked("", require.when, site, REQUIRES, scope),)
        return RequireFound(
            require.name,
            _place(require.site),
            Came.MATCHED if missing is not None else Came.NOT_MATCHED,
            require.verdict,
            " or ".join(require.evidence),
            None if target is None else str(self.shown.value(target)),
            said,
            asked,
            self.shown.text(missing.text) if missing is not None else "",
            require.shadow,
        )

    # --- chains ------------------------------------------------------------------------------------------
    def chains(self) -> Iterator[ChainFound]:
        """Yields the chains that the call's effects are about, each once a target."""
        for chain in self.heard.chains:
            keys = dict.fromkeys(
                _key(act.effect.target or "") if chain.same_target else ""
                for act in self.heard.acts
                if chain.concerns(act.effect.kind)
            )
            for key in keys:
                yield self._chain(chain, key)

    def _chain(self, chain: Chain, key: str) -> ChainFound:
        stored = self.heard.positions.get((chain.name, key), ())
        before = {p.index: p for p in stored if p.index >= 0}
        advances = self.heard.assessment.advances if self.heard.assessment is not None else ()
        moved = next((a for a in advances if (a.chain, a.key) == (chain.name, key)), None)
        after = before if moved is None else {p.index: p for p in moved.positions if p.index >= 0}
        reason = self._reason(chain.name)
        matched = reason is not None
        kinds = [act.effect.kind for act in self.heard.acts]
        label = self._by_label(chain) if 0 not in before and chain.steps[0].labels else None
        steps = tuple(
            _step(step, i, before, after, kinds, label, matched, len(chain.steps))
            for i, step in enumerate(chain.steps)
        )
        far = len(chain.steps) if matched else max(after, default=-1) + 1
        far = max(far, 1 if label is not None else 0)
        met = max(max(before, default=-1) + 1, 1 if label is not None else 0)
        return ChainFound(
            chain.name,
            _place(chain.site),
            Came.MATCHED if matched else Came.NOT_MATCHED,
            chain.verdict,
            steps,
            met,
            far,
            _chain_note(chain, kinds, matched, met, far, cleared=moved is not None and not after),
            chain.shadow,
        )

    def _by_label(self, chain: Chain) -> Position | None:
        """A first step that is a result: the newest that was observed."""
        facts = self.heard.facts
        if facts is None:
            return None
        labels = [x for x in facts.seen.labels if chain.steps[0].has_label(x)]
        if not labels:
            return None
        at_ms, label = max((facts.label_ms(x), x) for x in labels)
        return Position(0, at_ms, at_ms, (f"a result with {label}",))

    # --- what all of them need -------------------------------------------------------------------------------
    def asked(
        self, about: str, expression: Expression, site: Site, dialect: Dialect, scope: Scope
    ) -> Asked:
        """Returns an expression with its parts."""
        parts = parts_of(expression.text, dialect, scope, self.shown)
        return Asked(about, expression.text, _place(site), parts)

    def _named(self, act: Act) -> str:
        target = "" if act.effect.target is None else f" on {self.shown.value(act.effect.target)}"
        return f"{act.effect.kind}{target}"

    def _reason(self, rule: str) -> Reason | None:
        found = [r for r in self.reasons if r.rule == rule]
        return max(found, key=lambda r: r.verdict, default=None)


def budgets_found(
    outcome: Outcome, budgets: Iterable[Budget], in_force: InForce
) -> Iterator[BudgetFound]:
    """Yields the budgets that the call's effects count for, before and after."""
    stated = {budget.name: budget for budget in budgets}
    decision = outcome.decision
    for state in (*decision.budgets, *decision.shadow_budgets):
        budget = stated.get(state.name)
        yield BudgetFound(
            state.name,
            _place(budget.site) if budget is not None else None,
            state.scope,
            state.before,
            state.after,
            state.limit,
            state.unit,
            state.on_exceed,
            state.exceeded,
            state.warned,
            _budget_note(state, budget, in_force),
            state.shadow,
        )


def signals_found(in_force: InForce) -> Iterator[str]:
    """Yields what signals have set in force, in words."""
    if in_force.frozen is not None:
        yield f"frozen: {in_force.frozen}"
    for name, factor in in_force.scales.items():
        why = in_force.because.get(f"budget:{name}", "")
        yield f"budget '{name}' is {number_text(factor)} of its limit: {why}"
    for name in sorted(in_force.raised):
        yield f"gate '{name}' blocks where it held: {in_force.because.get(f'gate:{name}', '')}"
    for pattern, verdict, why, signal in in_force.holds:
        yield f"{verdict.label} of {pattern} by '{signal}': {why}"


def reasons_found(
    reasons: Iterable[Reason], told: frozenset[str], shown: Shown
) -> Iterator[RuleFound]:
    """Yields the reasons of what is none of the rules that are told by themselves."""
    for reason in reasons:
        if reason.rule in told:
            continue
        place = None
        if reason.file is not None and reason.line is not None:
            place = Place(reason.file, reason.line, 1)
        text = shown.text(reason.text)
        yield RuleFound(
            reason.rule, place, Came.MATCHED, reason.verdict, text=text, shadow=reason.shadow
        )


def _place(site: Site) -> Place:
    problem = site.document.problem(site.path, "")
    return Place(problem.file, problem.line, problem.col)


def _deciding(gate: Gate, scopes: Sequence[Scope]) -> tuple[Scope | None, Came]:
    """Returns the effect that a gate's answer is about, as the gate itself looks for it."""
    doubtful: Scope | None = None
    for scope in scopes:
        try:
            if gate.when.truth(scope):
                return scope, Came.MATCHED
        except ExpressionFault:
            doubtful = doubtful or scope
    if doubtful is not None:
        return doubtful, Came.FAULT
    return next(iter(scopes), None), Came.NOT_MATCHED


def _faults(source: CompiledEffect, scope: Scope) -> Iterator[str]:
    """Yields what of an effect could not be read, and why the value is not one."""
    for name, expression, read in (
        ("amount", source.amount, read_amount),
        ("target", source.target, read_target),
    ):
        if not isinstance(expression, Expression):
            continue
        try:
            read(expression.value(scope))
        except AmountFault as error:
            yield f"{name} '{expression.text}': the value {error}"
        except ExpressionFault as error:
            yield f"{name} '{expression.text}': {error}"


def _step(
    step: Step,
    index: int,
    before: Mapping[int, Position],
    after: Mapping[int, Position],
    kinds: Sequence[str],
    label: Position | None,
    matched: bool,
    total: int,
) -> StepFound:
    what = " or ".join((*step.kinds, *(f"a result with {x}" for x in step.labels)))
    if step.when is not None:
        what = f"{what} when {step.when.text}"
    stood = before.get(index) or (label if index == 0 else None)
    now = after.get(index)
    is_last = index == total - 1
    if (matched and is_last) or (now is not None and now is not stood and now != before.get(index)):
        return StepFound(what, "now", "" if now is None else now.via[-1] if now.via else "")
    if stood is not None:
        return StepFound(what, "met", stood.via[-1] if stood.via else "", stood.at_ms)
    later = [p for i, p in sorted(before.items()) if i > index and len(p.via) > index]
    if later:
        return StepFound(what, "met", later[0].via[index], None)
    return StepFound(what, "open")


def _chain_note(
    chain: Chain, kinds: Sequence[str], matched: bool, met: int, far: int, *, cleared: bool
) -> str:
    parts: list[str] = []
    if cleared:
        parts.append("this call clears it")
    last = chain.steps[-1]
    if not matched and met == len(chain.steps) - 1 and any(map(last.has_kind, kinds)):
        flow = {
            "possible": "no flow from the first step is possible: its result was not seen, or user and system "
            "have said all that this call carries",
            "observed": "nothing of what the first step brought is in this call",
        }.get(chain.flow, "a step before it is too long ago, or its condition is false")
        parts.append(f"this call is its last step, but {flow}")
    elif not matched and far > 0 and far < len(chain.steps):
        parts.append(f"{len(chain.steps) - far} more to complete it")
    if chain.window_ms is not None:
        parts.append(f"all within {span(chain.window_ms)}")
    if chain.unless:
        named = ["a human's approval" if kind == CHECKPOINT else kind for kind in chain.unless]
        parts.append(f"cleared by {' or '.join(named)} in between")
    return "; ".join(parts)


def _budget_note(state: BudgetState, budget: Budget | None, in_force: InForce) -> str:
    parts: list[str] = []
    if budget is not None:
        if budget.measure is Measure.COUNT:
            parts.append("a count")
        elif budget.measure is Measure.DISTINCT:
            parts.append("different targets")
        if budget.window_ms is not None:
            parts.append(f"in {span(budget.window_ms)}")
        if budget.since_checkpoint:
            parts.append("since a human's last approval")
    if state.name in in_force.scales:
        factor = number_text(in_force.scales[state.name])
        parts.append(f"its limit is {factor} of what it was, by a signal")
    return ", ".join(parts)
