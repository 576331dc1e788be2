"""Rule files into compiled rules: the one place that reads them, and where they must agree.

What belongs here: finding the files, compiling each, and the checks between them (a tool mapped
twice, a name used twice, a unit nobody knows). Every mistake of every file comes out in one
`RuleErrors`; a set with a mistake is not used in part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from proxy.model import Json, Measure, Reason, Verdict
from proxy.policy import schema, shape
from proxy.policy.budgets import POINTS, VERDICTS, Budget, check_kinds, check_unit, compile_budget
from proxy.policy.cel import ROUTE, TOOL, Dialect, Expression, Scope
from proxy.policy.chains import Chain, check_steps, compile_chain
from proxy.policy.effects import CompiledEffect, Produced, compile_effect
from proxy.policy.fetch.reader import compile_fetch
from proxy.policy.gates import Gate, compile_gate
from proxy.policy.guess.lexicon import EMPTY, Lexicon
from proxy.policy.guess.reader import GuessReader
from proxy.policy.guess.schema import LexiconPart
from proxy.policy.labels.declared import Declared
from proxy.policy.model_prices import ModelPrice, ModelPricePart, price_of
from proxy.policy.points import Prices
from proxy.policy.problems import Problem, RuleErrors
from proxy.policy.readers import ArgumentReader, ShellReader, SqlReader, Tables
from proxy.policy.requires import Require, check_require, compile_require
from proxy.policy.routes import Route, compile_route, host_pattern, overlap
from proxy.policy.shell.commands import compile_commands
from proxy.policy.signals import Signal, check_signal, compile_signal, named_apart, unmet_kinds
from proxy.policy.site import Site
from proxy.policy.sql.schema import ANY
from proxy.policy.sql.table import compile_statements
from proxy.policy.yamlnodes import Document, read_yaml
from proxy.settings import packs_directory


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


@dataclass(slots=True)
class Loaded:
    """Everything that a set of files says."""

    files: tuple[str, ...] = ()
    digest: str = ""
    tools: list[ToolEntry] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    requires: list[Require] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    statements: list[tuple[schema.StatementPart, Site, str]] = field(default_factory=list)
    commands: list[tuple[schema.CommandPart, Site, str]] = field(default_factory=list)
    tables: Tables = field(default_factory=Tables)
    prices: Prices = field(default_factory=Prices)
    lexicon: Lexicon = EMPTY
    model_prices: list[ModelPrice] = field(default_factory=list)
    trusts_results: bool = False
    unmapped: Verdict = Verdict.HOLD
    unparsed: Verdict = Verdict.BLOCK
    opaque: Verdict = Verdict.BLOCK
    model_hosts: tuple[str, ...] = ()
    pass_through: tuple[str, ...] = ()
    shadowed: list[Problem] = field(default_factory=list)
    warnings: tuple[Problem, ...] = ()

    def variables(self) -> frozenset[str]:
        """Names of all variables that some expression speaks of: what nobody asks is not looked up."""
        return frozenset(name for made in self._expressions() for name in made.needs)

    def _expressions(self) -> Iterator[Expression]:
        for tool in self.tools:
            for effect in tool.all_effects:
                parts = (effect.when, effect.amount, effect.unit, effect.target, effect.data)
                yield from (part for part in parts if isinstance(part, Expression))
        yield from (gate.when for gate in self.gates)
        yield from (s.when for c in self.chains for s in c.steps if s.when is not None)
        yield from (r.when for r in self.requires if r.when is not None)


def load_paths(paths: Sequence[Path], read: Callable[[Path], bytes] = Path.read_bytes) -> Loaded:
    """Reads and compiles files; a folder stands for its *.yaml without *.cases.yaml.

    Raises:
        RuleErrors: with every mistake found.
    """
    texts: list[tuple[str, str]] = []
    problems: list[Problem] = []
    for path in _files(paths, problems):
        try:
            texts.append((str(path), read(path).decode("utf-8")))
        except UnicodeDecodeError as error:
            problems.append(Problem(str(path), 1, 1, f"not UTF-8: byte {error.start + 1}"))
        except OSError as error:
            what = error.strerror or type(error).__name__
            problems.append(Problem(str(path), 1, 1, f"cannot be read: {what}"))
    return load_texts(texts, problems)


def load_texts(texts: Iterable[tuple[str, str]], problems: Iterable[Problem] = ()) -> Loaded:
    """Compiles (file name, text) pairs.

    Raises:
        RuleErrors: with every mistake found, the given ones too.
    """
    found = list(problems)
    loaded = Loaded()
    hashed = hashlib.sha256()
    files: list[str] = []
    packs: dict[str, str] = {}
    values: list[dict[str, Json]] = []
    for name, text in texts:
        files.append(name)
        data = text.encode("utf-8", "surrogatepass")
        hashed.update(b"%d:" % len(data) + data)
        document = read_yaml(name, text)
        found += document.problems
        if document.value is None:
            if not document.problems:
                found.append(Problem(name, 1, 1, "the file is empty"))
            continue
        found += shape.check_shape(document)
        _compile(document, _pack(document, packs, found), loaded, found)
        if isinstance(document.value, dict):
            values.append(document.value)
    loaded.tables.statements = compile_statements(loaded.statements)
    loaded.tables.commands = compile_commands(loaded.commands)
    loaded.files = tuple(files)
    loaded.digest = hashed.hexdigest()
    loaded.unmapped = _strictest(values, "unmapped", Verdict.HOLD)
    loaded.unparsed = _strictest(values, "unparsed", Verdict.BLOCK)
    loaded.opaque = _strictest(values, "opaque", Verdict.BLOCK)
    loaded.model_hosts = _all_hosts(values, "model_hosts")
    loaded.pass_through = _all_hosts(values, "pass_through")
    words = [value.get("trust") for value in values]
    loaded.trusts_results = "trusted" in words and "untrusted" not in words
    loaded.prices = _prices(values)
    loaded.lexicon = _lexicon(values)
    for tool in loaded.tools:
        if isinstance(tool.reader, GuessReader):
            tool.reader.fill(loaded.lexicon)
    _agree(loaded)
    if found:
        raise RuleErrors(found)
    loaded.warnings = tuple(sorted(_warnings(loaded)))
    return loaded


def _strictest(values: Iterable[dict[str, Json]], key: str, otherwise: Verdict) -> Verdict:
    """Returns the strictest word that the files state under a key of the whole set."""
    words = [value.get(key) for value in values]
    return max(
        (VERDICTS[w] for w in words if isinstance(w, str) and w in VERDICTS), default=otherwise
    )


def _prices(values: Sequence[dict[str, Json]]) -> Prices:
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


def _lexicon(values: Sequence[dict[str, Json]]) -> Lexicon:
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


def _all_hosts(values: Iterable[dict[str, Json]], key: str) -> tuple[str, ...]:
    listed: list[str] = []
    for value in values:
        named = value.get(key)
        listed += [n for n in (named if isinstance(named, list) else [named]) if isinstance(n, str)]
    return tuple(dict.fromkeys(host_pattern(name) for name in listed))


def _files(paths: Sequence[Path], problems: list[Problem]) -> list[Path]:
    files: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.glob("*.yaml") if not p.name.endswith(".cases.yaml"))
            if not inside:
                problems.append(Problem(str(path), 1, 1, "no *.yaml file in this folder"))
        else:
            inside = [path]
        for file in inside:
            files.setdefault(file.resolve(), file)
    return list(files.values())


def _pack(document: Document, packs: dict[str, str], found: list[Problem]) -> str:
    value = document.value
    stated = value.get("pack") if isinstance(value, dict) else None
    pack = stated if isinstance(stated, str) else Path(document.name).stem
    if pack in packs:
        path = ("pack",) if isinstance(stated, str) else ()
        text = f"the pack '{pack}' is in {packs[pack]} already; give this one another 'pack:'"
        found.append(document.problem(path, text))
    packs.setdefault(pack, document.name)
    return pack


def _compile(document: Document, pack: str, loaded: Loaded, found: list[Problem]) -> None:
    for path, part in shape.usable(document):
        site = Site(document, path, found)
        if isinstance(part, schema.Tool):
            tool = _compile_tool(part, site, pack, loaded.tables)
            if tool is not None:
                loaded.tools.append(tool)
        elif isinstance(part, schema.Gate):
            gate = compile_gate(part, site)
            if gate is not None:
                loaded.gates.append(gate)
        elif isinstance(part, schema.Chain):
            chain = compile_chain(part, site)
            if chain is not None:
                loaded.chains.append(chain)
        elif isinstance(part, schema.Require):
            require = compile_require(part, site)
            if require is not None:
                loaded.requires.append(require)
        elif isinstance(part, schema.Signal):
            signal = compile_signal(part, site)
            if signal is not None:
                loaded.signals.append(signal)
        elif isinstance(part, schema.StatementPart):
            loaded.statements.append((part, site, pack))
        elif isinstance(part, schema.CommandPart):
            loaded.commands.append((part, site, pack))
        elif isinstance(part, ModelPricePart):
            loaded.model_prices.append(price_of(part))
        else:
            budget = compile_budget(part, site)
            if budget is not None:
                loaded.budgets.append(budget)


def _compile_tool(part: schema.Tool, site: Site, pack: str, tables: Tables) -> ToolEntry | None:
    ways = [w for w in _OF_READERS if getattr(part, w) is not None]
    if len(ways) != 1:
        site.fault("needs exactly one of 'name', 'http', 'shell', 'sql', 'fetch' and 'guess'")
        return None
    (way,) = ways
    if not _keys_fit(part, site, way):
        return None
    returns = Declared(part.returns) if part.returns is not None else None
    if part.http is not None:
        route = _route(part.http)
        label = f"{route.methods[0]} {part.http.host[0]}{part.http.path}{route.suffix}"
        effects = _effects(part, site, pack, label, ROUTE)
        return ToolEntry(label, (), route, effects, site, returns=returns)
    names: tuple[str, ...] = getattr(part, way)
    reader: ArgumentReader | None = None
    if way == "name":
        effects = _effects(part, site, pack, names[0], TOOL)
        return ToolEntry(names[0], names, None, effects, site, returns=returns)
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
    if way in ("shell", "sql"):
        if part.argument is None:
            site.fault(f"the key 'argument' is missing: which argument is the {way} text?")
        if part.effects is not None:
            where = "commands" if way == "shell" else "statements"
            site.at("effects").fault(f"a '{way}:' entry has its effects from '{where}:'; remove it")
    elif way == "guess":
        if part.effects is not None:
            site.at("effects").fault("a 'guess:' entry has its effects from the lexicon; remove it")
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


def _agree(loaded: Loaded) -> None:
    """Checks what has to hold between entries, of one file or of several."""
    names: dict[str, Site] = {}
    routes: list[tuple[Route, Site]] = []
    for tool in loaded.tools:
        for i, name in enumerate(tool.names):
            if name in names:
                where = f"{names[name].file}:{names[name].line}"
                path = (
                    ("name", i)
                    if tool.site.at("name", i).path in tool.site.document.nodes
                    else ("name",)
                )
                text = f"'{name}' is mapped twice; the other one is {where}"
                if names[name].file == tool.site.file:
                    tool.site.at(*path).fault(text)
                else:
                    loaded.shadowed.append(tool.site.at(*path).problem(f"{text}, and counts"))
            names.setdefault(name, tool.site)
        if tool.route is not None:
            for other, site in routes:
                if overlap(tool.route, other):
                    where = f"{site.file}:{site.line}"
                    tool.site.at("http").fault(f"is mapped twice; the other one is {where}")
                    break
            routes.append((tool.route, tool.site))
    _unique("gate", ((g.name, g.site) for g in loaded.gates))
    _unique("budget", ((b.name, b.site) for b in loaded.budgets))
    _unique("chain", ((c.name, c.site) for c in loaded.chains))
    _unique("requirement", ((r.name, r.site) for r in loaded.requires))
    _unique("signal", ((s.name, s.site) for s in loaded.signals if s.stated_name))
    loaded.signals = named_apart(loaded.signals)
    for signal in loaded.signals:
        check_signal(signal, (b.name for b in loaded.budgets), (g.name for g in loaded.gates))
    seen = frozenset(
        effect.unit
        for tool in loaded.tools
        for effect in tool.all_effects
        if isinstance(effect.unit, str)
    )
    for budget in loaded.budgets:
        check_unit(budget, seen)


def _unique(what: str, named: Iterable[tuple[str, Site]]) -> None:
    first: dict[str, Site] = {}
    for name, site in named:
        if name in first:
            where = f"{first[name].file}:{first[name].line}"
            site.at("name").fault(f"the name is taken by the {what} at {where}")
        first.setdefault(name, site)


def _warnings(loaded: Loaded) -> Iterable[Problem]:
    possible = [effect for tool in loaded.tools for effect in tool.all_effects]
    kinds = {effect.kind for effect in possible}
    # That a guessed payment has no amount and is therefore held is no mistake of a file.
    effects = [effect for t in loaded.tools if not t.guesses for effect in t.all_effects]
    yield from loaded.shadowed
    for chain in loaded.chains:
        yield from check_steps(chain, kinds)
    for require in loaded.requires:
        yield from check_require(require, kinds)
    for signal in loaded.signals:
        yield from unmet_kinds(signal, kinds)
    for budget in loaded.budgets:
        yield from check_kinds(budget, kinds)
        if budget.of == ("*",):
            continue
        for effect in effects:
            if not budget.covers(effect.kind):
                continue
            if budget.measure is Measure.SUM and budget.unit != POINTS and effect.amount is None:
                text = f"budget '{budget.name}' sums {budget.unit}, but this effect has no amount: every such call will be held"
                yield effect.site.problem(text)
            if budget.measure is Measure.DISTINCT and effect.target is None:
                text = f"budget '{budget.name}' counts targets, but this effect has none: every such call will be held"
                yield effect.site.problem(text)
