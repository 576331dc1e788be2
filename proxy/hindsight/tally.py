"""Decisions added up: what was stopped, what would have been, by which rule, for whom, when.

What belongs here: the counting. A call counts once, by the strictest that it would have come to (`would`); for each
rule in shadow it counts with what this rule alone would have said. Names that agents choose (tools, sessions)
are kept up to a bound, sessions besides as hashes, so that memory grows with neither lines nor names.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from proxy.hindsight.records import Decided, Said
from proxy.model import Json

EXAMPLES = 3
_MOST_NAMES = 10_000
OTHERS = "(others)"
_STOPS = ("hold", "block")


@dataclass(slots=True)
class Example:
    """One call, for people to look up in the log."""

    time: datetime
    session: str
    agent: str
    call: str
    id: str | None
    text: str


@dataclass(slots=True)
class Count:
    """What one rule, tool, agent or session would have stopped."""

    id: str
    file: str | None = None
    line: int | None = None
    held: int = 0
    blocked: int = 0
    alone: int = 0  # calls that nothing else would have stopped
    first: datetime | None = None
    last: datetime | None = None
    examples: list[Example] = field(default_factory=list)
    sessions: set[int] = field(default_factory=set)

    @property
    def calls(self) -> int:
        return self.held + self.blocked

    def take(self, decided: Decided, verdict: str, text: str, *, alone: bool) -> None:
        if verdict == "block":
            self.blocked += 1
        else:
            self.held += 1
        self.alone += alone
        self.sessions.add(_name_of(decided))
        self.first = min(decided.time, self.first or decided.time)
        self.last = max(decided.time, self.last or decided.time)
        if len(self.examples) < EXAMPLES:
            call = decided.call
            self.examples.append(
                Example(
                    decided.time,
                    decided.session or "-",
                    decided.agent or "-",
                    call.name,
                    call.id,
                    text,
                )
            )

    def as_json(self) -> dict[str, Json]:
        return {
            "id": self.id,
            "file": self.file,
            "line": self.line,
            "calls": self.calls,
            "held": self.held,
            "blocked": self.blocked,
            "alone": self.alone,
            "sessions": len(self.sessions),
            "first": _time(self.first),
            "last": _time(self.last),
            "examples": [
                {
                    "time": _time(one.time),
                    "session": one.session,
                    "agent": one.agent,
                    "call": {"id": one.id, "name": one.call},
                    "text": one.text,
                }
                for one in self.examples
            ],
        }


class Tally:
    """Counts over a span of time."""

    def __init__(self, since: datetime, until: datetime) -> None:
        self.since, self.until = since, until
        self.calls = 0
        self.sessions: set[int] = set()
        self.stopped_sessions: set[int] = set()
        self.verdicts: Counter[str] = Counter()  # that were
        self.would: Counter[str] = Counter()  # that would have been, where that is stricter
        self.ran_already: Counter[str] = Counter()  # the provider's own, which nothing can stop
        self.hours: Counter[datetime] = Counter()  # holds that a human would have had besides
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.by: dict[str, dict[str, Count]] = {"rule": {}, "session": {}, "tool": {}, "agent": {}}

    def take(self, decided: Decided) -> None:
        """Counts a decision, if it is within the span."""
        if not self.since <= decided.time <= self.until:
            return
        self.calls += 1
        self.sessions.add(_name_of(decided))
        self.verdicts[decided.verdict] += 1
        self.first = min(decided.time, self.first or decided.time)
        self.last = max(decided.time, self.last or decided.time)
        would = decided.would
        if would not in _STOPS or would == decided.verdict:
            return
        if decided.call.executor != "client":
            self.ran_already[would] += 1
            return
        self.would[would] += 1
        self.stopped_sessions.add(_name_of(decided))
        if would == "hold":
            self.hours[decided.time.replace(minute=0, second=0, microsecond=0)] += 1
        self._by_name(decided, would)

    def _by_name(self, decided: Decided, would: str) -> None:
        found = _stopping(decided, would)
        alone = len(found) == 1
        for (rule, verdict), said in found.items():
            count = self._count("rule", rule, said)
            count.take(decided, verdict, said.text, alone=alone)
        text = next(iter(found.values())).text if found else ""
        names = {"session": decided.session, "tool": decided.call.name, "agent": decided.agent}
        for by, name in names.items():
            self._count(by, name or "-").take(decided, would, text, alone=False)

    def _count(self, by: str, name: str, said: Said | None = None) -> Count:
        counts = self.by[by]
        if name not in counts and len(counts) >= _MOST_NAMES:
            name = OTHERS
        if name not in counts:
            counts[name] = Count(name, said.file if said else None, said.line if said else None)
        return counts[name]

    # --- what it comes to ----------------------------------------------------------------------------
    @property
    def more(self) -> int:
        """How many calls would have been stopped that were not, or blocked that were held."""
        return self.would.total()

    def ranked(self, by: str) -> list[Count]:
        """Returns the counts by `rule`, `session`, `tool` or `agent`, the largest first."""
        return sorted(self.by[by].values(), key=lambda count: (-count.calls, count.id))

    def days(self) -> float:
        """How many days the log covers within the span, at least one."""
        if self.first is None or self.last is None:
            return 1.0
        return max((self.last - self.first) / timedelta(days=1), 1.0)

    def busiest_hour(self) -> tuple[datetime, int] | None:
        """Returns the hour with most holds, the first of several, and how many."""
        if not self.hours:
            return None
        return min(self.hours.items(), key=lambda item: (-item[1], item[0]))


def _stopping(decided: Decided, would: str) -> dict[tuple[str, str], Said]:
    """Returns the rules that would have stopped a call, with what each would have said.

    A log from before rules had modes says of no reason what it is: there the whole run was in shadow.
    """
    found: dict[str, tuple[str, Said]] = {}
    for said in decided.reasons:
        verdict = said.verdict or would
        if said.mode == "enforce" or verdict not in _STOPS:
            continue
        if said.rule == "drift" and said.verdict is None:
            continue  # it tells of another reason, and is none
        before = found.get(said.rule)
        if before is None or (verdict == "block" and before[0] == "hold"):
            found[said.rule] = (verdict, said)
    return {(rule, verdict): said for rule, (verdict, said) in found.items()}


def _name_of(decided: Decided) -> int:
    return hash((decided.session, decided.agent))


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")
