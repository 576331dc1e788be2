"""The Anthropic stream gate: what waits, what leaves, what is refused. Streams are built here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from proxy.errors import WireError
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
    Ruling,
)

REF = "cr_" + "ab" * 16
NO = Refuse(f"Refused by rule 'cap'. [{REF}]")
YES = Release()


def frame(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields})
    return f"event: {kind}\ndata: {data}\n\n".encode()


def start(message_id: str = "msg_1") -> bytes:
    head = {"id": message_id, "type": "message", "role": "assistant", "model": "m", "content": []}
    usage = {"input_tokens": 1, "output_tokens": 1}
    return frame("message_start", message=head | {"stop_reason": None, "usage": usage})


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any], stop: bool = True) -> bytes:
    parts = [frame("content_block_start", index=index, content_block=content)]
    parts += [frame("content_block_delta", index=index, delta=d) for d in deltas]
    if stop:
        parts.append(frame("content_block_stop", index=index))
    return b"".join(parts)


def text(index: int, said: str) -> bytes:
    return block(index, {"type": "text", "text": ""}, {"type": "text_delta", "text": said})


def thinking(index: int) -> bytes:
    return block(
        index,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "let me "},
        {"type": "thinking_delta", "thinking": "see"},
        {"type": "signature_delta", "signature": "c2ln"},
    )


def pieces(*fragments: str) -> list[dict[str, Any]]:
    return [{"type": "input_json_delta", "partial_json": f} for f in fragments]


def call(index: int, call_id: str, *fragments: str, stop: bool = True, **more: Any) -> bytes:
    content = {"type": "tool_use", "id": call_id, "name": "pay", "input": {}} | more
    return block(index, content, *pieces(*fragments), stop=stop)


def end(reason: str = "tool_use") -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return frame("message_delta", delta=delta, usage={"output_tokens": 9}) + frame("message_stop")


PING = b'event: ping\ndata: {"type": "ping"}\n\n'
SERVER = block(
    0,
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
    *pieces('{"query"', ': "x"}'),
) + block(1, {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []})
MCP = block(
    0,
    {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "echo", "server_name": "s", "input": {}},
)


def new_gate() -> ResponseGate:
    return PROTOCOL.gate(
        content_type="text/event-stream; charset=utf-8", status=200, ref=REF, request=None
    )


def drive(body: bytes, size: int, rulings: dict[str | None, Ruling]) -> list[GateEvent]:
    """Feeds the body in pieces and rules on each call as soon as it is found."""
    gate = new_gate()
    events: list[GateEvent] = []
    chunks = [body[n : n + size] for n in range(0, len(body), size)]
    for chunk in [*chunks, b""]:
        fresh = gate.feed(chunk)
        events += fresh
        for event in fresh:
            if isinstance(event, CallFound):
                events += gate.rule(event.key, rulings.get(event.call.id, YES))
    assert not gate.pending
    return events


def sent(events: list[GateEvent]) -> bytes:
    return b"".join(e.data for e in events if isinstance(e, Emit))


def calls_in(events: list[GateEvent]) -> list[Call]:
    return [e.call for e in events if isinstance(e, CallFound | CallSeen)]


def memories_in(events: list[GateEvent]) -> list[RefusedResponse]:
    return [e.response for e in events if isinstance(e, Remember)]


def by_sdk(body: bytes) -> Any:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    with (
        anthropic.Anthropic(api_key="k", max_retries=0, http_client=http) as client,
        client.messages.stream(
            model="claude-opus-4-8", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        ) as stream,
    ):
        return stream.get_final_message()


sizes = pytest.mark.parametrize("size", [1, 7, 1 << 20], ids=["bytewise", "sevens", "whole"])

TWO = (
    start()
    + text(0, "I will pay.")
    + call(1, "t1", '{"to": "a", ', '"n": 1}')
    + PING
    + call(2, "t2", '{"to": "b"}')
    + end()
)


@sizes
@pytest.mark.parametrize(
    ("refused", "left", "reason"),
    [
        pytest.param([], ["t1", "t2"], "tool_use", id="none"),
        pytest.param(["t1"], ["t2"], "tool_use", id="first"),
        pytest.param(["t2"], ["t1"], "tool_use", id="second"),
        pytest.param(["t1", "t2"], [], "end_turn", id="both"),
    ],
)
def test_two_calls(size: int, refused: list[str], left: list[str], reason: str) -> None:
    """Each refused call becomes a text at its index; the others and the stop reason stay."""
    events = drive(TWO, size, dict.fromkeys(refused, NO))
    message = by_sdk(sent(events))
    assert [b.id for b in message.content if b.type == "tool_use"] == left
    assert message.stop_reason == reason
    assert [b.type for b in message.content].count("text") == 1 + len(refused)
    assert len(message.content) == 3
    if not refused:
        assert sent(events) == TWO
        assert not memories_in(events)
        return
    (memory,) = memories_in(events)
    assert [r.call_id for r in memory.refused] == refused
    assert memory.keys == (f"ref:{REF}", "response:msg_1", *(f"call:{i}" for i in left))
    original = memory.original["content"]
    assert [b.get("id") for b in original] == [None, "t1", "t2"]
    assert original[1]["input"] == {"to": "a", "n": 1}


def test_memory_comes_before_the_frame_that_ends_the_message() -> None:
    """No client can be faster than our memory: it stands ahead of message_delta."""
    events = drive(TWO, 1 << 20, {"t1": NO})
    at = next(n for n, e in enumerate(events) if isinstance(e, Remember))
    before, after = sent(events[:at]), sent(events[at:])
    assert b"message_delta" not in before
    assert after.startswith(b"event: message_delta")


def test_text_leaves_at_once_and_calls_wait_in_order() -> None:
    """Text before a call streams; a later call's ruling frees nothing while the first waits."""
    gate = new_gate()
    head = start() + text(0, "hello")
    assert sent(gate.feed(head)) == head
    first, second = call(1, "t1", "{}"), call(2, "t2", "{}")
    found = gate.feed(first + PING + second)
    assert [e.call.id for e in found if isinstance(e, CallFound)] == ["t1", "t2"]
    assert sent(found) == b""
    assert list(gate.pending) == [0, 1]
    assert gate.rule(1, YES) == []
    assert list(gate.pending) == [0]
    assert sent(gate.rule(0, YES)) == first + PING + second
    assert sent(gate.feed(end())) == end()


def test_end_of_body_while_calls_wait() -> None:
    """The body may be complete before the human is: all of it leaves after the ruling."""
    gate = new_gate()
    gate.feed(TWO)
    gate.feed(b"")
    rest = sent(gate.rule(0, YES)) + sent(gate.rule(1, YES))
    assert rest == TWO[len(start() + text(0, "I will pay.")) :]


@sizes
@pytest.mark.parametrize("refused", [False, True], ids=["allowed", "refused"])
def test_thinking_call_text(size: int, refused: bool) -> None:
    """Thinking, a call, text behind it: order and signature survive in what leaves and in memory."""
    body = start() + thinking(0) + call(1, "t1", '{"a": 1.50}') + text(2, "done") + end()
    events = drive(body, size, {"t1": NO if refused else YES})
    message = by_sdk(sent(events))
    kinds = [b.type for b in message.content]
    assert kinds == ["thinking", "text" if refused else "tool_use", "text"]
    assert message.content[0].signature == "c2ln"
    if not refused:
        assert sent(events) == body
        return
    assert memories_in(events)[0].original == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "let me see", "signature": "c2ln"},
            {"type": "tool_use", "id": "t1", "name": "pay", "input": {"a": 1.5}},
            {"type": "text", "text": "done"},
        ],
    }


@sizes
@pytest.mark.parametrize(
    ("blocks", "name", "namespace"),
    [
        pytest.param(SERVER, "web_search", None, id="server"),
        pytest.param(MCP, "echo", "s", id="mcp"),
    ],
)
def test_calls_the_provider_runs(
    size: int, blocks: bytes, name: str, namespace: str | None
) -> None:
    """Server tools are seen, never held, and their bytes stream through."""
    body = start() + blocks + end("end_turn")
    events = drive(body, size, {})
    assert sent(events) == body
    (seen,) = [e.call for e in events if isinstance(e, CallSeen)]
    assert (seen.name, seen.executor, seen.namespace) == (name, "provider", namespace)
    assert not [e for e in events if isinstance(e, CallFound)]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        pytest.param(call(0, "t1", '{"to": "a", ', '"to": "b"}'), "duplicate key", id="duplicate"),
        pytest.param(call(0, "t1", '{"to": "a'), "not valid JSON", id="cut"),
        pytest.param(call(0, "t1", '{"n": NaN}'), "NaN", id="nan"),
        pytest.param(call(0, "t1", '{"n": 1} {}'), "not valid JSON", id="trailing"),
        pytest.param(call(0, "t1", "[1]"), "not an object", id="array"),
        pytest.param(call(0, "t1", '{"n": 1}', input={"n": 2}), "differ", id="two-inputs"),
        pytest.param(call(0, "t1", "{}", name=""), "no name", id="nameless"),
        pytest.param(call(0, "t1", '{"s": "\\ud83d"}'), "not valid JSON text", id="half-pair"),
        pytest.param(
            block(
                0,
                {"type": "tool_use", "id": "t1", "name": "pay", "input": {}},
                {"type": "text_delta", "text": "x"},
            ),
            "unexpected",
            id="foreign-delta",
        ),
        pytest.param(
            frame("content_block_start", index=0, content_block={"x": 1}).replace(
                b'{"x": 1}',
                b'{"type": "tool_use", "id": "t1", "name": "pay", "input": {"a": 1, "a": 2}}',
            )
            + frame("content_block_stop", index=0),
            "duplicate key",
            id="duplicate-in-start",
        ),
    ],
)
def test_arguments_without_a_single_reading(body: bytes, fault: str) -> None:
    """The call is found, but as a faulty one, for the policy to refuse; its text block is sound."""
    events = drive(start() + body + end(), 1 << 20, {"t1": NO})
    (found,) = calls_in(events)
    assert found.arguments is None
    assert found.fault is not None
    assert fault in found.fault
    message = by_sdk(sent(events))
    assert [b.type for b in message.content] == ["text"]
    restored = memories_in(events)[0].original["content"][0]["input"]
    assert isinstance(restored, dict)


@sizes
@pytest.mark.parametrize(
    ("fragments", "more", "arguments"),
    [
        pytest.param([], {}, {}, id="no-fragments"),
        pytest.param([""], {}, {}, id="empty-fragment"),
        pytest.param([], {"input": {"n": 1}}, {"n": 1}, id="input-in-start"),
        pytest.param(['{"n"', ": 1}"], {"input": {"n": 1}}, {"n": 1}, id="both-the-same"),
        pytest.param(['{"s": "\ud83d', '\ude00"}'], {}, {"s": "\U0001f600"}, id="pair-cut-in-two"),
    ],
)
def test_arguments(
    size: int, fragments: list[str], more: dict[str, Any], arguments: dict[str, Any]
) -> None:
    """Where the arguments of a call may stand."""
    events = drive(start() + call(0, "t1", *fragments, **more) + end(), size, {})
    (found,) = calls_in(events)
    assert (found.arguments, found.fault) == (arguments, None)


@sizes
@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(lambda b: b.replace(b"\n", b"\r\n"), id="crlf"),
        pytest.param(lambda b: b.replace(b"\n", b"\r"), id="cr"),
        pytest.param(lambda b: b"\xef\xbb\xbf" + b, id="bom"),
        pytest.param(lambda b: b.replace(b"event: ", b"event:"), id="no-space"),
        pytest.param(lambda b: b.replace(b"tool_use", b"tool\\u005fuse"), id="escaped-value"),
        pytest.param(lambda b: b.replace(b'"type"', b'"t\\u0079pe"'), id="escaped-key"),
        pytest.param(lambda b: b.replace(b'"index": ', b'"index":\ndata:  '), id="two-data-lines"),
        pytest.param(lambda b: b.replace(b"event: ping", b": c\nevent: ping"), id="comment"),
        pytest.param(lambda b: b.rstrip(b"\n"), id="no-blank-line-at-the-end"),
        pytest.param(lambda b: b + b"data: [DONE]\n\n", id="done-mark"),
    ],
)
def test_spellings(size: int, spell: Any) -> None:
    """However it is spelt, a call is found, an allowed stream keeps its bytes, a refused one no call."""
    body = spell(TWO)
    events = drive(body, size, {})
    assert [c.id for c in calls_in(events)] == ["t1", "t2"]
    assert sent(events) == body
    refused = sent(drive(body, size, {"t1": NO, "t2": NO}))
    assert b"t1" not in refused
    assert b"t2" not in refused


def test_event_names_may_be_absent() -> None:
    """A client that reads only `data` sees calls without event names; so does the gate."""
    body = b"".join(line + b"\n" for line in TWO.splitlines() if not line.startswith(b"event"))
    assert [c.id for c in calls_in(drive(body, 1 << 20, {}))] == ["t1", "t2"]


@sizes
@pytest.mark.parametrize("kind", ["future_tool_use", "Tool_Use"], ids=["unknown", "capitals"])
def test_unknown_call_blocks_wait(size: int, kind: str) -> None:
    """What looks like a call is held even if no page names it."""
    body = start() + call(0, "t1", "{}", type=kind) + end()
    events = drive(body, size, {"t1": NO})
    (found,) = [e.call for e in events if isinstance(e, CallFound)]
    assert found.kind == kind
    assert kind.encode() not in sent(events)


def test_unknown_blocks_and_events_pass() -> None:
    """New kinds may appear at any time; they are no calls and nothing waits for them."""
    body = (
        start()
        + frame("future_event", x=1)
        + block(
            0, {"type": "compaction", "content": None}, {"type": "compaction_delta", "content": "c"}
        )
        + call(1, "t1", "{}")
        + end()
    )
    events = drive(body, 1 << 20, {})
    assert sent(events) == body
    memory = memories_in(drive(body, 1 << 20, {"t1": NO}))[0]
    assert memory.original["content"][0] == {"type": "compaction", "content": "c"}


@sizes
@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(call(1, "t1", '{"a": ', stop=False), id="inside-the-call"),
        pytest.param(call(1, "t1", "{}", stop=False) + end("max_tokens"), id="never-closed"),
        pytest.param(call(1, "t1", "{}")[:-40], id="inside-a-frame"),
    ],
)
def test_cut_inside_a_call(size: int, cut: bytes) -> None:
    """An unfinished call never leaves; the client gets an error instead of half an answer."""
    head = start() + text(0, "hello")
    left = sent(drive(head + cut, size, {}))
    assert left.startswith(head)
    assert b"t1" not in left
    with pytest.raises(anthropic.APIStatusError, match="in the middle of"):
        by_sdk(left)


@sizes
def test_cut_after_a_refusal_is_remembered(size: int) -> None:
    """A stream that breaks off still leaves the memory of what was refused."""
    body = start() + call(0, "t1", "{}") + call(1, "t2", "{", stop=False)
    (memory,) = memories_in(drive(body, size, {"t1": NO}))
    assert [b["id"] for b in memory.original["content"]] == ["t1"]


@sizes
def test_error_event_of_the_provider(size: int) -> None:
    """The provider's own error reaches the client, the call it cut off does not."""
    error = frame("error", error={"type": "overloaded_error", "message": "Overloaded"})
    left = sent(drive(start() + call(0, "t1", "{", stop=False) + error, size, {}))
    assert left == start() + error
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        by_sdk(left)


@sizes
def test_interleaved_blocks(size: int) -> None:
    """Blocks may be open side by side; frames keep their order and nothing is mixed up."""
    one = {"type": "tool_use", "id": "t1", "name": "pay", "input": {}}
    body = (
        start()
        + frame("content_block_start", index=0, content_block=one)
        + frame("content_block_start", index=1, content_block=one | {"id": "t2"})
        + frame("content_block_delta", index=1, delta=pieces('{"n": 2}')[0])
        + frame("content_block_delta", index=0, delta=pieces('{"n": 1}')[0])
        + frame("content_block_stop", index=1)
        + frame("content_block_stop", index=0)
        + end()
    )
    events = drive(body, size, {})
    assert sent(events) == body
    assert [(c.id, c.arguments) for c in calls_in(events)] == [("t2", {"n": 2}), ("t1", {"n": 1})]
    message = by_sdk(sent(drive(body, size, {"t1": NO})))
    assert [b.type for b in message.content] == ["text", "tool_use"]
    assert message.content[1].input == {"n": 2}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(start() + b"data: {oops\n\n", "not valid JSON", id="no-json"),
        pytest.param(b'{"type": "message", "content": []}', "no event-stream", id="json-body"),
        pytest.param(start() + b"event: ping\ndata: [1]\n\n", "expected an object", id="array"),
        pytest.param(
            start() + call(0, "t1", "{}").replace(b"event: content_block_start", b"event: ping"),
            "carries data of type",
            id="event-lies",
        ),
        pytest.param(
            start() + b'event: ping\ndata: {"type": "content_block_start", "type": "ping"}\n\n',
            "same key twice",
            id="type-twice",
        ),
        pytest.param(start() + call(1, "t1", "{}"), "expected index 0", id="gap"),
        pytest.param(start() + text(0, "a") + call(0, "t1", "{}"), "expected index 1", id="reused"),
        pytest.param(
            start() + frame("content_block_start", index=True, content_block={"type": "text"}),
            "expected index 0",
            id="index-true",
        ),
        pytest.param(
            start() + text(0, "a") + frame("content_block_delta", index=0, delta=pieces("{}")[0]),
            "closed",
            id="delta-after-stop",
        ),
        pytest.param(
            start() + frame("content_block_delta", index=-1, delta=pieces("{}")[0]),
            "not started",
            id="negative-index",
        ),
        pytest.param(call(0, "t1", "{}"), "outside a message", id="before-the-start"),
        pytest.param(start() + end() + call(0, "t1", "{}"), "outside a message", id="after-stop"),
        pytest.param(start() + start("msg_2"), "inside a message", id="two-starts"),
        pytest.param(
            start().replace(b'"content": []', b'"content": [{"type": "tool_use"}]'),
            "empty array",
            id="content-in-start",
        ),
        pytest.param(
            start() + frame("content_block_start", index=0, content_block={"id": "t1"}),
            "with a type",
            id="block-without-type",
        ),
        pytest.param(
            start() + call(0, "t1", "{}").replace(b'"{}"', b"7"), "a string", id="odd-fragment"
        ),
    ],
)
@sizes
def test_streams_that_sdks_would_read_differently(body: bytes, why: str, size: int) -> None:
    """They end with an error, nothing of a call leaves, and a later ruling frees nothing."""
    gate = new_gate()
    events: list[GateEvent] = []

    def run() -> None:
        for chunk in [*(body[n : n + size] for n in range(0, len(body), size)), b""]:
            events.extend(gate.feed(chunk))

    with pytest.raises(WireError, match=why):
        run()
    assert b"t1" not in sent(events)
    assert not gate.pending
    assert gate.feed(end()) == []
    assert gate.rule(0, YES) == []


def test_two_messages_in_one_body() -> None:
    """Each message has its own indices and its own memory."""
    one = start("msg_1") + call(0, "t1", "{}") + end()
    two = start("msg_2") + call(0, "t2", "{}") + end()
    events = drive(one + two, 1 << 20, {"t1": NO, "t2": NO})
    assert [m.keys[1] for m in memories_in(events)] == ["response:msg_1", "response:msg_2"]


def test_stop_reasons_other_than_tool_use_stay() -> None:
    """A cut answer stays a cut answer."""
    body = start() + call(0, "t1", "{}") + end("max_tokens")
    assert by_sdk(sent(drive(body, 1 << 20, {"t1": NO}))).stop_reason == "max_tokens"


def test_keepalive_and_fail() -> None:
    """Comments before the message has started, pings after; a failure is raised by the SDK."""
    gate = new_gate()
    assert gate.keepalive() == b": checkrein\n\n"
    body = gate.keepalive() + sent(gate.feed(start() + text(0, "hi")))
    assert gate.keepalive() == PING
    body += gate.keepalive() + gate.fail("the ledger is not there")
    with pytest.raises(anthropic.APIStatusError, match="the ledger is not there"):
        by_sdk(body)
    calm: Iterator[bytes] = iter([start(), PING, text(0, "hi"), PING, end("end_turn")])
    assert by_sdk(b"".join(calm)).content[0].text == "hi"


def test_refusal_text_is_escaped_and_never_empty() -> None:
    """Any text makes a sound frame; the API takes no empty text block."""
    odd = Refuse('line\nbreak "quote" \u2028 \U0001f600')
    assert by_sdk(sent(drive(TWO, 1 << 20, {"t1": odd}))).content[1].text == odd.text
    assert by_sdk(sent(drive(TWO, 1 << 20, {"t1": Refuse(" ")}))).content[1].text.strip()


def test_the_same_empty_message_start_twice_passes() -> None:
    """Gateways repeat the head; with another id or after a block it stays an error."""
    body = start() + start() + frame("message_stop")
    gate = PROTOCOL.gate(content_type="text/event-stream", status=200, ref=REF, request=None)
    events = [*gate.feed(body), *gate.feed(b"")]
    assert b"".join(e.data for e in events if isinstance(e, Emit)) == body
    text = frame("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for odd in (start() + start("msg_2"), start() + text + start()):
        gate = PROTOCOL.gate(content_type="text/event-stream", status=200, ref=REF, request=None)
        with pytest.raises(WireError, match="inside a message"):
            gate.feed(odd)
