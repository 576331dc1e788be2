"""An explanation for programs: one JSON object, `docs/rules-explaining.md` has its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from proxy.canonical import json_number
from proxy.explain.findings import (
    Asked,
    BudgetFound,
    ChainFound,
    EffectFound,
    Explanation,
    Place,
    RequireFound,
    RuleFound,
)
from proxy.explain.parts import Part, State
from proxy.explain.way import Way
from proxy.model import Json
from proxy.pipeline.records import rfc3339

type Object = dict[str, Json]


def as_object(told: Explanation) -> Object:
    """Returns what `--json` prints."""
    log = told.log
    return {
        "call": {"name": told.name, "args": _plain(told.arguments)},
        "session": told.session,
        "agent": told.agent,
        "time": rfc3339(told.at_ms),
        "where": told.where or None,
        "verdict": told.verdict.label,
        "would": None if told.would is None else told.would.label,
        "stopped_by": [{"rule": rule, "text": text} for rule, text in told.stopping],
        "approved_by_hold": told.approved or None,
        "entry": {"name": told.entry, **_place(told.entry_place)} if told.entry else None,
        "effects": [_effect(effect) for effect in told.effects],
        "reasons": [_rule(reason) for reason in told.reasons],
        "gates": [_rule(gate) for gate in told.gates],
        "gates_not_concerned": list(told.others),
        "requires": [_require(require) for require in told.requires],
        "chains": [_chain(chain) for chain in told.chains],
        "budgets": [_budget(budget) for budget in told.budgets],
        "signals": list(told.signals),
        "allowed_by": [_way(way) for way in told.ways],
        "allowed_by_all": None if told.all_at_once is None else _way(told.all_at_once),
        "log": None
        if log is None
        else {
            "seq": log.seq,
            "verdict": log.verdict,
            "rules": log.rules,
            "same_rules": log.same_rules,
            "agrees": log.verdict == log.today,
            "reasons": list(log.reasons),
            "notes": list(log.notes),
        },
        "notes": list(told.notes),
    }


def _place(place: Place | None) -> Object:
    if place is None:
        return {"file": None, "line": None, "col": None}
    return {"file": place.file, "line": place.line, "col": place.col}


def _expressions(asked: Sequence[Asked]) -> list[Object]:
    return [
        {
            "about": one.about or None,
            "text": one.text,
            **_place(one.place),
            "parts": [_part(part) for part in one.parts],
        }
        for one in asked
    ]


def _part(part: Part) -> Object:
    made: Object = {"text": part.text, "state": part.state.value, "span": list(part.span)}
    if part.state is State.VALUE:
        made["value"] = _plain(part.value)
    if part.state is State.FAULT:
        made["fault"] = part.fault
    return {**made, "depth": part.depth}


def _effect(found: EffectFound) -> Object:
    return {
        **{name: _plain(value) for name, value in found.effect.items()},
        "counted": found.counted,
        "entry": found.entry or None,
        **_place(found.place),
        "expressions": _expressions(found.expressions),
        "faults": list(found.faults),
    }


def _rule(found: RuleFound) -> Object:
    return {
        "name": found.name,
        **_place(found.place),
        "came": found.came.value,
        "verdict": found.verdict.label,
        "shadow": found.shadow,
        "text": found.text,
        "expressions": _expressions(found.expressions),
    }


def _require(found: RequireFound) -> Object:
    return {
        "name": found.name,
        **_place(found.place),
        "met": found.came.value == "not-matched",
        "verdict": found.verdict.label,
        "shadow": found.shadow,
        "evidence": found.wanted,
        "target": found.target,
        "found": found.found,
        "text": found.text or None,
        "expressions": _expressions(found.expressions),
    }


def _chain(found: ChainFound) -> Object:
    return {
        "name": found.name,
        **_place(found.place),
        "completed": found.came.value == "matched",
        "verdict": found.verdict.label,
        "shadow": found.shadow,
        "before": found.before,
        "after": found.after,
        "steps": [
            {"of": step.what, "state": step.state, "via": step.via or None, "at_ms": step.at_ms}
            for step in found.steps
        ],
        "note": found.note or None,
    }


def _budget(found: BudgetFound) -> Object:
    return {
        "name": found.name,
        **_place(found.place),
        "scope": found.scope,
        "before": json_number(found.before),
        "after": json_number(found.after),
        "limit": json_number(found.limit),
        "unit": found.unit,
        "exceeded": found.exceeded,
        "warned": found.warned,
        "verdict": found.verdict.label,
        "shadow": found.shadow,
        "note": found.note or None,
    }


def _way(way: Way) -> Object:
    return {
        "kind": way.kind,
        "rule": way.rule or None,
        "text": way.text,
        "changes": {name: _plain(value) for name, value in way.changes},
        "allows": way.allows,
        "remaining": list(way.remaining),
        "tried": way.tried,
        "yaml": list(way.yaml),
    }


def _plain(value: Json) -> Json:
    if isinstance(value, Decimal):
        return json_number(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
