"""Mistral's conversations: what is a call, what is left of a refused one, what goes back; and the paths."""

from __future__ import annotations

import contextlib
import importlib
import json
import warnings
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from mistralai.client import Mistral, errors

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.chat.protocol import PROTOCOL as CHAT
from proxy.wire.codec import CallSeen, Emit, Refuse, RefusedResponse, ResponseGate, Ruling, Target
from proxy.wire.mistral.protocol import AGENTS, FIM, PROTOCOL, ConversationsProtocol, claims
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
from tests.upstreams.mistral import _events, _frame, read_entries

with warnings.catch_warnings():  # the SDK imports it late, and it leans on what Python 3.14 drops
    warnings.simplefilter("ignore", DeprecationWarning)
    importlib.import_module("mistralai.client.beta")

SSE, JSON = "text/event-stream", "application/json"
CALLS = (("look_up", {"order": "A-1"}), ("forbidden", {"order": "A-2"}), ("look_up", {"n": 3}))
AT = {"object": "entry", "created_at": "2026-01-01T00:00:00Z", "model": "m"}
SAID = {**AT, "id": "e0", "type": "message.output", "role": "assistant", "content": "Let me see."}


def function_call(n: int) -> dict[str, Any]:
    name, arguments = CALLS[n]
    made = {"type": "function.call", "tool_call_id": f"aaaaaaaa{n}", "name": name}
    return {**AT, "id": f"e{n + 1}", **made, "arguments": json.dumps(arguments)}


OUTPUTS = [SAID, *map(function_call, range(3))]
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
EVENTS = list(_events("conv_1", OUTPUTS, USAGE))
STREAM = b"".join(map(_frame, EVENTS))
ANSWER = {"object": "conversation.response", "conversation_id": "conv_1", "usage": USAGE}
WHOLE = json.dumps({**ANSWER, "outputs": OUTPUTS}).encode()
RULINGS = [
    pytest.param(release, [0, 1, 2], id="released"),
    pytest.param(refuse_only(1), [0, 2], id="second refused"),
    pytest.param(refuse, [], id="all refused"),
]


def gate(kind: str = SSE) -> ResponseGate:
    return ConversationsProtocol("conv_1").gate(
        content_type=kind, status=200, ref=REF, request=None
    )


class _Sdk:
    """The SDK, which is slow to make, over bodies that change."""

    def __init__(self) -> None:
        self._body, self._kind = b"", JSON
        self._http = httpx2.Client(transport=httpx2.MockTransport(self._answer))
        self._talk: Any = None

    def _answer(self, _: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": self._kind}, content=self._body)

    def answering(self, body: bytes, kind: str) -> Any:
        if self._talk is None:
            made = Mistral(api_key="k", server_url="http://x", client=self._http)
            self._talk = made.beta.conversations
        self._body, self._kind = body, kind
        return self._talk


SDK = _Sdk()


def sdk_reads(body: bytes, kind: str) -> tuple[list[Any], str]:
    """Returns what the SDK finds: name and arguments of each call, and the text."""
    talk = SDK.answering(body, kind)
    if kind == JSON:
        outputs: list[Any] = list(talk.start(inputs="x", model="m").outputs)
        made = [(o.name, json.loads(o.arguments)) for o in outputs if o.type == "function.call"]
        return made, "".join(o.content for o in outputs if o.type == "message.output")
    calls: dict[Any, list[str]] = {}
    text = ""
    for data in [event.data for event in talk.start_stream(inputs="x", model="m")]:
        if data.type == "function.call.delta":
            calls.setdefault(data.output_index, [data.name, ""])[1] += data.arguments
        elif data.type == "message.output.delta" and isinstance(data.content, str):
            text += data.content
    return [(name, json.loads(arguments)) for name, arguments in calls.values()], text


@pytest.mark.parametrize(("ruling", "left"), RULINGS)
@pytest.mark.parametrize(("kind", "body"), [(SSE, STREAM), (JSON, WHOLE)], ids=["stream", "whole"])
def test_the_sdk_sees_what_was_released(
    kind: str, body: bytes, ruling: Callable[[int], Ruling], left: list[int]
) -> None:
    """However it is cut; a message stands in a refused call's place."""
    whole = drive(gate(kind), [body], ruling)
    calls, text = sdk_reads(whole.body, kind)
    assert calls == [CALLS[n] for n in left]
    assert text.count(REF) == 3 - len(left)
    assert text.startswith("Let me see.")
    assert (whole.body == body) == (len(left) == 3)
    assert [f.call.id for f in whole.calls] == ["aaaaaaaa0", "aaaaaaaa1", "aaaaaaaa2"]
    for pieces in cuts(body, "mistral"):
        assert drive(gate(kind), pieces, ruling) == whole


def test_text_leaves_at_once_and_calls_wait_for_the_end() -> None:
    made = gate()
    for event in EVENTS[:4]:
        assert made.feed(_frame(event)) == [Emit(_frame(event))]
    for event in EVENTS[4:-1]:
        assert made.feed(_frame(event)) == []
    made.feed(_frame(EVENTS[-1]))
    assert made.pending == (0, 1, 2)


def delta(
    index: int | None = 0, call_id: str = "aaaaaaaa0", name: str = "pay", **more: Any
) -> bytes:
    event = {"type": "function.call.delta", "id": "e1", "output_index": index, "name": name}
    return _frame({**event, "tool_call_id": call_id, "arguments": "{}", **more})


DONE = _frame({"type": "conversation.response.done", "usage": USAGE})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(delta() + delta(0, "aaaaaaaa1"), id="two ids on an index"),
        pytest.param(delta() + delta(1), id="an id on two indexes"),
        pytest.param(delta() + delta(name="other"), id="another name"),
        pytest.param(DONE + delta(), id="after the end"),
        pytest.param(delta(arguments={"n": 1}), id="an object"),
        pytest.param(delta().replace(b'"type"', b'"Type"'), id="case"),
        pytest.param(delta().replace(b'"name"', b'"name": "x", "name"'), id="a key twice"),
        pytest.param(delta().replace(b"call.delta", b"call.done"), id="another type"),
        pytest.param(DONE + b"\xef\xbb\xbf" + delta(), id="a mark inside"),
    ],
)
def test_what_can_be_read_in_two_ways_ends_the_stream(body: bytes) -> None:
    """Closed: no call leaves."""
    with pytest.raises(WireError):
        drive(gate(), [body, b":\n\n"], release)


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        pytest.param(
            {"tool_call_id": "a", "name": "pay", "arguments": {"n": 1}}, "pay", id="no type"
        ),
        pytest.param({"type": "function.call", "arguments": {}}, None, id="no name"),
        pytest.param({"type": "other", "name": "x", "arguments": "{}"}, None, id="unknown type"),
        pytest.param({"Type": "function.call"}, None, id="case"),
        pytest.param(7, None, id="no object"),
    ],
)
def test_entries_of_other_shapes(entry: Json, name: str | None) -> None:
    """The SDK takes an entry without a type for what its fields make it."""
    body = json.dumps({**ANSWER, "outputs": [entry]}).encode()
    if name is None:
        with pytest.raises(WireError):
            drive(gate(JSON), [body], release)
        return
    left = drive(gate(JSON), [body], refuse)
    assert [found.call.name for found in left.calls] == [name]
    assert sdk_reads(left.body, JSON)[0] == []


def test_a_servers_own_call_is_told() -> None:
    """It has run already."""
    tool = {"type": "tool.execution", "name": "web_search", "arguments": '{"q": "x"}', "id": "t1"}
    made = gate(JSON)
    made.feed(json.dumps({**ANSWER, "outputs": [tool]}).encode())
    streamed = gate()
    frames = [
        {"type": "tool.execution.started", "id": "t1", "name": "web_search", "arguments": '{"q"'},
        {"type": "tool.execution.delta", "id": "t1", "name": "web_search", "arguments": ': "x"}'},
        {"type": "tool.execution.done", "id": "t1", "name": "web_search"},
    ]
    found = [e for frame in frames for e in streamed.feed(_frame(frame))] + made.feed(b"")
    seen = [e.call for e in found if isinstance(e, CallSeen)]
    assert [(c.name, c.arguments, c.executor) for c in seen] == [
        ("web_search", {"q": "x"}, "provider")
    ] * 2


def test_a_history_shows_the_servers_copy_of_calls() -> None:
    """It is gated like an answer; nothing is remembered for it."""
    body = json.dumps({"object": "conversation.history", "entries": OUTPUTS}).encode()
    left = drive(gate(JSON), [body], refuse_only(1))
    assert left.memories == []
    assert [e["type"] for e in json.loads(left.body)["entries"]] == [
        "message.output",
        "function.call",
        "message.output",
        "function.call",
    ]


def test_an_answer_that_ends_early_emits_no_call() -> None:
    """The SDK reads an error event."""
    left = drive(gate(), [STREAM[: STREAM.rindex(b"event: conversation.response.done")]], release)
    assert left.calls == []
    assert sdk_reads(left.body, SSE)[0] == []
    assert b"ended inside" in left.body


def test_no_changed_stream_shows_the_sdk_a_refused_call() -> None:
    """Whatever lines are moved, doubled or broken: a call that nobody judged is never found."""
    for body in mutations(STREAM, "mistral", 300):
        left = drive_closed(gate(), body)
        # The SDK raises at a frame that is none of its own.
        with contextlib.suppress(errors.ResponseValidationError, UnicodeDecodeError):
            assert sdk_reads(left, SSE)[0] == [], body


def test_keepalives_are_passed_over() -> None:
    made = gate()
    made.feed(STREAM)
    body = made.keepalive() * 2
    for key in range(3):
        body += b"".join(e.data for e in made.rule(key, Refuse(TEXT)) if isinstance(e, Emit))
    assert sdk_reads(body, SSE) == ([], TEXT * 3)


# --- requests ------------------------------------------------------------------------------------


def memory(ruling: Callable[[int], Ruling], body: bytes = WHOLE) -> RefusedResponse:
    return drive(gate(JSON), [body], ruling).memories[-1]


def restored(protocol: Any, body: dict[str, Any], kept: RefusedResponse) -> Any:
    request = protocol.parse_request(json.dumps(body).encode())
    assert set(request.remembered_by) & set(kept.keys)
    made = protocol.restore(request, [kept])
    return None if made is None else json.loads(made)


def result(n: int, text: str) -> dict[str, Any]:
    return {"type": "function.result", "tool_call_id": f"aaaaaaaa{n}", "result": text}


def test_the_server_gets_results_for_what_it_keeps() -> None:
    """Never the calls; behind the client's own results."""
    body = {"inputs": [result(0, "one"), result(2, "three")]}
    made = restored(ConversationsProtocol("conv_1"), body, memory(refuse_only(1)))
    added = {"object": "entry", **result(1, f"{TEXT} (1)")}
    assert made["inputs"] == [*body["inputs"], added]
    entries = [{"type": "message.input", "role": "user", "content": "x"}, *OUTPUTS]
    assert read_entries([*entries, *made["inputs"]]) == ""


def test_a_users_next_word_stands_behind_the_models() -> None:
    made = restored(ConversationsProtocol("conv_1"), {"inputs": "and now?"}, memory(refuse))
    kinds = [entry["type"] for entry in made["inputs"]]
    assert kinds == ["function.result"] * 3 + ["message.output", "message.input"]
    entries = [{"type": "message.input", "role": "user", "content": "x"}, *OUTPUTS]
    assert read_entries([*entries, *made["inputs"]]) == "and now?"


def test_a_call_that_waits_for_a_yes_is_denied() -> None:
    """The server would run it: its answer is no result but a confirmation."""
    entry = function_call(1) | {"confirmation_status": "pending"}
    kept = memory(refuse, json.dumps({**ANSWER, "outputs": [entry]}).encode())
    assert kept.refused[0].kind == "confirmation"
    made = restored(ConversationsProtocol("conv_1"), {"inputs": []}, kept)
    assert made["tool_confirmations"] == [{"tool_call_id": "aaaaaaaa1", "confirmation": "deny"}]
    assert made["inputs"] == []


def test_a_restart_from_elsewhere_needs_nothing() -> None:
    protocol = ConversationsProtocol("conv_1", restarts=True)
    body = {"inputs": "x", "from_entry_id": "e_before"}
    assert restored(protocol, body, memory(refuse)) is None
    body["from_entry_id"] = "e2"
    assert restored(protocol, body, memory(refuse)) is not None
    assert protocol.parse_request(json.dumps(body).encode()).hints == {}


def test_the_clients_own_copy_gets_call_and_result() -> None:
    """With `store: false` nothing is on the server."""
    kept = memory(refuse_only(1))
    stood = {"type": "message.output", "role": "assistant", "content": f"{TEXT} (1)"}
    inputs = [
        {"type": "message.input", "role": "user", "content": "x"},
        OUTPUTS[1],
        stood,
        OUTPUTS[3],
        result(0, "one"),
        result(2, "three"),
    ]
    made = restored(ConversationsProtocol(), {"inputs": inputs, "store": False}, kept)
    assert made["inputs"][1:4] == OUTPUTS[1:]
    assert read_entries(made["inputs"]) == ""


def test_results_name_their_call() -> None:
    request = PROTOCOL.parse_request(
        json.dumps({"inputs": [OUTPUTS[1], result(0, "one")]}).encode()
    )
    (found,) = request.results
    first = drive(gate(JSON), [WHOLE], release).calls[0].call
    assert (found.call_id, found.name, found.text) == ("aaaaaaaa0", "look_up", "one")
    assert found.args_sha256 == first.args_sha256


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "v1/conversations", PROTOCOL),
        ("POST", "v1/agents/completions", AGENTS),
        ("POST", "v1/fim/completions", FIM),
        ("GET", "v1/conversations", None),
        ("GET", "v1/conversations/conv_1", None),
        ("POST", "v1/conversations/conv_1/items", None),
        ("POST", "v1/chat/completions", None),
    ],
)
def test_paths(method: str, path: str, expected: Any) -> None:
    assert claims(Target(method, path, f"/{path}", "")) is expected


def test_a_path_names_its_conversation() -> None:
    """As it stands on the wire; ids keep their case."""
    for method, tail in (("POST", ""), ("POST", "/restart"), ("GET", "/history")):
        found = claims(
            Target(
                method, f"v1/conversations/conv_ab{tail}", f"/v1/conversations/conv_aB{tail}", ""
            )
        )
        assert isinstance(found, ConversationsProtocol)
        hints = found.parse_request(b'{"inputs": "x"}').hints
        assert hints == ({} if tail == "/restart" else {"conversation": "conv_aB"})


def test_openais_conversations_pass() -> None:
    """They have the same path, and no outputs."""
    body = b'{"id": "conv_1", "object": "conversation", "created_at": 1, "metadata": {}}'
    assert PROTOCOL.parse_request(b'{"metadata": {}, "items": []}').results == ()
    assert drive(gate(JSON), [body], release).body == body
    with pytest.raises(WireError):
        drive(gate(JSON), [b'{"output": [{"type": "function_call"}]}'], release)


def test_agents_and_fim_speak_chat() -> None:
    """A refusal that was the last word stands ahead of the user's next; a prompt is no history."""
    assert AGENTS.name == FIM.name == CHAT.name
    call = {"id": "aaaaaaaa1", "function": {"name": "pay", "arguments": "{}"}}
    choice = {"index": 0, "message": {"content": "", "tool_calls": [call]}}
    body = json.dumps({"id": "r", "choices": [choice | {"finish_reason": "tool_calls"}]}).encode()
    made = AGENTS.gate(content_type=JSON, status=200, ref=REF, request=None)
    memories = drive(made, [body], refuse).memories
    history = [
        {"role": "assistant", "content": f"{TEXT} (0)"},
        {"role": "user", "content": "and now?"},
    ]
    asked = json.dumps({"agent_id": "ag", "messages": history}).encode()
    back = AGENTS.restore(AGENTS.parse_request(asked), memories)
    assert back is not None
    roles = [message["role"] for message in json.loads(back)["messages"]]
    assert roles == ["assistant", "tool", "assistant", "user"]
    request = FIM.parse_request(b'{"model": "codestral", "prompt": "def f(", "stream": true}')
    assert (request.user_text, request.stream) == ("def f(", True)
    assert FIM.restore(request, memories) is None
