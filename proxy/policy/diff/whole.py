"""What two sets say of themselves: words for what is not known, hosts, prices, and the tables of shells, SQL and guesses.

What belongs here: what has no name. Of a table it is said that it is another one, not what that means for each call: neither
direction is sure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from proxy.model import Json
from proxy.policy.cel import Expression
from proxy.policy.diff.changes import Change, Direction
from proxy.policy.load import Loaded
from proxy.policy.points import Prices
from proxy.policy.site import Site

_TABLES = ("kinds", "reversibility", "labels", "trust")


def compare_words(old: Loaded, new: Loaded) -> Iterator[Change]:
    """Yields what the whole set says otherwise."""
    for name in ("unmapped", "unparsed", "opaque"):
        before, after = getattr(old, name), getattr(new, name)
        if before is not after:
            direction = Direction.STRICTER if after > before else Direction.LOOSER
            yield Change(direction, f"'{name}'", f"{before.label} -> {after.label}")
    for name, more in (
        ("model_hosts", Direction.STRICTER),
        ("pass_through", Direction.LOOSER),
    ):
        before, after = set(getattr(old, name)), set(getattr(new, name))
        for host in sorted(after - before):
            yield Change(more, f"'{name}'", f"{host} is listed")
        for host in sorted(before - after):
            yield Change(more.turned, f"'{name}'", f"{host} is not listed any more")
    if old.trusts_results is not new.trusts_results:
        direction = Direction.LOOSER if new.trusts_results else Direction.STRICTER
        word = "trusted" if new.trusts_results else "untrusted"
        yield Change(direction, "'trust'", f"results are {word} where no entry says otherwise")
    if old.all_in_shadow is not new.all_in_shadow:
        direction = Direction.LOOSER if new.all_in_shadow else Direction.STRICTER
        text = "every file is in shadow" if new.all_in_shadow else "not every file is in shadow now"
        yield Change(direction, "'mode'", text)


def compare_tables(old: Loaded, new: Loaded) -> Iterator[Change]:
    """Yields which tables are others."""
    yield from _prices(old, new)
    if repr(old.lexicon.part) != repr(new.lexicon.part):
        yield Change(Direction.UNSURE, "'lexicon'", "unknown tools are guessed by other words")
    if repr(old.model_prices) != repr(new.model_prices):
        yield Change(Direction.UNSURE, "'model_prices'", "what a model costs is another sum")
    for what, key, before, after in (
        ("commands", "run", old.commands, new.commands),
        ("statements", "statement", old.statements, new.statements),
    ):
        listed = [
            {_entry(site): _named(site, key) for _, site, _ in one} for one in (before, after)
        ]
        for entry, name in listed[1].items():
            if entry not in listed[0]:
                text = f"'{name}' is new, or says something else"
                yield Change(Direction.UNSURE, f"'{what}'", text)
        for entry, name in listed[0].items():
            if entry not in listed[1] and name not in listed[1].values():
                yield Change(Direction.UNSURE, f"'{what}'", f"'{name}' is gone")


def _prices(old: Loaded, new: Loaded) -> Iterator[Change]:
    if old.prices == new.prices:
        return
    asked = any("effect.points" in made.needs for made in _conditions(new))
    for table in _TABLES:
        before, after = _table(old.prices, table), _table(new.prices, table)
        for name in sorted(before.keys() | after.keys()):
            was, now = before.get(name), after.get(name)
            if was == now:
                continue
            sure = was is not None and now is not None and not asked
            direction = Direction.UNSURE
            if sure:
                direction = Direction.STRICTER if (now or 0) > (was or 0) else Direction.LOOSER
            text = f"{name}: {_number(was)} -> {_number(now)} points"
            yield Change(direction, f"'prices.{table}'", text)


def _conditions(loaded: Loaded) -> Iterator[Expression]:
    yield from (gate.when for gate in loaded.gates)
    yield from (step.when for c in loaded.chains for step in c.steps if step.when is not None)


def _table(prices: Prices, name: str) -> Mapping[str, Decimal]:
    found: Mapping[str, Decimal] = getattr(prices, name)
    return found


def _number(value: Decimal | None) -> str:
    return "nothing" if value is None else f"{value.normalize():f}"


def _value(site: Site) -> Json:
    value = site.document.value
    for step in site.path:
        value = value[step]
    return value


def _entry(site: Site) -> str:
    return repr(_value(site))


def _named(site: Site, key: str) -> str:
    value = _value(site)
    name = value.get(key) if isinstance(value, dict) else None
    return ", ".join(map(str, name)) if isinstance(name, list) else str(name)
