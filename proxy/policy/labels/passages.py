"""Cuts a text into passages, each also as a reader would read it.

What belongs here: where a paragraph, an element, a comment or a JSON string starts and ends, and
what its words are once dressing is off: JSON escapes, entities, percent escapes, invisible and tag
characters, letters of other alphabets that look Latin, l e t t e r s set apart, Base64. A passage
keeps its place in the text as it came, so that the label lands on the values in it.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import msgspec

MAX_PASSAGES = 4000
_MAX_PASSAGE = 3000  # characters; a longer paragraph is read in overlapping windows
_OVERLAP = 400
_MAX_BLOB = 8192
_MAX_HIDDEN_MARKS = 200

_JSON_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_BARE_WORD = re.compile(r"(?!(?:true|false|null)\b)\b[^\W\d_]{2,}")
_BREAK = re.compile(r"\n[ \t\r]*(?:\n[ \t\r]*)+")
# What dumps of records are made of: the next item, the next field.
_FIELD = re.compile(r"\n(?=[ ]{0,12}(?:- )?[a-z_]{2,24}:(?: |\n))")
_JSON_BREAK = re.compile(r"(?:\\r)?\\n(?:[ \t]|\\t)*(?:\\r)?\\n(?:[ \t]|\\[nrt])*")
_ELEMENT = re.compile(
    r"</?(?:p|div|li|ul|ol|td|th|tr|table|section|article|header|footer|nav|form|aside|"
    r"main|body|html"
    r"|head|script|style|h[1-6]|blockquote|pre|br|hr|label|button|option|item|entry|"
    r"description)\b[^<>]{0,400}>",
    re.IGNORECASE,
)
_LINK_COMMENT = re.compile(r"^\[[^\]\n]{0,40}\]: ?#[ \t]*\([^\n]{0,4000}\)$", re.MULTILINE)
_HIDING_TAG = re.compile(r"<[a-z][^<>]{0,600}>", re.IGNORECASE)
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0*\.?[0-2]?(?:px|pt|em|"
        r"rem|%)?\s*[;\"']"
    r"|opacity\s*:\s*0(?:\.0\d*)?\s*[;\"']|(?<!background-)color\s*:\s*(?:white|"
        r"#fff(?:fff)?\b|transparent|rgba?\(\s*255\s*,\s*255\s*,\s*255)"
    r"|text-indent\s*:\s*-\d{3,}|(?:left|top)\s*:\s*-\d{4,}px|\shidden(?:[\s=>])|"
        r"aria-hidden\s*=\s*[\"']?true"
    r"|class\s*=\s*[\"'][^\"']{0,80}(?:sr-only|visually-hidden)",
    re.IGNORECASE,
)  # fmt: skip
_INLINE_TAG = re.compile(
    r"</?(?:b|i|em|strong|span|a|u|s|font|code|mark|small|wbr|sub|sup)\b[^<>]{0,400}>",
    re.IGNORECASE,
)
_BLOB = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{24,8192}={0,2}")
_SPACED = re.compile(r"(?<!\w)(?:\w[ .\-_*]){5,400}\w(?!\w)")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_UNICODE_ESCAPE = re.compile(r"\\{1,8}u([0-9a-fA-F]{4})")
_OTHER_ESCAPE = re.compile(r"\\{1,8}([nrt\"'/])")
_ESCAPED = "\"'/"
_SPACES = re.compile(r"\s+")
_TAGS = re.compile("[\U000e0020-\U000e007e]+")
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007f]{2,7}")

# Letters that look Latin, for words that mix alphabets.
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһӏԛԝкмтвнαερονικτυ",
    "aeopcyxijsdhlqwkmtbhaepoviktu",
)
_CYRILLIC_OR_GREEK = re.compile("[Ͱ-ӿԀ-ԯ]")
_LATIN = re.compile("[a-z]")
_INVISIBLE = frozenset(("Cf", "Co"))
_QUOTES = str.maketrans("\u2018\u2019\u201b`\u00b4“”„«»", "'''''\"\"\"\"\"")


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage: its place, its words, and how it was dressed."""

    start: int
    end: int
    words: str  # lower case, one space between words
    raw: str  # unescaped, but otherwise as it came
    box: int  # which JSON string, or 0 for the text itself: passages of two boxes never join
    hidden: bool = False  # a reader of the rendered page does not see it
    smuggled: bool = False  # tag characters or a readable Base64 blob


def passages(text: str) -> Iterator[Passage]:
    """Yields a text's passages in order; past `MAX_PASSAGES` the rest is cut by length alone."""
    for count, (start, end, box, hidden) in enumerate(_places(text), 1):
        if count == MAX_PASSAGES:
            for step in range(start, len(text), _MAX_PASSAGE - _OVERLAP):
                yield _passage(text, step, min(len(text), step + _MAX_PASSAGE), box, hidden=hidden)
            break
        yield _passage(text, start, end, box, hidden=hidden)
    yield from _blobs(text)


def _places(text: str) -> Iterator[tuple[int, int, int, bool]]:
    if text[:64].lstrip()[:1] in ("{", "["):
        box = 0
        for box, found in enumerate(_JSON_STRING.finditer(text), 1):
            if found.end(1) - found.start(1) >= 12:
                yield from _split(text, found.start(1), found.end(1), box, _JSON_BREAK)
        # JSON has no words outside its strings; a text that only starts like it has.
        if _BARE_WORD.search(_JSON_STRING.sub(" ", text)) is None:
            return
    yield from _split(text, 0, len(text), 0, _BREAK)


def _split(
    text: str, start: int, end: int, box: int, blank: re.Pattern[str]
) -> Iterator[tuple[int, int, int, bool]]:
    cuts: list[tuple[int, int]] = [(m.start(), m.end()) for m in blank.finditer(text, start, end)]
    if blank is _BREAK:
        cuts.extend((m.start(), m.start() + 1) for m in _FIELD.finditer(text, start, end))
    marked: list[tuple[int, int]] = []
    if "<" in text or "]: #" in text:
        marked.extend(_comments(text, start, end))
        for tag in _HIDING_TAG.finditer(text, start, end):
            if len(marked) < _MAX_HIDDEN_MARKS and _HIDING.search(tag.group()):
                closing = text.find("</", tag.end(), min(end, tag.end() + 4000))
                marked.append(
                    (tag.start(), closing if closing >= 0 else min(end, tag.end() + 4000))
                )
        cuts.extend((m.start(), m.end()) for m in _ELEMENT.finditer(text, start, end))
        for first, last in marked:
            cuts.extend(((first, first), (last, last)))
    cuts.sort()
    at = start
    for cut_start, cut_end in (*cuts, (end, end)):
        if cut_start > at:
            hidden = any(first <= at and cut_start <= last for first, last in marked)
            step = at
            while step < cut_start:
                stop = min(cut_start, step + _MAX_PASSAGE)
                if text[step:stop].strip():
                    yield step, stop, box, hidden
                step = stop if stop == cut_start else stop - _OVERLAP
        at = max(at, cut_end)


def _comments(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yields comments of HTML, the last one open or not, and those Markdown writes as a link."""
    at = start
    for _ in range(_MAX_HIDDEN_MARKS):
        first = text.find("<!--", at, end)
        if first < 0:
            break
        closing = text.find("-->", first + 4, end)
        at = end if closing < 0 else closing + 3
        yield first, at
    for count, found in enumerate(_LINK_COMMENT.finditer(text, start, end)):
        if count == _MAX_HIDDEN_MARKS:
            return
        yield found.span()


def _passage(text: str, start: int, end: int, box: int, *, hidden: bool) -> Passage:
    raw = text[start : min(end, start + _MAX_PASSAGE)]
    if "\\" in raw:
        # JSON in JSON, or a program's way to write a text, has escapes left.
        raw = _bare(_unescaped(raw) if box else raw)
    words, smuggled = read(raw)
    return Passage(start, end, words, raw, box, hidden, smuggled)


def _unescaped(raw: str) -> str:
    try:
        value = msgspec.json.decode(f'"{raw}"'.encode("utf-8", "surrogatepass"), type=str)
    except (msgspec.MsgspecError, UnicodeError):
        return raw.replace("\\n", "\n").replace('\\"', '"').replace("\\t", " ").replace("\\/", "/")
    return value


def _bare(raw: str) -> str:
    raw = _UNICODE_ESCAPE.sub(lambda m: chr(int(m[1], 16)), raw)
    return _OTHER_ESCAPE.sub(lambda m: m[1] if m[1] in _ESCAPED else " ", raw)


def read(raw: str) -> tuple[str, bool]:
    """Returns the words a model reads in a text, lower case, and whether tag characters spell some."""
    smuggled = False
    if raw.isascii():
        plain = raw
    else:
        plain = _FLAG.sub("", raw)
        tags = "".join(_TAGS.findall(plain))
        if sum(chr(ord(c) - 0xE0000).isalpha() for c in tags) >= 8:
            smuggled = True
        plain = _TAGS.sub(lambda m: "".join(chr(ord(c) - 0xE0000) for c in m.group()), plain)
        plain = unicodedata.normalize("NFKC", plain)
        if not plain.isascii():
            plain = "".join(c for c in plain if unicodedata.category(c) not in _INVISIBLE)
    if "&" in plain:
        plain = html.unescape(plain)
    if plain.count("%") >= 3 and len(_PERCENT.findall(plain)) >= 3:
        plain = unquote(plain, errors="replace")
    if "<" in plain:
        plain = _INLINE_TAG.sub("", plain)
    if _SPACED.search(plain):
        plain = _SPACED.sub(lambda m: re.sub(r"[ .\-_*]", "", m.group()), plain)
    plain = plain.replace("`", "'") if plain.isascii() else plain.translate(_QUOTES)
    words = _SPACES.sub(" ", plain.lower()).strip()
    if _CYRILLIC_OR_GREEK.search(words) and _LATIN.search(words):
        words = f"{words} \n {words.translate(_LOOKALIKES)}"
    return words, smuggled


def _blobs(text: str) -> Iterator[Passage]:
    """Yields what Base64 in the text says, where it says words."""
    for found in _BLOB.finditer(text):
        blob = found.group()
        said = _decoded(blob.replace("-", "+").replace("_", "/"))
        if said is not None:
            words, _ = read(said)
            yield Passage(found.start(), found.end(), words, said, -1, True, True)


def _decoded(blob: str) -> str | None:
    bare = blob.rstrip("=")
    try:
        data = base64.b64decode(bare + "=" * (-len(bare) % 4))
        said = data[:_MAX_BLOB].decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    printable = sum(c.isprintable() or c.isspace() for c in said)
    if len(said) < 16 or printable < 0.97 * len(said) or said.count(" ") < 2:
        return None
    return said
