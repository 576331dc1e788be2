"""Anthropic answers that are one JSON object, errors, and the choice of a gate."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import pytest

from proxy.errors import WireError
from proxy.wire.anthropic.protocol import PROTOCOL
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    Refuse,
    Release,
    Remember,
    ResponseGate,
)

REF = "cr_" + "12" * 16
NO = Refuse(f"Refused by rule 'cap'. [{REF}]")
THINKING = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
T1 = {"type": "tool_use", "id": "t1", "name": "pay", "input": {"n": 1}}
T2 = {"type": "tool_use", "id": "t2", "name": "pay", "input": {"n": 2}}
SERVER = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
MCP = {"type": "mcp_tool_use", "id": "m1", "name": "echo", "server_name": "srv", "input": {}}
TEXT = {"type": "text", "text": "hello"}


def body_of(*blocks: dict[str, Any], reason: str = "tool_use") -> bytes:
    return json.dumps(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": blocks,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 2},
        },
        indent=1,
    ).encode()


def new_gate(status: int = 200) -> ResponseGate:
    return PROTOCOL.gate(content_type="application/json", status=status, ref=REF, request=None)


def drive(body: bytes, size: int = 1 << 20, *refused: str, status: int = 200) -> list[GateEvent]:
    gate = new_gate(status)
    events = [e for n in range(0, len(body), size) for e in gate.feed(body[n : n + size])]
    events += gate.feed(b"")
    for event in list(events):
        if isinstance(event, CallFound):
            events += gate.rule(event.key, NO if event.call.id in refused else Release())
    return events


def sent(events: list[GateEvent]) -> bytes:
    return b"".join(e.data for e in events if isinstance(e, Emit))


def by_sdk(body: bytes, status: int = 200) -> Any:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"content-type": "application/json"}, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    with anthropic.Anthropic(api_key="k", max_retries=0, http_client=http) as client:
        return client.messages.create(
            model="claude-opus-4-8", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        )


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["bytewise", "whole"])
@pytest.mark.parametrize(
    ("refused", "kinds", "reason"),
    [
        pytest.param([], ["thinking", "tool_use", "text", "tool_use"], "tool_use", id="none"),
        pytest.param(["t1"], ["thinking", "text", "text", "tool_use"], "tool_use", id="first"),
        pytest.param(["t2"], ["thinking", "tool_use", "text", "text"], "tool_use", id="second"),
        pytest.param(["t1", "t2"], ["thinking", "text", "text", "text"], "end_turn", id="both"),
    ],
)
def test_two_calls(size: int, refused: list[str], kinds: list[str], reason: str) -> None:
    """A refused call's place is taken by our text; all else stays, and memory comes first."""
    body = body_of(THINKING, T1, TEXT, T2)
    events = drive(body, size, *refused)
    message = by_sdk(sent(events))
    assert [b.type for b in message.content] == kinds
    assert message.stop_reason == reason
    if not refused:
        assert sent(events) == body
        return
    assert isinstance(events[-2], Remember)
    memory = events[-2].response
    assert memory.original == {"role": "assistant", "content": [THINKING, T1, TEXT, T2]}
    assert [r.call_id for r in memory.refused] == refused
    assert {f"ref:{REF}", "response:msg_1"} <= set(memory.keys)
    assert {k for k in memory.keys if k.startswith("call:")} == {
        f"call:{i}" for i in ("t1", "t2") if i not in refused
    }


def test_calls_the_provider_runs_are_seen() -> None:
    """They do not wait, also beside a call that is refused."""
    events = drive(body_of(SERVER, MCP, T1), 1 << 20, "t1")
    seen = [e.call for e in events if isinstance(e, CallSeen)]
    assert [(c.id, c.executor, c.namespace) for c in seen] == [
        ("s1", "provider", None),
        ("m1", "provider", "srv"),
    ]
    assert [b.type for b in by_sdk(sent(events)).content] == [
        "server_tool_use",
        "mcp_tool_use",
        "text",
    ]


@pytest.mark.parametrize(
    ("swap", "fault"),
    [
        pytest.param(b'{"to": 1, "to": 2}', "duplicate key", id="duplicate"),
        pytest.param(b"[1]", "not an object", id="array"),
        pytest.param(b'"{}"', "not an object", id="string"),
        pytest.param(b'{"s": "\\ud83d"}', "not valid JSON text", id="half-pair"),
    ],
)
def test_faulty_arguments(swap: bytes, fault: str) -> None:
    """The call is found as faulty; once refused, the body can be written and restored."""
    body = body_of(T1 | {"input": 7}).replace(b'"input": 7', b'"input": ' + swap)
    events = drive(body, 1 << 20, "t1")
    (found,) = [e.call for e in events if isinstance(e, CallFound)]
    assert found.fault is not None
    assert fault in found.fault
    assert [b.type for b in by_sdk(sent(events)).content] == ["text"]
    (memory,) = [e.response for e in events if isinstance(e, Remember)]
    assert isinstance(memory.original["content"][0]["input"], dict)


def test_half_a_surrogate_pair_elsewhere() -> None:
    """Text that UTF-8 cannot carry does not keep a refusal from being written."""
    body = body_of({"type": "text", "text": "\ud83d"}, T1)
    assert b"\\ud83d" in body
    assert by_sdk(sent(drive(body, 1 << 20, "t1"))).content[0].text == "?"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(b'{"type": "message"', "not valid JSON", id="cut"),
        pytest.param(b"[]", "expected an object", id="array"),
        pytest.param(b'{"type": "message"}', r"\$.content", id="no-content"),
        pytest.param(b'{"content": "x"}', r"\$.content", id="content-is-text"),
        pytest.param(b'{"content": [{"id": "t1"}]}', r"\$.content\[0\]", id="block-without-type"),
        pytest.param(b'{"content": [], "content": []}', "twice", id="content-twice"),
        pytest.param(
            b'{"content": [{"type": "text", "type": "tool_use"}]}', "twice", id="type-twice"
        ),
    ],
)
def test_bodies_without_a_single_reading(body: bytes, why: str) -> None:
    """They are refused as a whole."""
    with pytest.raises(WireError, match=why):
        drive(body)


def test_errors_pass() -> None:
    """The provider's errors reach the client as they came, whatever their type."""
    error = PROTOCOL.error_body(529, "Overloaded")
    assert sent(drive(error, status=529)) == error
    assert sent(drive(b"<html>bad gateway</html>", status=502)) == b"<html>bad gateway</html>"


def test_calls_under_an_error_status_wait() -> None:
    """A lenient client may read a body whatever the status says."""
    assert b"t1" not in sent(drive(body_of(T1), 1 << 20, "t1", status=404))


@pytest.mark.parametrize("kind", ["text/html", "", "application/x-ndjson"])
def test_unknown_content_types_are_refused(kind: str) -> None:
    """A success of a type this API does not use cannot be judged."""
    with pytest.raises(WireError, match="content type"):
        PROTOCOL.gate(content_type=kind, status=200, ref=REF, request=None)


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, anthropic.BadRequestError),
        (403, anthropic.PermissionDeniedError),
        (529, anthropic.InternalServerError),
        (500, anthropic.InternalServerError),
    ],
)
def test_error_bodies(status: int, raised: type[Exception]) -> None:
    """The SDK raises our errors with their text."""
    with pytest.raises(raised, match="budget 'refunds' is used up"):
        by_sdk(PROTOCOL.error_body(status, "budget 'refunds' is used up"), status)


def test_keepalive_stands_ahead_of_json() -> None:
    """White space ahead of the body is JSON's own."""
    body = new_gate().keepalive() + sent(drive(body_of(TEXT)))
    assert by_sdk(body).content[0].text == "hello"
