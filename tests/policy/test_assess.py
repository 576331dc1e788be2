"""From a call to effects, charges and reasons: tables over one small rule file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from proxy.model import Call, HttpCall, Identity, Measure, ToolResult, Trust, Verdict
from proxy.policy.ruleset import RuleSet

WHO = Identity("s1", "a1", Trust.CREDENTIAL, Trust.CLAIMED, human="h1")
SUPPORT_DESK = Path(__file__).resolve().parents[2] / "rules" / "support-desk.yaml"
TEXT = """
version: 1
pack: t
tools:
  - name: refund_*
    effects: [{kind: money.refund, amount: args.amount, unit: {from: args.currency}, target: args.id}]
  - name: refund_order
    effects:
      - kind: money.refund
        amount: args.amount
        unit: EUR
        target: args.id
        settle: {ok: "!result.is_error", amount: result.json.refunded}
  - name: "*"
    effects: [{kind: other.call}]
  - name: peek
    effects: []
  - name: deploy
    effects:
      - {kind: deploy.production, when: args.env == "prod", labels: [live]}
      - {kind: deploy.staging, when: args.env != "prod"}
  - name: wipe
    effects: [{kind: record.delete}, {kind: record.delete, target: args.id}]
gates:
  - {name: big, when: effect.amount > 50, verdict: block, message: too big}
  - {name: odd, when: 'tool == "peek" && args.flag'}
  - {name: live, when: '"live" in effect.labels'}
budgets:
  - {name: eur, of: money.refund, sum: EUR, limit: 100, window: 24h, warn_at: 0.8}
  - {name: by-human, of: money.refund, count: true, limit: 5, per: human, on_exceed: block}
  - {name: records, of: "record.*", distinct: target, limit: 9, per: fleet}
  - {name: at-once, of: [record.*, money.*], count: true, limit: 1, per: call, on_exceed: block}
"""
RULES = RuleSet.load_text("t.yaml", TEXT)


def call(name: str, arguments: Any, **more: Any) -> Call:
    return Call("1", name, arguments, "p", **more)


@pytest.mark.parametrize(
    ("name", "arguments", "kinds", "reasons"),
    [
        ("refund_order", {"amount": 5, "id": "x"}, ["money.refund"], []),
        ("refund_order", {"amount": 51, "id": "x"}, ["money.refund"], [("big", "block")]),
        ("refund_order", {"amount": "5,0", "id": "x"}, ["money.refund"], [("t/refund_order#0", "hold"), ("big", "hold")]),
        ("refund_order", {"amount": 5}, ["money.refund"], [("t/refund_order#0", "hold")]),
        ("refund_order", "free text", ["money.refund"], [("t/refund_order#0", "hold")] * 2 + [("big", "hold")]),
        ("refund_all", {"amount": 5, "id": "x", "currency": "eur"}, ["money.refund"], []),
        ("refund_all", {"amount": 5, "id": "x", "currency": "USD"}, ["money.refund"], [("t/refund_*#0", "hold")]),
        ("refund_all", {"amount": 5, "id": "x", "currency": 7}, ["money.refund"], [("t/refund_*#0", "hold"), ("big", "hold")]),
        ("anything", {}, ["other.call"], []),
        ("peek", {"flag": False}, [], []),
        ("peek", {"flag": True}, [], [("odd", "hold")]),
        ("peek", {"flag": "true"}, [], [("odd", "hold")]),
        ("peek", {"flag": 1}, [], [("odd", "hold")]),
        ("peek", {}, [], [("odd", "hold")]),
        ("deploy", {"env": "prod"}, ["deploy.production"], [("live", "hold")]),
        ("deploy", {"env": "test"}, ["deploy.staging"], []),
        ("deploy", {}, ["deploy.production", "deploy.staging"], [("t/deploy#0", "hold"), ("t/deploy#1", "hold"), ("live", "hold")]),
        ("wipe", {"id": "x"}, ["record.delete"] * 2, [("t/wipe#0", "hold"), ("at-once", "block")]),
    ],
    ids=[
        "exact-name-wins", "gate-blocks", "unreadable-amount-holds", "missing-target-holds",
        "text-arguments-hold", "unit-from-the-call", "wrong-unit-holds", "unit-of-a-wrong-type",
        "shortest-glob-last", "gate-false", "gate-true", "text-is-not-true", "one-is-not-true",
        "gate-error-holds", "when-true", "when-false", "when-error-counts-all",
        "per-call-budget-and-missing-target",
    ],
)  # fmt: skip
def test_effects_and_reasons(
    name: str, arguments: Any, kinds: list[str], reasons: list[tuple[str, str]]
) -> None:
    found = RULES.assess(call(name, arguments), WHO)
    assert [c.effect.kind for c in found.effects] == kinds
    assert [(r.rule, r.verdict.label) for r in found.reasons] == reasons
    assert all(r.file == "t.yaml" and r.line for r in found.reasons)
    assert found.mapped


def test_charges_name_who_pays() -> None:
    (effect,) = RULES.assess(
        call("refund_order", {"amount": Decimal("4.50"), "id": 7}), WHO
    ).effects
    assert effect.effect.target == "7"
    assert [(c.budget, c.scope, c.measure, c.amount) for c in effect.charges] == [
        ("eur", "session:s1", Measure.SUM, Decimal("4.5")),
        ("by-human", "human:h1", Measure.COUNT, Decimal(1)),
    ]
    assert effect.charges[0].window_ms == 86_400_000


def test_a_human_nobody_knows_is_charged_as_the_agent() -> None:
    who = Identity("s1", "a1", Trust.CREDENTIAL, Trust.CLAIMED)
    (effect,) = RULES.assess(call("refund_order", {"amount": 1, "id": "x"}), who).effects
    assert effect.charges[1].scope == "agent:a1"


def test_a_sub_session_pays_for_its_parent_too() -> None:
    who = Identity("child", "a1", Trust.CREDENTIAL, Trust.CLAIMED, parent="top")
    (effect,) = RULES.assess(call("refund_order", {"amount": 1, "id": "x"}), who).effects
    assert [c.scope for c in effect.charges if c.budget == "eur"] == [
        "session:child",
        "session:top",
    ]


def test_a_call_without_one_reading_is_blocked() -> None:
    found = RULES.assess(call("refund_order", None, fault="duplicate key 'amount'"), WHO)
    assert found.effects == ()
    assert [(r.rule, r.verdict) for r in found.reasons] == [("unreadable-arguments", Verdict.BLOCK)]


@pytest.mark.parametrize("verdict", ["allow", "hold", "block"])
def test_a_tool_no_rule_knows(verdict: str) -> None:
    rules = RuleSet.load_text("u.yaml", f"version: 1\nunmapped: {verdict}\n")
    found = rules.assess(call("x", {}), WHO)
    assert not found.mapped
    assert [r.verdict.label for r in found.reasons] == ([] if verdict == "allow" else [verdict])


def test_a_state_of_a_per_call_budget() -> None:
    (state,) = RULES.assess(call("wipe", {"id": "x"}), WHO).call_states
    assert (state.name, state.scope, state.after, state.exceeded) == (
        "at-once",
        "call",
        Decimal(2),
        True,
    )


def test_work_of_an_expression_is_bounded() -> None:
    text = "version: 1\ngates: [{name: g, when: 'args.x.all(a, args.x.all(b, args.x.all(c, true)))'}]\nunmapped: allow\n"
    found = RuleSet.load_text("g.yaml", text).assess(call("x", {"x": list(range(300))}), WHO)
    assert [(r.rule, r.verdict) for r in found.reasons] == [("g", Verdict.HOLD)]


@pytest.mark.parametrize(
    ("text", "is_error", "ok", "amount", "fault"),
    [
        ('{"refunded": 4.5}', False, True, Decimal("4.5"), False),
        ("no", True, False, None, False),
        ('{"refunded": -4}', False, None, None, True),
        ('{"refunded": 4, "refunded": 0}', False, None, None, True),
        ("done", False, None, None, True),
    ],
    ids=["real-amount", "failed", "negative", "duplicate-key", "prose"],
)
def test_settling(
    text: str, is_error: bool, ok: bool | None, amount: Decimal | None, fault: bool
) -> None:
    found = RULES.settle("t/refund_order#0", {}, ToolResult("1", None, text, is_error))
    assert (found.ok, found.amount, found.fault is not None) == (ok, amount, fault)


def test_a_rule_that_is_gone_commits() -> None:
    found = RULES.settle("t/gone#0", {}, ToolResult("1", None, "x", True))
    assert (found.ok, found.fault) == (None, None)


def test_support_desk_sees_one_refund_on_both_sides() -> None:
    rules = RuleSet.load([SUPPORT_DESK])
    model = rules.assess(call("refund_order", {"order_id": "A1", "amount": 45}), WHO)
    http = HttpCall("POST", "127.0.0.1:9000", "/v1/refunds/A1", body={"amount": 45})
    tool = rules.assess(call("POST 127.0.0.1/v1/refunds/{id}", {"amount": 45}), WHO, http)
    for found in (model, tool):
        assert found.reasons == ()
        (charged,) = found.effects
        effect = charged.effect
        assert (effect.kind, effect.unit, effect.target, effect.amount) == (
            "money.refund",
            "EUR",
            "A1",
            Decimal(45),
        )
        assert charged.charges[0].budget == "refunds"
        assert charged.charges[0].limit == Decimal(100)
