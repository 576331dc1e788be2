"""`checkrein rules report` as people run it, on real files."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli.rules.shadow_report import command

NOW = datetime.now(UTC)


def line(
    days_ago: float, session: str = "s1", tool: str = "refund", text: str = "Too much."
) -> str:
    reason = {
        "rule": "refunds",
        "file": "pay.yaml",
        "line": 3,
        "text": text,
        "verdict": "hold",
        "mode": "shadow",
    }
    record = {
        "type": "decision",
        "time": (NOW - timedelta(days=days_ago)).isoformat(),
        "session": session,
        "agent": "a",
        "call": {"id": "c", "name": tool, "executor": "client"},
        "verdict": "allow",
        "would": "hold",
        "reasons": [reason],
    }
    return json.dumps(record) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "decisions.jsonl"
    path.write_text(line(1) + line(2, "s2", "refund_all") + line(20, "s3"))
    return path


@pytest.mark.parametrize(
    ("arguments", "calls"),
    [
        pytest.param((), 2, id="seven-days"),
        pytest.param(("--days", "1.5"), 1, id="days"),
        pytest.param(("--days", "30"), 3, id="more-days"),
        pytest.param(("--since", "2020-01-01"), 3, id="since"),
        pytest.param(("--days", "36500"), 3, id="all"),
        pytest.param(
            ("--until", (NOW - timedelta(days=10)).isoformat(), "--days", "30"), 1, id="until"
        ),
    ],
)
def test_which_days(log: Path, arguments: tuple[str, ...], calls: int) -> None:
    made = CliRunner().invoke(command, [str(log), "--json", *arguments])
    assert made.exit_code == 0, made.output
    (rule,) = map(json.loads, made.stdout.splitlines())
    assert (next(iter(rule)), rule["id"], rule["calls"]) == ("id", "refunds", calls)


@pytest.mark.parametrize(
    ("by", "ids"),
    [
        pytest.param("rule", ["refunds"], id="rule"),
        pytest.param("session", ["s1", "s2"], id="session"),
        pytest.param("tool", ["refund", "refund_all"], id="tool"),
        pytest.param("agent", ["a"], id="agent"),
    ],
)
def test_by_what(log: Path, by: str, ids: list[str]) -> None:
    made = CliRunner().invoke(command, [str(log), "--json", "--by", by])
    assert [json.loads(one)["id"] for one in made.stdout.splitlines()] == ids


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("--days", "0"), "Invalid value for '--days'", id="no-days"),
        pytest.param(("--since", "yesterday"), "'yesterday' is no time such as", id="no-time"),
        pytest.param(("--since", "2020-01-01", "--days", "3"), "say the same", id="both"),
        pytest.param(
            ("--since", "2020-01-02", "--until", "2020-01-01"), "nothing is between", id="backwards"
        ),
        pytest.param(("--by", "weather"), "'weather' is not one of", id="by"),
    ],
)
def test_wrong_usage(log: Path, arguments: tuple[str, ...], says: str) -> None:
    made = CliRunner().invoke(command, [str(log), *arguments])
    assert made.exit_code == 2
    assert says in made.stderr


def test_a_log_that_is_older_says_so(log: Path) -> None:
    log.write_text(line(20))
    made = CliRunner().invoke(command, [str(log)])
    assert made.exit_code == 0
    assert "the newest record is of 20" in made.stderr
    assert "Nothing would have been stopped that was not." in made.stdout


def test_the_command_in_a_terminal(log: Path, tmp_path: Path) -> None:
    """The real command; what an agent wrote does not reach the terminal as it is."""
    log.write_text(line(1, "s\x1b[2J", text="\x1b]0;gone\x07") + "torn")
    run = [sys.executable, "-m", "proxy", "rules", "report", str(log)]
    made = subprocess.run(run, capture_output=True, text=True, check=True)
    assert "\x1b" not in made.stdout
    assert "1 held, in 1 session, 1 by no other rule" in made.stdout
    assert made.stderr.endswith("decisions.jsonl:2: no record, passed over\n")
    (tmp_path / "x.csv").write_text("a,b\n")
    run[-1] = str(tmp_path / "x.csv")
    failed = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (failed.returncode, "not a decision log" in failed.stderr) == (2, True)
