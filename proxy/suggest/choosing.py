"""Which budgets are proposed, with which limit: those that say something of their own and can count all that they are asked.

What belongs here: choosing among what was counted. A budget that some call could not be counted by would hold that call, and one
that says what another one or the rules say already is noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from proxy.model import Measure
from proxy.policy.budgets import POINTS, Budget
from proxy.policy.load import Loaded
from proxy.suggest.budget import AGENT, COUNT, DISTINCT, SUM, Meter, Proposed
from proxy.suggest.limits import limit_for, spread_of
from proxy.suggest.measuring import Counted
from proxy.suggest.unknown import Entry

_MEASURES = {Measure.COUNT: COUNT, Measure.SUM: SUM, Measure.DISTINCT: DISTINCT}


def budgets_from(
    counted: Counted, entries: Sequence[Entry], loaded: Loaded, touch: Decimal
) -> list[Proposed]:
    """Returns the budgets that say something, with limits that touch few enough of the sessions counted.

    Args:
        counted: what the sessions came to.
        entries: the entries that the file proposes.
        loaded: the rules that are there.
        touch: the share of sessions, 0 to 1.
    """
    own = {entry.deed.kind for entry in entries}
    taken = {one.name for one in loaded.budgets}
    for listed in (
        loaded.gates,
        loaded.chains,
        loaded.requires,
        loaded.signals,
    ):
        taken |= {one.name for one in listed}
    made: list[Proposed] = []
    for meter in sorted(counted.peaks):
        peaks = counted.peaks[meter]
        if not _is_of_use(meter, counted, entries, loaded):
            continue
        limit = limit_for(peaks.values(), touch)
        beside = [one for one in loaded.budgets if _counts_same(one, meter)]
        if any(one.of == (meter.kind or "*",) and one.limit == limit for one in beside):
            continue  # it is there already
        name, n = meter.name, 1
        while name in taken:
            n += 1
            name = f"{meter.name}-{n}"
        taken.add(name)
        values = counted.days[meter] if meter.per == AGENT else peaks
        made.append(
            Proposed(
                name,
                meter,
                limit,
                spread_of(values.values()),
                len(peaks),
                elsewhere=bool(meter.kind) and meter.kind not in own,
                beside=tuple(f"{one.name} ({one.limit:f})" for one in beside),
            )
        )
    return made


def _is_of_use(meter: Meter, counted: Counted, entries: Sequence[Entry], loaded: Loaded) -> bool:
    """Whether a budget says something of its own, and can count all that it would be asked about."""
    peaks = counted.peaks[meter]
    alike = [e for e in entries if e.deed.kind == meter.kind] if meter.kind else []
    if not any(peaks.values()) or meter in counted.uncounted:
        return False
    effects = [e for t in loaded.tools if not t.guesses for e in t.all_effects]
    others = [effect for effect in effects if effect.kind == meter.kind]
    if meter.how == SUM and meter.kind:
        lacking = any(not entry.measured.amount for entry in alike)
        if lacking or any(effect.amount is None for effect in others):
            return False
    if meter.how == DISTINCT:
        lacking = any(not entry.measured.target for entry in alike)
        if lacking or any(effect.target is None for effect in others):
            return False
        calls = counted.peaks.get(replace(meter, how=COUNT), {})
        if calls == peaks:
            return False  # every call has a target of its own: calls say it already
    if meter.per == AGENT:
        several = any(len(sessions & peaks.keys()) > 1 for sessions in counted.agents.values())
        return several and meter.how != DISTINCT
    return True


def _counts_same(budget: Budget, meter: Meter) -> bool:
    """Whether a budget of the rules counts what a meter does, and maybe more."""
    alike = _MEASURES[budget.measure] == meter.how and budget.per == meter.per
    covers = budget.covers(meter.kind) if meter.kind else budget.unit == POINTS
    return alike and covers and (budget.unit or "") == meter.unit
