"""Bytes from a terminal as keys: whole, byte by byte, and what an ESC is."""

from __future__ import annotations

import pytest

from proxy.cli.watch.keys import KeyReader

CASES = [
    pytest.param(b"aD/?", ["a", "D", "/", "?"], id="characters"),
    pytest.param("ü€😀".encode(), ["ü", "€", "😀"], id="utf-8"),
    pytest.param(b"\xff\xfe", [], id="no-utf-8"),
    pytest.param(b"\r\n\x7f\x08", ["enter", "enter", "backspace", "backspace"], id="controls"),
    pytest.param(b"\x00\x01\x03\x1a", [], id="other-controls"),
    pytest.param(b"\x1b[A\x1b[B\x1bOA\x1bOB", ["up", "down", "up", "down"], id="arrows"),
    pytest.param(b"\x1b[5~\x1b[6~\x1b[H\x1b[4~", ["pageup", "pagedown", "home", "end"], id="pages"),
    pytest.param(b"\x1b[1;5A\x1b[I\x1b[<0;1;1M\x1b[15~x", ["x"], id="sequences-that-are-no-keys"),
    pytest.param(b"\x1b\x1b[A", ["esc", "up"], id="esc-and-an-arrow"),
    pytest.param(b"\x1b[200~a\ny\x1b[31m\x1b[201~q", ["paste", "q"], id="paste"),
    pytest.param(b"\x1b[200~" + b"y" * 9000 + b"\x1b[201~q", ["paste", "q"], id="long-paste"),
]


@pytest.mark.parametrize(("data", "names"), CASES)
def test_keys(data: bytes, names: list[str]) -> None:
    """In one piece, and in pieces of one byte."""
    named = [name for name in names if name != "�"]
    whole = [key.name for key in KeyReader().feed(data) if key.name != "�"]
    reader = KeyReader()
    pieces = [key.name for n in range(len(data)) for key in reader.feed(data[n : n + 1])]
    assert whole == named
    assert [name for name in pieces if name != "�"] == named
    assert not reader.is_waiting


def test_what_is_pasted_is_one_line() -> None:
    reader = KeyReader()
    reader.feed(b"\x1b[200~not\r\nbefore ")
    assert reader.rest() == []  # however long it takes
    (key,) = reader.feed(b"\t17:00\n\x1b[201~")
    assert (key.name, key.text) == ("paste", "not before 17:00")


@pytest.mark.parametrize(
    ("data", "before"), [(b"\x1b", []), (b"\x1b\x1b", ["esc"])], ids=["esc", "twice"]
)
def test_an_esc_that_nothing_follows(data: bytes, before: list[str]) -> None:
    """It is a key once the terminal has been quiet."""
    reader = KeyReader()
    assert [key.name for key in reader.feed(data)] == before
    assert reader.is_waiting
    assert [key.name for key in reader.rest()] == ["esc"]
    assert not reader.is_waiting
    assert [key.name for key in reader.feed(b"a")] == ["a"]


@pytest.mark.parametrize(
    ("data", "end"), [(b"\x1b[", b"D"), (b"\x1b[1;5", b"D"), (b"\x1bO", b"D")], ids=repr
)
def test_a_slow_line_makes_no_key_of_a_sequences_end(data: bytes, end: bytes) -> None:
    """An arrow in two pieces, and quiet between them: no esc, and no `D`."""
    reader = KeyReader()
    assert reader.feed(data) == []
    assert reader.rest() == []
    assert [key.name for key in reader.feed(end + b"q") if key.name != "left"] == ["q"]


def test_alt_and_a_character_is_no_key() -> None:
    """It must not end a question, nor be the answer to one."""
    assert [key.name for key in KeyReader().feed(b"\x1bay")] == ["y"]
