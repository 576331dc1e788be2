"""The words of the label detectors: a labelled stretch of a text, and the text as it is scanned.

What belongs here: `Span`, the bounds every detector keeps, and `Scanned`, which holds a text once as
bytes for RE2 (linear in whatever the text is) and turns byte offsets back into characters in one
pass at the end. Past a bound the answer gets stricter, never shorter: what was not looked at is
labelled `unscanned`, and where one label has too many places its last span covers the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_CHARS = 262_144
"""Characters of one text that are looked at."""

MAX_SPANS_PER_LABEL = 500
"""Places of one label that are told apart."""

UNSCANNED = "unscanned"
"""The label of what lies behind `MAX_CHARS`: nobody knows what is in it."""

_CONTEXT_BYTES = 72


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of a text, in characters, and what it is."""

    label: str
    start: int
    end: int


type Found = tuple[str, int, int]
"""A label, and a stretch in bytes of `Scanned.data`."""


class Scanned:
    """One text while it is scanned."""

    __slots__ = ("data", "lower", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.data = text.encode("utf-8", "surrogatepass")
        self.lower = self.data.lower()  # ASCII only, so that offsets stay

    def before(self, at: int, length: int = _CONTEXT_BYTES) -> bytes:
        """Returns the bytes ahead of a place, in lower case."""
        return self.lower[max(0, at - length) : at]

    def spans(self, found: Iterable[Found]) -> list[Span]:
        """Returns what was found, in characters instead of bytes."""
        listed = list(found)
        if len(self.data) == len(self.text):
            return [Span(*each) for each in listed]
        characters: dict[int, int] = {}
        at = count = 0
        for offset in sorted({o for _, start, end in listed for o in (start, end)}):
            count += len(self.data[at:offset].decode("utf-8", "surrogatepass"))
            characters[offset] = count
            at = offset
        return [Span(label, characters[start], characters[end]) for label, start, end in listed]


def settled(spans: Iterable[Span], length: int) -> tuple[Span, ...]:
    """Returns spans in order of place, overlaps of one label joined, each label's number bounded.

    Args:
        spans: in any order.
        length: of the text that was looked at, in characters.
    """
    by_label: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda s: (s.start, s.end)):
        kept = by_label.setdefault(span.label, [])
        if kept and span.start < kept[-1].end:
            kept[-1] = Span(span.label, kept[-1].start, max(kept[-1].end, span.end))
        else:
            kept.append(span)
    for label, kept in by_label.items():
        if len(kept) > MAX_SPANS_PER_LABEL:
            last = kept[MAX_SPANS_PER_LABEL - 1]
            kept[MAX_SPANS_PER_LABEL - 1 :] = [Span(label, last.start, length)]
    made = [span for kept in by_label.values() for span in kept]
    return tuple(sorted(made, key=lambda s: (s.start, s.end, s.label)))
