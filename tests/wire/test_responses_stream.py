"""The stream gate on made-up streams: every way in which a call can be shown, cut or disguised."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from proxy.errors import WireError
from proxy.model import Call
from proxy.wire.codec import CallFound, CallSeen, Emit, Refuse, RefusedResponse, Release, Remember
from proxy.wire.responses.protocol import PROTOCOL
from proxy.wire.responses.stream_gate import ResponsesStreamGate

REF = "cr_" + "a" * 32
TEXT = f"refused by rule x ({REF})"

type Json = Any


def fn(call_id: str, arguments: str = '{"a":1}', **more: Json) -> Json:
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": f"tool_{call_id}",
        "arguments": arguments,
        "status": "completed",
        **more,
    }


REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}


class Stream:
    """Writes streams as the API does."""

    def __init__(self, *, named: bool = True, end: str = "\n", numbered: bool = True) -> None:
        self.out = b""
        self.items: list[Json] = []
        self._n = 0
        self._named, self._end, self._numbered = named, end, numbered
        self.event("created", response=self.response("in_progress", []))

    def response(self, status: str, output: list[Json]) -> Json:
        base = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m"}
        return {**base, "status": status, "output": output, "parallel_tool_calls": True}

    def event(self, kind: str, **fields: Json) -> Stream:
        made = {"type": f"response.{kind}", **fields}
        if self._numbered:
            made["sequence_number"] = self._n
            self._n += 1
        return self.raw(json.dumps(made), made["type"])

    def raw(self, data: str, name: str) -> Stream:
        head = f"event: {name}{self._end}" if self._named else ""
        self.out += f"{head}data: {data}{self._end}{self._end}".encode()
        return self

    def item(
        self, item: Json, *, deltas: list[str] | None = None, done: Json = None, stop: bool = False
    ) -> Stream:
        index = len(self.items)
        at = {"output_index": index, "item_id": item.get("id")}
        begun = {**item, "status": "in_progress"}
        names = {
            "function_call": "function_call_arguments",
            "custom_tool_call": "custom_tool_call_input",
        }
        key = {"function_call": "arguments", "custom_tool_call": "input"}.get(item["type"])
        if key:
            begun[key] = ""
        self.event("output_item.added", output_index=index, item=begun)
        if key:
            text = item[key]
            for part in [text[:3], text[3:]] if deltas is None else deltas:
                self.event(f"{names[item['type']]}.delta", delta=part, **at)
            if stop:
                return self
            self.event(f"{names[item['type']]}.done", **{key: text if done is None else done}, **at)
        self.event("output_item.done", output_index=index, item=item)
        self.items.append(item)
        return self

    def end(self, status: str = "completed", output: list[Json] | None = None) -> bytes:
        shown = self.items if output is None else output
        self.event(status, response=self.response(status, shown))
        return self.out


class Run:
    def __init__(self, body: bytes, refuse: set[str], *, late: bool = False, step: int = 0) -> None:
        self.gate = PROTOCOL.gate(
            content_type="text/event-stream", status=200, ref=REF, request=None
        )
        self.out = b""
        self.found: list[Call] = []
        self.seen: list[Call] = []
        self.memories: list[RefusedResponse] = []
        self.refuse = refuse
        waiting: list[int] = []
        step = step or len(body)
        for piece in [*(body[at : at + step] for at in range(0, len(body), step)), b""]:
            waiting += self._take(self.gate.feed(piece))
            while waiting and not late:
                self._rule(waiting.pop(0))
        for key in reversed(waiting):
            self._rule(key)
        assert not self.gate.pending

    def _rule(self, key: int) -> None:
        call = self.found[key]
        bad = call.fault is not None or call.id in self.refuse or "*" in self.refuse
        self._take(self.gate.rule(key, Refuse(TEXT) if bad else Release()))

    def _take(self, events: list[Any]) -> list[int]:
        keys = []
        for event in events:
            match event:
                case Emit(data):
                    assert (
                        b"response.completed" not in data
                        or self.memories
                        or not any(call.id in self.refuse for call in self.found)
                    )
                    self.out += data
                case CallFound(key, call):
                    assert key == len(self.found)
                    self.found.append(call)
                    keys.append(key)
                case CallSeen(call):
                    self.seen.append(call)
                case Remember(memory):
                    self.memories.append(memory)
        return keys

    @property
    def output(self) -> list[Json]:
        """The items in the last response the stream shows."""
        output: list[Json] = [e for e in self.events if "response" in e][-1]["response"]["output"]
        return output

    @property
    def events(self) -> list[Json]:
        lines = self.out.decode().replace("\r\n", "\n").split("\n")
        return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def sdk(body: bytes) -> openai.OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", max_retries=0, http_client=http)


def final_kinds(body: bytes) -> list[str]:
    with sdk(body).responses.stream(model="m", input="x") as stream:
        for _ in stream:
            pass
        return [item.type for item in stream.get_final_response().output]


CUSTOM = {"type": "custom_tool_call", "id": "ctc", "call_id": "k", "name": "py", "input": "print()"}
SHELL = {
    "type": "shell_call",
    "id": "sh",
    "call_id": "k",
    "action": {"commands": ["rm -rf x"]},
    "environment": {"type": "local"},
}
LOCAL = {"type": "local_shell_call", "id": "l", "call_id": "k", "action": {"command": ["ls"]}}
PATCH = {
    "type": "apply_patch_call",
    "id": "ap",
    "call_id": "k",
    "operation": {"type": "delete_file", "path": "a"},
}
COMPUTER = {
    "type": "computer_call",
    "id": "cc",
    "call_id": "k",
    "actions": [{"type": "click", "x": 1, "y": 2, "button": "left"}],
    "pending_safety_checks": [],
}
APPROVAL = {
    "type": "mcp_approval_request",
    "id": "k",
    "name": "send",
    "arguments": '{"to":"x"}',
    "server_label": "mail",
}
SEARCH = {
    "type": "tool_search_call",
    "id": "ts",
    "call_id": "k",
    "execution": "client",
    "arguments": {"queries": ["x"]},
}
UNKNOWN = {"type": "teleport_call", "id": "t", "call_id": "k", "arguments": "{}"}


@pytest.mark.parametrize(
    ("item", "kind", "name", "arguments"),
    [
        pytest.param(fn("k"), "function", "tool_k", {"a": 1}, id="function"),
        pytest.param(CUSTOM, "custom", "py", "print()", id="custom"),
        pytest.param(SHELL, "shell_call", "shell_call", SHELL["action"], id="shell"),
        pytest.param(LOCAL, "local_shell_call", "local_shell_call", LOCAL["action"], id="local"),
        pytest.param(PATCH, "apply_patch_call", "apply_patch_call", PATCH["operation"], id="patch"),
        pytest.param(
            COMPUTER,
            "computer_call",
            "computer_call",
            {"actions": COMPUTER["actions"]},
            id="computer",
        ),
        pytest.param(APPROVAL, "mcp_approval_request", "send", {"to": "x"}, id="approval"),
        pytest.param(
            SEARCH, "tool_search_call", "tool_search_call", SEARCH["arguments"], id="tool-search"
        ),
        pytest.param(UNKNOWN, "teleport_call", "teleport_call", {}, id="unknown-call-waits"),
    ],
)
def test_every_kind_waits_and_can_be_refused(
    item: Json, kind: str, name: str, arguments: Json
) -> None:
    body = Stream().item(REASONING).item(item).end()
    released = Run(body, set())
    assert released.out == body
    (call,) = released.found
    assert (call.id, call.kind, call.name, call.arguments) == ("k", kind, name, arguments)
    assert call.fault is None
    assert call.response_id == "resp_1"
    refused = Run(body, {"*"})
    assert [i["type"] for i in refused.output] == ["reasoning", "message"]
    assert final_kinds(refused.out) == ["reasoning", "message"]
    numbers = [event["sequence_number"] for event in refused.events]
    assert numbers == sorted(set(numbers))
    (memory,) = refused.memories
    assert memory.original == [REASONING, item]
    assert memory.refused[0].kind == kind
    assert {f"ref:{REF}", "response:resp_1", "item:rs_1", f"item:msg_{REF}"} <= set(memory.keys)


@pytest.mark.parametrize("late", [False, True], ids=["ruled-at-once", "ruled-at-the-end"])
@pytest.mark.parametrize("step", [0, 1, 7], ids=["whole", "bytewise", "sevens"])
@pytest.mark.parametrize(
    ("refuse", "left"),
    [
        pytest.param({"c1"}, ["reasoning", "message", "function_call"], id="first"),
        pytest.param({"c2"}, ["reasoning", "function_call", "message"], id="second"),
        pytest.param({"c1", "c2"}, ["reasoning", "message", "message"], id="both"),
    ],
)
def test_parallel_calls(refuse: set[str], left: list[str], step: int, late: bool) -> None:
    body = Stream().item(REASONING).item(fn("c1")).item(fn("c2")).end()
    run = Run(body, refuse, late=late, step=step)
    assert [item["type"] for item in run.output] == left
    assert final_kinds(run.out) == left
    ids = [item["id"] for item in run.output if item["type"] == "message"]
    assert sorted(ids) == [f"msg_{REF}", f"msg_{REF}_2"][: len(refuse)]
    for gone in refuse:
        assert f'"{gone}"'.encode() not in run.out
    (memory,) = run.memories
    assert {r.call_id for r in memory.refused} == refuse
    for sibling in {"c1", "c2"} - refuse:
        assert f"call:{sibling}" in memory.keys
        assert f"item:fc_{sibling}" in memory.keys
    # What stands before the refusal is untouched.
    untouched = body.index(b"output_item.added", body.index(b"rs_1"))
    assert run.out[:untouched] == body[:untouched]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            Stream().item(fn("k"), deltas=['{"a":', "2}"]).end(), id="deltas-say-otherwise"
        ),
        pytest.param(Stream().item(fn("k"), done='{"a":2}').end(), id="done-says-otherwise"),
        pytest.param(
            Stream().item(CUSTOM, deltas=["print(", " )"]).end(), id="custom-text-is-exact"
        ),
        pytest.param(Stream().item(fn("k", '{"a":1,"a":2}')).end(), id="duplicate-key"),
        pytest.param(Stream().item(fn("k", '{"a":1')).end(), id="cut-json"),
        pytest.param(Stream().item(fn("k", '{"a":NaN}')).end(), id="nan"),
        pytest.param(Stream().item(fn("k", status="incomplete")).end(), id="marked-incomplete"),
        pytest.param(
            Stream().item(fn("k"), stop=True).end("incomplete"), id="response-ends-in-the-call"
        ),
        pytest.param(Stream().item(fn("k"), stop=True).end("failed"), id="response-fails-in-it"),
        pytest.param(
            Stream()
            .item(fn("k"), stop=True)
            .end("incomplete", [fn("k", '{"a', status="incomplete")]),
            id="unfinished-in-the-output-too",
        ),
    ],
)
def test_faulty_call_is_refused_everywhere(body: bytes) -> None:
    run = Run(body, set())
    assert [call.fault for call in run.found if call.fault]
    assert all(event.get("item", {}).get("type", "message") == "message" for event in run.events)
    assert all(item["type"] == "message" for item in run.output)
    assert b"call_id" not in run.out
    assert b"_call_arguments" not in run.out


@pytest.mark.parametrize("text", ['{"a": 1}', '{\n"a":1}'])
def test_white_space_is_no_other_version(text: str) -> None:
    body = Stream().item(fn("k"), done=text).end()
    assert Run(body, set()).out == body


@pytest.mark.parametrize(
    ("final", "calls", "left"),
    [
        pytest.param([fn("k"), fn("new")], 2, ["function_call", "message"], id="one-more"),
        pytest.param([fn("k", '{"a":2}')], 2, ["message"], id="other-arguments"),
        pytest.param([fn("k", '{"a":1 }')], 1, ["function_call"], id="same-reading"),
        pytest.param([fn("k", name="other")], 2, ["message"], id="other-name"),
        pytest.param([fn("k"), fn("k")], 2, ["function_call", "message"], id="twice"),
        pytest.param([], 1, [], id="empty-output"),
    ],
)
def test_completed_shows_something_else(final: list[Json], calls: int, left: list[str]) -> None:
    body = Stream().item(fn("k")).end(output=final)
    released = Run(body, set())
    assert released.out == body
    assert len(released.found) == calls
    gate = ResponsesStreamGate(REF)
    out = b""
    for event in gate.feed(body):
        if isinstance(event, Emit):
            out += event.data
        elif isinstance(event, CallFound):
            ruling = Release() if event.key == 0 else Refuse(TEXT)
            for later in gate.rule(event.key, ruling):
                out += later.data if isinstance(later, Emit) else b""
    shown = [
        json.loads(line[6:])
        for line in out.decode().split("\n")
        if "response.completed" in line and line.startswith("data")
    ]
    assert [item["type"] for item in shown[0]["response"]["output"]] == left


def test_call_only_in_the_created_response_waits() -> None:
    stream = Stream()
    stream.out = b""
    stream.event("created", response=stream.response("in_progress", [fn("k")]))
    run = Run(stream.out, {"k"})
    assert b"fc_k" not in run.out
    assert len(run.memories) == 1


def test_nothing_of_a_waiting_call_leaves_and_text_before_it_does() -> None:
    head = Stream().item(REASONING)
    before = head.out
    body = head.item(fn("k")).end()
    gate = ResponsesStreamGate(REF)
    events = gate.feed(body)
    assert [event.data for event in events if isinstance(event, Emit)] == [before]
    assert list(gate.pending) == [0]
    assert gate.rule(0, Release()) == [Emit(body[len(before) :])]
    with pytest.raises(ValueError, match="no call waits"):
        gate.rule(0, Release())


def test_cut_connection_drops_the_call_and_says_so() -> None:
    body = Stream().item(REASONING).item(fn("k"), stop=True).out
    run = Run(body + b'event: response.function_call_arguments.delta\ndata: {"type":"resp', set())
    assert run.found == []
    assert b"fc_k" not in run.out
    with pytest.raises(openai.APIError, match="ended in the middle of a tool call"):
        list(sdk(run.out).responses.create(model="m", input="x", stream=True))
    with (
        pytest.raises(openai.APIError, match="ended in the middle"),
        sdk(run.out).responses.stream(model="m", input="x") as stream,
    ):
        list(stream)
    assert run.events[-1]["type"] == "response.failed"
    assert run.events[-1]["response"]["id"] == "resp_1"


def test_cut_text_leaves_as_it_came() -> None:
    body = Stream().item(REASONING).out + b'data: {"type":"response.out'
    assert Run(body, set()).out == body


@pytest.mark.parametrize(
    ("named", "end", "numbered"),
    [
        pytest.param(False, "\n", True, id="no-event-lines"),
        pytest.param(True, "\r\n", True, id="crlf"),
        pytest.param(True, "\n", False, id="no-sequence-numbers"),
    ],
)
def test_dialects(named: bool, end: str, numbered: bool) -> None:
    stream = Stream(named=named, end=end, numbered=numbered)
    body = stream.item(fn("c1")).item(fn("c2")).end()
    assert Run(body, set(), step=1).out == body
    run = Run(body, {"c1"}, step=1)
    assert [item["type"] for item in run.output] == ["message", "function_call"]
    assert (b"event:" in run.out) is named
    kinds = [e.type for e in sdk(run.out).responses.create(model="m", input="x", stream=True)]
    assert kinds.count("response.output_item.done") == 2


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(
            '{"type":"response.function_call_arguments.delta","output_index":7,"delta":"{}"}',
            id="arguments-of-no-call",
        ),
        pytest.param(
            '{"type":"response.output_item.done","item":{"type":"function_call"},"item":{}}',
            id="two-items",
        ),
        pytest.param(
            '{"type":"response.output_item.done","item":{"type":"function_call","type":"message"}}',
            id="item-of-two-types",
        ),
        pytest.param(
            '{"type":"x","item":{"type":"function_call"},"response":{"output":[]}}',
            id="item-and-response",
        ),
        pytest.param('{"type":"x","output":[{"type":"function_call"}]}', id="bare-output"),
        pytest.param('{"type":"response.completed","response":{"output":{}}}', id="output-object"),
        pytest.param("{", id="not-json"),
        pytest.param("[1]", id="not-an-object"),
    ],
)
def test_event_of_no_single_reading_ends_the_stream(event: str) -> None:
    with pytest.raises(WireError, match=r"openai\.responses: event stream"):
        Run(Stream().raw(event, "x").out, set())


def test_double_name_in_a_call_is_a_fault() -> None:
    item = json.dumps(fn("k")).replace('"name": "tool_k"', '"name": "safe", "name": "tool_k"')
    event = f'{{"type":"response.output_item.done","output_index":0,"item":{item}}}'
    (call,) = Run(Stream().raw(event, "response.output_item.done").out, set()).found
    assert call.fault == "duplicate key in the call"


def test_provider_calls_are_seen_once_and_leave_at_once() -> None:
    mcp = {"type": "mcp_call", "id": "m1", "name": "q", "arguments": "{}", "server_label": "s"}
    container = {**SHELL, "environment": {"type": "container_reference", "container_id": "c"}}
    body = Stream().item(mcp).item(container).end()
    run = Run(body, {"*"})
    assert run.out == body
    assert [(c.name, c.kind, c.executor, c.namespace) for c in run.seen] == [
        ("q", "mcp_call", "provider", "s"),
        ("shell_call", "shell_call", "provider", None),
    ]


def test_keepalive_is_ignored_by_the_sdk_wherever_it_stands() -> None:
    body = Stream().item(REASONING).item(fn("k")).end()
    gate = ResponsesStreamGate(REF)
    out = gate.keepalive()
    assert out.startswith(b":")
    for at in range(len(body)):
        for event in gate.feed(body[at : at + 1]):
            if isinstance(event, Emit):
                out += event.data + gate.keepalive()
            elif isinstance(event, CallFound):
                out += gate.keepalive()
                for later in gate.rule(event.key, Release()):
                    out += later.data if isinstance(later, Emit) else b""
    assert b'"keepalive"' in out
    assert final_kinds(out) == ["reasoning", "function_call"]
    list(sdk(out).responses.create(model="m", input="x", stream=True))


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("tool_search_call", False), ("apply_patch_call", True)],
    ids=["a search's call_id changes", "another call's must not"],
)
def test_call_id_of_added_and_done(kind: str, fault: bool) -> None:
    """The API itself renames a client's tool search between `added` and `done`."""
    item: dict[str, Any] = {"type": kind, "id": "i1", "status": "completed"}
    item["execution"] = "client"
    item |= {"arguments": {"goal": "g"}} if kind == "tool_search_call" else {"operation": {}}
    frames = b""
    for name, call_id in (("added", "call_a"), ("done", "call_b")):
        event = {"type": f"response.output_item.{name}", "output_index": 0}
        event["item"] = item | {"call_id": call_id}
        frames += f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
    gate = ResponsesStreamGate(REF)
    found = [e.call for e in gate.feed(frames) if isinstance(e, CallFound)]
    assert [(c.id, c.fault is not None) for c in found] == [("call_b", fault)]
