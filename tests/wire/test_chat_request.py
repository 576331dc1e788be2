"""Chat requests read, and refused calls put back into their histories."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.wire.chat.protocol import PROTOCOL
from proxy.wire.codec import (
    CallFound,
    Emit,
    GateEvent,
    Refuse,
    RefusedCall,
    RefusedResponse,
    Release,
    Remember,
)

REF = "cr_" + "1a" * 16
TEXT = f"[checkrein {REF}] The call pay was refused. Left: 5 EUR."
Message = dict[str, Any]


def call(call_id: str, name: str = "pay", arguments: str = "{}") -> Message:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def assistant(content: Any, *calls: Message, **more: Any) -> Message:
    made: Message = {"role": "assistant", "content": content} | more
    return made | {"tool_calls": list(calls)} if calls else made


def tool(call_id: str, content: str = "ok") -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def body(messages: list[Message], **more: Any) -> bytes:
    text = json.dumps({"model": "m", "temperature": 0.1, **more, "messages": messages})
    return text.replace("0.1", "0.10", 1).encode()


def memory(original: Any, *refused: str | None, name: str = "pay") -> RefusedResponse:
    kind = "function" if None not in refused else "legacy_function"
    return RefusedResponse(
        ref=REF,
        provider="openai.chat",
        keys=(f"ref:{REF}",),
        original=original,
        refused=tuple(RefusedCall(i, name, kind, TEXT) for i in refused),
    )


def validate(messages: list[Message]) -> None:
    """What the API checks, written apart from the code under test: every call one result, at once."""
    open_ids: list[str] = []
    legacy: str | None = None
    for n, message in enumerate(messages):
        if message["role"] == "tool":
            assert message["tool_call_id"] in open_ids, f"orphan result at {n}"
            open_ids.remove(message["tool_call_id"])
            continue
        if message["role"] == "function":
            assert message["name"] == legacy, f"orphan function result at {n}"
            legacy = None
            continue
        assert not open_ids, f"no result for {open_ids} before {n}"
        if message["role"] == "assistant":
            calls = message.get("tool_calls")
            assert calls != [], "tool_calls: [] is too short"
            open_ids = [c["id"] for c in calls or []]
            assert len(set(open_ids)) == len(open_ids), "an id twice"
            legacy = (message.get("function_call") or {}).get("name")
            assert calls or legacy or message["content"] is not None
            for one in calls or []:
                json.loads(one["function"]["arguments"])
    assert not open_ids, f"no result for {open_ids}"


BOTH = assistant("I pay.", call("a"), call("b"))
ONLY = assistant(None, call("a"))


@pytest.mark.parametrize(
    ("history", "kept", "expected"),
    [
        pytest.param(
            [user("go"), assistant(TEXT), user("and?")],
            memory(ONLY, "a"),
            [user("go"), ONLY, tool("a", TEXT), user("and?")],
            id="the only call",
        ),
        pytest.param(
            [user("go"), assistant("I pay.\n\n" + TEXT, call("b")), tool("b")],
            memory(BOTH, "a"),
            [user("go"), BOTH, tool("a", TEXT), tool("b")],
            id="first of two",
        ),
        pytest.param(
            [user("go"), assistant("I pay.\n\n" + TEXT, call("a")), tool("a"), user("x")],
            memory(BOTH, "b"),
            [user("go"), BOTH, tool("b", TEXT), tool("a"), user("x")],
            id="second of two",
        ),
        pytest.param(
            [user("go"), assistant(f"I pay.\n\n{TEXT}\n\n{TEXT}"), user("x")],
            memory(BOTH, "a", "b"),
            [user("go"), BOTH, tool("a", TEXT), tool("b", TEXT), user("x")],
            id="both",
        ),
        pytest.param(
            [user("go"), assistant(None, call("b")), tool("b")],
            memory(BOTH, "a"),
            [user("go"), assistant(None, call("a"), call("b")), tool("a", TEXT), tool("b")],
            id="the client dropped the text: by the sibling's id",
        ),
        pytest.param(
            [user("go"), assistant([{"type": "text", "text": TEXT}]), user("x")],
            memory(ONLY, "a"),
            [user("go"), ONLY, tool("a", TEXT), user("x")],
            id="content in parts",
        ),
        pytest.param(
            [user("go"), assistant("Mine.\n\n" + TEXT.replace(" ", "  ")), user("x")],
            memory(ONLY, "a"),
            [user("go"), assistant("Mine.", call("a")), tool("a", TEXT), user("x")],
            id="merged with other text, spaces changed",
        ),
        pytest.param(
            [assistant(TEXT), user("why?"), assistant(f"Because of {REF}."), user("x")],
            memory(ONLY, "a"),
            [ONLY, tool("a", TEXT), user("why?"), assistant(f"Because of {REF}."), user("x")],
            id="the reference quoted later on",
        ),
        pytest.param(
            [user("go"), assistant(TEXT), assistant(None, call("b")), tool("b")],
            memory(BOTH, "a"),
            [
                user("go"),
                assistant("I pay.", call("a")),
                tool("a", TEXT),
                assistant(None, call("b")),
                tool("b"),
            ],
            id="text and calls split into two messages",
        ),
        pytest.param(
            [user("go"), assistant(TEXT), user("x")],
            memory(ONLY | {"reasoning_details": [{"score": Decimal("0.5")}]}, "a"),
            [
                user("go"),
                ONLY | {"reasoning_details": [{"score": 0.5}]},
                tool("a", TEXT),
                user("x"),
            ],
            id="numbers stay numbers",
        ),
        pytest.param(
            [user("go"), assistant(TEXT), user("x")],
            memory(ONLY | {"reasoning_content": "hm", "annotations": []}, "a"),
            [user("go"), ONLY | {"reasoning_content": "hm"}, tool("a", TEXT), user("x")],
            id="reasoning goes back with its call",
        ),
        pytest.param(
            [user("go"), assistant(TEXT), user("x")],
            memory(
                assistant(None, function_call={"name": "pay", "arguments": "{}"}),
                None,
            ),
            [
                user("go"),
                assistant(None, function_call={"name": "pay", "arguments": "{}"}),
                {"role": "function", "name": "pay", "content": TEXT},
                user("x"),
            ],
            id="legacy function_call",
        ),
        pytest.param(
            [user("go"), assistant(TEXT), user("x")],
            memory([ONLY, assistant("2", call("c"))], "a", "c"),
            [user("go"), ONLY, tool("a", TEXT), user("x")],
            id="two choices: the client went on with the first",
        ),
        pytest.param(
            [user("go"), assistant("2\n\n" + TEXT), user("x")],
            RefusedResponse(
                REF,
                "openai.chat",
                (),
                [ONLY, assistant("2", call("c"))],
                (
                    RefusedCall("a", "pay", "function", f"[checkrein {REF}] other"),
                    RefusedCall("c", "pay", "function", TEXT),
                ),
            ),
            [user("go"), assistant("2", call("c")), tool("c", TEXT), user("x")],
            id="two choices: the client went on with the second",
        ),
        pytest.param(
            [user("go"), assistant(TEXT), user("x")],
            memory(assistant(None, call("a", arguments='{"x":')), "a"),
            [
                user("go"),
                assistant(None, call("a", arguments='{"not_json":"{\\"x\\":"}')),
                tool("a", TEXT),
                user("x"),
            ],
            id="arguments that are no JSON are wrapped",
        ),
    ],
)
def test_restore(history: list[Message], kept: RefusedResponse, expected: list[Message]) -> None:
    sent = body(history, seed=2**70)
    request = PROTOCOL.parse_request(sent)
    restored = PROTOCOL.restore(request, [kept])
    assert restored is not None
    document = json.loads(restored)
    validate(document["messages"])
    assert document["messages"] == expected
    assert restored.startswith(b'{"model":"m","temperature":0.10,"seed":1180591620717411303424,')
    # The same history comes again, and the restored one too: the first is restored, the second left.
    assert PROTOCOL.restore(PROTOCOL.parse_request(sent), [kept, kept]) == restored
    assert PROTOCOL.restore(PROTOCOL.parse_request(restored), [kept]) is None


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([user("go")], id="the turn is gone"),
        pytest.param([user(f"summary: {TEXT}")], id="only a user message names it"),
        pytest.param([assistant(None, call("b", "other")), tool("b")], id="an id that came again"),
    ],
)
def test_nothing_to_restore(history: list[Message]) -> None:
    request = PROTOCOL.parse_request(body(history))
    assert PROTOCOL.restore(request, [memory(BOTH, "a")]) is None
    assert PROTOCOL.restore(request, []) is None


def test_a_result_the_client_wrote_itself_is_not_doubled() -> None:
    history = [assistant(TEXT, call("a")), tool("a", "unsupported")]
    restored = PROTOCOL.restore(PROTOCOL.parse_request(body(history)), [memory(ONLY, "a")])
    assert json.loads(restored or b"")["messages"] == [ONLY, tool("a", "unsupported")]


@pytest.mark.parametrize("refuse", [{0}, {1}, {2}, {0, 1}, {0, 2}, {0, 1, 2}])
@pytest.mark.parametrize("streamed", [False, True], ids=["body", "stream"])
def test_stripped_then_restored_is_what_the_model_said(refuse: set[int], streamed: bool) -> None:
    calls = [call("a", "one", '{"x":1}'), call("b", "two", ""), call("", "three", "{}")]
    message = assistant("Now.", *calls)
    choice: Message = {"index": 0, "finish_reason": "tool_calls", "message": message}
    sent = json.dumps({"id": "r", "choices": [choice]}).encode()
    if streamed:
        delta = message | {"tool_calls": [c | {"index": n} for n, c in enumerate(calls)]}
        choice = {"index": 0, "finish_reason": "tool_calls", "delta": delta}
        sent = b"data: " + json.dumps({"id": "r", "choices": [choice]}).encode() + b"\n\n"
    gate = PROTOCOL.gate(
        content_type="text/event-stream" if streamed else "application/json",
        status=200,
        ref=REF,
        request=None,
    )
    events: list[GateEvent] = gate.feed(sent) + gate.feed(b"")
    for found in [e for e in events if isinstance(e, CallFound)]:
        text = TEXT.replace("pay", found.call.name)
        events += gate.rule(found.key, Refuse(text) if found.key in refuse else Release())
    left = b"".join(e.data for e in events if isinstance(e, Emit))
    (kept,) = [e.response for e in events if isinstance(e, Remember)]
    stripped = json.loads(left.removeprefix(b"data: "))["choices"][0]
    answer = stripped.get("delta") or stripped["message"]
    for entry in answer.get("tool_calls", []):
        entry["function"]["arguments"] = entry["function"]["arguments"] or "{}"
    results = [tool(c["id"]) for c in answer.get("tool_calls", [])]
    request = PROTOCOL.parse_request(body([user("go"), answer, *results, user("on")]))
    assert f"ref:{REF}" in request.remembered_by
    document = json.loads(PROTOCOL.restore(request, [kept]) or b"")
    again = document["messages"][1]
    assert again["content"] == "Now."
    assert [c["function"]["name"] for c in again["tool_calls"]] == ["one", "two", "three"]
    if 2 in refuse:  # a client that keeps a call without an id has nothing to answer it by
        validate(document["messages"])


def test_a_request_is_read() -> None:
    tools = [{"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}]
    request = PROTOCOL.parse_request(
        body(
            [
                {"role": "system", "content": "Be kind."},
                {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
                user("first"),
                assistant(None, call("a", arguments='{"x": 1.50}'), call("b")),
                tool("b", "2"),
                {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "1"}]},
                assistant(None, call("a", arguments="{}")),
                tool("a", "3"),
                {"role": "developer", "content": "later"},
                {"role": "user", "content": [{"type": "text", "text": "new"}, {"type": "image_url"}]},
            ],
            stream=True,
            tools=tools,
            functions=[{"name": "old"}],
            user="u1",
            prompt_cache_key="k",
            metadata={"session_id": "s"},
        )
    )  # fmt: skip
    assert [(r.call_id, r.name, r.text, r.args_sha256) for r in request.results] == [
        ("b", "pay", "2", digest({})),
        ("a", "pay", "1", digest({"x": 1.5})),
        ("a", "pay", "3", digest({})),
    ]
    assert [(t.name, t.digest) for t in request.tools] == [
        ("pay", digest(tools[0])),
        ("old", digest({"name": "old"})),
    ]
    assert (request.model, request.stream) == ("m", True)
    assert request.system_text == "Be kind.\nBe brief.\nlater"
    assert request.opening == "Be kind.\nBe brief.\nfirst"
    assert request.user_text == "new"
    assert request.hints == {"user": "u1", "prompt_cache_key": "k", "session_id": "s"}
    assert request.remembered_by == ("call:a", "call:b")


def test_a_digest_in_the_history_is_the_calls_own() -> None:
    for arguments in ('{"b":1,"a":[2.0]}', "", '{"a":1,"a":2}', "{"):
        answer = {"choices": [{"message": assistant(None, call("a", arguments=arguments))}]}
        gate = PROTOCOL.gate(content_type="application/json", status=200, ref=REF, request=None)
        gate.feed(json.dumps(answer).encode())
        (found,) = [e for e in gate.feed(b"") if isinstance(e, CallFound)]
        history = [assistant(None, call("a", arguments=arguments)), tool("a")]
        (result,) = PROTOCOL.parse_request(body(history)).results
        assert result.args_sha256 == found.call.args_sha256


def test_a_legacy_result_is_read() -> None:
    history = [
        assistant(None, function_call={"name": "pay", "arguments": '{"x":1}'}),
        {"role": "function", "name": "pay", "content": "done"},
    ]
    (result,) = PROTOCOL.parse_request(body(history)).results
    assert (result.call_id, result.name, result.text) == (None, "pay", "done")
    assert result.args_sha256 == digest({"x": 1})


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"model":"m"}', id="no messages"),
        pytest.param(b'{"messages":{}}', id="messages is no list"),
        pytest.param(b'{"messages":[1]}', id="a message that is no object"),
        pytest.param(b'{"messages":[],"tools":{"a":1}}', id="tools is no list"),
        pytest.param(b'{"messages":[],"tools":[1]}', id="a tool that is no object"),
        pytest.param(b'{"messages":[{"role":"user","content":"\xff"}]}', id="not UTF-8"),
    ],
)
def test_requests_that_cannot_be_read(bad: bytes) -> None:
    with pytest.raises(WireError, match=r"openai\.chat request"):
        PROTOCOL.parse_request(bad)
