"""Rule files into compiled rules: the one place that reads them, and where they must agree.

What belongs here: finding the files, and compiling each entry of each. Every mistake of every file comes out in one
`RuleErrors`; a set with a mistake is not used in part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.model import Json, Verdict
from proxy.policy import modes, schema, shape
from proxy.policy.agreement import check_agreement
from proxy.policy.answers import Approval, Waiting, compile_approval, compile_waiting
from proxy.policy.budgets import Budget, compile_budget
from proxy.policy.cel import Expression
from proxy.policy.chains import Chain, compile_chain
from proxy.policy.documents import read_documents
from proxy.policy.gates import Gate, compile_gate
from proxy.policy.guess.lexicon import EMPTY, Lexicon
from proxy.policy.guess.reader import GuessReader
from proxy.policy.lint.warnings import warnings
from proxy.policy.model_prices import ModelPrice, ModelPricePart, price_of
from proxy.policy.packs import Library
from proxy.policy.points import Prices
from proxy.policy.problems import Problem, RuleErrors
from proxy.policy.readers import Tables
from proxy.policy.requires import Require, compile_require
from proxy.policy.shell.commands import compile_commands
from proxy.policy.signals import Signal, compile_signal
from proxy.policy.site import Site
from proxy.policy.sql.table import compile_statements
from proxy.policy.tools import ToolEntry, compile_tool
from proxy.policy.whole_set import (
    default_lexicon,
    default_prices,
    stated_hosts,
    stated_lexicon,
    stated_prices,
    strictest,
)
from proxy.policy.yamlnodes import Document

__all__ = ["Loaded", "ToolEntry", "default_lexicon", "default_prices", "load_paths", "load_texts"]


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
    approvals: list[Approval] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    wait_tool: bool = False
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
    enforced: Loaded | None = None  # where other files are in shadow: what the rest says alone
    all_in_shadow: bool = False  # every file is
    shadowed: list[Problem] = field(default_factory=list)
    _warnings: tuple[Problem, ...] | None = None

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is odd about a set that can be used; looked for when it is asked for, since that takes longer than a load."""
        if self._warnings is None:
            self._warnings = tuple(warnings(self))
        return self._warnings

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


def load_texts(
    texts: Iterable[tuple[str, str]],
    problems: Iterable[Problem] = (),
    library: Library | None = None,
) -> Loaded:
    """Compiles (file name, text) pairs; packs that they extend are found in `library`.

    Raises:
        RuleErrors: with every mistake found, the given ones too.
    """
    found = list(problems)
    read = read_documents(texts, library or Library(), found)
    loaded = _put_together(read.whole, found)
    loaded.files = tuple(read.files)
    loaded.digest = read.digest
    loaded.shadowed += read.noticed
    check_agreement(loaded)
    if found:
        raise RuleErrors(found)
    loaded.all_in_shadow = bool(read.whole) and all(map(modes.file_in_shadow, read.whole))
    enforcing = modes.enforcing(read.whole)
    loaded.enforced = None if enforcing is None else _put_together(enforcing, [])
    return loaded


def _put_together(documents: Iterable[Document], found: list[Problem]) -> Loaded:
    """Compiles files into one set; mistakes go to `found`."""
    loaded = Loaded()
    packs: dict[str, str] = {}
    values: list[dict[str, Json]] = []
    for document in documents:
        if document.value is None:
            continue
        filled = {(p.file, p.line, p.col) for p in found}  # a name without a value is told once
        shapes = shape.check_shape(document)
        found += [p for p in shapes if (p.file, p.line, p.col) not in filled]
        _compile(document, _pack(document, packs, found), loaded, found)
        if isinstance(document.value, dict):
            values.append(document.value)
    loaded.tables.statements = compile_statements(loaded.statements)
    loaded.tables.commands = compile_commands(loaded.commands)
    loaded.unmapped = strictest(values, "unmapped", Verdict.HOLD)
    loaded.unparsed = strictest(values, "unparsed", Verdict.BLOCK)
    loaded.opaque = strictest(values, "opaque", Verdict.BLOCK)
    loaded.model_hosts = stated_hosts(values, "model_hosts")
    loaded.pass_through = stated_hosts(values, "pass_through")
    words = [value.get("trust") for value in values]
    loaded.wait_tool = any(value.get("wait_tool") is True for value in values)
    loaded.trusts_results = "trusted" in words and "untrusted" not in words
    loaded.prices = stated_prices(values)
    loaded.lexicon = stated_lexicon(values)
    for tool in loaded.tools:
        if isinstance(tool.reader, GuessReader):
            tool.reader.fill(loaded.lexicon)
    return loaded


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
            tool = compile_tool(part, site, pack, loaded.tables)
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
        elif isinstance(part, schema.ApprovalPart):
            approval = compile_approval(part, site)
            if approval is not None:
                loaded.approvals.append(approval)
        elif isinstance(part, schema.WaitingPart):
            waiting = compile_waiting(part, site)
            if waiting is not None:
                loaded.waiting.append(waiting)
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
