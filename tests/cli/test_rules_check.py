"""`checkrein rules check`: what it prints in each format, which files it reads, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxy.cli import cli
from proxy.cli.rules.report.text import WIDTH, fit
from proxy.policy.codes import CODES

ROOT = Path(__file__).resolve().parents[2]

SOUND = """\
version: 1
tools:
  - {name: refund_order, effects: [{kind: money.refund, amount: args.amount, unit: EUR}]}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100}
"""
BAD = SOUND.replace("sum: EUR,", "sum: EURO,").replace(
    "amount: args.amount", "ammount: args.amount"
)
WARNED = SOUND.replace("of: money.refund,", "of: [money.refund, money.refnd],")
CASES = """\
version: 1
cases:
  - name: small
    steps:
      - {call: refund_order, args: {amount: 5}, expect: {verdict: alow}}
"""


def check(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["rules", "check", *map(str, args)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_mistake_is_shown_in_its_line_with_a_caret(folder: Path) -> None:
    (folder / "pay.yaml").write_text(BAD)
    made = check("pay.yaml")
    assert made.exit_code == 1
    assert made.output == (
        "pay.yaml:3:57: error[unknown-key]: tool 'refund_order': unknown key 'ammount'; did you mean 'amount'?\n"
        "  |\n"
        "3 |   - {name: refund_order, effects: [{kind: money.refund, ammount: args.amount, unit: EUR}]}\n"
        "  |                                                         ^^^^^^^\n"
        "\n"
        "pay.yaml:5:44: error[unknown-unit]: budget 'refunds': unknown unit 'EURO'; did you mean 'EUR'?\n"
        "  |\n"
        "5 |   - {name: refunds, of: money.refund, sum: EURO, limit: 100}\n"
        "  |                                            ^^^^\n"
        "\n"
        "2 errors in 1 file\n"
    )


def test_the_concise_form_is_a_line_each(folder: Path) -> None:
    (folder / "pay.yaml").write_text(BAD)
    made = check("--format", "concise", "pay.yaml")
    assert made.output.splitlines()[1:] == [
        "pay.yaml:5:44: error[unknown-unit]: budget 'refunds': unknown unit 'EURO'; did you mean 'EUR'?",
        "2 errors in 1 file",
    ]


@pytest.mark.parametrize(
    ("text", "args", "code", "last"),
    [
        (SOUND, [], 0, "rules are in order"),
        (WARNED, [], 0, "rules are in order, with 1 warning"),
        (WARNED, ["--strict"], 1, "1 error in 1 file"),
        (BAD, [], 1, "2 errors in 1 file"),
    ],
    ids=["sound", "warned", "warned-strictly", "bad"],
)
def test_how_it_ends(text: str, args: list[str], code: int, last: str, folder: Path) -> None:
    (folder / "pay.yaml").write_text(text)
    made = check(*args, "pay.yaml")
    assert (made.exit_code, made.output.splitlines()[-1]) == (code, last)


@pytest.mark.parametrize(
    "args", [["nowhere.yaml"], ["--format", "xml", "."], ["--strct", "."]], ids=str
)
def test_wrong_usage_is_2(args: list[str], folder: Path) -> None:
    assert check(*args).exit_code == 2


def test_all_packs_are_checked_when_none_is_named() -> None:
    made = check()
    assert (made.exit_code, made.output) == (0, "rules are in order\n")


def test_a_folder_without_rules_is_a_mistake(folder: Path) -> None:
    made = check("--format", "concise", ".")
    assert made.exit_code == 1
    assert made.output.startswith(".:1:1: error[unreadable-file]: no *.yaml file in this folder\n")


@pytest.mark.parametrize("named", [".", "pay.yaml", "pay.cases.yaml"])
def test_cases_files_are_checked_too(named: str, folder: Path) -> None:
    (folder / "pay.yaml").write_text(SOUND)
    (folder / "pay.cases.yaml").write_text(CASES)
    made = check("--format", "concise", named)
    assert made.exit_code == 1
    assert made.output.startswith("pay.cases.yaml:5:67: error[unknown-word]: case 'small': ")


# --- formats for programs ------------------------------------------------------------------------


def test_json_is_an_object_a_line(folder: Path) -> None:
    (folder / "pay.yaml").write_text(BAD)
    made = [json.loads(line) for line in check("--format", "json", "pay.yaml").output.splitlines()]
    assert [next(iter(one)) for one in made] == ["id", "id"]
    assert made[1] | {"id": ""} == {
        "id": "",
        "severity": "error",
        "code": "unknown-unit",
        "file": "pay.yaml",
        "line": 5,
        "col": 44,
        "end_line": 5,
        "end_col": 48,
        "text": "budget 'refunds': unknown unit 'EURO'; did you mean 'EUR'?",
        "hint": None,
        "related": [],
    }


def test_an_id_stays_when_lines_are_added_above_and_tells_equal_mistakes_apart(
    folder: Path,
) -> None:
    def ids() -> list[str]:
        lines = check("--format", "json", "pay.yaml").output.splitlines()
        return [json.loads(line)["id"] for line in lines]

    text = "version: 1\ngates:\n  - {nam: g}\n  - {nam: g}\n"
    (folder / "pay.yaml").write_text(text)
    before = ids()
    assert len(set(before)) == len(before) == 6
    (folder / "pay.yaml").write_text("# one\n# two\n" + text)
    assert set(ids()) == set(before)


def test_github_reads_annotations(folder: Path) -> None:
    (folder / "a,b.yaml").write_text('version: 1\ngates: [{name: g, when: "true", 100%: 1}]\n')
    made = check("--format", "github", "a,b.yaml")
    assert made.exit_code == 1
    assert made.output == (
        "::error file=a%2Cb.yaml,line=2,col=33,endLine=2,endColumn=37,title=checkrein (unknown-key)"
        "::a,b.yaml:2:33: gate 'g': unknown key '100%25'\n"
    )


def sarif(*args: str | Path) -> Any:
    return json.loads(check("--format", "sarif", *args).output)


def test_sarif_has_all_that_code_scanning_wants(folder: Path) -> None:
    (folder / "my rules.yaml").write_text(BAD)
    log = sarif("my rules.yaml")
    (run,) = log["runs"]
    assert (log["version"], log["$schema"][-23:]) == ("2.1.0", "sarif-schema-2.1.0.json")
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(CODES)
    assert [result["ruleId"] for result in run["results"]] == ["unknown-key", "unknown-unit"]
    for result in run["results"]:
        rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert (rule["id"], result["level"]) == (result["ruleId"], "error")
    (place,) = run["results"][1]["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "my%20rules.yaml"},
        "region": {"startLine": 5, "startColumn": 44, "endLine": 5, "endColumn": 48},
    }
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]


def test_sarif_without_problems_has_no_results(folder: Path) -> None:
    (folder / "pay.yaml").write_text(SOUND)
    assert sarif("pay.yaml")["runs"][0]["results"] == []


# Those parts of https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json (read
# 2026-11) that are written: its types, what is required, that nothing else may stand there, and its bounds.
_TEXT = {"type": "string"}
_FROM_ONE = {"type": "integer", "minimum": 1}
_MESSAGE = {
    "type": "object",
    "properties": {"text": _TEXT},
    "required": ["text"],
    "additionalProperties": False,
}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_LOCATION = _object(
    [],
    id={"type": "integer", "minimum": -1},
    message=_MESSAGE,
    physicalLocation=_object(
        ["artifactLocation"],
        artifactLocation=_object([], uri=_TEXT | {"format": "uri-reference"}),
        region=_object(
            [], startLine=_FROM_ONE, startColumn=_FROM_ONE, endLine=_FROM_ONE, endColumn=_FROM_ONE
        ),
    ),
)
_LOCATIONS = {"type": "array", "items": _LOCATION}
_RULE = _object(
    ["id"],
    id=_TEXT,
    name=_TEXT,
    shortDescription=_MESSAGE,
    help=_MESSAGE,
    defaultConfiguration=_object([], level=_LEVEL),
)
_RESULT = _object(
    ["message"],
    ruleId=_TEXT,
    ruleIndex={"type": "integer", "minimum": -1},
    level=_LEVEL,
    message=_MESSAGE,
    locations=_LOCATIONS,
    relatedLocations=_LOCATIONS | {"uniqueItems": True},
    partialFingerprints={"type": "object", "additionalProperties": _TEXT},
)
SARIF = _object(
    ["version", "runs"],
    **{"$schema": _TEXT | {"format": "uri"}},
    version={"enum": ["2.1.0"]},
    runs={
        "type": "array",
        "items": _object(
            ["tool"],
            tool=_object(
                ["driver"],
                driver=_object(
                    ["name"],
                    name=_TEXT,
                    semanticVersion=_TEXT,
                    rules={"type": "array", "items": _RULE, "uniqueItems": True},
                ),
            ),
            columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
            invocations={
                "type": "array",
                "items": _object(
                    ["executionSuccessful"],
                    executionSuccessful={"type": "boolean"},
                    exitCode={"type": "integer"},
                ),
            },
            results={"type": "array", "items": _RESULT},
        ),
    },
)


def test_sarif_is_as_its_schema_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bad and every suspicious file of the corpora, errors, warnings and related places."""
    from jsonschema import Draft7Validator

    monkeypatch.chdir(ROOT / "tests" / "policy")
    Draft7Validator.check_schema(SARIF)
    files = sorted((*Path("bad").glob("*.yaml"), *Path("warned").glob("*.yaml")))
    for path in files:
        log = sarif(path)
        assert [e.message for e in Draft7Validator(SARIF).iter_errors(log)] == []
        for result in log["runs"][0]["results"]:
            region = result["locations"][0]["physicalLocation"]["region"]
            start, end = (
                (region["startLine"], region["startColumn"]),
                (region["endLine"], region["endColumn"]),
            )
            assert start < end, f"{path}: {result['message']}"


# --- how a line is shown -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "start", "end", "shown", "carets"),
    [
        ("a: bcd", 3, 6, "a: bcd", "   ^^^"),
        ("\ta: b", 4, 5, "    a: b", "       ^"),
        ("返金: b", 4, 5, "返金: b", "      ^"),
        ("a: 返金", 3, 5, "a: 返金", "   ^^^^"),
        ("e\u0301: b", 4, 5, "e\u0301: b", "   ^"),
        ("a: \u202eb", 4, 5, "a: \\u202eb", "         ^"),
        ("a: \x1b[31mb", 3, 4, "a: \\x1b[31mb", "   ^^^^"),
        ("a:", 2, 3, "a:", "  ^"),
        ("a:", 9, 12, "a:", "  ^"),
        ("", 0, 1, "", "^"),
    ],
    ids=[
        "plain",
        "tab",
        "wide-before",
        "wide-within",
        "combining",
        "direction-mark",
        "escape-sequence",
        "at-the-end",
        "beyond-the-end",
        "empty",
    ],
)
def test_a_caret_stands_under_its_place(
    line: str, start: int, end: int, shown: str, carets: str
) -> None:
    assert fit(line, start, end) == (shown, carets)


@pytest.mark.parametrize("at", [0, 1, 50, 98, 99, 100, 101, 500, 990, 996])
def test_a_long_line_is_cut_around_the_place(at: int) -> None:
    line = "".join(chr(ord("a") + i % 26) for i in range(1000))
    shown, carets = fit(line, at, at + 4)
    assert len(shown) <= WIDTH
    assert (
        shown[carets.index("^") : carets.index("^") + carets.count("^")]
        == line[at : at + 4]
        == (shown[len(carets) - 4 : len(carets)])
    )
    assert shown.startswith("…") == (not shown.startswith(line[:10]))


def test_a_place_longer_than_the_window_is_marked_as_far_as_it_is_shown() -> None:
    shown, carets = fit("x" * 1000, 10, 900)
    assert len(shown) <= WIDTH
    assert len(carets) <= len(shown)


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_line_ends_do_not_move_the_place(end: str, folder: Path) -> None:
    (folder / "pay.yaml").write_bytes(BAD.replace("\n", end).encode())
    assert "5 |   - {name: refunds, of: money.refund, sum: EURO, limit: 100}\n" in check(".").output


def test_an_expression_over_several_lines_is_marked_where_it_is_wrong(folder: Path) -> None:
    (folder / "g.yaml").write_text(
        'version: 1\ngates:\n  - name: g\n    when: >-\n      tool == "a" &&\n      tol == "b"\n'
    )
    assert '6 |       tol == "b"\n  |       ^^^\n' in check(".").output


def test_a_file_without_readable_lines_has_no_frame(folder: Path) -> None:
    (folder / "a.yaml").write_bytes(b"version: 1 # \xff\n")
    assert check(".").output == (
        "a.yaml:1:1: error[unreadable-file]: not UTF-8: byte 14\n\n1 error in 1 file\n"
    )


def test_what_a_file_says_cannot_move_the_terminal(folder: Path) -> None:
    """Escape sequences in names and texts are shown, not obeyed, in every form but JSON, which escapes them too."""
    (folder / "a.yaml").write_text('version: 1\n"\\e[2Jx": 1\n')
    for form in ("text", "concise", "github", "json", "sarif"):
        assert "\x1b" not in check("--format", form, ".").output


# --- colours, and the real command ----------------------------------------------------------------


def command(*args: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proxy", "rules", "check", *args],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        **more,
    )


def test_the_command_in_a_pipe_has_no_colours(folder: Path) -> None:
    (folder / "pay.yaml").write_text(BAD)
    made = command("pay.yaml")
    assert (made.returncode, made.stderr) == (1, "")
    assert made.stdout == check("pay.yaml").output


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["terminal", "no-color", "dumb"],
)
def test_a_terminal_gets_colours_unless_it_wants_none(
    variables: dict[str, str], coloured: bool, folder: Path
) -> None:
    (folder / "pay.yaml").write_text(BAD)
    plain_env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    env = {**plain_env, "PYTHONPATH": str(ROOT), "TERM": "xterm", **variables}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "proxy", "rules", "check", "pay.yaml"], env=env, stdout=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65_536):
                shown += part
        except OSError:
            pass  # Linux says so when the other end is closed
        finally:
            os.close(ours)
    assert process.returncode == 1
    assert (b"\x1b[" in shown) is coloured
    assert b"unknown unit 'EURO'" in shown
