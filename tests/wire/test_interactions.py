"""Interactions through the gate and back: streams of both revisions, refusals, restoring, what is closed."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import types

from proxy.errors import WireError
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    Refuse,
    RefusedResponse,
    Release,
    Remember,
    Ruling,
)
from proxy.wire.interactions.protocol import PROTOCOL

REF = "cr_" + "12" * 16
TEXT = f"[checkrein {REF}] The call was refused and did not run."


def event(kind: str, *, name: bool = True, **fields: Any) -> bytes:
    head = f"event: {kind}\n" if name else ""
    return f"{head}data: {json.dumps(fields | {'event_type': kind})}\n\n".encode()


def args(index: int, text: str) -> bytes:
    delta = {"type": "arguments_delta", "arguments": text}
    return event("step.delta", index=index, delta=delta)


def call(name: str, id: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function_call", "name": name, "id": id, "arguments": arguments}


def created() -> bytes:
    return event("interaction.created", interaction={"id": "v1_a", "status": "in_progress"})


def completed(status: str = "requires_action", **more: Any) -> bytes:
    interaction = {"id": "v1_a", "status": status, **more}
    return event("interaction.completed", interaction=interaction)


DONE = b"event: done\ndata: [DONE]\n\n"
STREAM = [
    created(),
    event("step.start", index=0, step={"type": "thought", "signature": "c2ln"}),
    event("step.stop", index=0),
    event("step.start", index=1, step={"type": "model_output"}),
    event("step.delta", index=1, delta={"type": "text", "text": "Grüße"}),
    event("step.stop", index=1),
    event("step.start", index=2, step={**call("a", "i1"), "signature": "YQ=="}),
    args(2, '{"x": 1.5, "s'),
    args(2, '": "}"}'),
    event("step.stop", index=2),
    event("step.start", index=3, step=call("b", "i2", y=1)),
    event("step.stop", index=3),
    completed(),
    DONE,
]
OLD = [
    event("interaction.start", interaction={"id": "v1_a", "status": "in_progress"}),
    event("content.start", index=0, content={"type": "text"}),
    event("content.delta", index=0, delta={"type": "text", "text": "Hi"}),
    event("content.stop", index=0),
    event("content.start", index=1, content={"type": "function_call"}),
    event("content.delta", index=1, delta=call("a", "i1", x=1.5, s="}")),
    event("content.stop", index=1),
    event("content.delta", index=2, delta=call("b", "i2", y=1)),
    event("content.stop", index=2),
    event("interaction.complete", interaction={"id": "v1_a", "status": "requires_action"}),
    DONE,
]
WHOLE = {
    "id": "v1_a",
    "status": "requires_action",
    "steps": [
        {"type": "thought", "signature": "c2ln"},
        {"type": "model_output", "content": [{"type": "text", "text": "Hi"}]},
        call("a", "i1", x=1.5, s="}"),
        call("b", "i2", y=1),
    ],
}
OLD_WHOLE = {
    "id": "v1_a",
    "status": "requires_action",
    "outputs": [
        {"type": "text", "text": "Hi"},
        call("a", "i1", x=1.5, s="}"),
        call("b", "i2", y=1),
    ],
}
BODIES = {
    "stream": b"".join(STREAM),
    "old stream": b"".join(OLD),
    "json": json.dumps(WHOLE, indent=1).encode(),
    "old json": json.dumps(OLD_WHOLE).encode(),
}


class Drive:
    """Feeds pieces to a gate and rules at once."""

    def __init__(self, media: str, ruling: Callable[[int], Ruling], *, status: int = 200) -> None:
        self.gate = PROTOCOL.gate(content_type=media, status=status, ref=REF, request=None)
        self.ruling = ruling
        self.left = bytearray()
        self.calls: list[CallFound] = []
        self.seen: list[CallSeen] = []
        self.memories: list[Remember] = []

    def feed(self, data: bytes) -> None:
        todo: list[GateEvent] = self.gate.feed(data)
        while todo:
            one = todo.pop(0)
            if isinstance(one, Emit):
                self.left += one.data
            elif isinstance(one, Remember):
                self.memories.append(one)
            elif isinstance(one, CallSeen):
                self.seen.append(one)
            else:
                self.calls.append(one)
                todo += self.gate.rule(one.key, self.ruling(self.calls.index(one)))

    def all(self, pieces: list[bytes]) -> Drive:
        for piece in [*pieces, b""]:
            self.feed(piece)
        assert not self.gate.pending
        return self


def media_of(kind: str) -> str:
    return "text/event-stream" if "stream" in kind else "application/json; charset=UTF-8"


def release(_n: int) -> Ruling:
    return Release()


def refuse(_n: int) -> Ruling:
    return Refuse(TEXT)


def found_by_sdk(body: bytes, kind: str) -> tuple[set[str], str]:
    """Returns the kinds of steps and deltas that google-genai shows, and the last status."""

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": media_of(kind)}, content=body)

    http = httpx.Client(transport=httpx.MockTransport(answer))
    options = types.HttpOptions(httpx_client=http, base_url="http://x")
    kinds: set[str] = set()
    status = ""
    with genai.Client(api_key="k", http_options=options) as client:
        made: Any = client.interactions.create(model="m", input="x", stream="stream" in kind)
        if "stream" not in kind:
            listed = made.steps or []
            return {step.type for step in listed}, made.status
        for one in made:
            for holder in (getattr(one, "step", None), getattr(one, "delta", None)):
                kinds |= {holder.type} if holder is not None else set()
            if (shown := getattr(one, "interaction", None)) is not None:
                status = shown.status
    return kinds, status


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("refused", [(), (0,), (1,), (0, 1)], ids=str)
def test_any_cut_gives_the_same(kind: str, refused: tuple[int, ...]) -> None:
    body = BODIES[kind]

    def ruling(n: int) -> Ruling:
        return Refuse(f"{TEXT} ({n})") if n in refused else Release()

    whole = Drive(media_of(kind), ruling).all([body])
    found = [(c.call.id, c.call.name, c.call.arguments, c.call.fault) for c in whole.calls]
    assert found == [("i1", "a", {"x": 1.5, "s": "}"}, None), ("i2", "b", {"y": 1}, None)]
    assert {c.call.response_id for c in whole.calls} == {"v1_a"}
    assert whole.gate.response_id == "v1_a"
    if not refused:
        assert whole.left == body
        assert whole.memories == []
    for n in (0, 1):
        name = ('"i1"', '"i2"')[n].encode()
        assert (name in whole.left) == (n not in refused)
        assert (f"{TEXT} ({n})".encode() in whole.left) == (n in refused)
    if refused:
        kept = whole.memories[-1].response
        assert "response:v1_a" in kept.keys
        assert [r.call_id for r in kept.refused] == [("i1", "i2")[n] for n in refused]
        assert kept.original["refused"][0]["arguments"] == found[refused[0]][2]
        wanted = b"completed" if len(refused) == 2 else b"requires_action"
        assert wanted in whole.left.rpartition(b"status")[2] or wanted in whole.left
    if not kind.startswith("old"):
        kinds, status = found_by_sdk(bytes(whole.left), kind)
        assert ("function_call" in kinds) == (len(refused) < 2)
        assert "arguments_delta" not in kinds or 0 not in refused
        assert status == ("completed" if len(refused) == 2 else "requires_action")
    draw = random.Random(kind)  # noqa: S311 - the same cuts at every run
    cuts = [list(range(1, len(body)))] + [
        sorted(draw.sample(range(1, len(body)), 9)) for _ in range(5)
    ]
    for one in cuts:
        pieces = [body[a:b] for a, b in itertools.pairwise([0, *one, len(body)])]
        again = Drive(media_of(kind), ruling).all(pieces)
        assert again.left == whole.left
        assert again.calls == whole.calls
        assert again.memories[-1:] == whole.memories[-1:]


def test_text_streams_and_a_call_waits() -> None:
    gate = PROTOCOL.gate(content_type="text/event-stream", status=200, ref=REF, request=None)
    events = [e for frame in STREAM for e in gate.feed(frame)]
    left = b"".join(e.data for e in events if isinstance(e, Emit))
    assert left == b"".join(STREAM[:6])
    assert list(gate.pending) == [0, 1]
    assert gate.keepalive() == b"\n"


def test_completed_ends_a_call_that_has_no_stop() -> None:
    drive = Drive("text/event-stream", release).all([*STREAM[:9], completed(), DONE])
    assert [c.call.name for c in drive.calls] == ["a"]
    assert drive.left == b"".join([*STREAM[:9], completed(), DONE])


@pytest.mark.parametrize("status", ["failed", "cancelled", "incomplete"])
def test_a_call_that_did_not_end_is_never_emitted(status: str) -> None:
    drive = Drive("text/event-stream", release).all([*STREAM[:8], completed(status)])
    assert drive.calls == []
    assert b'"i1"' not in drive.left
    assert b"middle of a tool call" in drive.left
    cut = Drive("text/event-stream", release).all(STREAM[:8])
    assert b'"i1"' not in cut.left


def test_a_completed_interaction_that_repeats_its_steps() -> None:
    """Known calls leave with their ruling; one that is only there waits for its own."""
    steps = [call("a", "i1", x=1.5, s="}"), call("b", "i2", y=1), call("c", "i3")]
    frames = [*STREAM[:12], completed(steps=steps), DONE]
    drive = Drive("text/event-stream", refuse).all(frames)
    assert [c.call.name for c in drive.calls] == ["a", "b", "c"]
    assert b"function_call" not in drive.left
    assert b'"completed"' in drive.left
    same = Drive("text/event-stream", release).all(frames)
    assert same.left == b"".join(frames)


START = event("step.start", index=0, step=call("f", "i1"))
CLOSED = {
    "one index twice": START + event("step.stop", index=0) + START,
    "arguments for no call": args(5, "{}"),
    "arguments behind the stop": START + event("step.stop", index=0) + args(0, '{"a": 1}'),
    "name contradicts data": START.replace(b"event: step.start", b"event: ping"),
    "no index": event("step.start", step=call("f", "i1")),
    "call in a step": event(
        "step.start", index=0, step={"type": "model_output", "content": [call("f", "i1")]}
    ),
    "step without a type": event("step.start", index=0, step={"name": "f", "id": "i1"}),
    "type in capitals": event("step.start", index=0, step={"TYPE": "thought", "name": "f"}),
    "delta without a type": event("step.delta", index=0, delta={"arguments": "{}"}),
    "duplicate step": b'data: {"event_type": "step.start", "index": 0, "step": {}, "step": {}}\n\n',
    "step in another event": event("ping", step=call("f", "i1")),
    "steps no list": completed(steps={"a": call("f", "i1")}),
    "JSON outside": json.dumps(WHOLE).encode() + b"\n\n",
    "not JSON": b"data: {\n\n",
    "array": b"data: []\n\n",
}


@pytest.mark.parametrize("body", CLOSED.values(), ids=CLOSED)
def test_closed(body: bytes) -> None:
    drive = Drive("text/event-stream", release)
    with pytest.raises(WireError):
        drive.all([body])
    assert b"event: error" in drive.gate.fail("why")


@pytest.mark.parametrize(
    "frames",
    [
        [event("step.start", index=0, step=call("f", "i1", a=1)), args(0, '{"a": 2}')],
        [START, args(0, '{"a": 1, "a": 2}')],
        [START, args(0, '{"a": ')],
        [START, args(0, "[]")],
        [START.replace(b'"name": "f"', b'"name": ""')],
        [START.replace(b'"name": "f"', b'"name": "f", "name": "g"')],
        [START, event("step.delta", index=0, delta={"type": "function_call", "name": "g"})],
    ],
    ids=["two versions", "double key", "cut", "array", "no name", "two names", "renamed"],
)
def test_faulty_calls(frames: list[bytes]) -> None:
    drive = Drive("text/event-stream", refuse)
    drive.all([*frames, event("step.stop", index=0), completed()])
    assert [bool(c.call.fault) for c in drive.calls] == [True]
    assert b"function_call" not in drive.left


def test_provider_calls_are_seen() -> None:
    step = {"type": "google_search_call", "id": "g1", "arguments": {"queries": ["x"]}}
    mcp = {
        "type": "mcp_server_tool_call",
        "id": "m1",
        "name": "t",
        "server_name": "s",
        "arguments": {},
    }
    frames = [event("step.start", index=n, step=s) for n, s in enumerate((step, mcp))]
    body = b"".join(frames)
    drive = Drive("text/event-stream", refuse).all([body])
    seen = [(s.call.name, s.call.id, s.call.namespace, s.call.executor) for s in drive.seen]
    assert seen == [("google_search_call", "g1", None, "provider"), ("t", "m1", "s", "provider")]
    assert drive.left == body
    whole = json.dumps({"id": "v", "steps": [step, mcp]}).encode()
    assert len(Drive("application/json", refuse).all([whole]).seen) == 2


def test_unknown_calls_count_as_the_clients() -> None:
    body = json.dumps({"id": "v", "steps": [{"type": "robot_call", "id": "r", "arguments": {}}]})
    drive = Drive("application/json", refuse).all([body.encode()])
    assert [c.call.kind for c in drive.calls] == ["robot_call"]


# --- requests -------------------------------------------------------------------------------------


def remembered(kind: str, ruling: Callable[[int], Ruling]) -> tuple[RefusedResponse, bytes]:
    drive = Drive(media_of(kind), ruling).all([BODIES[kind]])
    return drive.memories[-1].response, bytes(drive.left)


def restored(body: dict[str, Any], memory: RefusedResponse) -> Any:
    request = PROTOCOL.parse_request(json.dumps(body).encode())
    assert set(request.remembered_by) & set(memory.keys)
    made = PROTOCOL.restore(request, [memory])
    return None if made is None else json.loads(made)["input"]


def failed(id: str, name: str) -> dict[str, Any]:
    return {
        "type": "function_result",
        "call_id": id,
        "name": name,
        "is_error": True,
        "result": TEXT,
    }


def answer(id: str) -> dict[str, Any]:
    return {"type": "function_result", "call_id": id, "result": "fine"}


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        ("go", [{"type": "user_input", "content": [{"type": "text", "text": "go"}]}]),
        (
            [{"type": "text", "text": "go"}],
            [{"type": "user_input", "content": [{"type": "text", "text": "go"}]}],
        ),
        (
            {"type": "text", "text": "go"},
            [{"type": "user_input", "content": [{"type": "text", "text": "go"}]}],
        ),
        ([answer("i2")], [answer("i2")]),
        (answer("i2"), [answer("i2")]),
        (None, []),
    ],
    ids=["text", "contents", "content", "results", "result", "nothing"],
)
def test_going_on_by_id_adds_results_only(value: Any, rest: list[Any]) -> None:
    memory, _ = remembered("stream", lambda n: Refuse(TEXT) if n == 0 else Release())
    body = {"previous_interaction_id": "v1_a", "model": "m"}
    body |= {} if value is None else {"input": value}
    assert restored(body, memory) == [failed("i1", "a"), *rest]


def test_going_on_by_id_in_the_older_form() -> None:
    memory, _ = remembered("old json", lambda n: Refuse(TEXT) if n == 0 else Release())
    body = {"previous_interaction_id": "v1_a", "input": "go"}
    assert restored(body, memory) == [failed("i1", "a"), {"type": "text", "text": "go"}]


def test_results_are_added_once() -> None:
    memory, _ = remembered("json", refuse)
    body = {"previous_interaction_id": "v1_a", "input": [answer("i1"), answer("i2")]}
    assert restored(body, memory) is None


@pytest.mark.parametrize("first", [True, False], ids=["first refused", "both refused"])
def test_a_stateless_input_gets_its_calls_back(first: bool) -> None:
    memory, left = remembered(
        "json", lambda n: Refuse(TEXT) if (first and n == 0) or not first else Release()
    )
    ask = {"type": "user_input", "content": [{"type": "text", "text": "hello"}]}
    shown = json.loads(left)["steps"]
    made = restored({"input": [ask, *shown, *([answer("i2")] if first else [ask])]}, memory)
    results = [failed("i1", "a"), answer("i2") if first else failed("i2", "b")]
    assert made == [ask, *WHOLE["steps"], *results, *([] if first else [ask])]


def test_what_a_request_says() -> None:
    body = {
        "model": "gemini-3",
        "input": [
            {"type": "user_input", "content": [{"type": "text", "text": "hello"}]},
            call("a", "i1", x=1),
            {"type": "function_result", "call_id": "i1", "is_error": True, "result": {"e": 1}},
            {"type": "user_input", "content": [{"type": "text", "text": "go"}]},
        ],
        "system_instruction": "Be kind.",
        "tools": [{"type": "function", "name": "a"}, {"type": "google_search"}],
        "previous_interaction_id": "v1_a",
        "stream": True,
    }
    request = PROTOCOL.parse_request(json.dumps(body).encode())
    assert request.hints == {"previous_response_id": "v1_a"}
    assert (request.model, request.stream, request.user_text) == ("gemini-3", True, "go")
    assert request.opening == "Be kind.\n\nhello"
    assert [t.name for t in request.tools] == ["a", "google_search"]
    (result,) = request.results
    assert (result.call_id, result.name, result.is_error, result.text) == (
        "i1",
        "a",
        True,
        '{"e":1}',
    )
    assert result.args_sha256
    turns = {
        "input": [{"role": "user", "content": "x"}, {"role": "model", "content": [call("a", "i9")]}]
    }
    assert "call:i9" in PROTOCOL.parse_request(json.dumps(turns).encode()).remembered_by
