"""What is wrong with a rule file, and where.

What belongs here: one mistake as a value, all mistakes of a load as one error, and the nearest-name
suggestion that goes with most of them. Lines and columns count from one, columns in characters.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from proxy.errors import CheckreinError


class Severity(StrEnum):
    """Whether a rule set with such a problem can be used."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Related:
    """Another place that a problem is about, and what is there."""

    file: str
    line: int
    col: int
    text: str


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake, or one warning, at its place.

    Two are equal, and in order, by place and text alone: what else is known of one is for those who show it.
    """

    file: str
    line: int
    col: int
    text: str
    code: str = field(default="", compare=False)  # the row in `codes.py`; empty: its wording tells
    severity: Severity = field(default=Severity.ERROR, compare=False)
    end: tuple[int, int] | None = field(default=None, compare=False)  # line, and column behind it
    related: tuple[Related, ...] = field(default=(), compare=False)
    hint: str = field(default="", compare=False)  # what to do, where the text does not say it

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}: {self.text}"


class RuleErrors(CheckreinError):
    """A rule set that cannot be used; every mistake found is in `problems`, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Returns "; did you mean 'x'?" for the nearest known word, or nothing.

    A wrong suggestion is worse than none: besides being alike (`cutoff`, as difflib has it), the words must be at
    most a third of their letters apart, or one the beginning of the other.
    """
    names = sorted(set(known))
    same = [name for name in names if name.casefold() == word.casefold()]
    near = same or [
        name
        for name in difflib.get_close_matches(word, names, n=3, cutoff=cutoff)
        if _is_near(word, name)
    ]
    return f"; did you mean '{near[0]}'?" if near else ""


def _is_near(word: str, name: str) -> bool:
    if len(word) >= 3 and (name.startswith(word) or word.startswith(name)):
        return True
    return _edits(word.casefold(), name.casefold()) <= max(1, max(len(word), len(name)) // 3)


def _edits(one: str, other: str) -> int:
    """Counts letters put in, left out, replaced or swapped with the next (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, opposite in enumerate(other, 1):
            edits = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != opposite))
            if i > 1 and j > 1 and char == other[j - 2] and one[i - 2] == opposite:
                edits = min(edits, last[j - 2] + 1)
            row.append(edits)
    return row[-1]
