"""Routes that ask for query parameters: met in every reading, held where readings differ."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from proxy.model import Call, HttpCall, Identity, Side, Trust
from proxy.policy.problems import RuleErrors
from proxy.policy.ruleset import RuleSet

WHO = Identity("s", "a", Trust.CREDENTIAL, Trust.CREDENTIAL)
RULES = RuleSet.load_text(
    "q.yaml",
    """
version: 1
tools:
  - http: {method: POST, host: api.internal, path: /do, query: {action: [refund, void]}}
    effects: [{kind: money.refund}]
  - http: {method: POST, host: api.internal, path: /do, query: {action: refund, dry_run: "*"}}
    effects: []
""",
)


@pytest.mark.parametrize(
    ("target", "routed"),
    [
        ("/do?action=refund", True),
        ("/do?action=void&x=1", True),
        ("/do?x=1&action=%72efund", True),
        ("/do?ACTION=Refund", True),
        ("/do?x=1;action=refund", True),
        ("/do?action%3Drefund", True),
        ("/do?action=list&action=refund", True),
        ("/do?action=list", False),
        ("/do?action", False),
        ("/do", False),
        ("/do?xaction=refund", False),
    ],
)
def test_which_queries_are_calls(target: str, routed: bool) -> None:
    """One reading that meets the route is enough."""
    assert RULES.route("POST", "api.internal", target) is routed


@pytest.mark.parametrize(
    ("query", "kinds", "held"),
    [
        pytest.param("action=refund", ["money.refund"], False, id="plain"),
        pytest.param("action=refund&dry_run=1", [], False, id="the-more-specific-route"),
        pytest.param("action=refund&DRY_RUN=1", ["money.refund"], True, id="by-case-alone"),
        pytest.param("action=refund&x=1%3Bdry_run=1", ["money.refund"], True, id="by-a-semicolon"),
        pytest.param("action=refund&dry_run%253D1", ["money.refund"], True, id="decoded-first"),
    ],
)
def test_a_harmless_route_is_met_in_all_readings_or_held(
    query: str, kinds: list[str], held: bool
) -> None:
    """A parameter that only some servers see does not take a call's effects away."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    http = HttpCall("POST", "api.internal", "/do", given)
    found = RULES.assess(Call(None, "x", {}, "http", side=Side.HTTP), WHO, http)
    assert [c.effect.kind for c in found.effects] == kinds
    assert ("ambiguous-path" in [r.rule for r in found.reasons]) is held


@pytest.mark.parametrize(
    "text",
    ["query: {}", "query: x", "query: {a: []}", "query: {a: {b: c}}", "graphql: {}", "graphql: {operation: x, type: read}"],
)  # fmt: skip
def test_mistakes_are_found(text: str) -> None:
    """A filter that says nothing is a mistake, not a filter that everything passes."""
    with pytest.raises(RuleErrors):
        RuleSet.load_text(
            "m.yaml",
            f"version: 1\ntools:\n  - http: {{method: POST, host: h, path: /, {text}}}\n    effects: []\n",
        )


@pytest.mark.parametrize(
    ("texts", "unparsed", "opaque"),
    [
        ([""], "block", "block"),
        (["unparsed: allow\nopaque: allow"], "allow", "allow"),
        (["unparsed: hold", "pack: b\nopaque: allow"], "hold", "allow"),
        (["unparsed: hold\nopaque: block", "pack: b\nunparsed: allow\nopaque: allow"], "hold", "block"),
    ],
    ids=["default", "stated", "two-files", "the-strictest"],
)  # fmt: skip
def test_the_words_of_the_whole_set(texts: list[str], unparsed: str, opaque: str) -> None:
    """Of several files the strictest word counts; a file that says nothing says nothing."""
    from proxy.policy.load import load_texts

    rules = RuleSet(load_texts((f"{i}.yaml", f"version: 1\n{t}\n") for i, t in enumerate(texts)))
    assert (rules.unparsed.label, rules.opaque.label) == (unparsed, opaque)


def test_lists_of_hosts_add_up() -> None:
    """Hosts are compared in one spelling, however they are written."""
    rules = RuleSet.load_text(
        "h.yaml", 'version: 1\nmodel_hosts: [LLM.internal., "*.llm"]\npass_through: "127.1"\n'
    )
    assert rules.model_hosts == ("llm.internal", "*.llm")
    assert rules.pass_through == ("127.0.0.1",)
