"""Routes: the same request however it is spelled, and no other."""

from __future__ import annotations

import pytest

from proxy.model import Call, HttpCall, Identity, Side, Trust, Verdict
from proxy.policy.routes import normal_host
from proxy.policy.ruleset import RuleSet

WHO = Identity("s", "a", Trust.CREDENTIAL, Trust.CREDENTIAL)
RULES = RuleSet.load_text(
    "r.yaml",
    """
version: 1
tools:
  - http: {method: POST, host: [billing.internal, 127.0.0.1, "*.pay.example", "[::1]"], path: "/v1/refunds/{id}"}
    effects: [{kind: money.refund, amount: body.amount, unit: EUR, target: path.id}]
  - http: {method: [GET, HEAD], host: billing.internal, path: "/v1/refunds/{id}"}
    effects: []
  - http: {method: POST, host: billing.internal, path: /v1/refunds/status}
    effects: []
""",
)


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("POST", "billing.internal", "/v1/refunds/A1"),
        ("post", "BILLING.Internal.", "/v1/refunds/A1"),
        ("POST", "billing.internal:8443", "//v1///refunds/A1/"),
        ("POST", "billing.internal", "/v1/./refunds/x/../A1"),
        ("POST", "billing.internal", "/%76%31/refunds/%41%31"),
        ("POST", "billing.internal", "/v1%2Frefunds%2fA1"),
        ("POST", "billing.internal", "/x/%2e%2e/v1/refunds/A1"),
        ("POST", "billing.internal", "/v1/%2572efunds/A1"),
        ("POST", "billing.internal", "/V1/Refunds/A1"),
        ("POST", "billing.internal", "/v1;x=1/refunds;y/A1"),
        ("POST", "billing.internal", "\\v1\\refunds\\A1"),
        ("POST", "billing.internal", "/x?/../v1/refunds/A1"),
        ("POST", "eu.pay.example", "/v1/refunds/A1"),
        ("POST", "127.1", "/v1/refunds/A1"),
        ("POST", "2130706433", "/v1/refunds/A1"),
        ("POST", "0x7f.0.0.1", "/v1/refunds/A1"),
        ("POST", "0177.0.0.1:80", "/v1/refunds/A1"),
        ("POST", "[::ffff:127.0.0.1]", "/v1/refunds/A1"),
        ("POST", "[0:0::1]:8080", "/v1/refunds/A1"),
        ("POST", "\uff42illing.internal", "/v1/refunds/A1"),
    ],
    ids=lambda v: str(v).encode("ascii", "backslashreplace").decode(),
)
def test_no_spelling_dodges_a_route(method: str, host: str, path: str) -> None:
    assert RULES.route(method, host, path)
    name = RULES.route_name(method, host, path)
    assert name == f"POST {normal_host(host)}/v1/refunds/{{id}}"
    http = HttpCall(method, host, path, body={"amount": 45})
    found = RULES.assess(Call(None, name, {"amount": 45}, "http", side=Side.HTTP), WHO, http)
    assert [c.effect.target for c in found.effects] == ["A1"]
    assert [str(c.effect.amount) for c in found.effects] == ["45"]
    assert found.mapped


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("POST", "evil.internal", "/v1/refunds/A1"),
        ("POST", "pay.example", "/v1/refunds/A1"),
        ("POST", "billing.internal", "/v1/refunds"),
        ("POST", "billing.internal", "/v1/refunds/"),
        ("POST", "billing.internal", "/v1/refunds/A1/notes"),
        ("DELETE", "billing.internal", "/v1/refunds/A1"),
        ("GET", "127.0.0.1", "/v1/refunds/A1"),
    ],
    ids=str,
)
def test_other_requests_are_not_calls(method: str, host: str, path: str) -> None:
    assert not RULES.route(method, host, path)
    assert RULES.route_name(method, host, path) is None


@pytest.mark.parametrize(
    "path",
    [
        "/v1/refunds/A1?x=1",
        "/v1/refunds/A1?x=a/b/c",
        "/v1/refunds/status?a=/../x",
        "/v1/refunds/A1?",
    ],
)
def test_a_query_left_on_the_path_dodges_nothing(path: str) -> None:
    assert RULES.route("POST", "billing.internal", path)


def test_a_request_whose_route_is_not_found_again_is_held_even_where_unmapped_tools_pass() -> None:
    rules = RuleSet.load_text("u.yaml", "version: 1\nunmapped: allow\n")
    http = HttpCall("POST", "billing.internal", "/x")
    found = rules.assess(Call(None, "x", {}, "http", side=Side.HTTP), WHO, http)
    assert [(r.rule, r.verdict) for r in found.reasons] == [("unmapped", Verdict.HOLD)]


@pytest.mark.parametrize(
    ("path", "held"),
    [
        ("/v1/refunds/status", False),
        ("/v1/refunds/A1%2F..%2Fstatus", True),
        ("/v1/refunds/status;A1", True),
        ("/v1/refunds/a%2Fb", False),
    ],
    ids=["the-literal-route-wins", "encoded-dots", "parameters", "encoded-slash-is-one-segment"],
)
def test_a_path_that_servers_read_differently_is_held(path: str, held: bool) -> None:
    http = HttpCall("POST", "billing.internal", path, body={"amount": 45})
    found = RULES.assess(Call(None, "x", {}, "http", side=Side.HTTP), WHO, http)
    rules = [r.rule for r in found.reasons if r.verdict is Verdict.HOLD]
    assert ("ambiguous-path" in rules) is held
