"""A rehearsal answers as the proxy would: budgets, holds, results, time, sub-sessions, both sides of a call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.model import Verdict
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.rehearsal import Rehearsal, RehearsalError

RULES = RuleSet.load_text(
    "t.yaml",
    """
version: 1
pack: t
tools:
  - name: refund
    effects:
      - {kind: money.refund, amount: args.amount, unit: EUR, target: args.order, reversibility: irreversible,
         settle: {ok: "!result.is_error"}}
  - name: check
    effects: [{kind: usage.check, target: args.order}]
  - name: revoke
    effects: [{kind: credential.revoke, target: args.order, reversibility: irreversible}]
  - http: {method: POST, host: billing.internal, path: "/refunds/{id}"}
    effects:
      - {kind: money.refund, amount: body.amount, unit: EUR, target: path.id, reversibility: irreversible,
         settle: {ok: "!result.is_error"}}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, window: 24h, on_exceed: hold}
requires:
  - name: check-first
    for: credential.revoke
    evidence: usage.check
    when: evidence.result.json.jobs == 0
    within: 15m
""",
)


@pytest.fixture
def rehearsal() -> Iterator[Rehearsal]:
    with Rehearsal(RULES) as made:
        yield made


def refund(rehearsal: Rehearsal, amount: int, order: str = "A", session: str = "s") -> Verdict:
    return rehearsal.session(session).call("refund", {"amount": amount, "order": order}).verdict


def test_a_sum_is_kept_until_its_window_ends(rehearsal: Rehearsal) -> None:
    assert [refund(rehearsal, 60), refund(rehearsal, 60)] == [Verdict.ALLOW, Verdict.HOLD]
    rehearsal.wait(24 * 3600)
    assert refund(rehearsal, 60) is Verdict.ALLOW


def test_a_failed_result_releases_what_was_reserved(rehearsal: Rehearsal) -> None:
    session = rehearsal.session("s")
    judged = session.call("refund", {"amount": 60, "order": "A"})
    session.result(judged, "no such order", is_error=True)
    assert refund(rehearsal, 60) is Verdict.ALLOW


def test_what_nobody_saw_a_result_of_is_committed_in_time(rehearsal: Rehearsal) -> None:
    judged = rehearsal.session("s").call("refund", {"amount": 60, "order": "A"})
    rehearsal.wait(3600)
    rehearsal.session("s").result(judged, "it failed", is_error=True)
    assert refund(rehearsal, 60) is Verdict.HOLD


def test_an_approval_lets_the_same_call_pass_once(rehearsal: Rehearsal) -> None:
    session = rehearsal.session("s")
    held = session.call("refund", {"amount": 101, "order": "A"})
    rehearsal.approve()
    assert session.again(held).verdict is Verdict.ALLOW
    assert session.again(held).verdict is Verdict.HOLD


def test_a_denied_call_is_held_again(rehearsal: Rehearsal) -> None:
    session = rehearsal.session("s")
    held = session.call("refund", {"amount": 101, "order": "A"})
    rehearsal.deny(reason="not him")
    assert session.again(held).verdict is Verdict.HOLD


def test_an_approval_lapses(rehearsal: Rehearsal) -> None:
    session = rehearsal.session("s")
    held = session.call("refund", {"amount": 101, "order": "A"})
    rehearsal.approve()
    rehearsal.wait(3600)
    assert session.again(held).verdict is Verdict.HOLD


def test_there_is_nothing_to_approve(rehearsal: Rehearsal) -> None:
    with pytest.raises(RehearsalError, match="no call was held"):
        rehearsal.approve()


def test_evidence_is_an_observed_result(rehearsal: Rehearsal) -> None:
    session = rehearsal.session("s")
    assert session.call("revoke", {"order": "K"}).verdict is Verdict.HOLD
    session.result(session.call("check", {"order": "K"}), '{"jobs": 0}')
    assert session.call("revoke", {"order": "K"}).verdict is Verdict.ALLOW
    rehearsal.wait(16 * 60)
    assert session.call("revoke", {"order": "K"}).verdict is Verdict.HOLD


def test_one_action_on_two_sides_counts_once(rehearsal: Rehearsal) -> None:
    session = rehearsal.session("s")
    assert session.call("refund", {"amount": 60, "order": "A"}).verdict is Verdict.ALLOW
    bound = session.http("POST", "billing.internal", "/refunds/A", body={"amount": 60})
    assert (bound.verdict, bound.decision.bound is not None) == (Verdict.ALLOW, True)
    second = session.http("POST", "billing.internal", "/refunds/A", body={"amount": 60})
    assert second.verdict is Verdict.HOLD


def test_a_request_that_no_route_names_passes(rehearsal: Rehearsal) -> None:
    judged = rehearsal.session("s").http("GET", "elsewhere.example", "/")
    assert (judged.verdict, judged.named) == (Verdict.ALLOW, False)


def test_sub_sessions_pay_with_their_parent(rehearsal: Rehearsal) -> None:
    rehearsal.session("s")
    rehearsal.session("sub", parent="s")
    assert refund(rehearsal, 60, session="sub") is Verdict.ALLOW
    assert refund(rehearsal, 60, session="s") is Verdict.HOLD
    assert refund(rehearsal, 60, session="other") is Verdict.ALLOW


def test_calls_of_one_response_see_each_other(rehearsal: Rehearsal) -> None:
    session = rehearsal.session("s")
    calls = [session.make_call("refund", {"amount": 60, "order": order}) for order in "AB"]
    assert [j.verdict for j in session.calls(calls)] == [Verdict.ALLOW, Verdict.HOLD]


def test_the_second_result_of_a_repeated_id_is_the_second_calls(rehearsal: Rehearsal) -> None:
    """Equal calls under one id: the first fails and, on doubt, stays; the second brings its own result."""
    session = rehearsal.session("s")
    for _ in range(2):
        judged = session.call("check", {"order": "K"}, call_id="same")
        session.result(judged, '{"jobs": 1}')
    session.result(session.call("check", {"order": "K"}, call_id="same"), '{"jobs": 0}')
    assert session.call("revoke", {"order": "K"}).verdict is Verdict.ALLOW


def test_reset_forgets_everything(rehearsal: Rehearsal) -> None:
    refund(rehearsal, 60)
    rehearsal.reset()
    assert refund(rehearsal, 60) is Verdict.ALLOW


def test_the_effects_of_a_call_are_told(rehearsal: Rehearsal) -> None:
    judged = rehearsal.session("s").call("refund", {"amount": 60, "order": "A"})
    assert [(e["kind"], e["amount"], e["target"]) for e in judged.effects] == [
        ("money.refund", 60, "A")
    ]
