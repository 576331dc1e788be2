"""Whatever a file says, loading it ends in a rule set or in mistakes at their places, and in nothing else."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.load import load_texts
from proxy.policy.problems import RuleErrors

_KEYS = st.sampled_from(
    ["version", "pack", "extends", "vars", "mode", "tools", "gates", "budgets", "chains", "requires", "signals", "commands", "statements", "prices", "lexicon", "model_prices", "unmapped", "opaque", "model_hosts", "name", "off", "when", "verdict", "of", "sum", "count", "distinct", "limit", "window", "per", "was", "steps", "same", "within", "flow", "on", "do", "scale", "by", "raise", "hold", "block", "for", "evidence", "otherwise", "effects", "kind", "amount", "unit", "target", "settle", "ok", "http", "method", "host", "path", "query", "graphql", "shell", "argument", "sql", "dialect", "fetch", "url", "guess", "returns", "trust", "labels", "message", "type", "default"]
)  # fmt: skip
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.sampled_from(
        [
            "",
            "a",
            "money.refund",
            "$x",
            "$$x",
            "1h",
            "10 EUR",
            "EUR",
            "*",
            "args.amount > $x",
            "true",
            "target",
            "support-desk",
        ]
    ),
    st.text(max_size=6),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=24,
)
_ENTRIES = st.lists(st.dictionaries(_KEYS, _VALUES, max_size=6), max_size=3)
_FILES = st.dictionaries(_KEYS, _VALUES | _ENTRIES, max_size=6)


@settings(max_examples=300, deadline=None)
@given(_FILES)
def test_only_mistakes_come_out(value: dict[str, object]) -> None:
    try:
        told = load_texts([("any.yaml", json.dumps({"version": 1, **value}))]).warnings
    except RuleErrors as errors:
        told = errors.problems
    assert all(problem.line >= 1 and problem.col >= 1 and problem.text for problem in told)
