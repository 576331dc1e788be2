"""Who pays: sub-agents roll up into all sessions above them, a fleet's budget spans agents and sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.model import Identity, Trust, Verdict
from proxy.pipeline.judge import call_key

if TYPE_CHECKING:
    from tests.conftest import Bench, MakeBench

ALLOW, HOLD = Verdict.ALLOW, Verdict.HOLD
SURE = Trust.CREDENTIAL
ROOT = Identity("root", "a1", SURE, SURE)
CHILD = Identity("child", "a1", SURE, SURE, parent="root")
GRANDCHILD = Identity("grandchild", "a1", SURE, SURE, parent="child")
SAME_AGENT = Identity("other", "a1", SURE, SURE)
ANOTHER_AGENT = Identity("elsewhere", "a2", SURE, SURE)
EVERYBODY = (ROOT, CHILD, GRANDCHILD, SAME_AGENT, ANOTHER_AGENT)


async def pays(bench: Bench, who: Identity, amount: int) -> Verdict:
    bench.now_ms += 1000
    name = f"c{bench.now_ms}"
    call = bench.call("refund", f'{{"order": "{name}", "amount": {amount}}}', name, name)
    return (await bench.pipeline.decide(call, who, call_key(who, call, "x"))).verdict


@pytest.mark.parametrize(
    ("per", "payer", "then", "last"),
    [
        pytest.param("session", CHILD, ROOT, HOLD, id="a-childs-is-its-roots"),
        pytest.param("session", GRANDCHILD, ROOT, HOLD, id="a-grandchilds-is-the-roots"),
        pytest.param("session", GRANDCHILD, CHILD, HOLD, id="and-the-childs"),
        pytest.param("session", ROOT, CHILD, HOLD, id="a-child-has-no-budget-of-its-own"),
        pytest.param("session", ROOT, SAME_AGENT, ALLOW, id="another-session-has"),
        pytest.param("agent", ROOT, SAME_AGENT, HOLD, id="an-agents-spans-sessions"),
        pytest.param("agent", ROOT, ANOTHER_AGENT, ALLOW, id="another-agent-has-its-own"),
        pytest.param("fleet", ROOT, ANOTHER_AGENT, HOLD, id="a-fleets-spans-agents"),
        pytest.param("fleet", GRANDCHILD, ANOTHER_AGENT, HOLD, id="and-sub-agents"),
    ],
)
async def test_who_pays(
    make_bench: MakeBench, per: str, payer: Identity, then: Identity, last: Verdict
) -> None:
    """60 of 100 are spent by one; whether another may spend 60 shows whose budget it was."""
    bench = make_bench(
        "version: 1\ntools: [{name: refund, effects: [{kind: money.refund, amount: args.amount,"
        " unit: EUR, target: args.order}]}]\n"
        f"budgets: [{{name: b, of: money.refund, sum: EUR, limit: 100, per: {per}}}]\n"
    )
    for who in EVERYBODY:
        await bench.pipeline.see_session(who, "peer")
    assert await pays(bench, payer, 60) is ALLOW
    assert await pays(bench, then, 60) is last


async def test_an_approval_refills_what_is_counted_since_the_last(make_bench: MakeBench) -> None:
    """Points since the last checkpoint: a human's yes begins the count anew, for the whole family."""
    bench = make_bench(
        "version: 1\ntools: [{name: refund, effects: [{kind: money.refund, target: args.order,"
        " points: 30}]}]\n"
        "budgets: [{name: autonomy, sum: points, limit: 100, since: checkpoint}]\n"
    )
    for who in EVERYBODY:
        await bench.pipeline.see_session(who, "peer")
    for who in (ROOT, CHILD, GRANDCHILD):
        assert await pays(bench, who, 1) is ALLOW
    assert await pays(bench, CHILD, 1) is HOLD
    (hold,) = await bench.pipeline.desk.list()
    await bench.pipeline.desk.approve(hold.id, "ada")
    assert [await pays(bench, who, 1) for who in (ROOT, CHILD, GRANDCHILD)] == [ALLOW] * 3
    assert await pays(bench, ROOT, 1) is HOLD
