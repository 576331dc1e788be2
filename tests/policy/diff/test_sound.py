"""What is called stricter is stricter: sets of rules made up, the same calls judged by both while all of them pass.

Each call may be judged more strictly by the new set where something is called stricter, and less strictly where something is called
looser; where anything is unsure nothing is promised. Made-up sets are an old one and the same with a few changes, since two
sets that have nothing in common differ both ways.
"""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.model import Verdict
from proxy.policy.diff.changes import Direction
from proxy.policy.diff.comparing import compare
from proxy.policy.diff.rules import Rule
from proxy.policy.load import Loaded, load_texts
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.rehearsal import Rehearsal
from proxy.settings import Settings

SHADOW = Settings(state=Path("none"), log=Path("none"), admin=Path("none"), shadow=True)
type Rules = dict[str, Any]

TOOLS = ("refund", "wire", "read", "send", "look")
KINDS = st.sampled_from(["money.refund", "money.wire", "money.*", "data.read", "data.*", "*"])
LISTS = st.lists(KINDS, min_size=1, max_size=3, unique=True)
VERDICTS = st.sampled_from(["hold", "block"])
MODES = st.sampled_from(["enforce", "enforce", "enforce", "shadow"])
WINDOWS = st.sampled_from(["1s", "5s", "1m", "1h"])
PARTS = st.sampled_from(
    [
        'effect.kind == "money.refund"',
        'effect.kind in ["money.refund", "money.wire"]',
        'effect.kind in ["money.refund", "money.wire", "data.read"]',
        "effect.amount > 50.0",
        "effect.amount > 20.0",
        "effect.amount >= 50.0",
        "effect.amount < 30.0",
        'effect.target.startsWith("A")',
        'effect.target.startsWith("AB")',
        'args.note == "odd"',
        'tool != "read"',
        '!(args.note == "odd" && effect.amount > 20.0)',
    ]
)
CONDITIONS = st.lists(st.lists(PARTS, min_size=1, max_size=2), min_size=1, max_size=2).map(
    lambda some: " || ".join("(" + " && ".join(each) + ")" for each in some)
)
MEASURES: st.SearchStrategy[Rules] = st.sampled_from(
    [{"count": True}, {"sum": "EUR"}, {"sum": "EUR"}, {"sum": "USD"}, {"distinct": "target"}]
)
NAMES = st.sampled_from(["one", "two"])


@st.composite
def gate(draw: st.DrawFn) -> Rules:
    return {
        "name": "g-" + draw(NAMES),
        "when": draw(CONDITIONS),
        "verdict": draw(VERDICTS),
        "mode": draw(MODES),
    }


@st.composite
def budget(draw: st.DrawFn) -> Rules:
    made: Rules = {
        "name": "b-" + draw(NAMES),
        "of": draw(LISTS),
        **draw(MEASURES),
        "limit": draw(st.sampled_from([1, 2, 3, 40, 60, 100])),
        "per": draw(st.sampled_from(["session", "session", "call", "agent", "fleet"])),
        "on_exceed": draw(VERDICTS),
        "mode": draw(MODES),
    }
    if made["per"] != "call" and draw(st.booleans()):
        made["window"] = draw(WINDOWS)
    return made


@st.composite
def chain(draw: st.DrawFn) -> Rules:
    made: Rules = {
        "name": "c-" + draw(NAMES),
        "steps": [{"of": draw(LISTS)}, {"of": draw(LISTS)}],
        "on_match": draw(VERDICTS),
        "flow": draw(st.sampled_from(["order", "order", "possible", "observed"])),
        "mode": draw(MODES),
    }
    if draw(st.booleans()):
        made["unless"] = draw(LISTS)
    if draw(st.booleans()):
        made["within"] = draw(WINDOWS)
    if draw(st.booleans()):
        made["same"] = "target"
    return made


@st.composite
def require(draw: st.DrawFn) -> Rules:
    made: Rules = {
        "name": "r-" + draw(NAMES),
        "for": draw(LISTS),
        "evidence": draw(
            st.lists(st.sampled_from(["data.read", "data.*"]), min_size=1, max_size=2, unique=True)
        ),
        "same": draw(st.sampled_from(["target", "session"])),
        "otherwise": draw(VERDICTS),
        "mode": draw(MODES),
    }
    if draw(st.booleans()):
        made["within"] = draw(WINDOWS)
    if draw(st.booleans()):
        made["when"] = draw(
            st.sampled_from(
                [
                    'evidence.result.json.state == "ok"',
                    'evidence.result.json.state in ["ok", "fine"]',
                    'evidence.result.json.state == "ok" && evidence.result.json.count > 1',
                ]
            )
        )
    return made


@st.composite
def tool(draw: st.DrawFn) -> Rules:
    kinds = st.sampled_from(["money.refund", "money.wire", "data.read", "data.send"])
    effects = []
    for kind in draw(st.lists(kinds, max_size=2, unique=True)):
        effect: Rules = {"kind": kind, "target": "args.target"}
        if kind.startswith("money"):
            effect |= {"amount": "args.amount", "unit": draw(st.sampled_from(["EUR", "USD"]))}
        effects.append(effect)
    return {"name": draw(st.sampled_from(TOOLS[:4])), "effects": effects}


ENTRIES = {
    "gates": gate(),
    "budgets": budget(),
    "chains": chain(),
    "requires": require(),
    "tools": tool(),
}


@st.composite
def rule_sets(draw: st.DrawFn) -> Rules:
    made: Rules = {"version": 1, "unmapped": draw(st.sampled_from(["hold", "allow", "block"]))}
    for key, entries in ENTRIES.items():
        some = draw(st.lists(entries, max_size=2, unique_by=lambda e: str(e["name"])))
        if some:
            made[key] = some
    return made


@st.composite
def changed(draw: st.DrawFn, old: Rules) -> Rules:
    """The same rules with one or two changes: an entry more, an entry less, one field of an entry."""
    new = deepcopy(old)
    for _ in range(draw(st.integers(1, 2))):
        key = draw(st.sampled_from(sorted(ENTRIES)))
        entries = new.setdefault(key, [])
        how = draw(st.sampled_from(["more", "less", "field", "field"]))
        fresh = draw(ENTRIES[key])
        if how == "field" and entries:
            fresh["name"] = draw(st.sampled_from([entry["name"] for entry in entries]))
        same = [entry for entry in entries if entry["name"] == fresh["name"]]
        if how == "more" and not same:
            entries.append(fresh)
        elif how == "less" and entries:
            entries.pop(draw(st.integers(0, len(entries) - 1)))
        elif how == "field" and same:
            field = draw(st.sampled_from(sorted(fresh.keys() - {"name"})))
            same[0][field] = fresh[field]
        if not entries:
            del new[key]
    return new


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Rules, Rules]:
    old = draw(rule_sets())
    return old, draw(changed(old))


CALLS = st.lists(
    st.tuples(
        st.sampled_from(TOOLS),
        st.sampled_from(["A", "AB", "C"]),
        st.sampled_from([5, 25, 50, 55]),
        st.sampled_from(["odd", "even", None]),
        st.sampled_from(['{"state": "ok", "count": 1}', '{"state": "fine", "count": 3}', "no"]),
        st.sampled_from([0, 2, 10]),
    ),
    min_size=4,
    max_size=8,
)


def loaded(rules: Rules) -> Loaded | None:
    try:
        return load_texts([("rules.yaml", json.dumps(rules))])
    except Exception:  # noqa: BLE001 - two measures, an impossible window: not what is tried here
        return None


def judged(rules: Loaded, calls: list[Any]) -> list[Verdict]:
    """What rules would do of each call, while all of them pass."""
    named: tuple[Rule, ...] = (*rules.gates, *rules.budgets, *rules.chains, *rules.requires)
    in_shadow = {rule.name for rule in named if rule.shadow}
    with Rehearsal(RuleSet(rules), settings=SHADOW) as played:
        conversation = played.session()
        verdicts = []
        for name, target, amount, note, result, wait_s in calls:
            played.wait(wait_s)
            arguments: dict[str, Any] = {"target": target, "amount": amount}
            if note is not None:
                arguments["note"] = note
            made = conversation.call(name, arguments)
            said = (*made.decision.reasons, *made.decision.shadow_reasons)
            own = [
                reason.verdict
                for reason in said
                if reason.rule not in in_shadow
                and not any(f"budget '{name}'" in reason.text for name in in_shadow)
            ]
            verdicts.append(max(own, default=Verdict.ALLOW))
            conversation.result(made, result)
        return verdicts


def held_against(old: Rules, new: Rules, calls: list[Any]) -> Counter[str]:
    before, after = loaded(old), loaded(new)
    if before is None or after is None:
        return Counter(unusable=1)
    directions = {change.direction for change in compare(before, after)}
    if Direction.UNSURE in directions or {Direction.STRICTER, Direction.LOOSER} <= directions:
        return Counter(both=1)
    one, two = judged(before, calls), judged(after, calls)
    if Direction.STRICTER not in directions:
        assert all(b <= a for a, b in zip(one, two, strict=True)), (one, two)
    if Direction.LOOSER not in directions:
        assert all(b >= a for a, b in zip(one, two, strict=True)), (one, two)
    return Counter(told=1, differs=int(one != two))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(pairs(), CALLS)
def test_a_direction_is_never_wrong(pair: tuple[Rules, Rules], calls: list[Any]) -> None:
    held_against(*pair, calls)
