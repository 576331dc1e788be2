"""MCP messages as server-sent events, and JSON answers turned into them.

An answer has to be turned where the event stream to the client began before the server was asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.pipeline.mcp import Turn
from proxy.wire.jsontext import encode
from proxy.wire.mcp import messages
from proxy.wire.mcp.messages import INTERNAL_ERROR, Id
from proxy.wire.sse import frame_bytes

COMMENT = b": waiting\n\n"


def event(data: bytes) -> bytes:
    """Writes a message as an event; a line break inside becomes a second data line."""
    return frame_bytes(data.replace(b"\r", b"").replace(b"\n", b"\ndata: "), "message")


def as_events(body: bytes, turn: Turn | None, unanswered: Sequence[Id], status: int) -> bytes:
    """Writes a plain answer, whose messages `turn` has read, as what an event stream would have said.

    `unanswered`: the requests that wait for it, which get an error where it has no message at all.
    """
    if turn is None:
        text = f"The server answered HTTP {status} without a message."
        made = [messages.error(id_, INTERNAL_ERROR, text) for id_ in unanswered]
        return b"".join(event(message) for message in made)
    if turn.payload.is_batch:
        return b"".join(event(encode(m.document)) for m in turn.payload.messages)
    if (only := turn.payload.messages[0]).id is None and unanswered:
        # An error that names no request is this request's: the client knows it by its id.
        return event(encode({**only.document, "id": unanswered[0]}))
    return event(body)
