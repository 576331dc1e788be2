"""The vendors' list prices: read from `model_prices.yaml` beside this module, once.

What belongs here: whose price counts. A request's host names the vendor; a host that no vendor has (a
gateway, a machine of one's own) is priced as the API's own vendor, else as the dearest vendor that has
the model. A vendor's host with a model the table does not know has no price: that is for the caller to
hold, not to guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from proxy.policy.model_prices import ModelPrice, PriceTable, Rates

FILE = "model_prices.yaml"
_MICROS = Decimal(1_000_000)

# Whose API it is, by the codec's name.
_NATIVE = (
    ("anthropic.", "anthropic"),
    ("google.", "google"),
    ("bedrock.", "aws"),
    ("cohere.", "cohere"),
    ("mistral.", "mistral"),
    ("openai.", "openai"),
)
_ZERO = Rates(Decimal(0), Decimal(0), Decimal(0), Decimal(0))
_OWN_MACHINE = ModelPrice(("*",), _ZERO)
"""Ollama runs models on the operator's own machine."""


@dataclass(frozen=True, slots=True)
class Vendor:
    name: str
    hosts: tuple[str, ...]  # names and globs
    prices: PriceTable


@dataclass(frozen=True, slots=True)
class ListPrices:
    """The whole file."""

    date: str
    currency: str
    vendors: tuple[Vendor, ...]

    def find(self, model: str, *, host: str, provider: str) -> ModelPrice | None:
        """Returns the list price of a model; None: this table does not know it.

        Args:
            model: as the request names it.
            host: where the request goes, without a port.
            provider: the codec's name, such as "openai.chat".
        """
        host = host.lower().rstrip(".")
        for vendor in self.vendors:
            if any(fnmatchcase(host, pattern) for pattern in vendor.hosts):
                return vendor.prices.find(model)
        if provider.startswith("ollama."):
            return _OWN_MACHINE if not host.endswith("ollama.com") else None
        native = next((name for start, name in _NATIVE if provider.startswith(start)), "")
        found = [(v.name, p) for v in self.vendors if (p := v.prices.find(model)) is not None]
        own = next((price for name, price in found if name == native), None)
        if own is not None:
            return own
        return max(
            (p for _, p in found), key=lambda p: (p.rates.output, p.rates.input), default=None
        )


@cache
def list_prices() -> ListPrices:
    """Reads the table that came with this installation."""
    text = (files("proxy.tokens") / FILE).read_text("utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data: dict[str, Any] = yaml.load(text, Loader=loader)  # noqa: S506  # a safe loader, either way
    return ListPrices(
        str(data["date"]),
        data["currency"],
        tuple(
            Vendor(
                name,
                tuple(vendor["hosts"]),
                PriceTable(_price(entry) for entry in vendor["models"]),
            )
            for name, vendor in data["vendors"].items()
        ),
    )


def _price(entry: Mapping[str, Any]) -> ModelPrice:
    over = tuple((tier["tokens"], _rates(tier)) for tier in entry.get("over", ()))
    return ModelPrice(tuple(entry["names"]), _rates(entry), over)


def _rates(entry: Mapping[str, int]) -> Rates:
    return Rates(
        Decimal(entry["input"]) / _MICROS,
        Decimal(entry["output"]) / _MICROS,
        Decimal(entry.get("cached_input", entry["input"])) / _MICROS,
        Decimal(entry.get("cache_write", entry["input"])) / _MICROS,
    )
