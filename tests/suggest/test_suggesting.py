"""From a log to a file: what is proposed, what it would have touched, and that this is true."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.model import Verdict
from proxy.policy.load import load_paths
from proxy.rehearsal.recorded import RecordingError
from proxy.rehearsal.replay import Replay
from proxy.suggest import choosing, suggesting, unknown
from proxy.suggest.expressions import Measured
from proxy.suggest.suggesting import Suggesting, Suggestion
from tests.suggest.logs import EMPTY, Played, function, record

REFUNDS = """
version: 1
pack: desk
tools:
  - {name: refund, effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.id}]}
"""


def suggest(log: Path | list[Path], rules: str = EMPTY, touch: str = "0.02") -> Suggestion:
    logs = log if isinstance(log, list) else [log]
    path = logs[0].with_name("rules.yaml")
    path.write_text(rules)
    return Suggesting(logs, [path], Decimal(touch), 1).suggest()


def saved(made: Suggestion, folder: Path) -> Path:
    path = folder / "suggested.yaml"
    assert made.text is not None
    path.write_text(made.text)
    return path


def touched(log: Path, rules: list[Path]) -> tuple[Counter[str], int]:
    """Replays a log; returns the sessions that each rule speaks against, and how many sessions there are."""
    found: Counter[str] = Counter()
    sessions = list(Replay([log], rules, workers=1))
    for session in sessions:
        reasons = [r for call in session.calls for r in (*call.reasons, *call.shadow_reasons)]
        found.update({r.rule for r in reasons if r.verdict > Verdict.ALLOW})
    return found, len(sessions)


def refunds(*amounts: int, **more: Any) -> Played:
    return Played([("refund", {"id": f"o{n}", "amount": a}) for n, a in enumerate(amounts)], **more)


def limits(made: Suggestion) -> dict[str, str]:
    return {budget.name: f"{budget.limit:f}" for budget in made.budgets}


def test_tools_that_a_rule_names_are_not_proposed(tmp_path: Path) -> None:
    """Exact names and globs are known; what only a guess reads is not."""
    calls = [(name, {"id": "x", "amount": 1}) for name in ("refund", "close_a", "send_x")]
    log = record(tmp_path / "log.jsonl", [Played(calls)])
    rules = REFUNDS + '  - {name: "close_*", effects: []}\n  - {guess: "*"}\n'
    assert [entry.names for entry in suggest(log, rules).entries] == [("send_x",)]


def test_both_names_of_an_mcp_tool_are_one_entry(tmp_path: Path) -> None:
    """The model's name and the server's own get one entry, so that the action counts once; a server of another name does not."""
    sessions = [
        Played([("mcp__shop__close", {"id": "x"}), ("mcp__bank__close", {"id": "x"})]),
        Played([("close", {"id": "x"})], server="shop"),
    ]
    made = suggest(record(tmp_path / "log.jsonl", sessions))
    assert [entry.names for entry in made.entries] == [
        ("close", "mcp__shop__close"),
        ("mcp__bank__close",),
    ]


def test_what_is_offered_and_never_called_is_proposed_by_its_schema(tmp_path: Path) -> None:
    tool = function("refund", {"id": {"type": "string"}, "amount": {"type": "number"}})
    made = suggest(record(tmp_path / "log.jsonl", [Played([("other", {})])], offered=[tool]))
    entry = next(one for one in made.entries if one.names == ("refund",))
    assert (entry.measured.amount, entry.measured.target) == ("args.amount", "args.id")
    assert '# "refund": offered, never called.' in (made.text or "")


def test_a_servers_annotations_are_told_and_weaken_nothing(tmp_path: Path) -> None:
    tool = {"name": "drop_table", "inputSchema": {}, "annotations": {"readOnlyHint": True}}
    sessions = [Played([("drop_table", {"table": "t"})], server="db")]
    made = suggest(record(tmp_path / "log.jsonl", sessions, servers={"db": [tool]}))
    (entry,) = made.entries
    assert entry.kind == "record.delete"
    assert "# Its server says: readOnlyHint true." in (made.text or "")


def test_budgets_of_tools_that_rules_know(tmp_path: Path) -> None:
    """Sums by unit, calls and targets a session; the figures are what the sessions came to."""
    sessions = [refunds(*[10] * n) for n in range(1, 31)]
    made = suggest(record(tmp_path / "log.jsonl", sessions), REFUNDS)
    by = {budget.name: budget for budget in made.budgets}
    summed = by["money-refund-eur-session"]
    assert [summed.spread.median, summed.spread.most, summed.limit] == [150, 300, 500]
    assert [by["money-refund-calls-session"].limit, summed.sessions] == [50, 30]
    assert "money-refund-targets-session" not in by  # every call has one of its own
    assert {"points-session", "money-refund-eur-agent-day"} <= by.keys()


def test_targets_are_counted_where_they_say_something_else_than_calls(tmp_path: Path) -> None:
    sessions = [Played([("refund", {"id": "same", "amount": 1})] * 3) for _ in range(2)]
    made = suggest(record(tmp_path / "log.jsonl", sessions), REFUNDS)
    assert limits(made)["money-refund-targets-session"] == "1"
    assert limits(made)["money-refund-calls-session"] == "5"


def test_an_agents_day(tmp_path: Path) -> None:
    """What an agent came to within a day, where it had several sessions; else it says no more than a session."""
    days = [refunds(100, day=day) for day in range(4) for _ in range(3)]
    made = suggest(record(tmp_path / "days.jsonl", days), REFUNDS)
    assert limits(made)["money-refund-eur-agent-day"] == "500"
    (day,) = [b for b in made.budgets if b.name == "money-refund-eur-agent-day"]
    assert [day.spread.count, day.spread.most] == [4, 300]
    alone = [refunds(100, agent=f"a{n}") for n in range(4)]
    made = suggest(record(tmp_path / "alone.jsonl", alone), REFUNDS)
    assert not any(name.endswith("agent-day") for name in limits(made))


def test_each_currency_has_a_budget(tmp_path: Path) -> None:
    calls = [("pay", {"iban": "x", "amount": 7, "currency": c}) for c in ("EUR", "usd", "EUR")]
    made = suggest(record(tmp_path / "log.jsonl", [Played(calls)]))
    assert limits(made)["money-payment-eur-session"] == "20"
    assert limits(made)["money-payment-usd-session"] == "10"


def test_one_tool_without_an_amount_costs_the_others_no_budget(tmp_path: Path) -> None:
    """An agent that calls a tool that is not there, `refund`, does not take the sum over refunds away."""
    calls = [("refund_order", {"id": "x", "amount": 7}), ("refund", {"note": "x"})]
    made = suggest(record(tmp_path / "log.jsonl", [Played(calls)]))
    kinds = {entry.names[0]: entry.kind for entry in made.entries}
    assert kinds == {"refund_order": "money.refund", "refund": "money.refund.unmeasured"}
    assert "money-refund-unstated-session" in limits(made)


def test_few_sessions_are_said_to_be_few(tmp_path: Path) -> None:
    few = suggest(record(tmp_path / "few.jsonl", [refunds(1) for _ in range(19)]), REFUNDS)
    assert "19 sessions: too few to go by. Record more" in (few.text or "")
    enough = suggest(
        record(tmp_path / "enough.jsonl", [refunds(1, agent=f"a{n}") for n in range(20)]), REFUNDS
    )
    assert "too few" not in (enough.text or "")


def test_what_is_in_force_already_is_named_and_not_proposed_twice(tmp_path: Path) -> None:
    log = record(tmp_path / "log.jsonl", [refunds(30)])
    own = "budgets:\n  - {name: mine, of: money.refund, sum: EUR, limit: 70, per: session}\n"
    assert "In force for the same already: mine (70)." in (suggest(log, REFUNDS + own).text or "")
    made = suggest(log, REFUNDS)
    again = Suggesting([log], [tmp_path / "rules.yaml", saved(made, tmp_path)], workers=1).suggest()
    assert again.text is None


def test_names_in_force_are_not_taken_again(tmp_path: Path) -> None:
    log = record(tmp_path / "log.jsonl", [refunds(30)])
    own = "budgets:\n  - {name: points-session, of: money.refund, count: true, limit: 9}\n"
    made = suggest(log, REFUNDS.replace("pack: desk", "pack: suggested") + own)
    assert "points-session-2" in limits(made)
    assert "pack: suggested-2" in (made.text or "")
    assert load_paths([tmp_path / "rules.yaml", saved(made, tmp_path)]).warnings == ()


def test_a_price_of_a_tool_that_was_never_called_fits_the_points(tmp_path: Path) -> None:
    """A single call over the limit would be a warning: the limit is raised until there is none."""
    tool = function("grant_access", {"user": {"type": "string"}})
    made = suggest(record(tmp_path / "log.jsonl", [Played([("save_note", {})])], offered=[tool]))
    assert load_paths([saved(made, tmp_path)]).warnings == ()
    assert Decimal(limits(made)["points-session"]) >= 10


def test_a_limit_that_the_replay_finds_too_low_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replay has the last word, whatever the distribution made of it; what no limit helps is not proposed."""
    log = record(tmp_path / "log.jsonl", [refunds(n) for n in range(1, 31)])
    monkeypatch.setattr(choosing, "limit_for", lambda _peaks, _touch: Decimal(1))
    made = suggest(log, REFUNDS, "0.1")
    (summed,) = [b for b in made.budgets if b.name == "money-refund-eur-session"]
    assert (f"{summed.limit:f}", summed.touched) == ("50", 0)
    found, _ = touched(log, [tmp_path / "rules.yaml", saved(made, tmp_path)])
    assert all(found[b.name] == b.touched <= b.sessions // 10 for b in made.budgets)
    monkeypatch.setattr(suggesting, "next_up", lambda limit: limit)
    assert "money-refund-eur-session" not in limits(suggest(log, REFUNDS, "0.1"))


def test_an_entry_that_a_replay_cannot_read_loses_its_expressions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Measured("args.nope", "EUR", None, "args.nope")
    monkeypatch.setattr(unknown, "measured", lambda *_, **__: wrong)
    made = suggest(record(tmp_path / "log.jsonl", [Played([("refund", {"id": "x"})])]))
    (entry,) = made.entries
    assert (entry.kind, entry.measured.amount, entry.measured.target) == (
        "money.refund",
        None,
        None,
    )
    assert "could not be read in every call" in (made.text or "")
    found, _ = touched(tmp_path / "log.jsonl", [saved(made, tmp_path)])
    assert not found


@pytest.mark.parametrize("shadow", [True, False], ids=["shadow", "enforced"])
def test_the_same_log_gives_the_same_file(tmp_path: Path, shadow: bool) -> None:
    sessions = [Played([("pay_it", {"iban": "x", "amount": n}), ("look", {})]) for n in range(1, 9)]
    log = record(tmp_path / "log.jsonl", sessions, shadow=shadow)
    assert suggest(log).text == suggest(log).text


def test_several_files_are_one_log(tmp_path: Path) -> None:
    log = record(tmp_path / "log.jsonl", [refunds(30) for _ in range(4)])
    whole = suggest(log, REFUNDS)
    lines = log.read_bytes().splitlines(keepends=True)
    first, second, third = (tmp_path / f"log.{end}" for end in ("1.gz", "2.zst", "3"))
    first.write_bytes(gzip.compress(b"".join(lines[:5])))
    second.write_bytes(zstandard.ZstdCompressor().compress(b"".join(lines[5:9])))
    third.write_bytes(b"".join(lines[9:]))
    parts = suggest([first, second, third], REFUNDS)
    assert limits(parts) == limits(whole)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("no json", id="no-json"),
        pytest.param('{"session_id": "s", "messages": []}', id="recorded-sessions"),
        pytest.param('{"type": "decision", "time": "2026-01-01T00:00:00Z"}', id="lacks-fields"),
        pytest.param(
            '{"type": "tools", "time": "2026-01-01T00:00:00Z", "tools": 7}', id="odd-tools"
        ),
    ],
)
def test_what_is_no_log_is_told_by_its_line(tmp_path: Path, line: str) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(line + "\n")
    with pytest.raises(RecordingError, match=r"log\.jsonl:1"):
        suggest(log)


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    log = record(tmp_path / "log.jsonl", [refunds(30)])
    with log.open("a") as file:
        file.write('{"type": "deci')
    made = suggest(log, REFUNDS)
    assert made.torn is not None
    assert made.text is not None


def test_nothing_to_suggest(tmp_path: Path) -> None:
    log = record(tmp_path / "log.jsonl", [Played([("look", {})])])
    made = suggest(log, "version: 1\ntools: [{name: look, effects: []}]\n")
    assert (made.text, made.entries, made.budgets) == (None, (), ())


SESSIONS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from(["refund", "pay_out", "send_mail"]), st.integers(0, 3_000)),
            min_size=1,
            max_size=4,
        ),
        st.sampled_from(["a", "b"]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=24,
)


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(SESSIONS, st.sampled_from(["0", "0.1", "0.34"]))
def test_no_budget_touches_more_than_it_may(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Any], touch: str
) -> None:
    """Replayed under the file as it is written: each budget's share is no more than asked for, and what the file says; the file
    has no warning, by itself and beside the rules."""
    folder = tmp_path_factory.mktemp("touch")
    sessions = [
        Played(
            [(n, {"id": f"{n}{a % 5}", "to": "a@b.example", "amount": a}) for n, a in calls],
            agent,
            day,
        )
        for calls, agent, day in sorted(drawn, key=lambda one: one[2])
    ]
    log = record(folder / "log.jsonl", sessions)
    made = suggest(log, REFUNDS, touch)
    path = saved(made, folder)
    rules = [folder / "rules.yaml", path]
    for paths in ([path], rules):
        assert load_paths(paths).warnings == ()
    found, _ = touched(log, rules)
    for budget in made.budgets:
        assert found[budget.name] == budget.touched
        assert budget.touched <= Decimal(touch) * budget.sessions
    assert {b.limit.normalize().as_tuple().digits for b in made.budgets} <= {(1,), (2,), (5,)}
    assert len([json.dumps(one) for one in made.as_json()]) == len(made.entries) + len(made.budgets)
