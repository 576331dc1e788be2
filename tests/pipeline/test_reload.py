"""Another rule set in force: between two calls, with what was counted, held and reserved under the one before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from proxy.errors import LogError
from proxy.model import HoldState, ToolResult, Verdict
from proxy.policy.ruleset import RuleSet
from tests.conftest import Bench

TOOLS = """
version: 1
pack: bench
tools:
  - name: refund
    effects:
      - kind: money.refund
        amount: args.amount
        unit: EUR
        target: args.order
        reversibility: irreversible
        settle: {ok: "!result.is_error"}
  - {name: delete, effects: [{kind: record.delete, target: args.order}]}
"""
REFUNDS = "{name: refunds, of: money.refund, sum: EUR, limit: 100, per: session}"
ORDERS = "{name: orders, of: money.refund, distinct: target, limit: 3, per: session, window: 1h}"

type Make = Callable[..., Bench]


def rules(*, gates: str = "", budgets: str = REFUNDS) -> str:
    return f"{TOOLS}gates: [{gates}]\nbudgets: [{budgets}]\n"


async def change(bench: Bench, text: str) -> RuleSet:
    made = RuleSet.load_text("bench.yaml", text)
    await bench.pipeline.change_rules(made)
    return made


def refund(bench: Bench, n: int, amount: Any = 40, order: str | None = None) -> Any:
    text = json.dumps({"order": order or f"o{n}", "amount": amount})
    return bench.decide(bench.call(text=text, id=f"c{n}", response=f"r{n}"))


def records(bench: Bench, kind: str) -> list[dict[str, Any]]:
    return [r for r in bench.records() if r["type"] == kind]


async def test_each_decision_carries_the_set_that_made_it(make_bench: Make) -> None:
    bench = make_bench(rules=rules())
    before = bench.pipeline.rules.digest
    await refund(bench, 1)
    after = await change(
        bench, rules(gates="{name: none, when: 'tool == \"refund\"', verdict: block}")
    )
    assert (await refund(bench, 2)).verdict is Verdict.BLOCK
    told = [(r["type"], r["rules"]) for r in bench.records() if r["type"] in ("decision", "rules")]
    assert told == [
        ("rules", before[:16]),
        ("decision", before[:16]),
        ("rules", after.digest[:16]),
        ("decision", after.digest[:16]),
    ]
    assert records(bench, "rules")[1]["former"] == before[:16]


BUDGETS = {
    "the-same": (REFUNDS, Verdict.HOLD, Decimal(120)),
    "a-higher-limit": (REFUNDS.replace("100", "200"), Verdict.ALLOW, Decimal(120)),
    "a-lower-limit": (REFUNDS.replace("100", "50"), Verdict.HOLD, Decimal(120)),
    "renamed": (
        REFUNDS.replace("refunds,", "paid-back, was: refunds,"),
        Verdict.HOLD,
        Decimal(120),
    ),
    "renamed-without-was": (REFUNDS.replace("refunds,", "paid-back,"), Verdict.ALLOW, Decimal(40)),
}


@pytest.mark.parametrize(("budget", "verdict", "after"), BUDGETS.values(), ids=BUDGETS.keys())
async def test_what_was_counted_stays_counted(
    budget: str, verdict: Verdict, after: Decimal, make_bench: Make
) -> None:
    bench = make_bench(rules=rules())
    await refund(bench, 1)
    await refund(bench, 2)
    await change(bench, rules(budgets=budget))
    decision = await refund(bench, 3)
    assert (decision.verdict, decision.budgets[0].after) == (verdict, after)


async def test_a_removed_budget_keeps_its_count_for_its_return(make_bench: Make) -> None:
    bench = make_bench(rules=rules())
    await refund(bench, 1)
    await change(bench, rules(budgets=""))
    assert (await refund(bench, 2)).verdict is Verdict.ALLOW
    await change(bench, rules())
    assert (await refund(bench, 3)).budgets[0].before == 40


async def test_a_renamed_budget_takes_over_targets_and_windows_once(make_bench: Make) -> None:
    """Both names have counted: sums are added, a target that both have met counts once, and no start adds again."""
    bench = make_bench(rules=rules(budgets=ORDERS))
    await refund(bench, 1, order="a")
    await refund(bench, 2, order="b")
    other = ORDERS.replace("orders", "seen")
    await change(bench, rules(budgets=other))
    await refund(bench, 3, order="b")
    await refund(bench, 4, order="c")
    renamed = other.replace("seen,", "seen, was: orders,")
    for _ in range(2):
        await change(bench, rules(budgets=renamed))
    assert [r["renamed"] for r in records(bench, "rules")[2:]] == [
        [{"was": "orders", "name": "seen"}],
        [],
    ]
    over = await refund(bench, 5, order="d")
    assert (over.verdict, over.budgets[0].before, over.budgets[0].after) == (Verdict.HOLD, 3, 4)
    bench.now_ms += 3_600_001
    again = await refund(bench, 6, order="d")
    assert (again.verdict, again.budgets[0].after) == (Verdict.ALLOW, 1)


async def test_a_failed_call_is_given_back_by_the_set_that_reserved_it(make_bench: Make) -> None:
    """In the new file another effect stands in the place, and says nothing of a failure."""
    bench = make_bench(rules=rules())
    call = bench.call(text='{"order": "o1", "amount": 40}')
    await bench.decide(call)
    await change(bench, rules().replace('        settle: {ok: "!result.is_error"}\n', ""))
    await bench.pipeline.results.observe(
        bench.who(), [ToolResult("c1", "refund", "no", is_error=True, args_sha256=call.args_sha256)]
    )
    assert [r["state"] for r in records(bench, "settlement")] == ["released"]
    assert (await refund(bench, 2)).budgets[0].before == 0


HOLDS = {
    "the-same": (rules(), Verdict.ALLOW),
    "loosened": (rules(budgets=REFUNDS.replace("100", "500")), Verdict.ALLOW),
    "removed": (rules(budgets=""), Verdict.ALLOW),
    "renamed": (rules(budgets=REFUNDS.replace("refunds,", "paid-back, was: refunds,")), Verdict.ALLOW),
    "blocked-now": (rules(budgets=REFUNDS.replace("limit: 100", "limit: 100, on_exceed: block")), Verdict.BLOCK),
    "held-by-what-nobody-was-shown": (rules(gates="{name: new, when: 'tool == \"refund\"'}"), Verdict.HOLD),
}  # fmt: skip


@pytest.mark.parametrize(("text", "verdict"), HOLDS.values(), ids=HOLDS.keys())
async def test_an_approval_is_worth_what_the_rules_in_force_let_it(
    text: str, verdict: Verdict, make_bench: Make
) -> None:
    bench = make_bench(rules=rules())
    judged_by = bench.pipeline.rules.digest
    held = await refund(bench, 1, amount=120)
    assert held.hold is not None
    await change(bench, text)
    await bench.pipeline.desk.approve(held.hold.id, "ops")
    decision = await refund(bench, 2, amount=120, order="o1")
    assert decision.verdict is verdict
    kept = await bench.pipeline.desk.get(held.hold.id)
    assert kept.rules_digest == judged_by
    assert {r["rules"] for r in records(bench, "hold") if r["hold"]["id"] == kept.id} == {
        judged_by[:16]
    }


async def test_a_hold_goes_on_waiting_over_a_change(make_bench: Make) -> None:
    bench = make_bench(rules=rules())
    held = await refund(bench, 1, amount=120)
    assert held.hold is not None
    await change(bench, rules(budgets=""))
    assert (await bench.pipeline.desk.get(held.hold.id)).state is HoldState.PENDING


async def test_what_cannot_be_noted_is_not_in_force(
    make_bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(rules=rules())
    before = bench.pipeline.rules.digest

    def full(_records: Any) -> None:
        raise LogError("disk full")

    monkeypatch.setattr(bench.writer, "_sink", full)
    with pytest.raises(LogError):
        await change(bench, rules(budgets=""))
    assert bench.pipeline.rules.digest == before


async def test_many_calls_and_changes_at_once_are_each_judged_by_one_set(make_bench: Make) -> None:
    """Every call's verdict is that of the set whose digest its record has."""
    bench = make_bench(rules=rules(budgets=""))
    block = RuleSet.load_text(
        "bench.yaml",
        rules(gates="{name: none, when: 'tool == \"refund\"', verdict: block}", budgets=""),
    )
    allow = bench.pipeline.rules

    async def changes() -> None:
        for n in range(20):
            await bench.pipeline.change_rules(block if n % 2 == 0 else allow)

    async def calls(first: int) -> list[Verdict]:
        return [(await refund(bench, first + n, amount=1)).verdict for n in range(100)]

    await asyncio.gather(calls(1000), calls(2000), calls(3000), changes())
    said = {Verdict.ALLOW.label: allow.digest[:16], Verdict.BLOCK.label: block.digest[:16]}
    decided = records(bench, "decision")
    assert len(decided) == 300
    assert all(said[r["verdict"]] == r["rules"] for r in decided)
    in_force = ""
    for record in bench.records():  # and in the order in which they came into force
        if record["type"] == "rules":
            in_force = record["rules"]
        elif record["type"] == "decision":
            assert record["rules"] == in_force


async def test_an_edit_that_cannot_be_used_is_told_until_it_is_mended(make_bench: Make) -> None:
    bench = make_bench(rules=rules())
    await bench.pipeline.reject_rules(["bench.yaml:3:1: no", "token sk-ant-REDACTED"])
    status = bench.pipeline.rulebook.status()["rejected"]
    assert status["count"] == 2
    record = records(bench, "rules")[-1]
    assert (record["event"], record["rules"]) == ("rejected", bench.pipeline.rules.digest[:16])
    assert "sk-ant-" + "a" * 40 not in json.dumps(record)
    await bench.pipeline.rules_in_order()
    assert bench.pipeline.rulebook.status()["rejected"] is None
