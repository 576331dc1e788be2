"""Recorded Anthropic answers through the gate, read afterwards by the vendor's own SDK.

The recordings are not part of the project (`../shared/data`): without them this file is skipped.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from proxy.canonical import digest
from proxy.model import Call
from proxy.wire.anthropic.protocol import PROTOCOL
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    Refuse,
    RefusedResponse,
    Release,
    Remember,
    ResponseGate,
)
from proxy.wire.jsontext import read_strict

WIRE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "wire"
REF = "cr_" + "0123456789abcdef" * 2


def _rows(name: str) -> list[dict[str, Any]]:
    path = WIRE / name
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


ORACLE = {row["id"]: row for row in _rows("wire_dev.oracle.jsonl")}
RECORDINGS: list[Any] = [
    r for r in _rows("wire_dev.jsonl") if r["provider_format"] == "anthropic.messages"
] or [pytest.param(None, marks=pytest.mark.skip(reason="shared/data/wire is not here"))]
each_recording = pytest.mark.parametrize(
    "row", RECORDINGS, ids=lambda r: r["id"] if isinstance(r, dict) else "absent"
)


def _whole(body: bytes) -> Iterator[bytes]:
    yield body


def _byte_by_byte(body: bytes) -> Iterator[bytes]:
    return (body[n : n + 1] for n in range(len(body)))


def _at_random(body: bytes) -> Iterator[bytes]:
    chance = random.Random(len(body))  # noqa: S311 - the same splits at every run
    at = 0
    while at < len(body):
        size = chance.randint(1, 300)
        yield body[at : at + size]
        at += size


splits = pytest.mark.parametrize("split", [_whole, _byte_by_byte, _at_random])


def _gate(row: dict[str, Any]) -> ResponseGate:
    return PROTOCOL.gate(
        content_type=row["response_headers"]["content-type"],
        status=row["response_status"],
        ref=REF,
        request=None,
    )


def _run(
    gate: ResponseGate, chunks: Iterator[bytes], ruling: Release | Refuse
) -> tuple[bytes, list[GateEvent]]:
    events: list[GateEvent] = []
    for chunk in [*chunks, b""]:
        fresh = gate.feed(chunk)
        while fresh:
            events += fresh
            found = [e.key for e in fresh if isinstance(e, CallFound)]
            fresh = [e for key in found for e in gate.rule(key, ruling)]
    assert not gate.pending
    return b"".join(e.data for e in events if isinstance(e, Emit)), events


def _seen(call: Call) -> tuple[str | None, str, str]:
    return call.id, call.name, call.args_sha256


def _expected(rows: list[dict[str, Any]]) -> list[tuple[str | None, str, str]]:
    return [(r["id"], r["name"], digest(read_strict(r["arguments_raw"]))) for r in rows]


def _client(body: bytes, content_type: str) -> anthropic.Anthropic:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    transport = httpx2.MockTransport(answer)
    return anthropic.Anthropic(
        api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport)
    )


def _messages_by_sdk(body: bytes, row: dict[str, Any]) -> Iterator[Any]:
    """Yields the final messages that every way of asking gives."""
    kind = row["response_headers"]["content-type"]
    asked: dict[str, Any] = {
        "model": "claude-opus-4-8",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "hi"}],
    }
    for surface in ("messages", "beta"):
        with _client(body, kind) as client:
            api: Any = client.messages if surface == "messages" else client.beta.messages
            if not row["streaming"]:
                yield api.create(**asked)
                continue
            with api.create(**asked, stream=True) as raw:
                assert [event.type for event in raw][-1] == "message_stop"
            # Some recordings are several answers in one file; the SDK's accumulator knows one.
            for part in _answers(body):
                with _client(part, kind) as one:
                    of_one: Any = one.messages if surface == "messages" else one.beta.messages
                    with of_one.stream(**asked) as stream:
                        yield stream.get_final_message()


def _answers(body: bytes) -> list[bytes]:
    mark = b"event: message_start"
    return [mark + part for part in body.split(mark)[1:]]


@each_recording
@splits
def test_allowed_answers_leave_as_they_came(
    row: dict[str, Any], split: Callable[[bytes], Iterator[bytes]]
) -> None:
    """All released: the same bytes, and the calls that the independent parsers saw."""
    body = row["response_body"].encode()
    left, events = _run(_gate(row), split(body), Release())
    assert left == body
    found = [e.call for e in events if isinstance(e, CallFound)]
    assert [_seen(c) for c in found] == _expected(ORACLE[row["id"]]["calls"])
    served = [e.call for e in events if isinstance(e, CallSeen)]
    assert [_seen(c) for c in served] == _expected(ORACLE[row["id"]]["server_calls"])
    assert not any(c.fault for c in [*found, *served])


@each_recording
@splits
def test_refused_answers_hold_no_call(
    row: dict[str, Any], split: Callable[[bytes], Iterator[bytes]]
) -> None:
    """All refused: the SDK reads the answer, finds the text and no call that a client would run."""
    body = row["response_body"].encode()
    text = f"Refused by rule 'r'. [{REF}]"
    left, events = _run(_gate(row), split(body), Refuse(text))
    messages = list(_messages_by_sdk(left, row))
    assert messages
    blocks = [block for message in messages for block in message.content]
    assert not [b for b in blocks if b.type == "tool_use"]
    assert "tool_use" not in {message.stop_reason for message in messages}
    refused = len(ORACLE[row["id"]]["calls"])
    assert sum(getattr(b, "text", None) == text for b in blocks) == 2 * refused
    memories = [e.response for e in events if isinstance(e, Remember)]
    assert sum(len(m.refused) for m in memories) == refused


@each_recording
def test_memory_is_what_the_sdk_would_have_built(row: dict[str, Any]) -> None:
    """The remembered turn equals what the SDK makes of the untouched answer."""
    body = row["response_body"].encode()
    _, events = _run(_gate(row), _whole(body), Refuse(f"no [{REF}]"))
    memories: list[RefusedResponse] = [e.response for e in events if isinstance(e, Remember)]
    originals = {json.dumps(_bare(m.original["content"]), sort_keys=True) for m in memories}
    built = {
        json.dumps(_bare(m.to_dict(mode="json")["content"]), sort_keys=True)
        for m in _messages_by_sdk(body, row)
        if any(b.type == "tool_use" for b in m.content)
    }
    assert originals == built


@each_recording
def test_the_next_request_holds_the_original_again(row: dict[str, Any]) -> None:
    """An agent that sends back what the SDK gave it has the refused call restored, with its result."""
    body = row["response_body"].encode()
    left, events = _run(_gate(row), _whole(body), Refuse(f"no [{REF}]"))
    every = [e.response for e in events if isinstance(e, Remember)]
    parts = _answers(left) if row["streaming"] else [left]
    untouched = _answers(body) if row["streaming"] else [body]
    for part, before in zip(parts, untouched, strict=True):
        echoed = _turn_by_sdk(part, row)
        history = [{"role": "user", "content": "hi"}, echoed, {"role": "user", "content": "on"}]
        asked = json.dumps({"model": "m", "max_tokens": 9, "messages": history}).encode()
        # A file of several answers has one reference for all, which no real exchange has.
        memories = [m for m in every if m.keys[1].removeprefix("response:").encode() in part]
        restored = PROTOCOL.restore(PROTOCOL.parse_request(asked), memories)
        original = _turn_by_sdk(before, row)
        calls = [b["id"] for b in original["content"] if b["type"] == "tool_use"]
        if not calls:
            assert restored is None
            continue
        assert restored is not None
        _, turn, answer = json.loads(restored)["messages"]
        assert _bare(turn["content"]) == _bare(original["content"])
        assert [b.get("tool_use_id") for b in answer["content"]] == [*calls, None]


def _turn_by_sdk(body: bytes, row: dict[str, Any]) -> dict[str, Any]:
    message = list(_messages_by_sdk(body, row))[-1]
    return {"role": "assistant", "content": message.to_dict(mode="json")["content"]}


def _bare(blocks: Any) -> Any:
    """Leaves out what an SDK adds by itself: fields that are null on the wire or not there."""
    return [{k: v for k, v in block.items() if v is not None} for block in blocks]
