"""How long a request lets its answer get, as its body says it.

What belongs here: reading the limit on output tokens and the number of answers asked for. Where a body
states a limit in two places the larger one counts: which of them a server obeys is its own business.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.model import Json

_MOST = 1 << 31


def output_limit(document: Mapping[str, Json], *paths: str) -> int | None:
    """Returns the largest limit on output tokens at these places ("a.b": b inside a); None: none."""
    found = [n for path in paths if (n := _whole(_at(document, path))) is not None and n > 0]
    return max(found, default=None)


def answers_wanted(document: Mapping[str, Json], *paths: str) -> int:
    """Returns how many answers are asked for: 1 where the body does not say."""
    found = [n for path in paths if (n := _whole(_at(document, path))) is not None]
    return max([1, *found])


def _at(document: Mapping[str, Json], path: str) -> Json:
    value: Json = document
    for key in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _whole(value: Json) -> int | None:
    """A count as any server may read it: a number, whole or not, or its digits as text (Gemini)."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if type(value) is bool or not isinstance(value, int | float) or not 0 <= value <= _MOST:
        return None
    return int(value)
