"""Budgets as the rules state them: what an effect costs, and who pays.

What belongs here: turning effects into charges for the ledger, and the one kind of budget that needs
no ledger, `per: call`. The sums over time are the ledger's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fnmatch import fnmatchcase

from proxy.model import BudgetState, Charge, Effect, Identity, Measure, Reason, Verdict
from proxy.policy import schema
from proxy.policy.modes import in_shadow
from proxy.policy.problems import Problem, did_you_mean
from proxy.policy.site import Site
from proxy.policy.units import KNOWN_UNITS

_ONE = Decimal(1)
_WIDE = Context(prec=120)
"""Sums of amounts of 36 digits stay exact; the default context rounds at 28."""

POINTS = "points"
"""The unit of effects' prices (`points.py`)."""

SPENDING = frozenset({"tokens.input", "tokens.output", "spend"})
"""Kinds of effects that no tool has: what a model request itself costs (`pipeline/spending.py`)."""

VERDICTS = {"allow": Verdict.ALLOW, "hold": Verdict.HOLD, "block": Verdict.BLOCK}


class UnitsCounted:
    """Which units the budgets over one kind count.

    What a budget in shadow counts is no answer to one that is enforced: else a rule that stops nothing would let pass what
    is held without it.
    """

    def __init__(self, covering: Iterable[Budget] = ()) -> None:
        budgets = [budget for budget in covering if budget.unit is not None]
        self._all = frozenset(budget.unit for budget in budgets)
        self._enforced = frozenset(budget.unit for budget in budgets if not budget.shadow)

    def beside(self, budget: Budget) -> frozenset[str | None]:
        """Returns the units that another budget counts instead of this one."""
        return self._all if budget.shadow else self._enforced


@dataclass(frozen=True, slots=True)
class Budget:
    """One entry of `budgets:`."""

    name: str
    of: tuple[str, ...]
    measure: Measure
    unit: str | None
    limit: Decimal
    per: str
    window_ms: int | None
    warn_at: Decimal | None
    on_exceed: Verdict
    site: Site
    file: str
    line: int
    since_checkpoint: bool = False  # it is full again when a human has looked
    shadow: bool = False  # it counts, and stops nothing
    was: tuple[str, ...] = ()  # former names: what was counted under them is its own

    def covers(self, kind: str) -> bool:
        return any(fnmatchcase(kind, pattern) for pattern in self.of)

    def names(self, kind: str) -> bool:
        """Whether it covers a kind by more than covering everything."""
        return self.unit != POINTS and any(p != "*" and fnmatchcase(kind, p) for p in self.of)

    def scopes(self, identity: Identity) -> tuple[str, ...]:
        """Returns who pays. A sub-session's effects are its own and those of all above it."""
        if self.per == "session":
            above = (identity.parent, *identity.ancestors)
            payers = (identity.session, *(name for name in above if name is not None))
            return tuple(dict.fromkeys(f"session:{name}" for name in payers))
        if self.per == "human" and identity.human is not None:
            return (f"human:{identity.human}",)
        return ("fleet",) if self.per == "fleet" else (f"agent:{identity.agent}",)

    def fault(self, effect: Effect, counted: UnitsCounted) -> str | None:
        """Returns why this budget cannot count an effect, None where it can or another one does."""
        if self.measure is Measure.DISTINCT and effect.target is None:
            return f"budget '{self.name}' counts targets, but this effect has none"
        if self.measure is not Measure.SUM or self.unit in (POINTS, effect.unit):
            return None
        if effect.unit is None:
            return f"budget '{self.name}' sums {self.unit}, but this effect has no amount"
        if effect.unit in counted.beside(self):
            return None
        return f"wrong unit: budget '{self.name}' sums {self.unit}, this effect is in {effect.unit}"

    def cost(self, effect: Effect) -> Decimal | None:
        """Returns what an effect adds, None where this budget does not count it."""
        if self.unit == POINTS:
            return effect.points
        if self.measure is Measure.SUM:
            return effect.amount if effect.unit == self.unit else None
        if self.measure is Measure.DISTINCT and effect.target is None:
            return None
        return _ONE

    def charges(
        self, effect: Effect, identity: Identity, scale: Decimal | None = None
    ) -> Iterable[Charge]:
        """Yields what an effect costs each who pays; `scale`: a signal has shrunk the limit."""
        amount = self.cost(effect)
        if amount is None or (self.unit == POINTS and not amount):
            return  # what costs no points does not touch the account
        limit = self.limit if scale is None else self.limit * scale
        member = effect.target if self.measure is Measure.DISTINCT else None
        for scope in self.scopes(identity):
            yield Charge(
                self.name,
                scope,
                self.measure,
                amount,
                limit,
                self.on_exceed,
                self.unit,
                member,
                self.window_ms,
                self.warn_at,
                self.file,
                self.line,
                shadow=self.shadow,
            )


def compile_budget(part: schema.Budget, site: Site) -> Budget | None:
    """Compiles one entry; mistakes go to the site's list."""
    measures = [
        measure
        for measure, value in (
            (Measure.COUNT, part.count),
            (Measure.SUM, part.sum),
            (Measure.DISTINCT, part.distinct),
        )
        if value is not None
    ]
    if len(measures) != 1:
        site.fault("needs exactly one of 'count: true', 'sum: UNIT' and 'distinct: target'")
        return None
    if part.per == "call" and part.window is not None:
        site.at("window").fault("'window' has no meaning with 'per: call'; remove it")
    return Budget(
        name=part.name,
        of=part.of,
        measure=measures[0],
        unit=part.sum,
        limit=part.limit,
        per=part.per,
        window_ms=part.window,
        warn_at=part.warn_at,
        on_exceed=VERDICTS[part.on_exceed],
        site=site,
        file=site.file,
        line=site.line,
        since_checkpoint=part.since is not None,
        was=part.was,
        shadow=in_shadow(part.mode, site),
    )


def check_unit(budget: Budget, seen: frozenset[str]) -> None:
    """Reports a unit that nothing is measured in."""
    known = KNOWN_UNITS | seen | {POINTS}
    if budget.unit is not None and budget.unit not in known:
        near = did_you_mean(budget.unit, known)
        hint = near or "; use an ISO 4217 code or a unit that an effect states"
        budget.site.at("sum").fault(f"unknown unit '{budget.unit}'{hint}")


def check_was(budgets: Sequence[Budget]) -> None:
    """Reports a former name that a budget in force has still, or that two claim."""
    named = {budget.name: budget.site for budget in budgets}
    claimed: dict[str, Site] = {}
    for budget in budgets:
        for was in budget.was:
            if was in named:
                where = f"{named[was].file}:{named[was].line}"
                text = f"'{was}' is no former name: the budget at {where} has it still"
            elif was in claimed:
                where = f"{claimed[was].file}:{claimed[was].line}"
                text = f"the former name '{was}' is claimed by the budget at {where} too"
            else:
                claimed[was] = budget.site
                continue
            budget.site.at("was").fault(f"was: {text}")


def check_kinds(budget: Budget, kinds: Iterable[str]) -> Iterable[Problem]:
    """Returns a warning for each stated kind that no tool produces."""
    produced = sorted({*kinds, *SPENDING})
    for pattern in budget.of:
        if pattern == "*" or any(fnmatchcase(kind, pattern) for kind in produced):
            continue
        near = did_you_mean(pattern, produced)
        yield budget.site.at("of").problem(f"no tool produces an effect '{pattern}'{near}")


def assess_call(
    effects: Iterable[tuple[Effect, tuple[Budget, ...]]],
    reasons: list[Reason],
    scales: Mapping[str, Decimal] | None = None,
) -> tuple[BudgetState, ...]:
    """Adds up the budgets that hold for one call alone; a limit exceeded is a reason."""
    totals: dict[str, tuple[Budget, Decimal]] = {}
    members: set[tuple[str, str | None]] = set()
    for effect, budgets in effects:
        for budget in budgets:
            amount = budget.cost(effect)
            if amount is None:
                continue
            if budget.measure is Measure.DISTINCT:
                if (budget.name, effect.target) in members:
                    continue
                members.add((budget.name, effect.target))
            before = totals[budget.name][1] if budget.name in totals else Decimal(0)
            totals[budget.name] = (budget, _WIDE.add(before, amount))
    states: list[BudgetState] = []
    for budget, total in totals.values():
        scale = (scales or {}).get(budget.name)
        limit = budget.limit if scale is None else budget.limit * scale
        warned = budget.warn_at is not None and total >= _WIDE.multiply(budget.warn_at, limit)
        state = BudgetState(
            budget.name,
            "call",
            Decimal(0),
            total,
            limit,
            budget.on_exceed,
            budget.unit,
            warned,
            budget.file,
            budget.line,
            budget.shadow,
        )
        states.append(state)
        if state.exceeded:
            unit = f" {budget.unit}" if budget.unit else ""
            text = f"budget '{budget.name}': {total}{unit} in this call, the limit is {limit}{unit}"
            reasons.append(
                Reason(budget.name, text, budget.on_exceed, budget.file, budget.line, budget.shadow)
            )
    return tuple(states)
