"""What would have allowed a call: searched for, and judged before it is told.

What belongs here: for each rule that stops the call the smallest changes that clear it, and, where several stop it, those that
clear all at once. Every change is put to the proxy's own judge in the very state in which the call was stopped. How many
judgements are spent has an end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import combinations

from proxy.canonical import number_text
from proxy.explain.arguments import (
    ABSENT,
    Candidate,
    Path,
    candidates,
    leaves,
    name_of,
    path_of,
    with_value,
)
from proxy.explain.before import earlier_calls
from proxy.explain.listening import Hearing, ListeningRules
from proxy.explain.nearest import nearest
from proxy.explain.shown import Shown, literal, moment, span
from proxy.explain.trial import Asking, Evidence, Outcome, Trials
from proxy.explain.way import Way
from proxy.model import BudgetState, Json, Verdict
from proxy.policy.budgets import Budget
from proxy.policy.cel import Expression
from proxy.policy.celtree import Node, parse
from proxy.policy.load import Loaded

MOST_TRIALS = 1500
_MOST_WAYS = 3
_MOST_PAIRED = 8
_CENT = Decimal("0.01")
_NUMBER_TEXT = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,6})?")

type _Changes = tuple[tuple[Path, Json], ...]
type _Goal = Callable[[Outcome], bool]


@dataclass(frozen=True, slots=True)
class _Found:
    """A change of arguments that came to something."""

    changes: _Changes
    words: str
    outcome: Outcome
    distance: Decimal


@dataclass(slots=True)
class Search:
    """One call that was stopped, and what is tried with it."""

    asking: Asking
    outcome: Outcome
    hearings: Sequence[Hearing]
    trials: Trials
    rules: ListeningRules
    shown: Shown
    amounts: dict[Path, str] = field(default_factory=dict)  # arguments that are an effect's amount
    _aliases: dict[str, Path] = field(default_factory=dict)
    _trees: list[Node] = field(default_factory=list)
    _known: dict[_Changes, Outcome | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for heard in self.hearings:
            texts = [gate.when.text for gate in heard.gates]
            texts += [s.when.text for c in heard.chains for s in c.steps if s.when is not None]
            for act in heard.acts:
                if act.produced is None:
                    continue
                source = act.produced.source
                for name, expression in (("amount", source.amount), ("target", source.target)):
                    if not isinstance(expression, Expression):
                        continue
                    path = path_of(parse(expression.text), {})
                    if path:
                        self._aliases.setdefault(f"effect.{name}", path)
                        if name == "amount":
                            self.amounts[path] = act.effect.unit or ""
            for found in heard.found:
                for effect in found.tool.effects:
                    texts += [] if effect.when is None else [effect.when.text]
            self._trees += [parse(text) for text in texts]

    @property
    def stopping(self) -> tuple[str, ...]:
        """The rules that stop the call, in the order of the decision."""
        reasons = (r for r in self.outcome.decision.reasons if r.verdict > Verdict.ALLOW)
        return tuple(dict.fromkeys(r.rule for r in reasons))

    # --- changes of arguments ------------------------------------------------------------------------
    def of_arguments(self, rule: str) -> list[Way]:
        """Returns the smallest changes of one argument each that clear a rule."""
        found = self._singles(lambda outcome: rule not in outcome.stopping)
        return [self._way(one, rule) for one in found[:_MOST_WAYS]]

    def all_at_once(self) -> Way | None:
        """Returns the smallest change with which the call passes, else the one that leaves least; None for nothing.

        Changes of arguments come first, alone and together, then with a call that is made before.
        """
        singles = self._singles(_passes)
        if singles:
            return self._way(singles[0], "")
        best: tuple[int, Way] | None = None
        for several in self._together():
            changes = tuple({p: v for one in several for p, v in one.changes}.items())
            words = " and ".join(one.words for one in several)
            for before, said in self._with_calls_before():
                outcome = self._tried(changes) if before is None else self._after(changes, before)
                if outcome is None:
                    continue
                found = _Found(changes, f"{said}{words}", outcome, Decimal(0))
                if _passes(outcome):
                    return self._way(found, "")
                if best is None or len(outcome.stopping) < best[0]:
                    best = len(outcome.stopping), self._way(found, "")
        return best[1] if best is not None and best[0] < len(self.stopping) else None

    def _together(self) -> Iterator[tuple[_Found, ...]]:
        """Yields changes of different arguments, a few at first, of which each clears a rule."""
        each: dict[_Changes, _Found] = {}
        for rule in self.stopping:
            for one in self._singles(lambda outcome, r=rule: r not in outcome.stopping)[:2]:  # type: ignore[misc]
                each.setdefault(one.changes, one)
        nearest_first = list(each.values())[:_MOST_PAIRED]
        for size in range(1, len(self.stopping) + 1):
            for several in combinations(nearest_first, size):
                if len({one.changes[0][0] for one in several}) == size:
                    yield several

    def _with_calls_before(self) -> Iterator[tuple[Evidence | None, str]]:
        yield None, ""
        for rule in self.stopping:
            for one in earlier_calls(rule, self.hearings, self.rules, self.asking):
                yield one.evidence, f"{one.text}; and "

    def _after(self, changes: _Changes, before: Evidence) -> Outcome | None:
        if self.trials.count >= MOST_TRIALS:
            return None
        arguments = self.asking.arguments
        for path, value in changes:
            arguments = with_value(arguments, path, value)
        return self.trials.outcome(self.asking.with_arguments(arguments), before=before)

    def _singles(self, goal: _Goal) -> list[_Found]:
        values = leaves(self.asking.arguments)
        known = list(candidates(self._trees, self._aliases, values))
        numbers: dict[Path, list[Decimal]] = {}
        for one in known:
            if isinstance(one.value, int | Decimal) and not isinstance(one.value, bool):
                numbers.setdefault(one.path, []).append(Decimal(one.value))
        found: list[_Found] = []
        for path, value in values.items():
            if isinstance(value, bool):
                known.append(Candidate(path, not value))
            elif (stated := _as_number(value)) is not None:
                found += self._number(path, value, stated, numbers.get(path, ()), goal)
        for one in known:
            if _as_number(values.get(one.path)) is not None and _as_number(one.value) is not None:
                continue  # looked for among all numbers
            outcome = self._tried(((one.path, one.value),))
            if outcome is not None and goal(outcome):
                words = one.words or literal(one.value)
                distance = Decimal(1) if one.value is not ABSENT else Decimal(2)
                found.append(
                    _Found(
                        ((one.path, one.value),),
                        f"{self._name(one.path)}: {words}",
                        outcome,
                        distance,
                    )
                )
        unique = {one.changes[0]: one for one in reversed(found)}
        return sorted(unique.values(), key=lambda one: one.distance)

    def _number(
        self, path: Path, value: Json, stated: Decimal, hints: Iterable[Decimal], goal: _Goal
    ) -> Iterator[_Found]:
        def holds(tried: Decimal) -> bool:
            outcome = self._tried(((path, _like(value, tried)),))
            return outcome is not None and goal(outcome)

        step = Decimal(1) if isinstance(value, int) else max(_CENT, _least(stated))
        near = [*hints, *self._left_of_budgets(path, stated)]
        fractions = (one for one in near if one % step)
        step = min([step, *(max(_CENT, _least(one)) for one in fractions)])
        best = nearest(stated, holds, step, near)
        if best is None or (path in self.amounts and best <= 0):
            return
        changes = ((path, _like(value, best)),)
        outcome = self._tried(changes)
        if outcome is None:
            return
        unit = f" {self.amounts[path]}" if self.amounts.get(path) else ""
        bound = "at most" if best < stated else "at least"
        beyond = best + step if best < stated else best - step
        if beyond != stated and holds(beyond):
            bound = "for example"
        words = f"{self._name(path)} {bound} {number_text(best)}{unit}"
        distance = abs(best - stated) / max(abs(stated), Decimal(1))
        yield _Found(changes, words, outcome, distance)

    def _left_of_budgets(self, path: Path, stated: Decimal) -> Iterator[Decimal]:
        """Yields the amounts with which a sum that is exceeded would just fit."""
        if path in self.amounts:
            for state in self.outcome.decision.budgets:
                left = stated - (state.after - state.limit)
                if state.exceeded and left > 0:
                    yield left

    def _tried(self, changes: _Changes) -> Outcome | None:
        """Judges the call with other arguments; None where enough was tried, or its effects are gone.

        An amount of nothing is no smaller amount: what such a call does is nothing.
        """
        if changes not in self._known:
            if self.trials.count >= MOST_TRIALS:
                return None
            arguments = self.asking.arguments
            for path, value in changes:
                arguments = with_value(arguments, path, value)
            try:
                self._known[changes] = self.trials.outcome(self.asking.with_arguments(arguments))
            except (ValueError, RecursionError):
                self._known[changes] = None
        return self._known[changes]

    def _name(self, path: Path) -> str:
        return name_of(path, "args" if self.asking.http is None else "body")

    def _way(self, found: _Found, rule: str) -> Way:
        changes = tuple(
            (self._name(path), None if value is ABSENT else self.shown.value(value, str(path[-1])))
            for path, value in found.changes
        )
        words = found.words
        state = self._state(rule)
        amount = found.changes[0][0] in self.amounts
        if state is not None and amount and " at most " in words:
            words += f" ({number_text(state.limit)} - {number_text(state.before)} used)"
        kind = "argument" if len(changes) == 1 else "arguments"
        return self._told(Way(kind, self.shown.text(words), rule, changes), found.outcome)

    def _state(self, rule: str) -> BudgetState | None:
        states = [s for s in self.outcome.decision.budgets if s.name == rule and s.exceeded]
        return max(states, key=lambda s: s.after - s.limit, default=None)

    def _told(self, way: Way, outcome: Outcome) -> Way:
        passes = outcome.verdict is Verdict.ALLOW
        return replace(way, allows=passes, remaining=tuple(sorted(outcome.stopping - {way.rule})))

    # --- time and limits -------------------------------------------------------------------------------
    def of_waiting(self, rule: str) -> Iterator[Way]:
        """Yields how long to wait until a rule has nothing against the call any more."""
        horizon_ms = self._window_ms(rule)
        if horizon_ms is None:
            return
        late_s = horizon_ms // 1000 + 1
        last = self._later(late_s)
        if rule in last.stopping:
            return
        early_s = 0
        while late_s - early_s > 1:
            middle_s = (early_s + late_s) // 2
            outcome = self._later(middle_s)
            if rule in outcome.stopping:
                early_s = middle_s
            else:
                late_s, last = middle_s, outcome
        text = f"wait until {moment(self.trials.at_ms + late_s * 1000)} ({span(late_s * 1000)})"
        before, after = self._state(rule), _state_of(last, rule)
        if before is not None and after is not None and before.before > after.before:
            unit = f" {before.unit}" if before.unit else ""
            gone = before.before - after.before
            text += (
                f", when {number_text(gone)}{unit} {'leaves' if gone == 1 else 'leave'} the window"
            )
        yield self._told(Way("wait", text, rule), last)

    def _later(self, later_s: int) -> Outcome:
        return self.trials.outcome(self.asking, later_ms=later_s * 1000)

    def _window_ms(self, rule: str) -> int | None:
        loaded = self.rules.loaded
        spans = [b.window_ms for b in loaded.budgets if b.name == rule]
        spans += [c.window_ms for c in loaded.chains if c.name == rule]
        return next((found for found in spans if found is not None), None)

    def of_limits(self, rule: str) -> Iterator[Way]:
        """Yields the limit with which a budget would not be exceeded."""
        state = self._state(rule)
        if state is None:
            return
        budget = next((b for b in self.rules.loaded.budgets if b.name == rule), None)
        if budget is None or not state.limit:
            return
        needed = state.after * budget.limit / state.limit  # a signal may have shrunk it
        outcome = self._under(_with_limit(self.rules.loaded, rule, needed))
        if rule in outcome.stopping:
            return
        unit = f" {state.unit}" if state.unit and state.unit != "points" else ""
        text = f"a higher limit of '{rule}': at least {number_text(needed)}{unit}"
        yield self._told(Way("limit", text, rule), outcome)

    def _under(self, loaded: Loaded) -> Outcome:
        """Judges the call by other rules. Compiled effects know their budgets, so these are set again."""
        with self.trials.under(ListeningRules(loaded)):
            outcome = self.trials.outcome(self.asking)
        ListeningRules(self.rules.loaded)
        return outcome

    # --- what could have been called before --------------------------------------------------------------
    def of_earlier_calls(self, rule: str) -> Iterator[Way]:
        """Yields a call to be made before, with a result that clears a rule."""
        for one in earlier_calls(rule, self.hearings, self.rules, self.asking):
            outcome = self.trials.outcome(self.asking, before=one.evidence)
            if rule not in outcome.stopping:
                yield self._told(Way("first", self.shown.text(one.text), rule), outcome)
                return


def _passes(outcome: Outcome) -> bool:
    return outcome.verdict is Verdict.ALLOW


def _state_of(outcome: Outcome, rule: str) -> BudgetState | None:
    return next((s for s in outcome.decision.budgets if s.name == rule), None)


def _with_limit(loaded: Loaded, name: str, limit: Decimal) -> Loaded:
    def raised(budgets: Iterable[Budget]) -> list[Budget]:
        return [replace(b, limit=limit) if b.name == name else b for b in budgets]

    enforced = None if loaded.enforced is None else _with_limit(loaded.enforced, name, limit)
    return replace(loaded, budgets=raised(loaded.budgets), enforced=enforced)


def _as_number(value: Json) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if isinstance(value, str) and _NUMBER_TEXT.fullmatch(value):
        return Decimal(value)
    return None


def _like(value: Json, tried: Decimal) -> Json:
    """Returns a number in the form that the argument has."""
    if isinstance(value, str):
        return number_text(tried)
    return int(tried) if tried == tried.to_integral_value() else tried


def _least(value: Decimal) -> Decimal:
    """Returns the unit of a number's last digit, at most 1."""
    exponent = value.as_tuple().exponent
    return Decimal(1).scaleb(min(0, exponent)) if isinstance(exponent, int) else Decimal(1)
