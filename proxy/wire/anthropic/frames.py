"""Frames of a Messages event stream: the check that they are such, and the ones we write.

What belongs here: everything about one frame that needs no state of the stream.
"""

from __future__ import annotations

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.anthropic.blocks import stop_reason_after, text_block
from proxy.wire.jsontext import decode_marked, encode
from proxy.wire.sse import Frame, frame_bytes

WHAT = "anthropic: event stream"

_FIELDS = (b":", b"event", b"id", b"retry", b"data")


def is_whole(frame: Frame) -> bool:
    """Tells whether the last frame can be read; half an event is dropped, no client acts on it."""
    try:
        if frame.data:
            decode_marked(frame.data, WHAT)
        else:
            check_is_event_stream(frame)
    except WireError:
        return frame.data is not None and frame.data.strip() == b"[DONE]"
    return True


def check_is_event_stream(frame: Frame) -> None:
    """A JSON body under this content type would pass as a frame without data, and be read by some."""
    for line in frame.raw.removeprefix(b"\xef\xbb\xbf").splitlines():
        if line and not line.startswith(_FIELDS):
            raise WireError(f"{WHAT}: a line that is no event-stream field")


def text_frames(index: int, text: str) -> bytes:
    """Writes the text block that stands for a refused call, at the call's own index."""
    said = text_block(text)
    return (
        _frame("content_block_start", index, content_block=said | {"text": ""})
        + _frame("content_block_delta", index, delta={"type": "text_delta", "text": said["text"]})
        + _frame("content_block_stop", index)
    )


def with_stop_reason(document: dict[str, Json], *, client_calls_left: bool) -> bytes | None:
    """Writes a frame anew where no call is left to wait for; None: it keeps its bytes."""
    delta = document.get("delta")
    if not isinstance(delta, dict):
        return None
    reason = stop_reason_after(delta.get("stop_reason"), client_calls_left=client_calls_left)
    if reason == delta.get("stop_reason"):
        return None
    changed = document | {"delta": delta | {"stop_reason": reason}}
    return frame_bytes(encode(changed), str(document["type"]))


def _frame(kind: str, index: int, **fields: Json) -> bytes:
    return frame_bytes(encode({"type": kind, "index": index, **fields}), kind)
