"""Recorded Chat Completions answers through the gate: what leaves, what was seen, what an SDK reads."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from proxy.wire.chat.protocol import PROTOCOL
from proxy.wire.codec import CallFound, Emit, GateEvent, Refuse, Release, Remember, Ruling

REF = "cr_" + "ab" * 16
TEXT = f"[checkrein {REF}] The call was refused and did not run."
_FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "wire"


@cache
def _rows() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    if not _FOLDER.exists():
        return {}
    oracle = {}
    with (_FOLDER / "wire_dev.oracle.jsonl").open() as lines:
        oracle = {row["id"]: row for row in map(json.loads, lines)}
    with (_FOLDER / "wire_dev.jsonl").open() as lines:
        rows = [json.loads(line) for line in lines]
    return {
        row["id"]: (row, oracle[row["id"]])
        for row in rows
        if row["provider_format"] == "openai.chat"
    }


def _ids() -> list[Any]:
    absent = pytest.param("absent", marks=pytest.mark.skip(reason="shared/data/wire is not here"))
    return list(_rows()) or [absent]


def _drive(
    row: dict[str, Any], pieces: list[bytes], ruling: Callable[[int], Ruling]
) -> tuple[bytes, list[CallFound], list[Remember]]:
    """Feeds the pieces, rules at once on each call; returns what left, the calls and the memories."""
    gate = PROTOCOL.gate(
        content_type=row["response_headers"]["content-type"],
        status=row["response_status"],
        ref=REF,
        request=None,
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


def _sdk_message(row: dict[str, Any], body: bytes) -> Any:
    """What the vendor's SDK makes of a body."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        kind = row["response_headers"]["content-type"]
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    transport = httpx2.MockTransport(answer)
    with OpenAI(
        api_key="k", base_url="http://x/v1", http_client=httpx2.Client(transport=transport)
    ) as client:
        if not row["streaming"]:
            completion: Any = client.chat.completions.create(model="m", messages=[])
            return completion.choices[0]
        with client.chat.completions.stream(model="m", messages=[]) as stream:
            for _ in stream:
                pass
            return stream.current_completion_snapshot.choices[0]


@pytest.mark.parametrize("name", _ids())
def test_all_released_leaves_byte_for_byte_and_shows_the_oracles_calls(name: str) -> None:
    row, oracle = _rows()[name]
    body = row["response_body"].encode()
    left, calls, memories = _drive(row, [body], lambda _: Release())
    assert left == body
    assert memories == []
    seen = [(c.call.id, c.call.name, c.call.arguments, c.call.fault) for c in calls]
    # The recorder's `null` arguments are none at all.
    expected = [(c["id"], c["name"], c["arguments"] or {}, None) for c in oracle["calls"]]
    assert seen == expected


@pytest.mark.parametrize("name", _ids())
def test_all_refused_leaves_no_call_for_the_sdk(name: str) -> None:
    row, oracle = _rows()[name]
    body = row["response_body"].encode()
    left, _, memories = _drive(row, [body], lambda _: Refuse(TEXT))
    if not oracle["calls"]:
        assert left == body
        return
    choice = _sdk_message(row, left)
    assert not choice.message.tool_calls
    assert choice.message.function_call is None
    assert REF in choice.message.content
    assert choice.finish_reason == "stop"
    kept = memories[-1].response
    assert [r.call_id for r in kept.refused] == [c["id"] for c in oracle["calls"]]
    if kept.original.get("function_call"):
        assert [kept.original["function_call"]["name"]] == [c["name"] for c in oracle["calls"]]
        return
    assert [c["id"] for c in kept.original["tool_calls"]] == [c["id"] for c in oracle["calls"]]
    for call in oracle["calls"]:
        assert call["id"].encode() not in left


@pytest.mark.parametrize("name", _ids())
@pytest.mark.parametrize("refuse", [False, True], ids=["released", "second refused"])
def test_every_split_gives_the_same(name: str, refuse: bool) -> None:
    row, _ = _rows()[name]
    body = row["response_body"].encode()

    def ruling(key: int) -> Ruling:
        return Refuse(TEXT) if refuse and key == 1 else Release()

    whole = _drive(row, [body], ruling)
    draw = random.Random(name)  # noqa: S311 - the same splits on every run
    splits = [sorted(draw.sample(range(len(body)), 12)) for _ in range(4)]
    if len(body) < 7000:
        splits.append(list(range(1, len(body))))
    for cuts in splits:
        at = [0, *cuts, len(body)]
        pieces = [body[a:b] for a, b in itertools.pairwise(at) if a != b]
        assert _drive(row, pieces, ruling) == whole


@pytest.mark.parametrize("name", _ids())
def test_requests_are_read(name: str) -> None:
    row, _ = _rows()[name]
    if row["url"].endswith("/completions") or row["url"].endswith("/chat"):
        request = PROTOCOL.parse_request(row["request_body"].encode())
        assert [r.call_id for r in request.results] == row["request_tool_results"]
        if (
            b'"functions"' not in row["request_body"].encode()
        ):  # the recorder looked at `tools` only
            assert [t.name for t in request.tools] == row["request_tools"]
        assert request.stream == row["streaming"]
