"""What a case expects of one call, held against what was decided.

What belongs here: `Expectation`, how it is read from a cases file, and the readable difference. Reading is
lenient in form (`expect: hold`), comparing is exact: effects are all of them, no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from proxy.model import BudgetState, Json, Verdict
from proxy.policy.budgets import VERDICTS
from proxy.policy.problems import did_you_mean
from proxy.rehearsal.conversation import Judged
from proxy.rehearsal.part import Part, kind_of

EFFECT_KEYS = ("kind", "amount", "unit", "target", "reversibility", "points")
_BUDGET_KEYS = ("before", "after", "limit")

type Wanted = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Expectation:
    """All that is expected of one call; what is None or empty is not looked at."""

    verdict: Verdict | None = None
    rules: tuple[str, ...] = ()  # each gives a reason
    not_rules: tuple[str, ...] = ()  # none gives a reason
    reason: tuple[str, ...] = ()  # each is part of some reason's text
    budgets: Mapping[str, Wanted] | None = None
    warned: tuple[str, ...] = ()
    effects: tuple[Wanted, ...] | None = None  # all effects of the call, by kind or more

    def differences(self, judged: Judged) -> list[str]:
        """Returns a line for everything that is not as expected."""
        found = list(self._verdict(judged))
        found += self._rules(judged)
        found += self._reason(judged)
        found += self._budgets(judged)
        found += self._effects(judged)
        return found

    def _verdict(self, judged: Judged) -> Iterable[str]:
        if self.verdict is not None and judged.verdict is not self.verdict:
            yield f"verdict: expected {self.verdict.label}, got {judged.verdict.label}"

    def _rules(self, judged: Judged) -> Iterable[str]:
        fired = list(dict.fromkeys(r.rule for r in judged.reasons if r.verdict > Verdict.ALLOW))
        got = ", ".join(fired) or "none"
        missing = [rule for rule in self.rules if rule not in fired]
        if missing:
            yield f"rules: expected {', '.join(missing)}, got {got}"
        unwanted = [rule for rule in self.not_rules if rule in fired]
        if unwanted:
            yield f"rules: expected not {', '.join(unwanted)}, got {got}"

    def _reason(self, judged: Judged) -> Iterable[str]:
        texts = [reason.text for reason in judged.reasons]
        for wanted in self.reason:
            if not any(wanted.casefold() in text.casefold() for text in texts):
                yield f"reason: expected one with '{wanted}'" + ("" if texts else ", got none")

    def _budgets(self, judged: Judged) -> Iterable[str]:
        states = judged.decision.budgets
        for name, wanted in (self.budgets or {}).items():
            named = [state for state in states if state.name == name]
            if not named:
                near = did_you_mean(name, [state.name for state in states])
                yield f"budgets: '{name}' is not concerned by this call{near}"
            elif not any(_is_state(state, wanted) for state in named):
                got = " and ".join(_told(state) for state in named)
                yield f"budgets: {name}: expected {_said(wanted)}, got {got}"
        warned = [state.name for state in states if state.warned]
        for name in self.warned:
            if name not in warned:
                yield f"warned: expected {name}, got {', '.join(warned) or 'none'}"

    def _effects(self, judged: Judged) -> Iterable[str]:
        if self.effects is None:
            return
        left = list(judged.effects)
        missing: list[Wanted] = []
        for wanted in sorted(self.effects, key=len, reverse=True):  # the most exact ones first
            fits = next((effect for effect in left if _is_effect(effect, wanted)), None)
            if fits is None:
                missing.append(wanted)
            else:
                left.remove(fits)
        kinds = {wanted["kind"] for wanted in self.effects if len(wanted) == 1}
        left = [
            effect for effect in left if effect["kind"] not in kinds
        ]  # a kind stands for all of it
        if missing or left:
            got = "; ".join(_said(_plain(effect)) for effect in judged.effects) or "none"
            expected = "; ".join(map(_said, self.effects)) or "none"
            yield f"effects: expected {expected}, got {got}"


def read_expectation(part: Part, key: str = "expect") -> Expectation:
    """Reads what stands under a key; a call that says nothing is expected to be allowed."""
    value = part.value.get(key)
    if not isinstance(value, dict):
        word = part.word(key, tuple(VERDICTS))
        return Expectation(VERDICTS.get(word or "allow"))
    inner = part.part(key, f"{part.what}: {key}")
    word = inner.word("verdict", tuple(VERDICTS))
    made = Expectation(
        verdict=VERDICTS.get(word or ""),
        rules=inner.texts("rules"),
        not_rules=inner.texts("not_rules"),
        reason=inner.texts("reason"),
        budgets=_read_budgets(inner) if inner.has("budgets") else None,
        warned=inner.texts("warned"),
        effects=_read_effects(inner) if inner.has("effects") else None,
    )
    inner.end()
    if not inner.value:
        part.fault(key, "expects nothing; write a verdict, or what else is to be looked at")
    return made


def _read_budgets(part: Part) -> dict[str, Wanted]:
    made: dict[str, Wanted] = {}
    for name, value in part.mapping("budgets").items():
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            made[name] = {"after": value}
        elif isinstance(value, dict) and value and set(value) <= set(_BUDGET_KEYS):
            made[name] = value
        else:
            keys = ", ".join(_BUDGET_KEYS)
            text = f"{name}: expected what is used after the call, or a mapping of {keys}"
            part.fault("budgets", text)
    return made


def _read_effects(part: Part) -> tuple[Wanted, ...]:
    value = part.take("effects")
    if not isinstance(value, list):
        part.fault("effects", f"expected a list, got {kind_of(value)}")
        return ()
    made: list[Wanted] = []
    for item in value:
        if isinstance(item, str):
            made.append({"kind": item})
        elif isinstance(item, dict) and set(item) <= set(EFFECT_KEYS) and "kind" in item:
            made.append(item)
        else:
            keys = ", ".join(EFFECT_KEYS)
            part.fault("effects", f"expected effect kinds, or mappings with 'kind' and of {keys}")
    return tuple(made)


def _is_state(state: BudgetState, wanted: Wanted) -> bool:
    stands = {"before": state.before, "after": state.after, "limit": state.limit}
    return all(_is_same(stands[key], value) for key, value in wanted.items())


def _is_effect(effect: Mapping[str, Json], wanted: Wanted) -> bool:
    return all(_is_same(effect.get(key), value) for key, value in wanted.items())


def _is_same(got: Json, wanted: Json) -> bool:
    if got is None or wanted is None:
        return got is wanted
    if isinstance(wanted, int | Decimal) and not isinstance(wanted, bool):
        try:
            return Decimal(str(got)) == wanted
        except InvalidOperation:
            return False
    return str(got) == str(wanted)


def _told(state: BudgetState) -> str:
    return f"{state.after:f} after {state.before:f} of {state.limit:f}"


def _said(wanted: Wanted) -> str:
    if set(wanted) == {"kind"}:
        return str(wanted["kind"])
    return ", ".join(f"{key} {value}" for key, value in wanted.items())


def _plain(effect: Mapping[str, Json]) -> Wanted:
    """An effect without what is not stated, and without what few cases speak of."""
    shown = ("kind", "amount", "unit", "target")
    return {key: effect[key] for key in shown if effect.get(key) is not None}
