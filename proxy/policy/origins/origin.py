"""Reads what was found of a value: its origin, and which part came from where.

What belongs here: the rules by which sources explain parts.

- A part known from what the user or the system said is theirs, also where a result repeats it: the
  result says nothing new. Its labels are those of their text alone.
- A part known from results alone is trusted as soon as one of them is.
- The whole goes before its parts: an address known from a stranger's page is not the user's because
  the user has named the host. What is inside a known whole adds labels, and nothing else.
- A short phrase is known only where all its words stand in what one tool returned, or one speaker
  said.
- Labels come with every source that explains a part, and with every part of a secret that is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from proxy.model import Origin, Source, Speaker
from proxy.policy.origins.prints import Kind, Lookup, Part

MAX_SOURCES = 64
_KNOWN_SHARE = 0.6  # of its windows: prose of which less is known was written by the model

type Found = Mapping[int, Sequence[Source]]


def origin_of(lookup: Lookup, found: Found) -> Origin:
    """Returns where a value came from.

    Args:
        lookup: what was asked (`Printer.of_value`).
        found: the sources of each print that is known.
    """
    reading = _Reading(found)
    for part in lookup.parts:
        reading.read(part, labels_only=False)
    if lookup.truncated:
        reading.model = True
    return reading.origin()


def explain(lookup: Lookup, found: Found, *, limit: int = 32) -> tuple[tuple[str, Source], ...]:
    """Returns which part came from where, as (path in the value, source), for a human's eyes."""
    reading = _Reading(found)
    for part in lookup.parts:
        reading.read(part, labels_only=False)
    seen: dict[tuple[str, Source], None] = dict.fromkeys(reading.told)
    return tuple(seen)[:limit]


class _Reading:
    def __init__(self, found: Found) -> None:
        self._found = found
        self.model = False
        self.told: list[tuple[str, Source]] = []
        self._speakers: set[Speaker] = set()
        self._trusted = False
        self._untrusted = False
        self._sources: dict[Source, None] = {}
        self._labels: dict[str, None] = {}

    def origin(self) -> Origin:
        sources = tuple(sorted(self._sources, key=lambda source: source.id))
        tools = dict.fromkeys(source.tool for source in sources if source.tool is not None)
        return Origin(
            user=Speaker.USER in self._speakers,
            system=Speaker.SYSTEM in self._speakers,
            result=Speaker.RESULT in self._speakers,
            trusted=self._trusted,
            untrusted=self._untrusted,
            model=self.model,
            tools=tuple(tools),
            labels=tuple(sorted(self._labels)),
            sources=_most_telling(sources),
        )

    def read(self, part: Part, *, labels_only: bool) -> bool:
        """Takes in a part and what is in it; tells whether it asked for anything required."""
        known = False
        for sources in self._explaining(part):
            known = True
            self._take(part.path, sources, labels_only)
        whole = known and part.kind in (Kind.VALUE, Kind.WORDS)
        if part.kind is Kind.PROSE and part.required:
            share = sum(print_ in self._found for print_ in part.prints) / len(part.prints)
            if share < _KNOWN_SHARE and not labels_only:
                self.model = True
        required = False
        for inner in part.parts:
            required |= self.read(inner, labels_only=labels_only or whole)
        if part.required and not (whole or required or labels_only or part.kind is Kind.PROSE):
            self.model = True
        return part.required

    def _explaining(self, part: Part) -> Iterator[Sequence[Source]]:
        """Yields the sources of each part that is known."""
        found = self._found
        if part.kind is not Kind.WORDS:
            for print_ in part.prints:
                if sources := found.get(print_):
                    yield sources
            return
        if not part.prints:
            return
        common: dict[object, Source] | None = None
        for print_ in part.prints:
            here = {_place(source): source for source in found.get(print_, ())}
            common = here if common is None else {k: v for k, v in common.items() if k in here}
            if not common:
                return
        yield tuple((common or {}).values())

    def _take(self, path: str, sources: Sequence[Source], labels_only: bool) -> None:
        said = [source for source in sources if source.speaker is not Speaker.RESULT]
        explaining = said or list(sources)
        for source in explaining:
            self._labels.update(dict.fromkeys(source.labels))
            self._sources[source] = None
            self.told.append((path, source))
        if labels_only:
            return
        self._speakers.update(source.speaker for source in sources)
        if any(s.trusted for s in sources if s.speaker is Speaker.RESULT):
            self._trusted = True
        elif not said:
            self._untrusted = True


def _place(source: Source) -> object:
    """What the store keeps apart: of two results that say the same of a value it has the newer."""
    if source.speaker is not Speaker.RESULT:
        return source.speaker
    return (source.tool, source.kinds, source.trusted, source.labels)


def _most_telling(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """Keeps the number bounded: labelled and untrusted ones go first."""
    if len(sources) <= MAX_SOURCES:
        return sources
    ranked = sorted(sources, key=lambda s: (not s.labels, s.trusted, -s.id))[:MAX_SOURCES]
    return tuple(sorted(ranked, key=lambda source: source.id))
