"""The desk's figures: what is counted, in which window, and what is not."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from proxy.model import Hold
from proxy.pipeline.figures import Figure, Figures, figures_in

if TYPE_CHECKING:
    from tests.conftest import Bench

MINUTE_MS, DAY_MS = 60_000, 86_400_000


async def call(bench: Bench, amount: int, agent: str = "a1", order: str = "o") -> Hold | None:
    """One refund in a session of its own: more than 100 is held."""
    session = f"s-{agent}-{order}-{amount}-{bench.now_ms}"
    made = bench.call(text=json.dumps({"order": order, "amount": amount}), response=session)
    return (await bench.decide(made, bench.who(session, agent))).hold


async def figures(bench: Bench) -> Figures:
    return await bench.pipeline.in_transaction(lambda tx, _emit: figures_in(tx, bench.now_ms))


def line(of: Figures, id: str) -> Figure:
    return next(one for one in of.lines if one.id == id)


async def test_nothing_yet(bench: Bench) -> None:
    made = await figures(bench)
    assert (made.pending, made.oldest_pending_ms) == (0, None)
    assert [(one.id, one.calls, one.holds) for one in made.lines] == [("24h", 0, 0), ("7d", 0, 0)]
    assert made.lines[0].holds_per_100_calls is None
    assert made.lines[0].median_answer_ms is None


async def test_holds_a_hundred_calls_and_the_median_answer(bench: Bench) -> None:
    for n in range(7):
        await call(bench, 1, order=f"o{n}")
    for minutes in (1, 2, 9):
        hold = await call(bench, 145, order=f"m{minutes}")
        assert hold is not None
        bench.now_ms += minutes * MINUTE_MS
        verb = bench.pipeline.desk.deny if minutes == 2 else bench.pipeline.desk.approve
        await verb(hold.id, by="eve")
    await call(bench, 145, agent="a2")
    bench.now_ms += 3 * MINUTE_MS
    made = await figures(bench)
    assert (made.pending, made.oldest_pending_ms) == (1, 3 * MINUTE_MS)
    everything = line(made, "24h")
    assert (everything.calls, everything.holds, everything.answered) == (11, 4, 3)
    assert everything.holds_per_100_calls == Decimal("36.36")
    assert everything.median_answer_ms == 2 * MINUTE_MS
    assert line(made, "24h:rule:refunds").holds == 4
    ours, theirs = line(made, "24h:agent:a1"), line(made, "24h:agent:a2")
    assert (ours.calls, ours.holds, ours.median_answer_ms) == (10, 3, 2 * MINUTE_MS)
    assert (theirs.calls, theirs.holds, theirs.median_answer_ms) == (1, 1, None)


@pytest.mark.parametrize(
    ("days", "ids"),
    [(0, ["24h", "7d"]), (2, ["7d"]), (9, [])],
)
async def test_windows(bench: Bench, days: int, ids: list[str]) -> None:
    hold = await call(bench, 145)
    assert hold is not None
    await bench.pipeline.desk.deny(hold.id, by="eve")
    bench.now_ms += days * DAY_MS
    await call(bench, 1)
    made = await figures(bench)
    assert [one.id for one in made.lines if one.holds and ":" not in one.id] == ids
    assert [one.id for one in made.lines if one.answered and ":" not in one.id] == ids
    assert line(made, "24h").calls == (2 if days == 0 else 1)


async def test_what_ran_out_was_not_answered(bench: Bench) -> None:
    await call(bench, 145)
    bench.now_ms += 61 * MINUTE_MS
    await bench.pipeline.desk.expire_due()
    made = await figures(bench)
    assert (made.pending, line(made, "24h").holds, line(made, "24h").answered) == (0, 1, 0)


async def test_a_call_that_is_asked_about_again_is_one(bench: Bench) -> None:
    """The same bytes again, and the approved call that is made again, are no new calls or holds."""
    decisions = [
        await bench.decide(bench.call(text='{"order": "o", "amount": 145}')) for _ in range(3)
    ]
    held = decisions[0]
    assert held.hold is not None
    await bench.pipeline.desk.approve(held.hold.id, by="eve")
    await bench.decide(bench.call(text='{"order": "o", "amount": 145}'))
    everything = line(await figures(bench), "24h")
    assert (everything.calls, everything.holds) == (1, 1)
