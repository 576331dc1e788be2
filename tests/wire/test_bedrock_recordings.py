"""Recorded Bedrock answers through the gate: what leaves, what was seen, what boto3 reads of it."""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from proxy.wire.codec import CallFound, Emit, GateEvent, Refuse, Release, Remember, Ruling
from proxy.wire.detect import protocol_for
from tests.wire.bedrock_sdk import calls_of, texts_of

REF = "cr_" + "ab" * 16
TEXT = f"[checkrein {REF}] The call was refused and did not run."
_FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "wire"


@cache
def _rows() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    if not _FOLDER.exists():
        return {}
    with (_FOLDER / "wire_dev.oracle.jsonl").open() as lines:
        oracle = {row["id"]: row for row in map(json.loads, lines)}
    with (_FOLDER / "wire_dev.jsonl").open() as lines:
        rows = [json.loads(line) for line in lines]
    return {
        row["id"]: (row, oracle[row["id"]])
        for row in rows
        if row["provider_format"].startswith("bedrock.")
    }


def _ids() -> list[Any]:
    absent = pytest.param("absent", marks=pytest.mark.skip(reason="shared/data/wire is not here"))
    return list(_rows()) or [absent]


def _body(row: dict[str, Any]) -> bytes:
    body: str = row["response_body"]
    return base64.b64decode(body) if row["response_body_b64"] else body.encode()


def _drive(
    row: dict[str, Any], pieces: list[bytes], ruling: Callable[[int], Ruling]
) -> tuple[bytes, list[CallFound], list[Remember]]:
    """Feeds the pieces, rules at once on each call; returns what left, the calls and the memories."""
    protocol = protocol_for("POST", urlsplit(row["url"]).path)
    assert protocol is not None
    gate = protocol.gate(
        content_type=row["response_headers"]["content-type"],
        status=row["response_status"],
        ref=REF,
        request=protocol.parse_request(row["request_body"].encode()),
    )
    left, calls, memories = bytearray(), [], []
    for piece in [*pieces, b""]:
        todo: list[GateEvent] = gate.feed(piece)
        while todo:
            event = todo.pop(0)
            if isinstance(event, Emit):
                left += event.data
            elif isinstance(event, Remember):
                memories.append(event)
            elif isinstance(event, CallFound):
                calls.append(event)
                todo += gate.rule(event.key, ruling(event.key))
    assert not gate.pending
    return bytes(left), calls, memories


@pytest.mark.parametrize("name", _ids())
def test_all_released_leaves_byte_for_byte_and_shows_the_oracles_calls(name: str) -> None:
    row, oracle = _rows()[name]
    body = _body(row)
    left, calls, memories = _drive(row, [body], lambda _: Release())
    assert left == body
    assert memories == []
    seen = [(c.call.id, c.call.name, c.call.arguments, c.call.fault) for c in calls]
    expected = [(c["id"], c["name"], c["arguments"] or {}, None) for c in oracle["calls"]]
    assert seen == expected
    assert [(c, n) for c, n, _ in calls_of(row["url"], body)] == [(c, n) for c, n, *_ in seen]


@pytest.mark.parametrize("name", _ids())
def test_all_refused_leaves_no_call_for_the_sdk(name: str) -> None:
    row, oracle = _rows()[name]
    body = _body(row)
    left, _, memories = _drive(row, [body], lambda _: Refuse(TEXT))
    if not oracle["calls"]:
        assert left == body
        return
    assert calls_of(row["url"], left) == []
    text, stop = texts_of(row["url"], left)
    assert text.count(TEXT) == len(oracle["calls"])
    assert stop == "end_turn"
    kept = memories[-1].response
    assert [r.call_id for r in kept.refused] == [c["id"] for c in oracle["calls"]]
    for call in oracle["calls"]:
        assert call["id"].encode() not in left


@pytest.mark.parametrize("name", _ids())
@pytest.mark.parametrize(
    "refuse", [None, 0, 1], ids=["released", "first refused", "second refused"]
)
def test_every_split_gives_the_same(name: str, refuse: int | None) -> None:
    row, _ = _rows()[name]
    body = _body(row)

    def ruling(key: int) -> Ruling:
        return Refuse(TEXT) if key == refuse else Release()

    whole = _drive(row, [body], ruling)
    draw = random.Random(name)  # noqa: S311 - the same splits on every run
    splits = [sorted(draw.sample(range(len(body)), 12)) for _ in range(4)]
    if len(body) < 8000:
        splits.append(list(range(1, len(body))))
    for cuts in splits:
        at = [0, *cuts, len(body)]
        pieces = [body[a:b] for a, b in itertools.pairwise(at) if a != b]
        assert _drive(row, pieces, ruling) == whole


@pytest.mark.parametrize("name", _ids())
def test_requests_are_read(name: str) -> None:
    row, _ = _rows()[name]
    protocol = protocol_for("POST", urlsplit(row["url"]).path)
    assert protocol is not None
    request = protocol.parse_request(row["request_body"].encode())
    assert [r.call_id for r in request.results] == row["request_tool_results"]
    assert [t.name for t in request.tools] == [t for t in row["request_tools"] if t is not None]
    assert request.stream == row["streaming"]
    assert request.model is not None
    assert request.model in row["url"].replace("%3A", ":")
