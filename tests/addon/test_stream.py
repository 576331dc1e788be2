"""The gate in mitmproxy's stream: what is dropped, what waits, and what an odd answer becomes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import HttpStream
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestProtocolError,
    ResponseEndOfMessage,
    ResponseProtocolError,
)

from proxy.addon import stream
from proxy.model import HoldState

if TYPE_CHECKING:
    from tests.addon.conftest import Line, MakeLine
    from tests.conftest import Bench, MakeBench

type MakeRequest = Callable[..., http.Request]

ASK = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()


def answer(*calls: tuple[str, str, str]) -> bytes:
    """A Chat answer with (id, name, arguments) calls."""
    made = [
        {"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls
    ]
    message = {"role": "assistant", "content": "so", "tool_calls": made}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return json.dumps({"id": "resp-1", "object": "chat.completion", "choices": [choice]}).encode()


def frames(name: str, arguments: str) -> list[bytes]:
    """The same as a stream: text, then a call, then the end."""
    call = {
        "index": 0,
        "id": "c1",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    deltas = [
        ({"role": "assistant", "content": "text"}, None),
        ({"tool_calls": [call]}, None),
        ({}, "tool_calls"),
    ]
    made = [
        {"id": "resp-1", "choices": [{"index": 0, "delta": d, "finish_reason": f}]}
        for d, f in deltas
    ]
    return [b"data: " + json.dumps(m).encode() + b"\n\n" for m in made] + [b"data: [DONE]\n\n"]


FINE = answer(("c1", "look_up", "{}"))
FORBIDDEN = answer(("c1", "delete", '{"order": "o1"}'))


def test_install_puts_the_gated_stream_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """mitmproxy makes each stream by the name that was replaced."""
    monkeypatch.setattr(layers, "HttpStream", HttpStream)
    stream.install()
    assert layers.HttpStream is stream.GatedHttpStream


# `_handle_event` is declared by every layer: without it mitmproxy itself cannot start.
@pytest.mark.parametrize("name", [n for n in stream._USED if n != "_handle_event"])
def test_install_refuses_a_mitmproxy_without_a_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each name that is leaned on is looked for; one is gone, and nothing starts."""
    owner = next(c for c in HttpStream.__mro__ if name in vars(c))
    monkeypatch.delattr(owner, name)
    with pytest.raises(RuntimeError, match=r"mitmproxy 12\.2"):
        stream.install()


@pytest.mark.parametrize(
    ("content_type", "body", "status", "holds_call"),
    [
        pytest.param("application/json", FINE, 200, True, id="json"),
        pytest.param("application/json", FORBIDDEN, 200, False, id="json-refused-call"),
        pytest.param(
            "application/json", b"".join(frames("delete", "{}")), 502, False, id="sse-called-json"
        ),
        pytest.param("text/plain", FORBIDDEN, 502, False, id="json-called-text"),
        pytest.param(None, FORBIDDEN, 502, False, id="no-content-type"),
        pytest.param("application/json", FORBIDDEN[:-20], 502, False, id="cut-short"),
        pytest.param("text/event-streamy", FORBIDDEN, 502, False, id="nearly-an-event-stream"),
    ],
)
async def test_buffered_answers(
    make_line: MakeLine,
    make_request: MakeRequest,
    content_type: str | None,
    body: bytes,
    status: int,
    holds_call: bool,
) -> None:
    """What can be read is judged; what a client might read differently from us is refused."""
    line = make_line()
    await line.ask(make_request(body=ASK))
    await line.begin(content_type)
    await line.data(body)
    assert line.status == status
    assert (b'"tool_calls"' in line.body) == holds_call
    assert b'"delete"' not in line.body
    assert (line.body == body) == (status == 200 and holds_call)


async def test_json_called_an_event_stream_leaks_no_call(
    make_line: MakeLine, make_request: MakeRequest
) -> None:
    """A body without frames has nothing that a stream's reader would take for a call."""
    line = make_line()
    await line.ask(make_request(body=ASK))
    await line.begin("text/event-stream")
    await line.data(FORBIDDEN)
    assert b'"delete"' not in line.body


async def test_an_answer_nobody_marked_is_dropped(
    make_line: MakeLine, make_request: MakeRequest
) -> None:
    """With the addon gone (unloaded, died) no answer reaches the client."""
    line = make_line(hooks=False)
    await line.ask(make_request(body=ASK))
    await line.begin("application/json")
    await line.data(FORBIDDEN)
    assert line.body == b""
    assert any(isinstance(e, ResponseProtocolError) for e in line.to_client)


async def test_text_needs_no_hook(make_line: MakeLine, make_request: MakeRequest) -> None:
    """Text leaves as it comes; the first hook is the call's."""
    line = make_line()
    await line.ask(make_request(body=ASK))
    await line.begin("text/event-stream")
    text, call, *rest = frames("look_up", "{}")
    await line.data(text, end=False)
    assert line.body == text
    assert "gate_step" not in line.hooks
    await line.data(call, *rest)
    assert line.body == text + call + b"".join(rest)
    assert "gate_step" in line.hooks


async def test_a_step_that_died_releases_nothing(
    make_line: MakeLine, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook that does not answer ends the stream, with an error that the client reads."""
    line = make_line()
    monkeypatch.setattr(line.gatekeeper, "gate_step", lambda step: None)
    await line.ask(make_request(body=ASK))
    await line.begin("text/event-stream")
    await line.data(*frames("look_up", "{}"), end=False)
    assert b"look_up" not in line.body
    assert b"no verdict was reached" in line.body
    assert isinstance(line.to_client[-1], ResponseEndOfMessage)
    assert any(isinstance(e, RequestProtocolError) for e in line.to_server)


async def test_a_stream_cut_in_a_call_leaks_none_of_it(
    make_line: MakeLine, make_request: MakeRequest
) -> None:
    """Half a call at the end of the body is no call."""
    line = make_line()
    await line.ask(make_request(body=ASK))
    await line.begin("text/event-stream")
    text, call, *_ = frames("look_up", '{"a": ')
    await line.data(text, call)
    assert b"look_up" not in line.body
    assert isinstance(line.to_client[-1], ResponseEndOfMessage | ResponseProtocolError)


@pytest.mark.parametrize(
    ("ids", "released"),
    [(("c1", "c1"), 2), (("", ""), 2), (("c1", "c1", "c1"), 2)],
    ids=["two-under-one-id", "two-without-an-id", "the-third-is-held"],
)
async def test_equal_calls_in_one_answer_count_each(
    make_bench: MakeBench,
    make_line: MakeLine,
    make_request: MakeRequest,
    ids: tuple[str, ...],
    released: int,
) -> None:
    """Two equal refunds under one id are two refunds."""
    bench = make_bench(folder="no-wait", hold_wait_s=0.0)
    line = make_line(bench)
    await line.ask(make_request(body=ASK, headers={"x-checkrein-session": "s1"}))
    await line.begin("application/json")
    await line.data(answer(*((i, "refund", '{"order": "o1", "amount": 45}') for i in ids)))
    assert await bench.used() == str(45 * released)
    assert sum(r["verdict"] == "allow" for r in bench.records("decision")) == released


async def test_a_client_that_leaves_abandons_its_hold(
    bench: Bench,
    make_line: MakeLine,
    make_request: MakeRequest,
    until_held: Callable[[], Awaitable[None]],
) -> None:
    """Its connection ends while the call waits: nothing is sent, the hold ends."""
    line: Line = make_line()
    await line.ask(make_request(body=ASK))
    await line.begin("text/event-stream")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(line.data(*frames("deploy", '{"order": "o"}')[:3], end=False))
        await until_held()
        gone = RequestProtocolError(1, "client disconnected", ErrorCode.CLIENT_DISCONNECTED)
        await line.event(gone)
        await waiting
    (hold,) = await bench.pipeline.desk.list()
    assert hold.state is HoldState.ABANDONED
    assert b"deploy" not in line.body


async def test_a_flood_behind_a_hold_ends_the_stream(
    make_line: MakeLine,
    make_request: MakeRequest,
    until_held: Callable[[], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More than may queue arrives while a call waits: the client gets an error, not the call."""
    monkeypatch.setattr(stream, "MAX_BEHIND_HOLD", 1000)
    line: Line = make_line()
    await line.ask(make_request(body=ASK))
    await line.begin("text/event-stream")
    async with asyncio.TaskGroup() as group:
        group.create_task(line.data(*frames("deploy", '{"order": "o"}')[:3], end=False))
        await until_held()
        await line.data(b": " + b"x" * 2000 + b"\n\n", end=False)
    assert b"deploy" not in line.body
    assert b"too much" in line.body
    assert any(isinstance(e, RequestProtocolError) for e in line.to_server)
