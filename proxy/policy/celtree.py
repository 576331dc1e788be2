"""The text of a CEL expression as a tree, each part with its place in the text.

What belongs here: the grammar (https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax, read 2026-11) and
nothing of what values mean: `cel.py` compiles and evaluates. The library checks an expression, but gives its tree only as
operators at single places, with macros expanded; to show a person what a part of a condition is, the text of that part
is needed.

How it works. A recursive descent, one method a level of precedence. A span is the text of a part without the
parentheses around it; `outer` is the span with them. `a && b && c` is one node with three children, however CEL groups it.
Text that is not understood becomes one opaque node: the tree is for explaining and warning, it decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

type Span = tuple[int, int]


class Kind(StrEnum):
    """What a part is."""

    LITERAL = "literal"
    NAME = "name"
    SELECT = "select"  # a.b
    INDEX = "index"  # a[b]
    CALL = "call"  # f(a), a.f(b); of the latter `a` is the first child
    HAS = "has"  # has(a.b); the child is `a.b`, which is not asked for its value
    MACRO = "macro"  # list.exists(x, p): children are the list, then what is asked of each element
    NOT = "not"
    MINUS = "minus"
    AND = "and"
    OR = "or"
    CONDITION = "condition"  # a ? b : c
    RELATION = "relation"  # == != < <= > >= in
    ARITHMETIC = "arithmetic"  # + - * / %
    LIST = "list"
    MAP = "map"  # children are keys and values by turns
    MESSAGE = "message"  # T{field: value}; children are the values
    OPAQUE = "opaque"


@dataclass(frozen=True, slots=True)
class Node:
    """One part of an expression; offsets count characters of the whole text, from 0."""

    kind: Kind
    start: int
    end: int
    text: str
    children: tuple[Node, ...] = ()
    name: str = ""  # a name, field, function, macro, operator, or a message's type
    variables: tuple[str, ...] = ()  # that a macro binds in its later children
    method: bool = False  # of a call: the first child is what stands before the dot
    outer: Span = field(default=(0, 0), compare=False)  # with the parentheses around it

    @property
    def span(self) -> Span:
        return self.start, self.end

    @property
    def dotted(self) -> str | None:
        """Names joined by dots, `effect.kind`; None for what is more than those."""
        if self.kind is Kind.NAME:
            return self.name.removeprefix(".")
        if self.kind is not Kind.SELECT:
            return None
        before = self.children[0].dotted
        return None if before is None else f"{before}.{self.name}"


def parse(text: str) -> Node:
    """Returns the tree of an expression; of text that is not understood, one opaque node. Never raises."""
    try:
        return _Parser(text).whole()
    except (_NotUnderstoodError, RecursionError):
        start = len(text) - len(text.lstrip())
        end = max(start, len(text.rstrip()))
        return Node(Kind.OPAQUE, start, end, text[start:end], outer=(start, end))


def walk(node: Node) -> Iterator[Node]:
    """Yields a node and all below it, each before its children, in the order of the text."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += reversed(one.children)


def conjuncts(node: Node) -> tuple[Node, ...]:
    """Returns what must all be true: the parts of an `&&`, through parentheses, else the node alone."""
    if node.kind is not Kind.AND:
        return (node,)
    return tuple(part for child in node.children for part in conjuncts(child))


class _NotUnderstoodError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # name, field, number, text, sign, end
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


_SKIP = re.compile(r"(?:[ \t\r\n\f]|//[^\n]*)*")
_QUOTED = (
    r"[rR](?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|\"[^\"\n\r]*\"|'[^'\n\r]*')"
    r"|\"\"\"(?:\\[\s\S]|[^\\])*?\"\"\"|'''(?:\\[\s\S]|[^\\])*?'''"
    r"|\"(?:\\.|[^\"\\\n\r])*\"|'(?:\\.|[^'\\\n\r])*'"
)
_TOKEN = re.compile(
    rf"(?P<text>[bB]?(?:{_QUOTED}))"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|[0-9]+[uU]?)"
    r"|(?P<field>`[A-Za-z0-9_.\-/ ]+`)"
    r"|(?P<sign>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()\[\]{}])",
    re.ASCII,
)
_RELATIONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_WORDS = frozenset({"true", "false", "null"})
_MACROS = {
    "all": (2,),
    "exists": (2,),
    "exists_one": (2,),
    "existsOne": (2,),
    "filter": (2,),
    "map": (2, 3),
}
"""Macros over a list or a map, and how many arguments each has: the first names the element."""


def _tokens(text: str) -> list[_Token]:
    made: list[_Token] = []
    skipped = _SKIP.match(text, 0)
    at = skipped.end() if skipped else 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise _NotUnderstoodError
        made.append(_Token(found.lastgroup, found[0], at))
        skipped = _SKIP.match(text, found.end())
        at = skipped.end() if skipped else found.end()
    made.append(_Token("end", "", len(text)))
    return made


class _Parser:
    """One text on its way into a tree."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0

    def whole(self) -> Node:
        made = self._condition()
        if self._next.kind != "end":
            raise _NotUnderstoodError
        return made

    # --- tokens ------------------------------------------------------------------------------------
    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _sees(self, *texts: str) -> bool:
        token = self._next
        return token.text in texts and (token.kind == "sign" or token.text == "in")

    def _took(self, text: str) -> bool:
        if not self._sees(text):
            return False
        self._at += 1
        return True

    def _need(self, text: str) -> _Token:
        if not self._sees(text):
            raise _NotUnderstoodError
        return self._take()

    def _node(
        self,
        kind: Kind,
        start: int,
        children: Sequence[Node] = (),
        name: str = "",
        variables: tuple[str, ...] = (),
        *,
        method: bool = False,
    ) -> Node:
        """Makes a node from `start` to the last token that was taken."""
        end = self._tokens[self._at - 1].end
        text = self._text[start:end]
        return Node(kind, start, end, text, tuple(children), name, variables, method, (start, end))

    # --- from the loosest to the tightest ------------------------------------------------------------
    def _condition(self) -> Node:
        asked = self._or()
        if not self._took("?"):
            return asked
        then = self._or()
        self._need(":")
        otherwise = self._condition()
        return self._node(Kind.CONDITION, asked.outer[0], (asked, then, otherwise), "?:")

    def _or(self) -> Node:
        return self._joined(Kind.OR, "||", self._and)

    def _and(self) -> Node:
        return self._joined(Kind.AND, "&&", self._relation)

    def _joined(self, kind: Kind, sign: str, tighter: Callable[[], Node]) -> Node:
        parts = [tighter()]
        while self._took(sign):
            parts.append(tighter())
        if len(parts) == 1:
            return parts[0]
        return self._node(kind, parts[0].outer[0], parts, sign)

    def _relation(self) -> Node:
        return self._binary(Kind.RELATION, _RELATIONS, self._addition)

    def _addition(self) -> Node:
        return self._binary(Kind.ARITHMETIC, frozenset("+-"), self._multiplication)

    def _multiplication(self) -> Node:
        return self._binary(Kind.ARITHMETIC, frozenset("*/%"), self._unary)

    def _binary(self, kind: Kind, signs: frozenset[str], tighter: Callable[[], Node]) -> Node:
        made = tighter()
        while self._sees(*signs):
            sign = self._take().text
            other = tighter()
            made = self._node(kind, made.outer[0], (made, other), sign)
        return made

    def _unary(self) -> Node:
        if self._sees("!"):
            start = self._take().start
            return self._node(Kind.NOT, start, (self._unary(),), "!")
        if self._sees("-") and self._tokens[self._at + 1].kind != "number":
            start = self._take().start
            return self._node(Kind.MINUS, start, (self._unary(),), "-")
        return self._member()

    def _member(self) -> Node:
        made = self._primary()
        while self._sees(".", "["):
            start = made.outer[0]
            if self._took("["):
                self._took("?")
                index = self._condition()
                self._need("]")
                made = self._node(Kind.INDEX, start, (made, index))
                continue
            self._take()
            self._took("?")
            token = self._take()
            if token.kind not in ("name", "field"):
                raise _NotUnderstoodError
            name = token.text.strip("`")
            if token.kind == "name" and self._sees("("):
                made = self._method(made, name)
            else:
                made = self._node(Kind.SELECT, start, (made,), name)
        return made

    def _method(self, before: Node, name: str) -> Node:
        arguments = self._arguments()
        start = before.outer[0]
        names = arguments[:1]
        if len(arguments) in _MACROS.get(name, ()) and names[0].kind is Kind.NAME:
            children = (before, *arguments[1:])
            return self._node(Kind.MACRO, start, children, name, (names[0].name,))
        return self._node(Kind.CALL, start, (before, *arguments), name, method=True)

    def _arguments(self) -> tuple[Node, ...]:
        self._need("(")
        return self._items(")")

    def _items(self, end: str) -> tuple[Node, ...]:
        """Reads expressions with commas between them, and the sign that ends them."""
        made: list[Node] = []
        while not self._took(end):
            if made:
                self._need(",")
                if end != ")" and self._took(end):
                    break  # a comma may stand behind the last item of a list
            self._took("?")
            made.append(self._condition())
        return tuple(made)

    def _primary(self) -> Node:
        token = self._take()
        if token.kind in ("number", "text") or token.text in _WORDS:
            return self._node(Kind.LITERAL, token.start)
        if token.kind == "name":
            return self._named(token, token.text)
        if token.kind != "sign":
            raise _NotUnderstoodError
        if token.text == "-":
            self._take()  # a number: `_unary` has looked
            return self._node(Kind.LITERAL, token.start)
        if token.text == "(":
            inner = self._condition()
            close = self._need(")")
            return replace(inner, outer=(token.start, close.end))
        if token.text == "[":
            return self._node(Kind.LIST, token.start, self._items("]"))
        if token.text == "{":
            return self._node(Kind.MAP, token.start, self._pairs())
        if token.text == "." and self._next.kind == "name":
            return self._named(token, f".{self._take().text}")
        raise _NotUnderstoodError

    def _named(self, token: _Token, name: str) -> Node:
        if name == "in":
            raise _NotUnderstoodError
        if self._sees("("):
            arguments = self._arguments()
            kind = Kind.HAS if name == "has" and len(arguments) == 1 else Kind.CALL
            return self._node(kind, token.start, arguments, name)
        message = self._message(token, name)
        return message or self._node(Kind.NAME, token.start, name=name)

    def _message(self, token: _Token, name: str) -> Node | None:
        """Reads `a.b.T{field: value}`; None, with nothing read, for what is none."""
        back = self._at
        while self._took("."):
            if self._next.kind != "name":
                break
            name += f".{self._take().text}"
        if not self._took("{"):
            self._at = back
            return None
        made: list[Node] = []
        while not self._took("}"):
            if made:
                self._need(",")
                if self._took("}"):
                    break
            self._took("?")
            if self._take().kind not in ("name", "field"):
                raise _NotUnderstoodError
            self._need(":")
            made.append(self._condition())
        return self._node(Kind.MESSAGE, token.start, made, name)

    def _pairs(self) -> tuple[Node, ...]:
        made: list[Node] = []
        while not self._took("}"):
            if made:
                self._need(",")
                if self._took("}"):
                    break
            self._took("?")
            made.append(self._condition())
            self._need(":")
            made.append(self._condition())
        return tuple(made)
