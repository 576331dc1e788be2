"""Undoes the encodings that hide a value: what a text may also say.

What belongs here: one function a kind of encoding, each of which finds what it can read anywhere in
a text and returns it as one text, and `readings`, which applies them to one another's output.

Nothing is decided here: a wrong guess decodes to noise that no fingerprint matches. So the readers
are generous, and only their work is bounded: depth, characters in all, and what a compressed blob
may grow to. All of one encoding's finds in a text are joined to one reading, so that an agent
cannot hide a blob behind a hundred others.
"""

from __future__ import annotations

import base64
import binascii
import html
import quopri
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from urllib.parse import unquote_plus

from proxy.policy.origins.folding import visible

MAX_DEPTH = 3
MAX_GROWTH_CHARS = 131_072  # all readings of one text together, beyond thrice its own length
MAX_INFLATED_BYTES = 65_536
EXHAUSTED = ""

_BASE64 = re.compile(r"[A-Za-z0-9+/_\-]{11,}")
_WRAPPED = re.compile(r"(?<=[A-Za-z0-9+/_\-]{8})[ \t]*\r?\n[ \t]*(?=[A-Za-z0-9+/_=\-])")
_SPACED = re.compile(r"[A-Za-z0-9+/_\-=\s]{16,4096}")
_BASE32 = re.compile(r"[A-Z2-7]{13,}|[a-z2-7]{13,}")
_HEX = re.compile(r"[0-9a-fA-F]{2}(?:[\s,;:\-]{0,2}(?:\\x|0x|%|\\)?[0-9a-fA-F]{2}){7,}")
_NOT_HEX = re.compile(r"\\x|0x|[^0-9a-fA-F]")
_CODES = re.compile(r"\d{2,3}(?:[\s,;.]{1,3}\d{2,3}){6,}")
_BITS = re.compile(r"[01]{7,8}(?:[\s,;]{0,2}[01]{7,8}){7,}")
_DIGIT = re.compile(r"\d")
_DIGITS = re.compile(r"(?:\d\W{0,3}){14}")
_INTEGER = re.compile(r"\d{20,2000}")
_ESCAPE = re.compile(
    r"""\\(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([0-7]{3})|([nrtbf"'\\/]))"""
)
_ESCAPED = re.compile(r"""\\(?:[uUx][{0-9a-fA-F]|[0-7]{3}|[nrtbf"'\\/])""")
_QUOTED = re.compile(r"=(?:[0-9A-Fa-f]{2}|\r?\n)")
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_ENTITY = re.compile(r"&(?:#\w{2,8}|[A-Za-z]{2,8});?")
_SPREAD = re.compile(r"(?:[^\s\-_.,|]{1,4}[\s\-_.,|]{1,2}){5,}[^\s\-_.,|]{1,4}")
# What blobs have and short words put together have not.
_CODED = re.compile(r"\d[A-Za-z]|[A-Za-z]\d|%[0-9A-F]|\\|&#|=$|(?:[a-z]{1,3}[A-Z]+){3}")
_GAPS = re.compile(r"[\s\-_.,|]")
_JOINED = re.compile(
    r"""["'`]\s{0,4}(?:\+|\.|,|&|\|\||\\\n)\s{0,4}["'`]|/\*[^*]{0,200}\*/"""
    r"""|(?<=\w)(?:''|""|["`\\^]|'(?!(?:s|t|m|re|ll|ve|d)\b))(?=\w)"""
)
# Possessive: a run of punctuation has one reading, however long.
_PLAIN = re.compile(r"[^A-Za-z0-9]*+(?:[A-Za-z][a-z]*+(?:[^A-Za-z0-9+=]++|$))*+")
_BLOB = re.compile(r"[A-Za-z0-9+/_\-%\\&#;=]{16,}")
_ASCII_85 = re.compile(r"[!-u]{10,}")
_RARE = re.compile(r"[!#$()*;<>@^`{|}~\"',\[\]]")
_BASE_85 = re.compile(r"[0-9A-Za-z!#$%&()*+\-;<=>?@^_`{|}~]{10,}")
_ODD = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd]")
_RUNS = re.compile(rb"[\t\x20-\x7e]{8,}")
_ROT13 = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm",
)
_DEFLATED = re.compile(rb"\x1f\x8b\x08|x[\x01\x5e\x9c\xda]")
_MOST_HEADERS = 16
"""Two bytes come by chance: so many places are tried."""
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": " "}


def readings(text: str, depth: int = MAX_DEPTH, *, stored: bool = False) -> Iterator[str]:
    """Yields what a text says once decoded, and those decoded again, each once.

    Yields `EXHAUSTED` last where it stopped before all was read.

    Args:
        text: as it was written, not folded: case matters to most encodings.
        depth: how many encodings may lie in one another.
        stored: leave out what only someone who hides would write.
    """
    seen = {text}
    left = 3 * len(text) + MAX_GROWTH_CHARS
    level = [text]
    for _ in range(depth):
        found: list[str] = []
        for item in level:
            for reading in _decoded(item, stored):
                if len(reading) < 3 or reading in seen:
                    continue
                left -= len(reading)
                if left < 0:
                    yield EXHAUSTED
                    return
                seen.add(reading)
                found.append(reading)
                yield reading
        level = found


def _rewritten(text: str, stored: bool) -> Iterator[str]:
    """Yields the whole text, with what is encoded in it replaced."""
    if "%" in text:
        yield _percent(text)
    if "\\" in text:
        yield _escapes(text)
    if "&" in text:
        yield _entities(text)
    if "=" in text:
        yield _quoted_printable(text)
    if not text.isascii():
        yield visible(text)
    if not stored and ("'" in text or '"' in text or "\\" in text or "`" in text or "/*" in text):
        yield _pieces(text)
        yield _unquoted(text)
        yield text.replace("\\", "")


def _changed(text: str, reading: str) -> str:
    """Returns the lines that a reading changed: the others would be read again at every level."""
    if reading == text or "\n" not in text:
        return reading
    known = set(text.splitlines())
    return "\n".join(line for line in reading.splitlines() if line not in known)


def _decoded(text: str, stored: bool) -> Iterator[str]:
    """Yields one reading an encoding; most texts pass none of the gates."""
    for reading in _rewritten(text, stored):
        yield _changed(text, reading)
    long = [
        item
        for item in text.split()
        if len(item) >= 24 or (len(item) >= 10 and not _PLAIN.fullmatch(item))
    ]
    spaced = " " in text and _SPACED.fullmatch(text) is not None and _CODED.search(text) is not None
    if long or spaced:
        yield _base64(text, spaced)
    has_digits = _DIGIT.search(text) is not None
    if has_digits:
        yield _hex(text)
    if stored:
        return
    if has_digits:  # as good as every blob has some
        yield _squeezed(text)
    if has_digits and _DIGITS.search(text):
        yield _codes(text)
        yield _bits(text)
        yield _integer(text)
    if long:
        yield _base32(text)
        yield _base85(long)
        blobs = " ".join(run for run in _BLOB.findall(text) if not _PLAIN.fullmatch(run))
        yield blobs.translate(_ROT13)
        yield blobs[::-1]


# --- bytes to text ---------------------------------------------------------------------------
def _as_text(data: bytes) -> str:
    """Returns what can be read in some bytes, "" for noise."""
    for header in islice(_DEFLATED.finditer(data), _MOST_HEADERS):  # anything may stand before it
        if inflated := _inflated(data[header.start() :]):
            data = inflated
            break
    try:
        text = data.decode()
    except UnicodeDecodeError:
        pass
    else:
        odd = len(_ODD.findall(text)) if not text.isprintable() else 0
        if odd * 8 <= len(text):
            return text
    if data.count(0) * 5 >= len(data) >= 8:  # as PowerShell encodes its commands
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le", "ignore")
    return "\n".join(run.decode("ascii") for run in _RUNS.findall(data))


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=47).decompress(data, MAX_INFLATED_BYTES)
    except zlib.error:
        return b""


def _joined(texts: Iterator[str]) -> str:
    return "\n".join(dict.fromkeys(text for text in texts if text))


# --- one reader an encoding ------------------------------------------------------------------
def _base64(text: str, spaced: bool) -> str:
    if "\n" in text:
        text = _WRAPPED.sub("", text)
    runs = [run for run in _BASE64.findall(text) if not _PLAIN.fullmatch(run)]
    if spaced:
        runs.append("".join(text.split()).rstrip("="))
    return _joined(_from_base64(run) for run in runs)


def _from_base64(run: str) -> str:
    run = run.replace("-", "+").replace("_", "/")
    # What stands before the blob without a break shifts it: all four alignments are read.
    found = []
    for start in range(4):
        cut = run[start:]
        if len(cut) % 4 == 1:
            cut = cut[:-1]
        try:
            found.append(_as_text(binascii.a2b_base64(cut + "=" * (-len(cut) % 4))))
        except binascii.Error:
            continue
    return "\n".join(filter(None, found))


def _base32(text: str) -> str:
    return _joined(_from_base32(run.upper()) for run in _BASE32.findall(text))


def _from_base32(run: str) -> str:
    found = []
    for start in range(8):
        cut = run[start:]
        cut = cut[: len(cut) - {1: 1, 3: 1, 6: 1}.get(len(cut) % 8, 0)]
        try:
            found.append(_as_text(base64.b32decode(cut + "=" * (-len(cut) % 8))))
        except binascii.Error:
            continue
    return "\n".join(filter(None, found))


def _hex(text: str) -> str:
    return _joined(_from_hex(run) for run in _HEX.findall(text))


def _from_hex(run: str) -> str:
    digits = _NOT_HEX.sub("", run)
    found = [
        _as_text(bytes.fromhex(digits[start : len(digits) - (len(digits) - start) % 2]))
        for start in (0, 1)
    ]
    return "\n".join(filter(None, found))


def _codes(text: str) -> str:
    return _joined(
        _from_octets(
            "".join(chr(int(code)) for code in re.findall(r"\d+", run) if 9 <= int(code) < 256)
        )
        for run in _CODES.findall(text)
    )


def _bits(text: str) -> str:
    return _joined(
        _from_octets("".join(chr(int(bits, 2)) for bits in re.findall(r"[01]{8}|[01]{7}", run)))
        for run in _BITS.findall(text)
    )


def _integer(text: str) -> str:
    found = (int(run) for run in _INTEGER.findall(text))
    return _joined(_as_text(n.to_bytes((n.bit_length() + 7) // 8)) for n in found)


def _percent(text: str) -> str:
    return unquote_plus(text) if _PERCENT.search(text) else ""


def _quoted_printable(text: str) -> str:
    if len(_QUOTED.findall(text)) < 2 and "=\n" not in text and "=\r\n" not in text:
        return ""
    return _as_text(quopri.decodestring(text.encode("utf-8", "surrogatepass")))


def _entities(text: str) -> str:
    return html.unescape(text) if "&" in text and _ENTITY.search(text) else ""


def _escapes(text: str) -> str:
    if not _ESCAPED.search(text):
        return ""
    # JSON writes what is beyond 16 bits as two surrogates.
    plain = _ESCAPE.sub(_unescaped, text)
    return _from_octets(plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def _unescaped(match: re.Match[str]) -> str:
    short, braced, long, byte, octal, simple = match.groups()
    if simple is not None:
        return _SIMPLE.get(simple, simple)
    code = int(octal, 8) if octal is not None else int(short or braced or long or byte, 16)
    return chr(code) if code < 0x110000 else ""


def _from_octets(text: str) -> str:
    """Reads as UTF-8 what was written octet by octet."""
    try:
        return text if text.isascii() else text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _pieces(text: str) -> str:
    """`'ab' + 'cd'`, `a''b`, `a\\b`, `a/**/b`: what a program or a shell would put together."""
    return _JOINED.sub("", text)


def _unquoted(text: str) -> str:
    return text.replace("''", "").replace('""', "")


def _squeezed(text: str) -> str:
    """`c 2 V j`, `c2Vj-cmV0-…`: what was spread out, put together."""
    runs = (_GAPS.sub("", run) for run in _SPREAD.findall(text))
    return "\n".join(run for run in runs if _CODED.search(run))


def _base85(tokens: list[str]) -> str:
    text = "\n".join(tokens)
    found = []
    for pattern, decode in ((_BASE_85, base64.b85decode), (_ASCII_85, base64.a85decode)):
        for run in pattern.findall(text)[:64]:
            if len(set(_RARE.findall(run))) < 2:
                continue  # an address, a path
            for start in range(5):
                try:
                    found.append(_as_text(decode(run[start:].encode())))
                except (ValueError, OverflowError):
                    continue
    return _joined(iter(found))
