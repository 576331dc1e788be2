"""Text on its way into a story: searched for data classes and fingerprinted, before any transaction.

What belongs here: `ReadText`, all that is kept of a text, and the `Reader` that makes it. This is where the
time goes (a long page takes tens of milliseconds), so it is done once a text, outside the ledger's
thread; long texts in a thread of their own, so that streams go on meanwhile. No text is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from proxy.canonical import sha256_hex
from proxy.model import Speaker
from proxy.policy.chains import UNREAD
from proxy.policy.labels.declared import Applied, Stretch
from proxy.policy.labels.detect import detect
from proxy.policy.labels.span import Span
from proxy.policy.origins.prints import Printer

_LONG_CHARS = 8_192
_SECRET = "secret"  # noqa: S105 - a label
_ADDRESS = "pii.email"


type LabelledPrints = tuple[tuple[str, ...], bool, tuple[int, ...]]
"""(labels, trusted, prints) of a part that has labels, or a trust, of its own.

Trusted says that nothing about the part itself speaks against it.
"""


@dataclass(frozen=True, slots=True)
class ReadText:
    """What is kept of one text: a digest, fingerprints, and those of its labelled spans."""

    digest: str
    prints: tuple[int, ...]
    labels: tuple[str, ...] = ()
    spans: tuple[LabelledPrints, ...] = ()


class Reader:
    """Reads texts under one ledger's key."""

    def __init__(self, key: bytes) -> None:
        self.printer = Printer(key)

    async def read(self, text: str, speaker: Speaker = Speaker.RESULT) -> ReadText:
        """Reads a text; a long one beside the loop."""
        if len(text) < _LONG_CHARS:
            return self.read_now(text, speaker)
        return await asyncio.to_thread(self.read_now, text, speaker)

    def read_now(self, text: str, speaker: Speaker = Speaker.RESULT) -> ReadText:
        """Reads a text at once. What user and system say has no labels: it is theirs to say."""
        printed = self.printer.of_text(text, speaker=speaker)
        prints = printed.prints
        name = sha256_hex(text.encode("utf-8", "surrogatepass"))
        if speaker is not Speaker.RESULT:
            return ReadText(name, prints)
        spans = detect(text)
        return ReadText(
            name,
            prints,
            (
                *dict.fromkeys(span.label for span in spans),
                *((UNREAD,) if printed.truncated else ()),
            ),
            tuple(self._labelled(text, spans)),
        )

    def with_declared(self, read: ReadText, text: str, worth: Applied) -> ReadText:
        """Adds what the rules declare of parts of a result, and of all of it.

        Where parts differ in trust, what is kept of the whole is only what has the whole's trust; the
        detectors' spans are then nobody's to trust, for they are of either.
        """
        more: list[LabelledPrints] = [
            ((span.label,), True, self._prints(text[span.start : span.end], span.label))
            for span in worth.spans
        ]
        if any(label.startswith(_SECRET) for label in worth.labels):
            more.append((worth.labels, True, self._prints(text, _SECRET)))
        prints, spans = read.prints, read.spans
        other = [s for s in worth.stretches if s.trusted is not worth.trusted]
        if other:
            prints = self._prints(_without(text, other), "")
            spans = tuple((labels, False, found) for labels, _, found in spans)
            for stretch in other:
                found = self._prints(text[stretch.start : stretch.end], "")
                more.append(((), stretch.trusted, found))
        if not more:
            return read
        labels = dict.fromkeys((*read.labels, *(span.label for span in worth.spans)))
        return replace(read, prints=prints, labels=tuple(labels), spans=(*spans, *more))

    def _labelled(self, text: str, spans: Sequence[Span]) -> Iterable[LabelledPrints]:
        """Each label's places together: a label of a text is one source, however often it is met."""
        by_label: dict[str, dict[int, None]] = {}
        for span in spans:
            prints = by_label.setdefault(span.label, {})
            prints.update(dict.fromkeys(self._prints(text[span.start : span.end], span.label)))
        open_parts = self._in_the_open(text, spans) if any(map(_is_secret, by_label)) else set()
        for label, prints in by_label.items():
            kept = [p for p in prints if p not in open_parts] if _is_secret(label) else prints
            yield (label,), True, tuple(kept)

    def _in_the_open(self, text: str, spans: Sequence[Span]) -> set[int]:
        """Parts of addresses are no secrets, also where a password is made of its owner's name.

        What only looks like an address is none: the password in `scheme://user:password@host`.
        """
        found: set[int] = set()
        secrets = [span for span in spans if _is_secret(span.label)]
        for span in spans:
            inside = any(s.start < span.end and span.start < s.end for s in secrets)
            if span.label == _ADDRESS and not inside:
                found.update(self._prints(text[span.start : span.end], _SECRET))
        return found

    def _prints(self, text: str, label: str) -> tuple[int, ...]:
        return self.printer.of_text(text, dense=label.startswith(_SECRET)).prints


def _is_secret(label: str) -> bool:
    return label.startswith(_SECRET)


def _without(text: str, stretches: Sequence[Stretch]) -> str:
    parts, at = [], 0
    for stretch in stretches:
        parts.append(text[at : stretch.start])
        at = stretch.end
    return "\n".join((*parts, text[at:]))
