"""The words of `statements:` entries and of `dialect:`, as a rule file may write them.

What belongs here: the checks of those words for the file's shape (`policy/schema.py` has the
entries themselves), with the databases that a rule file may name.
"""

from __future__ import annotations

from pydantic_core import PydanticCustomError

from proxy.model import Json
from proxy.policy.amounts import json_type
from proxy.policy.problems import did_you_mean
from proxy.policy.sql.statement import TYPES

ANY = "any"
DIALECTS = (
    ANY,
    "postgres",
    "mysql",
    "mariadb",
    "sqlite",
    "tsql",
    "bigquery",
    "snowflake",
    "redshift",
    "duckdb",
    "oracle",
    "clickhouse",
    "databricks",
    "spark",
    "hive",
    "trino",
    "presto",
    "athena",
)
"""What a rule file may name as `dialect:`; `any` where the database is not known."""


def statement_types(value: Json) -> tuple[str, ...]:
    """Returns the types that `statement:` names: one, or a list of them.

    Raises:
        PydanticCustomError: it names another.
    """
    listed = value if isinstance(value, list | tuple) else [value]
    if not listed:
        raise _fault("expected a type of statement or a list of them, got an empty list")
    return tuple(_one_of(item, TYPES, "a type of statement") for item in listed)


def sql_dialect(value: Json) -> str:
    """Returns the database that `dialect:` names.

    Raises:
        PydanticCustomError: the reader does not know it.
    """
    return _one_of(value, DIALECTS, "the name of a database")


def _one_of(value: Json, words: tuple[str, ...], what: str) -> str:
    if not isinstance(value, str):
        raise _fault(f"expected {what}, got {json_type(value)}")
    if value not in words:
        near = did_you_mean(value, words)
        raise _fault(f"'{value}' is not one of {', '.join(words)}{near}")
    return value


def _fault(text: str) -> PydanticCustomError:
    return PydanticCustomError("checkrein", "{text}", {"text": text})
