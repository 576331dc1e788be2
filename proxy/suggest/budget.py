"""A budget that is proposed, and what is told of it.

What belongs here: what is counted (`Measured by kind`, for whom), how it stands in a file, and the words about it. What was
counted comes from `measuring.py`, how much is enough from `limits.py`, what it would have touched from `proving.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from proxy.canonical import number_text
from proxy.model import Json
from proxy.policy.yaml_text import scalar
from proxy.suggest.limits import Spread

POINTS = "points"
COUNT, SUM, DISTINCT = "count", "sum", "distinct"
SESSION, AGENT = "session", "agent"
TOO_FEW = 20
"""Sessions below which a distribution says little."""
TOO_FEW_DAYS = 7
_MOST_NAME_CHARS = 40  # of a kind in a budget's name


@dataclass(frozen=True, slots=True, order=True)
class Meter:
    """What a budget adds up, and for whom."""

    kind: str  # of effects; "" for points, which all effects have
    how: str
    unit: str = ""  # of a sum
    per: str = SESSION

    @property
    def name(self) -> str:
        what = {COUNT: "calls", DISTINCT: "targets"}.get(self.how, self.unit.lower())
        about = self.kind.replace(".", "-").strip("-")[:_MOST_NAME_CHARS]
        return "-".join(
            part for part in (about, what, "agent-day" if self.per == AGENT else "session") if part
        )

    def written(self, name: str, limit: Decimal, extra: str = "") -> str:
        """Returns the line of a rule file."""
        what = f"of: {scalar(self.kind)}, " if self.kind else ""
        how = {COUNT: "count: true", DISTINCT: "distinct: target"}.get(
            self.how, f"sum: {scalar(self.unit)}"
        )
        span = ", window: 24h" if self.per == AGENT else ""
        since = ", since: checkpoint" if not self.kind else ""
        return (
            f"- {{name: {scalar(name)}, {what}{how}, limit: {limit:f}, per: {self.per}{span}{since}, "
            f"on_exceed: hold}}{extra}"
        )

    @property
    def words(self) -> str:
        what = f"calls with {self.kind}"
        if self.how == SUM:
            what = f"{self.unit} of {self.kind}" if self.kind else "points of all effects"
        elif self.how == DISTINCT:
            what = f"targets of {self.kind}"
        return f"{what} {'an agent and day' if self.per == AGENT else 'a session'}"


@dataclass(frozen=True, slots=True)
class Proposed:
    """A limit, with the figures that it was made from."""

    name: str
    meter: Meter
    limit: Decimal
    spread: Spread  # over sessions, or over agents' days
    sessions: int  # that had anything of it
    touched: int = 0  # of these, in the replay
    elsewhere: bool = False  # the kind comes from other rules than the file's own
    beside: tuple[str, ...] = ()  # budgets that are in force for the same already

    @property
    def share(self) -> Decimal:
        return Decimal(self.touched) / self.sessions if self.sessions else Decimal(0)

    def about(self) -> Iterator[str]:
        of = "day" if self.meter.per == AGENT else "session"
        spread = self.spread
        yield (
            f"{self.meter.words}, {plural(spread.count, of)}: median {number_text(spread.median)}, p90 {number_text(spread.p90)}, "
            f"p99 {number_text(spread.p99)}, max {number_text(spread.most)}."
        )
        yield (
            f"It would have touched {self.touched:,} of {plural(self.sessions, 'session')} with any "
            f"({percent(self.share)})."
        )
        if self.sessions < TOO_FEW:
            yield f"{plural(self.sessions, 'session')}: too few to go by."
        elif self.meter.per == AGENT and spread.count < TOO_FEW_DAYS:
            yield f"{plural(spread.count, 'day')}: too few to go by."
        if self.beside:
            yield f"In force for the same already: {', '.join(self.beside)}."

    def as_json(self) -> dict[str, Json]:
        spread, meter = self.spread, self.meter
        return {
            "id": self.name,
            "type": "budget",
            "of": meter.kind or None,
            "measure": meter.how,
            "unit": meter.unit or None,
            "per": meter.per,
            "window": "24h" if meter.per == AGENT else None,
            "limit": number_text(self.limit),
            "counted": spread.count,
            "median": number_text(spread.median),
            "p90": number_text(spread.p90),
            "p99": number_text(spread.p99),
            "max": number_text(spread.most),
            "sessions": self.sessions,
            "touched": self.touched,
            "share": round(float(self.share), 6),
            "too_few": self.sessions < TOO_FEW
            or (meter.per == AGENT and spread.count < TOO_FEW_DAYS),
            "beside": list(self.beside),
        }


def plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def percent(share: Decimal) -> str:
    return f"{number_text((share * 100).quantize(Decimal('0.1')))} %"
