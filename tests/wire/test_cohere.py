"""Cohere's answers and requests, v2 and v1: what is a call, what is left of a refused one, what goes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cohere
import httpx
import pytest

from proxy.errors import WireError
from proxy.wire.codec import Emit, Refuse, Release, ResponseGate, Ruling
from proxy.wire.cohere.bare import BareChat
from proxy.wire.cohere.protocol import V1, V2
from proxy.wire.detect import protocol_for
from tests.upstreams.cohere import CohereUpstream, Says, read_v1, read_v2
from tests.upstreams.driving import (
    REF,
    TEXT,
    cuts,
    drive,
    drive_closed,
    mutations,
    refuse,
    refuse_only,
    release,
)

SSE, LINES, JSON = "text/event-stream", "application/stream+json", "application/json"
CALLS = (("look_up", {"order": "A-1"}), ("forbidden", {"order": "A-2"}), ("look_up", {"n": 3}))
SAYS = Says("Let me see.", CALLS)
_UPSTREAM = CohereUpstream(lambda _: SAYS)
V1_BODY = {"message": "x", "chat_history": [{"role": "SYSTEM", "message": "s"}]}
STREAMS = {
    "v2": b"".join(_UPSTREAM._v2_frames({}, SAYS)),
    "v1": b"".join(_UPSTREAM._v1_lines(V1_BODY, SAYS)),
}
WHOLE = {
    "v2": json.dumps(_UPSTREAM._v2_json({}, SAYS)).encode(),
    "v1": json.dumps(_UPSTREAM._v1_json(V1_BODY, SAYS)).encode(),
}
RULINGS = [
    pytest.param(release, [0, 1, 2], id="released"),
    pytest.param(refuse_only(0), [1, 2], id="first refused"),
    pytest.param(refuse_only(1), [0, 2], id="second refused"),
    pytest.param(refuse, [], id="all refused"),
]
both = pytest.mark.parametrize("version", ["v2", "v1"])


def gate(version: str, *, stream: bool = True, kind: str | None = None) -> ResponseGate:
    protocol = V2 if version == "v2" else V1
    asked: dict[str, Any] = {"messages": []} if version == "v2" else {"message": "x"}
    request = protocol.parse_request(json.dumps({**asked, "stream": stream}).encode())
    kind = kind or ((SSE if version == "v2" else LINES) if stream else JSON)
    return protocol.gate(content_type=kind, status=200, ref=REF, request=request)


def sdk_reads(version: str, body: bytes, *, stream: bool) -> tuple[list[Any], str]:
    """Returns what the SDK finds: name and arguments of each call, and the text."""
    kind = (SSE if version == "v2" else LINES) if stream else JSON

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": kind}, content=body)

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        if version == "v2":
            new: Any = cohere.ClientV2(api_key="k", base_url="http://x", httpx_client=http)
            if not stream:
                said = new.chat(model="m", messages=[]).message
                made = [c.function for c in said.tool_calls or ()]
                text = "".join(part.text for part in said.content or ())
                return [(f.name, json.loads(f.arguments)) for f in made], text
            return _v2_events(list(new.chat_stream(model="m", messages=[])))
        old: Any = cohere.Client(api_key="k", base_url="http://x", httpx_client=http)
        if not stream:
            answered = old.chat(message="x")
            return [(c.name, c.parameters) for c in answered.tool_calls or ()], answered.text
        return _v1_events(list(old.chat_stream(message="x")))


def _v2_events(events: list[Any]) -> tuple[list[Any], str]:
    calls: list[list[str]] = []
    text = ""
    for event in events:
        if event.type == "tool-call-start":
            function = event.delta.message.tool_calls.function
            assert event.index == len(calls)
            calls.append([function.name, function.arguments])
        elif event.type == "tool-call-delta":
            calls[event.index][1] += event.delta.message.tool_calls.function.arguments
        elif event.type == "content-delta":
            text += event.delta.message.content.text
    if events and events[-1].type == "message-end":
        reason = "TOOL_CALL" if calls else "COMPLETE"
        assert events[-1].delta.finish_reason in (reason, "ERROR", "MAX_TOKENS")
    return [(name, json.loads(arguments)) for name, arguments in calls], text


def _v1_events(events: list[Any]) -> tuple[list[Any], str]:
    pieces: dict[int, list[str]] = {}
    whole, end, text = [], [], ""
    for event in events:
        if event.event_type == "tool-calls-chunk" and event.tool_call_delta:
            delta = event.tool_call_delta
            piece = pieces.setdefault(delta.index, ["", ""])
            piece[0] += delta.name or ""
            piece[1] += delta.parameters or ""
        elif event.event_type == "tool-calls-generation":
            whole += [(c.name, c.parameters) for c in event.tool_calls]
        elif event.event_type == "text-generation":
            text += event.text
        elif event.event_type == "stream-end":
            end = [(c.name, c.parameters) for c in event.response.tool_calls or ()]
            history = getattr(event.response, "chat_history", None) or []
            for message in history[-1:]:
                assert [(c.name, c.parameters) for c in message.tool_calls or ()] == end
    assert [(name, json.loads(text)) for name, text in pieces.values()] == whole == end
    assert list(pieces) == list(range(len(pieces)))
    return end, text


@both
@pytest.mark.parametrize(("ruling", "left"), RULINGS)
def test_a_stream_shows_the_sdk_what_was_released(
    version: str, ruling: Callable[[int], Ruling], left: list[int]
) -> None:
    """However it is cut; later calls move up, and a text says what is missing."""
    body = STREAMS[version]
    whole = drive(gate(version), [body], ruling)
    calls, text = sdk_reads(version, whole.body, stream=True)
    assert calls == [CALLS[n] for n in left]
    assert text.count(REF) == 3 - len(left)
    assert (whole.body == body) == (len(left) == 3)
    assert [found.call.arguments for found in whole.calls] == [a for _, a in CALLS]
    for pieces in cuts(body, version):
        cut = drive(gate(version), pieces, ruling)
        assert (cut.body, cut.calls) == (whole.body, whole.calls)


@both
@pytest.mark.parametrize(("ruling", "left"), RULINGS)
def test_a_whole_answer_shows_the_sdk_what_was_released(
    version: str, ruling: Callable[[int], Ruling], left: list[int]
) -> None:
    body = WHOLE[version]
    made = drive(gate(version, stream=False), [body], ruling)
    calls, text = sdk_reads(version, made.body, stream=False)
    assert calls == [CALLS[n] for n in left]
    assert text.count(REF) == 3 - len(left)
    assert (made.body == body) == (len(left) == 3)


def test_v1_as_events() -> None:
    """Older servers frame v1 as server-sent events."""
    body = b"".join(b"data: " + line + b"\n\n" for line in STREAMS["v1"].splitlines())
    assert drive(gate("v1", kind=SSE), [body], release).body == body
    left = drive(gate("v1", kind=SSE), [body], refuse)
    assert len(left.calls) == 3
    assert b'"tool_calls"' not in left.body
    assert b"tool-calls-generation" not in left.body


@both
def test_text_leaves_at_once(version: str) -> None:
    """The plan is text, and is not held."""
    frames = STREAMS[version].split(b"\n\n" if version == "v2" else b"\n")
    end = b"\n\n" if version == "v2" else b"\n"
    made = gate(version)
    for frame in frames[:3]:
        assert made.feed(frame + end) == [Emit(frame + end)]


@both
def test_a_call_that_is_cut_off_is_never_emitted(version: str) -> None:
    body = STREAMS[version]
    mark = b'"forbidden"' if version == "v2" else b"tool-calls-generation"
    left = drive(gate(version), [body[: body.rindex(mark)]], release)
    calls, _ = sdk_reads(version, left.body, stream=True)
    assert calls == ([CALLS[0]] if version == "v2" else [])
    assert b"ended inside" in left.body


def event(kind: str, message: Any = None, **more: Any) -> bytes:
    delta = {} if message is None else {"delta": {"message": message}}
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more, **delta})}\n\n".encode()


def start(index: int | None, name: str = "pay", text: str = "{}") -> bytes:
    call = {"id": f"{name}_1", "type": "function", "function": {"name": name, "arguments": text}}
    return event("tool-call-start", {"tool_calls": call}, index=index)


END = event("tool-call-end", index=0)
FULL = {"tool_calls": [{"id": "a", "function": {"name": "pay", "arguments": "{}"}}]}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(start(0) + start(1), id="one inside another"),
        pytest.param(start(0) + END + start(0), id="an index twice"),
        pytest.param(END, id="an end of nothing"),
        pytest.param(start(0) + event("tool-call-end", index=1), id="another's end"),
        pytest.param(start(0) + event("tool-call-end", FULL, index=0), id="an end with a call"),
        pytest.param(event("message-start", FULL), id="whole in the start"),
        pytest.param(event("content-delta", FULL, index=0), id="whole in content"),
        pytest.param(event("tool-call-start", {"tool_calls": [{"id": "a"}]}, index=0), id="a list"),
        pytest.param(start(0).replace(b'"tool_calls"', b'"Tool_calls"'), id="case"),
        pytest.param(start(0).replace(b'"id"', b'"id": "x", "id"'), id="a key twice"),
        pytest.param(b'{"type":"tool-call-start"}\n\n', id="JSON outside of an event"),
        pytest.param(b"data: {}\n\n\xef\xbb\xbfdata: {}\n\n", id="a mark inside"),
        pytest.param(b"data: [1]\n\n", id="no object"),
    ],
)
def test_what_can_be_read_in_two_ways_ends_a_v2_stream(body: bytes) -> None:
    """Closed: no call leaves."""
    with pytest.raises(WireError):
        drive(gate("v2"), [body, b":\n\n"], release)


GENERATION = {
    "event_type": "tool-calls-generation",
    "tool_calls": [{"name": "a", "parameters": {}}],
}
PIECE = {"event_type": "tool-calls-chunk", "tool_call_delta": {"name": "a", "index": 0}}


def stream_end(*names: str, history: tuple[str, ...] = ()) -> dict[str, Any]:
    calls = [{"name": name, "parameters": {}} for name in names]
    said: dict[str, Any] = {"role": "CHATBOT", "message": ""}
    said["tool_calls"] = [{"name": name, "parameters": {}} for name in history]
    answer = {"text": "", "tool_calls": calls, "chat_history": [said]}
    return {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": answer}


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([GENERATION, stream_end("b")], id="another at the end"),
        pytest.param([GENERATION, GENERATION | {"tool_calls": []}], id="none the second time"),
        pytest.param([stream_end("a", history=("b",))], id="another in the history"),
        pytest.param([PIECE, GENERATION | {"tool_calls": []}], id="in pieces only"),
        pytest.param(
            [PIECE | {"tool_call_delta": {"name": "b", "index": 0}}, GENERATION], id="name"
        ),
        pytest.param([PIECE | {"tool_call_delta": {"name": "a", "index": 1}}], id="out of turn"),
        pytest.param([PIECE | {"tool_call_delta": {"name": "a"}}], id="without an index"),
        pytest.param([PIECE | {"tool_calls": GENERATION["tool_calls"]}], id="whole in a piece"),
        pytest.param([GENERATION | {"event_type": "text-generation"}], id="in another event"),
        pytest.param([GENERATION | {"event_type": None}], id="without a type"),
        pytest.param([GENERATION | {"Tool_Calls": []}], id="case"),
        pytest.param([[1]], id="no object"),
    ],
)
def test_what_can_be_read_in_two_ways_ends_a_v1_stream(events: list[Any]) -> None:
    """Closed: no call leaves."""
    body = b"".join(json.dumps(one).encode() + b"\n" for one in events)
    with pytest.raises(WireError):
        drive(gate("v1"), [body, b" "], release)


def test_a_v1_line_hidden_in_another_is_refused() -> None:
    """httpx cuts lines at a carriage return too, and the SDK passes over what it cannot read."""
    inner = json.dumps(GENERATION).encode()
    body = b'{"event_type":"debug","x":\r' + inner + b"\r}\n"
    with httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    ) as http:
        found = list(
            cohere.Client("k", base_url="http://x", httpx_client=http).chat_stream(message="")
        )
    assert [one.event_type for one in found] == ["tool-calls-generation"]
    with pytest.raises(WireError):
        drive(gate("v1"), [body], release)


@both
def test_keepalives_and_failures_are_read_by_the_sdk(version: str) -> None:
    """A comment in v2, spaces ahead of a line in v1; the failure ends the stream and says why."""
    made = gate(version)
    made.feed(STREAMS[version])
    body = made.keepalive() * 2
    for key in range(3):
        body += b"".join(e.data for e in made.rule(key, Refuse(TEXT)) if isinstance(e, Emit))
    calls, text = sdk_reads(version, body, stream=True)
    assert calls == []
    assert text.count(REF) == 3
    failed = gate(version).keepalive() + gate(version).fail("checkrein closed it")
    assert sdk_reads(version, failed, stream=True)[0] == []
    assert b"checkrein closed it" in failed


# --- requests ------------------------------------------------------------------------------------


def restored(version: str, body: dict[str, Any], ruling: Callable[[int], Ruling]) -> Any:
    protocol = V2 if version == "v2" else V1
    memory = drive(gate(version), [STREAMS[version]], ruling).memories[-1]
    request = protocol.parse_request(json.dumps(body).encode())
    assert f"ref:{REF}" in request.remembered_by
    made = protocol.restore(request, [memory])
    assert made is not None
    again = protocol.restore(protocol.parse_request(made), [memory])
    assert again is None or json.loads(again) == json.loads(made)
    return json.loads(made)


def test_v2_history_is_whole_again() -> None:
    """The plan, the call and its failed result, in the order of the calls."""
    memory = drive(gate("v2"), [STREAMS["v2"]], refuse_only(1)).memories[-1]
    entries = memory.original["tool_calls"]
    body = {
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": f"{TEXT} (1)", "tool_calls": [entries[0], entries[2]]}
            if len(entries) == 3
            else {"role": "assistant", "content": f"{TEXT} (1)", "tool_calls": entries[:1]},
            {"role": "tool", "tool_call_id": entries[0]["id"], "content": "one"},
        ]
    }
    if len(entries) == 3:
        third = {"role": "tool", "tool_call_id": entries[2]["id"], "content": "three"}
        body["messages"].append(third)
    made = restored("v2", body, refuse_only(1))
    said = made["messages"][1]
    assert said["tool_plan"].strip() == "Let me see."
    assert "content" not in said
    assert said["tool_calls"] == entries
    assert made["messages"][3] == {
        "role": "tool",
        "tool_call_id": entries[1]["id"],
        "content": f"{TEXT} (1)",
    }
    assert read_v2(made) == ""


def test_v1_results_join_those_of_the_request() -> None:
    kept = [{"name": name, "parameters": arguments} for name, arguments in (CALLS[0], CALLS[2])]
    body = {
        "message": "",
        "chat_history": [
            {"role": "USER", "message": "x"},
            {"role": "CHATBOT", "message": f"Let me see.\n\n{TEXT} (1)", "tool_calls": kept},
        ],
        "tool_results": [{"call": call, "outputs": [{"ok": True}]} for call in kept],
    }
    made = restored("v1", body, refuse_only(1))
    assert [r["call"]["name"] for r in made["tool_results"]] == ["look_up", "forbidden", "look_up"]
    assert made["tool_results"][1]["outputs"] == [{"error": f"{TEXT} (1)"}]
    assert made["chat_history"][1]["message"] == "Let me see."
    assert read_v1(made) == ""


def test_v1_refusal_that_was_the_last_word() -> None:
    texts = "\n\n".join(f"{TEXT} ({n})" for n in range(3))
    body = {
        "message": "and now?",
        "chat_history": [{"role": "CHATBOT", "message": f"Let me see.\n\n{texts}"}],
    }
    made = restored("v1", body, refuse)
    assert [m["role"] for m in made["chat_history"]] == ["CHATBOT", "TOOL", "CHATBOT"]
    assert read_v1(made) == "and now?"


def test_a_result_names_its_call() -> None:
    """v2 by id; v1 by repeating it, which gives the id that the gate gave."""
    entry = {"id": "pay_1", "function": {"name": "pay", "arguments": '{"n": 1}'}}
    said = {"role": "assistant", "tool_calls": [entry]}
    parts = [{"type": "document", "document": {"data": "paid"}}]
    tool = {"role": "tool", "tool_call_id": "pay_1", "content": parts}
    (new,) = V2.parse_request(json.dumps({"messages": [said, tool]}).encode()).results
    assert (new.call_id, new.name, new.text) == ("pay_1", "pay", "paid")
    results = [{"call": {"name": "look_up", "parameters": {"order": "A-1"}}, "outputs": [{"a": 1}]}]
    (old,) = V1.parse_request(json.dumps({"message": "", "tool_results": results}).encode()).results
    first = drive(gate("v1"), [STREAMS["v1"]], release).calls[0].call
    assert (old.call_id, old.args_sha256) == (first.id, first.args_sha256)
    assert new.args_sha256 is not None


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("/v2/chat", None, "cohere.v2"),
        ("/cohere/V2//chat", None, "cohere.v2"),
        ("/v1/chat", b'{"message": "x"}', "cohere.v1"),
        ("/v1/chat", b'{"model": "m", "messages": []}', "openai.chat"),
    ],
)
def test_paths(path: str, body: bytes | None, name: str) -> None:
    found = protocol_for("POST", path, body)
    assert found is not None
    assert found.name == name
    assert protocol_for("GET", path, body) is None


def test_a_bare_chat_is_known_by_its_request() -> None:
    """The path is claimed before there is a body."""
    for body, name in ((b'{"message": "x"}', "cohere.v1"), (b'{"messages": []}', "openai.chat")):
        found = protocol_for("POST", "/v1/chat")
        assert isinstance(found, BareChat)
        assert found.parse_request(body).provider == found.name == name
    for body in (b"{}", b'{"message": "x", "messages": []}', b"[]"):
        with pytest.raises(WireError):
            BareChat().parse_request(body)


def test_released_is_released() -> None:
    """A ruling of each kind on one stream."""
    made = gate("v2")
    made.feed(STREAMS["v2"])
    assert made.pending == (0, 1, 2)
    assert made.rule(1, Refuse(TEXT)) != []
    assert any(isinstance(e, Emit) for e in made.rule(0, Release()))


@both
def test_no_changed_stream_shows_the_sdk_a_refused_call(version: str) -> None:
    """Whatever lines are moved, doubled or broken: a call that nobody judged is never found."""
    for body in mutations(STREAMS[version], version, 400):
        left = drive_closed(gate(version), body)
        kind = SSE if version == "v2" else LINES
        assert _named_calls(version, left, kind) == [], body


def _named_calls(version: str, body: bytes, kind: str) -> list[Any]:
    """Returns all that an agent could take for a call, however it joins the events."""

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": kind}, content=body)

    found: list[Any] = []
    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        if version == "v2":
            new: Any = cohere.ClientV2(api_key="k", base_url="http://x", httpx_client=http)
            events = list(new.chat_stream(model="m", messages=[]))
            return [e for e in events if str(getattr(e, "type", "")).startswith("tool-call")]
        old: Any = cohere.Client(api_key="k", base_url="http://x", httpx_client=http)
        for event in old.chat_stream(message="x"):
            found += getattr(event, "tool_calls", None) or []
            found += [d] if (d := getattr(event, "tool_call_delta", None)) else []
            found += getattr(getattr(event, "response", None), "tool_calls", None) or []
    return found
