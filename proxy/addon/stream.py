"""The gate inside mitmproxy's HTTP stream: bytes wait here, in the middle of a response.

mitmproxy's addon API can only pass, change or kill a streamed chunk. To *hold* one, `HttpStream` is
subclassed and put in its module's place (`install`), where `HttpLayer.make_stream` looks it up for
each stream. Text costs no hook. While something is to be decided, the stream yields `GateStepHook`,
a blocking command: this stream alone pauses, events queue, and the addon's `gate_step` runs.

None of this is documented API. `install` asserts every name it leans on, `pyproject.toml` pins the
minor, `tests/addon/test_stream.py` and `tests/e2e` cover each path.

Closed by construction: a flow no addon has marked is aborted (an unloaded addon, a hook that died),
a hook that does not answer releases nothing, and an exception in here ends the stream.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import DropStream, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._hooks import HttpResponseHook

from proxy.addon.exchange import Exchange
from proxy.addon.mcp_exchange import McpExchange, stream_head
from proxy.addon.tool_request import ToolRequest

logger = logging.getLogger("checkrein")

MARK = "checkrein"
"""Key in `flow.metadata`: an `Exchange`, an `McpExchange`, a `ToolRequest`, or `PASS` for traffic that is not ours."""
PASS = "pass"  # noqa: S105  # a mark, no password
MAX_BEHIND_HOLD = 4 << 20
"""Bytes that may queue behind a hold; mitmproxy has no backpressure here."""

_USED = (
    "handle_event",
    "_handle_event",
    "state_stream_response_body",
    "state_consume_response_body",
    "state_wait_for_response_headers",
    "make_server_connection",
    "start_response_stream",
    "send_response",
    "check_killed",
    "flow_done",
    "state_done",
    "state_errored",
)


class GateStep:
    """One turn of the addon: it fills `out` and sets `done`, or nothing is released."""

    def __init__(self, exchange: Exchange | McpExchange) -> None:
        self.exchange = exchange
        self.out = b""
        self.keepalive = False  # `out` only keeps the client waiting; nothing was decided
        self.done = False


@dataclass
class GateStepHook(commands.StartHook):
    """Runs the addon's `gate_step`; the stream waits."""

    step: GateStep


type Commands = Iterator[Any]


class GatedHttpStream(HttpStream):
    """An HTTP stream whose answers pass through a gate."""

    _behind = 0
    _over = False  # the client has its whole answer

    @property
    def _mark(self) -> Exchange | McpExchange | ToolRequest | str | None:
        flow: http.HTTPFlow | None = getattr(self, "flow", None)
        return None if flow is None else flow.metadata.get(MARK)

    # --- events, also while this stream is paused ---------------------------------------------------

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        mark = self._mark
        if isinstance(mark, Exchange | McpExchange | ToolRequest):
            if isinstance(event, RequestProtocolError):
                mark.presence.leave()  # h1 close or h2 RST_STREAM of the client
            elif isinstance(mark, ToolRequest) or not self._paused:
                pass
            elif isinstance(event, ResponseEndOfMessage | ResponseProtocolError):
                if isinstance(mark, McpExchange):
                    mark.interrupt()
            elif isinstance(event, ResponseData):
                if isinstance(mark, McpExchange):
                    mark.interrupt()
                self._behind += len(event.data)
                if self._behind > MAX_BEHIND_HOLD:
                    mark.overflow = True
                    mark.presence.wake.set()
        return super().handle_event(event)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        try:
            yield from super()._handle_event(event)
        except Exception:
            logger.exception("stream: closed after an unexpected error")
            if not self._over:  # another stream may have this connection by now
                yield from self._abort("checkrein: internal error, nothing was let through")

    # --- a request that waits with its answer begun --------------------------------------------------

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        exchange = self._mark
        if isinstance(exchange, McpExchange) and exchange.early and not exchange.head_sent:
            exchange.head_sent = True
            yield from self._send_head(stream_head())
            while exchange.busy:
                step = GateStep(exchange)
                yield GateStepHook(step)
                if not step.done:  # the hook died
                    yield from self._send(exchange.fail("no verdict was reached"))
                    break
                yield from self._send(step.out)
                if exchange.presence.gone:
                    self.server_state = self.state_errored
                    return False  # the queued RequestProtocolError is handled next
            if exchange.failure is not None or self.flow.response is not None:
                yield from self._end_early(upstream_done=True)
                return False
            forward = exchange.turn.forward if exchange.turn is not None else None
            if forward is None:
                yield from self._end_early(upstream_done=True)
                return False
            if exchange.turn is not None and forward is not exchange.turn.payload.raw:
                self.flow.request.headers.pop("content-encoding", None)
                self.flow.request.content = forward
        return (yield from super().make_server_connection())

    def start_response_stream(self) -> layer.CommandGenerator[None]:
        exchange = self._mark
        if isinstance(exchange, McpExchange) and exchange.head_sent:
            self.server_state = self.state_stream_response_body
            return
        yield from super().start_response_stream()

    # --- the answer's head -----------------------------------------------------------------------------

    def state_wait_for_response_headers(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self._mark is None:
            logger.error("stream: an answer nobody has judged was dropped")
            yield from self._abort("checkrein: this exchange was not judged")
            return
        yield from super().state_wait_for_response_headers(event)

    # --- a streamed answer -------------------------------------------------------------------------------

    def state_stream_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        exchange = self._mark
        if not isinstance(exchange, Exchange | McpExchange) or exchange.gate is None:
            yield from super().state_stream_response_body(event)
            return
        if exchange.presence.gone:
            return  # the client is gone: what still comes is dropped
        if isinstance(event, ResponseTrailers):
            yield from super().state_stream_response_body(event)
            return
        at_end = isinstance(event, ResponseEndOfMessage)
        data = event.data if isinstance(event, ResponseData) else b""
        self._behind = max(0, self._behind - len(data))
        yield from self._send(exchange.feed(data, end=at_end))
        while exchange.busy:
            step = GateStep(exchange)
            yield GateStepHook(step)
            if not step.done:  # the hook died
                yield from self._send(exchange.fail("no verdict was reached"))
                break
            yield from self._send(step.out)
            if exchange.overflow and exchange.busy:
                yield from self._send(exchange.fail("too much arrived behind a held call"))
            if exchange.presence.gone:
                return  # the queued RequestProtocolError is handled next
        if exchange.failure is not None:
            yield from self._end_early(upstream_done=at_end)
        elif at_end:
            yield from self.send_response(already_streamed=True)

    # --- a buffered answer -----------------------------------------------------------------------------

    def state_consume_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        exchange = self._mark
        if isinstance(exchange, Exchange | McpExchange) and exchange.refusal is not None:
            # Known at the head already; assigning flow.response there would be overwritten.
            self.response_body_buf.clear()
            if not isinstance(event, ResponseEndOfMessage):
                yield SendHttp(
                    RequestProtocolError(self.stream_id, "refused", ErrorCode.CANCEL),
                    self.context.server,
                )
            yield from self._answer_instead(exchange, *exchange.refusal)
            return
        yield from super().state_consume_response_body(event)

    def send_response(self, already_streamed: bool = False) -> layer.CommandGenerator[None]:
        exchange = self._mark
        response = self.flow.response
        if (
            already_streamed
            or not isinstance(exchange, Exchange | McpExchange)
            or exchange.gate is None
        ):
            yield from super().send_response(already_streamed)
            return
        if response is None:
            yield from self._abort("checkrein: an answer without a head")
            return
        came = response.raw_content or b""
        out = bytearray(exchange.feed(came, end=True))
        response.timestamp_end = time.time()
        yield HttpResponseHook(self.flow)  # the addon takes the first step in it
        self.server_state = self.state_done
        if (yield from self.check_killed(False)):
            return
        head_sent = isinstance(exchange, McpExchange) and exchange.head_sent
        while exchange.busy or exchange.stepped is not None:
            if exchange.stepped is None:
                step = GateStep(exchange)
                yield GateStepHook(step)
                if not step.done:  # the hook died
                    out = bytearray(exchange.fail("no verdict was reached"))
                    break
                data, keepalive = step.out, step.keepalive
            else:
                data, keepalive = exchange.stepped
                exchange.stepped = None
            if exchange.presence.gone:
                return
            if keepalive:  # from here on the status stands and the body is chunked
                if not head_sent:
                    head_sent = True
                    yield from self._send_head(response)
                yield from self._send(data)
            else:
                out += data
        if exchange.failure is not None and not head_sent:
            response = self.flow.response = _own_answer(502, exchange.failure)
        elif not head_sent and not exchange.unchanged(came, bytes(out)):
            response.headers.pop("content-encoding", None)
            response.raw_content = bytes(out)
            response.headers["content-length"] = str(len(out))
        if head_sent:
            yield from self._send(bytes(out))
        else:
            yield SendHttp(
                ResponseHeaders(self.stream_id, response, end_stream=False), self.context.client
            )
            yield from self._send(response.raw_content or b"")
        if response.trailers:
            yield SendHttp(ResponseTrailers(self.stream_id, response.trailers), self.context.client)
        if self.client_state == self.state_done:
            yield from self.flow_done()

    def flow_done(self) -> layer.CommandGenerator[None]:
        self._over = True
        yield from super().flow_done()

    # --- parts ---------------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> Commands:
        if data:
            yield SendHttp(ResponseData(self.stream_id, data), self.context.client)

    def _send_head(self, response: http.Response) -> Commands:
        head = response.copy()
        for name in ("content-length", "content-encoding"):
            head.headers.pop(name, None)
        if not head.is_http2 and not head.is_http3:
            head.headers["transfer-encoding"] = "chunked"
        yield SendHttp(ResponseHeaders(self.stream_id, head, end_stream=False), self.context.client)

    def _answer_instead(
        self, exchange: Exchange | McpExchange, status: int, body: bytes
    ) -> Commands:
        """Gives the client our own answer in place of the upstream's."""
        exchange.gate = None
        self.flow.response = _own_answer(status, body)
        yield from super().send_response()
        self.server_state = self.state_errored  # what the upstream had sent already is dropped

    def _end_early(self, *, upstream_done: bool) -> Commands:
        """Ends a body whose error has just been sent, properly, and lets go of the upstream."""
        if not upstream_done:
            yield SendHttp(
                RequestProtocolError(self.stream_id, "gate closed", ErrorCode.CANCEL),
                self.context.server,
            )
        self._over = True
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        yield DropStream(self.stream_id)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def _abort(self, why: str) -> Commands:
        """Ends it here and now; a client that has no head yet reads 502 and why."""
        if self.client_state != self.state_errored:
            error = ResponseProtocolError(self.stream_id, why, ErrorCode.GENERIC_SERVER_ERROR)
            yield SendHttp(error, self.context.client)
        if self.server_state not in (self.state_done, self.state_errored):
            yield SendHttp(
                RequestProtocolError(self.stream_id, why, ErrorCode.CANCEL), self.context.server
            )
        self.client_state = self.server_state = self.state_errored
        if getattr(self, "flow", None) is not None:
            self.flow.live = False
        yield DropStream(self.stream_id)


def _own_answer(status: int, body: bytes) -> http.Response:
    headers = {"content-type": "application/json", "x-should-retry": "false"}
    return http.Response.make(status, body, headers)


def install() -> None:
    """Puts the gated stream in mitmproxy's place; every later stream is one.

    Raises:
        RuntimeError: this mitmproxy lacks a name we lean on.
    """
    missing = [name for name in _USED if not hasattr(HttpStream, name)]
    if missing or not hasattr(layers.HttpLayer, "make_stream"):
        raise RuntimeError(f"mitmproxy's HttpStream has no {missing}; install mitmproxy 12.2")
    layers.HttpStream = GatedHttpStream  # type: ignore[misc]
