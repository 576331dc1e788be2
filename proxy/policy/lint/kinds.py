"""Rules about effects that nobody has, or that cannot be measured.

What belongs here: budgets, chains, requires and signals held against the kinds that entries of `tools`, `commands` and
`statements` produce, and budgets against the amounts and targets of what they cover.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from proxy.model import Measure
from proxy.policy.budgets import POINTS, Budget, check_kinds
from proxy.policy.chains import check_steps
from proxy.policy.effects import CompiledEffect
from proxy.policy.lint.place import as_warning, related, warning
from proxy.policy.problems import Problem
from proxy.policy.requires import check_require
from proxy.policy.signals import unmet_kinds

if TYPE_CHECKING:
    from proxy.policy.load import Loaded


def unproduced(loaded: Loaded) -> Iterator[Problem]:
    """Yields what rules name and no entry produces."""
    kinds = {effect.kind for tool in loaded.tools for effect in tool.all_effects}
    for chain in loaded.chains:
        yield from (as_warning(p, "impossible-step") for p in check_steps(chain, kinds))
    for require in loaded.requires:
        yield from (as_warning(p, "unproduced-kind") for p in check_require(require, kinds))
    for signal in loaded.signals:
        yield from (as_warning(p, "unproduced-kind") for p in unmet_kinds(signal, kinds))
    for budget in loaded.budgets:
        yield from (as_warning(p, "unproduced-kind") for p in check_kinds(budget, kinds))


def unmeasured(loaded: Loaded) -> Iterator[Problem]:
    """Yields effects that a budget names and cannot count."""
    # That a guessed payment has no amount and is therefore held is no mistake of a file.
    effects = [effect for t in loaded.tools if not t.guesses for effect in t.all_effects]
    for budget in loaded.budgets:
        if budget.of == ("*",):
            continue
        for effect in effects:
            why = _why_uncounted(budget, effect) if budget.covers(effect.kind) else None
            if why is not None:
                text = f"{why}: every such call will be held"
                where = related(budget.site, f"budget '{budget.name}'")
                yield warning(effect.site, "unmeasured-effect", text, related=[where])


def _why_uncounted(budget: Budget, effect: CompiledEffect) -> str | None:
    if budget.measure is Measure.SUM and budget.unit != POINTS and effect.amount is None:
        return f"budget '{budget.name}' sums {budget.unit}, but this effect has no amount"
    if budget.measure is Measure.DISTINCT and effect.target is None:
        return f"budget '{budget.name}' counts targets, but this effect has none"
    return None
