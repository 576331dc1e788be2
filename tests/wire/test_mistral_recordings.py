"""Recorded Mistral exchanges: its chat is the Chat codec's, read back by Mistral's own SDK."""

from __future__ import annotations

import json
from typing import Any

import httpx
import httpx2
import pytest
from mistralai.client import Mistral

from proxy.wire.chat.protocol import PROTOCOL as CHAT
from proxy.wire.detect import protocol_for
from tests.upstreams.driving import (
    REF,
    Row,
    cuts,
    drive,
    recorded_ids,
    recordings,
    refuse,
    release,
)

each = pytest.mark.parametrize("name", recorded_ids("mistral"))


def _gate(row: Row) -> Any:
    assert protocol_for(row["method"], httpx.URL(row["url"]).path) is CHAT
    return CHAT.gate(
        content_type=row["response_headers"]["content-type"],
        status=row["response_status"],
        ref=REF,
        request=CHAT.parse_request(row["request_body"].encode()),
    )


def sdk_reads(row: Row, body: bytes) -> tuple[list[Any], str, Any]:
    """Returns the calls, the text and the finish reason that the SDK finds."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        kind = row["response_headers"]["content-type"]
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        client: Any = Mistral(api_key="k", server_url="http://x", client=http)
        if not row["streaming"]:
            choice = client.chat.complete(model="m", messages=[]).choices[0]
            return (
                list(choice.message.tool_calls or ()),
                str(choice.message.content),
                (choice.finish_reason),
            )
        choices = [e.data.choices[0] for e in client.chat.stream(model="m", messages=[])]
        calls = [call for c in choices for call in c.delta.tool_calls or ()]
        text = "".join(c.delta.content for c in choices if isinstance(c.delta.content, str))
        return calls, text, next(c.finish_reason for c in reversed(choices) if c.finish_reason)


@each
def test_all_released_leaves_byte_for_byte_and_shows_the_oracles_calls(name: str) -> None:
    row, oracle = recordings("mistral")[name]
    body = row["response_body"].encode()
    for pieces in [[body], *cuts(body, name)]:
        left = drive(_gate(row), pieces, release)
        assert left.body == body
        seen = [(c.call.id, c.call.name, c.call.arguments) for c in left.calls]
        assert seen == [(c["id"], c["name"], c["arguments"]) for c in oracle["calls"]]


@each
def test_all_refused_leaves_no_call_for_the_sdk(name: str) -> None:
    row, oracle = recordings("mistral")[name]
    body = row["response_body"].encode()
    left = drive(_gate(row), [body], refuse)
    if not oracle["calls"]:
        assert left.body == body
        return
    calls, text, reason = sdk_reads(row, left.body)
    assert calls == []
    assert text.count(REF) == len(oracle["calls"])
    assert reason == "stop"
    for call in oracle["calls"]:
        assert json.dumps(call["id"]).encode() not in left.body


@each
def test_requests_are_read(name: str) -> None:
    row, _ = recordings("mistral")[name]
    request = CHAT.parse_request(row["request_body"].encode())
    assert [r.call_id for r in request.results] == row["request_tool_results"]
    assert [t.name for t in request.tools] == row["request_tools"]
