"""Conditions in CEL put together from texts of strangers.

What belongs here: literals, and `&&`, `||` and `!` that keep their parts apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

NEVER, ALWAYS = "false", "true"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "null",
        "package",
        "namespace",
        "return",
        "true",
        "var",
        "void",
        "while",
    ]
)


def literal(text: str) -> str:
    """Returns a CEL string literal of this text."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if " " <= char <= "~":
        return char
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def all_of(parts: Iterable[str]) -> str:
    """Returns a condition that is true where all are."""
    listed = [part for part in parts if part != ALWAYS]
    if NEVER in listed:
        return NEVER
    return " && ".join(_apart(part) for part in listed) or ALWAYS


def any_of(parts: Iterable[str]) -> str:
    """Returns a condition that is true where one is."""
    listed = list(dict.fromkeys(part for part in parts if part != NEVER))
    if ALWAYS in listed:
        return ALWAYS
    return " || ".join(_apart(part) for part in listed) or NEVER


def none_of(parts: Iterable[str]) -> str:
    """Returns a condition that is true where none is."""
    joined = any_of(parts)
    if joined in (NEVER, ALWAYS):
        return ALWAYS if joined == NEVER else NEVER
    return f"!({joined})"


def field(root: str, name: str) -> str:
    """Returns a member of an object."""
    plain = _IDENTIFIER.fullmatch(name) and name not in _RESERVED
    return f"{root}.{name}" if plain else f"{root}[{literal(name)}]"


def _apart(part: str) -> str:
    return f"({part})" if "||" in part or "&&" in part or "?" in part else part
