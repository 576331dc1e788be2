"""What sessions came to: the log played again under the proposed entries, with budgets that never end.

How it works. A budget of every kind and measure that may be of use counts in a replay, as the ledger counts: results give
back and set right, an action seen on two sides counts once, a sub-session counts above too. The highest that each session has seen
is what a limit would have had to allow. Kinds that come up on the way and were not counted are counted in a second turn.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from proxy.ledger.writer import Record
from proxy.policy.budgets import SPENDING
from proxy.policy.ruleset import RuleSet
from proxy.policy.values import KIND, UNIT
from proxy.rehearsal.declog import LogReplay
from proxy.rehearsal.lines import Lines
from proxy.rehearsal.recorded import read_object
from proxy.rehearsal.rehearsal import Rehearsal
from proxy.suggest.budget import AGENT, COUNT, DISTINCT, POINTS, SESSION, SUM, Meter

_MOST_KINDS = 500
_MOST_TURNS = 4
_METER = "meter"
_OF_METER = re.compile(rf"budget '({_METER}-[0-9]+)' (?:sums|counts) ")
"""What an entry is told for a budget that cannot count it: of ours, that is no fault of the entry."""

type Kinds = set[tuple[str, str | None]]
"""Effects' kinds with the unit of their amount."""


@dataclass(slots=True)
class Counted:
    """What one replay counted."""

    peaks: dict[Meter, dict[str, Decimal]] = field(default_factory=lambda: defaultdict(dict))
    days: dict[Meter, dict[tuple[str, str], Decimal]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    agents: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # their sessions
    kinds: Kinds = field(default_factory=set)
    uncounted: set[Meter] = field(default_factory=set)  # some effect could not be counted by it
    faults: dict[str, int] = field(
        default_factory=lambda: defaultdict(int)
    )  # by rule: `pack/tool#0`


def count(
    lines: Lines,
    load: Callable[[Sequence[tuple[str, Meter]]], RuleSet],
    kinds: Kinds,
    units: set[str],
) -> Counted:
    """Plays a log.

    Args:
        lines: the log.
        load: makes the rule set with budgets of these names.
        kinds: what effects may come up.
        units: units that a budget may sum.

    Raises:
        RecordingError: a record cannot be played.
    """
    known = set(kinds)
    counted = Counted()
    for _ in range(_MOST_TURNS):
        meters = {f"{_METER}-{n}": meter for n, meter in enumerate(_meters(known, units))}
        counted = _play(lines, load(list(meters.items())), meters)
        if counted.kinds <= known:
            break
        known |= counted.kinds
    return counted


def _meters(kinds: Kinds, units: set[str]) -> list[Meter]:
    made: set[Meter] = set()
    for kind, unit in sorted(kinds, key=str)[:_MOST_KINDS]:
        if not KIND.fullmatch(kind):
            continue
        for per in (SESSION, AGENT):
            if unit is not None and unit in units and UNIT.fullmatch(unit):
                made.add(Meter(kind, SUM, unit, per))
            if kind not in SPENDING:
                made |= {Meter(kind, COUNT, per=per), Meter(kind, DISTINCT, per=per)}
    return [*sorted(made), Meter("", SUM, POINTS)]


def _play(lines: Lines, rules: RuleSet, meters: Mapping[str, Meter]) -> Counted:
    counted = Counted()

    def listen(records: Sequence[Record]) -> None:
        for record in records:
            if record["type"] == "decision":
                _take(counted, record, meters, rehearsal.now_ms)

    with Rehearsal(rules, spills=True, sink=listen) as rehearsal:
        replay = LogReplay(rehearsal)
        for line in lines:
            replay.carry(line.where, read_object(line.text, line.where))
        replay.end()
    return counted


def _take(counted: Counted, record: Record, meters: Mapping[str, Meter], now_ms: int) -> None:
    session, agent = record["session"], record["agent"]
    counted.agents[agent].add(session)
    for effect in record["effects"]:
        counted.kinds.add((effect["kind"], effect["unit"]))
    for reason in record["reasons"]:
        if "#" not in reason["rule"]:
            continue
        told = _OF_METER.search(reason["text"])
        if told is None:
            counted.faults[reason["rule"]] += 1
        elif told[1] in meters:
            counted.uncounted.add(meters[told[1]])
    day = datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()
    for budget in record["budgets"]:
        meter = meters.get(budget["name"])
        if meter is None:
            continue
        after = Decimal(str(budget["after"]))
        peaks = counted.peaks[meter]
        peaks[session] = max(after, peaks.get(session, after))
        if meter.per == AGENT:
            days = counted.days[meter]
            days[agent, day] = max(after, days.get((agent, day), after))
