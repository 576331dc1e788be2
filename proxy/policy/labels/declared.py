"""What rules declare of a tool's results, applied to one result.

What belongs here: which stretches of a result are trusted, and which labels the rules put on its
fields. The question behind `trust` is who could have written a value. A ticket's id is the store's
own and its body is a stranger's: `untrusted_fields` names the body. In a mailbox it is the sender
who decides: `trust_by` names the field that says who wrote a record, and who is one's own; a record
is the object that field stands in. Where a result cannot be read as fields, what depends on them
falls to the stricter side: labels to the whole, trust to none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import re2

from proxy.policy.labels.fields import Glob, Leaf, leaves
from proxy.policy.labels.schema import Returns
from proxy.policy.labels.span import Span, settled

MAX_STRETCHES = 1000


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of a result whose trust differs from the rest's, in characters."""

    start: int
    end: int
    trusted: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """What the rules say of one result."""

    trusted: bool  # of what no stretch covers
    labels: tuple[str, ...]  # of the whole
    spans: tuple[Span, ...] = ()  # labels of fields
    stretches: tuple[Stretch, ...] = ()


class Declared:
    """A compiled `returns:`."""

    __slots__ = ("_author", "_fields", "_own", "_record", "_returns", "_untrusted")

    def __init__(self, returns: Returns) -> None:
        self._returns = returns
        self._fields = tuple((Glob(f), labels) for f, labels in returns.fields.items())
        self._untrusted = tuple(Glob(field) for field in returns.untrusted_fields)
        self._author = Glob(returns.trust_by.field) if returns.trust_by else None
        record = returns.trust_by.record if returns.trust_by else None
        self._record = Glob(record) if record else None
        self._own = tuple(_author_glob(g) for g in returns.trust_by.own) if returns.trust_by else ()

    def apply(self, text: str) -> Applied:
        """Returns what is declared of a result.

        Args:
            text: the result's text, as the detectors get it, so that places agree.
        """
        whole = self._returns.labels
        trusted = self._returns.trust == "trusted"
        by_field = bool(self._untrusted) or self._author is not None
        if not self._fields and not by_field:
            return Applied(trusted, whole)
        read = leaves(text)
        if read is None:
            named = (label for _, labels in self._fields for label in labels)
            return Applied(trusted and not by_field, tuple(dict.fromkeys((*whole, *named))))
        spans = settled(self._labelled(read), len(text))
        if not by_field:
            return Applied(trusted, whole, spans)
        authors = self._authors(read)
        if self._author is not None and not authors:
            return Applied(False, whole, spans)
        stretches = _stretches([(leaf, self._is_trusted(leaf, authors)) for leaf in read])
        # What lies between the leaves (keys, brackets) is as weak as the weakest of them.
        if len(stretches) > MAX_STRETCHES:
            return Applied(False, whole, spans)
        return Applied(trusted and not self._author, whole, spans, stretches)

    def _labelled(self, read: Sequence[Leaf]) -> Iterator[Span]:
        for leaf in read:
            for glob, labels in self._fields:
                if leaf.end > leaf.start and glob.covers(leaf.path):
                    for label in labels:
                        yield Span(label, leaf.start, leaf.end)

    def _authors(self, read: Sequence[Leaf]) -> dict[int, bool]:
        """Returns the objects that say who wrote them, and whether that is one's own."""
        authors: dict[int, bool] = {}
        if self._author is None:
            return authors
        for leaf in read:
            if leaf.objects and self._author.is_at(leaf.path):
                record = self._record_of(leaf)
                authors[record] = authors.get(record, True) and self._is_own(leaf.value)
        return authors

    def _record_of(self, leaf: Leaf) -> int:
        """Returns the object an author's field speaks for; the innermost where none is named."""
        if self._record is not None:
            for depth in range(len(leaf.objects) - 1, -1, -1):
                if self._record.is_at(leaf.path[:depth]):
                    return leaf.objects[depth]
        return leaf.objects[-1]

    def _is_own(self, author: str) -> bool:
        name, opened, address = author.strip().partition("<")
        if opened:
            # `Name <address>`: the name is whatever the writer likes.
            if not address.endswith(">") or "<" in address[:-1] or "@" in name:
                return False
            author = address[:-1]
        written = author.strip().casefold().encode("utf-8", "replace")
        return any(glob.fullmatch(written) for glob in self._own)

    def _is_trusted(self, leaf: Leaf, authors: dict[int, bool]) -> bool:
        if any(glob.covers(leaf.path) for glob in self._untrusted):
            return False
        said = [authors[record] for record in leaf.objects if record in authors]
        if self._author is not None and said:
            return all(said)
        return self._returns.trust == "trusted"


def _author_glob(glob: str) -> re2.Pattern:
    """Compiles a glob whose `*` stays within one address."""
    parts = (re2.escape(part.encode()) for part in glob.casefold().split("*"))
    return re2.compile(rb"[^\s,;<>@\x00]*".join(parts))


def _stretches(read: Sequence[tuple[Leaf, bool]]) -> tuple[Stretch, ...]:
    """Joins neighbours of equal trust; the weaker one has what lies between two."""
    made: list[Stretch] = []
    ordered = sorted(read, key=lambda each: each[0].start)
    for leaf, trusted in ordered:
        if not made:
            made.append(Stretch(leaf.start if trusted else 0, leaf.end, trusted))
        elif made[-1].trusted == trusted:
            made[-1] = Stretch(made[-1].start, max(made[-1].end, leaf.end), trusted)
        elif trusted:
            last = made[-1]
            made[-1] = Stretch(last.start, max(last.end, leaf.start), False)
            made.append(Stretch(leaf.start, leaf.end, True))
        else:
            made.append(Stretch(made[-1].end, leaf.end, False))
    return tuple(made)
