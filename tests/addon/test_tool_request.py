"""Requests at the gatekeeper: tool routes are judged however they are dressed, model paths are gated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http._events import ErrorCode, RequestProtocolError

from proxy.addon.exchange import Exchange
from proxy.addon.stream import MARK, PASS
from proxy.addon.tool_request import ToolRequest
from proxy.model import HoldState

if TYPE_CHECKING:
    from tests.addon.conftest import MakeLine
    from tests.conftest import Bench, MakeBench

type MakeRequest = Callable[..., http.Request]

REFUNDS = "http://billing.internal/v1/refunds/o1"
MODEL = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
JSON = {"content-type": "application/json"}
BIG = b'{"amount": 145}'


@pytest.fixture
def at_once(make_bench: MakeBench, make_line: MakeLine) -> MakeLine:
    """Lines on a bench that does not wait for humans."""
    bench = make_bench(folder="at-once", hold_wait_s=0.0)
    return lambda **more: make_line(bench, **more)


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        pytest.param("POST", REFUNDS, JSON, id="plain"),
        pytest.param("POST", "http://billing.internal/v1//refunds/o1", JSON, id="double-slash"),
        pytest.param("POST", "http://billing.internal/v1/%72efunds/o1", JSON, id="percent"),
        pytest.param("POST", "http://billing.internal/v1/./refunds/o1", JSON, id="dot"),
        pytest.param("POST", "http://billing.internal/x/../v1/refunds/o1", JSON, id="dot-dot"),
        pytest.param("POST", "http://billing.internal/V1/Refunds/o1", JSON, id="case"),
        pytest.param("POST", "http://billing.internal/v1/refunds/o1/", JSON, id="last-slash"),
        pytest.param("POST", "http://billing.internal/v1/refunds;x=1/o1", JSON, id="parameter"),
        pytest.param("POST", "http://BILLING.internal./v1/refunds/o1", JSON, id="hosts-last-dot"),
        pytest.param("post", REFUNDS, JSON, id="method-in-small-letters"),
        pytest.param("POST", REFUNDS, {}, id="no-content-type"),
        pytest.param("POST", REFUNDS, {"content-type": "text/plain"}, id="called-text"),
        pytest.param("POST", REFUNDS, JSON | {"expect": "100-continue"}, id="expect"),
        pytest.param(
            "POST",
            "http://10.1.2.3/v1/refunds/o1",
            JSON | {"host": "billing.internal"},
            id="by-address-with-a-host-header",
        ),
        pytest.param(
            "PUT", REFUNDS, JSON | {"x-http-method-override": "POST"}, id="method-override-on-put"
        ),
        pytest.param(
            "GET", REFUNDS, JSON | {"x-http-method-override": " post"}, id="method-override-on-get"
        ),
    ],
)
async def test_no_spelling_leads_round_a_route(
    at_once: MakeLine, make_request: MakeRequest, method: str, url: str, headers: dict[str, str]
) -> None:
    """A refund past the budget does not reach the API, however the request is written."""
    line = at_once()
    asked = make_request(method, url, BIG)
    for name, value in headers.items():
        asked.headers[name] = value
    await line.ask(asked)
    assert not line.reached_server
    assert line.status in (100, 400, 403)
    assert b"refund" in line.body or b"method" in line.body


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"amount": 145, **MODEL}, id="as-chat"),
        pytest.param({"amount": 145, "model": "m", "input": "x", "tools": []}, id="as-responses"),
        pytest.param({"amount": 145, "system": "s", **MODEL}, id="as-anthropic"),
    ],
)
async def test_a_models_fields_do_not_lead_round_a_route(
    at_once: MakeLine, make_request: MakeRequest, body: dict[str, object]
) -> None:
    """A refund that looks like a model's request as well is a refund."""
    line = at_once()
    await line.ask(make_request("POST", REFUNDS, json.dumps(body).encode(), JSON))
    assert not line.reached_server
    assert line.status == 403


async def test_both_gates_apply_to_what_is_both(
    bench: Bench, make_line: MakeLine, make_request: MakeRequest
) -> None:
    """Within the budget it passes as a refund, is charged, and its answer is gated as a model's."""
    line = make_line()
    body = json.dumps({"amount": 45, **MODEL}).encode()
    await line.ask(make_request("POST", REFUNDS, body, JSON))
    assert line.reached_server
    assert isinstance(line.stream.flow.metadata[MARK], Exchange)
    assert [r["verdict"] for r in bench.records("decision")] == ["allow"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(b'{"amount": 1, "amount": 145}', JSON, id="duplicate-key"),
        pytest.param(b"{", JSON, id="broken-json"),
        pytest.param(b"\xff\xfe{", JSON, id="not-utf-8"),
        pytest.param(b'{"amount": NaN}', JSON, id="nan"),
        pytest.param(
            b"amount=1&amount=145",
            {"content-type": "application/x-www-form-urlencoded"},
            id="form-field-twice",
        ),
        pytest.param(b"{}", JSON | {"content-encoding": "rot13"}, id="unknown-encoding"),
        pytest.param(b"{}", JSON | {"content-encoding": "gzip"}, id="broken-gzip"),
        pytest.param(b'{"amount": "\\ud800"}', JSON, id="lone-surrogate"),
        pytest.param(b"[" * 100_000, JSON, id="deep"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    at_once: MakeLine, make_request: MakeRequest, body: bytes, headers: dict[str, str]
) -> None:
    """Nothing that two readers read differently reaches the API; the client is told."""
    line = at_once()
    await line.ask(make_request("POST", REFUNDS, body, headers))
    assert not line.reached_server
    assert line.status in (400, 415)


@pytest.mark.parametrize(
    ("status", "state"),
    [(201, "committed"), (422, "released"), (500, "committed"), (504, "committed")],
)
async def test_the_answer_settles(
    bench: Bench, make_line: MakeLine, make_request: MakeRequest, status: int, state: str
) -> None:
    """Done is committed, refused is released, and a failure in the middle gives nothing back."""
    line = make_line()
    await line.ask(make_request("POST", REFUNDS, b'{"amount": 45}', JSON))
    assert isinstance(line.stream.flow.metadata[MARK], ToolRequest)
    await line.begin("application/json", status)
    await line.data(b"{}")
    assert line.status == status
    assert [r["state"] for r in bench.records("settlement")] == [state]


async def test_an_answer_that_does_not_decode_is_delivered(
    bench: Bench, make_line: MakeLine, make_request: MakeRequest
) -> None:
    """It was done: the agent is to hear of it, whatever the API says its encoding is."""
    line = make_line()
    await line.ask(make_request("POST", REFUNDS, b'{"amount": 45}', JSON))
    await line.begin("application/json")
    assert line.stream.flow.response is not None
    line.stream.flow.response.headers["content-encoding"] = "gzip"
    await line.data(b"no gzip")
    assert line.body == b"no gzip"
    assert [r["state"] for r in bench.records("settlement")] == ["committed"]


async def test_a_held_request_waits_and_goes_on(
    bench: Bench,
    make_line: MakeLine,
    make_request: MakeRequest,
    until_held: Callable[[], Awaitable[None]],
) -> None:
    """Nothing is sent while a human thinks; after the yes the request goes up."""
    line = make_line()
    async with asyncio.TaskGroup() as group:
        group.create_task(line.ask(make_request("POST", REFUNDS, BIG, JSON)))
        await until_held()
        assert not line.reached_server
        (hold,) = await bench.pipeline.desk.list()
        await bench.pipeline.desk.approve(hold.id, by="ops")
    assert line.reached_server


async def test_a_client_that_leaves_a_held_request(
    bench: Bench,
    make_line: MakeLine,
    make_request: MakeRequest,
    until_held: Callable[[], Awaitable[None]],
) -> None:
    """Nobody is there to get the answer: the request is not sent, the hold is abandoned."""
    line = make_line()
    async with asyncio.TaskGroup() as group:
        group.create_task(line.ask(make_request("POST", REFUNDS, BIG, JSON)))
        await until_held()
        await line.event(RequestProtocolError(1, "gone", ErrorCode.CLIENT_DISCONNECTED))
    assert not line.reached_server
    (hold,) = await bench.pipeline.desk.list()
    assert hold.state is HoldState.ABANDONED


CHAT = json.dumps(MODEL).encode()


@pytest.mark.parametrize(
    ("method", "path", "body", "mark"),
    [
        pytest.param("POST", "/v1/chat/completions", CHAT, Exchange, id="plain"),
        pytest.param("POST", "/v1//chat/completions", CHAT, Exchange, id="double-slash"),
        pytest.param("POST", "/v1/%63hat/completions", CHAT, Exchange, id="percent"),
        pytest.param("POST", "/v1/chat;x/completions", CHAT, Exchange, id="parameter"),
        pytest.param("POST", "/v1/chat/completions/", CHAT, Exchange, id="last-slash"),
        pytest.param("POST", "/v1/chat/completions?a=b", CHAT, Exchange, id="query"),
        pytest.param("PUT", "/v1/chat/completions", CHAT, Exchange, id="other-method"),
        pytest.param("POST", "/any/where", CHAT, Exchange, id="told-by-its-body"),
        pytest.param("GET", "/v1/responses/resp_1", b"", Exchange, id="stored-answer"),
        pytest.param("GET", "/v1/responses/resp_1?stream=true", b"", Exchange, id="stored-stream"),
        pytest.param("POST", "/any/where", b"{}", PASS, id="not-a-models"),
        pytest.param("GET", "/any/where", CHAT, PASS, id="get-with-a-body"),
        pytest.param("HEAD", "/v1/messages", b"", PASS, id="head"),
        pytest.param("OPTIONS", "/v1/chat/completions", b"", PASS, id="options"),
    ],
)
async def test_what_is_gated(
    make_line: MakeLine,
    make_request: MakeRequest,
    method: str,
    path: str,
    body: bytes,
    mark: type | str,
) -> None:
    """Another spelling of a gated path is gated; what can carry no call passes."""
    line = make_line()
    await line.ask(make_request(method, "http://api.example" + path, body))
    found = line.stream.flow.metadata[MARK]
    assert found == mark if isinstance(mark, str) else isinstance(found, mark)


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "foo, websocket", "websocket/13"])
async def test_a_models_websocket_is_refused(
    make_line: MakeLine, make_request: MakeRequest, upgrade: str
) -> None:
    """A handshake that no server would take is sent back to HTTP, in every spelling."""
    line = make_line()
    headers = {"upgrade": upgrade, "connection": "upgrade"}
    await line.ask(make_request("GET", "http://api.example/v1/responses", b"", headers))
    assert line.status == 426
    assert not line.reached_server


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"messages": 1}', b"\xff", b"\xef\xbb\xbf{}"],
    ids=["broken", "list", "messages-no-list", "not-utf-8", "bom"],
)
async def test_a_model_request_that_cannot_be_read_is_refused(
    make_line: MakeLine, make_request: MakeRequest, body: bytes
) -> None:
    """It does not go up unread, and the error is one the API's SDK shows."""
    line = make_line()
    await line.ask(make_request(body=body))
    assert not line.reached_server
    assert line.status == 400
    assert "error" in json.loads(line.body)
