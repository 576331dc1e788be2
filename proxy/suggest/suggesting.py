"""A rule file made from a log: the whole way, and what is told of it.

How it works. Read, propose entries, count, make limits, write the file, replay under it, raise what touched too many sessions,
and write it again with the figures of that replay. An entry whose expressions could not be read in some call loses them, and all
is counted anew. The same log and rules give the same file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from proxy.model import Json
from proxy.policy.load import Loaded, load_paths, load_texts
from proxy.policy.problems import RuleErrors
from proxy.policy.ruleset import RuleSet
from proxy.policy.units import KNOWN_UNITS
from proxy.policy.yaml_text import shown
from proxy.rehearsal.lines import Lines
from proxy.suggest.budget import (
    TOO_FEW,
    Meter,
    Proposed,
    percent,
    plural,
)
from proxy.suggest.choosing import budgets_from
from proxy.suggest.limits import next_up
from proxy.suggest.measuring import Counted, Kinds, count
from proxy.suggest.proving import Touched, touched_by
from proxy.suggest.seen import SeenLog, read_log
from proxy.suggest.unknown import Entry, Unknown, unknown_tools, with_sums
from proxy.suggest.writing import file_text, measuring_text

_PACK = "suggested"
_MOST_PACKS = 100
_MOST_ROUNDS = 12
_MOST_UNWRITABLE = 20


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What is proposed; `text` None: nothing."""

    text: str | None
    entries: tuple[Entry, ...]
    budgets: tuple[Proposed, ...]
    notes: tuple[str, ...]  # what a reader should know besides, not quoted for a terminal
    torn: str | None = None

    def as_json(self) -> Iterator[dict[str, Json]]:
        """Yields an object a proposal."""
        yield from (entry.as_json() for entry in self.entries)
        yield from (budget.as_json() for budget in self.budgets)


@dataclass(slots=True)
class Suggesting:
    """One log, and the rules that are there already."""

    logs: Sequence[Path]
    rules: Sequence[Path]
    touch: Decimal = Decimal("0.02")
    workers: int | None = None
    _loaded: Loaded = field(init=False)
    _texts: list[tuple[str, str]] = field(init=False)
    _pack: str = field(init=False)

    def suggest(self) -> Suggestion:
        """Returns what is proposed.

        Raises:
            RecordingError: the log cannot be read, or is none.
            RuleErrors: the rules do not load.
        """
        self._loaded = load_paths(self.rules)
        self._texts = [(name, Path(name).read_text("utf-8")) for name in self._own_files()]
        self._pack = self._free_pack()
        lines = Lines(self.logs)
        seen = read_log(lines)
        unknown = unknown_tools(seen, self._loaded)
        entries, counted = self._counted(lines, seen, unknown.entries)
        budgets = budgets_from(counted, entries, self._loaded, self.touch)
        text, budgets = self._proved(seen, unknown, entries, budgets)
        return Suggestion(
            text if entries or budgets else None,
            tuple(entries),
            tuple(budgets),
            tuple(self._notes(seen, unknown)),
            lines.torn,
        )

    def _own_files(self) -> list[str]:
        return [str(path) for path in _files(self.rules)]

    def _free_pack(self) -> str:
        """Returns a name for the file's pack that no file has."""
        for n in range(1, _MOST_PACKS):
            name = _PACK if n == 1 else f"{_PACK}-{n}"
            try:
                load_texts([*self._texts, (f"{name}.yaml", f"version: 1\npack: {name}\n")])
            except RuleErrors:
                continue
            return name
        return _PACK

    # --- counting --------------------------------------------------------------------------------------
    def _counted(
        self, lines: Lines, seen: SeenLog, entries: Sequence[Entry]
    ) -> tuple[list[Entry], Counted]:
        """Counts, until every entry can be read in every call."""
        made = list(entries)
        counted = self._count(lines, seen, made)
        for _ in range(2):
            bad = {
                name for entry in made if (name := entry.names[0]) in self._unread(counted, made)
            }
            if not bad:
                break
            why = "what its arguments say could not be read in every call, so it stands without"
            made = with_sums(
                (entry.plain(why) if entry.names[0] in bad else entry for entry in made),
                self._loaded,
            )
            counted = self._count(lines, seen, made)
        return made, counted

    def _unread(self, counted: Counted, entries: Sequence[Entry]) -> set[str]:
        return {e.names[0] for e in entries if f"{self._pack}/{e.names[0]}#0" in counted.faults}

    def _count(self, lines: Lines, seen: SeenLog, entries: Sequence[Entry]) -> Counted:
        def load(meters: Sequence[tuple[str, Meter]]) -> RuleSet:
            text = measuring_text(self._pack, entries, meters)
            return RuleSet(load_texts([*self._texts, (f"{self._pack}.yaml", text)]))

        likely = seen.kinds | _kinds_of(entries) | _kinds_of_rules(self._loaded)
        return count(lines, load, likely, self._units(entries))

    def _units(self, entries: Sequence[Entry]) -> set[str]:
        """Returns the units that the file by itself may sum."""
        return set(KNOWN_UNITS) | {e.measured.unit for e in entries if e.measured.unit is not None}

    # --- the file --------------------------------------------------------------------------------------
    def _proved(
        self,
        seen: SeenLog,
        unknown: Unknown,
        entries: Sequence[Entry],
        budgets: list[Proposed],
    ) -> tuple[str, list[Proposed]]:
        """Replays under the file until no budget touches more than it may; returns it with these figures."""
        with tempfile.TemporaryDirectory(prefix="checkrein-suggest-") as folder:
            path = Path(folder) / f"{self._pack}.yaml"

            def written(made: Sequence[Proposed]) -> Path:
                path.write_text(file_text(self._pack, (), entries, made), "utf-8")
                return path

            budgets = _raised(budgets, lambda made: self._at_once(written(made)))
            touched = Touched()

            def over(made: Sequence[Proposed]) -> set[str]:
                nonlocal touched
                names = [one.name for one in made]
                touched = touched_by(names, self.logs, [*self.rules, written(made)], self.workers)
                return {
                    one.name for one in made if touched.by[one.name] > self.touch * one.sessions
                }

            budgets = _raised(budgets, over) if budgets else []
        budgets = [replace(one, touched=touched.by[one.name]) for one in budgets]
        head = list(self._head(seen, unknown, touched, budgets))
        return file_text(self._pack, head, entries, budgets), budgets

    def _at_once(self, path: Path) -> set[str]:
        """Returns budgets that a single call would be over: of a tool that was offered, and never called."""
        found: set[str] = set()
        for paths in ([path], [*self.rules, path]):
            loaded = load_paths(paths)
            warned = [p for p in loaded.warnings if p.code == "single-call-exceeds"]
            lines = {p.line for p in warned if p.file == str(path)}
            found |= {b.name for b in loaded.budgets if b.file == str(path) and b.line in lines}
        return found

    def _head(
        self, seen: SeenLog, unknown: Unknown, touched: Touched, budgets: Sequence[Proposed]
    ) -> Iterator[str]:
        logs = ", ".join(shown(path.name) for path in self.logs)
        days = (
            f"{seen.first:%Y-%m-%d} to {seen.last:%Y-%m-%d}, " if seen.first and seen.last else ""
        )
        yield (
            f"Proposed by `checkrein rules suggest` from {plural(seen.calls, 'call')} in "
            f"{plural(len(seen.sessions), 'session')}, {days}{logs}."
        )
        yield "In shadow: nothing here stops a call. Read each entry, correct it, then take 'mode: shadow' away."
        yield (
            "What stands in double quotes is what agents, servers and calls have said. It is there to be read, and proves "
            "nothing."
        )
        beside = ", ".join(shown(Path(name).name) for name in self._own_files())
        yield f"Read beside {beside}: tools that are named there are not here."
        if budgets:
            yield (
                f"Each budget may touch {percent(self.touch)} of the sessions that have anything of it. Replayed together "
                f"they would have touched {touched.any:,} of {plural(touched.sessions, 'session')}."
            )
        yield from self._cautions(seen, unknown)

    def _cautions(self, seen: SeenLog, unknown: Unknown) -> Iterator[str]:
        if len(seen.sessions) < TOO_FEW:
            yield f"{plural(len(seen.sessions), 'session')}: too few to go by. Record more before you trust a limit."
        for name, why in unknown.unwritable[:_MOST_UNWRITABLE]:
            yield f"Left out: the tool {shown(name)}, whose name {why}."
        left = len(unknown.unwritable) - _MOST_UNWRITABLE + unknown.left_out
        if left > 0:
            yield f"Left out besides: {plural(left, 'tool')}."
        if seen.left_out:
            yield f"Left out besides: {plural(seen.left_out, 'call')} of tools beyond the first 2,000."

    def _notes(self, seen: SeenLog, unknown: Unknown) -> Iterator[str]:
        yield from self._cautions(seen, unknown)
        own = {Path(name).name for name in self._own_files()}
        others = [file for file in seen.files if Path(file).name not in own]
        if others and self._loaded.digest[:16] not in seen.rules:
            yield f"the log was written under other rules ({', '.join(others)}); --rules says which are yours"


def _files(paths: Sequence[Path]) -> list[Path]:
    """Returns the files that paths stand for, as rules are loaded from them."""
    found: dict[Path, Path] = {}
    for path in paths:
        inside = sorted(p for p in path.glob("*.yaml") if not p.name.endswith(".cases.yaml"))
        for file in inside if path.is_dir() else [path]:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _kinds_of(entries: Sequence[Entry]) -> Kinds:
    """Returns what the entries' effects may be, in every currency that their calls have named."""
    made: Kinds = set()
    for entry in entries:
        if entry.deed.kind is None:
            continue
        made.add((entry.deed.kind, entry.measured.unit))
        made |= {
            (entry.deed.kind, c)
            for f in entry.seen.fields
            for c in f.currencies
            if entry.measured.unit_from
        }
    return made


def _kinds_of_rules(loaded: Loaded) -> Kinds:
    """Returns what the rules' own entries say; what a guess may come to is among it."""
    effects = [effect for tool in loaded.tools for effect in tool.all_effects]
    return {(e.kind, e.unit if isinstance(e.unit, str) else None) for e in effects}


def _raised(
    budgets: Sequence[Proposed], too_low: Callable[[Sequence[Proposed]], set[str]]
) -> list[Proposed]:
    """Raises limits until none is too low, and leaves out those that no raising helps; asks last of what it returns."""
    made = list(budgets)
    for _ in range(_MOST_ROUNDS):
        low = too_low(made)
        if not low:
            return made
        made = [replace(one, limit=next_up(one.limit)) if one.name in low else one for one in made]
    while made and (low := too_low(made)):
        made = [one for one in made if one.name not in low]
    return made
