"""The Chat gates over streams and bodies that the recordings lack: what is refused, cut, bent."""

from __future__ import annotations

import json
import random
from collections.abc import Set
from typing import Any

import httpx2
import pytest
from openai import APIError, OpenAI

from proxy.errors import WireError
from proxy.wire.chat.protocol import PROTOCOL
from proxy.wire.codec import CallFound, Emit, GateEvent, Refuse, Release, Remember, ResponseGate

REF = "cr_" + "0f" * 16
SSE, JSON = "text/event-stream; charset=utf-8", "application/json"
DONE = b"data: [DONE]\n\n"


def text_of(key: int) -> str:
    return f"[checkrein {REF}] refused #{key}"


def frame(*choices: dict[str, Any], **more: Any) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    return b"data: " + json.dumps(head | {"choices": list(choices)} | more).encode() + b"\n\n"


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": fields, "finish_reason": finish}


def piece(index: int | None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    """One entry of delta.tool_calls; `id` and `name` begin a call."""
    name = fields.pop("name", None)
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    made = {} if index is None else {"index": index}
    if "id" in fields:
        made["type"] = fields.pop("type", "function")
    return made | fields | {"function": function}


class Run:
    """One body through a gate; `refuse` are the keys to refuse, the others are released."""

    def __init__(
        self,
        body: bytes,
        refuse: Set[int] = frozenset(),
        *,
        kind: str = SSE,
        size: int = 0,
        status: int = 200,
    ) -> None:
        self.gate: ResponseGate = PROTOCOL.gate(
            content_type=kind, status=status, ref=REF, request=None
        )
        self.refuse, self.left = refuse, bytearray()
        self.calls: list[CallFound] = []
        self.memories: list[Remember] = []
        size = size or len(body) or 1
        for at in range(0, len(body), size):
            self.take(self.gate.feed(body[at : at + size]))
        self.take(self.gate.feed(b""))
        assert not self.gate.pending

    def take(self, events: list[GateEvent]) -> None:
        for event in events:
            if isinstance(event, Emit):
                self.left += event.data
            elif isinstance(event, Remember):
                self.memories.append(event)
            elif isinstance(event, CallFound):
                self.calls.append(event)
        for event in events:
            if isinstance(event, CallFound):
                refused = event.key in self.refuse
                ruling = Refuse(text_of(event.key)) if refused else Release()
                self.take(self.gate.rule(event.key, ruling))

    @property
    def seen(self) -> list[tuple[str | None, str, Any]]:
        return [(c.call.id, c.call.name, c.call.arguments) for c in self.calls]

    def chunks(self) -> list[dict[str, Any]]:
        lines = bytes(self.left).split(b"\n")
        data = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: {")]
        return [json.loads(line) for line in data]


def sdk(body: bytes) -> Any:
    """The completion that openai-python puts together from a stream."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": SSE}, content=body)

    transport = httpx2.MockTransport(answer)
    with (
        OpenAI(
            api_key="k", base_url="http://x/v1", http_client=httpx2.Client(transport=transport)
        ) as client,
        client.chat.completions.stream(model="m", messages=[]) as stream,
    ):
        for _ in stream:
            pass
        return stream.current_completion_snapshot


def sdk_calls(body: bytes, choice: int = 0) -> list[tuple[str, str, str]]:
    message = sdk(body).choices[choice].message
    return [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or []]


ROLE = frame(delta(role="assistant", content="Let me see."))
PARALLEL = (
    ROLE
    + frame(delta(tool_calls=[piece(0, "", id="a", name="one")]))
    + frame(delta(tool_calls=[piece(1, '{"y"', id="b", name="two")]))
    + frame(delta(tool_calls=[piece(0, '{"x":')]))
    + frame(delta(tool_calls=[piece(1, ":2}"), piece(0, "1}")]))
    + frame(delta(finish="tool_calls"))
    + frame(usage={"total_tokens": 3})
    + DONE
)
BOTH = [("a", "one", {"x": 1}), ("b", "two", {"y": 2})]


@pytest.mark.parametrize("size", [0, 1, 7], ids=["whole", "byte by byte", "by sevens"])
@pytest.mark.parametrize(
    ("refuse", "left", "finish"),
    [
        pytest.param(set(), [("a", "one", '{"x":1}'), ("b", "two", '{"y":2}')], "tool_calls", id="none"),
        pytest.param({0}, [("b", "two", '{"y":2}')], "tool_calls", id="first: the second moves up"),
        pytest.param({1}, [("a", "one", '{"x":1}')], "tool_calls", id="second"),
        pytest.param({0, 1}, [], "stop", id="both: the turn ends"),
    ],
)  # fmt: skip
def test_parallel_interleaved(
    refuse: set[int], left: list[tuple[str, str, str]], finish: str, size: int
) -> None:
    run = Run(PARALLEL, refuse, size=size)
    assert run.seen == BOTH
    assert (bytes(run.left) == PARALLEL) is (not refuse)
    completion = sdk(bytes(run.left))
    choice = completion.choices[0]
    assert sdk_calls(bytes(run.left)) == left
    assert choice.finish_reason == finish
    assert choice.message.content == "\n\n".join(["Let me see.", *map(text_of, sorted(refuse))])
    assert run.left.endswith(DONE)
    if refuse:
        (memory,) = run.memories
        assert memory.response.original == {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "one", "arguments": '{"x":1}'},
                },
                {
                    "id": "b",
                    "type": "function",
                    "function": {"name": "two", "arguments": '{"y":2}'},
                },
            ],
        }
        released = [f"call:{c[0]}" for c in left]
        assert list(memory.response.keys) == [f"ref:{REF}", "response:chatcmpl-1", *released]


def test_text_streams_at_once_and_a_call_waits_for_its_ruling() -> None:
    gate = PROTOCOL.gate(content_type=SSE, status=200, ref=REF, request=None)
    assert gate.keepalive() == b": checkrein\n\n"
    assert gate.feed(ROLE) == [Emit(ROLE)]
    assert b'"delta":{}' in gate.keepalive()
    call = frame(delta(tool_calls=[piece(0, "{}", id="a", name="one")]))
    assert gate.feed(call) == []
    assert not gate.pending
    (found,) = gate.feed(frame(delta(finish="tool_calls")))
    assert isinstance(found, CallFound)
    assert list(gate.pending) == [found.key]
    assert gate.feed(DONE) == []
    (emit,) = gate.rule(found.key, Release())
    assert emit == Emit(call + frame(delta(finish="tool_calls")) + DONE)


def test_the_memory_comes_before_any_byte_of_the_refused_turn() -> None:
    gate = PROTOCOL.gate(content_type=SSE, status=200, ref=REF, request=None)
    gate.feed(PARALLEL)
    gate.rule(0, Release())
    events = gate.rule(1, Refuse("no"))
    assert [type(e) for e in events] == [Remember, Emit]


@pytest.mark.parametrize(
    "frames",
    [
        [delta(role="assistant", content=""), delta(tool_calls=[piece(0, "{}", id="a", name="f")])],
        [delta(role="assistant", tool_calls=[piece(0, "{}", id="a", name="f")])],
        [delta(tool_calls=[piece(0, "{}", id="a", name="f")])],
    ],
    ids=["before-the-call", "with-the-call", "never"],
)
def test_the_role_is_said_once(frames: list[dict[str, Any]]) -> None:
    """The SDK adds the deltas' texts up: a role said twice comes back as "assistantassistant"."""
    ends = delta(finish="tool_calls")
    run = Run(b"".join(frame(choice) for choice in [*frames, ends]) + DONE, {0})
    message = sdk(bytes(run.left)).choices[0].message
    assert (message.role, message.content) == ("assistant", text_of(0))


def test_two_choices_are_renumbered_each_on_its_own() -> None:
    body = (
        frame(delta(0, role="assistant"), delta(1, role="assistant"))
        + frame(
            delta(0, tool_calls=[piece(0, "{}", id="a", name="one")]),
            delta(1, tool_calls=[piece(0, "{}", id="c", name="three")]),
        )
        + frame(delta(0, tool_calls=[piece(1, "{}", id="b", name="two")]))
        + frame(delta(1, finish="tool_calls"))
        + frame(delta(0, finish="tool_calls"))
        + DONE
    )
    run = Run(body)
    assert bytes(run.left) == body
    keys = {c.call.id: c.key for c in run.calls}
    run = Run(body, {keys["a"], keys["c"]})
    assert sdk_calls(bytes(run.left), 0) == [("b", "two", "{}")]
    assert sdk_calls(bytes(run.left), 1) == []
    finishes = [c.finish_reason for c in sdk(bytes(run.left)).choices]
    assert finishes == ["tool_calls", "stop"]
    last = run.memories[-1].response
    assert [m["tool_calls"][0]["id"] for m in last.original] == ["a", "c"]
    assert {r.call_id for r in last.refused} == {"a", "c"}


def test_two_calls_on_one_index_are_two_calls() -> None:
    body = (
        frame(delta(tool_calls=[piece(0, "{}", id="a", name="one")]))
        + frame(delta(content="then"))
        + frame(delta(tool_calls=[piece(0, '{"k":1}', id="b", name="one")]))
        + frame(delta(finish="tool_calls"))
        + DONE
    )
    run = Run(body, {0})
    assert run.seen == [("a", "one", {}), ("b", "one", {"k": 1})]
    assert sdk_calls(bytes(run.left)) == [("b", "one", '{"k":1}')]


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        pytest.param([piece(None, "{}", id="a", name="one"), piece(None, "{}", id="b", name="two")],
                     [("a", "one", {}), ("b", "two", {})], id="no index, other ids"),
        pytest.param([piece(None, "{}", name="one"), piece(None, "{}", name="one")],
                     [(None, "one", {}), (None, "one", {})], id="no index, no ids, the name begins a call"),
        pytest.param([piece(0, '{"a":', id="a", name="one"), piece(0, "1}", id="a", name="one")],
                     [("a", "one", {"a": 1})], id="id and name in every fragment"),
        pytest.param([piece(0, "{", id="a", name="get_"), piece(0, "}", name="x")],
                     [("a", "get_x", {})], id="name in fragments"),
        pytest.param([piece(0, {"a": 1}, id="a", name="one")], [("a", "one", {"a": 1})], id="object arguments"),
        pytest.param([piece(0, "", id="a", name="one"), piece(0, None, id="")], [("a", "one", {})], id="no arguments, empty id"),
        pytest.param([piece(0, '{"a":"\ud83d', id="a", name="one"), piece(0, '\ude00"}')],
                     [("a", "one", {"a": "😀"})], id="a surrogate pair in two fragments"),
    ],
)  # fmt: skip
def test_how_vendors_bend_fragments(
    pieces: list[dict[str, Any]], calls: list[tuple[str | None, str, Any]]
) -> None:
    body = b"".join(frame(delta(tool_calls=[p])) for p in pieces) + frame(delta(finish="stop"))
    run = Run(body)
    assert run.seen == calls
    assert bytes(run.left) == body
    assert b"one" not in Run(body, set(range(len(calls)))).left


def test_a_legacy_function_call_is_refused_and_remembered() -> None:
    body = (
        frame(delta(role="assistant", content=None, function_call={"name": "pay", "arguments": ""}))
        + frame(delta(function_call={"arguments": '{"sum":5}'}))
        + frame(delta(finish="function_call"))
        + DONE
    )
    assert bytes(Run(body).left) == body
    run = Run(body, {0})
    assert [(c.call.kind, c.call.id) for c in run.calls] == [("legacy_function", None)]
    choice = sdk(bytes(run.left)).choices[0]
    assert (choice.message.function_call, choice.finish_reason) == (None, "stop")
    memory = run.memories[0].response
    assert memory.original["function_call"] == {"name": "pay", "arguments": '{"sum":5}'}
    assert memory.refused[0].call_id is None


def test_a_custom_call_is_free_text() -> None:
    start = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "sh", "input": "rm "}}
    body = (
        frame(delta(tool_calls=[start]))
        + frame(delta(tool_calls=[{"index": 0, "custom": {"input": "-rf /"}}]))
        + frame(delta(finish="tool_calls"))
    )
    run = Run(body, {0})
    assert run.seen == [("a", "sh", "rm -rf /")]
    assert run.calls[0].call.kind == "custom"
    assert b"-rf" not in run.left
    assert run.memories[0].response.original["tool_calls"] == [
        {"id": "a", "type": "custom", "custom": {"name": "sh", "input": "rm -rf /"}}
    ]


def test_a_mixed_frame_keeps_its_text_and_its_other_call() -> None:
    pieces = [piece(0, "{}", id="a", name="one"), piece(1, "{}", id="b", name="two")]
    body = frame(delta(role="assistant", content="hm", tool_calls=pieces, finish="tool_calls"))
    run = Run(body, {0})
    (chunk,) = run.chunks()
    choice = chunk["choices"][0]
    assert choice["delta"]["content"] == f"hm\n\n{text_of(0)}"
    assert [(c["index"], c["id"]) for c in choice["delta"]["tool_calls"]] == [(0, "b")]
    assert choice["finish_reason"] == "tool_calls"


def test_what_writer_repeats_in_message_is_stripped_too() -> None:
    calls = [piece(0, "{}", id="a", name="one")]
    twice = delta(tool_calls=calls) | {"message": {"tool_calls": calls}}
    body = frame(twice) + frame(delta(finish="tool_calls"))
    assert b"one" not in Run(body, {0}).left
    other = delta(tool_calls=calls) | {
        "message": {"tool_calls": [piece(0, "{}", id="b", name="x")]}
    }
    with pytest.raises(WireError, match="not the same"):
        Run(frame(other))


@pytest.mark.parametrize("reason", ["length", "content_filter", "error"])
def test_a_cut_off_call_is_never_asked_about_nor_released(reason: str) -> None:
    body = frame(delta(tool_calls=[piece(0, "{}", id="a", name="one")])) + frame(
        delta(finish=reason)
    )
    run = Run(body)
    assert run.calls == []
    assert run.memories == []
    choices = [chunk["choices"][0] for chunk in run.chunks()]
    assert "cut off" in choices[0]["delta"]["content"]
    assert choices[-1]["finish_reason"] == reason
    assert not any("tool_calls" in c["delta"] for c in choices)


def test_done_without_a_finish_reason_completes_the_calls() -> None:
    body = frame(delta(tool_calls=[piece(0, "{}", id="a", name="one")])) + DONE
    assert bytes(Run(body).left) == body
    run = Run(body, {0})
    assert REF.encode() in run.left
    assert run.left.endswith(DONE)


@pytest.mark.parametrize("cut", [0, 30], ids=["between frames", "inside a frame"])
def test_a_connection_cut_inside_a_call_is_an_error_and_no_call(cut: int) -> None:
    body = ROLE + frame(delta(tool_calls=[piece(0, '{"a":1}', id="a", name="one")]))
    run = Run(body[: len(body) - cut])
    assert run.calls == []
    assert run.left.startswith(ROLE)
    assert b"one" not in run.left
    with pytest.raises(APIError, match="ended inside a tool call"):
        sdk(bytes(run.left))


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        pytest.param('{"a":1,"a":2}', "duplicate key", id="duplicate key"),
        pytest.param('{"a":1', "not valid JSON", id="not JSON"),
        pytest.param("{}{}", "not valid JSON", id="two values"),
        pytest.param('{"a":NaN}', "NaN", id="NaN"),
    ],
)
@pytest.mark.parametrize("kind", [SSE, JSON])
def test_arguments_without_one_reading_are_a_fault(arguments: str, fault: str, kind: str) -> None:
    call = piece(0, arguments, id="a", name="one")
    body = frame(delta(tool_calls=[call])) + frame(delta(finish="tool_calls"))
    if kind == JSON:
        body = completion([call])
    (found,) = Run(body, {0}, kind=kind).calls
    assert found.call.arguments is None
    assert fault in (found.call.fault or "")


ESCAPED = frame(delta(tool_calls=[piece(0, "{}", id="a", name="one")])).replace(
    b"tool_calls", b"tool_call\\u0073"
)


def test_an_escaped_key_is_a_call_all_the_same() -> None:
    body = ESCAPED + frame(delta(finish="stop"))
    assert Run(body).seen == [("a", "one", {})]
    assert b"one" not in Run(body, {0}).left


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"data: {oops}\n\n", id="not JSON"),
        pytest.param(b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', id="not UTF-8"),
        pytest.param(b"data: [1]\n\n", id="no object"),
        pytest.param(b'data: {"choices":{}}\n\n', id="choices is no list"),
        pytest.param(b'data: {"choices":[{"delta":{"tool_calls":{}}}]}\n\n'.replace(b"{}", b'{"a":1}'), id="tool_calls is no list"),
        pytest.param(b'data: {"choices":[{"delta":{"tool_calls":[]},"delta":{}}]}\n\n', id="duplicate key"),
        pytest.param(frame(delta(tool_calls=[piece(-1, "{}", id="a", name="x")])), id="negative index"),
        pytest.param(frame(delta(tool_calls=[{"index": 0, "function": {}, "custom": {}}])), id="two bodies"),
        pytest.param(b'{"choices":[{"message":{"tool_calls":[{}]}}]}\n\n', id="a JSON body as a stream"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ahead", [b"", ROLE], ids=["first", "after text"])
def test_bytes_without_one_meaning_end_the_stream(bad: bytes, ahead: bytes) -> None:
    gate = PROTOCOL.gate(content_type=SSE, status=200, ref=REF, request=None)
    if ahead:
        assert gate.feed(ahead + bad) == [Emit(ahead)]
    with pytest.raises(WireError):
        gate.feed(b"" if ahead else bad)
    with pytest.raises(APIError, match="closed"):
        sdk(ahead + gate.fail("closed"))


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(b": OPENROUTER PROCESSING\n\n", id="comment"),
        pytest.param(b"\n\r\n", id="blank lines"),
        pytest.param(b"event: ping\n\n", id="event without data"),
        pytest.param(b'data: {"error":{"message":"overloaded"}}\n\n', id="error frame"),
        pytest.param(frame(delta(content="late")), id="text"),
        pytest.param(b": half a line", id="unfinished comment"),
    ],
)
@pytest.mark.parametrize("size", [0, 1], ids=["whole", "byte by byte"])
def test_trailing_and_odd_frames_pass_as_they_are(extra: bytes, size: int) -> None:
    body = extra + PARALLEL + extra if extra.endswith(b"\n") else PARALLEL + extra
    assert bytes(Run(body, size=size).left) == body


def test_a_call_after_done_waits_like_any_other() -> None:
    late = frame(delta(tool_calls=[piece(0, "{}", id="z", name="late")]))
    run = Run(ROLE + DONE + late)
    assert b"late" not in run.left
    run = Run(ROLE + DONE + late + DONE, {0})
    assert b"late" not in run.left


def completion(calls: list[dict[str, Any]], **more: Any) -> bytes:
    message = {"role": "assistant", "content": None, "tool_calls": calls} | more.pop("message", {})
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message} | more
    return json.dumps({"id": "chatcmpl-1", "choices": [choice], "cost": 0.10}, indent=1).encode()


TWO = [
    {"id": "a", "type": "function", "function": {"name": "one", "arguments": '{"x":1}'}},
    {"id": "b", "type": "function", "function": {"name": "two", "arguments": {"y": 0.5}}},
]


@pytest.mark.parametrize(
    ("refuse", "left", "finish"),
    [
        pytest.param({0}, ["b"], "tool_calls", id="first"),
        pytest.param({1}, ["a"], "tool_calls", id="second"),
        pytest.param({0, 1}, None, "stop", id="both"),
    ],
)
def test_refusals_in_a_body(refuse: set[int], left: list[str] | None, finish: str) -> None:
    body = completion(TWO)
    assert bytes(Run(body, kind=JSON).left) == body
    run = Run(body, refuse, kind=JSON, size=9)
    choice = json.loads(run.left)["choices"][0]
    ids = [c["id"] for c in choice["message"]["tool_calls"]] if left else None
    assert ids == left
    assert ("tool_calls" in choice["message"]) is (left is not None)
    assert choice["finish_reason"] == finish
    assert choice["message"]["content"] == "\n\n".join(map(text_of, sorted(refuse)))
    assert json.loads(run.left)["cost"] == 0.1
    original = run.memories[0].response.original
    assert [c["id"] for c in original["tool_calls"]] == ["a", "b"]
    assert original["content"] is None


@pytest.mark.parametrize(
    ("body", "status", "calls"),
    [
        pytest.param(b"", 200, 0, id="empty"),
        pytest.param(b"<html>bad gateway</html>", 502, 0, id="a gateway's page"),
        pytest.param(b'{"error":{"message":"no"}}', 400, 0, id="an API error"),
        pytest.param(completion([], message={"tool_calls": None}), 200, 0, id="tool_calls null"),
        pytest.param(completion(TWO), 500, 2, id="calls under an error status are judged"),
        pytest.param(b'{"choices":[{"message":{"function_call":{"name":"f","arguments":"{}"}}}]}', 200, 1, id="legacy"),
    ],
)  # fmt: skip
def test_bodies_that_pass(body: bytes, status: int, calls: int) -> None:
    run = Run(body, kind=JSON, status=status)
    assert bytes(run.left) == body
    assert len(run.calls) == calls


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="not JSON"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"choices":[],"choices":[]}', id="duplicate key"),
        pytest.param(
            b'{"choices":[{"message":{"tool_calls":[1]}}]}', id="a call that is no object"
        ),
        pytest.param(PARALLEL, id="a stream as a body"),
    ],
)
def test_bodies_that_are_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        Run(body, kind=JSON)


def test_a_duplicate_key_inside_object_arguments_is_the_calls_fault_only() -> None:
    body = completion([TWO[0]]).replace(b'"{\\"x\\":1}"', b'{"x":1,"x":2}')
    run = Run(body, {0}, kind=JSON)
    assert "duplicate" in (run.calls[0].call.fault or "")


def test_a_cut_off_body_loses_its_calls() -> None:
    run = Run(completion(TWO, finish_reason="length"), kind=JSON)
    assert run.calls == []
    choice = json.loads(run.left)["choices"][0]
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "length"


@pytest.mark.parametrize("kind", ["", "text/html", "application/x-ndjson"])
def test_a_content_type_that_is_not_this_apis_is_refused(kind: str) -> None:
    with pytest.raises(WireError, match="content type"):
        PROTOCOL.gate(content_type=kind, status=200, ref=REF, request=None)


def test_the_error_body_is_what_the_sdk_shows() -> None:
    error = json.loads(PROTOCOL.error_body(403, "no"))["error"]
    assert error == {"message": "no", "type": "checkrein_refused", "param": None, "code": "checkrein"}  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_any_stream_any_rulings_any_split(seed: int) -> None:
    """Up to two choices of up to four calls, fragments shuffled together, keep-alives in between."""
    draw = random.Random(seed)  # noqa: S311 - the same streams on every run
    choices = range(draw.randint(1, 2))
    body = b"".join(frame(delta(c, role="assistant", content="Hm.")) for c in choices)
    said: dict[int, list[tuple[str, str, str]]] = {}
    queues: list[list[dict[str, Any]]] = []
    for c in choices:
        said[c] = [
            (f"id{c}{n}", f"tool{n}", json.dumps({"n": n})) for n in range(draw.randint(0, 4))
        ]
        starts = [
            delta(c, tool_calls=[piece(n, "", id=i, name=m)]) for n, (i, m, _) in enumerate(said[c])
        ]
        parts = [
            [delta(c, tool_calls=[piece(n, ch)]) for ch in a] for n, (_, _, a) in enumerate(said[c])
        ]
        rest = []
        while any(parts):
            rest.append(draw.choice([part for part in parts if part]).pop(0))
        finish = "tool_calls" if said[c] else "stop"
        queues.append([*starts, *rest, delta(c, finish=finish)])
    while any(queues):
        body += frame(draw.choice([q for q in queues if q]).pop(0))
    body += DONE
    refused = {i for calls in said.values() for i, _, _ in calls if draw.random() < 0.5}
    gate = PROTOCOL.gate(content_type=SSE, status=200, ref=REF, request=None)
    left, waiting = bytearray(), list[CallFound]()

    def take(events: list[GateEvent]) -> None:
        left.extend(b"".join(e.data for e in events if isinstance(e, Emit)))
        waiting.extend(e for e in events if isinstance(e, CallFound))
        left.extend(gate.keepalive())

    at = 0
    while at < len(body):
        size = draw.randint(1, 400)
        take(gate.feed(body[at : at + size]))
        at += size
        while waiting and draw.random() < 0.5:
            call = waiting.pop(draw.randrange(len(waiting)))
            take(gate.rule(call.key, Refuse("no") if call.call.id in refused else Release()))
    take(gate.feed(b""))
    while waiting:
        call = waiting.pop()
        take(gate.rule(call.key, Refuse("no") if call.call.id in refused else Release()))
    for c in choices:
        calls = [s for s in said[c] if s[0] not in refused]
        assert sdk_calls(bytes(left), c) == calls
        assert sdk(bytes(left)).choices[c].finish_reason == ("tool_calls" if calls else "stop")
