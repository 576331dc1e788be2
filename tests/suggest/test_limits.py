"""Limits out of distributions: round, just high enough, and no higher."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.values import NAME
from proxy.suggest.budget import SUM, Meter
from proxy.suggest.limits import limit_for, next_up, round_up, spread_of

AMOUNTS = st.decimals(min_value=D("0.0001"), max_value=D("1e12"), places=4)
TOUCH = st.decimals(min_value=0, max_value=D("0.99"), places=2)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        ("0", "1"), ("1", "1"), ("1.01", "2"), ("2", "2"), ("3", "5"), ("5", "5"), ("6", "10"), ("10", "10"), ("99", "100"),
        ("105", "200"), ("0.03", "0.05"), ("0.6", "1"), ("500.01", "1000"), ("1000000", "1000000"),
    ],
)  # fmt: skip
def test_round_numbers(value: str, rounded: str) -> None:
    assert f"{round_up(D(value)):f}" == rounded


@pytest.mark.parametrize(
    ("limit", "after"), [("1", "2"), ("2", "5"), ("5", "10"), ("0.2", "0.5"), ("500", "1000")]
)
def test_the_round_number_after(limit: str, after: str) -> None:
    assert f"{next_up(D(limit)):f}" == after


@given(AMOUNTS)
def test_a_round_number_is_the_least_that_is_no_less(value: D) -> None:
    made = round_up(value)
    assert made >= value
    assert made.normalize().as_tuple().digits in ((1,), (2,), (5,))
    assert value > made / D("2.5")


@given(st.lists(AMOUNTS, min_size=1, max_size=60), TOUCH)
def test_a_limit_touches_few_enough_and_the_one_below_too_many(peaks: list[D], touch: D) -> None:
    limit = limit_for(peaks, touch)
    assert sum(peak > limit for peak in peaks) <= touch * len(peaks)
    below = max(step for step in (limit / 2, limit / D("2.5")) if round_up(step) == step)
    assert sum(peak > below for peak in peaks) > touch * len(peaks)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (range(1, 101), (50, 90, 99, 100)),
        ([7], (7, 7, 7, 7)),
        ([1, 2], (1, 2, 2, 2)),
        (range(1, 11), (5, 9, 10, 10)),
    ],
)
def test_percentiles_are_values_that_occurred(values: list[int], told: tuple[int, ...]) -> None:
    made = spread_of(map(D, values))
    assert [made.median, made.p90, made.p99, made.most] == list(told)
    assert made.count == len(values)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("money.refund", "money-refund-eur-session"),
        ("", "eur-session"),
        ("-a.-", "a-eur-session"),
        ("a" * 300, "a" * 40 + "-eur-session"),
    ],
)
def test_a_budgets_name_is_one_whatever_its_kind_is(kind: str, name: str) -> None:
    """Kinds in a log are an operator's own, and as odd as they like."""
    meter = Meter(kind, SUM, "EUR")
    assert meter.name == name
    assert NAME.fullmatch(meter.name)
