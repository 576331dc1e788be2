"""GraphQL routes: what a document asks for counts, not what it is called."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.model import Call, HttpCall, Identity, Side, Trust, Verdict
from proxy.policy.ruleset import Assessment, RuleSet

WHO = Identity("s", "a", Trust.CREDENTIAL, Trust.CREDENTIAL)
RULES = RuleSet.load_text(
    "g.yaml",
    """
version: 1
tools:
  - http: {method: [GET, POST], host: shop.internal, path: /graphql, graphql: {operation: refundOrder, type: mutation}}
    effects: [{kind: money.refund, amount: graphql.args.amount, unit: EUR, target: graphql.args.id}]
  - http: {method: POST, host: shop.internal, path: /graphql, graphql: {operation: "refund*", type: mutation}}
    effects: [{kind: money.other}]
  - http: {method: POST, host: shop.internal, path: /graphql, graphql: {operation: order, type: query}}
    effects: []
gates:
  - {name: many, when: size(graphql.fields) > 3, verdict: hold, message: Too many at once.}
""",
)


def assess(
    body: Any = None, method: str = "POST", query: dict[str, str] | None = None
) -> Assessment:
    http = HttpCall(method, "shop.internal", "/graphql", query or {}, body=body)
    return RULES.assess(Call(None, "x", body, "http", side=Side.HTTP), WHO, http)


def said(found: Assessment) -> list[tuple[str, str, str]]:
    return [(c.effect.kind, str(c.effect.amount), c.effect.target or "") for c in found.effects]


R = ("money.refund", "45.5", "A")


@pytest.mark.parametrize(
    ("document", "variables", "effects"),
    [
        pytest.param('mutation { refundOrder(id: "A", amount: 45.5) { ok } }', None, [R], id="plain"),
        pytest.param('mutation harmless { refundOrder(id: "A", amount: 45.5) }', None, [R], id="named"),
        pytest.param('mutation { order: refundOrder(id: "A", amount: 45.5) }', None, [R], id="alias"),
        pytest.param(
            'mutation { a: refundOrder(id: "A", amount: 45.5) b: refundOrder(id: "A", amount: 45.5) }',
            None, [R, R], id="twice",
        ),
        pytest.param(
            'query q { order } mutation m { refundOrder(id: "A", amount: 45.5) }', None, [R], id="two-operations"
        ),
        pytest.param(
            'mutation { ...f } fragment f on M { ... on M { refundOrder(id: "A", amount: 45.5) } }',
            None, [R], id="fragments",
        ),
        pytest.param(
            'mutation { refundOrder(id: "A", amount: 45.5) @skip(if: true) }', None, [R], id="skip"
        ),
        pytest.param(
            'mutation($i: ID, $a: Float = 45.5) { refundOrder(id: $i, amount: $a) }', {"i": "A"}, [R], id="variables"
        ),
        pytest.param("mutation { refundAll }", None, [("money.other", "None", "")], id="glob"),
        pytest.param("{ order }", None, [], id="query"),
    ],
)  # fmt: skip
def test_root_fields_count(
    document: str, variables: Any, effects: list[tuple[str, str, str]]
) -> None:
    """Every root field, under its own name, with its arguments."""
    found = assess({"query": document, "variables": variables, "operationName": "q"})
    assert said(found) == effects
    assert found.reasons == ()


def test_a_batch_and_a_get_count_too() -> None:
    """Each document of a batch; a document in the URL."""
    document = 'mutation { refundOrder(id: "A", amount: 45.5) }'
    assert said(assess([{"query": document}, {"query": document}])) == [R, R]
    assert said(assess(method="GET", query={"query": document})) == [R]
    assert said(assess(document)) == [R]


@pytest.mark.parametrize(
    ("body", "query"),
    [
        pytest.param({"extensions": {"persistedQuery": {"sha256Hash": "0"}}}, {}, id="persisted"),
        pytest.param({"id": "abc"}, {}, id="stored-document"),
        pytest.param({"query": "{ order }", "id": "abc"}, {}, id="text-beside-an-id"),
        pytest.param({"query": "{ order }"}, {"query": "mutation { refundOrder }"}, id="two-places"),
        pytest.param({"query": "{ order"}, {}, id="broken"),
        pytest.param({"query": ["{ order }"]}, {}, id="no-text"),
        pytest.param(None, {}, id="nothing"),
        pytest.param([], {}, id="empty-batch"),
        pytest.param({"query": "{ ...f } fragment f on Q { ...f }"}, {}, id="fragment-in-itself"),
        pytest.param({"query": "{ ...f }"}, {}, id="fragment-missing"),
        pytest.param({"query": "query a { order } query a { order }"}, {}, id="one-name-twice"),
        pytest.param({"query": "mutation { refundOrder(id: 1, id: 2) }"}, {}, id="argument-twice"),
        pytest.param({"query": "{ order }", "variables": "x"}, {}, id="variables-no-object"),
        pytest.param({"operations": "{}", "map": "{}"}, {}, id="upload"),
        pytest.param({"query": "{" * 30_000}, {}, id="deep"),
        pytest.param({"query": "{ order }" + " a" * 30_000}, {}, id="long"),
    ],
)  # fmt: skip
def test_what_has_no_single_reading_is_blocked(body: Any, query: dict[str, str]) -> None:
    """No document that a server might take from elsewhere, or read differently, passes."""
    found = assess(body, query=query)
    assert [(r.rule, r.verdict) for r in found.reasons] == [("unreadable-graphql", Verdict.BLOCK)]
    assert RULES.is_call(HttpCall("POST", "shop.internal", "/graphql", query, body=body))


def test_what_no_entry_names_is_no_call() -> None:
    """As with paths: only what rules name is a call; one named field makes the request one."""
    known = {"query": 'mutation { other refundOrder(id: "A", amount: 45.5) }'}
    assert said(assess(known)) == [R]
    other = HttpCall("POST", "shop.internal", "/graphql", body={"query": "mutation { other }"})
    assert not RULES.is_call(other)
    by_type = HttpCall("POST", "shop.internal", "/graphql", body={"query": "{ refundOrder }"})
    assert not RULES.is_call(by_type)


def test_gates_read_the_request() -> None:
    """`graphql` is there for gates; fields that fall under no effect are counted too."""
    found = assess({"query": "{ order a b c }"})
    assert [r.rule for r in found.reasons] == ["many"]
