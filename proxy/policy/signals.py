"""Signals: what shrinks a budget, raises a gate, holds kinds of effects, or freezes everything.

What belongs here: the compiled entry of `signals:`, whether something that happened meets it, and what
all that is in force adds up to (`in_force`, the strictest of each). Counting what happened, and keeping
what is in force, is the pipeline's and the ledger's.

A condition that cannot be evaluated is met: doubt about a signal makes the rules stricter, never laxer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase

from proxy.model import Json, Verdict
from proxy.policy import schema
from proxy.policy.amounts import read_amount
from proxy.policy.budgets import SPENDING
from proxy.policy.cel import CONFIDENCE, SIGNAL, Expression, ExpressionFault, Scope
from proxy.policy.facts import InForce
from proxy.policy.hours import Hours, HoursFault, read_hours
from proxy.policy.modes import in_shadow
from proxy.policy.problems import Problem, did_you_mean
from proxy.policy.site import Site

FREEZE, SCALE, RAISE, HOLD, BLOCK = "freeze", "scale", "raise", "hold", "block"
_VERDICTS = {HOLD: Verdict.HOLD, BLOCK: Verdict.BLOCK}

MOMENTARY = frozenset({"low-confidence", "new-host", "out-of-hours"})
"""Signals that are about one call alone, unless their rule says `for:`."""

_NEEDS = {
    "loop": ("count", "within"),
    "errors": ("count", "within"),
    "rate": ("count", "within"),
    "low-confidence": ("below",),
    "out-of-hours": ("hours",),
}
_MAY_HAVE = {"low-confidence": ("value",), "out-of-hours": ("zone",)}
_SPECIAL = ("count", "within", "below", "value", "hours", "zone")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a signal does; `name` is a budget, a gate or a glob over kinds of effects."""

    verb: str
    name: str = ""
    by: Decimal = Decimal(1)

    def __str__(self) -> str:
        if self.verb == SCALE:
            return f"scale {self.name} by {self.by}"
        return f"{self.verb} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class Signal:
    """One entry of `signals:`."""

    name: str
    on: str
    actions: tuple[Action, ...]
    when: Expression | None
    count: int
    within_ms: int
    below: Decimal
    value: Expression | None
    hours: Hours | None
    per: str
    for_ms: int | None
    stated_name: bool
    site: Site
    file: str
    line: int
    shadow: bool = False

    @property
    def is_momentary(self) -> bool:
        return self.on in MOMENTARY and self.for_ms is None

    def fits(self, happened: str) -> bool:
        """Whether the entry is about a signal of this name; a glob is about posted ones alone."""
        if happened in schema.SIGNALS or self.on in schema.SIGNALS:
            return happened == self.on
        return fnmatchcase(happened, self.on)

    def holds(self, signal: Mapping[str, Json]) -> bool:
        """Whether `when` is met by what happened."""
        if self.when is None:
            return True
        try:
            return self.when.truth(Scope({"signal": dict(signal)}))
        except (ExpressionFault, RecursionError):
            return True

    def is_low(self, stated: Decimal | None, arguments: Json, tool: str) -> str | None:
        """Returns how sure the model is, where that is below the mark; None where it is not.

        `value` names an argument: a call without it, or without a number from 0 to 1 there, is unsure.
        Without `value` it is the answer's own probability, and an answer without one is not judged.
        """
        if self.value is None:
            return None if stated is None or stated >= self.below else f"{stated}"
        try:
            found = self.value.value(Scope({"args": arguments, "tool": tool}))
            number = read_amount(found)
        except (ExpressionFault, ValueError, ArithmeticError, RecursionError):
            return "not stated"
        if number > 1:
            return "not stated"  # in per cent, or whatever else it is
        return None if number >= self.below else f"{number}"


@dataclass(frozen=True, slots=True)
class Acting:
    """Something in force: which signal, what it does, and why, as the agent may read it."""

    name: str
    actions: tuple[Action, ...]
    why: str
    shadow: bool = False  # it would do so, if its rule were not in shadow


def in_force(acting: Iterable[Acting]) -> InForce:
    """Adds up everything in force: of each budget the smallest factor, of all else the union."""
    frozen: str | None = None
    scales: dict[str, Decimal] = {}
    raised: set[str] = set()
    holds: dict[tuple[str, Verdict], Acting] = {}
    because: dict[str, str] = {}
    for one in acting:
        for action in one.actions:
            if action.verb == FREEZE:
                frozen = frozen or one.why
            elif action.verb == SCALE:
                if action.by < scales.get(action.name, Decimal(2)):
                    scales[action.name] = action.by
                    because[f"budget:{action.name}"] = one.why
            elif action.verb == RAISE:
                raised.add(action.name)
                because.setdefault(f"gate:{action.name}", one.why)
            else:
                holds.setdefault((action.name, _VERDICTS[action.verb]), one)
    listed = tuple(
        (pattern, verdict, one.why, one.name) for (pattern, verdict), one in holds.items()
    )
    return InForce(frozen, scales, frozenset(raised), listed, because)


def of_model_request(found: InForce) -> InForce:
    """What of it is about a model request: all but a hold on every call, which is not one."""
    return replace(found, holds=tuple(hold for hold in found.holds if hold[0] != "*"))


def compile_signal(part: schema.Signal, site: Site) -> Signal | None:
    """Compiles one entry; mistakes go to the site's list."""
    before = len(site.problems)
    _check_keys(part, site)
    actions = tuple(
        action
        for i, made in enumerate(part.do)
        for action in _actions(made, site.at("do"), i, len(part.do))
    )
    when = value = None
    if part.when is not None:
        when = site.at("when").expression(part.when, SIGNAL, "when", frozenset({"BOOL"}))
    if part.value is not None:
        numbers = frozenset({"DOUBLE", "INT", "UINT"})
        value = site.at("value").expression(part.value, CONFIDENCE, "value", numbers)
    hours = None
    if part.hours is not None:
        try:
            hours = read_hours(part.hours, part.zone or "UTC")
        except HoursFault as error:
            site.at("zone" if str(error).startswith("zone") else "hours").fault(str(error))
    if len(site.problems) > before:
        return None
    return Signal(
        name=part.name or part.on,
        on=part.on,
        actions=actions,
        when=when,
        count=part.count or 0,
        within_ms=part.within or 0,
        below=part.below or Decimal(0),
        value=value,
        hours=hours,
        per=part.per,
        for_ms=part.for_,
        stated_name=part.name is not None,
        site=site,
        file=site.file,
        line=site.line,
        shadow=in_shadow(part.mode, site),
    )


def _check_keys(part: schema.Signal, site: Site) -> None:
    """Each built-in signal has settings of its own; a setting elsewhere would be read by nobody."""
    needed = _NEEDS.get(part.on, ())
    allowed = (*needed, *_MAY_HAVE.get(part.on, ()))
    for key in _SPECIAL:
        stated = getattr(part, key) is not None
        if key in needed and not stated:
            site.fault(f"'on: {part.on}' needs '{key}'")
        elif stated and key not in allowed:
            site.at(key).fault(f"'{key}' has no meaning with 'on: {part.on}'; remove it")


def _actions(part: schema.ActionPart, site: Site, i: int, of: int) -> Iterable[Action]:
    where = site.at(i) if of > 1 or site.at(i).stated else site
    stated = [
        key
        for key, value in (
            (FREEZE, part.freeze),
            (SCALE, part.scale),
            (RAISE, part.raise_),
            (HOLD, part.hold),
            (BLOCK, part.block),
        )
        if value
    ]
    if len(stated) != 1:
        where.fault("an action is one of freeze, scale, raise, hold and block")
    elif (part.by is None) == (part.scale is not None):
        where.fault("'scale: BUDGET' and 'by: FACTOR' stand together")
    elif part.scale is not None:
        yield Action(SCALE, part.scale, part.by if part.by is not None else Decimal(0))
    elif part.raise_ is not None:
        yield Action(RAISE, part.raise_)
    elif part.freeze:
        yield Action(FREEZE)
    else:
        for verb, kinds in ((HOLD, part.hold), (BLOCK, part.block)):
            yield from (Action(verb, kind) for kind in kinds)


def named_apart(signals: Iterable[Signal]) -> list[Signal]:
    """Gives entries without a name one of their own: `loop`, `loop-2` …, the names stated first."""
    listed = list(signals)
    taken = {signal.name for signal in listed if signal.stated_name}
    made: list[Signal] = []
    for signal in listed:
        name, n = signal.name, 1
        while not signal.stated_name and name in taken:
            n += 1
            name = f"{signal.name}-{n}"
        taken.add(name)
        made.append(replace(signal, name=name))
    return made


def check_signal(signal: Signal, budgets: Iterable[str], gates: Iterable[str]) -> None:
    """Reports budgets and gates that an action names and nobody has."""
    known = {SCALE: ("budget", sorted(budgets)), RAISE: ("gate", sorted(gates))}
    for action in signal.actions:
        what, names = known.get(action.verb, ("", []))
        if what and action.name not in names:
            near = did_you_mean(action.name, names)
            _place(signal, action).fault(f"{action.verb}: no {what} '{action.name}'{near}")


def unmet_kinds(signal: Signal, kinds: Iterable[str]) -> Iterable[Problem]:
    """Returns a warning for each kind that an action is about and no tool's effect has."""
    produced = sorted({*kinds, *SPENDING})
    for action in signal.actions:
        if action.verb not in _VERDICTS or action.name == "*":
            continue
        if not any(fnmatchcase(kind, action.name) for kind in produced):
            near = did_you_mean(action.name, produced)
            text = f"{action.verb}: no tool produces an effect '{action.name}'{near}"
            yield _place(signal, action).problem(text)


def _place(signal: Signal, action: Action) -> Site:
    """Where an action stands, as near as the file's marks tell."""
    at = signal.site.at("do")
    for i in range(len(signal.actions)):
        for one in (at.at(action.verb), at.at(i, action.verb)):
            node = one.document.node(one.path)
            if node is not None and getattr(node, "value", None) == action.name:
                return one
    return at
