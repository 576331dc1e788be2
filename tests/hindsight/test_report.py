"""What enforcing would have done, counted out of logs: from real decisions, and from lines made for the purpose."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from proxy.errors import LogError
from proxy.hindsight.records import Reading, decisions, with_rotated
from proxy.hindsight.tally import OTHERS, Tally
from proxy.hindsight.telling import lines
from proxy.pipeline.judge import call_key

if TYPE_CHECKING:
    from tests.conftest import MakeBench

DAY = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
WEEK = (DAY - timedelta(days=1), DAY + timedelta(days=6))
REASON = {"rule": "refunds", "file": "pay.yaml", "line": 12, "text": "Too much.", "verdict": "hold"}


def record(
    *reasons: dict[str, Any], would: str | None = None, verdict: str = "allow", **more: Any
) -> dict[str, Any]:
    """A decision, as the log has it."""
    made = {
        "v": 1,
        "time": DAY.isoformat(),
        "type": "decision",
        "session": "s1",
        "agent": "a",
        "call": {"id": "c1", "name": "refund", "args": {}, "executor": "client"},
        "verdict": verdict,
        "would": would,
        "reasons": list(reasons),
    }
    return {**made, **more}


def shadow(rule: str = "refunds", verdict: str = "hold") -> dict[str, Any]:
    return {**REASON, "rule": rule, "verdict": verdict, "mode": "shadow"}


def tallied(path: Path, records: Sequence[dict[str, Any]]) -> Tally:
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    tally = Tally(*WEEK)
    for decided in decisions([path], Reading()):
        tally.take(decided)
    return tally


@pytest.mark.parametrize(
    ("records", "counted"),
    [
        pytest.param([record()], (1, 0, 0, 0, {}), id="nothing-in-shadow"),
        pytest.param(
            [record(shadow(), would="hold")], (1, 1, 0, 1, {"refunds": (1, 0, 1)}), id="one-held"
        ),
        pytest.param(
            [record(shadow("refunds"), shadow("g", "block"), would="block")],
            (1, 0, 1, 1, {"refunds": (1, 0, 0), "g": (0, 1, 0)}),
            id="two-rules-one-call",
        ),
        pytest.param(
            [record({**REASON, "mode": "enforce"}, verdict="hold")], (1, 0, 0, 0, {}), id="enforced"
        ),
        pytest.param(
            [record({**REASON, "mode": "enforce"}, shadow("g", "block"), verdict="hold", would="block")],
            (1, 0, 1, 1, {"g": (0, 1, 1)}),
            id="held-and-would-be-blocked",
        ),
        pytest.param(
            [record({k: v for k, v in REASON.items() if k != "verdict"}, would="block")],
            (1, 0, 1, 1, {"refunds": (0, 1, 1)}),
            id="an-old-log-of-a-run-in-shadow",
        ),
        pytest.param(
            [record({**REASON, "mode": "enforce"}, would="hold", call={"name": "web", "executor": "provider"})],
            (1, 0, 0, 0, {}),
            id="the-provider-ran-it",
        ),
        pytest.param(
            [record({**shadow(), "verdict": "allow"}, shadow("g"), would="hold")],
            (1, 1, 0, 1, {"g": (1, 0, 1)}),
            id="a-reason-that-only-tells",
        ),
        pytest.param(
            [record(shadow(), shadow(), would="hold")],
            (1, 1, 0, 1, {"refunds": (1, 0, 1)}),
            id="one-rule-twice-in-a-call",
        ),
        pytest.param(
            [record(shadow(), would="hold", time=(DAY - timedelta(days=9)).isoformat())],
            (0, 0, 0, 0, {}),
            id="too-old",
        ),
        pytest.param(
            [record(shadow(), would="hold", session=f"s{i}") for i in range(3)]
            + [record(session="s9")],
            (4, 3, 0, 3, {"refunds": (3, 0, 3)}),
            id="sessions",
        ),
    ],
)  # fmt: skip
def test_counts(
    tmp_path: Path,
    records: Sequence[dict[str, Any]],
    counted: tuple[int, int, int, int, dict[str, tuple[int, int, int]]],
) -> None:
    """Calls, more held, more blocked, sessions stopped; by rule: held, blocked, by no other rule."""
    tally = tallied(tmp_path / "log.jsonl", records)
    rules = {one.id: (one.held, one.blocked, one.alone) for one in tally.ranked("rule")}
    assert (
        tally.calls,
        tally.would["hold"],
        tally.would["block"],
        len(tally.stopped_sessions),
        rules,
    ) == counted


def test_the_text(tmp_path: Path) -> None:
    """Shares, holds a day, the busiest hour, examples, and what the counting cannot know."""
    records = [
        record(
            shadow(),
            would="hold",
            session=f"s{i}",
            time=(DAY + timedelta(hours=8 * i)).isoformat(),
        )
        for i in range(7)
    ]
    records += [record(session="calm") for _ in range(13)]
    told = list(lines(tallied(tmp_path / "log.jsonl", records), "rule"))
    assert told == [
        "2026-11-19 09:30 to 2026-11-26 09:30 UTC",
        "calls     20 in 8 sessions",
        "enforced  20 allowed, 0 held, 0 blocked",
        "would     7 more held, 0 more blocked: 35.0 % of all calls",
        "sessions  7 would have been stopped, 1 (12.5 %) not",
        "humans    3.5 more holds a day; most of them, 1, in the hour from 2026-11-20 09:00",
        "",
        "refunds (pay.yaml:12): 7 held, in 7 sessions, 7 by no other rule, "
        "2026-11-20 09:30 to 2026-11-22 09:30",
        "    s0: refund (c1): Too much.",
        "    s1: refund (c1): Too much.",
        "    s2: refund (c1): Too much.",
        "by agent  a 7",
        "by tool   refund 7",
        "",
        "Each call is counted as it came. Once one is held or blocked, what follows in its session would be",
        "another: `checkrein rules replay LOG --enforce --rules PATH` plays whole sessions.",
    ]


def test_names_that_agents_choose_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.hindsight.tally._MOST_NAMES", 2)
    records = [record(shadow(), would="hold", call={"name": f"t{i}"}) for i in range(5)]
    tally = tallied(tmp_path / "log.jsonl", records)
    assert [(one.id, one.calls) for one in tally.ranked("tool")] == [(OTHERS, 3), ("t0", 1), ("t1", 1)]  # fmt: skip


def test_files_lines_and_what_is_no_log(tmp_path: Path) -> None:
    """Compressed or not, with a torn last line; a file of something else is an error."""
    line = json.dumps(record()).encode() + b"\n"
    other = json.dumps({"type": "rules", "time": DAY.isoformat(), "event": "decision"}).encode()
    log = tmp_path / "decisions.jsonl"
    log.write_bytes(line + other + b"\n" + line[:-40])
    (tmp_path / "decisions.jsonl.2.gz").write_bytes(gzip.compress(line * 2))
    (tmp_path / "decisions.jsonl.1").write_bytes(line)
    (tmp_path / "decisions.jsonl.bak").write_bytes(line)
    paths = with_rotated(log)
    assert [p.name for p in paths] == ["decisions.jsonl.2.gz", "decisions.jsonl.1", "decisions.jsonl"]  # fmt: skip
    reading = Reading()
    assert len(list(decisions(paths, reading))) == 4
    assert (reading.records, reading.unread_lines, reading.unread) == (5, 1, f"{log}:3")
    for text in ("{}\n", "id,name\n1,x\n", '{"session_id": "s", "messages": []}\n'):
        (tmp_path / "other").write_text(text)
        with pytest.raises(LogError, match="not a decision log"):
            list(decisions([tmp_path / "other"], Reading()))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(line * 50)[:-12])
    with pytest.raises(LogError, match="cannot be read"):
        list(decisions([tmp_path / "cut.gz"], Reading()))


@pytest.mark.parametrize("whole_run", [True, False], ids=["per-run", "per-rule"])
async def test_from_real_decisions(make_bench: MakeBench, *, whole_run: bool) -> None:
    """Calls through the real judge, under `--shadow` and under a budget in shadow: the same report."""
    mode = "" if whole_run else ", mode: shadow"
    rules = f"""version: 1
tools: [{{name: pay, effects: [{{kind: money.pay, amount: args.n, unit: EUR, target: args.t}}]}}]
budgets: [{{name: pays, of: money.pay, sum: EUR, limit: 30, per: session{mode}}}]
"""
    bench = make_bench(rules, shadow=whole_run)
    for session in ("s1", "s2"):
        for n in range(3 if session == "s1" else 1):
            call = bench.call("pay", '{"n": 20, "t": "x"}', f"c{n}", f"r{n}")
            who = bench.who(session)
            await bench.pipeline.decide(call, who, call_key(who, call, "x"))
    tally = Tally(datetime(2026, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    for decided in decisions([bench.settings.log], Reading()):
        tally.take(decided)
    (count,) = tally.ranked("rule")
    assert (count.id, count.held, len(count.sessions), tally.calls) == ("pays", 2, 1, 4)
    assert (len(tally.sessions), len(tally.stopped_sessions)) == (2, 1)
