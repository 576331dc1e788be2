"""Keyed fingerprints: of a text to store, of an argument to look up.

What belongs here: which prints a text leaves and which an argument asks for. Three kinds, never
equal to one another:

- *values*: every atom of the text (`atoms.py`), whole lines, quoted strings and JSON leaves.
- *prose*: `WINDOW` letters and digits from the start of a word on. Results leave one at every word,
  long ones at every second; a look-up asks at every word, so a copied run of about 40 characters is
  found wherever it was cut. What user and system say leaves one at every word however long it is:
  a window known from a result must then be known from the user too, if the user said it.
- *dense*: `DENSE` letters and digits at every offset of a secret; the secret turned round and in
  rot13 as well. A look-up asks at every offset: a part of a secret is found in the middle of
  anything.

A print is a keyed BLAKE2b of 64 bits: without the key it says nothing of the text, and two families
of kinds cannot meet by chance.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b
from itertools import accumulate

import msgspec

from proxy.model import Json, Speaker
from proxy.policy.origins.atoms import (
    MAX_PHRASE_CHARS,
    Atom,
    atom,
    grouped,
    number,
    phrases,
    pieces,
    without_dates,
)
from proxy.policy.origins.decoding import EXHAUSTED, readings
from proxy.policy.origins.decoding import MAX_DEPTH as MAX_ENCODINGS
from proxy.policy.origins.folding import fold, squash
from proxy.policy.origins.stops import PHRASES, STOPS, is_telling

MAX_TEXT_CHARS = 131_072  # of one message or result, and of one argument with all in it
MAX_NODES = 4_096
MAX_DEPTH = 32
WINDOW = 28
DENSE = 8
_MAX_DENSE = 65_536  # windows of one argument; of one stored text
_PIECE_CHARS = 24  # strings of one argument that may be pieces of one value
_MAX_PIECES = 512
_SHORT_CHARS = 80
_SHORT_WORDS = 6
_EVERY_WORD_CHARS = 8_192
_DECODED_DEPTH = 2  # of what is stored: an argument may hold plainly what a result encoded

_WORDS = re.compile(r"[^\W_]+")
_SCRIPT = re.compile(  # scripts without spaces: a word a letter
    "[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u1100-\u11ff]"
    "|[^\\W_\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u1100-\u11ff]+"
)
_PHRASES = tuple(squash(phrase) for phrase in PHRASES)
_ENCODED = re.compile(r"[A-Za-z0-9+/_\-]{24}|%[0-9A-Fa-f]{2}|\\[ux]|&#|=[0-9A-F]{2}")
_LETTERS = re.compile(r"[^\W\d_]{8,}")
_ROT13 = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")


class Kind(StrEnum):
    """How a part of an argument is known."""

    VALUE = "value"  # by one print
    WORDS = "words"  # by all of its prints, in one source
    PROSE = "prose"  # by any of its prints, each for itself
    DENSE = "dense"  # the same; says what is in it, not that all of it is explained


@dataclass(frozen=True, slots=True)
class Printed:
    """What a text leaves behind."""

    prints: tuple[int, ...]
    truncated: bool = False  # the text was longer than MAX_TEXT_CHARS; the rest is unknown


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an argument, with the prints it may be known by.

    `parts` are asked only where the part itself is not known. `required`: not knowing where it is
    from means that the model wrote it. A decoded reading is not required: it may be noise.
    """

    path: str
    kind: Kind
    prints: tuple[int, ...] = ()
    required: bool = False
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Lookup:
    """What to ask the store for, and how to read the answer."""

    parts: tuple[Part, ...] = ()
    truncated: bool = False  # not all of the value was looked at

    @property
    def prints(self) -> tuple[int, ...]:
        found: dict[int, None] = {}
        stack = list(self.parts)
        while stack:
            part = stack.pop()
            found.update(dict.fromkeys(part.prints))
            stack.extend(part.parts)
        return tuple(found)


class Printer:
    """Makes prints under one key; keep the key as long as the prints.

    Args:
        key: 16 to 64 bytes, secret.
    """

    def __init__(self, key: bytes) -> None:
        if not 16 <= len(key) <= 64:
            raise ValueError("a key of fingerprints has 16 to 64 bytes")
        self._base = blake2b(digest_size=8, key=key)

    def _print(self, text: str) -> int:
        digest = self._base.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return int.from_bytes(digest.digest(), "big", signed=True)

    # --- to store --------------------------------------------------------------------------------
    def of_text(
        self, text: str, *, dense: bool = False, speaker: Speaker = Speaker.RESULT
    ) -> Printed:
        """Returns the prints a text leaves.

        Args:
            text: a message or a result, or a span of one; JSON is read as JSON.
            dense: the text is secret: parts of it are to be found too.
            speaker: who said it; what users and the system say is kept in more detail.
        """
        truncated = len(text) > MAX_TEXT_CHARS
        text = text[:MAX_TEXT_CHARS]
        seen: dict[str, None] = {}
        leaves = _leaves_of(text)
        body = text if leaves is None else "\n".join(leaves)
        step = 2 if speaker is Speaker.RESULT and len(body) > _EVERY_WORD_CHARS else 1
        for leaf in leaves or ():
            if len(leaf) <= MAX_PHRASE_CHARS:
                _add_phrase(seen, fold(leaf))
        self._add(seen, body, step)
        if _ENCODED.search(text):
            for reading in readings(body, _DECODED_DEPTH, stored=True):
                truncated |= reading == EXHAUSTED
                self._add(seen, reading[:MAX_TEXT_CHARS], step)
        if dense:
            seen.update(dict.fromkeys(_secret_windows(body)))
        return Printed(tuple(set(map(self._print, seen))), truncated)

    def _add(self, seen: dict[str, None], text: str, step: int) -> None:
        folded = fold(text)
        clean = without_dates(folded)
        if len(folded) <= MAX_PHRASE_CHARS:
            _add_phrase(seen, folded)
        for phrase in phrases(folded):
            _add_phrase(seen, phrase)
        for piece in pieces(clean):
            if piece.isalpha():
                if is_telling(piece):
                    seen[piece] = None
            elif (made := atom(piece)) is not None:
                _add_atom(seen, made)
        for made in grouped(clean):
            _add_atom(seen, made)
        seen.update(dict.fromkeys(_prose_windows(folded, step)))

    # --- to look up ------------------------------------------------------------------------------
    def of_value(self, value: Json, *, dense: bool = True) -> Lookup:
        """Returns what to look up for an argument of a call.

        Args:
            value: any JSON value; all strings and numbers in it are looked at, keys too.
            dense: also ask for parts of secrets; False saves time where no secret was ever seen.
        """
        return _Asking(self._print, dense).lookup(value)


class _Asking:
    """Makes one `Lookup`."""

    def __init__(self, print_: Callable[[str], int], dense: bool) -> None:
        self._make = print_
        self._made: dict[str, int] = {}  # readings repeat much of what they read
        self._dense = dense
        self._left = MAX_TEXT_CHARS
        self._dense_left = _MAX_DENSE
        self._truncated = False

    def _print(self, text: str) -> int:
        made = self._made.get(text)
        if made is None:
            made = self._made[text] = self._make(text)
        return made

    def lookup(self, value: Json) -> Lookup:
        parts: list[Part] = []
        strings: list[str] = []
        numbers: list[str] = []
        nodes = 0
        stack: list[tuple[str, Json, int]] = [("$", value, 0)]
        while stack:
            path, item, depth = stack.pop()
            nodes += 1
            if nodes > MAX_NODES or depth > MAX_DEPTH:
                self._truncated = True
                break
            if isinstance(item, str):
                strings.append(item)
                if (part := self._string(path, item)) is not None:
                    parts.append(part)
            elif isinstance(item, dict):
                for key, child in reversed(item.items()):
                    stack.append((f"{path}.{key}"[:200], child, depth + 1))
                    if isinstance(key, str) and not (key.isidentifier() and len(key) < DENSE):
                        parts.extend(self._key(path, key))
            elif isinstance(item, list | tuple):
                stack.extend(
                    (f"{path}[{n}]"[:200], child, depth + 1)
                    for n, child in reversed(list(enumerate(item)))
                )
            elif (text := _number_text(item)) is not None:
                numbers.append(text)
                if len(text) >= DENSE:  # it may be a part of a secret, or a text written as one
                    if (part := self._string(path, text)) is not None:
                        parts.append(part)
                elif (made := number(text)) is not None:
                    parts.append(self._atom(path, made, required=True))
        parts.extend(self._together(strings, numbers))
        return Lookup(tuple(parts), self._truncated)

    def _readings(self, text: str, depth: int = MAX_ENCODINGS) -> Iterator[str]:
        for reading in readings(text, depth):
            if reading == EXHAUSTED:
                self._truncated = True
            else:
                yield reading

    def _together(self, strings: list[str], numbers: list[str]) -> Iterator[Part]:
        """A secret cut into the items of a list, or into character codes."""
        short = [text for text in strings if len(text) <= _PIECE_CHARS]
        if self._dense and 1 < len(short) <= _MAX_PIECES:
            joined = "".join(short)
            if windows := self._windows([squash(fold(joined))]):
                yield Part("$", Kind.DENSE, windows)
            for reading in self._readings(joined) if len(short) > 2 else ():
                if windows := self._windows([squash(fold(item)) for item in reading.split()]):
                    yield Part("$", Kind.DENSE, windows)
        if len(numbers) >= DENSE:
            for reading in self._readings(" ".join(numbers)[:MAX_TEXT_CHARS], 1):
                yield from self._decoded("$", reading)

    def _key(self, path: str, key: str) -> Iterator[Part]:
        key = key[: self._taken(len(key))]
        folded = fold(key)
        made = atom(folded)
        if made is not None and made.of_note:
            yield self._atom(path, made, required=False)
        if self._dense and (windows := self._windows([squash(folded)])):
            yield Part(path, Kind.DENSE, windows)
        for reading in self._readings(key):
            yield from self._decoded(path, reading)

    def _taken(self, chars: int) -> int:
        """Takes characters from what is left to look at; returns how many there were."""
        if chars > self._left:
            self._truncated = True
            chars = self._left
        self._left -= chars
        return chars

    def _string(self, path: str, text: str) -> Part | None:
        text = text[: self._taken(len(text))]
        folded = fold(text)
        clean = without_dates(folded)
        found = [piece for piece in pieces(clean) if piece]
        if len(found) == 1 and (made := atom(found[0])) is not None:
            whole = self._atom(path, made, required=True)
            inner = list(whole.parts)
            prints = whole.prints
        else:
            phrase = squash(clean) if len(clean) <= MAX_PHRASE_CHARS else ""
            prints = (self._print(phrase),) if is_telling(phrase) else ()
            inner = self._inner(path, clean, found)
        inner.extend(self._prose(path, folded))
        if self._dense and (windows := self._windows(_runs(folded))):
            inner.append(Part(path, Kind.DENSE, windows))
        for reading in self._readings(text):
            inner.extend(self._decoded(path, reading))
        if not prints and not inner:
            return None
        return Part(path, Kind.VALUE, prints, required=bool(prints), parts=tuple(inner))

    def _inner(self, path: str, clean: str, found: Sequence[str]) -> list[Part]:
        """The values in a string, and the words of a short one."""
        inner: list[Part] = []
        words: list[str] = []
        for piece in found:
            if piece.isalpha():
                if is_telling(piece):
                    words.append(piece)
                continue
            made = atom(piece)
            if made is None:
                continue
            if made.of_note:
                inner.append(self._atom(path, made, required=True))
            else:
                words.append(made.value)
        inner.extend(
            self._atom(path, made, required=True) for made in grouped(clean) if made.of_note
        )
        if words and len(clean) <= _SHORT_CHARS and len(found) <= _SHORT_WORDS:
            prints = tuple(map(self._print, words))
            inner.append(Part(path, Kind.WORDS, prints, required=True))
        return inner

    def _atom(self, path: str, made: Atom, *, required: bool) -> Part:
        return Part(
            path,
            Kind.VALUE,
            (self._print(made.value),),
            required,
            tuple(self._atom(path, part, required=required) for part in made.parts),
        )

    def _prose(self, path: str, folded: str, *, required: bool = True) -> Iterator[Part]:
        windows = tuple(map(self._print, dict.fromkeys(_prose_windows(folded, 1))))
        if windows:
            yield Part(path, Kind.PROSE, windows, required)

    def _decoded(self, path: str, reading: str) -> Iterator[Part]:
        """What an encoded string says: found or noise, so nothing in it is required."""
        reading = reading[:MAX_TEXT_CHARS]
        folded = fold(reading)
        clean = without_dates(folded)
        for line in clean.splitlines()[:64]:
            phrase = squash(line) if len(line) <= MAX_PHRASE_CHARS else ""
            if len(phrase) >= 5 and is_telling(phrase):
                yield Part(path, Kind.VALUE, (self._print(phrase),))
        for piece in pieces(clean):
            if not piece.isalpha() and (made := atom(piece)) is not None and made.of_note:
                yield self._atom(path, made, required=False)
        for made in grouped(clean):
            if made.of_note:
                yield self._atom(path, made, required=False)
        yield from self._prose(path, folded, required=False)
        if self._dense and (windows := self._windows(_runs(folded))):
            yield Part(path, Kind.DENSE, windows)

    def _windows(self, runs: Iterable[str]) -> tuple[int, ...]:
        found: dict[str, None] = {}
        for run in runs:
            if len(run) < DENSE or run in STOPS:
                continue
            if len(run) - DENSE + 1 > self._dense_left:
                self._truncated = True
                break
            self._dense_left -= len(run) - DENSE + 1
            for start in range(len(run) - DENSE + 1):
                found[run[start : start + DENSE]] = None
        print_ = self._print
        return tuple([print_("d" + window) for window in found])


# --- texts ---------------------------------------------------------------------------------------
def _add_phrase(seen: dict[str, None], folded: str) -> None:
    value = squash(without_dates(folded))
    if len(value) <= MAX_PHRASE_CHARS and is_telling(value):
        seen[value] = None


def _add_atom(seen: dict[str, None], made: Atom) -> None:
    seen[made.value] = None
    for part in made.parts:
        _add_atom(seen, part)


def _number_text(item: Json) -> str | None:
    """Writes a JSON number in its one canonical way: 905.0 is 905."""
    if isinstance(item, bool) or item is None:
        return None
    if isinstance(item, int):
        return str(abs(item)) if item.bit_length() < 8_192 else None
    if isinstance(item, float | Decimal):
        made = Decimal(repr(item)) if isinstance(item, float) else item
        if not made.is_finite() or abs(made.adjusted()) > 64:
            return None
        return format(made.copy_abs(), "f")
    return None


def _leaves_of(text: str, depth: int = 3) -> list[str] | None:
    """Returns the strings and numbers in a JSON text, and in JSON texts inside it; else None."""
    start = text.lstrip()[:1]
    if not start or start not in '{["':
        return None
    try:
        value = msgspec.json.decode(text.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    leaves: list[str] = []
    stack: list[Json] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            inner = _leaves_of(item, depth - 1) if depth else None
            leaves.extend([item] if inner is None else inner)
        elif isinstance(item, dict):
            for key, child in reversed(item.items()):
                stack.append(child)
                if not key.isidentifier() or len(key) > 24:
                    stack.append(key)
        elif isinstance(item, list):
            stack.extend(reversed(item))
        elif (number_ := _number_text(item)) is not None:
            leaves.append(number_)
    return leaves


def _prose_windows(folded: str, step: int) -> list[str]:
    """Returns `WINDOW` letters and digits from the start of every `step`-th word on."""
    if len(folded) < WINDOW:
        return []
    words = (_WORDS if folded.isascii() else _SCRIPT).findall(folded)
    text = "".join(words)
    if len(text) < WINDOW or len(words) < 4:
        return []
    last = len(text) - WINDOW
    lengths = map(len, words[:-1] if step == 1 else _pairs(words))
    starts = [start for start in accumulate(lengths, initial=0) if start <= last]
    if stock := sorted(_stock(text)):
        firsts = [first for first, _ in stock]
        ends = list(accumulate((end for _, end in stock), max))
        starts = [
            start
            for start in starts
            if not (at := bisect_left(firsts, start + WINDOW)) or ends[at - 1] <= start
        ]
    return ["w" + text[start : start + WINDOW] for start in starts]


def _stock(text: str) -> Iterator[tuple[int, int]]:
    """Yields where the phrases stand that say nothing."""
    for phrase in _PHRASES:
        at = text.find(phrase)
        while at >= 0:
            yield at, at + len(phrase)
            at = text.find(phrase, at + len(phrase))


def _pairs(words: Sequence[str]) -> list[str]:
    return [a + b for a, b in zip(words[:-1:2], words[1::2], strict=False)]


def _runs(folded: str) -> list[str]:
    """Returns the runs of letters and digits a part of a secret may stand in.

    White space ends a run, except where it stands between short pieces: "s k - l i v e",
    "sk-l ive_ 51h8".
    """
    runs: list[str] = []
    short: list[str] = []
    for item in folded.split():
        piece = squash(item)
        if len(piece) >= DENSE:
            runs.append(piece)
        if len(item) < DENSE:
            short.append(piece)
            continue
        _join(runs, short)
        short = []
    _join(runs, short)
    if len(folded) <= 64 and len(runs) != 1:
        runs.append(squash(folded))
    return list(dict.fromkeys(runs))


def _join(runs: list[str], short: list[str]) -> None:
    if len(short) >= 3 and (
        max(map(len, short)) <= 4 or any(not piece.isalpha() for piece in short)
    ):
        runs.append("".join(short))


def _secret_windows(text: str) -> Iterator[str]:
    """Yields the dense windows of a secret text: of all of it if it is one token, else of tokens."""
    folded = fold(text).strip()
    if len(folded.split()) == 1:
        tokens = [squash(folded)]
    else:
        tokens = []
        for piece in pieces(folded):
            for item in re.split(r"[=:]+", piece):
                token = squash(item)
                if not all(word.isalpha() for word in re.split(r"[\W_]+", item) if word) or (
                    len(token) >= 20 and token.isalpha() and item.isalpha()
                ):
                    tokens.append(token)
    left = _MAX_DENSE
    for token in tokens:
        words = [m.span() for m in _LETTERS.finditer(token) if m[0] in STOPS]
        for form in (token, token[::-1], token.translate(_ROT13)):
            for start in range(len(form) - DENSE + 1):
                if form is token and any(a <= start and start + DENSE <= b for a, b in words):
                    continue
                left -= 1
                if left < 0:
                    return
                yield "d" + form[start : start + DENSE]
