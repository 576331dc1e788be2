"""`checkrein rules replay`: what it prints and how it ends; the page's example, run as it stands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli import cli

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "rules-testing.md").read_text("utf-8")
REPLAY = PAGE.split("## Replaying what was recorded")[1]


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["rules", "replay", *map(str, args)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's rules and its session, in the working directory."""
    (tmp_path / "refunds.yaml").write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    session = json.loads(re.findall(r"```json\n(.*?)```", REPLAY, re.DOTALL)[0])
    (tmp_path / "sessions.jsonl").write_text(json.dumps(session) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_says_what_the_page_says(folder: Path) -> None:
    block = re.findall(r"^```\n(\$ .*?)^```", REPLAY, re.DOTALL | re.MULTILINE)[0]
    said = ""
    for command in re.findall(r"^\$ checkrein rules replay (.*)$", block, re.MULTILINE):
        made = run(*command.split())
        assert made.exit_code == 0
        said += f"$ checkrein rules replay {command}\n{made.output}"
    assert said == block


def test_the_python_example_runs(folder: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", REPLAY, re.DOTALL)[0]
    root = Path(__file__).resolve().parents[2]
    made = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == "s-1 [('refund_order', 'hold')]\n"


def test_without_rules_the_default_pack_judges(folder: Path) -> None:
    made = run("sessions.jsonl", "--json")
    assert made.exit_code == 0
    assert [call["id"] for call in json.loads(made.output)["calls"]] == ["a", "b"]


def test_sessions_of_one_agent_are_told_so(folder: Path) -> None:
    path = folder / "sessions.jsonl"
    path.write_text(path.read_text() + path.read_text().replace("s-1", "s-2"))
    rules = (folder / "refunds.yaml").read_text().replace("per: session", "per: agent")
    (folder / "refunds.yaml").write_text(rules)
    apart = run("sessions.jsonl", "--rules", "refunds.yaml")
    together = run("sessions.jsonl", "--rules", "refunds.yaml", "--one-agent")
    assert "4: 2 allowed, 2 held" in apart.output
    assert "4: 1 allowed, 3 held" in together.output


def test_a_bad_line_ends_it_with_its_number(folder: Path) -> None:
    with (folder / "sessions.jsonl").open("a") as file:
        file.write("{\n")
    made = subprocess.run(
        [sys.executable, "-m", "proxy", "rules", "replay", "sessions.jsonl"],
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stderr) == (2, "checkrein: sessions.jsonl:2: not valid JSON\n")
