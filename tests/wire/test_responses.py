"""The Responses codec against recorded exchanges, its own oracle and the vendor's SDK.

Every recording runs whole, byte by byte and cut at random places. All calls released: the very
bytes leave, and the calls are those the oracle lists. All refused: the `openai` package reads what
is left and finds no call.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from proxy.errors import WireError
from proxy.model import Call
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
from proxy.wire.responses.protocol import PROTOCOL

REF = "cr_" + "0" * 32
TEXT = f"checkrein refused this call ({REF})."
DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "wire"
CLIENT_CALLS = {
    "function_call",
    "custom_tool_call",
    "local_shell_call",
    "apply_patch_call",
    "computer_call",
    "mcp_approval_request",
}


def _recordings() -> list[Any]:
    path = DATA / "wire_dev.jsonl"
    if not path.exists():
        why = pytest.mark.skip(reason="shared/data/wire is not beside this checkout")
        return [pytest.param(None, None, id="no-recordings", marks=why)]
    oracle_lines = (DATA / "wire_dev.oracle.jsonl").read_text().splitlines()
    oracles = {one["id"]: one for one in map(json.loads, oracle_lines)}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        pytest.param(row, oracles[row["id"]], id=row["id"])
        for row in rows
        if row["provider_format"] == "openai.responses"
    ]


RECORDINGS = _recordings()


@dataclass
class Run:
    """What a gate did with one body."""

    out: bytearray = field(default_factory=bytearray)
    found: list[Call] = field(default_factory=list)
    seen: list[Call] = field(default_factory=list)
    memories: list[RefusedResponse] = field(default_factory=list)

    def take(self, events: list[GateEvent]) -> list[int]:
        keys: list[int] = []
        for event in events:
            match event:
                case Emit(data):
                    self.out += data
                case CallFound(key, call):
                    keys.append(key)
                    self.found.append(call)
                case CallSeen(call):
                    self.seen.append(call)
                case Remember(memory):
                    self.memories.append(memory)
        return keys


def drive(gate: ResponseGate, pieces: Iterator[bytes], *, refuse: bool) -> Run:
    run = Run()
    for piece in [*pieces, b""]:
        for key in run.take(gate.feed(piece)):
            ruling = Refuse(TEXT) if refuse else Release()
            run.take(gate.rule(key, ruling))
    assert not gate.pending
    return run


def whole(body: bytes) -> Iterator[bytes]:
    yield body


def bytewise(body: bytes) -> Iterator[bytes]:
    return (body[at : at + 1] for at in range(len(body)))


def randomly(body: bytes) -> Iterator[bytes]:
    dice = random.Random(len(body))  # noqa: S311 - cuts, not secrets
    at = 0
    while at < len(body):
        size = dice.randint(1, 400)
        yield body[at : at + size]
        at += size


SPLITS = [
    pytest.param(whole, id="whole"),
    pytest.param(bytewise, id="bytewise"),
    pytest.param(randomly, id="random"),
]


def _gate(row: dict[str, Any]) -> ResponseGate:
    request = PROTOCOL.parse_request(row["request_body"].encode())
    return PROTOCOL.gate(
        content_type=row["response_headers"]["content-type"],
        status=row["response_status"],
        ref=REF,
        request=request,
    )


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(("row", "oracle"), RECORDINGS)
def test_released_recording_leaves_as_it_came(row: Any, oracle: Any, split: Any) -> None:
    body = row["response_body"].encode()
    run = drive(_gate(row), split(body), refuse=False)
    assert bytes(run.out) == body
    client = [call for call in run.found if call.executor == "client"]
    assert [(c.id, c.name, c.arguments, c.kind, c.namespace) for c in client] == [
        (o["id"], o["name"], o["arguments"], o["kind"], o.get("namespace")) for o in oracle["calls"]
    ]
    server = [call for call in run.found if call.executor == "provider"] + run.seen
    assert [(c.name, c.kind) for c in server] == [
        (o["name"], o.get("type") or o["kind"]) for o in oracle["server_calls"]
    ]
    for call, listed in zip(server, oracle["server_calls"], strict=True):
        if listed["arguments_raw"] is not None:
            assert call.arguments == json.loads(listed["arguments_raw"], parse_float=_decimal)
    assert all(call.fault is None for call in run.found)
    assert run.memories == []


def _decimal(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(("row", "oracle"), RECORDINGS)
def test_refused_recording_shows_no_call_to_the_sdk(row: Any, oracle: Any, split: Any) -> None:
    body = row["response_body"].encode()
    run = drive(_gate(row), split(body), refuse=True)
    out = bytes(run.out)
    if not run.found:
        assert out == body
        return
    assert [memory.ref for memory in run.memories] == [REF]
    kinds, texts = sdk_view(out, streaming=row["streaming"])
    assert not kinds & CLIENT_CALLS
    assert any(REF in text for text in texts)
    # Nothing of the call is anywhere in what left, in whatever field. (The request's echo has tools'
    # names, so ids are what is looked for.)
    for call in run.found:
        assert call.id is not None
        assert call.id.encode() not in out


def client_for(body: bytes, content_type: str) -> openai.OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", max_retries=0, http_client=http)


def sdk_view(body: bytes, *, streaming: bool) -> tuple[set[str], list[str]]:
    """Item types and message texts as the SDK's ways of reading show them."""
    kinds: set[str] = set()
    texts: list[str] = []

    def note(items: Any) -> None:
        for item in items or []:
            kinds.add(item.type)
            if item.type == "message":
                texts.extend(part.text for part in item.content if part.type == "output_text")

    if not streaming:
        client = client_for(body, "application/json")
        note(client.responses.create(model="m", input="x").output)
        return kinds, texts
    client = client_for(body, "text/event-stream")
    last = -1
    for event in client.responses.create(model="m", input="x", stream=True):
        number = getattr(event, "sequence_number", None)
        if number is not None:
            assert number > last
            last = number
        if hasattr(event, "item"):
            note([event.item])
        if hasattr(event, "response"):
            note(event.response.output)
    with client.responses.stream(model="m", input="x") as stream:
        for _ in stream:
            pass
        note(stream.get_final_response().output)
    return kinds, texts


@pytest.mark.parametrize(("row", "oracle"), RECORDINGS)
def test_recorded_request_is_read(row: Any, oracle: Any) -> None:
    request = PROTOCOL.parse_request(row["request_body"].encode())
    assert [result.call_id for result in request.results] == row["request_tool_results"]
    names = [tool.name for tool in request.tools]
    assert names[: len(row["request_tools"])] == row["request_tools"] or not row["request_tools"]
    assert request.model == row["model"]
    for result in request.results:
        if result.name not in (None, "tool_search_call"):
            assert result.args_sha256
    assert PROTOCOL.restore(request, []) is None


def test_request_fields() -> None:
    body = {
        "model": "m",
        "instructions": "Be kind.",
        "previous_response_id": "resp_1",
        "conversation": {"id": "conv_1"},
        "prompt_cache_key": "pck",
        "metadata": {"session_id": "s1"},
        "safety_identifier": "u1",
        "input": [
            {"role": "user", "content": "first"},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
            {"type": "function_call_output", "call_id": "c1", "output": "ok"},
            {"type": "apply_patch_call_output", "call_id": "c2", "status": "failed", "output": "x"},
            {
                "type": "shell_call_output",
                "call_id": "c3",
                "output": [{"stdout": "o", "stderr": "e", "outcome": {"type": "exit"}}],
            },
            {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False},
            {"type": "additional_tools", "tools": [{"type": "function", "name": "late"}]},
            {"role": "user", "content": [{"type": "input_text", "text": f"second {REF}"}]},
        ],
        "tools": [
            {"type": "function", "name": "f", "parameters": {}},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]},
            {"type": "mcp", "server_label": "lab", "headers": {"a": "secret"}},
        ],
    }
    request = PROTOCOL.parse_request(json.dumps(body).encode())
    assert [(r.call_id, r.name, r.text, r.is_error) for r in request.results] == [
        ("c1", "f", "ok", False),
        ("c2", None, "x", True),
        ("c3", None, "o\ne", False),
        ("mcpr_1", None, "", True),
    ]
    assert [tool.name for tool in request.tools] == ["f", "g", "lab", "late"]
    assert (request.system_text, request.user_text) == ("Be kind.", f"second {REF}")
    assert request.opening == "Be kind.\nfirst"
    assert request.hints == {
        "previous_response_id": "resp_1",
        "conversation": "conv_1",
        "prompt_cache_key": "pck",
        "session_id": "s1",
        "safety_identifier": "u1",
    }
    assert request.remembered_by == (
        f"ref:{REF}",
        "response:resp_1",
        "conversation:conv_1",
        "item:rs_1",
        "call:c1",
    )
    rotated = json.loads(json.dumps(body).replace("secret", "other"))
    again = PROTOCOL.parse_request(json.dumps(rotated).encode())
    assert again.tools == request.tools


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[]", id="not-an-object"),
        pytest.param(b'{"input": 3}', id="input-is-a-number"),
        pytest.param(b'{"input": ["x"]}', id="item-is-a-string"),
        pytest.param(b"{", id="not-json"),
    ],
)
def test_unreadable_request_is_refused(body: bytes) -> None:
    with pytest.raises(WireError, match=r"openai\.responses: request"):
        PROTOCOL.parse_request(body)


def test_gate_without_request_and_foreign_answers() -> None:
    gate = PROTOCOL.gate(content_type="application/json", status=200, ref=REF, request=None)
    body = b'{"object":"response.deleted","id":"r"}'
    assert bytes(drive(gate, whole(body), refuse=True).out) == body
    gate = PROTOCOL.gate(content_type="text/html", status=502, ref=REF, request=None)
    assert bytes(drive(gate, whole(b"<html>"), refuse=True).out) == b"<html>"
    with pytest.raises(WireError, match="text/html"):
        PROTOCOL.gate(content_type="text/html", status=200, ref=REF, request=None)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"nope", id="not-json"),
        pytest.param(b'{"object":"response","output":{}}', id="output-is-an-object"),
        pytest.param(b'{"object":"response"}', id="no-output"),
        pytest.param(b'{"output":[],"output":[{"type":"function_call"}]}', id="two-outputs"),
        pytest.param(
            b'{"output":[{"type":"function_call","type":"message"}]}', id="item-of-two-types"
        ),
    ],
)
def test_json_of_no_single_reading_is_refused(body: bytes) -> None:
    gate = PROTOCOL.gate(content_type="application/json", status=200, ref=REF, request=None)
    gate.feed(body)
    with pytest.raises(WireError):
        gate.feed(b"")


def test_error_body_is_raised_by_the_sdk() -> None:
    body = PROTOCOL.error_body(403, "no more refunds")

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(403, headers={"content-type": "application/json"}, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = openai.OpenAI(api_key="k", max_retries=0, http_client=http)
    with pytest.raises(openai.PermissionDeniedError, match="no more refunds"):
        client.responses.create(model="m", input="x")
