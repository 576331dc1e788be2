"""What CEL's compiler says of an expression, in the words of rule files and at the place that is wrong.

What belongs here: reading the compiler's report. Of a syntax error only the first is told, for what follows it is noise;
of two mistakes in names or types both are. An offset counts characters into the expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_PROBLEM = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")
_SELECT = re.compile(r"expression of type '([^']*)' cannot be the operand of a select operation")
_RANGE = re.compile(r"expression of type '([^']*)' cannot be the range of a comprehension")
_RESERVED = re.compile(r"reserved identifier: (\w+)")
_INPUT = re.compile(
    r"(?:extraneous|mismatched|viable alternative at) input '(.*?)'(?: expecting .*)?$"
)
_UNREAD = re.compile(r"token recognition error at: '(.*)'$")

_TYPES = {
    "int": "a whole number",
    "uint": "a whole number",
    "double": "a number with a fraction",
    "string": "text",
    "bool": "true or false",
    "null_type": "null",
    "list": "a list",
    "map": "an object",
    "dyn": "any value",
}
_SIGNS = {
    "=": "to compare, write '=='",
    "===": "to compare, write '=='",
    "!==": "write '!='",
    "<>": "write '!='",
    "=~": 'write x.matches("pattern")',
    "&": "write '&&'",
    "|": "write '||'",
}
_WORDS = {
    "and": "write '&&'",
    "or": "write '||'",
    "not": "write '!x', or '!(x in list)'",
    "is": "write '=='",
    "like": 'write x.matches("pattern")',
    "if": "write condition ? a : b",
    "else": "write condition ? a : b",
}
_QUOTES = (
    "\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb`\u00b4"  # what word processors make of quotes
)
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_MACROS = {
    "has": "has() asks for one field, as in has(args.x)",
    "all": "all() takes a name and a condition, as in args.items.all(x, x > 1)",
    "exists": "exists() takes a name and a condition, as in args.items.exists(x, x > 1)",
    "exists_one": "exists_one() takes a name and a condition, as in args.items.exists_one(x, x > 1)",
    "map": "map() takes a name and an expression, as in args.items.map(x, x.id)",
    "filter": "filter() takes a name and a condition, as in args.items.filter(x, x > 1)",
}


@dataclass(frozen=True, slots=True)
class ExpressionProblem:
    """A mistake found at load: what, and how many characters into the expression."""

    offset: int
    text: str


def read_report(
    text: str, message: str, undeclared: Callable[[str], str]
) -> Iterator[ExpressionProblem]:
    """Yields what the compiler's message says of an expression.

    Args:
        text: the expression.
        message: the compiler's report, a line a mistake.
        undeclared: says of a name that nobody has declared what to write.
    """
    found = [
        (_offset(text, int(at), int(col)), what) for at, col, what in _PROBLEM.findall(message)
    ]
    if not found:
        yield ExpressionProblem(0, message.splitlines()[0].partition(" [")[0])
        return
    syntax = [(at, what) for at, what in found if what.startswith("Syntax error")]
    reserved = [(at, match[1]) for at, what in found if (match := _RESERVED.search(what))]
    if reserved:
        at, word = reserved[0]
        instead = f"; {_WORDS[word]}" if word in _WORDS else ""
        yield ExpressionProblem(at, f"'{word}' is a reserved word of CEL{instead}")
    elif syntax:
        yield _syntax(text, *syntax[0])
    else:
        yield from _meaning(text, found, undeclared)


def _syntax(text: str, at: int, what: str) -> ExpressionProblem:
    if "'<EOF>'" in what:
        opened = _open_bracket(text)
        if opened is not None:
            return ExpressionProblem(opened, f"'{text[opened]}' is not closed")
        return ExpressionProblem(max(len(text.rstrip()) - 1, 0), "the expression ends too early")
    unread = _UNREAD.search(what)
    got = unread[1] if unread else (match[1] if (match := _INPUT.search(what)) else "")
    char = text[at : at + 1]
    if unread and char in ("'", '"'):
        return ExpressionProblem(at, "the text that begins here is not closed")
    if char and char in _QUOTES:
        return ExpressionProblem(at, f"'{char}' is no quote of CEL; write \" or '")
    sign = _run(text, at)
    if sign is not None and text[sign[0] : sign[1]] in _SIGNS:
        written = text[sign[0] : sign[1]]
        return ExpressionProblem(sign[0], f"'{written}' is not CEL; {_SIGNS[written]}")
    word = re.match(r"\w+", text[at:])
    if word is not None and word[0].casefold() in _WORDS:
        return ExpressionProblem(at, f"'{word[0]}' is not CEL; {_WORDS[word[0].casefold()]}")
    before = re.search(r"(?<!\w)not\s*$", text[:at])
    if before is not None:
        return ExpressionProblem(before.start(), f"'not' is not CEL; {_WORDS['not']}")
    if char == "," and text[at - 1 : at].isdigit() and text[at + 1 : at + 2].isdigit():
        return ExpressionProblem(at, "',' cannot stand here; a fraction has a point, as in 1.5")
    if word is not None and text[at - 1 : at] in ("'", '"'):
        quote = text[at - 1]
        return ExpressionProblem(
            at - 1, f"the text ends at this quote; write \\{quote} for one within it"
        )
    said = (word[0] if word is not None else got.strip() or char)[:40]
    if unread:
        return ExpressionProblem(at, f"'{said}' is not CEL; remove it")
    return ExpressionProblem(at, f"'{said}' cannot stand here")


def _meaning(
    text: str, found: list[tuple[int, str]], undeclared: Callable[[str], str]
) -> Iterator[ExpressionProblem]:
    named = [match[1] for _, what in found if (match := _UNDECLARED.search(what))]
    misused = next((name for name in named if name in _MACROS), None)
    for i, (at, what) in enumerate(found):
        if "*error*" in what and i:
            continue  # only says again that the part before it is wrong
        if name := _UNDECLARED.search(what):
            if misused is None:
                yield ExpressionProblem(_start_of(text, name[1], at), undeclared(name[1]))
            elif name[1] == misused:
                yield ExpressionProblem(_start_of(text, misused, at), _MACROS[misused])
        elif overload := _OVERLOAD.search(what):
            yield _overload(text, at, overload[1], _split(overload[2]))
        elif select := _SELECT.search(what):
            field = re.match(r"\s*\.\s*(\w+)", text[at:])
            which = f" '{field[1]}'" if field is not None else "s"
            at += text[at : at + 1] == "("  # of has(x.y)
            yield ExpressionProblem(at, f"{_type(select[1])} has no field{which}")
        elif ranged := _RANGE.search(what):
            yield ExpressionProblem(
                at, f"{_type(ranged[1])} has no items; only a list or an object has"
            )
        elif "has() argument" in what:
            yield ExpressionProblem(_start_of(text, "has", at - 1), _MACROS["has"])
        elif "variable name must be" in what:
            macro = what.partition("()")[0]
            yield ExpressionProblem(at, _MACROS.get(macro, what))
        elif what.startswith("invalid int literal"):
            yield ExpressionProblem(at, "the whole number is too large; write it with a fraction")
        else:
            yield ExpressionProblem(at, what.partition(" [INVALID_ARGUMENT]")[0])


def _overload(text: str, at: int, function: str, types: list[str]) -> ExpressionProblem:
    """Says which operator or function cannot take which types."""
    sign = function.strip("_@")
    if not re.fullmatch(r"\w+", sign) or function == "@in":
        said = _operator(function, sign, types)
        return ExpressionProblem(at, said)
    taken = types
    if re.search(r"\.\s*$", text[: _start_of(text, sign, at)]):
        taken = types[1:]  # the first is what the function is asked of
        on = f" of {_type(types[0])}"
    else:
        on = ""
    got = " and ".join(map(_type, taken)) or "nothing"
    return ExpressionProblem(_start_of(text, sign, at), f"'{sign}'{on} does not take {got}")


def _operator(function: str, sign: str, types: list[str]) -> str:
    said = [_type(kind) for kind in types]
    if function == "@in":
        hint = "; write x.contains(y)" if types[1] == "string" else ""
        if types[1].startswith(("list", "map")):
            return f"'in' does not find {said[0]} in {_of(types[1])}"
        return f"'in' looks in a list or an object, not in {said[1]}{hint}"
    if function == "_?_:_":
        return f"'?' needs two answers of one type, got {said[1]} and {said[2]}"
    if function == "_[_]":
        return f"{said[0]} has no item that {said[1]} names"
    if function in ("_&&_", "_||_", "!_"):
        wrong = next((_type(kind) for kind in types if kind not in ("bool", "dyn")), said[0])
        return f"'{sign}' takes true or false, not {wrong}"
    text = f"'{sign}' does not take {' and '.join(said)}"
    if {"double", "int"} == set(types):
        text += "; write the number with a fraction, such as 3.0, or double(x)"
    return text


def _type(name: str) -> str:
    return _TYPES.get(name.partition("(")[0], name)


def _of(name: str) -> str:
    """Returns "a list of text" for `list(string)`."""
    inside = _split(name.partition("(")[2].removesuffix(")"))
    return f"{_type(name)} of {_type(inside[0])}" if inside else _type(name)


def _split(types: str) -> list[str]:
    """Cuts "list(string), int" at the commas that stand outside of brackets."""
    made, depth, part = [], 0, ""
    for char in types:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            made.append(part.strip())
            part = ""
        else:
            part += char
    return [*made, part.strip()] if part.strip() else made


def _run(text: str, at: int) -> tuple[int, int] | None:
    """Returns where the signs begin and end among which a place is; None where it is not among signs."""
    signs = "=<>!&|~"
    start = end = at
    while start > 0 and text[start - 1] in signs:
        start -= 1
    while end < len(text) and text[end] in signs:
        end += 1
    return (start, end) if end > start else None


def _open_bracket(text: str) -> int | None:
    """Returns where the last bracket stands that is never closed; what is quoted is stepped over."""
    opened: list[int] = []
    at, quote = 0, ""
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([{":
            opened.append(at)
        elif char in _BRACKETS and opened and text[opened[-1]] == _BRACKETS[char]:
            opened.pop()
        at += 1
    return opened[-1] if opened else None


def _offset(text: str, line: int, col: int) -> int:
    lines = text.splitlines(keepends=True)
    return min(sum(map(len, lines[: line - 1])) + col - 1, len(text))


def _start_of(text: str, name: str, offset: int) -> int:
    """CEL points at the dot or the parenthesis behind a name; the name's start reads better."""
    at = text.rfind(name, 0, offset + len(name) + 1)
    return at if at >= 0 and at <= offset <= at + len(name) else offset
