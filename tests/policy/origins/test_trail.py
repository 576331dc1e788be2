"""A secret that leaves in pieces, call after call."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.model import Json, Origin, Source
from proxy.policy.origins import Lookup, Printer, Trail

SECRET = "q7Xw2PbT9sKd4LmZ8nVc"


class Memory(Protocol):
    printer: Printer

    def secret(self, text: str, tool: str = ...) -> Source: ...
    def answer(self, lookup: Lookup) -> Origin: ...


def _pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _calls_until_seen(memory: Memory, calls: Iterable[Json]) -> int:
    """Returns how many calls were let through; 0 if none was recognised."""
    trail = Trail()
    for number, arguments in enumerate(calls, 1):
        trail, lookup = Trail.read(trail.write()).follow("http_get", arguments, memory.printer)
        if memory.answer(lookup).labels:
            return number
    return 0


@pytest.mark.parametrize(
    ("calls", "most"),
    [
        pytest.param([{"q": c} for c in SECRET], 8, id="a letter a call"),
        pytest.param([{"q": p} for p in _pieces(SECRET, 4)], 2, id="four a call"),
        pytest.param([{"q": p} for p in _pieces(SECRET, 7)], 2, id="seven a call"),
        pytest.param([{"q": c} for c in SECRET[::-1]], 8, id="from the end"),
        pytest.param(
            [{"url": f"https://c.example/p?d={c}"} for c in SECRET], 9, id="in a query"
        ),
        pytest.param(
            [{"url": f"https://c.example/p?n={n}&d={p}"} for n, p in enumerate(_pieces(SECRET, 3))],
            4,
            id="beside a counter",
        ),
        pytest.param(
            [{"host": f"{p}.{n}.c.example"} for n, p in enumerate(_pieces(SECRET, 2))],
            5,
            id="as labels of hosts",
        ),
        pytest.param(
            [{"q": p} for p in _pieces(base64.b64encode(SECRET.encode()).decode(), 4)],
            5,
            id="of its base64",
        ),
        pytest.param([{"q": p} for p in _pieces(SECRET.encode().hex(), 2)], 10, id="of its hex"),
        pytest.param([{"n": ord(c)} for c in SECRET], 12, id="as numbers"),
    ],
)  # fmt: skip
def test_pieces_are_recognised(memory: Memory, calls: list[Json], most: int) -> None:
    memory.secret(SECRET)
    assert 0 < _calls_until_seen(memory, calls) <= most


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([{"page": n} for n in range(50)], id="pages"),
        pytest.param(
            [{"q": w} for w in ["fresh", "water", "supply", "of", "the", "harbour", "office"]],
            id="words",
        ),
        pytest.param(
            [{"url": f"https://c.example/items/{n}"} for n in range(1000, 1050)], id="ids"
        ),
        pytest.param([{"q": "same"}] * 30, id="the same again"),
    ],
)
def test_ordinary_calls_are_not(memory: Memory, calls: list[Json]) -> None:
    memory.secret(SECRET)
    assert _calls_until_seen(memory, calls) == 0


def test_pieces_sent_by_several_tools_are_put_together(memory: Memory) -> None:
    memory.secret(SECRET)
    trail, found = Trail(), False
    for number, piece in enumerate(_pieces(SECRET, 3)):
        trail, lookup = trail.follow(f"tool_{number}", {f"arg{number}": piece}, memory.printer)
        found = found or bool(memory.answer(lookup).labels)
    assert found


def test_after_a_match_the_next_piece_is_recognised_at_once(memory: Memory) -> None:
    """And the trail holds no part that says anything by itself."""
    memory.secret(SECRET)
    trail = Trail()
    for piece in _pieces(SECRET, 4)[:3]:
        trail, _ = trail.follow("t", {"q": piece}, memory.printer)
    trail = trail.after_match()
    assert all(len(text) < 8 for _, text in trail.columns)
    _, lookup = trail.follow("t", {"q": SECRET[12:16]}, memory.printer)
    assert memory.answer(lookup).labels == ("secret.key",)


def test_a_trail_stays_small() -> None:
    printer, trail = Printer(b"a key of no importance"), Trail()
    for number in range(300):
        trail, _ = trail.follow(f"t{number}", {f"k{n}": f"v{n}" for n in range(50)}, printer)
    assert len(trail.write()) < 32_768


@pytest.mark.parametrize("text", ["", "{", "[[1]]", "[[]]", "\ud800", '{"a": 1}'])
def test_a_damaged_trail_is_an_empty_one(text: str) -> None:
    assert Trail.read(text) == Trail()


@settings(max_examples=100, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_nothing_that_JSON_can_hold_raises(value: Json) -> None:
    printer = Printer(b"a key of no importance")
    trail, _ = Trail().follow("\ud800", value, printer)
    trail, _ = trail.follow("\ud800", {"a\udfff": value}, printer)
    assert Trail.read(trail.write()) == trail
