"""Conditions that pick no row out, in the spellings an agent may try."""

from __future__ import annotations

import pytest

from proxy.policy.sql.reader import read_sql

BOUNDS_NOTHING = [
    "1=1",
    "1 = 1",
    "true",
    "TRUE OR id = 7",
    "id = 7 OR 1=1",
    "id = 7 OR true",
    "1",
    "'a' = 'a'",
    "2 > 1",
    "1 <> 2",
    "NOT false",
    "NOT (1 = 2)",
    "(1=1)",
    "((true))",
    "id = id",
    "t.id = t.id",
    "id >= id",
    "id IS NOT NULL",
    "NOT id IS NULL",
    "id > 0",
    "id >= 0",
    "id > -1",
    "0 < id",
    "-5 <= id",
    "id <> -1",
    "id != ''",
    "NOT id = -1",
    "id NOT IN (-1, 0)",
    "name LIKE '%'",
    "name LIKE '%%'",
    "name ILIKE '%'",
    "name ~ '.*'",
    "id IN (SELECT id FROM t)",
    "id IN (SELECT id FROM t WHERE 1=1)",
    "EXISTS (SELECT 1)",
    "EXISTS (SELECT 1 FROM t)",
    "(SELECT 1) = 1",
    "random() < 2",
    "now() > '2000-01-01'",
    "coalesce(id = 7, true)",
    "CASE WHEN id = 7 THEN true ELSE true END",
    "1=1 AND true",
    "id IS NOT NULL AND 1=1",
]
BOUNDS = [
    "id = 7",
    "id = 7 AND 1=1",
    "id IN (1, 2)",
    "id IN (SELECT id FROM u WHERE old = true)",
    "id IN (SELECT id FROM u LIMIT 3)",
    "name = ''",
    "deleted = true",
    "created_at < '2020-01-01'",
    "total > 100",
    "status <> 'open'",
    "name LIKE 'a%'",
    "parent IS NULL",
    "EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
    "1 = 0",
    "false",
    "NOT active",
    "id BETWEEN 3 AND 5",
    "id = $1",
    "active",
]


@pytest.mark.parametrize("condition", BOUNDS_NOTHING)
@pytest.mark.parametrize("verb", ["DELETE FROM t", "UPDATE t SET a = 1"])
def test_a_condition_that_every_row_meets_is_none(verb: str, condition: str) -> None:
    assert not read_sql(f"{verb} WHERE {condition}", "postgres")[0].has_where


@pytest.mark.parametrize("condition", BOUNDS)
@pytest.mark.parametrize("verb", ["DELETE FROM t", "UPDATE t SET a = 1"])
def test_a_condition_that_picks_rows_is_one(verb: str, condition: str) -> None:
    assert read_sql(f"{verb} WHERE {condition}", "postgres")[0].has_where


def test_thousands_of_alternatives_are_read() -> None:
    """The parser nests them as deep as they are many."""
    many = " ".join(["DELETE FROM t WHERE", " OR ".join(f"id = {i}" for i in range(1_500))])
    assert read_sql(many, "postgres")[0].has_where
    assert not read_sql(many + " OR 1=1", "postgres")[0].has_where
