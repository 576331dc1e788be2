"""What is wrong with a rule file, and where.

What belongs here: one mistake as a value, all mistakes of a load as one error, and the nearest-name
suggestion that goes with most of them. Lines and columns count from one, columns in characters.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.errors import CheckreinError


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake, or one warning, at its place."""

    file: str
    line: int
    col: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}: {self.text}"


class RuleErrors(CheckreinError):
    """A rule set that cannot be used; every mistake found is in `problems`, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Returns "; did you mean 'x'?" for the nearest known word, or nothing."""
    names = sorted(set(known))
    same = [name for name in names if name.casefold() == word.casefold()]
    near = same or difflib.get_close_matches(word, names, n=1, cutoff=cutoff)
    return f"; did you mean '{near[0]}'?" if near else ""
