"""Amounts and targets read from what a model wrote, exactly or not at all.

What belongs here: the one reading of a number that a budget adds up. A tool may read a value more
generously than we do ("1e3", "45,00", full-width digits); every such form is a fault, and a fault
holds the call, because a sum over guesses is no limit.
"""

from __future__ import annotations

import re
from decimal import Decimal

from proxy.model import Json

MAX_DIGITS = 18
"""Digits before, and digits after the point: beyond any money, within any ledger."""

_TEXT_AMOUNT = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_TEXT_LIMIT = 2 * MAX_DIGITS + 1


class AmountFault(ValueError):
    """Why a value is not an amount; the text never repeats the value."""


def read_amount(value: Json) -> Decimal:
    """Returns the exact, non-negative amount a JSON value stands for.

    Raises:
        AmountFault: it stands for none, or for more than one.
    """
    kind = type(value)
    if kind is int:
        if value < 0:
            raise AmountFault("is negative")
        if value >= 10**MAX_DIGITS:
            raise AmountFault(f"has more than {MAX_DIGITS} digits before the point")
        return Decimal(value)
    if kind is Decimal:
        return _decimal(value)
    if kind is float:
        return _decimal(Decimal(repr(value)))
    if kind is str:
        if len(value) > _TEXT_LIMIT or not _TEXT_AMOUNT.fullmatch(value):
            raise AmountFault("is text that is not a plain decimal number such as 45.00")
        return _decimal(Decimal(value))
    raise AmountFault(f"is {json_type(value)}, not a number")


def _decimal(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise AmountFault("is not finite")
    if value < 0:
        raise AmountFault("is negative")
    if not value:
        return Decimal(0)
    if value.adjusted() >= MAX_DIGITS:
        raise AmountFault(f"has more than {MAX_DIGITS} digits before the point")
    if value.adjusted() < -MAX_DIGITS:
        raise AmountFault(f"has more than {MAX_DIGITS} digits after the point")
    # One spelling a number: "45", "45.00" and 4.5e1 are the same entry in the ledger. By text, for
    # Decimal.normalize rounds to the context's 28 digits.
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    _, _, fraction = text.partition(".")
    if len(fraction) > MAX_DIGITS:
        raise AmountFault(f"has more than {MAX_DIGITS} digits after the point")
    return Decimal(text)


def read_target(value: Json) -> str:
    """Returns the text of a target: text or a number, never empty.

    Raises:
        AmountFault: it is something else.
    """
    kind = type(value)
    if kind is str:
        if not value:
            raise AmountFault("is empty")
        return str(value)
    if kind is int:
        if abs(value) >= 10**100:
            raise AmountFault("is a number of more than 100 digits")
        return str(value)
    if kind is Decimal or kind is float:
        return str(read_amount(value))
    raise AmountFault(f"is {json_type(value)}, not text")


def json_type(value: Json) -> str:
    """Returns what JSON calls the type of a value, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return "text"
    return "a number" if isinstance(value, int | float | Decimal) else f"a {type(value).__name__}"
