"""One action on two sides: what differs is told as drift, and what is held takes no entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.model import Verdict

if TYPE_CHECKING:
    from tests.conftest import Bench, MakeBench


@pytest.mark.parametrize(
    ("order", "amount", "session", "later_ms", "drifts"),
    [
        pytest.param("o1", 45, "s1", 0, False, id="the-same"),
        pytest.param("o1", 46, "s1", 0, True, id="other-amount"),
        pytest.param("o2", 45, "s1", 0, True, id="other-target"),
        pytest.param("o1", 46, "s1", 900_001, False, id="after-the-window"),
        pytest.param("o1", 46, "s2", 0, False, id="other-session"),
    ],
)
async def test_changed_arguments_are_drift(
    bench: Bench, order: str, amount: int, session: str, later_ms: int, drifts: bool
) -> None:
    """The tool side's record names the model's call; the verdict is the rules' and budgets' own."""
    model = bench.call()
    await bench.decide(model)
    bench.now_ms += later_ms
    call, http = bench.tool_side(order, amount)
    assert (await bench.decide(call, bench.who(session), http)).verdict is Verdict.ALLOW
    record = bench.records("decision")[-1]
    told = {"call_id": "c1", "name": "refund", "args_sha256": model.args_sha256}
    assert record["drift"] == (told if drifts else None)
    assert [r["rule"] for r in record["reasons"]] == (["drift"] if drifts else [])


async def test_the_nearest_call_is_named(bench: Bench) -> None:
    """Of several calls the one with the same target; of these the newest."""
    await bench.decide(bench.call(id="c1", response="r1", text='{"order": "o1", "amount": 20}'))
    await bench.decide(bench.call(id="c2", response="r2", text='{"order": "o2", "amount": 20}'))
    call, http = bench.tool_side("o1", 21)
    await bench.decide(call, http=http)
    assert bench.records("decision")[-1]["drift"]["call_id"] == "c1"


async def test_drift_past_the_budget_is_held_with_its_reason(bench: Bench) -> None:
    """What the human reads says that the model had asked for something else."""
    await bench.decide(bench.call())
    call, http = bench.tool_side("o1", 99)
    decision = await bench.decide(call, http=http)
    assert decision.verdict is Verdict.HOLD
    assert "drift" in [r.rule for r in decision.reasons]


async def test_a_held_call_takes_no_entry(bench: Bench) -> None:
    """The mirror's request waits; the plain one binds to the model's entry meanwhile."""
    await bench.decide(bench.call())
    mirror, http = bench.tool_side(headers=(("x-mirror", "1"),))
    held = await bench.decide(mirror, http=http, origin="x1")
    assert held.verdict is Verdict.HOLD
    plain, http_plain = bench.tool_side()
    assert (await bench.decide(plain, http=http_plain, origin="x2")).verdict is Verdict.ALLOW
    assert await bench.used() == "45"


async def test_an_approved_gate_on_the_tool_side_is_used_up(bench: Bench) -> None:
    """A yes to the mirror is for one request: it binds, and the next one waits anew."""
    await bench.decide(bench.call())
    mirror, http = bench.tool_side(headers=(("x-mirror", "1"),))
    held = await bench.decide(mirror, http=http, origin="x1")
    assert held.hold is not None
    await bench.pipeline.desk.approve(held.hold.id, by="ops")
    verdicts = [
        (await bench.decide(mirror, http=http, origin=origin)).verdict for origin in ("x2", "x3")
    ]
    assert verdicts == [Verdict.ALLOW, Verdict.HOLD]
    assert await bench.used() == "45"


async def test_shadow_binds_and_tells(make_bench: MakeBench) -> None:
    """In shadow mode the action counts once as well; what would have held it is told."""
    bench = make_bench(shadow=True)
    await bench.decide(bench.call())
    mirror, http = bench.tool_side(headers=(("x-mirror", "1"),))
    assert (await bench.decide(mirror, http=http)).would is Verdict.HOLD
    assert await bench.used() == "45"
