"""Bedrock's gates over made-up answers: refusals, cuts, and what an agent that wants out would try."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest
from botocore.exceptions import EventStreamError

from proxy.errors import WireError
from proxy.model import Call
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    Refuse,
    Release,
    Remember,
    ResponseGate,
    Ruling,
)
from proxy.wire.detect import protocol_for
from tests.upstreams.bedrock import chunk, converse_frames, frame, messages_chunks
from tests.wire.bedrock_sdk import calls_of, events_of, message_of, texts_of

REF = "cr_" + "ab" * 16
TEXT = f"[checkrein {REF}] The call was refused and did not run."
STREAM = "application/vnd.amazon.eventstream"


def use(call_id: str = "t1", name: str = "pay", **arguments: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": arguments or {"a": 1}}}


TWO = [{"text": "Let me see."}, use("t1", "pay", a=1), use("t2", "look", b="é")]


def gate_for(method: str, **more: Any) -> ResponseGate:
    protocol = protocol_for("POST", f"/model/m/{method}")
    assert protocol is not None
    kind = STREAM if "stream" in method else "application/json"
    fields: dict[str, Any] = {"content_type": kind, "status": 200, "ref": REF, "request": None}
    fields |= more
    return protocol.gate(**fields)


def drive(
    gate: ResponseGate, pieces: list[bytes], ruling: Callable[[Call], Ruling]
) -> tuple[bytes, list[GateEvent]]:
    """Feeds the pieces, rules at once on each call; returns what left and the other events."""
    left = bytearray()
    others: list[GateEvent] = []
    for piece in [*pieces, b""]:
        todo = gate.feed(piece)
        while todo:
            event = todo.pop(0)
            if isinstance(event, Emit):
                left += event.data
                continue
            others.append(event)
            if isinstance(event, CallFound):
                todo += gate.rule(event.key, ruling(event.call))
    return bytes(left), others


def but(*names: str) -> Callable[[Call], Ruling]:
    return lambda call: Refuse(TEXT) if call.name in names else Release()


def memory_of(events: list[GateEvent]) -> Any:
    return next(e.response for e in events if isinstance(e, Remember))


def chat_answer(*names: str, word: str = "finish_reason") -> dict[str, Any]:
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": '{"a": 1}'}}
        for n, name in enumerate(names)
    ]
    message = {"role": "assistant", "content": "", "tool_calls": calls}
    return {"choices": [{"index": 0, "message": message, word: "tool_calls"}]}


BODIES: dict[str, tuple[str, bytes]] = {
    "converse-stream": ("converse-stream", b"".join(converse_frames(TWO, "tool_use"))),
    "claude": ("invoke-with-response-stream", b"".join(messages_chunks(TWO, "tool_use"))),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("refused", [(), ("pay",), ("look",), ("pay", "look")], ids=str)
def test_streams_at_every_split(name: str, refused: tuple[str, ...]) -> None:
    """Whole or byte for byte: the same leaves; the SDK reads what was let through, and valid CRCs."""
    method, body = BODIES[name]
    left, events = drive(gate_for(method), [body], but(*refused))
    one_by_one = [body[n : n + 1] for n in range(len(body))]
    assert drive(gate_for(method), one_by_one, but(*refused)) == (left, events)
    if not refused:
        assert left == body
    assert [n for _, n, _ in calls_of(method, left)] == [
        n for n in ("pay", "look") if n not in refused
    ]
    text, stop = texts_of(method, left)
    assert text.count(TEXT) == len(refused)
    assert stop == ("end_turn" if len(refused) == 2 else "tool_use")


@pytest.mark.parametrize("name", BODIES)
def test_a_refusal_stands_ahead_of_the_calls_that_are_left(name: str) -> None:
    """Claude misses the result of a call that text follows, and signed histories are not restored."""
    method, body = BODIES[name]
    left, events = drive(gate_for(method), [body], but("look"))
    blocks, _ = message_of(method, left)
    assert [next(iter(block)) for block in blocks] == ["text", "text", "toolUse"]
    assert blocks[1]["text"] == TEXT
    memory = memory_of(events)
    if name == "converse-stream":
        assert memory.original == {"role": "assistant", "content": TWO}
    else:
        assert memory.original["family"] == "anthropic"
    assert {f"ref:{REF}", "call:t1"} <= set(memory.keys)


@pytest.mark.parametrize("method", ["converse", "invoke"])
def test_whole_answers_too(method: str) -> None:
    """Converse, and Claude's own form, as one object."""
    document: dict[str, Any] = {"output": {"message": {"role": "assistant", "content": TWO}}}
    document["stopReason"] = "tool_use"
    if method == "invoke":
        content = [{"type": "text", "text": "Let me see."}]
        for block in TWO[1:]:
            call = block["toolUse"]
            content.append({"type": "tool_use", "id": call["toolUseId"], **call})
        document = {"type": "message", "content": content, "stop_reason": "tool_use"}
    body = json.dumps(document, indent=1).encode()
    assert drive(gate_for(method), [body], but())[0] == body
    left, events = drive(gate_for(method), [body[:50], body[50:]], but("look"))
    blocks, stop = message_of(method, left)
    assert ([next(iter(b)) for b in blocks], stop) == (["text", "text", "toolUse"], "tool_use")
    assert memory_of(events).refused[0].call_id == "t2"


@pytest.mark.parametrize("cut", range(1, 12), ids=lambda n: f"frame{n}")
def test_a_stream_that_ends_early_shows_no_part_of_a_call(cut: int) -> None:
    """Cut at each frame and inside it: an open call never leaves, and boto3 raises."""
    frames = list(converse_frames(TWO, "tool_use"))
    for more in (b"", frames[cut][:20]):
        left, _ = drive(gate_for("converse-stream"), [b"".join(frames[:cut]) + more], but())
        inside = 5 <= cut <= 8 or cut >= 10
        if not inside and not more:
            assert left == b"".join(frames[:cut])
            continue
        with pytest.raises(EventStreamError, match="ended inside"):
            events_of("ConverseStream", left)
        whole_calls = (b"t1" in left) + (b"t2" in left)
        assert whole_calls == (cut >= 9)


@pytest.mark.parametrize("cut", range(2, 14), ids=lambda n: f"chunk{n}")
@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
def test_claudes_stream_that_ends_early_shows_no_part_of_a_call(cut: int, late: bool) -> None:
    """The same in chunks, ruled on at once or only when the stream is over."""
    frames = list(messages_chunks(TWO, "tool_use"))
    gate = gate_for("invoke-with-response-stream")
    error = frame("throttlingException", {"message": "slow down"}, message_type="exception")
    left, waiting = b"", []
    for piece in (b"".join(frames[:cut]), error, b""):
        events = gate.feed(piece)
        for event in events:
            left += event.data if isinstance(event, Emit) else b""
            waiting += [event.key] if isinstance(event, CallFound) else []
        for key in [] if late else [k for k in waiting if k in gate.pending]:
            left += b"".join(e.data for e in gate.rule(key, Release()) if isinstance(e, Emit))
    for key in list(gate.pending):
        left += b"".join(e.data for e in gate.rule(key, Release()) if isinstance(e, Emit))
    carried = [f for f in frames[:cut] if f in left]
    assert b"".join(carried) + left[len(b"".join(carried)) :] == left
    begun = sum(b"content_block_start" in base64.b64decode(_carried(f)) for f in carried)
    assert begun == len(waiting) + 1
    with pytest.raises(EventStreamError):
        events_of("InvokeModelWithResponseStream", left)


def test_a_refused_call_beside_a_lost_one_is_remembered() -> None:
    """An open call ahead of a refused one: neither leaves, the refused one is kept."""
    lost = _start(0, toolUse=CALL)
    refused = _start(1, toolUse={"toolUseId": "r", "name": "look"})
    refused += frame("contentBlockStop", {"contentBlockIndex": 1})
    left, events = drive(gate_for("converse-stream"), [lost + refused], but("look"))
    assert [r.call_id for r in memory_of(events).refused] == ["r"]
    assert b"toolUse" not in left


def test_claudes_open_call_ends_in_an_error_that_boto3_raises() -> None:
    frames = list(messages_chunks(TWO, "tool_use"))
    left, events = drive(gate_for("invoke-with-response-stream"), [b"".join(frames[:7])], but())
    assert not any(isinstance(event, CallFound) for event in events)
    with pytest.raises(EventStreamError, match="middle of a tool call"):
        events_of("InvokeModelWithResponseStream", left)


def _carried(raw: bytes) -> str:
    start = raw.index(b'"bytes": "') + 10
    return raw[start : raw.index(b'"', start)].decode()


def test_an_error_of_the_provider_passes_behind_what_was_whole() -> None:
    frames = list(converse_frames(TWO, "tool_use"))
    error = frame("throttlingException", {"message": "slow down"}, message_type="exception")
    left, events = drive(gate_for("converse-stream"), [b"".join(frames[:10]) + error], but())
    assert left.endswith(error)
    assert b"t1" in left
    assert b"t2" not in left
    assert [e.call.id for e in events if isinstance(e, CallFound)] == ["t1"]


def test_keepalives_are_read_by_nobody() -> None:
    gate = gate_for("converse-stream")
    body = gate.keepalive() + BODIES["converse-stream"][1] + gate.keepalive()
    assert [n for _, n, _ in calls_of("converse-stream", body)] == ["pay", "look"]
    with pytest.raises(EventStreamError, match="no more"):
        events_of("ConverseStream", gate.fail("no more"))


def test_a_tool_of_the_provider_is_seen_and_one_of_the_clients_waits() -> None:
    """`server_tool_use` is accounted for; under the name of a tool the client offers it waits."""
    start = {"toolUse": {"toolUseId": "s1", "name": "nova_grounding", "type": "server_tool_use"}}
    body = frame("contentBlockStart", {"contentBlockIndex": 0, "start": start})
    body += frame("contentBlockStop", {"contentBlockIndex": 0})
    left, events = drive(gate_for("converse-stream"), [body], but())
    assert left == body
    assert [type(event) for event in events] == [CallSeen]
    protocol = protocol_for("POST", "/model/m/converse-stream")
    assert protocol is not None
    tools = [{"toolSpec": {"name": "nova_grounding", "inputSchema": {"json": {}}}}]
    request = protocol.parse_request(json.dumps({"toolConfig": {"tools": tools}}).encode())
    _, events = drive(gate_for("converse-stream", request=request), [body], but())
    assert [type(event) for event in events] == [CallFound]


def _start(index: Any = 0, **start: Any) -> bytes:
    return frame("contentBlockStart", {"contentBlockIndex": index, "start": start})


def _delta(index: Any = 0, **delta: Any) -> bytes:
    return frame("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})


def _raw(kind: str, payload: bytes, **headers: str) -> bytes:
    """A frame with a payload that is not written by `json`."""
    made = frame(kind, 0)
    _, size = struct.unpack_from("!II", made)
    head = made[12 : 12 + size]
    for name, value in headers.items():
        key = ":" + name.replace("_", "-")
        head += bytes([len(key)]) + key.encode() + b"\x07" + struct.pack("!H", len(value))
        head += value.encode()
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    prelude += struct.pack("!I", crc32(prelude))
    return (body := prelude + head + payload) + struct.pack("!I", crc32(body))


CALL = {"toolUseId": "t", "name": "pay"}
STOP = frame("contentBlockStop", {"contentBlockIndex": 0})

CLOSED: dict[str, bytes] = {
    "event name in other letters": frame("ContentBlockStart", {"contentBlockIndex": 0}),
    "call in an unknown event": frame("contentBlockExtra", {"start": {"toolUse": CALL}}),
    "call in the metadata": frame("metadata", {"extra": {"toolUse": CALL}}),
    "key in other letters": _start(ToolUse=CALL),
    "key with an underscore": _start(tool_use=CALL),
    "call beside another start": _start(toolUse=CALL, image={"format": "png"}),
    "index as text": _start("0", toolUse=CALL),
    "index true": _start(True, toolUse=CALL),
    "no index": frame("contentBlockStart", {"start": {"toolUse": CALL}}),
    "two starts": _start(toolUse=CALL) + _start(toolUse=CALL),
    "start on a text block": _delta(text="hi") + _start(toolUse=CALL),
    "input without a start": _delta(toolUse={"input": "{}"}),
    "input for a closed call": _start(toolUse=CALL) + STOP + _delta(toolUse={"input": "{}"}),
    "input as a value": _start(toolUse=CALL) + _delta(toolUse={"input": {"a": 1}}),
    "call behind the end": frame("messageStop", {"stopReason": "end_turn"}) + _start(toolUse=CALL),
    "second message": frame("messageStart", {"role": "assistant"}) * 2,
    "same key twice": _raw("contentBlockStart", b'{"contentBlockIndex":0,"start":{},"start":{}}'),
    "payload that is no JSON": _raw("contentBlockStart", b"toolUse"),
    "UTF-16": _raw("contentBlockStart", '{"start":{"toolUse":{}}}'.encode("utf-16")),
    "same header twice": _raw("contentBlockStop", b"{}", event_type="contentBlockStart"),
    "unknown header": _raw("contentBlockStop", b"{}", other="x"),
    "braces in a header": _raw("contentBlockStop", b"{}", error_code='{"bytes": ""}'),
    "message type unknown": frame("x", {}, message_type="Event"),
    "wrong checksum": STOP[:-1] + bytes([STOP[-1] ^ 1]),
    "wrong prelude": b"\x00\x00" + STOP[2:4] + b"\x01" + STOP[5:],
    "JSON": b'{"output": {"message": {"content": [{"toolUse": {}}]}}}',
    "SSE": b'event: contentBlockStart\ndata: {"start": {"toolUse": {}}}\n\n',
}


@pytest.mark.parametrize("name", CLOSED)
def test_what_can_be_read_in_two_ways_is_closed(name: str) -> None:
    """Nothing of it leaves, whole or in pieces."""
    for size in (len(CLOSED[name]), 1):
        gate = gate_for("converse-stream")
        body = CLOSED[name]
        left = b""

        def run(gate: ResponseGate = gate, body: bytes = body, size: int = size) -> None:
            nonlocal left
            for at in [*range(0, len(body), size), len(body)]:
                for event in gate.feed(body[at : at + size]):
                    left += event.data if isinstance(event, Emit) else b""

        with pytest.raises(WireError):
            run()
        assert b"toolUse" not in left
        assert not gate.pending


FAULTY: dict[str, bytes] = {
    "arguments cut": _delta(toolUse={"input": '{"a": '}),
    "a key twice": _delta(toolUse={"input": '{"a": 1, "a": 2}'}),
    "an array": _delta(toolUse={"input": "[1]"}),
    "text inside": _delta(toolUse={"input": "{}"}) + _delta(text="hi"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_arguments_without_a_single_reading_are_a_fault(name: str) -> None:
    body = _start(toolUse=CALL) + FAULTY[name] + STOP
    _, events = drive(gate_for("converse-stream"), [body], but("pay"))
    assert [e.call.fault is not None for e in events if isinstance(e, CallFound)] == [True]


def test_a_call_that_only_the_messages_end_closes_is_found() -> None:
    """Clients that wait for no contentBlockStop act at messageStop."""
    body = _start(toolUse=CALL) + frame("messageStop", {"stopReason": "tool_use"})
    left, events = drive(gate_for("converse-stream"), [body], but())
    assert left == body
    assert [e.call.name for e in events if isinstance(e, CallFound)] == ["pay"]


INVOKED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "chat": (chat_answer("pay", "look"), ["pay", "look"]),
    "mistral": (chat_answer("pay", "look", word="stop_reason"), ["pay", "look"]),
    "nova": ({"output": {"message": {"content": TWO}}, "stopReason": "tool_use"}, ["pay", "look"]),
    "cohere": (
        {"text": "", "tool_calls": [{"name": "pay", "parameters": {"a": 1}}]},
        ["pay"],
    ),
    "llama": ({"generation": "toolUse", "stop_reason": "stop"}, []),
    "titan": ({"results": [{"outputText": "hi", "completionReason": "FINISH"}]}, []),
    "old mistral": ({"outputs": [{"text": "hi", "stop_reason": "stop"}]}, []),
    "embedding": ({"embedding": [0.1, 0.2], "inputTextTokenCount": 3}, []),
}


@pytest.mark.parametrize("name", INVOKED)
def test_answers_of_other_models(name: str) -> None:
    """Each family by its shape: byte-identical when released, no call when refused."""
    document, names = INVOKED[name]
    body = json.dumps(document, indent=1).encode()
    left, events = drive(gate_for("invoke"), [body], but())
    assert left == body
    calls = [e.call for e in events if isinstance(e, CallFound)]
    assert [(c.name, c.fault, c.provider) for c in calls] == [
        (n, None, "bedrock.invoke") for n in names
    ]
    left, events = drive(gate_for("invoke"), [body], but("pay", "look"))
    assert (TEXT in left.decode()) == bool(names)
    for found in calls:
        assert f'"{found.name}"'.encode() not in left
    if name in ("chat", "mistral"):
        assert b'"tool_calls"' not in left
        assert b'"stop"' in left


HIDDEN: dict[str, Any] = {
    "unknown shape": {"answer": {"tool_calls": [{"name": "pay"}]}},
    "two shapes": {**chat_answer("pay"), "content": [{"type": "tool_use", "name": "x"}]},
    "content of another": {"output": {"message": {"content": [{"tool_use": {"name": "x"}}]}}},
    "beside the message": {"output": {"message": {"content": []}, "toolUse": {"name": "x"}}},
    "beside the output": {"output": {"message": {"content": []}}, "function_call": {"name": "x"}},
    "other letters": {"Choices": [{"Message": {"Tool_Calls": [{"name": "x"}]}}]},
    "inside a text": {"content": [{"type": "text", "text": "", "toolUse": {"name": "x"}}]},
    "cohere's history": {
        "tool_calls": [{"name": "pay", "parameters": {}}],
        "chat_history": [{"role": "CHATBOT", "tool_calls": [{"name": "x", "parameters": {}}]}],
    },
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_call_in_an_unexpected_place_is_closed(name: str) -> None:
    gate = gate_for("invoke")
    gate.feed(json.dumps(HIDDEN[name]).encode())
    with pytest.raises(WireError):
        gate.feed(b"")


def _chunk_of(data: bytes, **more: Any) -> bytes:
    return frame("chunk", {"bytes": base64.b64encode(data).decode(), **more})


_CALL_START = {
    "type": "content_block_start",
    "index": 0,
    "content_block": {"type": "tool_use", "id": "t", "name": "pay", "input": {}},
}

CLOSED_CHUNKS: dict[str, bytes] = {
    "chunk under another name": frame("Chunk", {"bytes": ""}),
    "bytes in an unknown event": frame("more", {"bytes": "e30="}),
    "an object inside": _chunk_of(b"{}", p={"bytes": "e30="}),
    "base64 with junk": frame("chunk", {"bytes": "e3\n0="}),
    "base64 not canonical": frame("chunk", {"bytes": "e31="}),
    "no bytes": frame("chunk", {"p": "x"}),
    "escaped key": _raw("chunk", b'{"bytes":"e30=","\\u0062ytes":"e30="}'),
    "not JSON": _chunk_of(b"tool_use"),
    "two events": chunk({"contentBlockStart": {}, "contentBlockStop": {}}),
    "two APIs": chunk({"type": "ping", "choices": []}),
    "other letters": chunk({"ContentBlockStart": {"start": {"toolUse": {"name": "x"}}}}),
    "unknown shape": chunk({"delta": {"tool_calls": [{"name": "x"}]}}),
    "change of API": chunk({"messageStart": {"role": "assistant"}}) + chunk(_CALL_START),
    "unknown event with a call": chunk({**_CALL_START, "type": "x"}),
    "delta of no type": chunk({"type": "content_block_delta", "delta": {"type": ["x"]}}),
    "call outside a message": chunk(_CALL_START),
    "same key twice": _chunk_of(b'{"contentBlockStop":{"a":1,"a":2}}'),
}


@pytest.mark.parametrize("name", CLOSED_CHUNKS)
def test_chunks_that_can_be_read_in_two_ways_are_closed(name: str) -> None:
    gate = gate_for("invoke-with-response-stream")

    def run() -> None:
        for piece in (CLOSED_CHUNKS[name], b"", b""):
            for event in gate.feed(piece):
                assert not isinstance(event, CallFound)

    with pytest.raises(WireError):
        run()


@pytest.mark.parametrize("word", ["finish_reason", "stop_reason"])
@pytest.mark.parametrize("refused", [(), ("pay",)], ids=["released", "refused"])
def test_chat_in_chunks(word: str, refused: tuple[str, ...]) -> None:
    """gpt-oss, Mistral and their like stream Chat's chunks, without [DONE]."""
    entry = {"index": 0, "id": "c", "type": "function"}
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": "Hm."},
        {"tool_calls": [entry | {"function": {"name": "pay", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1}'}}]},
    ]
    chunks = [chunk({"choices": [{"index": 0, "delta": delta, word: None}]}) for delta in deltas]
    chunks.append(chunk({"choices": [{"index": 0, "delta": {}, word: "tool_calls"}]}))
    chunks.append(chunk({"amazon-bedrock-invocationMetrics": {"inputTokenCount": 1}}))
    body = b"".join(chunks)
    left, events = drive(gate_for("invoke-with-response-stream"), [body], but(*refused))
    assert [e.call.name for e in events if isinstance(e, CallFound)] == ["pay"]
    if not refused:
        assert left == body
        return
    read = [
        json.loads(e["chunk"]["bytes"]) for e in events_of("InvokeModelWithResponseStream", left)
    ]
    choices = [c["choices"][0] for c in read if "choices" in c]
    assert not any(c["delta"].get("tool_calls") for c in choices)
    assert TEXT in "".join(c["delta"].get("content") or "" for c in choices)
    assert choices[-1][word] == "stop"
    assert left.endswith(chunks[-1])


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("converse", STREAM),
        ("converse", "text/html"),
        ("converse-stream", "application/json"),
        ("invoke", STREAM),
        ("invoke-with-response-stream", "text/event-stream"),
        ("invoke-with-bidirectional-stream", STREAM),
    ],
)
def test_an_answer_of_another_kind_is_refused(method: str, kind: str) -> None:
    """The path says how SDKs read the answer; a page that is no JSON fails when it is whole."""

    def run() -> None:
        gate = gate_for(method, content_type=kind)
        gate.feed(b"<toolUse>")
        gate.feed(b"")

    with pytest.raises(WireError):
        run()


UNKNOWN_OPERATION = b'{"Output":{"__type":"c#UnknownOperationException"},"Version":"1.0"}'


@pytest.mark.parametrize("kind", ["application/json", "application/x-amz-json-1.1"])
def test_json_in_place_of_a_stream_leaves_as_it_came(kind: str) -> None:
    """So AWS answers an operation that it does not know, with a status of 200."""
    gate = gate_for("converse-stream", content_type=kind)
    left, events = drive(gate, [UNKNOWN_OPERATION], lambda _: Release())
    assert (left, events) == (UNKNOWN_OPERATION, [])
    with pytest.raises(WireError):  # cohere's client would look for frames in it
        gate_for("invoke-with-response-stream", content_type=kind)


@pytest.mark.parametrize("method", ["converse", "converse-stream", "invoke"])
def test_without_a_content_type_the_path_tells(method: str) -> None:
    """As SDKs read it."""
    assert gate_for(method, content_type="").streams == gate_for(method).streams


@pytest.mark.parametrize("status", [400, 429, 500, 503])
@pytest.mark.parametrize("method", ["converse", "converse-stream", "invoke"])
def test_errors_of_the_provider_pass(method: str, status: int) -> None:
    body = b'{"message":"Too many tokens, please wait before trying again."}'
    kind = {"content_type": "application/json", "status": status}
    assert drive(gate_for(method, **kind), [body], but())[0] == body


@pytest.mark.parametrize(
    ("path", "name", "model"),
    [
        ("/model/a.b-v1%3A0/converse", "bedrock.converse", "a.b-v1:0"),
        ("/model/a.b-v1:0/Converse-Stream/", "bedrock.converse", "a.b-v1:0"),
        ("/bedrock/model/x/invoke?a=b", "bedrock.invoke", "x"),
        (
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x/converse",
            "bedrock.converse",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.x",
        ),
        ("/model/a/b/invoke-with-response-stream", "bedrock.invoke", "a/b"),
        ("//model//x//invoke", "bedrock.invoke", "x/"),
    ],
)
def test_paths(path: str, name: str, model: str) -> None:
    protocol = protocol_for("POST", path)
    assert protocol is not None
    assert protocol.name == name
    assert protocol.parse_request(b"{}").model == model


@pytest.mark.parametrize(
    "path",
    ["/model/x/count-tokens", "/async-invoke", "/guardrail/g/version/1/apply", "/model/converse"],
)
def test_paths_that_answer_no_call(path: str) -> None:
    assert protocol_for("POST", path) is None
