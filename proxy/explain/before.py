"""Calls that could have been made before: what brings the evidence a precondition wants, or clears a chain.

What belongs here: making such a call from an entry of `tools:`, and a result that shows what the precondition asks for. Only
entries with one name, and arguments that are plain paths, can be made up; whoever tries them says whether it came right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from proxy.canonical import digest
from proxy.explain.arguments import literal_of, path_of, with_value
from proxy.explain.listening import Act, Hearing, ListeningRules
from proxy.explain.trial import Asking, Evidence
from proxy.model import Call, Json, Side
from proxy.policy.cel import Expression
from proxy.policy.celtree import Kind, Node, conjuncts, parse
from proxy.policy.chains import CHECKPOINT, Chain
from proxy.policy.effects import CompiledEffect
from proxy.policy.entries import is_glob
from proxy.policy.requires import Require
from proxy.policy.tools import ToolEntry
from proxy.rehearsal.written import json_text

_RESULT = "evidence.result.json"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A call with its result, and how it is told."""

    evidence: Evidence
    text: str


def earlier_calls(
    rule: str, hearings: Sequence[Hearing], rules: ListeningRules, asking: Asking
) -> Iterator[Earlier]:
    """Yields calls that may clear a rule, a precondition or a chain with `unless`."""
    for heard in hearings:
        for at, act in enumerate(heard.acts):
            for require in heard.requires.get(at, ()):
                if require.name == rule:
                    yield from _evidence(require, act, rules, asking)
            for chain in heard.chains:
                if chain.name == rule and chain.concerns(act.effect.kind):
                    yield from _clearing(chain, act, rules, asking)


def _evidence(
    require: Require, act: Act, rules: ListeningRules, asking: Asking
) -> Iterator[Earlier]:
    target = act.effect.target if require.same_target else None
    shown, words = _result_for(require)
    for entry, effect in _entries(rules, require.wants):
        call = _call(entry, effect, target)
        if call is not None:
            said = f"first call {call.name} {json_text(call.arguments)}{words}"
            yield Earlier(Evidence(_made_by(asking, call), shown), said)


def _clearing(chain: Chain, act: Act, rules: ListeningRules, asking: Asking) -> Iterator[Earlier]:
    named = [kind for kind in chain.unless if kind != CHECKPOINT]
    if not named:
        return
    target = act.effect.target if chain.same_target else None
    for entry, effect in _entries(rules, chain.clears):
        call = _call(entry, effect, target)
        if call is not None:
            said = f"first call {call.name} {json_text(call.arguments)}: '{effect.kind}' clears the chain"
            yield Earlier(Evidence(_made_by(asking, call), "{}"), said)


def _entries(rules: ListeningRules, wants: object) -> Iterator[tuple[ToolEntry, CompiledEffect]]:
    for entry in rules.loaded.tools:
        if entry.reader is None and entry.route is None:
            for effect in entry.effects:
                if callable(wants) and wants(effect.kind):
                    yield entry, effect


def _call(entry: ToolEntry, effect: CompiledEffect, target: str | None) -> Call | None:
    """Returns a call with an entry's effect on a target; None where its arguments cannot be made up."""
    name = next((name for name in entry.names if not is_glob(name)), None)
    arguments: Json = {}
    for expression, value in ((effect.target, target or "some"), (effect.amount, Decimal(1))):
        if isinstance(expression, Expression):
            path = path_of(parse(expression.text), {})
            if not path:
                return None
            arguments = with_value(arguments, path, value)
    if name is None or (target is not None and effect.target is None):
        return None
    return Call("call_before", name, arguments, "openai.chat", digest(arguments), Side.MODEL)


def _made_by(asking: Asking, call: Call) -> Asking:
    return replace(asking, call=call, http=None, costs=None)


def _result_for(require: Require) -> tuple[str, str]:
    """Returns a result that shows what a precondition asks for, and how it is told."""
    if require.when is None:
        return "{}", ""
    document: Json = {}
    text = ""
    for part in conjuncts(parse(require.when.text)):
        document = _shown_in(document, part)
        if part.kind is Kind.CALL and part.children and part.children[0].dotted in _TEXTS:
            text += str(literal_of(part.children[1]) or "")
    told = json_text(document) if document else text or "{}"
    return told, f" with a result that shows {require.when.text}"


_TEXTS = ("evidence.result.text", "evidence.text")


def _shown_in(document: Json, part: Node) -> Json:
    negated = part.kind is Kind.NOT
    node = part.children[0] if negated else part
    dotted = node.dotted or ""
    if dotted.startswith(f"{_RESULT}."):
        return with_value(document, _steps(dotted), not negated)
    if node.kind is not Kind.RELATION:
        return document
    for read, told, sign in (
        (node.children[0], node.children[1], node.name),
        (node.children[1], node.children[0], _MIRRORED.get(node.name, node.name)),
    ):
        dotted = read.dotted or ""
        value = _value(told, sign)
        if dotted.startswith(f"{_RESULT}.") and value is not None:
            return with_value(document, _steps(dotted), value)
    return document


_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def _steps(dotted: str) -> tuple[str, ...]:
    return tuple(dotted.removeprefix(f"{_RESULT}.").split("."))


def _value(told: Node, sign: str) -> Json:
    """Returns a value that stands in a relation to a literal."""
    listed = told.children[0] if told.kind is Kind.LIST and told.children else told
    value = _constant(listed)
    if sign in ("==", "<=", ">=", "in"):
        return value
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if sign in (">", "!=") else value - 1
    return f"not-{value}" if sign == "!=" and isinstance(value, str) else None


def _constant(node: Node) -> Json:
    return literal_of(node)
