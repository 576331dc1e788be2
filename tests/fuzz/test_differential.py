"""Mutated answers, requests and messages through every codec: what a target's `check` asserts holds (Hypothesis).

`scripts/fuzz` does the same with coverage as its guide, for as long as wanted.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.every import EVERY, FuzzTarget

SEEDS = {name: list(target.seeds) for name, target in EVERY.items()}
each_target = pytest.mark.parametrize("name", list(EVERY))


@st.composite
def mutated(draw: st.DrawFn, target: FuzzTarget) -> bytes:
    """A seed with some of its bytes moved, doubled, dropped, or replaced by words of the API."""
    data = draw(st.sampled_from(SEEDS[target.name]))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        to = draw(st.integers(at, min(len(data), at + 80)))
        word = draw(st.sampled_from(target.dictionary))
        match draw(st.integers(0, 8)):
            case 0:
                data = data[:at] + data[to:]
            case 1:
                data = data[:to] + data[at:]
            case 2:
                data = data[:at] + draw(st.binary(max_size=4)) + data[to:]
            case 3:
                data = data[:at] + b'"' + word.encode() + b'":' + data[at:]
            case 4:
                data = data[:at] + word.encode() + data[to:]
            case 5:  # an inner value under another key
                old = draw(st.sampled_from(target.dictionary)).encode()
                data = data.replace(b'"' + old + b'"', b'"' + word.encode() + b'"', 1)
            case 6:  # another spelling of a key
                data = data.replace(word.encode(), word.upper().encode(), 1)
            case 7:
                value = draw(st.sampled_from([b"null", b"[]", b"{}", b'""', b"0", b"1", b"true"]))
                data = data[:at] + value + data[to:]
            case _:
                lines = data.splitlines(keepends=True)
                if len(lines) > 1:
                    one = draw(st.integers(0, len(lines) - 1))
                    two = draw(st.integers(0, len(lines) - 1))
                    lines[one], lines[two] = lines[two], lines[one]
                    data = b"".join(lines)
    return data


@each_target
def test_every_seed(name: str) -> None:
    """The corpus itself, whole and cut at every byte."""
    target = EVERY[name]
    for data in SEEDS[name]:
        target.check(data, range(1, target.length(data)), whole_is_good=True)


@each_target
def test_mutations(name: str) -> None:
    """No crash, the same bytes, and no call that an SDK finds and the codec did not report."""
    target = EVERY[name]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=mutated(target), cuts=st.lists(st.integers(1, 2000), max_size=4))
    def run(data: bytes, cuts: list[int]) -> None:
        target.check(data, cuts)

    run()


@each_target
def test_any_bytes(name: str) -> None:
    """Bytes that are no answer at all."""
    target = EVERY[name]

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.binary(max_size=200))
    def run(data: bytes) -> None:
        target.check(data)

    run()
