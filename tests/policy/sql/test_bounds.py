"""The reader never raises, never works without end, and repeats nothing of what it cannot read."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.sql.reader import read_sql
from proxy.policy.sql.schema import DIALECTS

_WORDS = (
    "SELECT INSERT INTO UPDATE SET DELETE FROM WHERE DROP TABLE t a.b * 1 'x' \"y\" `z` [w] ( ) , ; -- "
    "# /* */ /*! $$ $a$ \\ ' \" ` = AND OR NOT IN UNION WITH AS EXEC COPY TO PROGRAM VALUES LIMIT CASE "
    "WHEN THEN END \n \r \t \x00 \u2028 \ud800 GRANT ON EXPLAIN ANALYZE MERGE USING PRAGMA {{ }} U&' E'"
    " N' x'0' @v := :: -> ? $1 %s DO BEGIN DECLARE CURSOR FOR ALTER CREATE LOAD DATA INTO OUTFILE"
)
_PIECES = st.sampled_from(_WORDS.split(" "))
_DIALECT = st.sampled_from(DIALECTS)


@settings(max_examples=400, deadline=None)
@given(st.lists(_PIECES, max_size=25), _DIALECT)
def test_words_in_any_order_never_raise(pieces: list[str], dialect: str) -> None:
    assert isinstance(read_sql(" ".join(pieces), dialect), tuple)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200), _DIALECT)
def test_any_text_never_raises(text: str, dialect: str) -> None:
    assert isinstance(read_sql(text, dialect), tuple)


@settings(max_examples=150, deadline=None)
@given(st.lists(_PIECES, max_size=12), st.sampled_from(["postgres", "mysql", "sqlite", "any"]))
def test_what_follows_a_drop_never_hides_it(pieces: list[str], dialect: str) -> None:
    found = read_sql("DROP TABLE victims; " + " ".join(pieces), dialect)
    assert any(s.opaque or (s.type == "drop" and "victims" in s.tables) for s in found)


@pytest.mark.parametrize("given", [None, 1, 1.5, True, [], {}, [1], [["SELECT 1"]], b"DROP"])
def test_what_is_no_text_is_opaque(given: Any) -> None:
    """Bytes, or an object, are read by some tools; the reader does not guess how."""
    (found,) = read_sql(given, "postgres")
    assert found.opaque
    assert found.why == "the argument is not text"


def test_a_list_is_every_text_in_it() -> None:
    """A rule names all the arguments that may hold SQL: an agent chooses which it fills."""
    found = read_sql(["SELECT 1", "", None, "DROP TABLE x"], "postgres")
    assert [statement.type for statement in found] == ["select", "drop"]


def test_a_dialect_nobody_knows_is_opaque() -> None:
    assert read_sql("SELECT 1", "cobol")[0].opaque


@pytest.mark.parametrize("empty", ["", "  \n", ";;;", "-- nothing", "/* nothing */"])
@pytest.mark.parametrize("dialect", ["postgres", "mysql", "any"])
def test_no_statement_is_none(empty: str, dialect: str) -> None:
    assert read_sql(empty, dialect) == ()


LARGE = {
    "too long": "SELECT 1" + " " * 70_000,
    "parentheses": "SELECT " + "(" * 3_000 + "1" + ")" * 3_000,
    "open parentheses": "(" * 60_000,
    "brackets": "SELECT " + "[" * 30_000,
    "nots": "SELECT " + "NOT " * 5_000 + "true",
    "minuses": "SELECT " + "- " * 5_000 + "1",
    "cases": "SELECT " + "CASE WHEN 1=1 THEN " * 300 + "1" + " END" * 300,
    "statements": "SELECT 1;" * 5_000,
    "columns": "SELECT " + "a," * 20_000 + "a",
    "quotes": "'" * 60_001,
    "pairs of quotes": "SELECT " + "'a'" * 20_000,
    "comments": "/*" * 30_000,
    "dollar quotes": "".join(f"${chr(97 + i % 26)}{i}$ " for i in range(8_000)),
    "cursors": "DECLARE " + "CURSOR " * 9_000,
    "outfiles": "SELECT " + "INTO OUTFILE " * 4_000,
    "deleted tables": " ".join(["DELETE", ",".join(f"t{i}" for i in range(4_000)), "FROM t"]),
    "dots": "SELECT a" + ".b" * 4_500,
    "unions": "SELECT 1 " + "UNION SELECT 1 " * 3_000,
    "values": " ".join(["INSERT INTO t VALUES", ",".join(["(1,'x')"] * 1_600)]),
    "joins": "SELECT * FROM a" + " JOIN a ON 1=1" * 1_200,
    "with": " ".join(["WITH", ",".join(["c AS (SELECT * FROM t)"] * 900), "SELECT 1"]),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("dialect", ["postgres", "mysql", "tsql"])
def test_large_texts_end_in_time(name: str, dialect: str) -> None:
    """The bound is ten times what this class of machine takes."""
    began = time.perf_counter()
    assert isinstance(read_sql(LARGE[name], dialect), tuple)
    assert time.perf_counter() - began < 5


def test_nothing_of_the_text_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    """sqlglot would write what it does not know into the log."""
    secret = "hunter2"
    with caplog.at_level(logging.DEBUG):
        for text in (f"CREATE USER bob PASSWORD '{secret}'", f"FROB '{secret}' x y", f"'{secret}"):
            for statement in read_sql(text, "postgres"):
                assert secret not in repr(statement)
    assert secret not in caplog.text


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_there(dialect: str) -> None:
    (found,) = read_sql("SELECT a FROM t WHERE a = 1", dialect)
    assert (found.type, found.reads, found.has_where) == ("select", ("t",), True)
