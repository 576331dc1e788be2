"""Fields that a gate reads and a call may not have.

How it works. A field that is missing is an error, and holds the call: right where the field belongs to the tool, a
surprise where the gate is asked about other tools too. So a gate is held against each entry that it may be asked about (by
the kinds and the tools that it names): where the entry's own effects read the field, a call without it is held for that
already; where they do not, the gate says `has(args.x)` first, or `"x" in args`, anywhere in the same `&&` (CEL does not care for
the order), or `!has(args.x) || …`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from proxy.policy.cel import Expression
from proxy.policy.celtree import Kind, Node, conjuncts, parse
from proxy.policy.conditions import about
from proxy.policy.lint.literals import text_of
from proxy.policy.lint.place import related, warning_inside
from proxy.policy.problems import Problem

if TYPE_CHECKING:
    from proxy.policy.gates import Gate
    from proxy.policy.load import Loaded, ToolEntry

_ROOTS = ("args", "body", "query", "headers")

type Guards = frozenset[tuple[str, str]]


def may_fail(loaded: Loaded) -> Iterator[Problem]:
    """Yields gates that read a field which some call that they are asked about need not have."""
    for gate in loaded.gates:
        told: set[tuple[str, str]] = set()
        for root, name, node in _unguarded(parse(gate.when.text), frozenset()):
            if (root, name) in told:
                continue
            without = [tool for tool in _asked_about(gate, loaded.tools) if not _reads(tool, name)]
            if without:
                told.add((root, name))
                yield _warning(gate, root, name, node, without)


def _warning(gate: Gate, root: str, name: str, node: Node, without: Sequence[ToolEntry]) -> Problem:
    more = f" and {len(without) - 1} more" if len(without) > 1 else ""
    text = (
        f"when: '{root}.{name}' may be missing in calls of '{without[0].label}'{more}, which are then held; "
        f"write has({root}.{name}) && … before it"
    )
    where = related(without[0].site, f"tool '{without[0].label}'")
    return warning_inside(
        gate.site.at("when"), gate.when.text, node.span, "may-fail", text, related=[where]
    )


def _asked_about(gate: Gate, tools: Sequence[ToolEntry]) -> Iterator[ToolEntry]:
    """Yields the entries of whose calls the gate may be asked."""
    limits = about(gate.when.text)
    for tool in tools:
        if tool.guesses or tool.reader is not None:
            continue  # their arguments are read by a reader of its own
        if limits is None:
            yield tool
        elif limits.variable == "tool":
            named = tool.names
            if any(_fits(limits.values, limits.prefix, name) for name in named):
                yield tool
        elif any(_fits(limits.values, limits.prefix, e.kind) for e in tool.effects):
            yield tool


def _fits(values: frozenset[str], prefix: str | None, word: str) -> bool:
    return word.startswith(prefix) if prefix is not None else word in values


def _reads(tool: ToolEntry, name: str) -> bool:
    """Whether an entry's own effects speak of a field."""
    field = re.compile(rf"\b(?:args|body|query|path|headers)\.{re.escape(name)}\b")
    for effect in tool.effects:
        for part in (effect.when, effect.amount, effect.unit, effect.target, effect.data):
            if isinstance(part, Expression) and field.search(part.text):
                return True
    return False


# --- what is read unguarded ------------------------------------------------------------------------------
def _unguarded(node: Node, guards: Guards) -> Iterator[tuple[str, str, Node]]:
    """Yields (root, field, its place) of each first field that nothing beside it makes sure of."""
    if node.kind is Kind.HAS:
        return
    if node.kind is Kind.AND:
        inside = guards | {g for child in node.children for c in conjuncts(child) for g in _says(c)}
        for child in node.children:
            yield from _unguarded(child, inside)
    elif node.kind is Kind.OR:
        inside = guards | {g for child in node.children for g in _denies(child)}
        for child in node.children:
            yield from _unguarded(child, inside)
    elif node.kind is Kind.CONDITION:
        test, yes, no = node.children
        said = {g for c in conjuncts(test) for g in _says(c)}
        yield from _unguarded(test, guards)
        yield from _unguarded(yes, guards | said)
        yield from _unguarded(no, guards | set(_denies(test)))
    elif (field := _field(node)) is not None:
        if field not in guards:
            yield (*field, node)
    else:
        for child in node.children:
            yield from _unguarded(child, guards)


def _field(node: Node) -> tuple[str, str] | None:
    """Returns (args, x) of `args.x`, and of `args.x.y` too."""
    while node.kind is Kind.SELECT and node.children[0].kind is Kind.SELECT:
        node = node.children[0]
    if node.kind is Kind.SELECT and node.children[0].kind is Kind.NAME:
        root = node.children[0].name
        return (root, node.name) if root in _ROOTS else None
    return None


def _says(part: Node) -> Iterator[tuple[str, str]]:
    """Yields the fields that are there where a part is true."""
    if part.kind is Kind.HAS:
        field = _field(part.children[0])
        if field is not None:
            yield field
    elif part.kind is Kind.RELATION and part.name == "in":
        name, root = text_of(part.children[0]), part.children[1].dotted
        if name is not None and root in _ROOTS:
            yield str(root), name
    elif part.kind is Kind.OR:  # whichever is true, it is there
        sides = [{g for c in conjuncts(child) for g in _says(c)} for child in part.children]
        yield from frozenset.intersection(*map(frozenset, sides))


def _denies(part: Node) -> Iterator[tuple[str, str]]:
    """Yields the fields that are there where a part is false: those of `!has(args.x)`."""
    if part.kind is Kind.NOT:
        yield from _says(part.children[0])
    elif part.kind is Kind.OR:
        for child in part.children:
            yield from _denies(child)
