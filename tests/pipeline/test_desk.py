"""Holds as humans and time end them: one ending each, durable, logged, waiters woken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from proxy.errors import HoldError
from proxy.model import Hold, HoldState, Verdict
from proxy.pipeline.waiting import Presence

if TYPE_CHECKING:
    from tests.conftest import Bench

BIG = '{"order": "o1", "amount": 145}'
PENDING, APPROVED, DENIED = HoldState.PENDING, HoldState.APPROVED, HoldState.DENIED
EXPIRED, ABANDONED = HoldState.EXPIRED, HoldState.ABANDONED


async def held(bench: Bench, response: str = "r1") -> Hold:
    decision = await bench.decide(bench.call(text=BIG, response=response))
    assert decision.hold is not None
    return decision.hold


async def act(bench: Bench, hold_id: str, what: str) -> None:
    desk = bench.pipeline.desk
    match what:
        case "approve":
            await desk.approve(hold_id, by="ops")
        case "deny":
            await desk.deny(hold_id, by="ops", reason="no")
        case "abandon":
            await desk.abandon(hold_id)
        case "expire":
            bench.now_ms += 3_600_000
            await desk.expire_due()


@pytest.mark.parametrize(
    ("first", "second", "state", "refused"),
    [
        pytest.param("approve", "abandon", APPROVED, False, id="approved-then-client-gone"),
        pytest.param("approve", "deny", DENIED, False, id="a-yes-taken-back"),
        pytest.param("approve", "expire", EXPIRED, False, id="approval-lapses"),
        pytest.param("approve", "approve", APPROVED, True, id="approved-twice"),
        pytest.param("deny", "approve", DENIED, True, id="denied-then-approved"),
        pytest.param("expire", "approve", EXPIRED, True, id="expired-then-approved"),
        pytest.param("abandon", "approve", ABANDONED, True, id="abandoned-then-approved"),
        pytest.param("deny", "abandon", DENIED, False, id="denied-then-client-gone"),
        pytest.param("deny", "expire", DENIED, False, id="denied-then-time-up"),
    ],
)
async def test_the_first_ending_stands(
    bench: Bench, first: str, second: str, state: HoldState, refused: bool
) -> None:
    """Whatever comes second meets what the hold is by then, and is told so."""
    hold = await held(bench)
    await act(bench, hold.id, first)
    if refused:
        with pytest.raises(HoldError, match=r"already|expired"):
            await act(bench, hold.id, second)
    else:
        await act(bench, hold.id, second)
    assert (await bench.pipeline.desk.get(hold.id)).state is state


async def test_a_late_yes_is_refused_before_the_sweep(bench: Bench) -> None:
    """The time is over although nobody has swept yet."""
    hold = await held(bench)
    bench.now_ms += 3_600_000
    with pytest.raises(HoldError, match="expired"):
        await bench.pipeline.desk.approve(hold.id, by="ops")


async def test_answers_in_a_race_have_one_winner(bench: Bench) -> None:
    """Yes, no and a client that goes, at once: one of them is the hold's state and the log's."""
    hold = await held(bench)
    desk = bench.pipeline.desk
    answers = await asyncio.gather(
        desk.abandon(hold.id),
        desk.approve(hold.id, by="one"),
        desk.deny(hold.id, by="two"),
        return_exceptions=True,
    )
    assert sum(isinstance(a, Hold) for a in answers) == 1
    assert [r["event"] for r in bench.records("hold")] == ["abandoned"]


@pytest.mark.parametrize(
    ("what", "verdict"),
    [
        ("approve", Verdict.ALLOW),
        ("deny", Verdict.BLOCK),
        ("expire", Verdict.BLOCK),
        ("abandon", Verdict.BLOCK),
    ],
)
async def test_a_waiter_is_woken_with_the_answer(bench: Bench, what: str, verdict: Verdict) -> None:
    """Who waits gets the hold that changed; the same call decided again gives the human's answer."""
    hold = await held(bench)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(
            bench.pipeline.wait_for({hold.id: hold}, Presence(), timeout_s=20)
        )
        await asyncio.sleep(0)
        await act(bench, hold.id, what)
    assert list(waiting.result()) == [hold.id]
    assert (await bench.decide(bench.call(text=BIG))).verdict is verdict
    assert bench.pipeline.room.count() == 0


async def test_a_cancelled_waiter_leaves_no_trace(bench: Bench) -> None:
    """Its place in the room is given up, and the hold goes on waiting."""
    hold = await held(bench)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bench.pipeline.wait_for({hold.id: hold}, Presence(), 20))
        await asyncio.sleep(0)
        assert bench.pipeline.room.count() == 1
        task.cancel()
    assert bench.pipeline.room.count() == 0
    assert (await bench.pipeline.desk.get(hold.id)).state is PENDING


async def test_a_proxy_that_goes_down_abandons_nothing(bench: Bench) -> None:
    """Connections end with the proxy; the holds are for the next one."""
    hold = await held(bench)
    bench.pipeline.close()
    await bench.pipeline.abandon(hold.id)
    assert (await bench.pipeline.desk.get(hold.id)).state is PENDING


async def test_holds_by_part_of_their_id(bench: Bench) -> None:
    """An end of an id is enough where it is one hold's; a beginning that two share is not."""
    one = await held(bench)
    await bench.pipeline.desk.deny(one.id, by="ops")
    two = await held(bench, "r2")
    assert (await bench.pipeline.desk.get(two.id[-8:])).id == two.id
    with pytest.raises(HoldError, match="2 holds match"):
        await bench.pipeline.desk.get(two.id[:4])
    for wrong in ("", two.id[-3:], "%", "nothing"):
        with pytest.raises(HoldError, match="there is none"):
            await bench.pipeline.desk.get(wrong)
