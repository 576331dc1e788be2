"""What files say of the whole set: words, hosts and tables, each put together from all files.

What belongs here: which file wins. Of a word the strictest that is stated; of hosts all; of a table the first
file's, over those that come with checkrein.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from proxy.model import Json, Verdict
from proxy.policy import schema, shape
from proxy.policy.budgets import VERDICTS
from proxy.policy.guess.lexicon import Lexicon
from proxy.policy.guess.schema import LexiconPart
from proxy.policy.points import Prices
from proxy.policy.routes import host_pattern
from proxy.policy.yamlnodes import read_yaml
from proxy.settings import packs_directory


def strictest(values: Iterable[dict[str, Json]], key: str, otherwise: Verdict) -> Verdict:
    """Returns the strictest word that the files state under a key of the whole set."""
    words = [value.get(key) for value in values]
    return max(
        (VERDICTS[w] for w in words if isinstance(w, str) and w in VERDICTS), default=otherwise
    )


def stated_prices(values: Sequence[dict[str, Json]]) -> Prices:
    """Returns the tables that the files state, over those of `rules/prices.yaml`."""
    made = Prices()
    for value in values:
        try:
            part = schema.PricesPart.model_validate(value.get("prices") or {})
        except ValueError:
            continue  # its mistakes are told already
        made = made.over(_tables(part))
    return made.over(default_prices())


@cache
def default_prices() -> Prices:
    """Returns the tables that come with checkrein."""
    path = packs_directory() / "prices.yaml"
    document = read_yaml(str(path), path.read_text(encoding="utf-8"))
    return _tables(schema.PricesPart.model_validate(document.value["prices"]))


def stated_lexicon(values: Sequence[dict[str, Json]]) -> Lexicon:
    """Returns the tables that the files state, over those of `rules/lexicon.yaml`."""
    made = default_lexicon()
    for value in reversed(values):
        if value.get("lexicon") is None:
            continue
        try:
            part = LexiconPart.model_validate(shape.tupled(value["lexicon"]))
        except ValueError:
            continue  # its mistakes are told already
        made = Lexicon(part.over(made.part))
    return made


@cache
def default_lexicon() -> Lexicon:
    """Returns the tables that come with checkrein."""
    path = packs_directory() / "lexicon.yaml"
    document = read_yaml(str(path), path.read_text(encoding="utf-8"))
    return Lexicon(LexiconPart.model_validate(shape.tupled(document.value["lexicon"])))


def _tables(part: schema.PricesPart) -> Prices:
    return Prices(part.kinds or {}, part.reversibility or {}, part.labels or {}, part.trust or {})


def stated_hosts(values: Iterable[dict[str, Json]], key: str) -> tuple[str, ...]:
    listed: list[str] = []
    for value in values:
        named = value.get(key)
        listed += [n for n in (named if isinstance(named, list) else [named]) if isinstance(n, str)]
    return tuple(dict.fromkeys(host_pattern(name) for name in listed))
