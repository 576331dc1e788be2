"""`checkrein rules explain` as people run it: which call is meant, what is refused, what may be shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli import cli
from proxy.errors import ConfigurationError
from proxy.policy.load import load_paths
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.casefile import read_case_file
from tests.recording import recorded

RULES = """version: 1
tools:
  - name: refund
    effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.id}]
  - http: {method: POST, host: billing.internal, path: "/v1/refunds/{id}"}
    effects: [{kind: money.refund, amount: body.amount, unit: EUR, target: path.id}]
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, window: 24h}
"""
CASES = """version: 1
cases:
  - name: one
    steps:
      - {call: refund, args: {id: A, amount: 60}}
      - {call: refund, args: {id: B, amount: 60}, expect: hold}
  - name: two
    steps:
      - {user: Hello}
"""
SESSION = {
    "session_id": "s-1",
    "tools": ["refund"],
    "messages": [
        {"role": "user", "content": "Refund A."},
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "a",
                    "function": {"name": "refund", "arguments": '{"id": "A", "amount": 60}'},
                }
            ],
        },
    ],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(RULES)
    (tmp_path / "r.cases.yaml").write_text(CASES)
    (tmp_path / "s.jsonl").write_text(json.dumps(SESSION) + "\n")
    return tmp_path


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["rules", "explain", *arguments], input=stdin)


def call(**args: object) -> str:
    return json.dumps({"name": "refund", "arguments": args})


HTTP = json.dumps(
    {
        "http": {"method": "POST", "host": "billing.internal", "path": "/v1/refunds/A"},
        "body": {"amount": 120},
    }
)


@pytest.mark.parametrize(
    ("arguments", "stdin", "first", "also"),
    [
        pytest.param(
            ("--rules", "r.yaml", call(id="A", amount=120)),
            None,
            'hold: refund {"id":"A","amount":120}',
            "0 -> 120 of 100 EUR",
            id="a-call",
        ),
        pytest.param(
            ("--rules", "r.yaml", "-"),
            call(id="A", amount=20),
            'allow: refund {"id":"A","amount":20}',
            "0 -> 20 of 100 EUR",
            id="standard-input",
        ),
        pytest.param(
            ("--rules", "r.yaml", HTTP),
            None,
            "hold: POST billing.internal/v1/refunds/{id}",
            "body.amount at most 100 EUR",
            id="a-request",
        ),
        pytest.param(
            ("--cases", "r.cases.yaml", "--case", "one"),
            None,
            'hold: refund {"id":"B","amount":60}',
            "60 -> 120 of 100 EUR",
            id="a-case",
        ),
        pytest.param(
            (
                "--cases",
                "r.cases.yaml",
                "--case",
                "one",
                "--step",
                "1",
                call(id="C", amount=41),
            ),
            None,
            'hold: refund {"id":"C","amount":41}',
            "args.amount at most 40 EUR",
            id="a-call-after-a-step",
        ),
        pytest.param(
            ("--rules", "r.yaml", "--session-file", "s.jsonl"),
            None,
            'allow: refund {"id":"A","amount":60}',
            "0 -> 60 of 100 EUR",
            id="a-session",
        ),
    ],
)
def test_a_call_is_explained(
    folder: Path, arguments: tuple[str, ...], stdin: str | None, first: str, also: str
) -> None:
    made = run(*arguments, stdin=stdin)
    assert made.exit_code == 0, made.output
    assert made.output.splitlines()[0].startswith(first)
    assert also in made.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param((), "no call is named; give one, such as", id="nothing"),
        pytest.param(("{",), "CALL", id="no-json"),
        pytest.param(("[]",), "a call is written", id="another-shape"),
        pytest.param(("@nowhere.json",), "nowhere.json: cannot be read", id="no-file"),
        pytest.param(("--seq", "1"), "--seq needs --log FILE", id="seq-without-log"),
        pytest.param(("--step", "1"), "--step needs --cases or --session-file", id="step-alone"),
        pytest.param(("--cases", "r.cases.yaml"), "which case? name it with --case", id="case"),
        pytest.param(
            ("--cases", "r.cases.yaml", "--case", "three"), "no case 'three'", id="no-such-case"
        ),
        pytest.param(
            ("--cases", "r.cases.yaml", "--case", "one", "--step", "9"),
            "has 2 steps; there is no 9",
            id="no-such-step",
        ),
        pytest.param(
            ("--cases", "r.cases.yaml", "--case", "two"), "makes no call", id="no-call-in-it"
        ),
        pytest.param(
            ("--cases", "r.cases.yaml", "--session-file", "s.jsonl"),
            "do not go together",
            id="two-places",
        ),
        pytest.param(
            ("--session-file", "s.jsonl", "--session", "s-9"), "s-9", id="no-such-session"
        ),
    ],
)
def test_what_is_not_understood_is_said(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    made = run("--rules", "r.yaml", *arguments)
    assert isinstance(made.exception, ConfigurationError)  # which ends the command with 2
    assert message in str(made.exception)


def test_one_object(folder: Path) -> None:
    told = json.loads(run("--rules", "r.yaml", "--json", call(id="A", amount=120)).output)
    assert told["verdict"] == "hold"
    assert told["stopped_by"] == [
        {"rule": "refunds", "text": "Budget 'refunds' would reach 120 of 100 EUR (0 used)."}
    ]
    assert [way["allows"] for way in told["allowed_by"]] == [True, True]


def test_nothing_of_a_call_moves_the_terminal(folder: Path) -> None:
    made = run("--rules", "r.yaml", call(id="\x1b[2J\u202eA\nallow: all", amount=120))
    assert "\x1b" not in made.output
    assert "\u202e" not in made.output
    assert not any(line.startswith("allow: all") for line in made.output.splitlines())


def test_a_record_of_a_log_is_explained_in_its_place(folder: Path) -> None:
    """What came before it counts; alone, without the log, that is said to be missing."""
    log = _recorded(folder)
    rules = ("--rules", "r.yaml")
    seq = _seqs(log)[1]
    made = run(*rules, "--log", str(log), "--seq", str(seq))
    assert made.exit_code == 0, made.output
    assert made.output.startswith('hold: refund {"amount":60,"id":"B"}')
    assert "60 -> 120 of 100 EUR" in made.output
    alone = run(*rules, "-", stdin=log.read_text().splitlines()[seq - 1])
    assert "0 -> 60 of 100 EUR" in alone.output
    assert "the records before it were not given" in alone.output


def test_a_record_that_is_not_there(folder: Path) -> None:
    made = run("--rules", "r.yaml", "--log", str(_recorded(folder)), "--seq", "77")
    assert isinstance(made.exception, ConfigurationError)
    assert "there is no record 77" in str(made.exception)


def _recorded(folder: Path) -> Path:
    """A log of two refunds, as the proxy writes it."""
    file = read_case_file(folder / "r.cases.yaml")
    log = folder / "decisions.jsonl"
    recorded(file.cases[0], RuleSet(load_paths(list(file.rules))), log, shadow=False)
    return log


def _seqs(log: Path) -> list[int]:
    records = map(json.loads, log.read_text().splitlines())
    return [record["seq"] for record in records if record["type"] == "decision"]
