"""What a model's tokens cost: prices as values, and the rule files' `model_prices:`.

What belongs here: finding the price of a model by its name, the cost of so many tokens, and the shape of
an entry that an operator writes for a model of their own (a deployment's name, a contract's price):

    model_prices:
      - {model: "acme-gpt-*", input: 2.50, cached_input: 0.25, output: 10}   # USD a million tokens

Amounts are exact: `Decimal`, never a float. The table of the vendors' list prices is data of
`proxy/tokens`; an entry in a rule file goes before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from proxy.model import Json

CURRENCY = "USD"
_EXACT = Context(prec=60)
_MILLION = Decimal(1_000_000)
_MOST = Decimal(1_000_000)
"""Nobody pays a million dollars for a million tokens: a slip of the pen."""
_MOST_CACHED = 1024  # models' names are the agent's to choose


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars for a million tokens."""

    input: Decimal
    output: Decimal
    cached_input: Decimal
    cache_write: Decimal


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What one model costs; `over` are other rates for inputs longer than so many tokens, rising."""

    names: tuple[str, ...]  # names and globs, lower case
    rates: Rates
    over: tuple[tuple[int, Rates], ...] = ()

    def cost(
        self,
        input_tokens: int,
        output_tokens: int,
        *,
        cached_input_tokens: int = 0,
        cache_write_tokens: int = 0,
    ) -> Decimal:
        """Returns the cost in US dollars, exactly; what was cached is part of the input."""
        rates = self.at(input_tokens)
        plain = max(0, input_tokens - cached_input_tokens - cache_write_tokens)
        total = Decimal(0)
        for tokens, rate in (
            (plain, rates.input),
            (cached_input_tokens, rates.cached_input),
            (cache_write_tokens, rates.cache_write),
            (output_tokens, rates.output),
        ):
            total = _EXACT.add(total, _EXACT.multiply(Decimal(tokens), rate))
        return _EXACT.divide(total, _MILLION)

    def most(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Returns what it can cost at most: nothing is in the cache, and all is written to it."""
        rates = self.at(input_tokens)
        dear = input_tokens if rates.cache_write > rates.input else 0
        return self.cost(input_tokens, output_tokens, cache_write_tokens=dear)

    def at(self, input_tokens: int) -> Rates:
        """Returns the rates for an input of so many tokens."""
        fitting = [rates for tokens, rates in self.over if input_tokens > tokens]
        return fitting[-1] if fitting else self.rates


class PriceTable:
    """Prices by model name: the name itself, else the glob with the most letters."""

    def __init__(self, entries: Iterable[ModelPrice] = ()) -> None:
        self._exact: dict[str, ModelPrice] = {}
        globs: list[tuple[int, str, ModelPrice]] = []
        for entry in entries:
            for name in entry.names:
                if set(name) & set("*?["):
                    globs.append((sum(c not in "*?[]" for c in name), name, entry))
                else:
                    self._exact.setdefault(name, entry)
        self._globs = sorted(globs, key=lambda item: item[0], reverse=True)
        self._found: dict[str, ModelPrice | None] = {}

    def __bool__(self) -> bool:
        return bool(self._exact or self._globs)

    def find(self, model: str) -> ModelPrice | None:
        """Returns the price of a model, by its name or the part behind its last slash."""
        if model not in self._found:
            if len(self._found) >= _MOST_CACHED:
                self._found.clear()
            names = dict.fromkeys((model.lower(), model.lower().rpartition("/")[2]))
            self._found[model] = next((p for n in names if (p := self._price(n)) is not None), None)
        return self._found[model]

    def _price(self, name: str) -> ModelPrice | None:
        if not name:
            return None
        if name in self._exact:
            return self._exact[name]
        return next((entry for _, glob, entry in self._globs if fnmatchcase(name, glob)), None)


# --- as an operator writes it ------------------------------------------------------------------------


def _fault(text: str) -> PydanticCustomError:
    return PydanticCustomError("checkrein", "{text}", {"text": text})


def _names(value: Json) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, str) and one.strip() for one in listed):
        raise _fault("expected a model's name or a glob over names, or a list of them")
    return tuple(listed)


def _rate(value: Json) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _fault("expected a price in USD for a million tokens, such as 2.50")
    made = Decimal(value)
    if not 0 <= made <= _MOST or (made and made.adjusted() < -12):
        raise _fault(f"expected a price from 0 to {_MOST} USD for a million tokens, got {value}")
    return made


type _Rate = Annotated[Decimal, BeforeValidator(_rate)]


class ModelPricePart(BaseModel):
    """One entry of `model_prices:`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: Annotated[tuple[str, ...], BeforeValidator(_names)]
    input: _Rate
    output: _Rate
    cached_input: Annotated[Decimal | None, BeforeValidator(_rate)] = None
    cache_write: Annotated[Decimal | None, BeforeValidator(_rate)] = None


def price_of(part: ModelPricePart) -> ModelPrice:
    """Compiles one entry; what the cache costs is the input's price where it is not stated."""
    cached = part.input if part.cached_input is None else part.cached_input
    written = part.input if part.cache_write is None else part.cache_write
    names = tuple(name.lower() for name in part.model)
    return ModelPrice(names, Rates(part.input, part.output, cached, written))
