"""For bare mitmdump: let event streams flow, as anyone would set it who proxies model traffic."""

from __future__ import annotations

from typing import Any


def responseheaders(flow: Any) -> None:
    """Streams what is a stream."""
    if "event-stream" in flow.response.headers.get("content-type", ""):
        flow.response.stream = True
