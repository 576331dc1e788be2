"""Words as marked characters, and the braces in them: `{a,b}` and `{1..3}` to several words.

What belongs here: the marks, which tell where a character comes from, and brace expansion over
them: a quoted brace is a character like any other.
"""

from __future__ import annotations

import re
from enum import IntEnum

MAX_WORDS = 512
"""Of one word's brace expansion; `{1..99999}` is no list of arguments."""


class Mark(IntEnum):
    """Where a character of a word comes from."""

    PLAIN = 0
    QUOTED = 1
    EXPANDED = 2  # an unquoted variable: splits
    UNKNOWN = 3
    OUTPUT = 4  # of a command, unknown


type Marked = list[tuple[str, Mark]]


class TooManyWords(Exception):
    """Expansions beyond `MAX_WORDS` of one word, or beyond a line's whole allowance."""


_RANGE = re.compile(r"(-?\d{1,9})\.\.(-?\d{1,9})(?:\.\.(-?\d{1,9}))?|([A-Za-z])\.\.([A-Za-z])")


def braces(marked: Marked) -> list[Marked]:
    """Expands the first `{a,b}` or `{1..3}` and goes on with each result."""
    if ("{", Mark.PLAIN) not in marked:
        return [marked]
    done: list[Marked] = []
    waiting = [marked]
    while waiting:
        if len(done) + len(waiting) > MAX_WORDS:
            raise TooManyWords
        one = waiting.pop()
        parts = _first_brace(one)
        if parts is None:
            done.append(one)
        else:
            waiting += reversed(parts)
    return done


def _first_brace(marked: Marked) -> list[Marked] | None:
    for start, item in enumerate(marked):
        if item != ("{", Mark.PLAIN):
            continue
        level, commas = 0, [start]
        for at in range(start, len(marked)):
            char, mark = marked[at]
            if mark is not Mark.PLAIN:
                continue
            level += (char == "{") - (char == "}")
            if char == "," and level == 1:
                commas.append(at)
            if char == "}" and level == 0:
                head, tail = marked[:start], marked[at + 1 :]
                ends = [*commas[1:], at]
                if len(commas) > 1:
                    inner = [marked[a + 1 : b] for a, b in zip(commas, ends, strict=True)]
                else:
                    inner = _range("".join(char for char, _ in marked[start + 1 : at]))
                if inner:
                    return [head + middle + tail for middle in inner]
                break
    return None


def _range(text: str) -> list[Marked]:
    found = _RANGE.fullmatch(text)
    if found is None:
        return []
    if found[4]:
        low, high, step = ord(found[4]), ord(found[5]), 1
    else:
        low, high, step = int(found[1]), int(found[2]), abs(int(found[3] or 1)) or 1
    if abs(high - low) // step >= MAX_WORDS:
        raise TooManyWords
    numbers = range(low, high + 1, step) if low <= high else range(low, high - 1, -step)
    made = [chr(n) if found[4] else str(n) for n in numbers]
    return [[(char, Mark.QUOTED) for char in item] for item in made]
