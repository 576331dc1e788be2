"""mitmproxy's HTTP stream driven by hand: events in, hooks run on a real gatekeeper, commands out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from mitmproxy import connection, http, options
from mitmproxy.proxy import commands, context, events
from mitmproxy.proxy.layers.http import (
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpLayer,
    HTTPMode,
    SendHttp,
)
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
)

from proxy.addon.gatekeeper import Gatekeeper
from proxy.addon.stream import GatedHttpStream

if TYPE_CHECKING:
    from tests.conftest import Bench


def request(
    method: str = "POST",
    url: str = "http://api.example/v1/chat/completions",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> http.Request:
    made = http.Request.make(method, url)
    made.headers.update(headers or {})
    made.raw_content = body  # as given, also where a header says that it is encoded
    return made


class Line:
    """One exchange: what went to the server, what to the client, in order."""

    def __init__(self, bench: Bench, options: Any, *, hooks: bool = True) -> None:
        self.gatekeeper = Gatekeeper(bench.pipeline)
        client = connection.Client(
            peername=("10.0.0.9", 1234), sockname=("127.0.0.1", 8080), timestamp_start=0.0
        )
        self.context = context.Context(client, options)
        HttpLayer(self.context, HTTPMode.regular)
        self.stream = GatedHttpStream(self.context, 1)
        self.to_client: list[Any] = []
        self.to_server: list[Any] = []
        self.hooks: list[str] = []
        self._hooks = hooks

    async def event(self, event: events.Event) -> None:
        for command in list(self.stream.handle_event(event)):
            if isinstance(command, SendHttp):
                is_client = command.connection is self.context.client
                (self.to_client if is_client else self.to_server).append(command.event)
            elif isinstance(command, commands.StartHook):
                self.hooks.append(command.name)
                await self._hook(command)
                if command.blocking:
                    await self.event(events.HookCompleted(command, None))
            elif isinstance(command, GetHttpConnection):
                server = self.context.server
                await self.event(GetHttpConnectionCompleted(command, (server, None)))

    async def _hook(self, command: commands.StartHook) -> None:
        handler = getattr(self.gatekeeper, command.name, None)
        if handler is None or not self._hooks:
            return
        result = handler(*command.args())
        if result is not None:
            await result

    async def ask(self, asked: http.Request) -> None:
        body = asked.raw_content or b""
        await self.event(events.Start())
        await self.event(RequestHeaders(1, asked, end_stream=False))
        if body:
            await self.event(RequestData(1, body))
        await self.event(RequestEndOfMessage(1))

    async def begin(self, content_type: str | None, status: int = 200) -> None:
        headers = {} if content_type is None else {"content-type": content_type}
        answer = http.Response.make(status, b"", headers)
        answer.headers.pop("content-length", None)
        await self.event(ResponseHeaders(1, answer, end_stream=False))

    async def data(self, *parts: bytes, end: bool = True) -> None:
        for part in parts:
            await self.event(ResponseData(1, part))
        if end:
            await self.event(ResponseEndOfMessage(1))

    @property
    def status(self) -> int | None:
        heads = [e.response.status_code for e in self.to_client if isinstance(e, ResponseHeaders)]
        return heads[0] if heads else None

    @property
    def body(self) -> bytes:
        return b"".join(e.data for e in self.to_client if isinstance(e, ResponseData))

    @property
    def reached_server(self) -> bool:
        return any(isinstance(e, RequestHeaders) for e in self.to_server)


_OPTIONS: tuple[tuple[str, Any, object], ...] = (
    ("validate_inbound_headers", bool, True),
    ("stream_large_bodies", str | None, None),
    ("body_size_limit", str | None, None),
    ("store_streamed_bodies", bool, False),
    ("keep_host_header", bool, False),
    ("connection_strategy", str, "lazy"),
    ("websocket", bool, True),
    ("rawtcp", bool, False),
)

type MakeLine = Callable[..., Line]


@pytest.fixture
def make_line(bench: Bench) -> MakeLine:
    """Makes lines on the test's bench, or on another: `make_line(other_bench)`."""
    made = options.Options()
    for name, kind, value in _OPTIONS:  # as mitmproxy's `Proxyserver` addon has them
        made.add_option(name, kind, value, "")
    return lambda on=None, **more: Line(on or bench, made, **more)


@pytest.fixture
def until_held(bench: Bench) -> Callable[[], Awaitable[None]]:
    """Returns once a call waits for a human."""

    async def wait() -> None:
        while bench.pipeline.room.count() == 0:  # noqa: ASYNC110  # the room tells nobody who comes
            await asyncio.sleep(0)

    return wait


@pytest.fixture
def make_request() -> Callable[..., http.Request]:
    return request
