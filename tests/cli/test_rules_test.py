"""`checkrein rules test`: what it prints and how it ends; the page's example, run as it stands."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from proxy.cli import cli

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "rules-testing.md").read_text("utf-8")


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["rules", "test", *map(str, args)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's two files, in the working directory."""
    rules = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
    cases = re.findall(r"```yml\n(.*?)```", PAGE, re.DOTALL)[0]
    (tmp_path / "refunds.yaml").write_text(rules)
    (tmp_path / "refunds.cases.yaml").write_text(cases)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def timeless(text: str) -> str:
    return re.sub(r" in \d+\.\d\d s", " in 0.02 s", text)


def test_the_example_says_what_the_page_says(folder: Path) -> None:
    made = run("refunds.yaml")
    shown = re.findall(r"```\n\$ checkrein rules test refunds\.yaml\n(.*?)```", PAGE, re.DOTALL)[0]
    assert (timeless(made.output), made.exit_code) == (shown, 0)


def test_the_failure_says_what_the_page_says(folder: Path) -> None:
    path = folder / "refunds.cases.yaml"
    path.write_text(
        path.read_text().replace("verdict: hold\n          rules: [refunds]", "verdict: allow")
    )
    made = run("refunds.yaml")
    shown = re.findall(r"```\n(FAIL .*?)```", PAGE, re.DOTALL)[0]
    assert made.output.startswith(shown)
    assert made.exit_code == 1


def test_every_key_of_the_page_is_read() -> None:
    """The page's tables name the steps that there are."""
    from proxy.rehearsal.step_reading import STEPS

    table = PAGE.split("### Steps")[1].split("### Expectations")[0]
    assert [key for key in STEPS if f"`{key}:" not in table] == []


def test_json_has_an_object_a_case(folder: Path) -> None:
    lines = [json.loads(line) for line in run("--json", "--coverage", folder).output.splitlines()]
    assert [line["outcome"] for line in lines] == ["pass", "coverage"]
    assert lines[0]["id"].endswith("refunds.cases.yaml:refunds add up until the limit")
    assert lines[1]["covered"] == {"budgets": {"met": 1, "of": 1}, "tools": {"met": 2, "of": 2}}


def test_a_mistake_in_the_file_is_told_with_its_place(folder: Path) -> None:
    (folder / "refunds.cases.yaml").write_text("version: 1\ncases: 3\n")
    made = run("refunds.yaml")
    assert "ERROR refunds.cases.yaml:2:8: a cases file: cases: expected a list" in made.output
    assert made.exit_code == 2


def test_rules_without_cases_are_wrong_usage(folder: Path) -> None:
    (folder / "refunds.cases.yaml").unlink()
    made = run("refunds.yaml")
    assert "it has no cases file" in str(made.exception)


def test_a_forged_line_stays_in_its_line(folder: Path) -> None:
    """What stands in a step cannot write lines of its own."""
    (folder / "refunds.cases.yaml").write_text(
        'version: 1\ncases:\n  - name: "a\\nPASS  b"\n    steps: [{call: nope}]\n'
    )
    assert not any(line.startswith("PASS") for line in run("refunds.yaml").output.splitlines())


# --- for CI systems --------------------------------------------------------------------------------------
def test_junit_tells_passed_failed_and_errors_apart(folder: Path) -> None:
    (folder / "refunds.cases.yaml").write_text(
        "version: 1\ncases:\n"
        "  - {name: passes, steps: [{call: refund_order, args: {order_id: A, amount: 1}}]}\n"
        '  - {name: "fails <&> \\u0007", steps: [{call: refund_order, args: {order_id: A, amount: 101}}]}\n'
        "  - {name: cannot, steps: [{approve: last}]}\n"
    )
    (folder / "broken.yaml").write_text("version: 1\n")
    (folder / "broken.cases.yaml").write_text("version: 1\ncase: []\n")
    made = run(".", "--junit", "out.xml")
    assert made.exit_code == 2
    root = ElementTree.fromstring((folder / "out.xml").read_bytes())  # noqa: S314 - our own
    assert {k: root.get(k) for k in ("tests", "failures", "errors")} == {
        "tests": "5",
        "failures": "1",
        "errors": "3",
    }
    suite = root.findall("testsuite")[1]
    told = {case.get("name"): [child.tag for child in case] for case in suite}
    assert told == {"passes": [], "fails <&> \\x07": ["failure"], "cannot": ["error"]}
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "verdict: expected allow, got hold"
    assert "because hold by refunds" in (failure.text or "")
    assert [case.get("line") for case in suite] == ["3", "4", "5"]


def test_rules_in_shadow_are_tested_as_if_they_were_enforced(folder: Path) -> None:
    path = folder / "refunds.yaml"
    path.write_text(path.read_text() + "mode: shadow\n")
    assert run("refunds.yaml").exit_code == 0


def test_watching_runs_again_what_a_change_is_about(folder: Path) -> None:
    """A process of its own: edits of the rules and of the cases, then Ctrl-C; the exit code is the last run's."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "proxy", "rules", "test", "refunds.yaml", "--watch"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        preexec_fn=_listens_to_ctrl_c,
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        said = _until(lines, "watching 2 files")
        assert "1 cases: 1 passed" in said
        path = folder / "refunds.yaml"
        path.write_text(path.read_text().replace("limit: 100", "limit: 50"))
        said = _until(lines, "watching")
        assert "0 passed, 1 failed" in said
        path.write_text("version: 1\ntool: []\n")
        assert "unknown key 'tool'; did you mean 'tools'?" in _until(lines, "watching")
        path.write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
        assert "1 passed, 0 failed" in _until(lines, "watching")
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert process.returncode == 0


def _listens_to_ctrl_c() -> None:
    """A shell's background job is started with SIGINT ignored, and so are its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _until(lines: Iterator[str], what: str) -> str:
    said = ""
    for line in lines:
        said += line
        if what in line:
            return said
    raise AssertionError(said)
