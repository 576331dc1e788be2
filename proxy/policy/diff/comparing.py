"""Two sets compared, all rooms together.

What belongs here: the order, and what is compared of sets with files in shadow: rules with their own mode; tools and words of
what is enforced alone, since nothing that a file in shadow says of a tool can let a call pass.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.policy.diff.answers import approval_fields, approval_words, compare_waiting
from proxy.policy.diff.budgets import budget_fields, budget_words, units_counted
from proxy.policy.diff.chains import chain_fields, chain_words, signal_fields, signal_words
from proxy.policy.diff.changes import Change, Direction
from proxy.policy.diff.gates import gate_fields, gate_words, require_fields, require_words
from proxy.policy.diff.rules import compare_rules
from proxy.policy.diff.tools import compare_tools
from proxy.policy.diff.whole import compare_tables, compare_words
from proxy.policy.load import Loaded


def compare(old: Loaded, new: Loaded) -> list[Change]:
    """Returns every difference between two sets, the strictest direction first."""
    if old.digest == new.digest:
        return []
    order = list(Direction)
    return sorted(dict.fromkeys(_changes(old, new)), key=lambda c: order.index(c.direction))


def _changes(old: Loaded, new: Loaded) -> Iterator[Change]:
    yield from compare_words(old.enforced or old, new.enforced or new)
    yield from compare_rules("gate", old.gates, new.gates, gate_fields, gate_words)
    yield from compare_rules(
        "budget", old.budgets, new.budgets, budget_fields, budget_words, lambda budget: budget.was
    )
    yield from units_counted(old.budgets, new.budgets)
    yield from compare_rules("chain", old.chains, new.chains, chain_fields, chain_words)
    yield from compare_rules("require", old.requires, new.requires, require_fields, require_words)
    yield from compare_rules("signal", old.signals, new.signals, signal_fields, signal_words)
    before, after = old.enforced or old, new.enforced or new
    yield from compare_rules(
        "approval", before.approvals, after.approvals, approval_fields, approval_words
    )
    yield from compare_waiting(before, after)
    yield from compare_tools(old.enforced or old, new.enforced or new)
    yield from compare_tables(old.enforced or old, new.enforced or new)
