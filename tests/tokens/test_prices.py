"""The vendors' list prices: whole, read exactly, and the right vendor's."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any

import pytest
import yaml

from proxy.tokens import prices
from proxy.tokens.prices import list_prices


def raw() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((files("proxy.tokens") / prices.FILE).read_text())
    return made


def test_the_file_is_whole_numbers_with_a_date_and_a_source_each() -> None:
    """No float ever was in it, every vendor names its page, no name stands twice with a vendor."""
    data = raw()
    assert isinstance(data["date"], date)
    assert data["currency"] == "USD"
    text = (files("proxy.tokens") / prices.FILE).read_text()
    assert text.count("    # https://") >= len(data["vendors"])
    for vendor in data["vendors"].values():
        names: set[str] = set()
        for entry in vendor["models"]:
            tiers = [entry, *entry.get("over", ())]
            for tier in tiers:
                amounts = {k: v for k, v in tier.items() if k not in ("names", "over")}
                assert all(type(n) is int and n >= 0 for n in amounts.values()), entry
            marks = [tier["tokens"] for tier in entry.get("over", ())]
            assert marks == sorted(marks)
            assert not names & set(entry["names"]), entry
            assert all(name == name.lower() for name in entry["names"])
            names |= set(entry["names"])
        assert vendor["hosts"]


@pytest.mark.parametrize(
    ("model", "host", "provider", "expected"),
    [
        pytest.param("gpt-4o", "api.openai.com", "openai.chat", ("2.5", "10"), id="by-host"),
        pytest.param("gpt-4o", "API.OpenAI.com.", "openai.chat", ("2.5", "10"), id="host-spelt"),
        pytest.param("openai/gpt-4o", "gw.local", "openai.chat", ("2.5", "10"), id="gateway"),
        pytest.param(
            "claude-haiku-4-5-20251001", "127.0.0.1", "anthropic.messages", ("1", "5"), id="native"
        ),
        pytest.param(
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "bedrock-runtime.us-east-1.amazonaws.com",
            "bedrock.converse",
            ("3.3", "16.5"),
            id="bedrock-profile",
        ),
        pytest.param(
            "models/gemini-2.5-pro",
            "generativelanguage.googleapis.com",
            "google.gemini",
            ("1.25", "10"),
            id="gemini",
        ),
        pytest.param("gemma3:1b", "127.0.0.1", "ollama.chat", ("0", "0"), id="own-machine"),
        pytest.param("gpt-99", "api.openai.com", "openai.chat", None, id="unknown-model"),
        pytest.param("claude-haiku-4-5", "api.openai.com", "openai.chat", None, id="not-sold-here"),
        pytest.param("acme-1", "gw.local", "openai.chat", None, id="unknown-anywhere"),
        pytest.param("gpt-oss:120b", "ollama.com", "ollama.chat", None, id="not-own-machine"),
    ],
)
def test_whose_price(
    model: str, host: str, provider: str, expected: tuple[str, str] | None
) -> None:
    """The host's vendor, else the API's own, else the dearest; a vendor's unknown model has none."""
    found = list_prices().find(model, host=host, provider=provider)
    rates = None if found is None else (found.rates.input, found.rates.output)
    assert rates == (None if expected is None else tuple(map(Decimal, expected)))


def test_the_dearest_vendor_counts_where_nobody_knows_whose_it_is() -> None:
    """An open model behind a gateway is priced as the dearest that sells it."""
    table = list_prices()
    model = "llama-3.3-70b-versatile"
    sold = [p for v in table.vendors if (p := v.prices.find(model)) is not None]
    found = table.find(model, host="10.0.0.9", provider="openai.chat")
    assert found is not None
    assert found.rates.output == max(p.rates.output for p in sold)


def test_hosts_name_one_vendor_each() -> None:
    """No host of the table is also another vendor's."""
    hosts = [(v.name, h) for v in list_prices().vendors for h in v.hosts]
    for name, host in hosts:
        plain = host.replace("*", "x")
        assert [n for n, pattern in hosts if fnmatchcase(plain, pattern)].count(name) >= 1
        assert {n for n, pattern in hosts if fnmatchcase(plain, pattern)} == {name}
