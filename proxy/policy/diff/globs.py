"""Lists of globs held against each other: whether one matches all that the other does.

What belongs here: set inclusion as far as it can be seen from the patterns. A pattern is taken to include another where it is
equal, `*`, the pattern of a literal name, or a prefix (`money.*` of `money.refund.*`). What cannot be seen is no inclusion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from proxy.policy.diff.changes import Relation

_SIGNS = frozenset("*?[")


def is_literal(pattern: str) -> bool:
    """Whether a pattern matches one name alone."""
    return not _SIGNS & set(pattern)


def includes(pattern: str, other: str) -> bool:
    """Whether a pattern is sure to match whatever another does."""
    if pattern in (other, "*"):
        return True
    if is_literal(other):
        return fnmatchcase(other, pattern)
    prefix = pattern.removesuffix("*")
    return pattern.endswith("*") and is_literal(prefix) and _literal_start(other).startswith(prefix)


def overlap(pattern: str, other: str) -> bool:
    """Whether there may be a name that both match."""
    if is_literal(pattern):
        return fnmatchcase(pattern, other)
    if is_literal(other):
        return fnmatchcase(other, pattern)
    one, two = _literal_start(pattern), _literal_start(other)
    return one.startswith(two) or two.startswith(one)


def any_overlap(patterns: Iterable[str], others: Sequence[str]) -> bool:
    return any(overlap(one, two) for one in patterns for two in others)


def relation(old: Sequence[str], new: Sequence[str]) -> Relation:
    """Returns how much a list matches, beside another."""
    grown = _covers(new, old)
    shrunk = _covers(old, new)
    if grown and shrunk:
        return Relation.SAME
    return Relation.WIDER if grown else Relation.NARROWER if shrunk else Relation.OTHER


def _covers(patterns: Sequence[str], others: Sequence[str]) -> bool:
    return all(any(includes(one, other) for one in patterns) for other in others)


def _literal_start(pattern: str) -> str:
    ends = [pattern.index(sign) for sign in _SIGNS if sign in pattern]
    return pattern[: min(ends)] if ends else pattern
