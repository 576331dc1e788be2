"""What a program that runs another one runs, and reading past its options.

What belongs here: what the modules of wrappers share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.policy.shell.line import Word


@dataclass(frozen=True, slots=True)
class Inner:
    """What a program runs."""

    words: tuple[Word, ...] = ()
    line: Word | None = None
    shown: bool = False  # the outer program is a command of its own too
    runs_as: str | None = None
    host: str | None = None
    assignments: tuple[tuple[str, str], ...] = ()
    why: str = ""  # it cannot be read


def after_options(args: Sequence[Word], valued: frozenset[str]) -> tuple[list[Word], int]:
    """Returns the options with their values, and where the first word that is none stands."""
    found: list[Word] = []
    at = 0
    while at < len(args):
        text = args[at].text
        if text == "--":
            return found, at + 1
        if not text.startswith("-") or text == "-":
            break
        found.append(args[at])
        at += 1
        short = not text.startswith("--")
        takes = text in valued or (
            short and len(text) > 2 and f"-{text[-1]}" in valued and f"-{text[1]}" not in valued
        )
        if takes and "=" not in text and at < len(args):
            found.append(args[at])
            at += 1
    return found, at


def next_of(names: Sequence[str], at: int) -> str:
    return names[at + 1] if at + 1 < len(names) else ""


def joined(words: Sequence[Word]) -> Word:
    """Returns words as one text, as `ssh` and `eval` join them."""
    return Word(" ".join(word.text for word in words), all(word.known for word in words))
