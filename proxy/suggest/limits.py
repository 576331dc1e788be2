"""Limits out of what was counted: the smallest round number that few enough sessions were over.

What belongs here: arithmetic alone. A round number is 1, 2 or 5 with zeros; percentiles are values that occurred (nearest rank).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from math import ceil

_SERIES = (Decimal(1), Decimal(2), Decimal(5))


@dataclass(frozen=True, slots=True)
class Spread:
    """How values are distributed."""

    count: int
    median: Decimal
    p90: Decimal
    p99: Decimal
    most: Decimal


def spread_of(values: Iterable[Decimal]) -> Spread:
    """Returns the distribution of at least one value."""
    ranked = sorted(values)

    def at(share: float) -> Decimal:
        return ranked[max(0, ceil(share * len(ranked)) - 1)]

    return Spread(len(ranked), at(0.5), at(0.9), at(0.99), ranked[-1])


def round_up(value: Decimal) -> Decimal:
    """Returns the smallest of 1, 2, 5, 10, 20, … (and 0.5, 0.2, …) that is no less; 1 for nothing at all."""
    if value <= 0:
        return Decimal(1)
    ten = Decimal(1).scaleb(value.adjusted())
    fitting = (step * ten for step in (*_SERIES, Decimal(10)) if step * ten >= value)
    return _plain(next(fitting))


def next_up(limit: Decimal) -> Decimal:
    """Returns the round number after a round one."""
    lead = int(limit.scaleb(-limit.adjusted()))
    return _plain(limit * (Decimal(5) / 2 if lead == 2 else Decimal(2)))


def limit_for(peaks: Iterable[Decimal], touch: Decimal) -> Decimal:
    """Returns the smallest round limit that at most a share of the sessions were over.

    Args:
        peaks: the highest count of each session that had any.
        touch: the share, 0 to 1.
    """
    ranked = sorted(peaks, reverse=True)
    spared = min(int(touch * len(ranked)), len(ranked) - 1)
    return round_up(ranked[spared])


def _plain(value: Decimal) -> Decimal:
    return Decimal(format(value.normalize(), "f"))
