"""Recorded Gemini answers through the gate: what leaves, what was seen, what google-genai reads."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import types

from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    Refuse,
    Release,
    Remember,
    Ruling,
    WireProtocol,
)
from proxy.wire.detect import protocol_for

REF = "cr_" + "ab" * 16
TEXT = f"[checkrein {REF}] The call was refused and did not run."
BUILT_IN = ("googleSearch", "codeExecution", "urlContext")
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
        row["id"]: (row, oracle[row["id"]]) for row in rows if row["provider_format"] == "gemini"
    }


def _ids() -> list[Any]:
    absent = pytest.param("absent", marks=pytest.mark.skip(reason="shared/data/wire is not here"))
    return list(_rows()) or [absent]


def _protocol(row: dict[str, Any]) -> WireProtocol:
    path = httpx.URL(row["url"]).raw_path.decode()
    protocol = protocol_for(row["method"], path)
    assert protocol is not None
    assert protocol.name == "google.gemini"
    return protocol


def _drive(
    row: dict[str, Any], pieces: list[bytes], ruling: Callable[[int], Ruling]
) -> tuple[bytes, list[CallFound], list[CallSeen], list[Remember]]:
    """Feeds the pieces, rules at once on each call; returns what left, the calls and the memories."""
    gate = _protocol(row).gate(
        content_type=row["response_headers"]["content-type"],
        status=row["response_status"],
        ref=REF,
        request=None,
    )
    assert gate.streams == row["streaming"]
    left, calls, seen, memories = bytearray(), [], [], []
    for piece in [*pieces, b""]:
        todo: list[GateEvent] = gate.feed(piece)
        while todo:
            event = todo.pop(0)
            if isinstance(event, Emit):
                left += event.data
            elif isinstance(event, Remember):
                memories.append(event)
            elif isinstance(event, CallSeen):
                seen.append(event)
            else:
                calls.append(event)
                todo += gate.rule(event.key, ruling(event.key))
    assert not gate.pending
    return bytes(left), calls, seen, memories


def _sdk_parts(row: dict[str, Any], body: bytes) -> Iterator[types.Part]:
    """Yields the parts that google-genai finds in a body, of every candidate."""

    def answer(_: httpx.Request) -> httpx.Response:
        kind = row["response_headers"]["content-type"]
        return httpx.Response(200, headers={"content-type": kind}, content=body)

    http = httpx.Client(transport=httpx.MockTransport(answer))
    options = types.HttpOptions(httpx_client=http, base_url="http://x")
    with genai.Client(api_key="k", http_options=options) as client:
        answers: Any = client.models.generate_content_stream(model="m", contents="x")
        if not row["streaming"]:
            answers = [client.models.generate_content(model="m", contents="x")]
        for one in answers:
            for candidate in one.candidates or ():
                if candidate.content is not None:
                    yield from candidate.content.parts or ()


@pytest.mark.parametrize("name", _ids())
def test_all_released_leaves_byte_for_byte_and_shows_the_oracles_calls(name: str) -> None:
    row, oracle = _rows()[name]
    body = row["response_body"].encode()
    left, calls, seen, memories = _drive(row, [body], lambda _: Release())
    assert left == body
    assert memories == []
    found = [(c.call.id, c.call.name, c.call.arguments, c.call.fault) for c in calls]
    assert found == [(c["id"], c["name"], c["arguments"] or {}, None) for c in oracle["calls"]]
    assert [c.call.name for c in seen] == [c["name"] for c in oracle["server_calls"]]


@pytest.mark.parametrize("name", _ids())
def test_all_refused_leaves_no_call_for_the_sdk(name: str) -> None:
    row, oracle = _rows()[name]
    body = row["response_body"].encode()
    left, _, _, memories = _drive(row, [body], lambda _: Refuse(TEXT))
    if not oracle["calls"]:
        assert left == body
        return
    # google-genai cannot read enums that are numbers: there the parts are looked at as they are.
    numbers = "enum-encoding" in row["url"]
    plain = json.loads(left)["candidates"][0]["content"]["parts"] if numbers else ()
    parts = [types.Part(**p) for p in plain] if numbers else list(_sdk_parts(row, left))
    assert all(part.function_call is None for part in parts)
    assert sum(REF in (part.text or "") for part in parts) == len(oracle["calls"])
    kept = memories[-1].response
    assert [r.name for r in kept.refused] == [c["name"] for c in oracle["calls"]]
    before = json.loads(body)["candidates"][0]["content"]["parts"]
    assert kept.original["contents"] == [{"role": "model", "parts": before}]


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
    splits.append(list(range(1, len(body))))
    for cuts in splits:
        at = [0, *cuts, len(body)]
        pieces = [body[a:b] for a, b in itertools.pairwise(at) if a != b]
        assert _drive(row, pieces, ruling) == whole


@pytest.mark.parametrize("name", _ids())
def test_requests_are_read(name: str) -> None:
    row, _ = _rows()[name]
    request = _protocol(row).parse_request(row["request_body"].encode())
    if "function_response" not in row["request_body"]:  # the recorder looked for camelCase only
        assert [r.call_id for r in request.results] == row["request_tool_results"]
    functions = [t.name for t in request.tools if t.name not in BUILT_IN]
    assert functions == row["request_tools"]
    assert request.stream == row["streaming"]
    assert request.model == httpx.URL(row["url"]).path.rpartition("/")[2].partition(":")[0]
    assert request.opening
    for result in request.results:
        assert result.name
        assert result.args_sha256
