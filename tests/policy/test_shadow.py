"""Which mode a file and a rule is in, and the two sets that files in both modes make."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from proxy.model import SHADOW, Call, Identity, Trust, Verdict
from proxy.policy.load import load_texts
from proxy.policy.modes import as_enforced
from proxy.policy.ruleset import Assessment, RuleSet

WHO = Identity("s", "a", Trust.CREDENTIAL, Trust.CREDENTIAL)
BASE = """version: 1
pack: base
tools: [{name: pay, effects: [{kind: money.pay, amount: args.n, unit: EUR}]}]
gates: [{name: g, when: effect.amount > 10.0}]
"""
TRIED = """version: 1
pack: tried
mode: shadow
tools:
  - {name: pay, effects: [{kind: money.pay, amount: args.n, unit: EUR}, {kind: message.external}]}
  - {name: look, effects: [{kind: data.read}]}
budgets: [{name: b, of: "*", count: true, limit: 1}]
chains: [{name: c, steps: [data.read, money.pay]}]
"""


def rules(*texts: str) -> RuleSet:
    return RuleSet(load_texts([(f"{i}.yaml", text) for i, text in enumerate(texts)]))


def said(found: RuleSet, tool: str, n: int = 1) -> Assessment:
    return found.assess(Call("c", tool, {"n": n}, "openai.chat"), WHO)


@pytest.mark.parametrize(
    ("texts", "enforced", "all_in_shadow"),
    [
        pytest.param([BASE], None, False, id="enforced"),
        pytest.param([TRIED], None, True, id="in-shadow"),
        pytest.param([BASE, TRIED], ["pay"], False, id="both"),
        pytest.param([TRIED, BASE], ["pay"], False, id="both-the-other-way-round"),
        pytest.param(["version: 1\n", TRIED], [], False, id="an-empty-file-is-enforced"),
    ],
)
def test_which_set_is_in_force(
    texts: Sequence[str], enforced: list[str] | None, *, all_in_shadow: bool
) -> None:
    loaded = load_texts([(f"{i}.yaml", text) for i, text in enumerate(texts)])
    alone = loaded.enforced
    names = None if alone is None else [t.label for t in alone.tools]
    assert (names, loaded.all_in_shadow) == (enforced, all_in_shadow)


def test_effects_that_differ_stand_apart() -> None:
    """What the files in force know is charged by them alone; the rest stands under marked kinds."""
    found = said(rules(TRIED, BASE), "pay")
    assert [(e.effect.kind, e.charges) for e in found.effects] == [("money.pay", ())]
    assert [e.effect.kind for e in found.shadowed] == [
        f"{SHADOW}money.pay", f"{SHADOW}message.external",
    ]  # fmt: skip
    assert all(charge.shadow for one in found.shadowed for charge in one.charges)


def test_effects_that_are_the_same_are_one() -> None:
    """One entry in the ledger carries the charges of both modes."""
    tried = TRIED.replace(", {kind: message.external}", "")
    found = said(rules(tried, BASE), "pay")
    assert found.shadowed == ()
    ((effect),) = found.effects
    assert [(charge.budget, charge.shadow) for charge in effect.charges] == [("b", True)]


def test_a_rule_that_says_the_same_twice_is_told_once() -> None:
    """Gates of files in force are asked about both mappings; what both answer is one reason."""
    found = said(rules(TRIED, BASE), "pay", n=20)
    assert [(r.rule, r.shadow) for r in found.reasons] == [("g", False)]


def test_unmapped_is_said_by_the_files_in_force() -> None:
    found = said(rules(TRIED, BASE), "look")
    assert [(r.rule, r.shadow) for r in found.reasons] == [("unmapped", False)]
    assert not found.mapped


def test_as_if_nothing_were_in_shadow() -> None:
    """Cases and replays ask what the rules say; a mode is not the rules' business."""
    texts = [("0.yaml", TRIED), ("1.yaml", BASE.replace("g, when", "g, mode: shadow, when"))]
    found = said(RuleSet(as_enforced(load_texts(texts))), "pay", n=20)
    assert [(r.rule, r.verdict, r.shadow) for r in found.reasons] == [("g", Verdict.HOLD, False)]
    assert not any(charge.shadow for one in found.effects for charge in one.charges)


def test_words_for_the_whole_set_are_those_of_the_files_in_force() -> None:
    words = "model_hosts: m.internal\npass_through: p.internal\ntrust: trusted\n"
    both = rules(BASE, TRIED + words)
    assert (both.model_hosts, both.pass_through, both.trusts_results) == ((), (), False)
    alone = rules(TRIED + words)
    assert (alone.model_hosts, alone.pass_through, alone.trusts_results) == (
        ("m.internal",), ("p.internal",), True,
    )  # fmt: skip


def test_a_budget_in_shadow_does_not_make_a_unit_known() -> None:
    """What an enforced budget holds as a wrong unit is held, whatever is counted in shadow."""
    text = """version: 1
tools: [{name: pay, effects: [{kind: money.pay, amount: args.n, unit: USD}]}]
budgets:
  - {name: euros, of: money.pay, sum: EUR, limit: 100}
  - {name: dollars, of: money.pay, sum: USD, limit: 100, mode: MODE}
"""
    verdicts = [
        [(r.verdict, r.shadow) for r in said(rules(text.replace("MODE", mode)), "pay").reasons]
        for mode in ("shadow", "enforce")
    ]
    assert verdicts == [[(Verdict.HOLD, False)], []]
