"""`checkrein rules suggest`: where the file goes, what is said beside it, and how it ends."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli import cli
from proxy.errors import ConfigurationError
from proxy.logtail import verify
from proxy.policy.load import load_paths
from proxy.policy.problems import RuleErrors
from tests.suggest.logs import Played, function, record

RULES = "version: 1\npack: own\ntools: [{name: look, effects: []}]\n"


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["rules", *map(str, args)])


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Refunds in three sessions, in the working directory, with rules that do not know them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(RULES)
    sessions = [
        Played([("refund", {"id": "a", "amount": n * 10}), ("look", {})]) for n in (1, 2, 3)
    ]
    return record(tmp_path / "log.jsonl", sessions)


def test_the_file_goes_to_stdout_and_the_summary_to_stderr(log: Path) -> None:
    made = run("suggest", log, "--rules", "own.yaml")
    assert made.exit_code == 0
    assert made.stdout.startswith(
        "# Proposed by `checkrein rules suggest` from 6 calls in 3 sessions,"
    )
    assert "\nmode: shadow\n" in made.stdout
    assert made.stderr.startswith(
        "1 tool and 5 budgets proposed, in shadow: nothing is switched on.\n3 sessions: too few"
    )


def test_a_file_is_written_and_not_written_over(log: Path, tmp_path: Path) -> None:
    """What somebody may have edited stays, unless --force says so; what is written is in order."""
    out = tmp_path / "new" / "suggested.yaml"
    made = run("suggest", log, "--rules", "own.yaml", "--out", out)
    assert (made.exit_code, made.stdout) == (0, "")
    assert "in order" in run("check", "--strict", out).stdout
    assert load_paths([tmp_path / "own.yaml", out]).warnings == ()
    out.write_text("mine")
    again = run("suggest", log, "--out", out)
    assert isinstance(again.exception, ConfigurationError)
    assert f"rules suggest: {out} is there already" in str(again.exception)
    assert out.read_text() == "mine"
    assert run("suggest", log, "--rules", "own.yaml", "--out", out, "--force").exit_code == 0
    assert out.read_text().startswith("# Proposed")


def test_json_is_an_object_a_proposal(log: Path, tmp_path: Path) -> None:
    """`id` first; with --out the file is written too."""
    made = run("suggest", log, "--rules", "own.yaml", "--json", "--out", "s.yaml")
    found = [json.loads(line) for line in made.stdout.splitlines()]
    assert all(next(iter(one)) == "id" for one in found)
    assert [one["type"] for one in found] == ["tool"] + ["budget"] * 5
    (tool, *_) = found
    assert (tool["kind"], tool["amount"], tool["calls"], tool["sessions"]) == (
        "money.refund",
        "args.amount",
        3,
        3,
    )
    (summed,) = [one for one in found if one["id"] == "money-refund-unstated-session"]
    assert (summed["limit"], summed["max"], summed["touched"], summed["too_few"]) == (
        "50",
        "30",
        0,
        True,
    )
    assert (tmp_path / "s.yaml").exists()


def test_touch_says_how_many_sessions_a_limit_may_touch(log: Path) -> None:
    made = run("suggest", log, "--rules", "own.yaml", "--touch", "0.4")
    assert "sum: unstated, limit: 20," in made.stdout
    assert "It would have touched 1 of 3 sessions with any (33.3 %)." in made.stdout


@pytest.mark.parametrize("share", ["1", "-0.1", "nan", "2 %"])
def test_a_share_is_one(log: Path, share: str) -> None:
    made = run("suggest", log, "--touch", share)
    assert made.exit_code == 2
    assert "is no share of sessions" in made.stderr


def test_nothing_to_suggest_is_said_and_no_failure(log: Path, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text('version: 1\ntools: [{name: "*", effects: []}]\n')
    made = run("suggest", log, "--rules", "all.yaml", "--out", "s.yaml")
    assert (made.exit_code, made.stdout) == (0, "")
    assert made.stderr.startswith("Nothing to suggest:")
    assert not (tmp_path / "s.yaml").exists()


def test_a_log_of_other_rules_is_told(log: Path) -> None:
    """Tools of one's own rules are proposed again when they are not named: the log knows which they were."""
    assert "the log was written under other rules (r.yaml)" in run("suggest", log).stderr


def test_compressed_logs_are_read(log: Path, tmp_path: Path) -> None:
    packed = tmp_path / "log.jsonl.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert run("suggest", packed, "--rules", "own.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("{\n", "bad.jsonl:1", id="no-json"),
        pytest.param(
            '{"session_id": "s", "messages": []}\n',
            "bad.jsonl:1: not a record of a decision log",
            id="sessions",
        ),
    ],
)
def test_what_is_no_log_ends_it(log: Path, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.jsonl").write_text(text)
    made = run("suggest", "bad.jsonl")
    assert isinstance(made.exception, ConfigurationError)
    assert said in str(made.exception)


def test_rules_that_do_not_load_end_it(log: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\nfoo: 1\n")
    made = run("suggest", log, "--rules", "bad.yaml")
    assert isinstance(made.exception, RuleErrors)
    assert "bad.yaml:2:1" in str(made.exception)


@pytest.mark.parametrize(
    "command", [("replay",), ("report", "--days", "36500")], ids=["replay", "report"]
)
def test_other_commands_pass_over_definitions(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A `tools` record is nobody's call: the same outcome with it and without."""
    said = []
    for name, offered in (("without", []), ("with", [function("refund")])):
        folder = tmp_path / name
        folder.mkdir()
        log = record(folder / "log.jsonl", [Played([("refund", {"id": "a"})])], offered=offered)
        assert ('"type":"tools"' in log.read_text()) is bool(offered)
        assert verify([log], expect_first=1).ok
        said.append(run(*command, log).stdout.replace(str(folder), ""))
    assert said[0] == said[1] != ""


def test_tail_tells_whose_definitions_were_seen(tmp_path: Path) -> None:
    log = record(
        tmp_path / "log.jsonl", [Played([])], offered=[function("refund"), function("x\x1b")]
    )
    shown = CliRunner().invoke(cli, ["tail", "--log", str(log), "--type", "tools", "--no-follow"])
    assert "openai.chat: refund, x\\x1b" in shown.stdout


def test_a_name_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    log = record(
        tmp_path / "log.jsonl",
        [Played([("\x1b[2Jpay\n- name: x", {"\x1b[31m": "\x1b]0;x"}), ("pay\x9b", {})])],
    )
    made = run("suggest", log)
    assert made.exit_code == 0
    assert "\x1b" not in made.output
    assert "\x9b" not in made.output
    assert "\\x1b[2Jpay\\n- name: x" in made.output
