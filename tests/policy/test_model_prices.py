"""Prices of models: exact, by the most specific name, and as an operator writes them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from proxy.policy.model_prices import ModelPrice, PriceTable, Rates
from proxy.policy.problems import RuleErrors
from proxy.policy.ruleset import RuleSet


def price(*names: str, input: str = "1", output: str = "2") -> ModelPrice:
    rate = Decimal(input)
    return ModelPrice(names, Rates(rate, Decimal(output), rate, rate))


def test_cost_is_exact_and_a_cache_has_its_own_price() -> None:
    """A third of a cent stays what it is; cached and written tokens are parts of the input."""
    rates = Rates(Decimal("2.5"), Decimal("10"), Decimal("0.25"), Decimal("3.125"))
    cost = ModelPrice(("m",), rates).cost(1_000, 7, cached_input_tokens=600, cache_write_tokens=300)
    assert cost == Decimal("0.0014075")
    assert ModelPrice(("m",), rates).most(1_000, 7) == Decimal("0.003195")


def test_a_long_input_has_other_rates_for_all_of_it() -> None:
    """One token over the mark is priced at the dearer rate, with all before it."""
    low, high = price("m").rates, price("m", input="2", output="4").rates
    tiered = ModelPrice(("m",), low, ((200_000, high),))
    assert tiered.cost(200_000, 10) == Decimal("0.20002")
    assert tiered.cost(200_001, 10) == Decimal("0.400042")


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("gpt-5", "gpt-5"),
        ("GPT-5", "gpt-5"),
        ("openai/gpt-5", "gpt-5"),
        ("gpt-5-mini-2025-08-07", "gpt-5-mini*"),
        ("gpt-5-2025-08-07", "gpt-5*"),
        ("claude", None),
        ("", None),
    ],
)
def test_the_most_specific_name_counts(model: str, found: str | None) -> None:
    """The name itself, else the glob with the most letters, in any case of letters."""
    table = PriceTable([price("gpt-5*"), price("gpt-5"), price("gpt-5-mini*")])
    made = table.find(model)
    assert (made.names[0] if made is not None else None) == found


RULES = "version: 1\npack: p\ntools: []\nmodel_prices:\n  - {%s}\n"


def test_an_operators_price() -> None:
    """Money is read exactly; what the cache costs is the input's price unless it is stated."""
    text = RULES % 'model: "acme-*", input: 0.10, output: 3, cached_input: 0.05'
    made = RuleSet.load_text("p.yaml", text).model_prices.find("Acme-large")
    assert made is not None
    assert made.rates == Rates(Decimal("0.10"), Decimal(3), Decimal("0.05"), Decimal("0.10"))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("model: m, input: 1", "p.yaml:5:5"),
        ("model: m, input: -1, output: 1", "expected a price from 0 to 1000000 USD"),
        ("model: m, input: true, output: 1", "expected a price in USD for a million tokens"),
        ("model: m, input: '1', output: 1", "expected a price in USD for a million tokens"),
        ("model: [], input: 1, output: 1", "expected a model's name"),
        ("model: m, input: 1, output: 1, currency: EUR", "currency"),
    ],
    ids=["no-output", "negative", "a-boolean", "text", "no-name", "unknown-key"],
)
def test_mistakes(entry: str, message: str) -> None:
    """A price that is none says where it stands."""
    with pytest.raises(RuleErrors) as raised:
        RuleSet.load_text("p.yaml", RULES % entry)
    assert message in str(raised.value)
    assert "p.yaml:5:" in str(raised.value)
