"""Recorded Cohere exchanges through the gates, and into Cohere's own SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cohere
import httpx
import pytest

from proxy.wire.codec import Ruling
from proxy.wire.detect import protocol_for
from tests.upstreams.driving import (
    REF,
    Left,
    Row,
    cuts,
    drive,
    recorded_ids,
    recordings,
    refuse,
    refuse_only,
    release,
)

each = pytest.mark.parametrize("name", recorded_ids("cohere"))


def _drive(row: Row, pieces: list[bytes], ruling: Callable[[int], Ruling]) -> Left:
    body = row["request_body"].encode()
    protocol = protocol_for(row["method"], httpx.URL(row["url"]).path, body)
    assert protocol is not None
    gate = protocol.gate(
        content_type=row["response_headers"]["content-type"],
        status=row["response_status"],
        ref=REF,
        request=protocol.parse_request(body),
    )
    return drive(gate, pieces, ruling)


def sdk_reads(row: Row, body: bytes) -> tuple[list[Any], str, Any]:
    """Returns the calls, the text and the finish reason that the SDK finds."""

    def answer(_: httpx.Request) -> httpx.Response:
        kind = row["response_headers"]["content-type"]
        return httpx.Response(200, headers={"content-type": kind}, content=body)

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        if row["url"].endswith("/v1/chat"):
            old = cohere.Client(api_key="k", base_url="http://x", httpx_client=http)
            said = old.chat(message="x")
            return list(said.tool_calls or []), said.text, said.finish_reason
        new = cohere.ClientV2(api_key="k", base_url="http://x", httpx_client=http)
        if not row["streaming"]:
            whole = new.chat(model="m", messages=[])
            texts = [getattr(part, "text", "") for part in whole.message.content or []]
            return list(whole.message.tool_calls or []), "".join(texts), whole.finish_reason
        calls: list[Any] = []
        text, reason = "", None
        events: Any = new.chat_stream(model="m", messages=[])
        for event in events:
            if event.type.startswith("tool-call-"):
                calls.append(event)
            elif event.type == "content-delta":
                text += event.delta.message.content.text
            elif event.type == "message-end":
                reason = event.delta.finish_reason
        return calls, text, reason


@each
def test_all_released_leaves_byte_for_byte_and_shows_the_oracles_calls(name: str) -> None:
    row, oracle = recordings("cohere")[name]
    body = row["response_body"].encode()
    left = _drive(row, [body], release)
    assert left.body == body
    assert left.memories == []
    seen = [(c.call.id, c.call.name, c.call.arguments, c.call.fault) for c in left.calls]
    assert seen == [(c["id"], c["name"], c["arguments"], None) for c in oracle["calls"]]


@each
def test_all_refused_leaves_no_call_for_the_sdk(name: str) -> None:
    row, oracle = recordings("cohere")[name]
    body = row["response_body"].encode()
    left = _drive(row, [body], refuse)
    if not oracle["calls"]:
        assert left.body == body
        return
    calls, text, reason = sdk_reads(row, left.body)
    assert calls == []
    assert text.count(REF) == len(oracle["calls"])
    assert reason == "COMPLETE"
    memory = left.memories[-1]
    assert [r.call_id for r in memory.refused] == [c["id"] for c in oracle["calls"]]
    assert [e["id"] for e in memory.original["tool_calls"]] == [c["id"] for c in oracle["calls"]]
    for call in oracle["calls"]:
        assert call["id"].encode() not in left.body


@each
@pytest.mark.parametrize("ruling", [release, refuse_only(1)], ids=["released", "second refused"])
def test_every_split_gives_the_same(name: str, ruling: Callable[[int], Ruling]) -> None:
    row, _ = recordings("cohere")[name]
    body = row["response_body"].encode()
    whole = _drive(row, [body], ruling)
    for pieces in cuts(body, name):
        assert _drive(row, pieces, ruling) == whole
