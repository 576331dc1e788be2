"""A decision log judged again: under the same rules every verdict comes out as it was, under others not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.decisionlog import DecisionLog
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.recorded import RecordingError
from proxy.rehearsal.rehearsal import Rehearsal
from proxy.rehearsal.replay import replay_file

RULES = """
version: 1
pack: t
tools:
  - name: refund
    effects:
      - {kind: money.refund, amount: args.amount, unit: EUR, target: args.order, reversibility: irreversible,
         settle: {ok: "!result.is_error", amount: result.json.refunded}}
  - name: check
    effects: [{kind: usage.check, target: args.order}]
  - name: revoke
    effects: [{kind: credential.revoke, target: args.order, reversibility: irreversible}]
  - http: {method: POST, host: billing.internal, path: "/refunds/{id}"}
    effects:
      - {kind: money.refund, amount: body.amount, unit: EUR, target: path.id, reversibility: irreversible}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, window: 24h, on_exceed: hold}
  - {name: by-agent, of: money.refund, sum: EUR, limit: 250, per: agent, window: 24h, on_exceed: block}
requires:
  - {name: check-first, for: credential.revoke, evidence: usage.check, within: 15m}
"""


def sums(r: Rehearsal) -> None:
    for order in "ABC":
        r.session("s").call("refund", {"order": order, "amount": 45})


def released_and_corrected(r: Rehearsal) -> None:
    s = r.session("s")
    s.result(s.call("refund", {"order": "A", "amount": 90}), "no", is_error=True)
    s.result(s.call("refund", {"order": "B", "amount": 90}), '{"refunded": 10}')
    s.call("refund", {"order": "C", "amount": 90})


def committed_in_time(r: Rehearsal) -> None:
    judged = r.session("s").call("refund", {"order": "A", "amount": 90})
    r.wait(3600)
    r.session("s").result(judged, "no", is_error=True)
    r.session("s").call("refund", {"order": "B", "amount": 90})
    r.wait(24 * 3600)
    r.session("s").call("refund", {"order": "C", "amount": 90})


def approved_and_made_again(r: Rehearsal) -> None:
    s = r.session("s")
    held = s.call("refund", {"order": "A", "amount": 120})
    r.approve()
    s.again(held)
    s.again(held)


def approved_while_it_waits(r: Rehearsal) -> None:
    s = r.session("s")
    s.approved(s.call("refund", {"order": "A", "amount": 120}))
    s.call("refund", {"order": "B", "amount": 120})
    r.session("t").call("refund", {"order": "B", "amount": 99})
    r.session("u").call("refund", {"order": "B", "amount": 99})


def denied_and_expired(r: Rehearsal) -> None:
    s = r.session("s")
    held = s.call("refund", {"order": "A", "amount": 120})
    r.deny(reason="no")
    s.again(held)
    r.wait(7200)
    s.again(held)


def on_two_sides(r: Rehearsal) -> None:
    s = r.session("s")
    s.call("refund", {"order": "A", "amount": 60})
    s.http("POST", "billing.internal", "/refunds/A", body={"amount": 60})
    s.http("POST", "billing.internal", "/refunds/A", body={"amount": 60})


def sub_sessions(r: Rehearsal) -> None:
    r.session("s").call("refund", {"order": "A", "amount": 60})
    r.session("sub", parent="s").call("refund", {"order": "B", "amount": 60})


def evidence(r: Rehearsal) -> None:
    s = r.session("s")
    s.call("revoke", {"order": "K"})
    s.result(s.call("check", {"order": "K"}), "fine")
    s.call("revoke", {"order": "K"})


def unreadable_and_unknown(r: Rehearsal) -> None:
    r.session("s").call("refund", {"order": "A"})
    r.session("s").call("no_such_tool", {"token": "ghp_" + "a1B2" * 9})


STORIES: list[Callable[[Rehearsal], None]] = [
    sums, released_and_corrected, committed_in_time, approved_and_made_again, approved_while_it_waits,
    denied_and_expired, on_two_sides, sub_sessions, evidence, unreadable_and_unknown,
]  # fmt: skip


def record(folder: Path, story: Callable[[Rehearsal], None]) -> Path:
    """Writes the log of a story, as the proxy would."""
    path = folder / "log.jsonl"
    clock: list[Rehearsal] = []
    log = DecisionLog(
        path, now=lambda: datetime.fromtimestamp(clock[0].now_ms / 1000 if clock else 0, UTC)
    )
    with Rehearsal(RuleSet.load_text("t.yaml", RULES), sink=log.append) as rehearsal:
        clock.append(rehearsal)
        story(rehearsal)
    log.close()
    return path


def replayed(log: Path, rules: str) -> list[tuple[str, str, str | None]]:
    """(session, verdict, what it was) of each call."""
    path = log.with_name("t.yaml")
    path.write_text(rules)
    return [
        (outcome.session, call.verdict.label, call.was)
        for outcome in replay_file(log, [path])
        for call in outcome.calls
    ]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_same_rules_say_the_same(tmp_path: Path, story: Callable[[Rehearsal], None]) -> None:
    made = replayed(record(tmp_path, story), RULES)
    assert made
    assert [verdict for _, verdict, _ in made] == [was for _, _, was in made]


def test_other_rules_say_other_things(tmp_path: Path) -> None:
    log = record(tmp_path, sums)
    assert replayed(log, RULES.replace("limit: 100", "limit: 50")) == [
        ("s", "allow", "allow"),
        ("s", "hold", "allow"),
        ("s", "hold", "hold"),
    ]


def test_a_record_that_is_none_is_told_with_its_line(tmp_path: Path) -> None:
    log = record(tmp_path, sums)
    with log.open("a") as file:
        file.write('{"seq": 9, "type": "decision", "time": "2026-01-05T09:00:00Z"}\n')
    lines = len(log.read_text().splitlines())
    with pytest.raises(RecordingError, match=rf"log\.jsonl:{lines}: not a record"):
        replayed(log, RULES)
