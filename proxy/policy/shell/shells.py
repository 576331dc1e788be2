"""Shells as programs: their names, and what their arguments ask them to run.

What belongs here: telling `sh -c TEXT` from `sh FILE` and from a shell that reads its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.policy.shell.line import Word, listed

SHELLS = listed("sh bash dash zsh ksh mksh ash fish csh tcsh rbash yash elvish nu")


@dataclass(frozen=True, slots=True)
class ShellCall:
    """What a shell is asked to run: a text, a file, or else what it reads."""

    line: Word | None = None
    script: Word | None = None
    asked: bool = False  # -c without a text


def shell_call(args: Sequence[Word]) -> ShellCall:
    """Reads the arguments of `sh`."""
    wants_line = False
    at = 0
    while at < len(args):
        text = args[at].text
        if text == "--" or text == "-":
            at += 1
            break
        if not text or text[0] not in "-+":
            break
        at += 1
        if text in ("--rcfile", "--init-file", "--command"):
            wants_line = wants_line or text == "--command"
            at += text != "--command"
        elif not text.startswith("--"):
            wants_line = wants_line or (text[0] == "-" and "c" in text[1:])
            at += sum(letter in "oO" for letter in text[1:])
    rest = args[at:]
    if wants_line:
        return ShellCall(rest[0] if rest else None, asked=True)
    reads_input = any(
        w.text.startswith("-") and "s" in w.text[1:]
        for w in args[:at]
        if not w.text.startswith("--")
    )
    return ShellCall(script=rest[0] if rest and not reads_input else None)
