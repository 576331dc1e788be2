"""Calls explained: the verdict is the one that the case has, and what is said to allow a call does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from proxy.canonical import digest
from proxy.explain.arguments import ABSENT, with_value
from proxy.explain.explaining import explain
from proxy.explain.findings import Came, Explanation
from proxy.explain.given import Given, read_given
from proxy.explain.listening import ListeningRules
from proxy.explain.scene import scene_of_call
from proxy.explain.scene_of_case import scene_of_case
from proxy.explain.way import Way
from proxy.model import Json, Verdict
from proxy.policy.load import load_paths, load_texts
from proxy.rehearsal.casefile import read_case_file
from proxy.rehearsal.trying import try_files

ROOT = Path(__file__).resolve().parents[2]
PACKS = ("support-desk", "ci-cd", "incident-remediation", "research-assistant", "secrets-rotation")

RULES = """
version: 1
tools:
  - name: refund
    effects:
      - {kind: money.refund, amount: args.amount, unit: EUR, target: args.id}
  - name: transfer
    effects:
      - {kind: money.payment, amount: args.order.amount, unit: EUR, target: args.order.to}
  - {name: list_jobs, effects: [{kind: job.check, target: args.key}]}
  - {name: revoke, effects: [{kind: credential.revoke, target: args.key}]}
gates:
  - {name: vip, when: 'effect.kind == "money.refund" && effect.target.startsWith("VIP-")'}
  - {name: odd, when: 'tool == "refund" && has(args.note) && args.note == "odd"'}
  - {name: big, when: 'effect.kind == "money.payment" && effect.amount > 500.0', verdict: block}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, window: 24h}
requires:
  - {name: unused, for: credential.revoke, evidence: job.check, same: target, within: 10m, when: evidence.result.json.count == 0}
"""


def explained(rules: ListeningRules, name: str, arguments: Json) -> Explanation:
    scene = scene_of_call(rules, call(name, arguments))
    with scene.rehearsal:
        return explain(scene, ())


def call(name: str, arguments: Json) -> Given:
    text = json.dumps({"name": name, "arguments": arguments}, default=float)
    given = read_given(text, "test")
    assert isinstance(given, Given)
    return given


@pytest.fixture(scope="module")
def rules() -> ListeningRules:
    return ListeningRules(load_texts([("r.yaml", RULES)]))


CALLS: list[tuple[str, str, dict[str, Json], Verdict]] = [
    ("passes", "refund", {"id": "A", "amount": 20}, Verdict.ALLOW),
    ("a-gate", "refund", {"id": "VIP-1", "amount": 20}, Verdict.HOLD),
    ("a-budget", "refund", {"id": "A", "amount": 120}, Verdict.HOLD),
    ("cents", "refund", {"id": "A", "amount": Decimal("100.01")}, Verdict.HOLD),
    ("gate-and-budget", "refund", {"id": "VIP-1", "amount": 120}, Verdict.HOLD),
    ("three", "refund", {"id": "VIP-1", "amount": 120, "note": "odd"}, Verdict.HOLD),
    ("text-for-a-number", "refund", {"id": "A", "amount": "120"}, Verdict.HOLD),
    ("an-argument-too-much", "refund", {"id": "A", "amount": 1, "note": "odd"}, Verdict.HOLD),
    ("inside", "transfer", {"order": {"amount": 700, "to": "x"}}, Verdict.BLOCK),
    ("without-evidence", "revoke", {"key": "k"}, Verdict.HOLD),
    ("unknown-tool", "wire_money", {"to": "x"}, Verdict.HOLD),
]


@pytest.mark.parametrize(
    ("name", "arguments", "verdict"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS]
)
def test_what_is_said_to_allow_a_call_does(
    rules: ListeningRules, name: str, arguments: dict[str, Json], verdict: Verdict
) -> None:
    """Every other value of an argument is put into the call, and judged from the start."""
    told = explained(rules, name, arguments)
    assert told.verdict is verdict
    stopping = {rule for rule, _ in told.stopping}
    assert bool(stopping) is (verdict is not Verdict.ALLOW)
    assert bool(told.ways) is bool(stopping)
    for way in _of_arguments(told):
        again = explained(rules, name, _with(arguments, way))
        assert (again.verdict is Verdict.ALLOW) is way.allows, way.text
        assert sorted(rule for rule, _ in again.stopping if rule != way.rule) == list(way.remaining)
        assert not way.rule or way.rule not in {rule for rule, _ in again.stopping}
    if stopping <= {"vip", "odd", "refunds", "big"}:
        best = told.all_at_once or next(iter(told.ways), None)
        assert best is None or best.allows


def test_an_amount_is_the_largest_that_passes(rules: ListeningRules) -> None:
    way = next(_of_arguments(explained(rules, "refund", {"id": "A", "amount": 120})))
    assert (way.text, way.changes) == (
        "args.amount at most 100 EUR (100 - 0 used)",
        (("args.amount", 100),),
    )


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        pytest.param(
            {"id": "A", "amount": 1},
            [("effect.target", "A"), ('effect.target.startsWith("VIP-")', False)],
            id="false",
        ),
        pytest.param(
            {"id": "VIP-2", "amount": 1},
            [("effect.target", "VIP-2"), ('effect.target.startsWith("VIP-")', True)],
            id="true",
        ),
    ],
)
def test_every_part_of_a_condition_has_its_value(
    rules: ListeningRules, arguments: dict[str, Json], parts: list[tuple[str, Json]]
) -> None:
    gate = next(g for g in explained(rules, "refund", arguments).gates if g.name == "vip")
    found = {part.text: part.value for part in gate.expressions[0].parts}
    assert found | dict(parts) == found
    assert gate.came is (Came.MATCHED if parts[-1][1] else Came.NOT_MATCHED)


def test_explaining_leaves_the_state_as_it_is(rules: ListeningRules) -> None:
    """Some hundred trials book nothing: the same call is explained the same again."""
    scene = scene_of_call(rules, call("refund", {"id": "A", "amount": 120}))
    with scene.rehearsal:
        first, second = explain(scene, ()), explain(scene, ())
    assert first == second
    assert [b.before for b in first.budgets] == [0]


@pytest.mark.parametrize("pack", PACKS)
def test_what_stops_a_call_of_a_case_is_found(pack: str) -> None:
    """The last call of some of a pack's cases: whatever stops it is told with what it found."""
    path = ROOT / "rules" / f"{pack}.cases.yaml"
    (outcome,) = list(try_files([path]))
    assert not outcome.problems
    file = read_case_file(path)
    rules = ListeningRules(load_paths(list(file.rules)))
    stopped = 0
    for case in file.cases[::3]:
        calls = [n for n, step in enumerate(case.steps, 1) if step.title.startswith("call ")]
        if not calls:
            continue
        scene = scene_of_case(rules, file, case.name, calls[-1], None)
        with scene.rehearsal:
            told = explain(scene, ())
        stopped += told.verdict is not Verdict.ALLOW
        found = {
            *(g.name for g in told.gates if g.came is Came.MATCHED),
            *(r.name for r in told.requires if r.came is Came.MATCHED),
            *(c.name for c in told.chains if c.came is Came.MATCHED),
            *(b.name for b in told.budgets if b.exceeded),
            *(r.name for r in told.reasons),
        }
        assert {rule for rule, _ in told.stopping} <= found, case.name
    assert stopped


def _of_arguments(told: Explanation) -> Iterator[Way]:
    every = (*told.ways, told.all_at_once) if told.all_at_once else told.ways
    return (way for way in every if way.kind in ("argument", "arguments"))


def _with(arguments: Json, way: Way) -> Json:
    for name, value in way.changes:
        path = tuple(name.split(".")[1:])
        arguments = with_value(arguments, path, ABSENT if value is None else value)
    assert digest(arguments)
    return arguments
