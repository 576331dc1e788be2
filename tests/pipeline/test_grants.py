"""Grants: what they let pass, what they do not, and that each use is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from proxy.decisionlog import DecisionLog
from proxy.errors import HoldError
from proxy.model import Grant, Hold, HoldState, Verdict
from proxy.pipeline.grant_desk import Asking
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.conversation import Conversation, Judged
from proxy.rehearsal.rehearsal import Rehearsal
from proxy.rehearsal.replay import Replay
from proxy.settings import Settings

RULES = """
version: 1
tools:
  - name: refund
    effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.id}]
  - name: pair
    effects:
      - {kind: money.refund, amount: args.amount, unit: EUR, target: args.id}
      - {kind: message.external, target: args.id}
  - {name: delete, effects: [{kind: record.delete, target: args.id}]}
  - http: {method: POST, host: billing.internal, path: "/v1/refunds/{id}"}
    effects: [{kind: money.refund, amount: body.amount, unit: EUR, target: path.id}]
gates:
  - {name: vip, when: 'effect.kind == "money.refund" && effect.target.startsWith("VIP")'}
  - {name: deletes, when: 'effect.kind == "record.delete"'}
  - {name: never, when: 'effect.kind == "money.refund" && effect.amount > 1000.0', verdict: block}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, window: 24h}
  - {name: count, of: money.refund, count: true, limit: 6, per: agent, window: 24h}
"""


@pytest.fixture
def played() -> Any:
    with Rehearsal(RuleSet.load_text("r.yaml", RULES)) as rehearsal:
        yield rehearsal


def refund(who: Conversation, target: str = "A", amount: int = 10, tool: str = "refund") -> Judged:
    return who.call(tool, {"id": target, "amount": amount})


def give(played: Rehearsal, judged: Judged, **asking: Any) -> tuple[Hold, Grant, tuple[Hold, ...]]:
    hold = judged.decision.hold
    assert hold is not None
    work = played.pipeline.grants.give(hold.id, Asking(**asking), "ops", "because")
    return played.finish(work)


# --- calls like a held one ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asking", "call", "passes"),
    [
        pytest.param({}, ("VIP-1", 10), True, id="the-same-again"),
        pytest.param({}, ("VIP-1", 60), True, id="any-amount"),
        pytest.param({}, ("VIP-2", 10), False, id="another-target"),
        pytest.param({"same_target": False}, ("VIP-2", 10), True, id="any-target"),
        pytest.param({"amount": Decimal(20)}, ("VIP-1", 20), True, id="up-to"),
        pytest.param({"amount": Decimal(20)}, ("VIP-1", 21), False, id="more-than-that"),
        pytest.param(
            {"same_target": False}, ("VIP-2", 95), False, id="a-budget-that-nobody-was-shown"
        ),
        pytest.param({"same_target": False}, ("VIP-2", 1001), False, id="what-is-blocked"),
    ],
)
def test_calls_like_it(
    played: Rehearsal, asking: dict[str, Any], call: tuple[str, int], passes: bool
) -> None:
    who = played.session()
    give(played, refund(who, "VIP-1"), **asking)
    assert refund(who, "VIP-1").verdict is Verdict.ALLOW  # the held call itself, by its approval
    assert (refund(who, *call).verdict is Verdict.ALLOW) is passes


def test_the_held_call_passes_and_others_that_wait_with_it(played: Rehearsal) -> None:
    who = played.session()
    first, second, other = (
        refund(who, t, n) for t, n in (("VIP-1", 10), ("VIP-1", 11), ("VIP-2", 12))
    )
    hold, grant, also = give(played, first)
    assert hold.state is HoldState.APPROVED
    assert [one.id for one in also] == [second.decision.hold.id]  # type: ignore[union-attr]
    assert also[0].reason == f"by grant {grant.id}"
    assert who.again(second).verdict is Verdict.ALLOW
    assert who.again(other).verdict is Verdict.HOLD


@pytest.mark.parametrize(
    ("per", "session", "agent", "passes"),
    [
        ("session", "session", "agent", True),
        ("session", "other", "agent", False),
        ("agent", "other", "agent", True),
        ("agent", "other", "somebody", False),
    ],
)
def test_whose_calls(played: Rehearsal, per: str, session: str, agent: str, passes: bool) -> None:
    give(played, refund(played.session(), "VIP-1"), per=per)
    made = refund(played.session(session, agent=agent), "VIP-1")
    assert (made.verdict is Verdict.ALLOW) is passes


def test_a_sub_session_is_another(played: Rehearsal) -> None:
    give(played, refund(played.session(), "VIP-1"))
    child = played.session("child", parent="session")
    assert refund(child, "VIP-1").verdict is Verdict.HOLD


def test_another_tool_with_the_same_effect_and_more_effects(played: Rehearsal) -> None:
    who = played.session()
    give(played, refund(who, "VIP-1"))
    assert refund(who, "VIP-1", tool="pair").verdict is Verdict.HOLD


def test_a_grant_ends(played: Rehearsal) -> None:
    who = played.session()
    give(played, refund(who, "VIP-1"), expires_at_ms=played.now_ms + 60_000)
    refund(who, "VIP-1", 1)
    assert refund(who, "VIP-1", 2).verdict is Verdict.ALLOW
    played.wait(61)
    assert refund(who, "VIP-1", 3).verdict is Verdict.HOLD


def test_a_grant_is_taken_back_at_once(played: Rehearsal) -> None:
    who = played.session()
    _, grant, _ = give(played, refund(who, "VIP-1"))
    assert refund(who, "VIP-1", 2).verdict is Verdict.ALLOW
    played.finish(played.pipeline.grants.revoke(grant.id[:13], "ops"))
    assert refund(who, "VIP-1", 3).verdict is Verdict.HOLD
    with pytest.raises(HoldError, match="has ended already"):
        played.finish(played.pipeline.grants.revoke(grant.id, "ops"))


def test_what_a_grant_lets_pass_is_counted(played: Rehearsal) -> None:
    who = played.session()
    give(played, refund(who, "VIP-1", 40))
    assert [refund(who, "VIP-1", 30).verdict for _ in range(1)] == [Verdict.ALLOW]
    refund(who, "VIP-1", 40)
    held = refund(who, "A", 40)
    assert held.verdict is Verdict.HOLD
    assert {r.rule for r in held.reasons} == {"refunds"}


def test_the_other_side_of_an_action_passes_too(played: Rehearsal) -> None:
    """A model's call that a grant let pass is met at the tool's API: once counted, and not held again."""
    who = played.session()
    give(played, refund(who, "VIP-1"))
    refund(who, "VIP-1", 10)
    assert refund(who, "VIP-1", 20).verdict is Verdict.ALLOW
    made = who.http("POST", "billing.internal", "/v1/refunds/VIP-1", body={"amount": 20})
    assert made.verdict is Verdict.ALLOW
    assert made.decision.bound is not None


# --- more of a budget --------------------------------------------------------------------------------------
def test_a_top_up_lets_more_pass_and_no_more_than_that(played: Rehearsal) -> None:
    who = played.session()
    refund(who, "A", 90)
    held = refund(who, "B", 20)
    _, grant, _ = give(played, held, budget="refunds", extra=Decimal(50), unit="EUR")
    assert grant.scope == "session:session"
    assert who.again(held).verdict is Verdict.ALLOW  # 110 of 150
    assert refund(who, "C", 40).verdict is Verdict.ALLOW  # 150
    assert refund(who, "D", 1).verdict is Verdict.HOLD
    assert refund(played.session("other"), "E", 101).verdict is Verdict.HOLD


def test_a_top_up_is_no_answer_to_gates(played: Rehearsal) -> None:
    who = played.session()
    refund(who, "A", 90)
    give(played, refund(who, "B", 20), budget="refunds", extra=Decimal(500))
    assert refund(who, "VIP-1", 20).verdict is Verdict.HOLD


def test_a_top_up_ends(played: Rehearsal) -> None:
    who = played.session()
    refund(who, "A", 90)
    ends = played.now_ms + 60_000
    give(played, refund(who, "B", 20), budget="refunds", extra=Decimal(50), expires_at_ms=ends)
    assert refund(who, "C", 40).verdict is Verdict.ALLOW
    played.wait(61)
    assert refund(who, "D", 1).verdict is Verdict.HOLD


@pytest.mark.parametrize(
    ("tool", "asking", "message"),
    [
        (
            "refund",
            {"budget": "refunds", "extra": Decimal(5)},
            "the budget 'refunds' does not hold it; those that do: none",
        ),
        ("refund", {"expires_at_ms": 1}, "a grant ends within 7 days"),
        ("refund", {"expires_at_ms": 10**15}, "a grant ends within 7 days"),
        ("delete", {"amount": Decimal(5)}, "has no amount in one unit"),
    ],
)
def test_what_does_not_fit_is_refused_and_answers_nothing(
    played: Rehearsal, tool: str, asking: dict[str, Any], message: str
) -> None:
    who = played.session()
    held = who.call(tool, {"id": "VIP-1", "amount": 10})
    with pytest.raises(HoldError, match=message):
        give(played, held, **asking)
    hold = held.decision.hold
    assert hold is not None
    assert played.finish(played.pipeline.desk.get(hold.id)).state is HoldState.PENDING


def test_a_hold_that_has_ended_grants_nothing(played: Rehearsal) -> None:
    held = refund(played.session(), "VIP-1")
    played.deny(held.decision.hold)
    with pytest.raises(HoldError, match="has ended"):
        give(played, held)


# --- the log -------------------------------------------------------------------------------------------------
def test_every_step_is_told_and_replays(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    (tmp_path / "r.yaml").write_text(RULES)
    clock: list[Rehearsal] = []
    sink = DecisionLog(log, now=lambda: datetime.fromtimestamp(clock[0].now_ms / 1000, UTC))
    settings = Settings(state=Path("none"), log=Path("none"), admin=Path("none"))
    with Rehearsal(
        RuleSet.load_text("r.yaml", RULES), sink=sink.append, settings=settings
    ) as played:
        clock.append(played)
        played.pipeline.start(())
        who = played.session()
        _, grant, _ = give(played, refund(who, "VIP-1", 10))
        refund(who, "VIP-1", 10)
        refund(who, "VIP-1", 20)
        played.finish(played.pipeline.grants.revoke(grant.id, "ops"))
        refund(who, "VIP-1", 30)
        refund(who, "A", 60)
        give(played, refund(who, "B", 30), budget="refunds", extra=Decimal(100))
        refund(who, "C", 40)
    sink.close()
    records = [json.loads(line) for line in log.read_text().splitlines()]
    told = [r["event"] for r in records if r["type"] == "grant"]
    assert told == ["granted", "used", "revoked", "granted", "used"]
    decided = [(r["verdict"], bool(r["grants"])) for r in records if r["type"] == "decision"]
    assert decided == [
        ("hold", False),
        ("allow", False),  # by its approval
        ("allow", True),
        ("hold", False),
        ("allow", False),
        ("hold", False),
        ("allow", True),
    ]
    outcomes = list(Replay((log,), (tmp_path / "r.yaml",), workers=1))
    assert [c.changed for o in outcomes for c in o.calls] == [False] * 7


# --- nobody spends more than a human has allowed ---------------------------------------------------------------
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.integers(1, 80), st.sampled_from(["call", "top-up", "like", "revoke"])),
        min_size=3,
        max_size=12,
    )
)
@example([(1, "call"), (16, "call"), (80, "call"), (4, "call"), (5, "like"), (4, "call")])
def test_the_sum_stays_below_what_was_allowed(steps: list[tuple[int, str]]) -> None:
    """Below the limit, its top-ups, and what was approved by name."""
    spent, allowed = Decimal(0), Decimal(100)
    with Rehearsal(RuleSet.load_text("r.yaml", RULES.replace("limit: 6", "limit: 600"))) as played:
        who = played.session()
        grants: list[Grant] = []
        for amount, what in steps:
            made = refund(who, "A", amount)
            if made.verdict is Verdict.ALLOW:
                spent += amount
            elif what == "top-up":
                _, grant, _ = give(played, made, budget="refunds", extra=Decimal(30))
                grants.append(grant)
                allowed += 30
                who.again(made)
                spent += amount
                allowed += amount
            elif what == "like":
                _, grant, others = give(played, made, amount=Decimal(10))
                who.again(made)
                spent += amount
                # What waited and is like it was approved with it; each may come once.
                also = (e.amount for other in others for e in other.effects if e.amount)
                allowed += sum(also, Decimal(amount))
                played.finish(played.pipeline.grants.revoke(grant.id, "ops"))
            elif what == "revoke" and grants:
                played.finish(played.pipeline.grants.revoke(grants.pop().id, "ops"))
            assert spent <= allowed
