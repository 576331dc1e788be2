"""MCP over HTTP: which flows are its, whose channel they belong to, and how a refused one is answered.

Any POST may be MCP: the body tells, or a header of the transport (`wire/mcp/detect.py`). A body that
looks like it and has no single reading is refused. A GET that asks for an event stream may be
the server's side of a session, resumed (`last-event-id`) or of the old HTTP+SSE transport, whose first event
names the path that its client posts to; from then on a POST to that path belongs to that stream.

The server's name is its authority and path: `billing.internal/mcp`. Rules read it as `namespace`.
"""

from __future__ import annotations

import logging
from urllib.parse import urljoin, urlsplit
from weakref import WeakValueDictionary

import httpx
from mitmproxy import http
from mitmproxy.connection import ConnectionState

from proxy.addon.identification import Identification
from proxy.addon.mcp_exchange import McpExchange
from proxy.addon.stream import MARK
from proxy.errors import WireError
from proxy.pipeline.core import Pipeline
from proxy.pipeline.mcp import Mcp
from proxy.pipeline.texts import upstream_error_text
from proxy.wire.mcp import detect, messages

logger = logging.getLogger("checkrein")

_NOT_COPIED = frozenset(
    {
        "host", "content-length", "transfer-encoding", "connection", "accept-encoding",
        "content-encoding", "last-event-id", "mcp-method", "mcp-name", "proxy-authorization",
    }
)  # fmt: skip
_ANSWER_TIMEOUT_S = 10.0


class McpGate:
    """MCP's part of the gatekeeper."""

    def __init__(self, pipeline: Pipeline, who: Identification) -> None:
        self._pipeline = pipeline
        self._who = who
        self._mcp = Mcp(pipeline)
        self._streams: WeakValueDictionary[str, McpExchange] = WeakValueDictionary()

    # --- which flows -----------------------------------------------------------------------------------

    @staticmethod
    def wants_stream(request: http.Request) -> bool:
        """Whether a GET may open a server's side of a session."""
        return request.method == "GET" and (
            "text/event-stream" in request.headers.get("accept", "").lower()
            or detect.has_headers(request.headers)
        )

    def claims(self, request: http.Request, body: bytes) -> bool:
        """Whether a request with a body speaks MCP."""
        if not body:
            return False
        return (
            detect.has_headers(request.headers)
            or self._stream_of(request) is not None
            or detect.looks_like(body)
        )

    # --- a GET stream ------------------------------------------------------------------------------------

    async def open_stream(self, flow: http.HTTPFlow) -> None:
        """Marks a GET whose answer may be a server's messages."""
        flow.request.headers["accept-encoding"] = "identity"
        exchange = await self._exchange(flow, detect.has_headers(flow.request.headers))
        flow.metadata[MARK] = exchange

    def note_endpoint(self, exchange: McpExchange) -> None:
        """An old-style stream has said where its client posts."""
        if exchange.endpoint is not None:
            url = urljoin(exchange.url, exchange.endpoint)
            if urlsplit(url).netloc != urlsplit(exchange.url).netloc:
                return  # a server names no other's paths; the SDKs refuse it too
            name = _place(url)
            if name not in self._streams:
                self._streams[name] = exchange

    def _stream_of(self, request: http.Request) -> McpExchange | None:
        stream = self._streams.get(_place(request.url))
        return stream if stream is not None and not stream.presence.gone else None

    # --- a POST ------------------------------------------------------------------------------------------

    async def request(self, flow: http.HTTPFlow, body: bytes) -> None:
        """Lets a message pass, holds it, or answers it."""
        request = flow.request
        request.headers["accept-encoding"] = "identity"
        exchange = await self._exchange(flow, is_certain=True)
        stream = self._stream_of(request)
        flow.metadata[MARK] = exchange
        if not flow.client_conn.state & ConnectionState.CAN_READ:
            exchange.presence.leave()  # it hung up before the mark could tell the stream whom to wake
        try:
            payload = messages.read_payload(body)
            detect.check_headers(payload, list(request.headers.items(multi=True)))
            if stream is not None and stream.channel.identity == exchange.channel.identity:
                exchange.channel = stream.channel
                await exchange.ask_over(stream, body)
            else:
                accept = request.headers.get("accept", "").lower()
                await exchange.ask(body, takes_stream="text/event-stream" in accept)
        except WireError as error:
            await self._pipeline.note_error(exchange.channel.identity, "mcp", str(error))
            is_mismatch = "disagree" in str(error) or "header" in str(error)
            code = messages.HEADER_MISMATCH if is_mismatch else messages.INVALID_REQUEST
            text = upstream_error_text(error)
            exchange.is_answered = True
            flow.response = _json(400, messages.error(_id_of(body), code, text))
            return
        if exchange.presence.gone:
            flow.kill()
            return
        if exchange.early:
            return
        self.take(flow, exchange, over=stream)

    def take(
        self, flow: http.HTTPFlow, exchange: McpExchange, over: McpExchange | None = None
    ) -> None:
        """Puts what was decided into the flow."""
        turn = exchange.turn
        assert turn is not None  # noqa: S101
        forward = turn.forward
        if forward is None:
            exchange.is_answered = True
            answer = turn.answer
            if over is not None or answer is None:
                flow.response = http.Response.make(202, b"", {})
            else:
                flow.response = _json(200, answer)
        elif forward is not turn.payload.raw:
            flow.request.headers.pop("content-encoding", None)
            flow.request.content = forward

    async def _exchange(self, flow: http.HTTPFlow, is_certain: bool) -> McpExchange:
        request = flow.request
        identity = await self._who.identify(flow, key_is_checked=False)
        session = request.headers.get("mcp-session-id")
        place = urlsplit(request.url)
        channel = self._mcp.channel(identity, place.netloc + place.path.rstrip("/"), session)
        user_agent = request.headers.get("user-agent", "")
        profile = self._pipeline.client_profile(user_agent)

        async def answer_server(exchange: McpExchange, message: bytes) -> None:
            await self._post(flow, urljoin(request.url, exchange.endpoint or ""), message)

        return McpExchange(
            self._pipeline,
            channel,
            profile,
            answer_server,
            url=request.url,
            is_certain=is_certain,
        )

    async def _post(self, flow: http.HTTPFlow, url: str, message: bytes) -> None:
        """Tells a server that what it asked of the client was refused; the client never saw it."""
        settings = self._pipeline.settings
        if urlsplit(url)[:2] != urlsplit(flow.request.url)[:2]:
            return
        headers = {
            name: value
            for name, value in flow.request.headers.items()
            if name.lower() not in _NOT_COPIED
        }
        headers["content-type"] = "application/json"
        headers["accept"] = "application/json, text/event-stream"
        verify: bool | str = str(settings.trust_ca) if settings.trust_ca else True
        try:
            async with httpx.AsyncClient(
                verify=not settings.insecure_upstream and verify,
                trust_env=False,
                timeout=_ANSWER_TIMEOUT_S,
            ) as client:
                await client.post(url, content=message, headers=headers)
        except (httpx.HTTPError, OSError) as error:
            logger.warning("mcp: the server was not told of a refusal: %s", type(error).__name__)


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc.lower()}{parts.path}?{parts.query}"


def _json(status: int, body: bytes) -> http.Response:
    return http.Response.make(status, body, {"content-type": "application/json"})


def _id_of(body: bytes) -> messages.Id | None:
    """The id to answer under, where at least that can be read."""
    try:
        payload = messages.read_payload(body)
    except WireError:
        return None
    return payload.messages[0].id if not payload.is_batch else None
