"""Limits that say nothing: one call alone is over them, or another limit is always reached first.

What belongs here: what a call costs for certain. An amount that is read from arguments may be anything and is no
ground for a warning; what is written in the file is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from proxy.model import Measure, Trust, Verdict
from proxy.policy.budgets import POINTS, Budget
from proxy.policy.effects import CompiledEffect
from proxy.policy.lint.place import related, warning
from proxy.policy.points import Prices
from proxy.policy.problems import Problem
from proxy.policy.signals import SCALE

if TYPE_CHECKING:
    from proxy.policy.load import Loaded, ToolEntry

_ONE = Decimal(1)


def single_call_exceeds(loaded: Loaded) -> Iterator[Problem]:
    """Yields budgets that one call is over, whatever its arguments are."""
    for budget in loaded.budgets:
        over: dict[str, tuple[Decimal, CompiledEffect]] = {}
        for tool in loaded.tools:
            if tool.guesses:
                continue
            for label, effects in _calls(tool):
                covered = [effect for effect in effects if budget.covers(effect.kind)]
                costs = [_least_cost(budget, effect, loaded.prices) for effect in covered]
                total = _total(budget, costs)
                if total > budget.limit:
                    over.setdefault(label, (total, covered[0]))
        if over:
            yield _exceeded(budget, over)


def _calls(tool: ToolEntry) -> Iterator[tuple[str, list[CompiledEffect]]]:
    """Yields what one call is sure to do: all that has no condition, and each that has one by itself.

    A shell line or a SQL text may be any mixture of its table's entries, so each effect there is by itself too.
    """
    if tool.reader is None:
        yield tool.label, [effect for effect in tool.effects if effect.when is None]
        yield from ((tool.label, [effect]) for effect in tool.effects if effect.when is not None)
    else:
        yield from ((effect.tool, [effect]) for effect in tool.all_effects)


def _least_cost(budget: Budget, effect: CompiledEffect, prices: Prices) -> Decimal:
    if budget.unit == POINTS:
        return _least_points(effect, prices)
    if budget.measure is Measure.SUM:
        known = isinstance(effect.amount, Decimal) and effect.unit == budget.unit
        return effect.amount if known and isinstance(effect.amount, Decimal) else Decimal(0)
    return _ONE


def _least_points(effect: CompiledEffect, prices: Prices) -> Decimal:
    """Returns the price for the best trusted agent, with no more data than the effect says."""
    if effect.points is not None:
        return effect.points
    least = min(prices.factor(effect.labels, trust) for trust in Trust)
    if not effect.labels:
        least *= min((_ONE, *prices.labels.values()))
    return prices.base(effect.kind, effect.reversibility.value) * least


def _total(budget: Budget, costs: Iterable[Decimal]) -> Decimal:
    if budget.measure is Measure.DISTINCT:
        return _ONE if any(costs) else Decimal(0)  # they may all be on one target
    return sum(costs, Decimal(0))


def _exceeded(budget: Budget, over: dict[str, tuple[Decimal, CompiledEffect]]) -> Problem:
    label, (total, effect) = next(iter(over.items()))
    more = f" (and of {len(over) - 1} more)" if len(over) > 1 else ""
    unit = f" {budget.unit}" if budget.unit else ""
    counted = f"{total}{unit}" if budget.unit else f"{total} effect{'' if total == 1 else 's'}"
    refused = "blocked" if budget.on_exceed is Verdict.BLOCK else "held"
    text = (
        f"one call of '{label}'{more} is {counted} already, over the limit of "
        f"{budget.limit}{unit}: every such call is {refused}"
    )
    where = related(effect.site, f"tool '{label}': {effect.kind}")
    return warning(budget.site.at("limit"), "single-call-exceeds", text, related=[where])


def shadowed_budgets(loaded: Loaded) -> Iterator[Problem]:
    """Yields budgets that are never the one that decides, beside another one of their own file.

    Files are made to be combined, and each keeps its own limits.
    """
    scaled = {a.name for signal in loaded.signals for a in signal.actions if a.verb == SCALE}
    seen: dict[object, list[Budget]] = {}
    for budget in loaded.budgets:
        key = (budget.file, frozenset(budget.of), budget.measure, budget.unit, budget.per)
        seen.setdefault(key, []).append(budget)
    for alike in seen.values():
        for i, budget in enumerate(alike):
            if budget.warn_at is not None or budget.name in scaled:
                continue  # it has a say of its own
            others = [
                other
                for j, other in enumerate(alike)
                if i != j and _is_first(other, budget) and not (_is_first(budget, other) and j > i)
            ]
            if others:
                yield _shadowed(budget, others[0])


def _is_first(budget: Budget, other: Budget) -> bool:
    """Whether a budget is exceeded, and at least as strict, whenever the other one is exceeded."""
    longer = budget.window_ms is None or (
        other.window_ms is not None and budget.window_ms >= other.window_ms
    )
    return (
        longer
        and budget.limit <= other.limit
        and budget.on_exceed >= other.on_exceed
        and (not budget.since_checkpoint or other.since_checkpoint)
        and (other.shadow or not budget.shadow)
    )


def _shadowed(budget: Budget, other: Budget) -> Problem:
    text = (
        f"never decides: the budget '{other.name}' is over the same effects and is exceeded first"
    )
    where = related(other.site, f"budget '{other.name}': limit {other.limit}")
    return warning(budget.site.at("name"), "shadowed-budget", text, related=[where])
