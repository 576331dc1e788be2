"""Which rules of a set have decided anything while cases were run, and which never did.

What belongs here: the list of what can be covered, and what each judged call covers. A gate, chain or
requirement is covered when it gave a reason, a budget when it stopped a call or warned, a signal when it
was met, a tool when a call fell under its entry, a command or statement when its effects were a call's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxy.model import Call
from proxy.policy.load import Loaded, ToolEntry
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.conversation import Judged

_SECTIONS = (
    "gates", "budgets", "chains", "requires", "signals", "tools", "commands", "statements"
)  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Covered:
    """One entry of a rule file."""

    section: str
    name: str
    file: str
    line: int


class Coverage:
    """Counts, for one rule set."""

    def __init__(self, loaded: Loaded, rules: RuleSet) -> None:
        self._rules = rules
        self._by_reason: dict[str, list[Covered]] = {}
        self._tools: dict[int, Covered] = {}
        self._routes: list[tuple[ToolEntry, Covered]] = []
        self._times: dict[Covered, int] = {}
        self._add("gates", ((g.name, g.file, g.line) for g in loaded.gates))
        self._add("budgets", ((b.name, b.file, b.line) for b in loaded.budgets))
        self._add("chains", ((c.name, c.file, c.line) for c in loaded.chains))
        self._add("requires", ((r.name, r.file, r.line) for r in loaded.requires))
        self._signals: dict[str, Covered] = {}
        for signal in loaded.signals:
            entry = Covered("signals", signal.name, signal.site.file, signal.site.line)
            self._signals[signal.name] = entry
            self._times[entry] = 0
        for tool in loaded.tools:
            entry = Covered("tools", tool.label, tool.site.file, tool.site.line)
            self._times.setdefault(entry, 0)
            self._tools[id(tool)] = entry
            if tool.route is not None:
                self._routes.append((tool, entry))

        self._by_effect: dict[str, Covered] = {}
        tables = (("commands", loaded.tables.commands), ("statements", loaded.tables.statements))
        for section, table in tables:
            for made in table.entries:
                entry = Covered(section, made.label, made.file, made.line)
                for effect in made.effects:
                    self._times.setdefault(entry, 0)
                    self._by_effect[effect.rule] = entry

    def _add(self, section: str, named: Iterable[tuple[str, str, int]]) -> None:
        for name, file, line in named:
            entry = Covered(section, name, file, line)
            self._by_reason.setdefault(name, []).append(entry)
            self._times[entry] = 0

    def take(self, judged: Judged, effect_rules: Iterable[str] = ()) -> None:
        """Counts what one call covers; `effect_rules` name the entries whose effects it has."""
        for entry in {self._by_effect[r] for r in effect_rules if r in self._by_effect}:
            self._times[entry] += 1
        spoke = {reason.rule for reason in judged.reasons}
        spoke.update(state.name for state in judged.decision.budgets if state.warned)
        for name in spoke:
            for entry in self._by_reason.get(name, ()):
                self._times[entry] += 1
        entry_of = self._tool(judged)
        if entry_of is not None:
            self._times[entry_of] += 1

    def take_signals(self, met: Mapping[str, int]) -> None:
        """Counts the signals of one case."""
        for name, times in met.items():
            if name in self._signals:
                self._times[self._signals[name]] += times

    def _tool(self, judged: Judged) -> Covered | None:
        call: Call = judged.call
        if judged.http is None:
            tool = self._rules.entry_of(call.name)
            return self._tools.get(id(tool)) if tool is not None else None
        method, _, rest = call.name.partition(" ")
        for tool, entry in self._routes:
            route = tool.route
            if route is None or method not in route.methods:
                continue
            if rest.endswith(route.template + route.suffix):
                return entry
        return None

    @property
    def times(self) -> dict[Covered, int]:
        """How often each entry has decided something; for `add`, in another process."""
        return dict(self._times)

    def add(self, times: Mapping[Covered, int]) -> None:
        """Adds what was counted elsewhere for the same rules."""
        for entry, n in times.items():
            self._times[entry] = self._times.get(entry, 0) + n

    @property
    def never(self) -> list[Covered]:
        """Entries that never decided anything, in file order."""
        found = [entry for entry, times in self._times.items() if not times]
        return sorted(found, key=lambda entry: (entry.file, entry.line, entry.name))

    @property
    def summary(self) -> dict[str, tuple[int, int]]:
        """(covered, all) of each section that the set has."""
        made: dict[str, tuple[int, int]] = {}
        for section in _SECTIONS:
            times = [n for entry, n in self._times.items() if entry.section == section]
            if times:
                made[section] = (sum(n > 0 for n in times), len(times))
        return made
