"""A SQL text into statements: bounded, never raising, strict where readings differ.

What belongs here: cutting a text at its semicolons and putting the readings together. A text is
read in its database's dialect in every way of `lexing`; `any` reads it as several databases would,
and what one of them would do counts. Text that cannot be read becomes an opaque statement that says
why; nothing of the text is repeated, for it may hold secrets.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from proxy.model import Json
from proxy.policy.sql.lexing import Unreadable, code_of, readings
from proxy.policy.sql.names import listed
from proxy.policy.sql.schema import ANY, DIALECTS
from proxy.policy.sql.statement import Statement, opaque
from proxy.policy.sql.tree import read_tree
from proxy.policy.sql.words import read_words

# It writes statements that it does not know into the log, with the values in them.
logging.getLogger("sqlglot").disabled = True

_TRIED = ("postgres", "mysql", "sqlite", "tsql")
_SAME = {"mariadb": "mysql"}
_PLAIN = re.compile(r"[\w\s,.()=<>*+;'%!:-]*", re.ASCII)
_ROWS = frozenset({"select", "insert", "update", "delete"})
_NO_SEMICOLONS = frozenset({"tsql"})
"""Dialects in which statements follow each other without a mark between them."""

MOST_CHARACTERS = 65_536
_MOST_TOKENS = 10_000
_MOST_STATEMENTS = 200
_MOST_TEXTS = 20
_DEEPEST = 40
_DEEPEST_READ = 4
_CACHED_CHARACTERS = 4_096

# Whatever a parser of hundreds of thousands of cases does with a text that nobody tried before.
_FAULTS = (
    SqlglotError,
    RecursionError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
)
_STACKED = listed(
    "SELECT INSERT UPDATE DELETE MERGE TRUNCATE DROP CREATE ALTER GRANT REVOKE DENY EXEC EXECUTE "
    "BACKUP RESTORE BULK SHUTDOWN KILL DBCC WAITFOR RECONFIGURE USE"
)
_PIECE = re.compile(r"\[[^\]]*\]|\"[^\"]*\"|'[^']*'|[\w@#$]+|\S")


_BY_WORDS = (exp.Command, exp.Transaction, exp.Commit, exp.Rollback)
"""Trees that show less than the words: `START SLAVE` is a transaction to the parser."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What one way of reading gives; `broken`: by its grammar, the database would refuse it too."""

    statements: tuple[Statement, ...]
    broken: bool = False


def read_sql(text: Json, dialect: str) -> tuple[Statement, ...]:
    """Returns the statements of a SQL text, in order; what cannot be read as an opaque one.

    Args:
        text: the argument as the agent wrote it, or a list of such: the arguments that may hold SQL.
        dialect: one of `schema.DIALECTS`.
    """
    if isinstance(text, list) and 0 < len(text) <= _MOST_TEXTS:
        parts = ({} if isinstance(p, list) else p for p in text if p is not None)
        return tuple(statement for part in parts for statement in read_sql(part, dialect))
    if not isinstance(text, str):
        return (opaque("the argument is not text"),)
    if len(text) > MOST_CHARACTERS:
        return (opaque(f"it is longer than {MOST_CHARACTERS} characters"),)
    if len(text) <= _CACHED_CHARACTERS:
        return _cached(text, dialect)
    return _read(text, dialect)


@lru_cache(maxsize=512)
def _cached(text: str, dialect: str) -> tuple[Statement, ...]:
    return _read(text, dialect)


def _read(text: str, dialect: str) -> tuple[Statement, ...]:
    if dialect not in DIALECTS:
        return (opaque("its dialect is not known"),)
    if dialect != ANY:
        return _in_dialect(text, _SAME.get(dialect, dialect)).statements
    first = _in_dialect(text, _TRIED[0])
    if not first.broken and _same_in_all(text, first.statements):
        return first.statements
    found = [first, *(_in_dialect(text, tried) for tried in _TRIED[1:])]
    whole = [one for one in found if not one.broken]
    if not whole:
        return found[0].statements
    # A database may run the statements ahead of what it cannot read.
    ahead = (tuple(s for s in one.statements if not s.opaque) for one in found if one.broken)
    return _union((*(one.statements for one in whole), *ahead))


def _same_in_all(text: str, statements: tuple[Statement, ...]) -> bool:
    """Tells whether all databases read a text alike: no mark in it that one of them reads differently,
    and nothing but rows read and written."""
    return (
        _PLAIN.fullmatch(text) is not None
        and "--" not in text
        and all(statement.type in _ROWS for statement in statements)
        and not _stacked(text)
    )


def _in_dialect(text: str, dialect: str) -> _Read:
    try:
        ways = readings(text, dialect)
    except Unreadable as error:
        return _Read((opaque(str(error)),), broken=True)
    found: list[tuple[Statement, ...]] = []
    broken = False
    for way in ways:
        read = _in_one_way(way.text, dialect, sure=way.sure)
        found.append(read.statements)
        broken = broken or read.broken
    return _Read(_union(found), broken)


def _union(found: Iterable[tuple[Statement, ...]]) -> tuple[Statement, ...]:
    """Returns the statements of several readings, each reading's repetitions kept."""
    made: list[Statement] = []
    for statements in found:
        left = list(made)
        for statement in statements:
            if statement in left:
                left.remove(statement)
            else:
                made.append(statement)
    return tuple(made)


def _in_one_way(text: str, dialect: str, *, sure: bool, depth: int = 0) -> _Read:
    try:
        tokens = Dialect.get_or_raise(dialect).tokenize(text)
    except _FAULTS:
        return _Read((opaque("it is no SQL"),) if sure else (), broken=sure)
    if len(tokens) > _MOST_TOKENS:
        return _Read((opaque(f"it has more than {_MOST_TOKENS} parts"),))
    if _nesting(tokens) > _DEEPEST:
        return _Read((opaque("it nests too deep"),))
    pieces = _cut(tokens)
    if len(pieces) > _MOST_STATEMENTS:
        return _Read((opaque(f"it has more than {_MOST_STATEMENTS} statements"),))
    made: list[Statement] = []
    broken = False
    for piece in pieces:
        found = _statement(piece, text, dialect, depth)
        if not found and not sure:
            break  # this reading ends at its first mistake; what stood ahead of it has run
        broken = broken or not found
        made += found or [opaque("it cannot be parsed")]
    return _Read(tuple(made), broken)


def _nesting(tokens: list[Token]) -> int:
    deepest = depth = 0
    for token in tokens:
        if token.token_type in (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE):
            depth += 1
            deepest = max(deepest, depth)
        elif token.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END):
            depth -= 1
    return deepest


def _cut(tokens: list[Token]) -> list[list[Token]]:
    pieces: list[list[Token]] = [[]]
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return [piece for piece in pieces if piece]


def _statement(piece: list[Token], text: str, dialect: str, depth: int) -> list[Statement]:
    """Returns what one statement does; nothing where it is none."""
    source = text[piece[0].start : piece[-1].end + 1]
    try:
        code = code_of(source, dialect)
    except Unreadable as error:
        return [opaque(str(error))]
    if dialect in _NO_SEMICOLONS and _stacked(code):
        return [opaque("statements that follow each other without a semicolon")]
    found: list[Statement] | None = None
    try:
        tree = _parse(piece, text, dialect)
        if tree is not None and not isinstance(tree, _BY_WORDS):
            found = read_tree(tree)
    except _FAULTS:
        found = None
    if found and not found[0].opaque:
        return found
    by_words = read_words(code, lambda rest: _again(rest, dialect, depth))
    return by_words or found or []


def _again(rest: str, dialect: str, depth: int) -> list[Statement]:
    """Reads a part of a statement as a statement."""
    if depth >= _DEEPEST_READ:
        return [opaque("it nests too deep")]
    return list(_in_one_way(rest, dialect, sure=True, depth=depth + 1).statements)


def _parse(piece: list[Token], text: str, dialect: str) -> exp.Expr | None:
    parser = Dialect.get_or_raise(dialect).parser(error_level=ErrorLevel.IMMEDIATE)
    trees = parser.parse(piece, text)
    if len(trees) != 1:
        raise ValueError("not one statement")
    return trees[0]


def _stacked(code: str) -> bool:
    """SQL Server runs `SELECT 1 DELETE FROM t` as two statements; a parser sees a column's name."""
    depth = 0
    before = ""
    pieces = _PIECE.findall(code.upper())
    main = "" if not pieces or pieces[0] in ("WITH", "(", "EXPLAIN") else pieces[0]
    for i, word in enumerate(pieces):
        if i == 0 and word == main:
            pass
        elif word == "(":
            depth += 1
        elif word == ")":
            depth -= 1
        elif depth == 0 and word in _STACKED:
            after = pieces[i + 1] if i + 1 < len(pieces) else ""
            if not main:
                main = word
            elif not _belongs(word, main, before, after, i):
                return True
        before = word
    return False


def _belongs(word: str, main: str, before: str, after: str, at: int) -> bool:
    """Tells whether a verb is a part of the statement that began ahead of it."""
    if word == "SELECT" and (
        before in ("UNION", "ALL", "EXCEPT", "INTERSECT") or main in ("INSERT", "CREATE")
    ):
        return True
    if main in ("GRANT", "REVOKE", "DENY"):
        return before in (main, ",")
    if main == "MERGE":
        return before == "THEN"
    if main == "BULK":
        return word == "INSERT" and at == 1
    if main == "DECLARE":
        return word == "SELECT" and before == "FOR"
    if before == "ON":
        return main in ("ALTER", "CREATE") and after in ("CASCADE", "SET", "NO")
    return main == "ALTER" and after in ("COLUMN", "CONSTRAINT", "INDEX", "PARTITION")
