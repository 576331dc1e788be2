"""The arguments of a tool that nobody described: which values there are, and which say where it goes.

What belongs here: flattening arguments (objects, lists, JSON in text) into named values, and picking the
targets. A value is a target by its argument's name, or by its shape where no name says so: an address in an
argument `x` is still an address. Work is bounded; what was not looked at is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from proxy.model import Json
from proxy.policy.guess.lexicon import Lexicon
from proxy.policy.strictjson import json_or_none

MAX_VALUES = 512
MAX_TARGETS = 64
_MAX_DEPTH = 24
_MAX_NODES = 4096
_MAX_JSON_CHARS = 65_536
_TO_PEOPLE = frozenset({"send", "pay", "grant"})
URL, PARTY = 0, 1

_IS_URL = re.compile(r"(?i)\s*(?:[a-z][a-z0-9+.-]{1,20}://|www\.)\S+\s*")
_IS_ADDRESS = re.compile(
    r"\s*(?:mailto:)?[^\s@<>,;\"]{1,64}@[^\s@<>,;\"]{1,190}\.[^\s@<>,;\".]{2,24}\s*"
)
_IS_ACCOUNT = re.compile(
    r"\s*[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,4})?\s*"
)
_SEVERAL = re.compile(r"[,;\s]+")


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the arguments: what its argument is called in the tables, and its text."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Target:
    """One place or person that a call is about."""

    text: str
    place: int  # an index of `PLACES`


@dataclass(frozen=True, slots=True)
class Arguments:
    """What is in the arguments; `whole` False: there was more than is looked at."""

    values: tuple[Value, ...] = ()
    whole: bool = True


def read_arguments(arguments: Json, lexicon: Lexicon) -> Arguments:
    """Returns the values in a call's arguments."""
    values: list[Value] = []
    stack: list[tuple[str, Json, int]] = [("", arguments, 0)]
    for _ in range(_MAX_NODES):
        if not stack:
            return Arguments(tuple(values))
        key, item, depth = stack.pop()
        if depth > _MAX_DEPTH or len(values) >= MAX_VALUES:
            return Arguments(tuple(values), whole=False)
        if isinstance(item, str):
            inner = _inner(item)
            if inner is not None:
                stack.append((key, inner, depth + 1))
            elif item.strip():
                values.append(Value(lexicon.role(key), item))
        elif isinstance(item, dict):
            stack.extend((str(k), v, depth + 1) for k, v in reversed(item.items()))
        elif isinstance(item, list | tuple):
            stack.extend((key, v, depth + 1) for v in reversed(item))
        elif isinstance(item, int | float | Decimal) and not isinstance(item, bool):
            values.append(Value(lexicon.role(key), str(item)))
    return Arguments(tuple(values), whole=False)


def _inner(text: str) -> Json:
    """Returns what a text holds that is JSON itself: an object or a list."""
    if text.lstrip()[:1] not in ("{", "[") or len(text) > _MAX_JSON_CHARS:
        return None
    found = json_or_none(text)
    return found if isinstance(found, dict | list) else None


def targets_of(values: tuple[Value, ...], act: str, lexicon: Lexicon) -> tuple[Target, ...]:
    """Returns where a call goes: each element by itself, the most telling kind of place first."""
    placed: dict[int, dict[str, None]] = {}
    for value in values:
        place = lexicon.place(value.role)
        shape = _shape(value.text)
        if shape is not None and place not in (URL, PARTY) and not lexicon.is_content(value.role):
            place = shape
        if place is None:
            continue
        for element in _elements(value.text, place):
            placed.setdefault(place, {})[element] = None
    if not placed:
        return ()
    chosen = [min(placed)]
    if act in _TO_PEOPLE and PARTY in placed:
        chosen = [place for place in (URL, PARTY) if place in placed]
    return tuple(Target(text, place) for place in chosen for text in placed[place])


def _shape(text: str) -> int | None:
    if len(text) > 2048:
        return None
    if _IS_URL.fullmatch(text):
        return URL
    if _IS_ADDRESS.fullmatch(text) or (
        _IS_ACCOUNT.fullmatch(text) and any(map(str.isdigit, text[4:]))
    ):
        return PARTY
    return None


def _elements(text: str, place: int) -> Iterator[str]:
    """A text that lists several addresses or URLs is several targets."""
    if place in (URL, PARTY) and len(text) <= 8192:
        parts = [part for part in _SEVERAL.split(text) if part]
        if len(parts) > 1 and all(_shape(part) is not None for part in parts):
            yield from parts
            return
        inside = [part.strip("<>\"'()") for part in parts if "@" in part]
        if len(parts) > 1 and inside and all(_shape(part) == PARTY for part in inside):
            yield from inside  # "Ann Lee <ann@example.org>, Bo <bo@example.org>"
            return
    yield text.strip()
