"""From a call to its effects: amounts, units and targets, read exactly or held.

What belongs here: the compiled form of one `effects:` entry and what it makes of a call. Whatever a
call leaves out or writes ambiguously becomes a reason to hold, never a smaller effect: an effect
whose `when` cannot be evaluated counts as if it were true.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal

from proxy.model import Effect, Json, Reason, Reversibility, Settlement, ToolResult, Verdict
from proxy.policy.amounts import AmountFault, json_type, read_amount, read_target
from proxy.policy.budgets import Budget, UnitsCounted
from proxy.policy.cel import RESULT, Dialect, Expression, ExpressionFault, Scope, result_scope
from proxy.policy.guess.aim import Aim
from proxy.policy.problems import did_you_mean
from proxy.policy.schema import EffectPart, Settle
from proxy.policy.site import Site
from proxy.policy.units import CURRENCIES, KNOWN_UNITS, normal_unit

_UNIT = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}", re.ASCII)
_NUMBER = frozenset({"DOUBLE", "INT", "UINT", "STRING"})
_TARGET = frozenset({"STRING", "INT", "UINT"})
_TEXT = frozenset({"STRING"})
_BOOL = frozenset({"BOOL"})
_ANY = frozenset({"STRING", "INT", "UINT", "DOUBLE", "BOOL", "LIST", "MAP"})


@dataclass(frozen=True, slots=True)
class CompiledSettle:
    """What an observed result says of an effect."""

    ok: Expression | None
    amount: Expression | None

    def settle(self, arguments: Json, result: ToolResult) -> Settlement:
        """Reads the outcome; where an expression fails, what was reserved stays committed."""
        scope = result_scope(arguments, result)
        ok: bool | None = None
        amount: Decimal | None = None
        at = self.ok
        try:
            if self.ok is not None:
                ok = self.ok.truth(scope)
            if self.amount is not None and ok is not False:
                at = self.amount
                amount = read_amount(self.amount.value(scope))
        except (ExpressionFault, AmountFault, RecursionError) as error:
            text = at.text if at is not None else ""
            return Settlement(ok=None, fault=f"settle '{text}': {error}")
        return Settlement(ok=ok, amount=amount)


@dataclass(frozen=True, slots=True)
class Produced:
    """One effect of one call; `amount_known` False: its amount could not be read."""

    effect: Effect
    source: CompiledEffect
    amount_known: bool
    data: Json = None  # the part of the arguments that it carries along
    aim: Aim | None = None  # what a guess says of it besides


@dataclass(slots=True)
class CompiledEffect:
    """One entry of `effects:`."""

    rule: str
    tool: str
    kind: str
    amount: Expression | Decimal | None
    unit: str | Expression | None
    target: Expression | None
    reversibility: Reversibility
    points: Decimal | None  # None: the price table says
    labels: tuple[str, ...]
    when: Expression | None
    data: Expression | None
    settle: CompiledSettle | None
    file: str
    line: int
    site: Site
    price: Decimal = Decimal(0)  # before data class and trust
    budgets: tuple[Budget, ...] = ()
    call_budgets: tuple[Budget, ...] = ()
    units_counted: UnitsCounted = field(default_factory=UnitsCounted)

    def produce(self, scope: Scope, reasons: list[Reason]) -> Produced | None:
        """Returns the effect of a call, None where `when` says there is none."""
        if self.when is not None:
            try:
                if not self.when.truth(scope):
                    return None
            except ExpressionFault as error:
                reasons.append(
                    self.hold(f"when '{self.when.text}' could not be evaluated: {error}")
                )
        known = True
        amount: Decimal | None = None
        if isinstance(self.amount, Expression):
            try:
                amount = read_amount(self.amount.value(scope))
            except (ExpressionFault, AmountFault) as error:
                known = False
                reasons.append(self.hold(f"amount '{self.amount.text}': {_said(error)}"))
        else:
            amount = self.amount
        unit: str | None = None
        if isinstance(self.unit, Expression):
            try:
                unit = _read_unit(self.unit.value(scope))
            except (ExpressionFault, AmountFault) as error:
                known = False
                reasons.append(self.hold(f"unit '{self.unit.text}': {_said(error)}"))
        else:
            unit = self.unit
        target: str | None = None
        if self.target is not None:
            try:
                target = read_target(self.target.value(scope))
            except (ExpressionFault, AmountFault) as error:
                reasons.append(self.hold(f"target '{self.target.text}': {_said(error)}"))
        effect = Effect(
            self.kind,
            self.reversibility,
            amount if known else None,
            unit,
            target,
            self.price if self.points is None else self.points,
            self.labels,
            self.rule,
        )
        return Produced(effect, self, known, self._data(scope))

    def _data(self, scope: Scope) -> Json:
        """What may carry data: the stated part, else all arguments; what cannot be read counts whole."""
        whole = scope["args"]
        if self.data is None:
            return whole
        try:
            return self.data.value(scope)
        except ExpressionFault:
            return whole

    def hold(self, text: str) -> Reason:
        return Reason(self.rule, f"tool '{self.tool}': {text}", Verdict.HOLD, self.file, self.line)


def compile_effect(
    part: EffectPart, site: Site, *, rule: str, tool: str, dialect: Dialect
) -> CompiledEffect:
    """Compiles one entry; mistakes go to the site's list."""
    if part.amount is not None and part.unit is None:
        site.fault("'amount' needs a 'unit' beside it, such as unit: EUR")
    if part.unit is not None and part.amount is None:
        site.fault("'unit' needs an 'amount' beside it")
    if part.settle is not None and part.settle.amount is not None and part.amount is None:
        site.fault("'settle.amount' needs an 'amount' that it settles")
    amount: Expression | Decimal | None
    if isinstance(part.amount, str):
        amount = site.at("amount").expression(part.amount, dialect, "amount", _NUMBER)
    else:
        amount = part.amount
    return CompiledEffect(
        rule=rule,
        tool=tool,
        kind=part.kind,
        amount=amount,
        unit=_compile_unit(part, site, dialect),
        target=_optional(part.target, site, "target", dialect, _TARGET),
        reversibility=part.reversibility,
        points=part.points,
        labels=part.labels,
        when=_optional(part.when, site, "when", dialect, _BOOL),
        data=_optional(part.data, site, "data", dialect, _ANY),
        settle=_compile_settle(part.settle, site.at("settle")),
        file=site.file,
        line=site.line,
        site=site,
    )


def _compile_unit(part: EffectPart, site: Site, dialect: Dialect) -> str | Expression | None:
    if isinstance(part.unit, dict):
        where = site.at("unit", "from")
        return where.expression(part.unit["from"], dialect, "unit", _TEXT)
    if isinstance(part.unit, str) and part.unit not in KNOWN_UNITS:
        known = (
            CURRENCIES
            if part.unit.isupper() or normal_unit(part.unit) != part.unit
            else KNOWN_UNITS
        )
        if near := did_you_mean(part.unit, known, cutoff=0.8):
            site.at("unit").fault(f"unknown unit '{part.unit}'{near}")
    return part.unit


def _compile_settle(part: Settle | None, site: Site) -> CompiledSettle | None:
    if part is None:
        return None
    return CompiledSettle(
        _optional(part.ok, site, "ok", RESULT, _BOOL),
        _optional(part.amount, site, "amount", RESULT, _NUMBER),
    )


def _optional(
    text: str | None, site: Site, key: str, dialect: Dialect, types: frozenset[str]
) -> Expression | None:
    return None if text is None else site.at(key).expression(text, dialect, key, types)


def _read_unit(value: Json) -> str:
    if not isinstance(value, str):
        raise AmountFault(f"is {json_type(value)}, not text")
    if not _UNIT.fullmatch(value):
        raise AmountFault("is not the name of a unit")
    return normal_unit(value)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ExpressionFault) else f"the value {error}"
