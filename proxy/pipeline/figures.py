"""How much the desk asks of people: holds per 100 calls, and how long answers take.

What belongs here: the arithmetic, over what the ledger counts (`ledger/counts.py`). A window begins with a full hour, and not before the
first call that was counted. A hold that another one stands for now (the rules have changed) is not counted twice. An answer is
a human's yes or no; a hold that ran out was not answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median

from proxy.ledger.store import HoldFacts, Transaction
from proxy.model import HoldState

HOUR_MS = 3_600_000
WINDOWS = {"24h": 24 * HOUR_MS, "7d": 7 * 24 * HOUR_MS}


@dataclass(frozen=True, slots=True)
class Figure:
    """One line: all of a window, or what one rule or one agent has to do with."""

    window: str
    since_ms: int
    calls: int  # of the agent, else of all
    holds: int  # made in the window
    answered: int  # in the window
    median_answer_ms: int | None  # None: nobody has answered
    rule: str | None = None
    agent: str | None = None

    @property
    def id(self) -> str:
        what = f":rule:{self.rule}" if self.rule is not None else ""
        return f"{self.window}{what}{f':agent:{self.agent}' if self.agent is not None else ''}"

    @property
    def holds_per_100_calls(self) -> Decimal | None:
        if not self.calls:
            return None
        return (Decimal(100 * self.holds) / self.calls).quantize(Decimal("0.01"))


@dataclass(frozen=True, slots=True)
class Figures:
    """The desk's figures at a moment."""

    pending: int
    oldest_pending_ms: int | None  # its age
    lines: tuple[Figure, ...]


def figures_in(tx: Transaction, now_ms: int) -> Figures:
    """Returns the figures."""
    pending, oldest_ms = tx.pending_holds(now_ms)
    first_ms = tx.counted_since()
    lines: list[Figure] = []
    for window, span_ms in WINDOWS.items():
        since_ms = (now_ms - span_ms) // HOUR_MS * HOUR_MS
        if first_ms is not None:
            since_ms = max(since_ms, first_ms)
        lines += _window(window, since_ms, tx.calls_since(since_ms), tx.hold_facts(since_ms))
    return Figures(pending, None if oldest_ms is None else max(0, now_ms - oldest_ms), tuple(lines))


def today(tx: Transaction, now_ms: int) -> Figure:
    """Returns the line over all of the last day, for a page that is looked at often."""
    since_ms = max((now_ms - WINDOWS["24h"]) // HOUR_MS * HOUR_MS, tx.counted_since() or 0)
    calls = sum(tx.calls_since(since_ms).values())
    return _figure("24h", since_ms, calls, tx.hold_facts(since_ms))


def _window(
    window: str, since_ms: int, calls: Mapping[str, int], facts: Sequence[HoldFacts]
) -> list[Figure]:
    total = sum(calls.values())
    made = [_figure(window, since_ms, total, facts)]
    for rule in sorted({rule for one in facts for rule in one.rules}):
        mine = [one for one in facts if rule in one.rules]
        made.append(replace(_figure(window, since_ms, total, mine), rule=rule))
    for agent in sorted({one.agent for one in facts}):
        mine = [one for one in facts if one.agent == agent]
        made.append(replace(_figure(window, since_ms, calls.get(agent, 0), mine), agent=agent))
    return made


def _figure(window: str, since_ms: int, calls: int, facts: Sequence[HoldFacts]) -> Figure:
    took = [ms for one in facts if (ms := _answered_in_ms(one, since_ms)) is not None]
    return Figure(
        window=window,
        since_ms=since_ms,
        calls=calls,
        holds=sum(1 for one in facts if _is_new(one, since_ms)),
        answered=len(took),
        median_answer_ms=int(median(took)) if took else None,
    )


def _is_new(facts: HoldFacts, since_ms: int) -> bool:
    return facts.created_at_ms >= since_ms and facts.state is not HoldState.SUPERSEDED


def _answered_in_ms(facts: HoldFacts, since_ms: int) -> int | None:
    """Returns how long a human's answer took; None where there was none in the window."""
    at_ms = facts.decided_at_ms
    if facts.decided_by is None or at_ms is None or at_ms < since_ms:
        return None
    return max(0, at_ms - facts.created_at_ms)
