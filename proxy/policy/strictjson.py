"""A tool result's text as JSON, where it has one reading.

What belongs here: only this. The wire room has a reader of its own for arguments; siblings do not
import each other. Here a text without a single reading is not an error but `None`: most tools answer
in prose, and a `settle` expression over it then fails and commits.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import NoReturn

from proxy.model import Json


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("duplicate key")
    return made


def _refuse(_: str) -> NoReturn:
    raise ValueError("not JSON")


_decode = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=Decimal, parse_constant=_refuse
).decode


def json_or_none(text: str) -> Json:
    """Returns the JSON value of a text, None where it has none or more than one."""
    try:
        return _decode(text)
    except (ValueError, RecursionError, ArithmeticError):
        return None
