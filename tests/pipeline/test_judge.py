"""The judge: what is counted once, what again, whom an approval serves, what never passes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from proxy.errors import LogError
from proxy.logtail import verify
from proxy.model import HoldState, Verdict

if TYPE_CHECKING:
    from tests.conftest import Bench, MakeBench

ALLOW, HOLD, BLOCK = Verdict.ALLOW, Verdict.HOLD, Verdict.BLOCK
BIG = '{"order": "o1", "amount": 145}'


@pytest.mark.parametrize(
    ("name", "text", "verdict"),
    [
        pytest.param("refund", '{"order": "o1", "amount": 45}', ALLOW, id="within-the-budget"),
        pytest.param("look_up", "{}", ALLOW, id="no-effect"),
        pytest.param("refund", BIG, HOLD, id="budget-holds"),
        pytest.param("pay", BIG, BLOCK, id="budget-blocks"),
        pytest.param("delete", '{"order": "o1"}', BLOCK, id="gate-blocks"),
        pytest.param("deploy", '{"order": "o1"}', HOLD, id="gate-holds"),
        pytest.param("unheard_of", "{}", HOLD, id="unmapped"),
        pytest.param("refund", '{"order": "o1", "amount": -1}', HOLD, id="negative"),
        pytest.param("refund", '{"order": "o1", "amount": 1e400}', HOLD, id="beyond-any-money"),
        pytest.param("refund", '{"order": "o1"}', HOLD, id="amount-left-out"),
        pytest.param("refund", '{"amount": 1, "amount": 2}', BLOCK, id="duplicate-key"),
        pytest.param("refund", "{", BLOCK, id="broken-json"),
        pytest.param("look_up", r'{"a": "\ud800"}', BLOCK, id="lone-surrogate"),
        pytest.param("look_up", "9" * 5000, BLOCK, id="huge-int"),
        pytest.param("look_up", "[" * 100_000 + "]" * 100_000, BLOCK, id="deep-nesting"),
    ],
)
async def test_verdicts(bench: Bench, name: str, text: str, verdict: Verdict) -> None:
    """Each kind of call gets its verdict, one record says so, and only what passes is charged."""
    decision = await bench.decide(bench.call(name, text))
    assert decision.verdict is verdict
    (record,) = bench.records("decision")
    assert record["verdict"] == verdict.label
    entries, _ = await bench.pipeline.session("s1")
    assert bool(entries) == (verdict is ALLOW and name == "refund")
    assert verify([bench.settings.log]).ok


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', "{", r'{"a": "\ud800"}'], ids=["duplicate", "broken", "surrogate"]
)
async def test_unreadable_is_blocked_even_where_unknown_tools_pass(
    make_bench: MakeBench, text: str
) -> None:
    """`unmapped: allow` is no licence for arguments that two parsers read differently."""
    bench = make_bench("version: 1\npack: open\nunmapped: allow\n")
    assert (await bench.decide(bench.call("anything", "{}"))).verdict is ALLOW
    assert (await bench.decide(bench.call("anything", text))).verdict is BLOCK


@pytest.mark.parametrize(
    ("again", "used"),
    [
        pytest.param({}, "40", id="same-response-fetched-twice"),
        pytest.param({"response": "r2"}, "80", id="same-id-and-arguments-in-a-new-response"),
        pytest.param({"text": '{"order": "o1", "amount": 41}'}, "81", id="same-id-other-arguments"),
        pytest.param({"id": "c2"}, "80", id="other-id"),
        pytest.param({"text": '{ "amount":40.0, "order":"o1" }'}, "40", id="same-value-other-text"),
    ],
)
async def test_what_counts_again(bench: Bench, again: dict[str, Any], used: str) -> None:
    """A call is counted once a response; a new response, id or argument is a new call."""
    first: dict[str, Any] = {"text": '{"order": "o1", "amount": 40}'}
    assert (await bench.decide(bench.call(**first))).verdict is ALLOW
    assert (await bench.decide(bench.call(**first | again))).verdict is ALLOW
    assert await bench.used() == used


async def test_a_new_session_name_does_not_reset_the_agents_budget(bench: Bench) -> None:
    """Session budgets follow the claimed name, the agent's 300 EUR do not."""
    text = '{"order": "o1", "amount": 100}'
    verdicts = [
        (await bench.decide(bench.call(text=text), bench.who(session=f"s{n}"))).verdict
        for n in range(4)
    ]
    assert verdicts == [ALLOW, ALLOW, ALLOW, HOLD]


async def held(bench: Bench, text: str = BIG, **more: Any) -> str:
    decision = await bench.decide(bench.call(text=text, **more))
    assert decision.hold is not None
    return decision.hold.id


@pytest.mark.parametrize(
    ("text", "session", "agent", "verdict"),
    [
        pytest.param('{ "amount":145 , "order":"o1" }', "s1", "a1", ALLOW, id="other-whitespace"),
        pytest.param('{"order": "o1", "amount": 146}', "s1", "a1", HOLD, id="changed-amount"),
        pytest.param('{"order": "o2", "amount": 145}', "s1", "a1", HOLD, id="changed-target"),
        pytest.param(BIG, "s2", "a1", HOLD, id="other-session"),
        pytest.param(BIG, "s1", "a2", HOLD, id="other-agent-that-claims-the-session"),
    ],
)
async def test_an_approval_is_bound(
    bench: Bench, text: str, session: str, agent: str, verdict: Verdict
) -> None:
    """An approval serves this call's digest, of this agent, in this session, and nothing else."""
    await bench.pipeline.desk.approve(await held(bench), by="ops")
    again = bench.call(text=text, id="c9", response="r9")
    assert (await bench.decide(again, bench.who(session, agent))).verdict is verdict


async def test_an_approval_is_used_once(bench: Bench) -> None:
    """The approved call passes; the same call once more is held anew, under another hold."""
    hold_id = await held(bench)
    await bench.pipeline.desk.approve(hold_id, by="ops")
    first = await bench.decide(bench.call(text=BIG, response="r2"))
    second = await bench.decide(bench.call(text=BIG, response="r3"))
    assert (first.verdict, second.verdict) == (ALLOW, HOLD)
    assert second.hold is not None
    assert second.hold.id != hold_id
    assert (await bench.pipeline.desk.get(hold_id)).state is HoldState.USED


@pytest.mark.parametrize(
    ("after_ms", "verdict"), [(899_999, ALLOW), (900_000, HOLD)], ids=["in-time", "lapsed"]
)
async def test_an_approval_lapses(bench: Bench, after_ms: int, verdict: Verdict) -> None:
    """An approval that was not used in its time is worth nothing, swept or not."""
    await bench.pipeline.desk.approve(await held(bench), by="ops")
    bench.now_ms += after_ms
    assert (await bench.decide(bench.call(text=BIG, response="r2"))).verdict is verdict


@pytest.mark.parametrize("name", ["pay", "delete"], ids=["budget", "gate"])
async def test_what_blocks_makes_no_hold(bench: Bench, name: str) -> None:
    """Nobody can be asked to approve what a rule blocks."""
    assert (await bench.decide(bench.call(name, BIG))).hold is None
    assert await bench.pipeline.desk.list() == ()


GATE_AND_BLOCK = """
version: 1
pack: both
tools:
  - {name: pay, effects: [{kind: money.pay, amount: args.amount, unit: EUR, target: args.order}]}
gates:
  - {name: ask, when: effect.kind == "money.pay", verdict: hold, message: Ask.}
budgets:
  - {name: pays, of: money.pay, sum: EUR, limit: 100, per: session, window: 24h, on_exceed: block}
"""


async def test_an_approved_gate_does_not_pass_a_budget_that_blocks(make_bench: MakeBench) -> None:
    """A yes to the gate is a yes to the gate: the budget was used up meanwhile, and blocks."""
    bench = make_bench(GATE_AND_BLOCK)
    text = '{"order": "o1", "amount": 60}'
    ids = [await held(bench, text, name="pay", response="r1")]
    ids.append(await held(bench, '{"order": "o2", "amount": 60}', name="pay", response="r2"))
    for hold_id in ids:
        await bench.pipeline.desk.approve(hold_id, by="ops")
    one = await bench.decide(bench.call("pay", text, response="r1"))
    two = await bench.decide(bench.call("pay", '{"order": "o2", "amount": 60}', response="r2"))
    assert (one.verdict, two.verdict) == (ALLOW, BLOCK)
    assert await bench.used(budget="pays") == "60"


@pytest.mark.parametrize(
    ("name", "text", "would"),
    [
        pytest.param("refund", BIG, "hold", id="budget"),
        pytest.param("delete", '{"order": "o1"}', "block", id="gate"),
        pytest.param("refund", "{", "block", id="fault"),
        pytest.param("refund", '{"order": "o1", "amount": 5}', "allow", id="fine"),
    ],
)
async def test_shadow_lets_pass_and_tells(
    make_bench: MakeBench, name: str, text: str, would: str
) -> None:
    """Shadow mode passes everything, faults too, and logs what it would have said."""
    bench = make_bench(shadow=True)
    assert (await bench.decide(bench.call(name, text))).verdict is ALLOW
    (record,) = bench.records("decision")
    assert (record["verdict"], record["would"]) == ("allow", would)
    assert await bench.pipeline.desk.list() == ()


async def test_a_providers_own_call_is_counted_and_committed(bench: Bench) -> None:
    """It cannot be held: it is charged past the limit, once, told as `would`, and the next is held."""
    call = bench.call(text=BIG, executor="provider")
    for _ in range(2):
        await bench.pipeline.account(call, bench.who(), "key")
    assert await bench.used() == "145"
    (record,) = bench.records("decision")
    assert record["would"] == "hold"
    assert [r["by"] for r in bench.records("settlement")] == ["provider"]
    assert (await bench.decide(bench.call(response="r2"))).verdict is HOLD


async def test_two_sides_count_once(bench: Bench) -> None:
    """The tool side binds to the model side's entry; made a second time it is a second refund."""
    await bench.decide(bench.call())
    call, http = bench.tool_side()
    assert (await bench.decide(call, http=http, origin="x1")).verdict is ALLOW
    assert await bench.used() == "45"
    assert (await bench.decide(call, http=http, origin="x2")).verdict is ALLOW
    assert await bench.used() == "90"
    assert (await bench.decide(call, http=http, origin="x3")).verdict is HOLD


@pytest.mark.parametrize(
    ("order", "amount", "session", "later_ms", "used"),
    [
        pytest.param("o1", 46, "s1", 0, "91", id="other-amount"),
        pytest.param("o2", 45, "s1", 0, "90", id="other-target"),
        pytest.param("o1", 45, "s1", 900_001, "90", id="after-the-window"),
        pytest.param("o1", 45, "s1", 900_000, "45", id="at-the-windows-end"),
        pytest.param("o1", 45, "s2", 0, "45", id="other-session"),
    ],
)
async def test_drift_is_judged_afresh(
    bench: Bench, order: str, amount: int, session: str, later_ms: int, used: str
) -> None:
    """What differs from what was let through is an action of its own."""
    await bench.decide(bench.call())
    bench.now_ms += later_ms
    call, http = bench.tool_side(order, amount)
    await bench.decide(call, bench.who(session), http)
    assert await bench.used(session) == (used if session == "s1" else "45")
    assert session == "s1" or await bench.used("s1") == "45"


async def test_binding_does_not_lead_round_a_gate(bench: Bench) -> None:
    """A reason that the model side did not have holds the tool side; approved, it is not charged twice."""
    await bench.decide(bench.call())
    call, http = bench.tool_side(headers=(("x-mirror", "1"),))
    decision = await bench.decide(call, http=http)
    assert decision.verdict is HOLD
    assert decision.hold is not None
    await bench.pipeline.desk.approve(decision.hold.id, by="ops")
    assert (await bench.decide(call, http=http)).verdict is ALLOW
    assert await bench.used() == "45"


SECRETS = [
    pytest.param('{"password": "hunter2hunter2"}', "hunter2hunter2", id="by-field"),
    pytest.param('{"note": "AKIAABCDEFGHIJKLMNOP"}', "AKIAABCDEFGHIJKLMNOP", id="by-shape"),
    pytest.param('{"order": "https://u:pa55word@x/"}', "pa55word", id="in-the-target"),
    pytest.param(
        '{"AKIAABCDEFGHIJKLMNOP": 1, "AKIAABCDEFGHIJKLMNOP": 2}', "AKIAABCDEFG", id="in-a-fault"
    ),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
async def test_secrets_stay_out_of_log_and_holds(bench: Bench, text: str, secret: str) -> None:
    """Neither the arguments, nor the target, nor the text of a reason carries one to the log."""
    await bench.decide(bench.call("deploy", text))
    assert secret not in bench.settings.log.read_text()
    for hold in await bench.pipeline.desk.list():
        assert secret not in json.dumps(hold.arguments)


async def test_the_last_of_a_budget_goes_to_one(bench: Bench) -> None:
    """Twenty calls at once for a budget of 100 EUR: two of 45 fit."""
    calls = [bench.call(id=f"c{n}", response=f"r{n}") for n in range(20)]
    decisions = await asyncio.gather(*(bench.decide(call) for call in calls))
    assert sorted(d.verdict for d in decisions) == [ALLOW] * 2 + [HOLD] * 18


async def test_two_writers_on_one_file_do_not_overspend(make_bench: MakeBench) -> None:
    """Two processes' worth of pipelines share a ledger file: together they pass what one would."""
    one = make_bench()
    two = make_bench(log=one.settings.log.with_name("two.jsonl"))
    jobs = [
        bench.decide(bench.call(id=f"c{n}", response=f"{name}{n}"))
        for n in range(6)
        for name, bench in (("a", one), ("b", two))
    ]
    decisions = await asyncio.gather(*jobs)
    assert sum(d.verdict is ALLOW for d in decisions) == 2
    assert await one.used() == "90"


async def test_a_log_failure_leaves_nothing_in_the_ledger(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be logged was not decided: no entry, no charge, and the key is free again."""

    def full(_fd: int, _data: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("proxy.decisionlog.os.write", full)
        with pytest.raises(LogError):
            await bench.decide(bench.call())
    assert await bench.used() == "0"
    assert not (await bench.decide(bench.call())).repeated


async def test_a_cancelled_caller_leaves_a_whole_ledger(bench: Bench) -> None:
    """A decision whose caller went away is booked as a whole or not at all, and others go on."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bench.decide(bench.call()))
        await asyncio.sleep(0)
        task.cancel()
    await bench.decide(bench.call("look_up", "{}", response="r2"))
    assert await bench.used() == str(45 * len([r for r in bench.records() if r.get("effects")]))
