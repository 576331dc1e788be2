"""Words: of tools' names, of arguments' names, of what the user said.

What belongs here: cutting names into words, and making inflected words equal. Names are written by whoever
made the tool, so look-alike letters, case and signs between the words count for nothing. The stems are
crude; both sides go through the same function, so it is enough that they are stable.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

from proxy.policy.origins.folding import fold, visible

MAX_NAME_CHARS = 200

_ENDINGS = (
    ("ies", "y"),
    ("sses", "ss"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("xes", "x"),
    ("ing", ""),
    ("ed", ""),
    ("s", ""),
)
_NOT_WORD = re.compile(r"[^a-z0-9]+")


@lru_cache(8192)
def stem(word: str) -> str:
    """Returns a word without its English ending."""
    for end, put in _ENDINGS:
        if word.endswith(end) and len(word) - len(end) >= 3 and not word.endswith("ss"):
            base = word[: -len(end)] + put
            doubled = len(base) > 3 and base[-1] == base[-2] and base[-1] not in "sl"
            return base[:-1] if end in ("ing", "ed") and doubled else base
    return word


def forms(word: str) -> tuple[str, str, str]:
    """Returns the ways a word may stand in a table: "changing" as "change"."""
    base = stem(word)
    return (word, base, base + "e")


def found_in(word: str, table: Collection[str]) -> str | None:
    """Returns the form of a word that a table has."""
    return next((form for form in forms(word) if form in table), None)


@lru_cache(8192)
def words_of(name: str) -> tuple[str, ...]:
    """Returns the words of a name: of "sendEMail_to-All" send, e, mail, to, all."""
    shown = visible(name[:MAX_NAME_CHARS])
    made: list[str] = []
    for at, char in enumerate(shown):
        before = shown[at - 1] if at else ""
        after = shown[at + 1] if at + 1 < len(shown) else ""
        if char.isupper() and (
            before.islower() or before.isdigit() or (before.isupper() and after.islower())
        ):
            made.append("_")
        made.append(char)
    return tuple(word for word in _NOT_WORD.split(fold("".join(made))) if word)


def folded_set(words: Iterable[str] | None) -> frozenset[str]:
    """Returns the words of a table, as names and texts are compared with them."""
    return frozenset(fold(word) for word in words or ())
