"""Each sort of change: which way it goes, and what is said of it."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from proxy.cli import cli
from proxy.policy.diff import conditions, globs
from proxy.policy.diff.changes import Direction, Relation
from proxy.policy.diff.comparing import compare
from proxy.policy.load import load_paths, load_texts
from proxy.settings import packs_directory

type Rules = dict[str, Any]

BASE: Rules = {
    "version": 1,
    "unmapped": "hold",
    "tools": [
        {
            "name": "refund",
            "effects": [
                {
                    "kind": "money.refund",
                    "amount": "args.amount",
                    "unit": "EUR",
                    "target": "args.id",
                }
            ],
        },
        {"name": "look", "effects": [{"kind": "data.read", "target": "args.id"}]},
    ],
    "gates": [{"name": "big", "when": 'effect.kind == "money.refund" && effect.amount > 50.0'}],
    "budgets": [
        {"name": "refunds", "of": "money.refund", "sum": "EUR", "limit": 100, "window": "1h"}
    ],
    "chains": [
        {
            "name": "leak",
            "steps": ["data.read", "data.send"],
            "within": "1h",
            "unless": "data.wipe",
        }
    ],
    "requires": [
        {
            "name": "look-first",
            "for": "money.refund",
            "evidence": "data.read",
            "when": 'evidence.result.json.state == "ok"',
            "within": "10m",
        }
    ],
    "signals": [
        {"on": "errors", "name": "errs", "count": 5, "within": "1m", "do": [{"hold": "money.*"}]}
    ],
}
S, L, U, N = Direction.STRICTER, Direction.LOOSER, Direction.UNSURE, Direction.NEUTRAL


def found(old: Rules, new: Rules) -> list[tuple[Direction, str]]:
    one, two = (load_texts([("r.yaml", json.dumps(rules))]) for rules in (old, new))
    return [(change.direction, f"{change.about}: {change.text}") for change in compare(one, two)]


def with_field(key: str, field: str, value: Any, at: int = 0) -> Rules:
    made = deepcopy(BASE)
    made[key][at][field] = value
    return made


FIELDS: list[tuple[str, str, str, Any, Direction, str]] = [
    ("lower-limit", "budgets", "limit", 50, S, "limit 100 EUR -> 50 EUR"),
    ("higher-limit", "budgets", "limit", 150, L, "limit 100 EUR -> 150 EUR"),
    ("longer-window", "budgets", "window", "1d", S, "window 1h -> 1d"),
    ("shorter-window", "budgets", "window", "5m", L, "window 1h -> 5m"),
    ("more-kinds", "budgets", "of", "money.*", S, "of money.refund -> money.*"),
    ("other-kinds", "budgets", "of", "money.wire", U, "of money.refund -> money.wire"),
    (
        "all-agents",
        "budgets",
        "per",
        "fleet",
        S,
        "per session -> fleet; its count begins at nothing",
    ),
    ("an-agent", "budgets", "per", "agent", U, "per session -> agent; its count begins at nothing"),
    ("blocks", "budgets", "on_exceed", "block", S, "blocks, it held"),
    ("warns", "budgets", "warn_at", 0.5, N, "warns at another share"),
    ("refilled", "budgets", "since", "checkpoint", L, "is full again when a human has looked"),
    ("shadow", "budgets", "mode", "shadow", L, "is in shadow, it was enforced"),
    (
        "gate-narrower",
        "gates",
        "when",
        'effect.kind == "money.refund" && effect.amount > 80.0',
        L,
        'when effect.kind == "money.refund" && effect.amount > 50.0 -> '
        'effect.kind == "money.refund" && effect.amount > 80.0',
    ),
    (
        "gate-wider",
        "gates",
        "when",
        "effect.amount > 50.0",
        S,
        'when effect.kind == "money.refund" && effect.amount > 50.0 -> effect.amount > 50.0',
    ),
    ("gate-blocks", "gates", "verdict", "block", S, "blocks, it held"),
    ("gate-words", "gates", "message", "No.", N, "tells the agent something else"),
    ("older-evidence", "requires", "within", "1h", L, "evidence may be 10m old -> 1h"),
    ("fresher-evidence", "requires", "within", "1m", S, "evidence may be 10m old -> 1m"),
    (
        "other-evidence",
        "requires",
        "evidence",
        ["data.read", "data.list"],
        U,
        "evidence data.read -> data.read or data.list",
    ),
    ("asked-more", "requires", "for", "money.*", S, "is asked before money.refund -> money.*"),
    (
        "evidence-says-less",
        "requires",
        "when",
        'evidence.result.json.state in ["ok", "fine"]',
        L,
        'evidence must show that evidence.result.json.state == "ok" -> evidence.result.json.state in ["ok", "fine"]',
    ),
    ("observed-flow", "chains", "flow", "observed", L, "flow order -> observed"),
    ("longer-chain", "chains", "within", "2h", S, "within 1h -> 2h"),
    ("wider-step", "chains", "steps", ["data.*", "data.send"], S, "step 1: data.read -> data.*"),
    ("cleared-by-more", "chains", "unless", "data.*", L, "is cleared by data.wipe -> data.*"),
    ("sooner", "signals", "count", 3, S, "after 5 -> 3"),
    (
        "freezes-too",
        "signals",
        "do",
        [{"hold": "money.*"}, "freeze"],
        S,
        "does hold money.* -> hold money.*, freeze",
    ),
]


@pytest.mark.parametrize(
    ("key", "field", "value", "direction", "text"),
    [f[1:] for f in FIELDS],
    ids=[f[0] for f in FIELDS],
)
def test_one_field(key: str, field: str, value: Any, direction: Direction, text: str) -> None:
    """And the change back goes the other way."""
    made = with_field(key, field, value)
    ((way, said),) = found(BASE, made)
    assert (way, said.partition(": ")[2]) == (direction, text)
    ((back, _),) = found(made, BASE)
    assert back is direction.turned


EFFECT = {"kind": "data.send", "target": "args.id"}
WIRE = {"kind": "money.wire", "amount": "args.amount", "unit": "EUR"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            {"gates": []},
            [
                (
                    L,
                    "gate 'big': is gone: holds when effect.kind == \"money.refund\" && effect.amount > 50.0",
                )
            ],
            id="gate-gone",
        ),
        pytest.param({"unmapped": "block"}, [(S, "'unmapped': hold -> block")], id="unmapped"),
        pytest.param(
            {"trust": "trusted"},
            [(L, "'trust': results are trusted where no entry says otherwise")],
            id="trust",
        ),
        pytest.param(
            {"pass_through": ["a.example"]},
            [(L, "'pass_through': a.example is listed")],
            id="pass-through",
        ),
        pytest.param(
            {"tools": [*BASE["tools"], {"name": "ping", "effects": []}]},
            [(L, "tool 'ping': is known now: no effect")],
            id="harmless-tool",
        ),
        pytest.param(
            {"tools": [*BASE["tools"], {"name": "wire", "effects": [WIRE]}]},
            [(U, "tool 'wire': is known now: money.wire args.amount EUR; it was held as unmapped")],
            id="tool-with-effects",
        ),
        pytest.param(
            {
                "tools": [
                    BASE["tools"][0],
                    {"name": "look", "effects": [*BASE["tools"][1]["effects"], WIRE]},
                ]
            },
            [(S, "tool 'look': has one effect more: money.wire args.amount EUR")],
            id="one-effect-more",
        ),
        pytest.param(
            {"tools": [BASE["tools"][0], {"name": "look", "effects": []}]},
            [(U, "tool 'look': has not this effect any more: data.read")],
            id="an-effect-that-is-evidence",
        ),
        pytest.param(
            {
                "budgets": [
                    *BASE["budgets"],
                    {"name": "dollars", "of": "money.refund", "sum": "USD", "limit": 5},
                ]
            },
            [
                (
                    S,
                    "budget 'dollars': is new: 5 USD of money.refund per session, past that it holds",
                ),
                (
                    L,
                    "budget 'dollars': effects in USD, which 'refunds' alone holds as a wrong unit, are counted",
                ),
            ],
            id="another-unit",
        ),
        pytest.param(
            {"budgets": [{**BASE["budgets"][0], "name": "returns", "was": "refunds"}]},
            [(N, "budget 'returns': was called 'refunds'; what was counted stays counted")],
            id="renamed",
        ),
        pytest.param(
            {
                "budgets": [
                    {
                        k: v
                        for k, v in {**BASE["budgets"][0], "per": "call"}.items()
                        if k != "window"
                    }
                ]
            },
            [
                (L, "budget 'refunds': per session -> call; its count begins at nothing"),
            ],
            id="a-call",
        ),
        pytest.param(
            {"prices": {"kinds": {"money.*": 3}}},
            None,
            id="prices",
        ),
    ],
)
def test_other_changes(change: Rules, expected: list[tuple[Direction, str]] | None) -> None:
    made = found(BASE, {**BASE, **change})
    if expected is None:
        assert made
        assert {way for way, _ in made} <= {S, L, U}
    else:
        assert made == expected


PACKS = [
    path
    for path in sorted(packs_directory().glob("*.yaml"))
    if not path.name.endswith(".cases.yaml") and path.stem not in ("prices", "lexicon")
]


@pytest.mark.parametrize("path", PACKS, ids=lambda p: p.stem)
def test_a_pack_is_the_same_as_itself(path: Path) -> None:
    """Even where its text differs: everything is compared by what it says."""
    text = path.read_text(encoding="utf-8")
    other = load_texts([(str(path), text + "\n# the same\n")])
    assert other.digest != load_paths([path]).digest
    assert compare(load_paths([path]), other) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a == 1", "a==1", Relation.SAME),
        ("a && b", "(b) && a", Relation.SAME),
        ("a && (b && c)", "c && a && b", Relation.SAME),
        ("a == 'x'", 'a == "x"', Relation.SAME),
        ("a", "a || b", Relation.WIDER),
        ("a && b", "a", Relation.WIDER),
        ("a", "a && b", Relation.NARROWER),
        ("a > 5", "a > 3", Relation.WIDER),
        ("a > 5", "a >= 5", Relation.WIDER),
        ("a >= 5", "a > 5", Relation.NARROWER),
        ("a < 5", "a < 3", Relation.NARROWER),
        ("a > 5", "a < 3", Relation.OTHER),
        ("a > 5", "b > 3", Relation.OTHER),
        ('a == "x"', 'a in ["x", "y"]', Relation.WIDER),
        ('a in ["x", "y"]', 'a in ["y"]', Relation.NARROWER),
        ('a.startsWith("ab")', 'a.startsWith("a")', Relation.WIDER),
        ('a.contains("ab")', 'a.contains("xabx")', Relation.NARROWER),
        ('a.startsWith("ab")', 'a.endsWith("a")', Relation.OTHER),
        ("!a", "!(a && b)", Relation.WIDER),
        ("!(a > 5)", "!(a > 3)", Relation.NARROWER),
        ("(a && b) || c", "a || c", Relation.WIDER),
        ("a ? b : c", "b", Relation.OTHER),
        ("""a == "x'y" """, """a == 'x"y' """, Relation.OTHER),
    ],
)
def test_conditions(old: str, new: str, expected: Relation) -> None:
    assert conditions.relation(old, new) is expected


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ('effect.kind == "a"', True),
        ('tool == "x" && effect.kind in ["a", "b"]', True),
        ('effect.kind.startsWith("money.")', True),
        ('effect.kind == "a" || effect.kind == "b" && x', True),
        ('effect.kind == "a" || x', False),
        ('effect.kind == ""', False),
        ('effect.kind in ["a", ""]', False),
        ('effect.kind.startsWith("")', False),
        ('effect.kind != "a"', False),
        ('!(effect.kind == "a")', False),
        ("effect.amount < 3.0", False),
        ("true", False),
    ],
)
def test_what_a_call_without_effects_does_not_meet(text: str, needs: bool) -> None:
    assert conditions.needs_an_effect(text) is needs


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (["money.*"], ["*"], Relation.WIDER),
        (["money.refund"], ["money.*"], Relation.WIDER),
        (["money.refund", "money.wire"], ["money.*"], Relation.WIDER),
        (["money.*", "data.read"], ["data.read"], Relation.NARROWER),
        (["a", "b"], ["b", "a"], Relation.SAME),
        (["money.*"], ["money.refund.*"], Relation.NARROWER),
        (["m*y"], ["m*"], Relation.WIDER),
        (["a?"], ["?a"], Relation.OTHER),
        ([], ["a"], Relation.WIDER),
    ],
)
def test_globs(old: list[str], new: list[str], expected: Relation) -> None:
    assert globs.relation(old, new) is expected


# --- the command -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fail_on", "exit_code"),
    [
        ((), 0),
        (("looser",), 1),
        (("stricter",), 0),
        (("unsure", "stricter"), 0),
        (("unsure", "looser"), 1),
    ],
)
def test_the_exit_code_says_what_is_asked(
    tmp_path: Path, fail_on: tuple[str, ...], exit_code: int
) -> None:
    (tmp_path / "old.yaml").write_text(json.dumps(BASE))
    (tmp_path / "new.yaml").write_text(json.dumps(with_field("budgets", "limit", 200)))
    options = [part for way in fail_on for part in ("--fail-on", way)]
    made = CliRunner().invoke(
        cli, ["rules", "diff", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml"), *options]
    )
    assert made.exit_code == exit_code
    assert "budget 'refunds': limit 100 EUR -> 200 EUR" in made.output
    assert "0 stricter, 1 looser" in made.output


def test_one_object(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(json.dumps(BASE))
    (tmp_path / "new.yaml").write_text(json.dumps(with_field("gates", "message", "\x1b[2J")))
    made = CliRunner().invoke(
        cli,
        ["rules", "diff", "--json", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")],
    )
    assert json.loads(made.output) == {
        "counts": {"stricter": 0, "looser": 0, "unsure": 0, "neutral": 1},
        "changes": [
            {
                "direction": "neutral",
                "about": "gate 'big'",
                "text": "tells the agent something else",
                "place": f"{tmp_path}/new.yaml:1",
            }
        ],
    }
