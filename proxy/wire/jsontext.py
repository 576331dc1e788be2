"""JSON read so that no second parser can read it differently, and calls made from it.

What belongs here: the strict reading of tool arguments, and the one place where a `Call` is made.
Outer documents (frames, bodies) are read by msgspec for speed; the *arguments* of a call, which a
model writes and a tool acts on, are read here: duplicate keys, NaN, bytes that are not UTF-8, lone
surrogates, trailing text are faults. A faulty call is refused, never repaired.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

import msgspec

from proxy.canonical import digest, sha256_hex
from proxy.errors import UnjudgeableArguments, WireError
from proxy.model import Call, Json

_encoder = msgspec.json.Encoder(decimal_format="number")


def _unique_pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise UnjudgeableArguments(f"duplicate key {key!r}")
            seen.add(key)
    return made


def _no_constant(name: str) -> NoReturn:
    raise UnjudgeableArguments(f"{name} is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique_pairs, parse_float=Decimal, parse_constant=_no_constant
)


def read_strict(text: str) -> Json:
    """Reads one JSON text; numbers with a fraction or exponent become `Decimal`.

    Raises:
        UnjudgeableArguments: more than one reading is possible, or none.
    """
    try:
        return _decoder.decode(text)
    except UnjudgeableArguments:
        raise
    except (ValueError, RecursionError) as error:
        raise UnjudgeableArguments("not valid JSON") from error


class Ambiguous(dict[str, Json]):
    """An object that had a key twice: two parsers may read it differently."""


class Plain(dict[str, Json]):
    """An outer object in which no object has a key twice, at any depth."""


def _mark_pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Ambiguous(made)


_marking_decoder = json.JSONDecoder(
    object_pairs_hook=_mark_pairs, parse_float=Decimal, parse_constant=_no_constant
)


def decode_marked(data: bytes, what: str) -> dict[str, Json]:
    """Reads an outer object that holds arguments as values; objects with duplicate keys are `Ambiguous`.

    Raises:
        WireError: not UTF-8, not JSON, or not an object.
    """
    try:
        text = data.decode()
        try:
            value = _decoder.decode(text)
        except UnjudgeableArguments:
            value = _marking_decoder.decode(text)
        else:
            value = Plain(value) if type(value) is dict else value
    except (ValueError, RecursionError, UnjudgeableArguments) as error:
        raise WireError(f"{what}: not valid JSON") from error
    if not isinstance(value, dict):
        raise WireError(f"{what}: expected an object, got {type(value).__name__}")
    return value


def is_ambiguous(value: Json, *, but: frozenset[int] = frozenset()) -> bool:
    """Tells whether an `Ambiguous` object is inside; values whose `id()` is in `but` are passed over."""
    if type(value) is Plain or id(value) in but:
        return False
    if isinstance(value, dict):
        return isinstance(value, Ambiguous) or any(is_ambiguous(v, but=but) for v in value.values())
    if isinstance(value, list):
        return any(is_ambiguous(v, but=but) for v in value)
    return False


def decode_object(data: bytes | bytearray | memoryview, what: str) -> dict[str, Json]:
    """Reads an outer JSON object (a body, a frame) quickly.

    Raises:
        WireError: not JSON, or not an object; `what` names the place in the message.
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"{what}: not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise WireError(f"{what}: expected an object, got {type(value).__name__}")
    return value


def encode(value: Json) -> bytes:
    """Writes compact JSON for bodies and frames that have to be rewritten."""
    return _encoder.encode(value)


def call_from_text(text: str, **fields: Any) -> Call:
    """Makes a Call from the JSON text of its arguments; the fault is set where it has no single reading.

    An empty text stands for no arguments, as every SDK reads it.
    """
    try:
        arguments = read_strict(text) if text.strip() else {}
        return Call(arguments=arguments, args_sha256=digest(arguments), **fields)
    except (UnjudgeableArguments, ValueError, RecursionError) as error:
        return _faulty(text, error, fields)


def call_from_value(value: Json, **fields: Any) -> Call:
    """Makes a Call from arguments that are a value already (Anthropic `input`, `action`, free text)."""
    try:
        if is_ambiguous(value):
            raise UnjudgeableArguments("duplicate key in the arguments")
        return Call(arguments=value, args_sha256=digest(value), **fields)
    except (UnjudgeableArguments, ValueError, RecursionError) as error:
        return _faulty(repr(value), error, fields)


def _faulty(text: str, error: Exception, fields: dict[str, Any]) -> Call:
    raw = text.encode("utf-8", "surrogatepass")
    why = (
        str(error)
        if isinstance(error, UnjudgeableArguments)
        else "arguments are not valid JSON text"
    )
    return Call(arguments=None, args_sha256=sha256_hex(raw), fault=why, **fields)
