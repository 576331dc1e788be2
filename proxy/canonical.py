"""Canonical JSON (RFC 8785) and digests over it.

`rfc8785` is exact and slow (90 us for one log record); msgspec with sorted keys writes the same
bytes 50 times faster as long as no exotic float and no key outside ASCII is in the value, which is checked
first. `tests/test_canonical.py` holds the two equal with Hypothesis.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal

import msgspec
import rfc8785

from proxy.model import Json

_encode = msgspec.json.Encoder(order="sorted").encode
_EXACT_INT = 2**53 - 1


def canonical_json(value: Json) -> bytes:
    """Returns the RFC 8785 form of a JSON value.

    Numbers that a double cannot hold (an integer beyond 2**53, a long `Decimal`) are written as
    strings with all their digits, so that two different numbers never share a digest.

    Raises:
        ValueError: the value has no JSON form (a lone surrogate, NaN, a foreign type).
    """
    if _is_plain(value):
        return _encode(value)
    return rfc8785.dumps(_exact(value))


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest(value: Json) -> str:
    """Returns the hex SHA-256 over the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def number_text(value: Decimal) -> str:
    """Returns a number with all its digits, without exponent or trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def json_number(amount: Decimal) -> int | float | str:
    """Returns the amount as a JSON number if that is exact, else as a string.

    Raises:
        ValueError: not a finite number.
    """
    if not amount.is_finite():
        raise ValueError("a number that is not finite has no JSON form")
    # Only compared, never computed with: arithmetic on 1e99999999 overflows.
    if -_EXACT_INT <= amount <= _EXACT_INT and amount == amount.to_integral_value():
        return int(amount)
    as_float = float(amount)
    return as_float if Decimal(repr(as_float)) == amount else str(amount)


def _is_plain(value: Json) -> bool:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-_EXACT_INT <= value <= _EXACT_INT)
    if kind is float:  # here both write the shortest digits, without an exponent
        return 1e-4 <= abs(value) < 1e15 and not value.is_integer()
    if kind is dict:
        return all(type(k) is str and k.isascii() and _is_plain(v) for k, v in value.items())
    if kind is list or kind is tuple:
        return all(map(_is_plain, value))
    return False


def _exact(value: Json) -> Json:
    if isinstance(value, Decimal):
        return json_number(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT_INT else str(value)
    if isinstance(value, dict):
        return {k: _exact(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(v) for v in value]
    return value
