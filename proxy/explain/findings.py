"""What an explanation says, as values: nothing here is computed, and all of it may be shown.

What belongs here: one class a thing that is told. `looking.py` makes them, `telling.py` and `objects.py` show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from proxy.explain.parts import Part
from proxy.explain.way import Way
from proxy.model import Json, Verdict


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule stands; columns count from one."""

    file: str
    line: int
    col: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}"


class Came(StrEnum):
    """What a rule came to."""

    MATCHED = "matched"  # it speaks against the call
    NOT_MATCHED = "not-matched"
    FAULT = "could-not-be-evaluated"


@dataclass(frozen=True, slots=True)
class Asked:
    """One expression with its parts; `about` is what it is for: `when`, `amount`, an effect."""

    about: str
    text: str
    place: Place
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class EffectFound:
    """One effect of the call, as the decision log has it, and how it came."""

    effect: Mapping[str, Json]
    place: Place | None
    entry: str
    expressions: tuple[Asked, ...] = ()
    counted: bool = True  # False: its `when` says that the call does not have it
    faults: tuple[str, ...] = ()  # what of it could not be read


@dataclass(frozen=True, slots=True)
class RuleFound:
    """A gate, or another reason that has no more to tell."""

    name: str
    place: Place | None
    came: Came
    verdict: Verdict  # that it gives, or would give
    expressions: tuple[Asked, ...] = ()
    text: str = ""
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class RequireFound:
    """A precondition of one effect."""

    name: str
    place: Place
    came: Came  # MATCHED: it is not met
    verdict: Verdict
    wanted: str  # kinds of effects whose result it asks for
    target: str | None
    found: str  # what there was, in words
    expressions: tuple[Asked, ...] = ()
    text: str = ""
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class StepFound:
    """One step of a chain: what it is, and how it stands."""

    what: str
    state: str  # "met", "now", "open"
    via: str = ""
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ChainFound:
    """A chain that the call's effects are about."""

    name: str
    place: Place
    came: Came
    verdict: Verdict
    steps: tuple[StepFound, ...]
    before: int  # steps met before, and after the call is let through
    after: int
    note: str = ""
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class BudgetFound:
    """A budget before and after."""

    name: str
    place: Place | None
    scope: str
    before: Decimal
    after: Decimal
    limit: Decimal
    unit: str | None
    verdict: Verdict
    exceeded: bool
    warned: bool = False
    note: str = ""
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class LogSays:
    """What a decision log says of the call, against what today's rules say."""

    seq: int
    verdict: str
    rules: str
    today: str
    same_rules: bool
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """All there is to tell of one call."""

    name: str
    arguments: Json
    session: str
    agent: str
    at_ms: int
    verdict: Verdict
    would: Verdict | None
    where: str
    entry: str
    entry_place: Place | None
    reasons: tuple[RuleFound, ...]  # that no rule below tells: `unmapped`, `frozen` …
    effects: tuple[EffectFound, ...]
    gates: tuple[RuleFound, ...]  # that were asked
    others: tuple[str, ...]  # gates that were not
    requires: tuple[RequireFound, ...]
    chains: tuple[ChainFound, ...]
    budgets: tuple[BudgetFound, ...]
    signals: tuple[str, ...]
    stopping: tuple[tuple[str, str], ...]  # (rule, its text) of what stops the call
    approved: str = ""  # by which hold a human lets it pass
    ways: tuple[Way, ...] = ()
    all_at_once: Way | None = None
    searched: int = 0  # calls that were tried
    log: LogSays | None = None
    notes: tuple[str, ...] = field(default=())
