"""Variables: their types, the places where `$name` stands for a value, and the way back to what was written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model import Call, Identity, Json, Trust, Verdict
from proxy.policy.load import Loaded, load_texts
from proxy.policy.named_values import Variable, expand
from proxy.policy.problems import RuleErrors
from proxy.policy.ruleset import RuleSet

WHO = Identity("s", "a", Trust.CREDENTIAL, Trust.CREDENTIAL)


def load(text: str) -> Loaded:
    return load_texts([("r.yaml", f"version: 1\n{text}")])


def mistakes(text: str) -> list[str]:
    with pytest.raises(RuleErrors) as caught:
        load(text)
    return [str(problem) for problem in caught.value.problems]


WHOLE = {
    "number": ("limit: $x", "x: 12", "limit", Decimal(12)),
    "fraction": ("limit: $x", "x: 1.5", "limit", Decimal("1.5")),
    "amount": ("limit: $x", "x: 12 EUR", "limit", Decimal(12)),
    "amount-declared": (
        "limit: $x",
        "x: {type: amount, default: 0.10 EUR}",
        "limit",
        Decimal("0.10"),
    ),
    "span": ("limit: 1, window: $x", "x: 24h", "window_ms", 86_400_000),
    "word": ("limit: 1, on_exceed: $x", "x: block", "on_exceed", Verdict.BLOCK),
    "word-from-a-list": ("limit: 1, per: $x", "x: {type: text, default: agent}", "per", "agent"),
}


@pytest.mark.parametrize(("keys", "stated", "field", "value"), WHOLE.values(), ids=WHOLE.keys())
def test_a_whole_value(keys: str, stated: str, field: str, value: Any) -> None:
    made = load(f"vars: {{{stated}}}\nbudgets: [{{name: b, of: '*', sum: EUR, {keys}}}]\n")
    assert getattr(made.budgets[0], field) == value


def test_a_limit_may_be_written_with_its_unit() -> None:
    made = load("budgets: [{name: b, of: '*', sum: EUR, limit: 100.50 EUR}]\n")
    assert made.budgets[0].limit == Decimal("100.50")


def test_lists_stand_for_lists_and_among_others() -> None:
    made = load(
        "vars: {kinds: [money.pay, money.refund], more: deploy}\n"
        "budgets: [{name: a, of: $kinds, count: true, limit: 1}, {name: b, of: [$kinds, $more], count: true, limit: 1}]\n"
    )
    assert [b.of for b in made.budgets] == [
        ("money.pay", "money.refund"),
        ("money.pay", "money.refund", "deploy"),
    ]


def test_a_tools_name_its_amount_and_a_message() -> None:
    made = load(
        "vars: {tool: pay, fee: 1.20 EUR, span: 24h, team: night shift}\n"
        "tools: [{name: $tool, effects: [{kind: money.pay, amount: $fee, unit: EUR}]}]\n"
        "gates: [{name: g, when: 'true', message: $team pays $fee in $span for $5 of $USD and $$tool.}]\n"
    )
    assert made.tools[0].names == ("pay",)
    assert made.tools[0].effects[0].amount == Decimal("1.20")
    assert made.gates[0].message == "night shift pays 1.20 EUR in 24h for $5 of $USD and $$tool."


def test_two_dollars_are_the_text() -> None:
    assert load("tools: [{name: $$ref, effects: []}]\n").tools[0].names == ("$ref",)


EXPRESSIONS = {
    "number": ("x: 100", "args.n > $x", {"n": 101}, True),
    "fraction": ("x: 0.5", "num(args.n) > $x", {"n": 0.25}, False),
    "amount": ("x: 100 EUR", "args.n > $x", {"n": 100}, False),
    "span-is-seconds": ("x: 15m", "args.n == $x", {"n": 900}, True),
    "text": ('x: "prod/"', "args.t.startsWith($x)", {"t": "prod/key"}, True),
    "text-with-quotes": ("""x: 'a"b\\c'""", "args.t == $x", {"t": 'a"b\\c'}, True),
    "texts": ("x: [a, b]", "args.t in $x", {"t": "b"}, True),
    "bool": ("x: true", "$x", {}, True),
    "in-quotes-it-is-text": (
        "x: 1",
        """args.t == "$x" && args.n == $x""",
        {"t": "$x", "n": 1},
        True,
    ),
    "in-a-raw-text": (
        "x: 1",
        r"""args.t.matches(r"^\$x$") && args.n == $x""",
        {"t": "$x", "n": 1},
        True,
    ),
}


@pytest.mark.parametrize(("stated", "when", "args", "holds"), EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_inside_an_expression(stated: str, when: str, args: Json, holds: bool) -> None:
    text = f"vars: {{{stated}}}\ntools: [{{name: t, effects: []}}]\ngates:\n  - name: g\n    when: |\n      {when}\n"
    reasons = RuleSet(load(text)).assess(Call("c", "t", args, ""), WHO).reasons
    assert [r.rule for r in reasons] == (["g"] if holds else [])


MISTAKES = {
    "unknown": (
        "vars: {refund_limit: 1}\nbudgets: [{name: b, count: true, limit: $refnd_limit}]",
        ["r.yaml:3:41: unknown variable '$refnd_limit'; did you mean '$refund_limit'?"],
    ),
    "unknown-without-any": (
        "tools: [{name: $ref, effects: []}]",
        ["r.yaml:2:16: unknown variable '$ref'; state it under vars, or write $$ref for the text"],
    ),
    "unknown-in-an-expression": (
        "vars: {big: 1}\ngates: [{name: g, when: args.n > 3 && args.n < $bg}]",
        ["r.yaml:3:48: gate 'g': when: unknown variable '$bg'; did you mean '$big'?"],
    ),
    "an-error-behind-a-literal": (
        "vars: {x: [alpha, beta, gamma]}\ngates: [{name: g, when: tool in $x && efect.kind == ''}]",
        ["r.yaml:3:39: gate 'g': when: unknown variable or function 'efect.kind'; did you mean 'effect.kind'?"],
    ),
    "of-the-wrong-type-for-its-place": (
        "vars: {x: some text}\nbudgets: [{name: b, count: true, limit: $x}]",
        ["r.yaml:3:41: budget 'b': limit: expected a number, got text"],
    ),
    "another-unit-than-the-sum": (
        "vars: {x: 5 USD}\nbudgets: [{name: b, of: '*', sum: EUR, limit: $x}]",
        ["r.yaml:3:47: budget 'b': limit: is in USD, but it sums EUR"],
    ),
    "a-unit-where-nothing-is-summed": (
        "budgets: [{name: b, of: '*', count: true, limit: 5 EUR}]",
        ["r.yaml:2:50: budget 'b': limit: is in EUR, but it sums nothing"],
    ),
    "no-type": ("vars: {x: {default: 1}}", ["r.yaml:2:11: variable 'x': the key 'type' is missing: it is one of number, amount, span, text, texts, bool"]),
    "unknown-type": ("vars: {x: {type: numbr}}", ["r.yaml:2:18: variable 'x': type: 'numbr' is not one of number, amount, span, text, texts, bool; did you mean 'number'?"]),
    "default-of-another-type": (
        "vars: {x: {type: span, default: 5}}",
        ["r.yaml:2:33: variable 'x': default: expected a time span such as 30s, 15m, 24h or 7d, got a number"],
    ),
    "unknown-key": ("vars: {x: {type: text, defualt: a}}", ["r.yaml:2:24: variable 'x': unknown key 'defualt'; did you mean 'default'?"]),
    "bad-name": ("vars: {X: 1}", ["r.yaml:2:8: the variable 'X' must be named in lower case letters, digits and '_'"]),
    "no-mapping": ("vars: [1]", ["r.yaml:2:7: vars: expected a mapping of keys to values, got a list"]),
    "null": ("vars: {x: null}", ["r.yaml:2:11: variable 'x': expected a number, a text, a list of texts or {type: …}, got null"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_at_its_place(text: str, expected: list[str]) -> None:
    assert mistakes(text + "\n") == expected


OVERRIDES = {
    "type": (
        "x: 12",
        "x: a word",
        "mine.yaml:3:11: variable 'x': expected a number, got text 'a word'",
    ),
    "span": (
        "x: 12h",
        "x: 12",
        "mine.yaml:3:11: variable 'x': expected a time span such as 30s, 15m, 24h or 7d, got a number",
    ),
    "unit": (
        "x: 12 EUR",
        "x: 12 USD",
        "mine.yaml:3:11: variable 'x': is in EUR, got USD; to change the unit too, write {type: amount, default: 12 USD}",
    ),
}


@pytest.mark.parametrize(("below", "above", "expected"), OVERRIDES.values(), ids=OVERRIDES.keys())
def test_another_value_has_the_same_type(
    below: str, above: str, expected: str, tmp_path: Any
) -> None:
    (tmp_path / "base.yaml").write_text(f"version: 1\nvars: {{{below}}}\n")
    mine = f"version: 1\nextends: {tmp_path}/base.yaml\nvars: {{{above}}}\n"
    with pytest.raises(RuleErrors) as caught:
        load_texts([("mine.yaml", mine)])
    assert [str(p) for p in caught.value.problems] == [expected]


def test_a_variable_that_no_rule_uses_is_a_warning() -> None:
    rules = RuleSet(
        load("vars: {used: 1, idle: 2}\nbudgets: [{name: b, count: true, limit: $used}]\n")
    )
    assert [str(w) for w in rules.warnings] == ["r.yaml:2:17: no rule of this file uses '$idle'"]


@given(st.text(alphabet="ab$x \"'&=(", max_size=40))
def test_expanding_never_fails_and_leads_back(text: str) -> None:
    made = expand(text, {"x": Variable("x", "number", 12345)})
    for at, char in enumerate(made.text):
        back = made.offset(at)
        assert 0 <= back < len(text)
        if not char.isdigit():
            assert text[back] == char
