"""The reader against a real database: what SQLite did to a table, the reader has seen coming.

Fragments that cut, quote and hide are strung together at random; SQLite runs what comes out. Where
the table is another one afterwards, the reader must have named it as written to, or given up.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.policy.sql.reader import read_sql

WRITES = [
    "DELETE FROM victims",
    "DROP TABLE victims",
    "UPDATE victims SET a=1",
    "INSERT INTO victims VALUES (1)",
    "REPLACE INTO victims VALUES (2)",
    "ALTER TABLE victims ADD b",
    'DELETE FROM "victims"',
    "DELETE FROM main.[victims]",
    "WITH c AS (SELECT 1) DELETE FROM victims",
]
HIDES = [
    *["'", '"', "`", "[", "]", "--", "-- \n", "/*", "*/", "/**/", "/*!", "#", "\\", "''", '""'],
    *[
        ";",
        "; ",
        "\n",
        "\r\n",
        "\t",
        ",",
        "(",
        ")",
        "$$",
        "$a$",
        "E'",
        "N'",
        "x'",
        "{{",
        "}}",
        "||",
    ],
    *["SELECT ", "SELECT 1", " WHERE 1=1", " WHERE a='x'", " FROM t", " AS ", "EXPLAIN ", "BEGIN;"],
    *["END;", "x", "1", "t", "@a", ":a", "?", "main.", "\u00e9", " RETURNING a"],
    *[" ON CONFLICT DO NOTHING", " UNION SELECT a FROM t", "CREATE TABLE u AS SELECT 1"],
]


def changes(text: str) -> bool:
    """Tells whether SQLite, given the text, leaves another table than it found."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(
            "CREATE TABLE victims(a); CREATE TABLE t(a); INSERT INTO victims VALUES (7)"
        )
        with suppress(sqlite3.Error, sqlite3.Warning, ValueError):
            database.executescript(text)
        try:
            return database.execute("SELECT * FROM victims").fetchall() != [(7,)]
        except sqlite3.Error:
            return True


@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.sampled_from(HIDES), max_size=8),
    st.sampled_from(WRITES),
    st.lists(st.sampled_from([*HIDES, *WRITES]), max_size=6),
)
@example(["SELECT 1", " ", "--", "\n", ";"], WRITES[0], [])
@example(["/*!", "*/"], WRITES[1], [])
@example(["SELECT ", "'\\'", ";"], WRITES[1], ["--", "'"])
def test_no_write_is_missed(before: list[str], write: str, after: list[str]) -> None:
    text = "".join([*before, write, *after])
    if not changes(text):
        return
    for dialect in ("sqlite", "any"):
        found = read_sql(text, dialect)
        assert any(s.opaque or "victims" in s.tables for s in found), text
