"""Which calls a condition can be about: a gate is left out only where it could not be true."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.cel import GATE, ExpressionFault, Scope
from proxy.policy.conditions import About, Index, about
from proxy.policy.gates import NO_EFFECT

KIND = "effect.kind"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('effect.kind == "a.b"', About(KIND, frozenset({"a.b"}))),
        ("effect.kind == 'a.b' && args.x > 1", About(KIND, frozenset({"a.b"}))),
        ('args.x > 1 && (args.y || args.z) && tool == "t"', About("tool", frozenset({"t"}))),
        ('effect.kind in ["a", "b"] && tool == "t"', About("tool", frozenset({"t"}))),
        ('effect.kind.startsWith("money.") && x', About(KIND, prefix="money.")),
        ('effect.kind.startsWith("m") && tool == "t"', About("tool", frozenset({"t"}))),
        ('effect.kind == "a" || args.x', None),
        ('effect.kind == "a" && args.x || args.y', None),
        ('(effect.kind == "a" && args.x)', None),
        ('!(effect.kind == "a")', None),
        ('effect.kind == "a" ? args.x : args.y', None),
        ('args.x == "&& effect.kind == \\"a\\" &&"', None),
        ("args.x == r'\\' && effect.kind == \"a\" && args.y == '\\'", None),
        ('effect.kind == "a" // && tool == "t"', None),
        ('effect.kind == args.x && effect.kind != "a"', None),
        ('effect.kind in ["a", args.x]', None),
        ("effect.kind in []", About(KIND, frozenset())),
    ],
)
def test_what_a_condition_is_about(text: str, found: About | None) -> None:
    """Only a conjunction outside all brackets tells, and only by a literal."""
    assert about(text) == found


_PARTS = st.sampled_from(
    [
        'effect.kind == "a.x"',
        'effect.kind == "b.x"',
        'effect.kind.startsWith("a.")',
        'effect.kind in ["a.x", "c.x"]',
        'tool == "t"',
        'tool == "u"',
        "args.n > 1",
        "args.missing == 1",
        'effect.kind != "a.x"',
        "true",
    ]
)
_TEXTS = st.recursive(
    _PARTS,
    lambda inner: st.builds(
        lambda a, op, b, wrap: f"({a} {op} {b})" if wrap else f"{a} {op} {b}",
        inner,
        st.sampled_from(["&&", "||"]),
        inner,
        st.booleans(),
    ),
    max_leaves=5,
)


@given(
    text=_TEXTS,
    tool=st.sampled_from(["t", "u", "v"]),
    kind=st.sampled_from(["", "a.x", "a.y", "b.x", "c.x"]),
    n=st.sampled_from([0, 2]),
)
def test_what_is_left_out_could_not_have_been_true(text: str, tool: str, kind: str, n: int) -> None:
    """A gate that the index skips is false, and not an error either (an error would hold)."""
    asked = bool(Index([(text, "gate")]).of(tool, [kind]))
    if asked:
        return
    scope = Scope({**NO_EFFECT, "effect.kind": kind, "tool": tool, "args": {"n": n}})
    try:
        assert GATE.compile(text).truth(scope) is False
    except ExpressionFault as fault:
        raise AssertionError(f"{text} fails where it was left out") from fault


def test_the_order_of_the_file_is_kept() -> None:
    """Reasons come in the order in which people wrote the gates."""
    texts = ["args.x", 'tool == "t"', 'effect.kind == "k"', "args.y", 'effect.kind == "other"']
    index = Index([(text, i) for i, text in enumerate(texts)])
    assert index.of("t", ["k", "l"]) == (0, 1, 2, 3)
    assert index.of("u", []) == (0, 3)
