"""Entries of `tools:`: which call an entry is about, and who says what the call does.

What belongs here: the compiled entry, and the keys that go with each kind of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.model import Reason
from proxy.policy import schema
from proxy.policy.cel import ROUTE, TOOL, Dialect, Scope
from proxy.policy.effects import CompiledEffect, Produced, compile_effect
from proxy.policy.fetch.reader import compile_fetch
from proxy.policy.guess.reader import GuessReader
from proxy.policy.labels.declared import Declared
from proxy.policy.readers import ArgumentReader, ShellReader, SqlReader, Tables
from proxy.policy.routes import Route, compile_route
from proxy.policy.site import Site
from proxy.policy.sql.schema import ANY
from proxy.policy.undo import Undo, compile_undo


@dataclass(frozen=True, slots=True)
class ToolEntry:
    """One entry of `tools:`; it has names or a route."""

    label: str
    names: tuple[str, ...]
    route: Route | None
    effects: tuple[CompiledEffect, ...]
    site: Site
    reader: ArgumentReader | None = None  # the argument says what a call does
    returns: Declared | None = None  # what its results are worth
    undo: Undo | None = None

    @property
    def guesses(self) -> bool:
        """Whether it stands for tools that no rule names."""
        return isinstance(self.reader, GuessReader)

    @property
    def all_effects(self) -> tuple[CompiledEffect, ...]:
        """All effects that a call of this tool can have."""
        return self.effects if self.reader is None else self.reader.effects

    def produce(self, scope: Scope, reasons: list[Reason]) -> list[Produced]:
        """Returns the effects of one call, in the order in which they happen."""
        if self.reader is not None:
            return self.reader.produce(scope, reasons)
        made = (effect.produce(scope, reasons) for effect in self.effects)
        return [produced for produced in made if produced is not None]


def compile_tool(part: schema.Tool, site: Site, pack: str, tables: Tables) -> ToolEntry | None:
    ways = [w for w in _OF_READERS if getattr(part, w) is not None]
    if len(ways) != 1:
        site.fault("needs exactly one of 'name', 'http', 'shell', 'sql', 'fetch' and 'guess'")
        return None
    (way,) = ways
    if not _keys_fit(part, site, way):
        return None
    returns = Declared(part.returns) if part.returns is not None else None
    undo = compile_undo(part.undo, site.at("undo")) if part.undo is not None else None
    if part.http is not None:
        route = _route(part.http)
        label = f"{route.methods[0]} {part.http.host[0]}{part.http.path}{route.suffix}"
        effects = _effects(part, site, pack, label, ROUTE)
        return ToolEntry(label, (), route, effects, site, returns=returns, undo=undo)
    names: tuple[str, ...] = getattr(part, way)
    reader: ArgumentReader | None = None
    if way == "name":
        effects = _effects(part, site, pack, names[0], TOOL)
        return ToolEntry(names[0], names, None, effects, site, returns=returns, undo=undo)
    if way == "guess":
        return ToolEntry(
            names[0], names, None, (), site, GuessReader(site, pack, names[0]), returns
        )
    if way == "fetch":
        reader = compile_fetch(
            url=part.url or "args.url",
            method=part.method,
            body=part.body,
            headers=part.headers,
            effects=part.effects or (),
            site=site,
            pack=pack,
            label=names[0],
        )
    else:
        argument = site.at("argument").expression(
            part.argument or "", TOOL, "argument", frozenset({"STRING", "LIST"})
        )
        if argument is None:
            return None
        if way == "shell":
            reader = ShellReader(tables, argument)
        else:
            reader = SqlReader(tables, argument, part.dialect or ANY)
    return ToolEntry(names[0], names, None, (), site, reader, returns)


_OF_READERS = {
    "name": frozenset[str](),
    "http": frozenset[str](),
    "shell": frozenset({"argument"}),
    "sql": frozenset({"argument", "dialect"}),
    "fetch": frozenset({"url", "method", "body", "headers"}),
    "guess": frozenset[str](),
}
"""Which keys go with which kind of tool entry."""


def _keys_fit(part: schema.Tool, site: Site, way: str) -> bool:
    before = len(site.problems)
    known = _OF_READERS[way]
    for key in sorted(frozenset().union(*_OF_READERS.values()) - known):
        if getattr(part, key) is not None:
            owners = [f"'{w}:'" for w, keys in _OF_READERS.items() if key in keys]
            site.at(key).fault(f"'{key}' goes with {' or '.join(owners)}, not with '{way}:'")
    if way in ("shell", "sql", "guess") and part.undo is not None:
        site.at("undo").fault(f"'undo' goes with 'name:' or 'http:', not with '{way}:'")
    if way in ("shell", "sql"):
        if part.argument is None:
            site.fault(f"the key 'argument' is missing: which argument is the {way} text?")
        if part.effects is not None:
            where = "commands" if way == "shell" else "statements"
            site.at("effects").fault(f"a '{way}:' entry has its effects from '{where}:'; remove it")
    elif way == "guess":
        if part.effects is not None:
            site.at("effects").fault("a 'guess:' entry has its effects from the lexicon; remove it")
    elif part.undo is not None and way == "fetch":
        site.at("undo").fault("'undo' goes with 'name:' or 'http:', not with 'fetch:'")
    elif part.effects is None:
        site.fault("the key 'effects' is missing; a harmless tool has 'effects: []'")
    return len(site.problems) == before


def _effects(
    part: schema.Tool, site: Site, pack: str, label: str, dialect: Dialect
) -> tuple[CompiledEffect, ...]:
    return tuple(
        compile_effect(
            effect,
            site.at("effects", i),
            rule=f"{pack}/{label}#{i}",
            tool=label,
            dialect=dialect,
        )
        for i, effect in enumerate(part.effects or ())
    )


def _route(part: schema.Http) -> Route:
    return compile_route(
        part.method,
        part.host,
        part.path,
        query=part.query or {},
        fields=part.graphql.operation if part.graphql is not None else (),
        types=part.graphql.type if part.graphql is not None else (),
    )
