"""WebSockets: which upgrades are let through, and which are sent back to HTTP."""

from __future__ import annotations

from mitmproxy import http

from proxy.addon.refusals import api_error
from proxy.wire import detect
from proxy.wire.codec import WireProtocol


def wants_socket(request: http.Request) -> bool:
    return "websocket" in request.headers.get("upgrade", "").lower()


class Sockets:
    """mitmproxy's WebSocket hooks."""

    def refusal(self, flow: http.HTTPFlow, protocol: WireProtocol | None) -> http.Response | None:
        """Returns the answer to an upgrade that is not let through."""
        path = flow.request.path.partition("?")[0].rstrip("/")
        if detect.protocol_for("POST", path) is not None or path.endswith("/realtime"):
            # 426 makes Codex fall back to HTTP at once (a 404 costs it 7 attempts).
            return api_error(protocol, 426, "Use HTTP: WebSocket is not judged here.")
        return None
