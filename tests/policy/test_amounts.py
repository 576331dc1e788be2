"""Amounts: read exactly, or refused; never guessed at, never an exception on the way of a call."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model import Call, Identity, Trust, Verdict
from proxy.policy.amounts import AmountFault, read_amount, read_target
from proxy.policy.ruleset import RuleSet

WHO = Identity("s", "a", Trust.CREDENTIAL, Trust.CREDENTIAL)
RULES = RuleSet.load_text(
    "pay.yaml",
    """
version: 1
tools:
  - name: pay
    effects: [{kind: money.pay, amount: args.amount, unit: EUR, target: args.to}]
  - name: buy
    effects: [{kind: money.pay, amount: num(args.amount) * 2.0, unit: EUR}]
budgets:
  - {name: paid, of: money.pay, sum: EUR, limit: 100}
""",
)


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (45, "45"),
        (0, "0"),
        ("45.00", "45"),
        (Decimal("0.1"), "0.1"),
        (Decimal("4.5E+1"), "45"),
        (Decimal("-0.0"), "0"),
        ("999999999999999999.999999999999999999", "999999999999999999.999999999999999999"),
        (0.1, "0.1"),
        (450, "450"),
    ],
    ids=str,
)
def test_exact_amounts(value: object, amount: str) -> None:
    assert read_amount(value) == Decimal(amount)
    assert str(read_amount(value)) == amount


@pytest.mark.parametrize(
    "value",
    [
        *("45,00", "1e3", " 45", "45 ", "+45", "-45", "0x2d", "4_5", "", ".5", "5.", "045", "NaN"),
        *("\uff14\uff15", "\u0664", "45\n", "Infinity", "1" * 50),
        *(True, False, None, [], [45], {}, {"amount": 45}, -1, 10**18, float("nan"), float("inf")),
        *(
            Decimal("NaN"),
            Decimal("Infinity"),
            Decimal("-0.01"),
            Decimal("1E+400"),
            Decimal("1E-19"),
        ),
        Decimal("0.1234567890123456789"),
    ],
    ids=repr,
)
def test_what_is_no_amount(value: object) -> None:
    with pytest.raises(AmountFault):
        read_amount(value)


@pytest.mark.parametrize("value", ["", None, True, [], {}, ["a"], -0.5], ids=repr)
def test_what_is_no_target(value: object) -> None:
    with pytest.raises(AmountFault):
        read_target(value)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.floats()
    | st.text()
    | st.from_regex(r"[0-9.,eE+ -]{1,25}", fullmatch=True),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["pay", "buy"]), JSON)
def test_any_json_value_is_charged_exactly_or_held(tool: str, value: Any) -> None:
    found = RULES.assess(Call("1", tool, {"amount": value, "to": "x"}, "p"), WHO)
    effect = found.effects[0]
    if found.reasons:
        assert {r.verdict for r in found.reasons} == {Verdict.HOLD}
        assert effect.effect.amount is None
        assert effect.charges == ()
    else:
        (charge,) = effect.charges
        assert charge.amount.is_finite()
        assert charge.amount >= 0
        if tool == "pay":
            assert charge.amount == Decimal(
                value
                if isinstance(value, int | str)
                else repr(value)
                if isinstance(value, float)
                else value
            )


@given(JSON)
def test_any_arguments_at_all_are_assessed(arguments: Any) -> None:
    found = RULES.assess(Call("1", "pay", arguments, "p"), WHO)
    assert found.reasons or found.effects[0].charges
