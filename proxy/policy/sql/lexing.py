"""In which ways a database may cut a text into strings, comments and statements.

What belongs here: what hides a statement from a parser and not from a database. MySQL runs what
stands in `/*!50000 … */`, and `--1` is no comment to it; whether a backslash ends a string is a
setting of MySQL and PostgreSQL; comments nest in some databases. Where a second reading is possible,
it is given beside the first, and both count; where nobody can tell, the text is opaque.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MYSQL = frozenset({"mysql", "doris", "starrocks", "singlestore"})
POSTGRES = frozenset({"postgres", "redshift", "materialize", "risingwave"})
_HASHES = MYSQL | {"bigquery", "clickhouse"}
_SLASHES = frozenset({"snowflake"})
_DOLLARS = POSTGRES | {"duckdb", "snowflake", "clickhouse"}
_BRACKETS = frozenset({"tsql", "sqlite", "fabric"})
_ESCAPES = MYSQL | {
    "bigquery",
    "snowflake",
    "redshift",
    "clickhouse",
    "spark",
    "databricks",
    "hive",
}

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029]|\r(?!\n)|[\ud800-\udfff]")
_JINJA = re.compile(r"\{[{%#]")
_UNICODE_NAME = re.compile(r"(?<![\w$])[uU]&[\"']")
_VERSIONED = re.compile(r"/\*M?!([0-9]{5,6})?")
_VERSION = re.compile(r"M?!([0-9]{5,6})?")
_MOST_VERSIONS = 6


class Unreadable(ValueError):
    """Why a text has no reading at all; repeats none of it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a text. A `sure` one must be readable to its end, others count as far as they go."""

    text: str
    sure: bool = True


def readings(text: str, dialect: str) -> tuple[Reading, ...]:
    """Returns the readings of a text in one dialect, the plain one first.

    Raises:
        Unreadable: nobody can tell.
    """
    if _CONTROL.search(text):
        raise Unreadable("control characters, which databases read differently")
    code = _plain(text, dialect, escapes=dialect in _ESCAPES)
    if code is None:
        # The parser says the same of a string without an end, and says it of every dialect.
        raise Unreadable("a string or a comment without an end")
    if _JINJA.search(code):
        raise Unreadable("a template, not SQL")
    if _UNICODE_NAME.search(code):
        raise Unreadable("names or text written as Unicode escapes")
    if any(_odd(char) for char in code if char > "\x7f"):
        raise Unreadable("characters outside of text that only look like spaces or quotes")
    made = [Reading(text)]
    if dialect in MYSQL:
        if _VERSIONED.search(text) or "--" in text:
            versions = sorted({int(mark[1] or 0) for mark in _VERSIONED.finditer(text)})
            if len(versions) > _MOST_VERSIONS:
                raise Unreadable("code for many versions of MySQL")
            # A server runs what is meant for its version and older ones: which it is nobody knows.
            for newest in versions or [0]:
                expanded = _plain(text, dialect, escapes=True, keep=True, newest=newest)
                if expanded is not None:
                    made.append(Reading(expanded, sure=len(versions) < 2))
        if _has_escaped_quote(text):
            other = _plain(text, dialect, escapes=False, keep=True)
            if other is not None:
                made.append(Reading(other, sure=False))
    elif dialect in POSTGRES and _has_escaped_quote(text):
        other = _plain(text, dialect, escapes=dialect not in _ESCAPES, keep=True)
        if other is not None:
            made.append(Reading(other, sure=False))
    return tuple(made)


def code_of(text: str, dialect: str) -> str:
    """Returns a piece of a text as code alone: no comments, strings without quotes in them.

    Raises:
        Unreadable: it has no single reading.
    """
    code = _plain(text, dialect, escapes=dialect in _ESCAPES, keep=True)
    if code is None:
        raise Unreadable("a string or a comment without an end")
    return code


def _has_escaped_quote(text: str) -> bool:
    return "\\'" in text or '\\"' in text


def _odd(char: str) -> bool:
    kind = unicodedata.category(char)
    return kind[0] in "ZCP" or unicodedata.normalize("NFKC", char)[:1] < "\x80"


def _plain(
    text: str, dialect: str, *, escapes: bool, keep: bool = False, newest: int = 999_999
) -> str | None:
    """Returns the code alone: strings emptied (or, with `keep`, written without any doubt), comments gone.

    `newest`: MySQL's code for later versions than this is a comment.

    None: a string or comment has no end.

    Raises:
        Unreadable: a comment in a comment.
    """
    pieces = _pieces(dialect, escapes)
    made: list[str] = []
    at = 0
    versioned = 0
    while at < len(text):
        found = pieces.match(text, at)
        if found is None:
            return None
        piece, kind, at = found[0], found.lastgroup, found.end()
        if kind == "block":
            inside = piece[2:-2]
            mark = _VERSION.match(inside) if dialect in MYSQL else None
            if mark is not None and int(mark[1] or 0) <= newest:
                # MySQL goes on reading code behind the mark, up to a `*/` outside of strings.
                at = found.start() + 2 + mark.end()
                versioned += 1
                made.append(" ")
                continue
            if "/*" in inside:
                raise Unreadable("a comment in a comment, which databases read differently")
            made.append(" ")
        elif kind == "open":
            return None  # a dollar quote that nothing closes
        elif kind == "line":
            made.append("\n")
        elif kind == "close":
            if not versioned:
                made.append("* /")  # multiplied and divided: no SQL, and the parser says so
            else:
                versioned -= 1
                made.append(" ")
        elif kind == "dashes":
            made.append("- -")
        elif kind == "string":
            body = re.sub(r"[^\w ./:@%*-]", "_", piece.strip("'\"$")) if keep else ""
            made.append(f"'{body}'")
        elif kind == "name":
            made.append(piece if keep else f'"{piece[1:-1] and "x"}"')
        else:
            made.append(piece)
    return None if versioned else "".join(made)


_COMPILED: dict[tuple[str, bool], re.Pattern[str]] = {}


def _pieces(dialect: str, escapes: bool) -> re.Pattern[str]:
    key = (dialect, escapes)
    if key not in _COMPILED:
        _COMPILED[key] = re.compile(_pattern(dialect, escapes), re.DOTALL)
    return _COMPILED[key]


def _pattern(dialect: str, escapes: bool) -> str:
    quoted = r"{0}(?:[^{0}\\]|\\.|{0}{0})*+{0}" if escapes else r"{0}(?:[^{0}]|{0}{0})*+{0}"
    strings = [quoted.format("'")]
    names = []
    if dialect in POSTGRES:
        strings.insert(0, r"(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*+'")
    if dialect == "bigquery":
        strings[:0] = [r'"""(?:[^\\]|\\.)*?"""', r"'''(?:[^\\]|\\.)*?'''"]
    if dialect in MYSQL | {"bigquery", "spark", "databricks", "hive"}:
        strings.append(quoted.format('"'))
    else:
        names.append(r'"(?:[^"]|"")*+"')
    if dialect in _DOLLARS:
        strings.append(r"(?<![\w$])\$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?(tag)(?P=tag))\$")
    if dialect not in POSTGRES | {"tsql", "fabric", "snowflake", "oracle"}:
        names.append(r"`(?:[^`]|``)*+`")
    if dialect in _BRACKETS:
        names.append(r"\[(?:[^\]]|\]\])*+\]")
    opening = (
        r"(?P<open>(?<![\w$])\$(?:[A-Za-z_]\w*)?\$)" if dialect in _DOLLARS else r"(?P<open>(?!))"
    )
    dashes = r"--(?=[\x00-\x20]|\Z)[^\n]*" if dialect in MYSQL else r"--[^\n]*"
    lines = [dashes]
    if dialect in _HASHES:
        lines.append(r"\#[^\n]*")
    if dialect in _SLASHES:
        lines.append(r"//[^\n]*")
    ends = r"'\"`" if dialect not in POSTGRES | {"tsql", "snowflake", "oracle"} else r"'\""
    if dialect in _BRACKETS:
        ends += r"\["
    return "|".join(
        [
            rf"(?P<string>{'|'.join(strings)})",
            rf"(?P<name>{'|'.join(names)})" if names else r"(?P<name>(?!))",
            opening,
            r"(?P<block>/\*.*?\*/)",
            rf"(?P<line>{'|'.join(lines)})",
            r"(?P<close>\*/)",
            r"(?P<dashes>--)",
            rf"(?P<code>[\w\s,.()=;]+|(?!/\*)[^{ends}])",
        ]
    )
