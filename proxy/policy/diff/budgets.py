"""Budgets of two sets.

How it works. What a budget counts only grows with a longer window and with more kinds, so that either makes it stricter. Two things that
look alike are not: a budget in another unit over kinds that were counted in one alone, since what has no budget in its unit
is held (`Budget.fault`); and another `per`, whose accounts begin with nothing in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proxy.model import Measure
from proxy.policy.budgets import POINTS, Budget
from proxy.policy.diff import globs
from proxy.policy.diff.changes import Change, Direction
from proxy.policy.diff.rules import STRENGTH, Field, any_of, verdict_field
from proxy.policy.spans import span


def budget_fields(old: Budget, new: Budget) -> Iterator[Field]:
    """Yields what differs in two budgets that have one account."""
    if (old.measure, old.unit) != (new.measure, new.unit):
        yield Field(Direction.UNSURE, f"counts {_measured(new)}, not {_measured(old)}")
    elif old.limit != new.limit:
        direction = Direction.STRICTER if new.limit < old.limit else Direction.LOOSER
        yield Field(direction, f"limit {_limit(old)} -> {_limit(new)}")
    if set(old.of) != set(new.of):
        direction = globs.relation(old.of, new.of).direction(Direction.STRICTER)
        yield Field(direction, f"of {any_of(old.of)} -> {any_of(new.of)}")
    if old.per != new.per:
        direction = Direction.UNSURE
        if "call" in (old.per, new.per):
            direction = Direction.STRICTER if old.per == "call" else Direction.LOOSER
        elif "fleet" in (old.per, new.per):
            direction = Direction.STRICTER if new.per == "fleet" else Direction.LOOSER
        yield Field(direction, f"per {old.per} -> {new.per}; its count begins at nothing")
    of_a_call = "call" in (old.per, new.per)  # which has no window
    if old.window_ms != new.window_ms and not of_a_call:
        longer = new.window_ms is None or (
            old.window_ms is not None and new.window_ms > old.window_ms
        )
        text = f"window {_window(old)} -> {_window(new)}"
        yield Field(Direction.STRICTER if longer else Direction.LOOSER, text)
    if old.since_checkpoint is not new.since_checkpoint:
        direction = Direction.LOOSER if new.since_checkpoint else Direction.STRICTER
        again = "is full again" if new.since_checkpoint else "is not full again"
        yield Field(direction, f"{again} when a human has looked")
    yield from verdict_field(old.on_exceed, new.on_exceed)
    if old.warn_at != new.warn_at:
        yield Field(Direction.NEUTRAL, "warns at another share")


def budget_words(budget: Budget) -> str:
    window = "" if budget.window_ms is None else f" in {_window(budget)}"
    counted = f"{_limit(budget)} of {any_of(budget.of)} per {budget.per}{window}"
    return f"{counted}, past that it {STRENGTH[budget.on_exceed]}"


def units_counted(old: Sequence[Budget], new: Sequence[Budget]) -> Iterator[Change]:
    """Yields that a unit which was held as a wrong one is counted now, or the other way round."""
    for more, less, direction in ((new, old, Direction.LOOSER), (old, new, Direction.STRICTER)):
        for one in filter(_sums, more):
            rivals = [b for b in filter(_sums, less) if globs.any_overlap(one.of, b.of)]
            known = [b for b in rivals if b.unit == one.unit]
            others = [b for b in rivals if b.unit != one.unit]
            covered = tuple(pattern for b in known for pattern in b.of)
            if not others or all(any(globs.includes(k, p) for k in covered) for p in one.of):
                continue
            held = f"effects in {one.unit}, which '{others[0].name}' alone holds as a wrong unit,"
            text = f"{held} are counted" if direction is Direction.LOOSER else f"{held} are held"
            yield Change(direction, f"budget '{one.name}'", text, f"{one.file}:{one.line}")


def _sums(budget: Budget) -> bool:
    return budget.measure is Measure.SUM and budget.unit != POINTS and not budget.shadow


def _measured(budget: Budget) -> str:
    if budget.measure is Measure.SUM:
        return f"sums of {budget.unit}"
    return "targets" if budget.measure is Measure.DISTINCT else "effects"


def _limit(budget: Budget) -> str:
    number = f"{budget.limit.normalize():f}"
    if budget.measure is Measure.SUM:
        return f"{number} {budget.unit}"
    return f"{number} targets" if budget.measure is Measure.DISTINCT else number


def _window(budget: Budget) -> str:
    return "for good" if budget.window_ms is None else span(budget.window_ms)
