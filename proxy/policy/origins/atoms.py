"""The values of note in a text: addresses, URLs, paths, numbers, ids, names.

What belongs here: how a folded text is cut into values, and each value into its parts. An `Atom` is
a value with what it is made of: a URL of host, path and query, an e-mail address of name and host.
The same cut is made of what is stored and of what is looked up; the look-up asks for the whole
first and for the parts only where the whole is not known.

How it works. One split at white space, quotes and brackets; the distinct pieces are told apart by
the characters in them. That costs a fraction of one large pattern. What may hold a space (IBANs,
telephone and card numbers, sums) is found by a pattern of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from proxy.policy.origins.folding import squash
from proxy.policy.origins.stops import is_telling

MAX_VALUE_CHARS = 2_048
_REMEMBERED_CHARS = 256
_MAX_LABELS = 8  # of a host, from its end
MAX_PHRASE_CHARS = 200  # a line or a field longer than this is prose, not a value

_DATES = re.compile(
    r"(?<![\w/.\-])(?:\d{4}-\d\d(?:-\d\d)?(?:[t ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?:z|[+\-]\d\d:?\d\d)?"
    r"|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|\d{1,2}:\d\d(?::\d\d)?(?: ?[ap]m)?)(?![\w/\-])"
)
_SPLIT = re.compile(r"""[\s"'<>{}\[\](),;|`“”‘’«»„，。、；：（）]+""")  # noqa: RUF001 - these end words
_GROUPED = re.compile(
    r"(?<![\w.])(?:"
    r"[a-z]{2}\d{2}(?:[ \-]?[a-z0-9]{4}){2,7}(?:[ \-]?[a-z0-9]{1,4})?"
    r"|[+(]{0,2}\d{2,}\)?(?:[ .\-/]{1,2}\(?\d{2,}\)?)+"
    r"|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d{2}"
    r")(?!\w)"
)
_NUMBER = re.compile(r"[$€£¥]?[+\-]?\d+(?:\.\d+)?[%€£$]?")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_THOUSANDS_POINT = re.compile(r"\d{1,3}(?:\.\d{3})+,\d{2}")
_HOST = re.compile(r"[\w\-]+(?:\.[\w\-]+)*\.[^\W\d_]{2,24}\.?")
_HOST_PATH = re.compile(r"([\w\-]+(?:\.[\w\-]+)*\.[^\W\d_]{2,24}(?::\d{1,5})?)(/.*)?", re.DOTALL)
_QUOTED = re.compile(r"""["“]([^"“”\n]{3,200})["”]|(?<!\w)['‘]([^'\n]{3,200})['’](?!\w)""")  # noqa: RUF001
_LINE_VALUE = re.compile(r"(?m)^[ \t\-*•#>]{0,8}[\w .\-]{1,40}[:=][ \t]{1,4}(\S.{2,199})$")
_LIST_ITEM = re.compile(r"(?m)^[ \t]{0,8}(?:[\-*•]|\d{1,3}[.)])[ \t]{1,4}(\S.{2,199})$")
_EDGES = ".,:;!?*_~#=&-…"
_SECOND_LEVEL = frozenset(["co", "com", "org", "net", "ac", "gov", "edu", "ne", "or", "go"])


@dataclass(frozen=True, slots=True)
class Atom:
    """A value, as it is fingerprinted, and what it is made of."""

    value: str
    of_note: bool = False  # also in the middle of prose; else only where it is the whole value
    parts: tuple[Atom, ...] = ()


def without_dates(folded: str) -> str:
    """Returns the text without dates and times of day: everyone writes them."""
    return _DATES.sub(" ", folded)


def pieces(clean: str) -> dict[str, None]:
    """Returns the distinct pieces of a text between white space, quotes and brackets."""
    return dict.fromkeys(_SPLIT.split(clean))


def grouped(clean: str) -> Iterator[Atom]:
    """Yields the numbers that are written with spaces or other separators inside."""
    for found in _GROUPED.findall(clean):
        if _THOUSANDS.fullmatch(found):
            yield _number(found.replace(",", ""))
        elif _THOUSANDS_POINT.fullmatch(found):
            yield _number(found.replace(".", "").replace(",", "."))
        else:
            value = squash(found)
            if len(value) >= 5 and is_telling(value):
                yield Atom(value, of_note=len(value) >= 7)


def phrases(folded: str) -> Iterator[str]:
    """Yields what looks like a value of its own: quoted, behind a colon, an item of a list."""
    for double, single in _QUOTED.findall(folded):
        yield double or single
    if "\n" in folded or ":" in folded or "=" in folded:
        yield from _LINE_VALUE.findall(folded)
        yield from _LIST_ITEM.findall(folded)


def atom(piece: str) -> Atom | None:
    """Returns the value a piece of folded text is, None where it is nothing of note."""
    return _remembered(piece) if len(piece) <= _REMEMBERED_CHARS else _atom(piece)


@lru_cache(maxsize=8_192)
def _remembered(piece: str) -> Atom | None:
    """Most pieces come again: an argument has them from a result, a result from an argument."""
    return _atom(piece)


def _atom(piece: str) -> Atom | None:
    piece = piece.strip(_EDGES)
    if len(piece) < 3 or len(piece) > MAX_VALUE_CHARS:
        return _long(piece) if len(piece) > MAX_VALUE_CHARS else None
    if piece.isalpha():
        return Atom(piece) if is_telling(piece) else None
    if "://" in piece:
        return _url(piece)
    if "@" in piece and (mail := _mail(piece)) is not None:
        return mail
    if _NUMBER.fullmatch(piece):
        return _number(piece.strip("$€£¥%+-"))
    if "/" in piece or "\\" in piece:
        return _path(piece)
    if "=" in piece or ":" in piece:
        return _compound(piece, re.split(r"[=:&?]+", piece))
    if "." in piece and _HOST.fullmatch(piece):
        return _host(piece)
    return _token(piece)


def number(canonical: str) -> Atom | None:
    """Returns the atom of a number alone, None for one that everyone uses."""
    made = _number(canonical)
    return made if is_telling(made.value.replace(".", "")) else None


def _number(text: str) -> Atom:
    digits = text
    if "." in text:
        digits = text.rstrip("0").rstrip(".")
    of_note = len(digits.replace(".", "")) >= 5 and is_telling(digits.replace(".", ""))
    return Atom(digits, of_note=of_note)


def _long(piece: str) -> Atom:
    """A blob: its own fingerprint, and nothing inside."""
    return Atom(squash(piece), of_note=True)


def _token(piece: str) -> Atom | None:
    value = squash(piece)
    if not is_telling(value):
        return None
    if any(map(str.isdigit, value)):
        return Atom(value, of_note=len(value) >= 5)
    # Words joined by dashes are words ("follow-up"); three or more, or a dot, are somebody's name
    # for something.
    joints = len(re.findall(r"[\W_]+", piece))
    return Atom(value, of_note=len(value) >= 6 and (joints >= 2 or "." in piece))


def _compound(piece: str, inner: list[str], *, of_note: bool = False) -> Atom | None:
    value = squash(piece)
    parts = tuple(part for item in inner if (part := atom(item)) is not None)
    if not is_telling(value):
        return None
    if not parts and not of_note:
        return None
    return Atom(value, of_note or any(part.of_note for part in parts), parts)


def _mail(piece: str) -> Atom | None:
    piece = piece.removeprefix("mailto:")
    before, _, host = piece.rpartition("@")
    name = re.split(r"[=:&?/]", before)[-1]
    host = re.split(r"[/?&=:]", host)[0].strip(_EDGES)
    if not name or "." not in host:
        return None
    value = squash(name) + "@" + squash(host)
    parts = [part for part in (atom(name), _host(host)) if part is not None]
    return Atom(value, of_note=True, parts=tuple(parts))


def _host(host: str) -> Atom | None:
    """A host, and the domains above it: who owns `evil.example` made `x.evil.example` too."""
    labels = [label for label in host.rstrip(".").split(".") if label]
    if labels and labels[0] == "www" and len(labels) > 2:
        labels = labels[1:]
    value = squash("".join(labels))
    if not is_telling(value):
        return None
    labels = labels[-_MAX_LABELS:]
    parts: tuple[Atom, ...] = ()
    known = 3 if len(labels) > 2 and labels[-2] in _SECOND_LEVEL else 2
    if len(labels) > known:
        above = _host(".".join(labels[1:]))
        below = _token(labels[0])
        parts = tuple(part for part in (above, below) if part is not None)
    return Atom(value, of_note=len(value) >= 5, parts=parts)


def _url(piece: str) -> Atom | None:
    return _address(piece.partition("://")[2])


def _address(rest: str) -> Atom | None:
    """A URL without its scheme: "www.example.com/x" is the same place as with "https://"."""
    authority, cut, tail = _cut(rest, "/?#\\")
    user, _, host = authority.rpartition("@")
    parts: list[Atom | None] = [_authority(host)]
    if user:
        parts.append(_compound(user, user.split(":")))
    path, mark, query = _cut(tail, "?#") if cut in ("/", "\\") else ("", cut, tail)
    if path.strip("/"):
        parts.append(_path("/" + path, under_host=True))
    if mark and query:
        parts.extend(atom(item) for item in re.split(r"[&;=?#+]+", query) if item)
    value = squash(rest.removeprefix("www."))
    if not is_telling(value):
        return None
    return Atom(value, of_note=True, parts=tuple(part for part in parts if part is not None))


def _authority(host: str) -> Atom | None:
    name, _, port = host.rpartition(":")
    return _host(name if name and port.isdecimal() else host)


def _cut(text: str, marks: str) -> tuple[str, str, str]:
    for index, char in enumerate(text):
        if char in marks:
            return text[:index], char, text[index + 1 :]
    return text, "", ""


def _path(piece: str, *, under_host: bool = False) -> Atom | None:
    if not under_host and piece[0] not in "/~." and (match := _HOST_PATH.fullmatch(piece)):
        host = match[1].partition(":")[0]
        if "." in host and not host[0].isdecimal():
            return _address(piece)
    value = squash(piece)
    if not is_telling(value):
        return None
    names = [name for name in re.split(r"[/\\]+", piece) if name]
    parts = tuple(part for name in names if (part := atom(name)) is not None)
    if all(name.isalpha() for name in names) and len(names) <= 2 and piece[0] not in "/~.":
        return Atom(value, parts=parts)  # "and/or"
    return Atom(value, of_note=len(value) >= 5, parts=parts)
