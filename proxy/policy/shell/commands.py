"""`commands:` of rule files: which command of a shell line has which effects.

What belongs here: compiling the entries, and evaluating them for every command that a line runs.
`run: "git push"` is a program and the words that must lead its arguments; of all entries that fit
and whose `when` holds, the most specific apply (most words, then an exact program, then most fixed
characters, then one with a `when`), in their order. `run: "@writes"` and its like are asked for every file, host or secret a command touches,
beside its own entries. What cannot be read is `code.exec` and holds, whatever entries say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from proxy.model import Json, Reason, Verdict
from proxy.policy.amounts import json_type
from proxy.policy.cel import Dialect, Scope, tool_variables
from proxy.policy.conditional import Conditional, compile_parts
from proxy.policy.effects import CompiledEffect, Produced, compile_effect
from proxy.policy.problems import did_you_mean
from proxy.policy.schema import EffectPart
from proxy.policy.shell.line import Command, Line, Opaque
from proxy.policy.shell.reading import read_line, read_words
from proxy.policy.shell.variables import COMMAND_VARIABLES, command_variables
from proxy.policy.site import Site
from proxy.policy.yamlnodes import read_yaml

SHELL = Dialect({**tool_variables(), **COMMAND_VARIABLES})
EACH = ("@any", "@reads", "@writes", "@deletes", "@secrets", "@hosts", "@urls")
"""Entries that are about what a command touches, not about the command."""

_MOST_ITEMS = 256
_MOST_EFFECTS = 600
_MOST_LINES = 100
_OPAQUE_RULE = "opaque-shell"
_UNMAPPED_RULE = "unmapped-shell"


class CommandShape(Protocol):
    """An entry of `commands:` as the file writes it."""

    @property
    def run(self) -> tuple[str, ...]: ...
    @property
    def when(self) -> str | None: ...
    @property
    def effects(self) -> tuple[EffectPart, ...]: ...


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One `run:`: a program, a name or a glob, and the words that follow it."""

    program: str
    words: tuple[str, ...]
    glob: bool

    @property
    def rank(self) -> tuple[int, int, int]:
        written = " ".join((self.program, *self.words))
        return (len(self.words), not self.glob, sum(char not in "*?[]" for char in written))

    def fits(self, command: Command) -> bool:
        words = command.facts.words
        if len(words) < len(self.words):
            return False
        if self.glob and not fnmatchcase(command.program, self.program):
            return False
        return all(
            fnmatchcase(given, wanted)
            for given, wanted in zip(words[: len(self.words)], self.words, strict=True)
        )


@dataclass(frozen=True, slots=True)
class CommandEntry(Conditional):
    """One entry of `commands:`."""

    patterns: tuple[_Pattern, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandTable:
    """All entries of a rule set, and the effects of what cannot be read."""

    entries: tuple[CommandEntry, ...]
    opaque: dict[Opaque, CompiledEffect]
    _named: dict[str, tuple[tuple[_Pattern, CommandEntry], ...]] = field(default_factory=dict)
    _globs: tuple[tuple[_Pattern, CommandEntry], ...] = ()
    _each: dict[str, tuple[CommandEntry, ...]] = field(default_factory=dict)

    @property
    def effects(self) -> tuple[CompiledEffect, ...]:
        """Every effect a line can have, so that budgets can be bound to them."""
        return (
            *(effect for entry in self.entries for effect in entry.effects),
            *self.opaque.values(),
        )

    def produce(self, text: Json, scope: Scope, reasons: list[Reason]) -> list[Produced]:
        """Returns the effects of a shell line; what is against it goes to `reasons`.

        Args:
            text: the argument as the agent wrote it: a line, lines, or an argument vector.
        """
        made: list[Produced] = []
        whole = ""
        secrets: list[str] = []
        for line in _lines(text):
            whole = whole or line.why
            # What a function does, it does after what stands behind it has been read.
            for command in sorted(line.commands, key=lambda command: command.deferred):
                new = self._of(command, secrets, scope, reasons)
                secrets += [p.effect.target or "a secret" for p in new if _is_secret(p)]
                made += new
                if len(made) > _MOST_EFFECTS:
                    whole = f"it has more than {_MOST_EFFECTS} effects"
                    break
        if whole:
            reasons.append(_opaque(f"the shell line cannot be read: {whole}"))
            nothing = Command("(unknown)", opaque=Opaque.UNREADABLE, why=whole)
            variables = command_variables(nothing, ())
            found = self.opaque[Opaque.UNREADABLE].produce(Scope(variables, scope), reasons)
            made += [found] if found is not None else []
        return list(_once(made))

    def _of(
        self, command: Command, secrets: Sequence[str], scope: Scope, reasons: list[Reason]
    ) -> list[Produced]:
        at = Scope(command_variables(command, secrets), scope)
        made: list[Produced] = []
        if command.opaque:
            found = self.opaque[command.opaque].produce(at, reasons)
            made += [found] if found is not None else []
            reasons.append(_opaque(f"{command.why}; blast radius unclear"))
        elif not command.function:
            made += self._own(command, at, reasons)
        for entry in self._each.get("@any", ()):
            if entry.applies(at, reasons):
                made += entry.produce(at, reasons)
        facts = command.facts
        for name, items in (
            ("@reads", facts.reads),
            ("@writes", facts.writes),
            ("@deletes", facts.deletes),
            ("@secrets", facts.secrets),
            ("@hosts", facts.hosts),
            ("@urls", facts.urls),
        ):
            if len(items) >= _MOST_ITEMS:  # the list is cut there
                reasons.append(_opaque(f"a command names {_MOST_ITEMS} files or hosts and more"))
            for entry in self._each.get(name, ()):
                for item in items:
                    one = Scope({"item": item}, at)
                    if entry.applies(one, reasons):
                        made += entry.produce(one, reasons)
        return made

    def _own(self, command: Command, at: Scope, reasons: list[Reason]) -> list[Produced]:
        """The entries of the command itself: of those that apply, the most specific."""
        fitting = [
            ((*pattern.rank, entry.when is not None), entry)
            for pattern, entry in (*self._named.get(command.program, ()), *self._globs)
            if pattern.fits(command)
        ]
        for rank in sorted({rank for rank, _ in fitting}, reverse=True):
            entries = [entry for at_rank, entry in fitting if at_rank == rank]
            doubts: list[Reason] = []
            applying = [entry for entry in entries if entry.applies(at, doubts)]
            reasons += doubts
            if applying:
                return [p for entry in applying for p in entry.produce(at, reasons)]
        why = f"no entry of 'commands:' knows the program '{command.program[:60]}'"
        reasons.append(Reason(_UNMAPPED_RULE, why, Verdict.HOLD))
        return []


def _is_secret(produced: Produced) -> bool:
    return produced.effect.kind == "data.read.secret"


def _opaque(text: str) -> Reason:
    return Reason(_OPAQUE_RULE, text, Verdict.HOLD)


def _lines(text: Json) -> Iterator[Line]:
    """A line; a list of words is one command; `{"lines": […]}` is lines, as a rule says it."""
    if isinstance(text, dict) and set(text) == {"lines"} and isinstance(text["lines"], list):
        lines = text["lines"]
        if len(lines) > _MOST_LINES or not all(isinstance(line, str) for line in lines):
            yield Line((), f"it is no list of at most {_MOST_LINES} lines")
        yield from (read_line(line) for line in lines[:_MOST_LINES] if isinstance(line, str))
    elif isinstance(text, str):
        yield read_line(text)
    elif isinstance(text, list | tuple) and text and all(isinstance(part, str) for part in text):
        yield read_words(list(text))
        if not _is_argv(text):
            yield from _lines({"lines": list(text)})
    else:
        yield Line((), f"it is {json_type(text)}, not text")


def _is_argv(words: Sequence[str]) -> bool:
    """`["bash", "-lc", "ls -la"]` is one command; `["ls -la", "pwd"]` may be lines, and is read as both."""
    return bool(words[0]) and not any(char in words[0] for char in " \n;|&")


def _once(made: Iterable[Produced]) -> Iterator[Produced]:
    """One file or host is touched once a line, however many commands name it."""
    seen: set[tuple[str, str | None]] = set()
    for one in made:
        key = (one.effect.rule, one.effect.target)
        if "/@" in one.effect.rule and key in seen:
            continue
        seen.add(key)
        yield one


def compile_commands(parts: Iterable[tuple[CommandShape, Site, str]]) -> CommandTable:
    """Compiles entries given with their places and packs; mistakes go to the sites' lists."""
    entries = tuple(
        entry for part, site, pack in parts if (entry := _compile(part, site, pack)) is not None
    )
    named: dict[str, list[tuple[_Pattern, CommandEntry]]] = {}
    globs: list[tuple[_Pattern, CommandEntry]] = []
    each: dict[str, list[CommandEntry]] = {}
    for entry in entries:
        for pattern in entry.patterns:
            if pattern.program in EACH:
                each.setdefault(pattern.program, []).append(entry)
            elif pattern.glob:
                globs.append((pattern, entry))
            else:
                named.setdefault(pattern.program, []).append((pattern, entry))
    return CommandTable(
        entries,
        {kind: _built_in(kind) for kind in Opaque if kind},
        {name: tuple(found) for name, found in named.items()},
        tuple(globs),
        {name: tuple(found) for name, found in each.items()},
    )


def _compile(part: CommandShape, site: Site, pack: str) -> CommandEntry | None:
    first = part.run[0].split()[0]
    label = f"{pack}/{'commands-' if first[0] != '@' else '@'}{site.path[-1]}"
    patterns: list[_Pattern] = []
    for written in part.run:
        program, *words = written.split()
        if program[0] == "@" and (program not in EACH or words):
            near = did_you_mean(program, EACH)
            site.at("run").fault(f"'{written}' is not one of {', '.join(EACH)}{near}")
            return None
        patterns.append(_Pattern(program, tuple(words), bool(set(program) & set("*?["))))
    tool = f"{part.run[0]} (shell)"
    made = compile_parts(part.when, part.effects, site, label=label, tool=tool, dialect=SHELL)
    if made is None:
        return None
    return CommandEntry(*made, label, site.file, site.line, tuple(patterns))


def _built_in(kind: Opaque) -> CompiledEffect:
    """`code.exec` for what cannot be read; it needs no entry."""
    document = read_yaml("checkrein: shell", "opaque: {target: cmd.program}\n")
    part = EffectPart.model_validate(
        {
            "kind": "code.exec",
            "target": "cmd.program",
            "reversibility": "irreversible",
            "labels": ["opaque"] if kind is Opaque.UNREADABLE else ["opaque", str(kind)],
        }
    )
    return compile_effect(
        part, Site(document, ("opaque",), []), rule=f"shell/{kind}#0", tool="shell", dialect=SHELL
    )
