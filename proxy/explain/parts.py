"""A value under every part of an expression, by CEL itself.

What belongs here: going through an expression's tree (`policy/celtree.py`) in the order in which CEL asks. How it works. The text of
each part is compiled in the same dialect and asked in the same scope, so that what is told is what the whole was made of.
Parts that CEL does not ask, behind an `&&` that is false already, are told as such. What is asked of each element of a
list is shown for the first few, with the element as a variable of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from cel_expr_python.cel import Type

from proxy.explain.shown import Shown
from proxy.model import Json
from proxy.policy.cel import Dialect, Expression, ExpressionErrors, ExpressionFault, Scope
from proxy.policy.celtree import Kind, Node, parse

MOST_ELEMENTS = 3
"""Of a list, for which it is shown what was asked of them."""
_MOST_PARTS = 200


class State(StrEnum):
    """What became of a part."""

    VALUE = "value"
    FAULT = "fault"  # it gave none; the text says why
    NOT_ASKED = "not-asked"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an expression; `value` may be shown."""

    text: str
    state: State
    value: Json = None
    fault: str = ""
    depth: int = 0  # within elements of lists
    span: tuple[int, int] = (0, 0)
    whole: bool = False  # it is the expression itself
    kind: Kind = Kind.NAME


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found of a part; the real value, for what comes next."""

    state: State
    value: Json = None


_UNKNOWN = _Known(State.FAULT)


@lru_cache(4096)
def _compiled(dialect: Dialect, text: str) -> Expression | None:
    try:
        return dialect.compile(text)
    except ExpressionErrors:
        return None  # it means nothing by itself


@lru_cache(256)
def _with_variable(dialect: Dialect, name: str) -> Dialect:
    return Dialect({**dict.fromkeys(dialect.variables, Type.DYN), name: Type.DYN})


def parts_of(text: str, dialect: Dialect, scope: Scope, shown: Shown) -> tuple[Part, ...]:
    """Returns the parts of an expression, each behind those that it is made of; the whole is the last.

    Args:
        text: the expression.
        dialect: what it is written in.
        scope: what it is asked in.
        shown: takes secrets out.
    """
    asking = _Asking(shown)
    asking.ask(parse(text), dialect, scope, 0)
    return tuple(asking.parts)


@dataclass(slots=True)
class _Asking:
    shown: Shown
    parts: list[Part] = field(default_factory=list)
    _told: dict[tuple[str, int], _Known] = field(default_factory=dict)
    _round: int = 0  # which element's parts these are: they are told anew for each
    _open: int = 0  # how many parts are being gone through

    def ask(self, node: Node, dialect: Dialect, scope: Scope, depth: int) -> _Known:
        """Tells a part and what it is made of; returns what it came to."""
        if node.kind is Kind.LITERAL or len(self.parts) > _MOST_PARTS:
            return self._value(node, dialect, scope)[0]
        name = (node.text, self._round)
        if name in self._told:
            return self._told[name]
        self._inside(node, dialect, scope, depth)
        known, fault = self._value(node, dialect, scope)
        self._told[name] = known
        if not _says_nothing(node):
            self._tell(node, known, fault, depth)
        return known

    def _tell(self, node: Node, known: _Known, fault: str, depth: int) -> None:
        value = self.shown.value(known.value, _field(node)) if known.state is State.VALUE else None
        text = " ".join(node.text.split())
        whole = self._open == 0
        self.parts.append(Part(text, known.state, value, fault, depth, node.span, whole, node.kind))

    def _inside(self, node: Node, dialect: Dialect, scope: Scope, depth: int) -> None:
        self._open += 1
        for child in self._asked(node, dialect, scope, depth):
            self.ask(child, dialect, scope, depth)
        self._open -= 1

    def _asked(self, node: Node, dialect: Dialect, scope: Scope, depth: int) -> Iterator[Node]:
        """Yields the parts that CEL asks, and tells those that it does not."""
        kind = node.kind
        if kind in (Kind.AND, Kind.OR):
            yield from self._until(node.children, kind is Kind.OR, dialect, scope, depth)
        elif kind is Kind.CONDITION:
            yield node.children[0]
            chosen = self._value(node.children[0], dialect, scope)[0].value
            for child, taken in zip(node.children[1:], (True, False), strict=True):
                if chosen is taken:
                    yield child
                else:
                    self._not_asked(child, depth)
        elif kind is Kind.MACRO:
            yield node.children[0]
            self._elements(node, dialect, scope, depth)
        elif kind in (Kind.SELECT, Kind.INDEX) and node.dotted is None:
            # `origin(args.x).user`: what is looked into is told by what is found there.
            yield from _below(node)
        elif kind not in (Kind.SELECT, Kind.HAS, Kind.NAME):
            yield from node.children

    def _until(
        self, nodes: Sequence[Node], end: bool, dialect: Dialect, scope: Scope, depth: int
    ) -> Iterator[Node]:
        ended = False
        for node in nodes:
            if ended:
                self._not_asked(node, depth)
                continue
            yield node
            ended = self._value(node, dialect, scope)[0].value is end

    def _not_asked(self, node: Node, depth: int) -> None:
        if node.kind is not Kind.LITERAL and (node.text, self._round) not in self._told:
            text = " ".join(node.text.split())
            self.parts.append(
                Part(text, State.NOT_ASKED, depth=depth, span=node.span, kind=node.kind)
            )

    def _elements(self, node: Node, dialect: Dialect, scope: Scope, depth: int) -> None:
        found = self._value(node.children[0], dialect, scope)[0].value
        elements = list(found) if isinstance(found, list | dict | tuple) else []
        (name,) = node.variables
        inner = _with_variable(dialect, name)
        before = self._round
        for at, element in enumerate(elements):
            if at == MOST_ELEMENTS:
                text = f"{name}: {len(elements) - at} more"
                self.parts.append(Part(text, State.NOT_ASKED, depth=depth + 1))
                break
            self._round = before * 100 + at + 1
            value = self.shown.value(element)
            self.parts.append(Part(name, State.VALUE, value, depth=depth + 1))
            self._told[name, self._round] = _Known(State.VALUE, element)
            answers = [
                self.ask(child, inner, Scope({name: element}, scope), depth + 1).value
                for child in node.children[1:]
            ]
            if answers and answers[0] is _ENDS.get(node.name):
                break
        self._round = before

    def _value(self, node: Node, dialect: Dialect, scope: Scope) -> tuple[_Known, str]:
        made = _compiled(dialect, node.text)
        if made is None:
            return _UNKNOWN, "it cannot be asked by itself"
        try:
            return _Known(State.VALUE, made.value(scope)), ""
        except (ExpressionFault, RecursionError) as error:
            return _UNKNOWN, self.shown.text(str(error))


_ENDS: Mapping[str, bool] = {"exists": True, "all": False}
"""Macros that are decided by the first element with this answer."""


def _below(node: Node) -> Iterator[Node]:
    """Yields what is asked on the way to a field of something."""
    before = node.children[0]
    if before.kind in (Kind.SELECT, Kind.INDEX) and before.dotted is None:
        yield from _below(before)
    elif before.kind is Kind.CALL and before.name == "origin":
        yield from before.children
    elif before.dotted is None:
        yield before
    yield from node.children[1:]


def _says_nothing(node: Node) -> bool:
    """Whether a part is as plain as its text: a list of literals."""
    return node.kind is Kind.LIST and all(c.kind is Kind.LITERAL for c in node.children)


def _field(node: Node) -> str:
    """Returns the name of the field that a value stands in: what is under `password` is not shown."""
    if node.kind is Kind.SELECT:
        return node.name
    if node.kind is Kind.INDEX and node.children[1].kind is Kind.LITERAL:
        return node.children[1].text.strip("\"'")
    return ""
