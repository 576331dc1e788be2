"""Cases files: what passes, what fails and how it is told, what cannot be read and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.policy.load import load_texts
from proxy.policy.problems import RuleErrors
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.casefile import find_case_files, read_cases
from proxy.rehearsal.telling import exit_code, file_lines
from proxy.rehearsal.trying import FileOutcome, Outcome, try_cases, try_files

RULES = """
version: 1
pack: t
tools:
  - name: refund
    effects:
      - {kind: money.refund, amount: args.amount, unit: EUR, target: args.order, reversibility: irreversible}
  - name: both
    effects: [{kind: record.read, target: args.a}, {kind: record.read, target: args.b}, {kind: message.external}]
  - name: look
    effects: []
  - http: {method: POST, host: billing.internal, path: "/refunds/{id}"}
    effects:
      - {kind: money.refund, amount: body.amount, unit: EUR, target: path.id, reversibility: irreversible,
         settle: {ok: "!result.is_error"}}
gates:
  - {name: big, when: "effect.kind == 'money.refund' && effect.amount > 500.0", verdict: block, message: Too much.}
signals:
  - {name: alarm, on: external.alarm, do: {hold: "money.*"}}
  - {name: unsure, on: low-confidence, below: 0.5, do: {hold: "money.*"}}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, window: 24h, warn_at: 0.8, on_exceed: hold}
  - {name: customers, of: "record.*", distinct: target, limit: 3, per: agent, window: 1h, on_exceed: hold}
"""
PATH = Path("t.cases.yaml")
HEAD = "version: 1\ncases:\n  - name: c\n    steps:\n"


def played(steps: str, head: str = HEAD) -> FileOutcome:
    loaded = load_texts([("t.yaml", RULES)])
    text = head + "".join(f"      {line}\n" for line in steps.strip("\n").splitlines())
    return try_cases(read_cases(PATH, text), loaded, RuleSet(loaded))


def problems(text: str) -> list[str]:
    with pytest.raises(RuleErrors) as caught:
        read_cases(PATH, text)
    return [str(problem) for problem in caught.value.problems]


PASSING = {
    "allowed unless it says otherwise": "- call: look",
    "a verdict alone": "- {call: refund, args: {amount: 101, order: A}, expect: hold}",
    "rule, text, budget": """
- call: refund
  args: {amount: 100.5, order: A}
  expect: {verdict: hold, rules: [refunds], not_rules: [big], reason: "REACH 100.5 of 100", budgets: {refunds: 100.5}}
""",
    "block": "- {call: refund, args: {amount: 501, order: A}, expect: {verdict: block, rules: big, reason: Too much}}",
    "warned": "- {call: refund, args: {amount: 80, order: A}, expect: {warned: [refunds]}}",
    "before, after, limit": """
- {call: refund, args: {amount: 30, order: A}}
- {call: refund, args: {amount: 30, order: A}, expect: {budgets: {refunds: {before: 30, after: 60, limit: 100}}}}
""",
    "effects by kind": "- {call: both, args: {a: 1, b: 2}, expect: {effects: [record.read, message.external]}}",
    "effects in full": """
- call: both
  args: {a: "1", b: "2"}
  expect: {effects: [{kind: record.read, target: "2"}, {kind: record.read, target: "1"}, message.external]}
""",
    "no effects": "- {call: look, expect: {effects: []}}",
    "unmapped": "- {call: unknown_tool, expect: {verdict: hold, rules: unmapped}}",
    "repeated, with a number": """
- {call: both, args: {a: "{n}", b: "{n}"}, times: 3}
- {call: both, args: {a: "4", b: "1"}, expect: {verdict: hold, rules: customers}}
""",
    "repeated by others": """
- {call: refund, args: {amount: 100, order: A}, times: 3, session: "s-{n}", agent: "a-{n}"}
- {call: refund, args: {amount: 1, order: A}, session: s-2, expect: hold}
- {call: both, args: {a: 1, b: 2}, session: s-9, agent: a-9}
""",
    "a human's yes": """
- {call: refund, args: {amount: 101, order: A}, id: big-one, expect: hold}
- call: look
- approve: big-one
- {call: refund, args: {amount: 101, order: A}, result: done}
""",
    "a human's no": """
- {call: refund, args: {amount: 101, order: A}, expect: hold}
- deny: last
- {call: again, expect: hold}
""",
    "time": """
- {call: refund, args: {amount: 100, order: A}}
- {call: refund, args: {amount: 1, order: A}, expect: hold}
- wait: 24h
- {call: again}
""",
    "others' sessions": """
- {call: refund, args: {amount: 100, order: A}}
- {call: refund, args: {amount: 100, order: A}, session: other}
- {call: refund, args: {amount: 100, order: A}, session: sub, parent: session, expect: hold}
- {call: refund, args: {amount: 1, order: A}, session: sub, expect: hold}
""",
    "several at once": """
- calls:
    - {call: refund, args: {amount: 60, order: A}}
    - {call: refund, args: {amount: 60, order: A}, expect: hold}
""",
    "a tool of an MCP server": """
- {call: refund, server: billing.internal/mcp, args: {amount: 90, order: A}, result: done}
- {call: refund, server: billing.internal/mcp, args: {amount: 90, order: A}, expect: hold}
""",
    "an API that fails gives the money back, one that breaks does not": """
- http: {method: POST, host: billing.internal, path: /refunds/A}
  body: {amount: 90}
  result: no such order
  status: 404
- http: {method: POST, host: billing.internal, path: /refunds/A, headers: {X-Request: "1"}, query: {dry: "0"}}
  body: {amount: 90}
  result: {error: timeout}
  status: 504
- http: {method: POST, host: billing.internal, path: /refunds/B}
  body: {amount: 90}
  expect: {verdict: hold, budgets: {refunds: {before: 90}}}
""",
    "how sure the model is": """
- {call: refund, args: {amount: 1, order: A}, confidence: 0.9}
- {call: refund, args: {amount: 1, order: A}, confidence: 0.1, expect: hold}
""",
    "stopped by the operator": """
- call: look
- freeze:
- {call: again, expect: {verdict: block, rules: frozen}}
- thaw: session
- call: again
""",
    "told by another system": """
- {call: refund, args: {amount: 1, order: A}}
- {signal: external.alarm, session: session, fields: {severity: high}}
- {call: refund, args: {amount: 1, order: A}, expect: hold}
- call: look
""",
    "what was said": "- system: You are kind.\n- user: Do it.\n- call: look",
}


@pytest.mark.parametrize("steps", PASSING.values(), ids=PASSING)
def test_passes(steps: str) -> None:
    made = played(steps)
    assert [case.fault for case in made.cases] == [None]
    assert exit_code([made]) == 0


FAILING = {
    "verdict": (
        "- {call: refund, args: {amount: 101, order: A}}",
        ["verdict: expected allow, got hold"],
    ),
    "rules": (
        "- {call: refund, args: {amount: 101, order: A}, expect: {rules: [big, refunds]}}",
        ["rules: expected big, got refunds"],
    ),
    "not rules": (
        "- {call: refund, args: {amount: 101, order: A}, expect: {not_rules: [refunds]}}",
        ["rules: expected not refunds, got refunds"],
    ),
    "reason": ("- {call: look, expect: {reason: x}}", ["reason: expected one with 'x', got none"]),
    "budget": (
        "- {call: refund, args: {amount: 1, order: A}, expect: {budgets: {refunds: 2, refund: 1}}}",
        [
            "budgets: refunds: expected after 2, got 1 after 0 of 100",
            "budgets: 'refund' is not concerned by this call; did you mean 'refunds'?",
        ],
    ),
    "warned": (
        "- {call: look, expect: {warned: refunds}}",
        ["warned: expected refunds, got none"],
    ),
    "an effect too few": (
        "- {call: look, expect: {effects: [record.read]}}",
        ["effects: expected record.read, got none"],
    ),
    "an effect too many": (
        "- {call: both, args: {a: 1, b: 2}, expect: {effects: [record.read]}}",
        [
            "effects: expected record.read, got kind record.read, target 1; "
            "kind record.read, target 2; message.external"
        ],
    ),
    "in a repetition": (
        "- {call: refund, args: {amount: 40, order: A}, times: 5}",
        ["in repetition 3 of 5:", "verdict: expected allow, got hold"],
    ),
}


@pytest.mark.parametrize(("steps", "texts"), FAILING.values(), ids=FAILING)
def test_fails(steps: str, texts: list[str]) -> None:
    made = played(steps)
    fault = made.cases[0].fault
    assert fault is not None
    assert list(fault.texts) == texts
    assert (made.cases[0].outcome, exit_code([made])) == (Outcome.FAIL, 1)


ERRORS = {
    "nothing is held": ("- approve: last", "no call was held before this step"),
    "no such call": ("- {result: 1, of: x}", "no call with the id 'x' was made before this step"),
    "no call at all": ("- call: again", "no call was made before this step"),
    "a session that nobody knows": (
        "- freeze: x",
        "the session 'x' was not seen before this step",
    ),
    "not held": (
        "- {call: look, id: a}\n- deny: a",
        "the call 'a' is not held",
    ),
    "a result of what did not run": (
        "- {call: nope, expect: hold}\n- result: 1",
        "the call nope was not let through: it has no result",
    ),
}


@pytest.mark.parametrize(("steps", "text"), ERRORS.values(), ids=ERRORS)
def test_cannot_be_played(steps: str, text: str) -> None:
    made = played(steps)
    fault = made.cases[0].fault
    assert fault is not None
    assert fault.texts == (text,)
    assert (made.cases[0].outcome, exit_code([made])) == (Outcome.ERROR, 2)


UNREADABLE = {
    "empty": ("", ["t.cases.yaml:1:1: the file is empty"]),
    "no cases": ("version: 1\n", ["t.cases.yaml:1:1: a cases file: the key 'cases' is missing"]),
    "a version of later": (
        "version: 2\ncases: []\n",
        ["t.cases.yaml:1:10: a cases file: version: this version reads 'version: 1'"],
    ),
    "a list": ("- a\n", ["t.cases.yaml:1:1: a cases file: expected a mapping of keys to values, got a list"]),
    "no steps": (
        "version: 1\ncases:\n  - name: c\n",
        ["t.cases.yaml:3:5: case 'c': the key 'steps' is missing"],
    ),
    "an unknown step": (
        HEAD + "      - cal: look\n",
        [
            "t.cases.yaml:5:9: case 'c': step 1: expected one of the keys user, system, call, calls, "
            "http, result, approve, deny, wait, freeze, thaw, signal; did you mean 'call'?"
        ],
    ),
    "an unknown key": (
        HEAD + "      - {call: look, expct: hold}\n",
        ["t.cases.yaml:5:22: case 'c': step 1: unknown key 'expct'; did you mean 'expect'?"],
    ),
    "an unknown verdict": (
        HEAD + "      - {call: look, expect: holt}\n",
        [
            "t.cases.yaml:5:30: case 'c': step 1: expect: 'holt' is not one of allow, hold, block; "
            "did you mean 'hold'?"
        ],
    ),
    "an unknown expectation": (
        HEAD + "      - {call: look, expect: {rule: x}}\n",
        ["t.cases.yaml:5:31: case 'c': step 1: expect: unknown key 'rule'; did you mean 'rules'?"],
    ),
    "every mistake at once": (
        HEAD + "      - wait: long\n      - {call: look, times: 0}\n      - {http: {host: h, path: /}}\n",
        [
            "t.cases.yaml:5:15: case 'c': step 1: wait: 'long' is no duration; write for example "
            "30s, 15m, 24h or 7d",
            "t.cases.yaml:6:29: case 'c': step 2: times: expected a whole number from 1 to 10000",
            "t.cases.yaml:7:16: case 'c': step 3: http: the key 'method' is missing",
        ],
    ),
    "a name twice": (
        HEAD + "      - call: look\n  - name: c\n    steps: []\n",
        ["t.cases.yaml:6:11: the name 'c' is taken by the case in line 3"],
    ),
    "a key twice": (
        HEAD + "      - {call: look, call: look}\n",
        ["t.cases.yaml:5:22: duplicate key 'call': it stands in line 5 already"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "found"), UNREADABLE.values(), ids=UNREADABLE)
def test_cannot_be_read(text: str, found: list[str]) -> None:
    assert problems(text) == found


def test_a_difference_is_told_with_place_and_reason() -> None:
    steps = "- call: look\n- {call: refund, args: {amount: 101, order: A}, expect: allow}"
    assert list(file_lines(played(steps), verbose=False)) == [
        "FAIL  t.cases.yaml:3:5: c",
        '      t.cases.yaml:6:9: step 2: call refund {"amount":101,"order":"A"}',
        "        verdict: expected allow, got hold",
        "        because hold by refunds (t.yaml:22): Budget 'refunds' would reach 101 of 100 EUR (0 used).",
    ]


def test_verbose_shows_what_each_call_did() -> None:
    lines = list(file_lines(played("- {call: refund, args: {amount: 1, order: A}}"), verbose=True))
    assert lines[-1].strip() == "allow [money.refund 1 EUR on A] refunds 1/100"


def test_a_case_begins_with_an_empty_ledger_and_its_own_clock() -> None:
    head = HEAD.replace("steps:\n", "steps: [{call: refund, args: {amount: 90, order: A}}]\n")
    text = (
        head
        + "  - name: d\n    at: 2026-03-01T23:00:00+01:00\n    steps: [{call: refund, args: {amount: 90, order: A}}]\n"
    )
    loaded = load_texts([("t.yaml", RULES)])
    file = read_cases(PATH, text)
    made = try_cases(file, loaded, RuleSet(loaded))
    assert [case.outcome for case in made.cases] == [Outcome.PASS, Outcome.PASS]
    assert file.cases[1].at_ms == 1_772_402_400_000


def test_coverage_names_what_never_decided() -> None:
    made = played("- {call: refund, args: {amount: 101, order: A}, expect: hold}")
    assert made.coverage is not None
    assert made.coverage.summary == {
        "gates": (0, 1),
        "budgets": (1, 2),
        "signals": (0, 2),
        "tools": (1, 4),
    }
    assert [(e.section, e.name) for e in made.coverage.never] == [
        ("tools", "both"),
        ("tools", "look"),
        ("tools", "POST billing.internal/refunds/{id}"),
        ("gates", "big"),
        ("signals", "alarm"),
        ("signals", "unsure"),
        ("budgets", "customers"),
    ]


READERS = """
version: 1
pack: r
tools:
  - {shell: Bash, argument: args.command}
commands:
  - {run: frob, effects: [{kind: record.write}]}
  - {run: drop, effects: [{kind: record.delete}]}
  - {run: nothing, effects: []}
gates:
  - {name: no-drop, when: effect.kind == "record.delete", verdict: hold, message: No.}
"""


@pytest.mark.parametrize(
    ("line", "expect", "never"),
    [("frob x", "allow", [8, 11]), ("drop y", "hold", [7])],
    ids=["let through", "held"],
)
def test_coverage_of_commands(line: str, expect: str, never: list[int]) -> None:
    """A command is covered when a call had its effects; one without effects is not asked for."""
    loaded = load_texts([("r.yaml", READERS)])
    step = f"      - {{call: Bash, args: {{command: {line}}}, expect: {expect}}}\n"
    made = try_cases(read_cases(PATH, HEAD + step), loaded, RuleSet(loaded))
    assert made.coverage is not None
    assert [e.line for e in made.coverage.never] == never


def test_rules_that_do_not_load_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.cases.yaml").write_text(HEAD + "      - call: look\n")
    made = next(iter(try_files([tmp_path / "t.cases.yaml"])))
    assert made.problems == (
        f"{tmp_path / 't.yaml'}:1:1: cannot be read: No such file or directory",
    )
    assert exit_code([made]) == 2


def test_files_are_found_beside_their_rules(tmp_path: Path) -> None:
    for name in ("a.yaml", "a.cases.yaml", "b.cases.yaml"):
        (tmp_path / name).write_text("")
    found = find_case_files([tmp_path / "a.yaml", tmp_path])
    assert [path.name for path in found] == ["a.cases.yaml", "b.cases.yaml"]


def test_processes_find_what_one_does(tmp_path: Path) -> None:
    """The same outcomes in the same order, and the same coverage."""
    (tmp_path / "t.yaml").write_text(RULES)
    cases = "".join(
        f"  - name: c{n}\n    steps: [{{call: refund, args: {{amount: {n}, order: A}}}}]\n"
        for n in range(120)
    )
    path = tmp_path / "t.cases.yaml"
    path.write_text(f"version: 1\ncases:\n{cases}")
    alone, both = (next(iter(try_files([path], workers=workers))) for workers in (1, 2))
    assert [(c.name, c.outcome, c.fault, c.trace) for c in alone.cases] == [
        (c.name, c.outcome, c.fault, c.trace) for c in both.cases
    ]
    assert both.count(Outcome.FAIL) == 19
    assert alone.coverage is not None
    assert both.coverage is not None
    assert alone.coverage.times == both.coverage.times
