"""From a step at the desk to what is sent: on a real ledger, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from proxy.errors import HoldError
from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit
from proxy.model import HoldState
from proxy.notices import sending
from proxy.notices.lanes import GIVEN_UP_MS, LEASE_MS, backoff_ms
from proxy.notices.targets import Notice, Notices, Quiet
from proxy.pipeline.grant_desk import Asking
from proxy.pipeline.links import Links
from proxy.policy.hours import read_hours
from tests.conftest import BENCH_RULES, START_MS
from tests.notices.conftest import CHAT, SIEM, Scene
from tests.notices.made import HOUR_MS, ask, hold

DAY_S = 86_400


# --- events -----------------------------------------------------------------------------------------
async def test_a_hold_and_its_answer(scene: Scene) -> None:
    """People are told of what waits, the webhook of every step, in order and each once."""
    held = await scene.held()
    await scene.send()
    assert scene.titles == ["1 call waits for an answer: refund"]
    await scene.bench.pipeline.desk.approve(held.id, by="eve", reason="fine")
    assert (await scene.held()).state is HoldState.USED  # the call is made again
    await scene.send()
    assert scene.events == ["held", "answered", "used"]
    assert len(scene.messages) == 1
    _delivery, _event, body = scene.posts[1]
    assert body["hold"]["state"] == "approved"
    assert (body["hold"]["decided_by"], body["hold"]["reason"]) == ("eve", "fine")
    assert body["hold"]["effects"][0]["amount"] == 145
    assert body["hold"]["call"]["args"] == {"order": "o1", "amount": 145}
    assert [delivery for delivery, _, _ in scene.posts] == [b["id"] for _, _, b in scene.posts]


async def _denied(scene: Scene) -> None:
    await scene.bench.pipeline.desk.deny((await scene.held()).id, by="eve")


async def _expired(scene: Scene) -> None:
    await scene.held()
    scene.wait(3600)
    await scene.bench.pipeline.desk.expire_due()


async def _expired_when_asked_again(scene: Scene) -> None:
    await scene.held()
    scene.wait(3600)
    await scene.held()


async def _abandoned(scene: Scene) -> None:
    await scene.bench.pipeline.desk.abandon((await scene.held()).id)


async def _granted(scene: Scene) -> None:
    grants = scene.bench.pipeline.grants
    asking = Asking(budget="refunds", extra=Decimal(100))
    _hold, grant, _also = await grants.give((await scene.held()).id, asking, "eve")
    await grants.revoke(grant.id, "bob")


async def _frozen(scene: Scene) -> None:
    signals = scene.bench.pipeline.signals
    await scene.bench.decide(scene.bench.call("look_up", "{}"))
    await signals.freeze("s1", "eve", "stop")
    await signals.thaw("s1", "eve", None)


async def _frozen_fleet(scene: Scene) -> None:
    await scene.bench.pipeline.signals.freeze_scope("fleet", "eve", None)
    await scene.bench.pipeline.signals.lift("fleet", None, "eve")


async def _frozen_by_rules(scene: Scene) -> None:
    for n in range(3):
        await scene.bench.decide(scene.bench.call("look_up", "{}", response=f"r{n}"))


async def _frozen_from_outside(scene: Scene) -> None:
    await scene.bench.pipeline.signals.post({"name": "siem.alert", "agent": "a1"}, by="posted")


@pytest.mark.parametrize(
    ("happens", "events"),
    [
        pytest.param(_denied, ["held", "answered"], id="denied"),
        pytest.param(_expired, ["held", "expired"], id="expired"),
        pytest.param(_expired_when_asked_again, ["held", "expired"], id="asked-again"),
        pytest.param(_abandoned, ["held", "abandoned"], id="abandoned"),
        pytest.param(_granted, ["held", "granted", "answered", "revoked"], id="granted"),
        pytest.param(_frozen, ["frozen", "thawed"], id="frozen"),
        pytest.param(_frozen_fleet, ["frozen", "thawed"], id="fleet"),
        pytest.param(_frozen_by_rules, ["frozen"], id="by-rules"),
        pytest.param(_frozen_from_outside, ["frozen"], id="from-outside"),
    ],
)
async def test_what_a_webhook_is_told(make_scene: Any, happens: Any, events: list[str]) -> None:
    rules = f"""{BENCH_RULES}
signals:
  - {{name: looping, on: loop, count: 3, within: 10m, do: freeze}}
  - {{name: alert, on: siem.alert, do: freeze, per: agent}}
"""
    scene: Scene = make_scene(Notices((), None, (SIEM,)), rules=rules)
    await happens(scene)
    await scene.send()
    assert scene.events == events
    for _delivery, event, body in scene.posts:
        about = {"granted": "grant", "revoked": "grant", "frozen": "freeze", "thawed": "freeze"}
        told = about.get(event, "hold")
        assert [part for part in ("hold", "grant", "freeze") if body[part] is not None] == [told]


async def test_only_the_events_that_were_asked_for(make_scene: Any) -> None:
    some = replace(SIEM, events=frozenset({"answered"}))
    scene: Scene = make_scene(Notices((), None, (some,)))
    await _denied(scene)
    await scene.send()
    assert scene.events == ["answered"]


async def test_what_was_undone_is_not_told(scene: Scene) -> None:
    """The rows are of the step's transaction: where that is undone there is nothing to send."""

    def fails(tx: Transaction, _emit: Emit) -> None:
        tx.add_hold(hold())
        scene.recorder.held(tx, hold())
        raise HoldError("no")

    with pytest.raises(HoldError):
        await scene.bench.pipeline.in_transaction(fails)
    assert await scene.rows() == []


async def test_nobody_is_told_by_a_proxy_without_notices(bench: Any) -> None:
    call = bench.call(text='{"order": "o1", "amount": 145}')
    assert (await bench.decide(call)).hold is not None
    assert await bench.pipeline.in_transaction(lambda tx, _emit: tx.outbox(["waiting"])) == ()


# --- messages ---------------------------------------------------------------------------------------
async def test_the_first_at_once_the_others_together(scene: Scene) -> None:
    await scene.held(order="o1")
    await scene.send()
    for n in range(2, 9):
        await scene.held(order=f"o{n}")
    await scene.send()
    assert scene.titles == ["1 call waits for an answer: refund"]
    scene.wait(60)
    await scene.send()
    assert scene.titles[1:] == ["7 calls wait for an answer: refund"]
    text = scene.messages[1][1].text
    assert text.startswith("7 x refund, 145 EUR each")
    assert "or answer all like it (8 wait): checkrein holds approve" in text


async def test_what_was_answered_meanwhile_is_left_out(scene: Scene) -> None:
    await scene.held(order="o1")
    await scene.send()
    second, third = await scene.held(order="o2"), await scene.held(order="o3")
    await scene.bench.pipeline.desk.deny(second.id, by="eve")
    scene.wait(60)
    await scene.send()
    assert scene.titles[1:] == ["1 call waits for an answer: refund"]
    assert "on o3" in scene.messages[1][1].text
    await scene.bench.pipeline.desk.deny(third.id, by="eve")
    states = {row.hold_id: row.state for row in await scene.rows() if row.lane == "notice:chat"}
    assert (states[second.id], states[third.id]) == ("dropped", "sent")


async def test_a_pattern_that_is_always_approved_is_asked_about_with_a_grant(scene: Scene) -> None:
    for n in range(3):
        await scene.bench.pipeline.desk.approve((await scene.held(order=f"o{n}")).id, by="eve")
    await scene.held(order="o9")
    await scene.send()
    assert "(1 waits, 3 were approved in the last hour): " in scene.messages[0][1].text
    scene.wait(3601)
    await scene.held(order="o10")
    await scene.send()
    assert "--like" not in scene.messages[1][1].text


async def test_quiet_hours_end_in_one_message(make_scene: Any) -> None:
    quiet = Quiet(read_hours("00:00-12:00", "UTC"), frozenset({"oncall"}))  # START_MS is 08:00
    on_call = Notice("pager", ("json://pager",), frozenset({"oncall"}))
    scene: Scene = make_scene(Notices((CHAT, on_call), quiet))
    for n in range(3):
        await scene.holds(hold(f"h{n}", expires_at_ms=START_MS + 12 * HOUR_MS))
    await scene.holds(
        hold("h9", name="deploy", asks=(ask("oncall"),), expires_at_ms=START_MS + 12 * HOUR_MS)
    )
    await scene.send()
    assert sorted(url for url, _ in scene.messages) == ["json://chat", "json://pager"]
    assert scene.titles == ["1 call waits for an answer: deploy"] * 2
    scene.wait(4 * 3600 - 1)
    await scene.send()
    assert len(scene.messages) == 2
    scene.wait(1)
    await scene.send()
    assert scene.messages[2][0] == "json://chat"
    assert scene.titles[2:] == ["3 calls wait for an answer: refund_order"]


@pytest.mark.parametrize("answered", [False, True])
async def test_escalation(make_scene: Any, answered: bool) -> None:
    """Who may answer then is told at that time, at night too, and nobody of what was answered."""
    quiet = Quiet(read_hours("08:10-20:00", "UTC"))
    leads = Notice("leads", ("json://leads",), frozenset({"leads"}))
    board = Notice("board", ("json://board",), frozenset({"board"}))
    scene: Scene = make_scene(Notices((leads, board), quiet, (SIEM,)))
    asks = (ask("leads", escalate_to=("board",), escalate_after_ms=1_800_000),)
    waiting = hold("h1", created_at_ms=START_MS, asks=asks, expires_at_ms=START_MS + HOUR_MS)
    await scene.holds(waiting)
    await scene.send()
    assert [url for url, _ in scene.messages] == ["json://leads"]
    if answered:
        await scene.bench.pipeline.desk.deny("h1", by="eve")
    scene.wait(1799)
    await scene.send()
    assert "json://board" not in [url for url, _ in scene.messages]
    scene.wait(1)
    await scene.send()
    told = [(url, title) for (url, _), title in zip(scene.messages, scene.titles, strict=True)][1:]
    late = "Nobody has answered: 1 call waits for an answer: refund_order"
    assert told == ([] if answered else [("json://board", late)])
    assert scene.events == (["held", "answered"] if answered else ["held", "escalated"])


async def test_each_target_of_a_notice_is_told_by_itself(make_scene: Any) -> None:
    """One that fails is tried again, and the other not."""
    scene: Scene = make_scene(Notices((Notice("chat", ("json://a", "json://b")),)))
    scene.faults["json://a"] = ["no"]
    await scene.held()
    await scene.send()
    scene.wait(1)
    await scene.send()
    assert sorted(url for url, _ in scene.messages) == ["json://a", "json://a", "json://b"]


async def test_the_link_in_a_message_leads_to_its_hold(scene: Scene) -> None:
    held = await scene.held()
    await scene.send()
    found = re.search(r"https://desk.internal/l/(\S+)", scene.messages[0][1].text)
    assert found is not None

    def opened(tx: Transaction, _emit: Emit) -> str:
        links = Links(tx.state_key("links"), "https://desk.internal")
        return links.open_in(tx, found[1], scene.bench.now_ms)

    assert await scene.bench.pipeline.in_transaction(opened) == held.id
    with pytest.raises(HoldError, match="has been used"):
        await scene.bench.pipeline.in_transaction(opened)


# --- what goes wrong --------------------------------------------------------------------------------
async def test_order_is_kept_behind_a_delivery_that_fails(scene: Scene) -> None:
    """Tried after 1, 2 and 4 seconds under one id; what came later waits, and comes after it."""
    scene.faults["siem"] = ["it answered 500", "it answered 301", "no answer"]
    held = await scene.held()
    await scene.bench.pipeline.desk.deny(held.id, by="eve")
    tried = []
    for second in range(10):
        before = len(scene.posts)
        await scene.send()
        tried += [(second, event) for event in scene.events[before:]]
        scene.wait(1)
    assert tried == [(0, "held"), (1, "held"), (3, "held"), (7, "held"), (7, "answered")]
    assert len({delivery for delivery, event, _ in scene.posts if event == "held"}) == 1
    bodies = [body for _, event, body in scene.posts if event == "held"]
    assert all(body == bodies[0] for body in bodies)
    (row,) = [
        row for row in await scene.rows() if (row.lane, row.event) == ("webhook:siem", "held")
    ]
    assert (row.state, row.attempts, row.error) == ("sent", 4, "no answer")


@pytest.mark.parametrize(
    ("attempts", "chance", "waits_ms"),
    [
        (0, 0.0, 1_000),
        (0, 1.0, 500),
        (3, 0.0, 8_000),
        (11, 0.5, 1_536_000),
        (12, 0.0, HOUR_MS),
        (900, 0.0, HOUR_MS),
    ],
)
def test_how_long_until_the_next_attempt(attempts: int, chance: float, waits_ms: int) -> None:
    assert backoff_ms(attempts, chance) == waits_ms


async def test_a_delivery_is_given_up_after_a_day(scene: Scene) -> None:
    """The log says which; what is behind it gets its turn."""
    held = await scene.held()
    await scene.send()
    scene.faults["siem"] = ["it answered 500"] * 100
    await scene.bench.pipeline.desk.deny(held.id, by="eve")
    for _ in range(60):
        await scene.send()
        scene.wait(3600)
    assert len(scene.posts) < 100
    (failed,) = await scene.rows("failed")
    assert (failed.event, failed.error) == ("answered", "it answered 500")
    (error,) = scene.bench.records("error")
    assert error["where"] == "notices"
    assert f"'answered' of hold {held.id} was given up after 24 h" in error["error"]
    assert failed.id in error["error"]
    scene.faults.clear()
    await scene.held(order="o2")
    await scene.send()
    assert scene.events[-1] == "held"


async def test_a_message_that_fails_is_made_anew(scene: Scene) -> None:
    scene.faults["json://chat"] = ["no"]
    first = await scene.held(order="o1")
    await scene.send()
    await scene.bench.pipeline.desk.deny(first.id, by="eve")
    await scene.held(order="o2")
    scene.wait(1)
    await scene.send()
    assert scene.titles[1:] == ["1 call waits for an answer: refund"]
    assert "on o2" in scene.messages[1][1].text


async def test_of_two_proxies_on_one_ledger_one_sends(scene: Scene) -> None:
    """A lane is its sender's until the row is marked; one that died loses it when its time is over."""
    other = scene.another("two")
    await scene.held()

    def takes(tx: Transaction, _emit: Emit) -> None:
        now_ms = scene.bench.now_ms
        assert tx.take_lane("webhook:siem", "dead", now_ms, now_ms + LEASE_MS) == 0

    await scene.bench.pipeline.in_transaction(takes)
    await scene.send(other)
    assert (len(scene.messages), scene.events) == (1, [])
    scene.wait(LEASE_MS / 1000)
    await scene.send(other)
    await scene.send()
    assert (len(scene.messages), scene.events) == (1, ["held"])


async def test_rows_of_a_target_that_is_named_no_more(make_scene: Any) -> None:
    """They wait a day, for another proxy may know it, and are given up then."""
    scene: Scene = make_scene(Notices((CHAT,), None, (SIEM,)))
    await scene.held()
    scene.notices = Notices((CHAT,))
    sender = scene.another("two")
    await scene.send(sender)
    assert [row.lane for row in await scene.rows("waiting")] == ["webhook:siem"]
    scene.wait(GIVEN_UP_MS / 1000)
    await scene.send(sender)
    assert [row.error for row in await scene.rows("failed")] == ["the people file names it no more"]


async def test_what_was_sent_is_forgotten_after_a_week(scene: Scene) -> None:
    await scene.held()
    await scene.send()
    scene.wait(7 * DAY_S - 10)
    await scene.send()
    assert len(await scene.rows()) == 2
    scene.wait(3700)
    await scene.send()
    assert await scene.rows() == []


async def test_a_sender_goes_on_after_what_it_did_not_expect(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so without the words of what went wrong, and rings wake it: no test moves its clock here."""
    monkeypatch.setattr(sending, "_POLL_S", 0.01)
    scene.surprises["siem"] = RuntimeError("https://siem/T0K3N")
    serving = asyncio.ensure_future(scene.sender.serve())
    await scene.held()
    for _ in range(3):
        await scene.attempts.get()
    serving.cancel()
    await asyncio.wait([serving])
    assert scene.events == ["held", "held"]
    assert scene.posts[0][0] == scene.posts[1][0]
    assert "notices: webhook:siem: RuntimeError" in caplog.text
    assert "T0K3N" not in caplog.text
