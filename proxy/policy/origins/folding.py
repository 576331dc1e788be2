"""Makes different writings of the same thing equal.

What belongs here: what is done to a text before it is looked at. `fold` takes away case, width,
accents, invisible characters and look-alike letters; `squash` keeps letters and digits alone, so
that spaces, dashes and quotes put between the parts of a value change nothing.

Both sides, what is stored and what is looked up, go through the same functions: it is enough that
they are stable; they need not be right about any language.
"""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF9, 0xFFFB), (0xE0100, 0xE01EF),
    (0x0300, 0x036F),  # accents, once they are apart from their letters
)  # fmt: skip

# Letters of other scripts that pass for Latin ones, small ones and those whose capital does.
_ALIKE = dict(
    zip(
        "авекмнорстухіјѕһԁԛԝɡʟɪαβεζηικμνορτυχϲϳըօսհոց",
        "abekmhopctyxijshdqwgliabezhikmvoptyxcjaouhnq",
        strict=False,
    )
)

_TABLE: dict[int, str | None] = {ord(odd): plain for odd, plain in _ALIKE.items()}
for _first, _last in _INVISIBLE:
    _TABLE.update(dict.fromkeys(range(_first, _last + 1), None))
for _code in range(0x20, 0x7F):  # tag characters: ASCII that no one sees
    _TABLE[0xE0000 + _code] = chr(_code).lower()

_UNSEEN: dict[int, str | None] = dict.fromkeys(c for c, plain in _TABLE.items() if plain is None)
_UNSEEN.update((0xE0000 + code, chr(code)) for code in range(0x20, 0x7F))
_NOT_ALNUM = re.compile(r"[\W_]+")


def fold(text: str) -> str:
    """Returns the text without case, accents, invisible characters and look-alikes."""
    if text.isascii():
        return text.lower()
    # Two ligatures come apart into eight and eighteen letters: work that nobody needs done.
    text = text.replace("\ufdfa", "").replace("\ufdfb", "")
    return unicodedata.normalize("NFKD", text).casefold().translate(_TABLE)


def visible(text: str) -> str:
    """Returns the text as it looks, its case kept: encodings need it."""
    text = text.replace("\ufdfa", "").replace("\ufdfb", "")
    return unicodedata.normalize("NFKC", text).translate(_UNSEEN)


def squash(folded: str) -> str:
    """Returns the letters and digits of a folded text."""
    return folded if folded.isalnum() else _NOT_ALNUM.sub("", folded)
