"""WebSockets: whose socket an upgrade asks for, and what is done with it.

- Realtime and Responses: gated (`socket_exchange.py`), or with `--websocket http` answered 426. That
  makes Codex fall back to HTTP at once (a 404 costs it 7 attempts); Realtime has no other way.
- Any other path of a model's API, and models' sockets no gate reads (Gemini Live, voice agents): 426.
- Everything else passes, message by message, until one looks like a model's: then it is closed.

Model sockets are asked for without extensions: nothing is compressed, so that no message is larger
than what came in.
"""

from __future__ import annotations

import secrets
from collections.abc import Coroutine
from typing import Any

from mitmproxy import ctx, http
from mitmproxy.utils import asyncio_utils

from proxy.addon.identification import Identification
from proxy.addon.refusals import api_error
from proxy.addon.socket_exchange import PlainSocket, SocketExchange
from proxy.addon.socket_layer import SOCKET, SocketWake, install
from proxy.model import Identity
from proxy.pipeline.core import Pipeline
from proxy.wire import detect
from proxy.wire.codec import ParsedRequest, WireProtocol
from proxy.wire.realtime.gate import RealtimeGate
from proxy.wire.responses.socket import ResponsesSocketGate
from proxy.wire.socket import SocketGate, SocketKind, is_unparsed, kind_of

_GATES: dict[SocketKind, type[RealtimeGate] | type[ResponsesSocketGate]] = {
    SocketKind.REALTIME: RealtimeGate,
    SocketKind.RESPONSES: ResponsesSocketGate,
}


def wants_socket(request: http.Request) -> bool:
    return "websocket" in request.headers.get("upgrade", "").lower()


def _is_handshake(request: http.Request) -> bool:
    """What mitmproxy and every server would take for one: nothing in between is let through."""
    named = request.headers
    return (
        request.method == "GET"
        and named.get("upgrade", "").strip().lower() == "websocket"
        and named.get("sec-websocket-version", "") == "13"
        and "sec-websocket-key" in named
    )


def unparsed_socket(flow: http.HTTPFlow) -> bool:
    """Tells whether an upgrade asks for a model's socket that no gate reads."""
    return is_unparsed(detect.normalised(flow.request.path))


class Sockets:
    """mitmproxy's WebSocket hooks."""

    def __init__(self, pipeline: Pipeline, who: Identification) -> None:
        self._pipeline = pipeline
        self._who = who

    def load(self, _loader: Any) -> None:
        """mitmproxy: the addon is loaded."""
        install()

    async def admit(
        self, flow: http.HTTPFlow, protocol: WireProtocol | None
    ) -> http.Response | None:
        """Opens the gate of a socket; returns the answer to an upgrade that is not let through."""
        path = detect.normalised(flow.request.path)
        kind = kind_of(path)
        if kind is None:
            known = protocol or detect.protocol_for("POST", flow.request.path)
            if known is not None or unparsed_socket(flow):
                return api_error(known, 426, "Use HTTP: this WebSocket cannot be judged.")
            flow.metadata[SOCKET] = PlainSocket()
            return None
        if not _is_handshake(flow.request):
            known = detect.PROTOCOLS["openai.responses"]
            return api_error(known, 426, "Not a WebSocket handshake (RFC 6455, section 4.1).")
        if self._pipeline.settings.websocket != "gate":
            return api_error(
                detect.PROTOCOLS["openai.responses"],
                426,
                "WebSockets are switched off here (--websocket http): use the API over HTTP."
                if kind is SocketKind.RESPONSES
                else "The Realtime API is switched off here (--websocket http).",
            )
        flow.request.headers.pop("sec-websocket-extensions", None)
        identity = await self._who.identify(flow)
        gate: SocketGate = _GATES[kind](_new_ref)
        flow.metadata[SOCKET] = self._exchange(flow, gate, identity)
        return None

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """mitmproxy: its own layer has a message; ours never asks. Nothing passes unjudged."""
        if flow.websocket is not None:
            flow.websocket.messages[-1].drop()

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        """mitmproxy: a socket has ended."""
        exchange = flow.metadata.pop(SOCKET, None)
        if isinstance(exchange, SocketExchange):
            exchange.stop()

    def _exchange(
        self, flow: http.HTTPFlow, gate: SocketGate, identity: Identity
    ) -> SocketExchange:
        def spawn(work: Coroutine[Any, Any, None]) -> object:
            return asyncio_utils.create_task(work, name="checkrein socket", keep_ref=True)

        async def identify(parsed: ParsedRequest | None) -> Identity:
            return await self._who.identify(flow, parsed)

        user_agent = flow.request.headers.get("user-agent", "")
        return SocketExchange(
            self._pipeline,
            gate,
            identity,
            identify,
            profile=self._pipeline.client_profile(user_agent),
            spawn=spawn,
            wake=lambda: _wake(flow),
        )


def _new_ref() -> str:
    return "cr_" + secrets.token_hex(16)


def _wake(flow: http.HTTPFlow) -> None:
    server: Any = ctx.master.addons.get("proxyserver")
    # A connection that has ended takes no events.
    if flow.live and flow.client_conn.id in server.connections:
        server.inject_event(SocketWake.of(flow))
