"""A call's arguments as things that can be changed one by one, and which other values are worth trying.

What belongs here: finding the leaves, putting another value in the place of one, and reading off conditions what their parts are
compared with. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from proxy.model import Json
from proxy.policy.cel import GATE, ExpressionErrors, ExpressionFault, Scope
from proxy.policy.celtree import Kind, Node, walk

type Path = tuple[str | int, ...]

MOST_LEAVES = 32
OTHER = "something-else"
"""Stands for any other text."""

_ROOTS = frozenset({"args", "body"})
_CASTS = frozenset({"num", "double", "int", "uint", "string", "host"})


class _Absent:
    """In the place of a value: the argument is left out."""

    def __repr__(self) -> str:
        return "left out"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Candidate:
    """Another value of one argument, and how it is called where it stands for more than itself."""

    path: Path
    value: Json
    words: str = ""


def leaves(arguments: Json) -> dict[Path, Json]:
    """Returns the values that are no list and no object, each by its path."""
    found: dict[Path, Json] = {}
    waiting: list[tuple[Path, Json]] = [((), arguments)]
    while waiting and len(found) < MOST_LEAVES:
        path, value = waiting.pop(0)
        if isinstance(value, dict):
            waiting += [((*path, key), item) for key, item in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, at), item) for at, item in enumerate(value[:8])]
        elif path:
            found[path] = value
    return found


def with_value(arguments: Json, path: Path, value: Json) -> Json:
    """Returns arguments with another value at a path; `ABSENT` takes it out."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(arguments, list) and isinstance(step, int):
        made = list(arguments)
        if rest or value is not ABSENT:
            made[step] = with_value(made[step], rest, value)
        else:
            del made[step]
        return made
    fields: dict[str, Json] = dict(arguments) if isinstance(arguments, dict) else {}
    if rest or value is not ABSENT:
        fields[str(step)] = with_value(fields.get(str(step)), rest, value)
    else:
        fields.pop(str(step), None)
    return fields


def name_of(path: Path, root: str = "args") -> str:
    """Returns a path as expressions write it: args.order.amount, args.items[0]."""
    made = root
    for step in path:
        if isinstance(step, int):
            made += f"[{step}]"
        elif step.isidentifier():
            made += f".{step}"
        else:
            made += f'["{step}"]'
    return made


def path_of(node: Node, aliases: Mapping[str, Path]) -> Path | None:
    """Returns which argument a part of an expression reads; `aliases` are names for some, `effect.amount`."""
    alias = aliases.get(node.dotted or "")
    if alias is not None:
        return alias
    if node.kind is Kind.NAME:
        return () if node.name in _ROOTS else None
    if node.kind is Kind.SELECT:
        before = path_of(node.children[0], aliases)
        return None if before is None else (*before, node.name)
    if node.kind is Kind.INDEX and node.children[1].kind is Kind.LITERAL:
        before, step = path_of(node.children[0], aliases), literal_of(node.children[1])
        return (*before, step) if before is not None and isinstance(step, str | int) else None
    if node.kind is Kind.CALL and node.name in _CASTS and len(node.children) == 1:
        return path_of(node.children[0], aliases)
    return None


def literal_of(node: Node) -> Json:
    """Returns the value of a literal; None for what is none, and for null."""
    if node.kind is not Kind.LITERAL:
        return None
    try:
        return GATE.compile(node.text).value(Scope({}))
    except (ExpressionErrors, ExpressionFault):
        return None


def candidates(
    trees: Iterable[Node], aliases: Mapping[str, Path], values: Mapping[Path, Json]
) -> Iterator[Candidate]:
    """Yields other values of arguments that conditions compare them with."""
    for tree in trees:
        for node in walk(tree):
            yield from _of_part(node, aliases, values)


def _of_part(
    node: Node, aliases: Mapping[str, Path], values: Mapping[Path, Json]
) -> Iterator[Candidate]:
    if node.kind is Kind.RELATION:
        one, other = node.children
        for read, told in ((one, other), (other, one)):
            path = path_of(read, aliases)
            if path:
                yield from _compared(path, told, values)
    elif node.kind is Kind.HAS:
        path = path_of(node.children[0], aliases)
        if path is not None and path in values:
            yield Candidate(path, ABSENT, "left out")
    elif node.kind is Kind.CALL and node.method and len(node.children) == 2:
        path = path_of(node.children[0], aliases)
        text = literal_of(node.children[1])
        if path and isinstance(text, str) and isinstance(values.get(path), str):
            yield from _of_text(path, node.name, text, values[path])


def _compared(path: Path, told: Node, values: Mapping[Path, Json]) -> Iterator[Candidate]:
    listed = told.children if told.kind is Kind.LIST else (told,)
    for literal in map(literal_of, listed):
        if isinstance(literal, str):
            yield Candidate(path, literal)
            if values.get(path) == literal:
                yield Candidate(path, OTHER, f'anything but "{literal}"')
        elif isinstance(literal, int | float) and not isinstance(literal, bool):
            yield Candidate(path, _number(literal))


def _number(value: float) -> Json:
    return value if isinstance(value, int) else Decimal(repr(value))


_TESTS: Mapping[str, tuple[Callable[[str, str], bool], Callable[[str, str], str], str]] = {
    "startsWith": (str.startswith, lambda text, was: text + was, "beginning with"),
    "endsWith": (str.endswith, lambda text, was: was.partition("@")[0] + text, "ending in"),
    "contains": (str.__contains__, lambda text, was: f"{was}{text}", "with"),
}


def _of_text(path: Path, test: str, text: str, was: str) -> Iterator[Candidate]:
    if test == "matches":
        yield Candidate(path, OTHER, f'a text that "{text}" does not match')
        return
    if test not in _TESTS:
        return
    holds, made, words = _TESTS[test]
    if holds(was, text):
        yield Candidate(path, OTHER, f'a text not {words} "{text}"')
    else:
        yield Candidate(path, made(text, was), f'a text {words} "{text}"')
