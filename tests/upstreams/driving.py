"""Gates driven by hand: bodies fed in pieces, each call ruled on at once, recordings found by format."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import WireError
from proxy.wire.codec import (
    CallFound,
    Emit,
    GateEvent,
    Refuse,
    RefusedResponse,
    Release,
    Remember,
    ResponseGate,
    Ruling,
)

REF = "cr_" + "ab" * 16
TEXT = f"[checkrein {REF}] The call was refused and did not run."
_FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "wire"

type Row = dict[str, Any]


@dataclass
class Left:
    """What came out of a gate."""

    body: bytes = b""
    calls: list[CallFound] = field(default_factory=list)
    memories: list[RefusedResponse] = field(default_factory=list)


def release(_: int) -> Ruling:
    return Release()


def refuse(key: int) -> Ruling:
    return Refuse(f"{TEXT} ({key})")


def refuse_only(*keys: int) -> Callable[[int], Ruling]:
    return lambda key: refuse(key) if key in keys else Release()


def drive(gate: ResponseGate, pieces: list[bytes], ruling: Callable[[int], Ruling]) -> Left:
    """Feeds the pieces and the end, rules on each call as it comes up."""
    left = Left()
    for piece in [*pieces, b""]:
        todo: list[GateEvent] = gate.feed(piece)
        while todo:
            event = todo.pop(0)
            if isinstance(event, Emit):
                left.body += event.data
            elif isinstance(event, Remember):
                left.memories.append(event.response)
            elif isinstance(event, CallFound):
                left.calls.append(event)
                todo = gate.rule(event.key, ruling(event.key)) + todo
    assert not gate.pending
    return left


def cuts(body: bytes, seed: str, *, every_byte_below: int = 7000) -> Iterator[list[bytes]]:
    """Yields a body in pieces: cut at random, the same on every run, and, if small, at every byte."""
    draw = random.Random(seed)  # noqa: S311 - the same splits on every run
    splits = [sorted(draw.sample(range(len(body)), min(12, len(body)))) for _ in range(4)]
    if len(body) < every_byte_below:
        splits.append(list(range(1, len(body))))
    for split in splits:
        at = [0, *split, len(body)]
        yield [body[a:b] for a, b in itertools.pairwise(at) if a != b]


@cache
def recordings(provider_format: str) -> dict[str, tuple[Row, Row]]:
    """Returns recorded exchanges with their oracle, by id; none where the recordings are absent."""
    if not _FOLDER.exists():
        return {}
    with (_FOLDER / "wire_dev.oracle.jsonl").open() as lines:
        oracle = {row["id"]: row for row in map(json.loads, lines)}
    with (_FOLDER / "wire_dev.jsonl").open() as lines:
        rows = [json.loads(line) for line in lines]
    return {
        row["id"]: (row, oracle[row["id"]])
        for row in rows
        if row["provider_format"] == provider_format
    }


def recorded_ids(provider_format: str) -> list[Any]:
    absent = pytest.param("absent", marks=pytest.mark.skip(reason="shared/data/wire is not here"))
    return list(recordings(provider_format)) or [absent]


def drive_closed(gate: ResponseGate, body: bytes) -> bytes:
    """Returns what leaves when every call is refused, and the failure where the gate gives up."""
    left = bytearray()
    try:
        for piece in (body, b""):
            todo: list[GateEvent] = gate.feed(piece)
            while todo:
                event = todo.pop(0)
                if isinstance(event, Emit):
                    left += event.data
                elif isinstance(event, CallFound):
                    todo = gate.rule(event.key, refuse(event.key)) + todo
    except WireError:
        left += gate.fail("closed")
    return bytes(left)


def mutations(body: bytes, seed: str, count: int) -> Iterator[bytes]:
    """Yields a body with lines swapped, doubled, dropped, joined, or with bytes changed."""
    draw = random.Random(seed)  # noqa: S311 - the same bodies on every run
    lines = body.splitlines(keepends=True)
    for _ in range(count):
        made = list(lines)
        for _ in range(draw.randint(1, 3)):
            n = draw.randrange(len(made))
            match draw.randrange(6):
                case 0:
                    made.insert(draw.randrange(len(made)), made[n])
                case 1:
                    made[n], made[-n] = made[-n], made[n]
                case 2 if len(made) > 1:
                    del made[n]
                case 3:
                    made[n] = made[n].rstrip(b"\n") + draw.choice(
                        [b"\r", b"\r\n", b"", b" ", b"\n\n"]
                    )
                case 4:
                    old, new = draw.choice(_EDITS)
                    made[n] = made[n].replace(old, new, 1)
                case _:
                    at = draw.randrange(len(made[n]))
                    made[n] = made[n][:at] + draw.choice(_BYTES) + made[n][at + 1 :]
        yield b"".join(made)


_BYTES = [b"\r", b"\n", b"\xef\xbb\xbf", b'"', b"\\", b"{", b"}", b":", b",", b" ", b"0", b"\x85"]
_EDITS = [
    (b'"type"', b'"Type"'),
    (b'"type"', b'"type": 0, "type"'),
    (b'"tool_calls"', b'"tool_calls": [], "tool_calls"'),
    (b"tool_calls", b"tool\\u005fcalls"),
    (b'"index": 0', b'"index": 1'),
    (b'"index": 1', b'"index": null'),
    (b'"output_index": 1', b'"output_index": 2'),
    (b"delta", b"start"),
    (b"data: ", b"data:"),
    (b"data: ", b"data"),
    (b"data: ", b": "),
    (b"event: ", b"data: "),
    (b'"name"', b'"Name"'),
    (b'"name"', b'"name": "x", "name"'),
    (b"generation", b"chunk"),
    (b"-end", b"-start"),
    (b"done", b"Done"),
]
