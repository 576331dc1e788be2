"""The gate inside mitmproxy's WebSocket: whole messages go to an exchange, what it sends comes out.

mitmproxy's own layer waits in a hook for each message (both directions and pings with it), forwards
it when the hook raises and also when the flow was killed, keeps all messages for ever, cuts injected
ones every 4,000 bytes in the middle of a character, and mixes them into a message that has come in
parts. So its layer is subclassed and put in its module's place (`install`), where
`HttpStream.flow_done` looks it up. No hook runs for a message; a task that has decided wakes the layer by
`SocketWake`, on the way that mitmproxy's injected messages take.

A socket that no addon has marked, an exception in here: closed on both sides.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import wsproto.events
from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import websocket as layers
from mitmproxy.proxy.layers.websocket import (
    WebsocketConnection,
    WebsocketEndHook,
    WebsocketLayer,
    WebSocketMessageInjected,
)
from mitmproxy.websocket import WebSocketMessage
from wsproto.connection import ConnectionState
from wsproto.frame_protocol import Opcode

from proxy.addon.socket_exchange import BROKEN, POLICY, Close, Out, PlainSocket, SocketExchange

logger = logging.getLogger("checkrein")

SOCKET = "checkrein_socket"
"""Key in `flow.metadata`: the `SocketExchange` or `PlainSocket` that messages go through."""
MAX_MESSAGE = 64 << 20

_OPEN = (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING)


class SocketWake(WebSocketMessageInjected):
    """A task has put something into the outbox."""

    @classmethod
    def of(cls, flow: http.HTTPFlow) -> SocketWake:
        return cls(flow, WebSocketMessage(Opcode.TEXT, False, b"", injected=True))


class GatedWebsocketLayer(WebsocketLayer):
    """A WebSocket whose messages pass through a gate."""

    _closing: tuple[bool, wsproto.events.CloseConnection] | None = None

    def relay_messages(self, event: events.Event) -> layer.CommandGenerator[None]:
        try:
            yield from self._relay(event)
        except Exception:
            logger.exception("socket: closed after an unexpected error")
            yield from self._close(Close(BROKEN, "checkrein: internal error"))

    def _relay(self, event: events.Event) -> layer.CommandGenerator[None]:
        exchange = self.flow.metadata.get(SOCKET)
        if not isinstance(exchange, SocketExchange | PlainSocket):
            logger.error("socket: one that nobody has judged was closed")
            yield from self._close(Close(POLICY, "checkrein: this connection was not judged"))
            return
        if isinstance(event, events.ConnectionEvent):
            yield from self._received(exchange, event)
        yield from self._drain(exchange)

    def _received(
        self, exchange: SocketExchange | PlainSocket, event: events.ConnectionEvent
    ) -> layer.CommandGenerator[None]:
        from_client = event.connection == self.context.client
        source, target = (
            (self.client_ws, self.server_ws) if from_client else (self.server_ws, self.client_ws)
        )
        if isinstance(event, events.DataReceived):
            source.receive_data(event.data)
        elif isinstance(event, events.ConnectionClosed):
            if source.state is ConnectionState.CLOSED or self._closing is not None:
                return
            source.receive_data(None)
        for came in source.events():
            if isinstance(came, wsproto.events.Message):
                yield from self._message(exchange, source, came, from_client=from_client)
            elif isinstance(came, wsproto.events.Ping | wsproto.events.Pong):
                # No way round the gate: the payload has 125 bytes at most, and none reads it.
                if target.state is ConnectionState.OPEN:
                    yield target.send2(came)
            elif isinstance(came, wsproto.events.CloseConnection):
                self._closing = (from_client, came)
                exchange.leave()

    def _message(
        self,
        exchange: SocketExchange | PlainSocket,
        source: WebsocketConnection,
        came: wsproto.events.Message[Any],
        *,
        from_client: bool,
    ) -> layer.CommandGenerator[None]:
        is_text = isinstance(came.data, str)
        part = came.data.encode() if isinstance(came.data, str) else bytes(came.data)
        if sum(map(len, source.frame_buf)) + len(part) > MAX_MESSAGE:
            yield from self._close(Close(1009, "checkrein: a message too big to be judged"))
            return
        source.frame_buf.append(part)
        if came.message_finished:
            whole = b"".join(source.frame_buf)
            source.frame_buf = []
            exchange.take(whole, from_client=from_client, is_text=is_text)
            yield from self._drain(exchange)

    def _drain(self, exchange: SocketExchange | PlainSocket) -> layer.CommandGenerator[None]:
        while exchange.outbox:
            out = exchange.outbox.popleft()
            if isinstance(out, Close):
                yield from self._close(out)
                return
            yield from self._send(out)
        if self._closing is not None and not exchange.busy:
            yield from self._end(*self._closing)

    def _send(self, out: Out) -> layer.CommandGenerator[None]:
        target = self.client_ws if out.to_client else self.server_ws
        if target.state is not ConnectionState.OPEN:
            return
        if out.is_text:
            yield target.send2(wsproto.events.TextMessage(out.data.decode(), message_finished=True))
        else:
            yield target.send2(wsproto.events.BytesMessage(out.data, message_finished=True))

    def _close(self, close: Close) -> layer.CommandGenerator[None]:
        """Ends it from here."""
        if self._handle_event == self.done:
            return
        message = wsproto.events.CloseConnection(code=close.code, reason=close.reason)
        yield from self._end(False, message)

    def _end(
        self, from_client: bool, close: wsproto.events.CloseConnection
    ) -> layer.CommandGenerator[None]:
        exchange = self.flow.metadata.get(SOCKET)
        if isinstance(exchange, SocketExchange | PlainSocket):
            exchange.stop()
            exchange.outbox.clear()
        self._handle_event: Any = self.done
        if (noted := self.flow.websocket) is not None:
            noted.timestamp_end = time.time()
            noted.closed_by_client = from_client
            noted.close_code, noted.close_reason = close.code, close.reason
        for ws in (self.server_ws, self.client_ws):
            if ws.state in _OPEN:
                yield ws.send2(close)
            yield commands.CloseConnection(ws.conn)
        yield WebsocketEndHook(self.flow)
        self.flow.live = False


def install() -> None:
    """Puts the gated layer in mitmproxy's place; every later WebSocket is one.

    Raises:
        RuntimeError: this mitmproxy lacks a name we lean on.
    """
    used = ("relay_messages", "done", "start", "_handle_event")
    missing = [name for name in used if not hasattr(WebsocketLayer, name)]
    if missing:
        raise RuntimeError(f"mitmproxy's WebsocketLayer has no {missing}; install mitmproxy 12.2")
    layers.WebsocketLayer = GatedWebsocketLayer  # type: ignore[misc]
