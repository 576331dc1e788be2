"""The values a shell line is read into: words, redirections, commands.

What belongs here: what `reading` makes and `commands` judges. Nothing here parses. A word keeps the
source text of what cannot be known (`$x`, `$(…)`), with `known` false; `why` says in one phrase why
a command is opaque and never repeats the command.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


def listed(words: str) -> frozenset[str]:
    """Returns the words of a text: how the tables of program names are written."""
    return frozenset(words.split())


class Opaque(StrEnum):
    """How a command hides what it does."""

    NO = ""
    UNREADABLE = "unreadable"  # put together at run time, or not parsed
    INLINE_CODE = "inline-code"  # a program in another language stands in the line
    DOWNLOADED = "downloaded"  # code from the network


@dataclass(frozen=True, slots=True)
class Word:
    """One word as the program gets it."""

    text: str
    known: bool = True
    glob: bool = False
    substituted: bool = False  # a command's output that cannot be known stands in it


@dataclass(frozen=True, slots=True)
class Redirect:
    """One redirection to or from a file."""

    op: str
    target: Word
    fd: int | None = None

    @property
    def reads(self) -> bool:
        return self.op in ("<", "<>")

    @property
    def writes(self) -> bool:
        return self.op in (">", ">>", ">|", "&>", "&>>", "<>", ">&")


@dataclass(frozen=True, slots=True)
class Stdin:
    """What a command reads from: the programs before it in the pipe, and the text where known."""

    programs: tuple[str, ...] = ()
    text: str | None = None
    from_file: bool = False
    from_here: bool = False  # a here-document or here-string, not all of it known
    network: bool = False

    @property
    def present(self) -> bool:
        return bool(self.programs) or self.text is not None or self.from_file or self.from_here


NO_STDIN = Stdin()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a program's arguments and redirections say it touches; paths are normalised."""

    words: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()  # of what it reads, the places where secrets are kept
    sends_data: bool = False


NO_FACTS = Facts()


@dataclass(frozen=True, slots=True)
class Command:
    """One program that the line runs, with everything around it."""

    program: str
    args: tuple[Word, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    assignments: tuple[tuple[str, str], ...] = ()
    stdin: Stdin = NO_STDIN
    piped_to: tuple[str, ...] = ()
    runs_as: str = ""
    host: str = ""
    cwd: str = ""
    depth: int = 0
    deferred: bool = False  # the body of a function or a trap: it runs when that is called
    opaque: Opaque = Opaque.NO
    why: str = ""
    function: bool = False  # the line itself defines it, and its body was read
    facts: Facts = NO_FACTS

    @property
    def known(self) -> bool:
        """Whether every argument and redirection is known."""
        return all(word.known for word in self.args) and all(
            redirect.target.known for redirect in self.redirects
        )


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line, in the order in which its commands stand."""

    commands: tuple[Command, ...] = ()
    why: str = ""  # not all of it could be read: what stands here is a part
