"""What was read of a source, as values.

What belongs here: what all sources have in common, and nothing of YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.model import Json


@dataclass(frozen=True, slots=True)
class ImportedGate:
    """A gate; `source` says which entry of the source it is, for a comment."""

    name: str
    when: str
    verdict: str
    message: str
    source: str


@dataclass(frozen=True, slots=True)
class ImportedCommand:
    """An entry of `commands:` that gives a command an effect of this kind."""

    run: str
    when: str
    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class ImportedCase:
    """One call and what the source says of it."""

    name: str
    tool: str
    arguments: Mapping[str, Json]
    verdict: str
    server: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Something of the source that rules do not say, and what stands in for it."""

    place: str
    what: str
    instead: str


@dataclass(slots=True)
class Imported:
    """A source as rules."""

    origin: str  # the source's name, in words
    about: list[str] = field(default_factory=list)  # lines for the head of the file
    shell_tool: str | None = None  # the tool whose `command` is a shell line
    unmapped: str = "allow"  # gates say what passes; "hold": `tools` do
    tools: list[tuple[tuple[str, ...], str]] = field(
        default_factory=list
    )  # names without an effect, and their source
    gates: list[ImportedGate] = field(default_factory=list)
    commands: list[ImportedCommand] = field(default_factory=list)
    cases: list[ImportedCase] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    taken: int = 0  # entries of the source that are said in full

    def note(self, place: str, what: str, instead: str) -> None:
        self.notes.append(Note(place, what, instead))

    def case(
        self,
        tool: str,
        arguments: Mapping[str, Json],
        verdict: str,
        why: str,
        server: str | None = None,
    ) -> None:
        """Adds a case, once a call."""
        known = any(
            (c.tool, c.arguments, c.server) == (tool, arguments, server) for c in self.cases
        )
        if not known:
            self.cases.append(ImportedCase(why, tool, arguments, verdict, server))
