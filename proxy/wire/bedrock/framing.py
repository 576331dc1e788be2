"""How the events of a message stand in frames: one event a frame, or wrapped in InvokeModel's chunks.

What belongs here: both directions. ConverseStream names the event in a header; the streams of
InvokeModel carry `{"bytes": base64}` of whatever the model's own API sends.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_PayloadPart.html (read
2026-11). `p` is padding against guessing by length.
"""

from __future__ import annotations

import base64
import binascii

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.bedrock.eventstream import WHAT, Event, document_of, event_frame, json_bytes
from proxy.wire.bedrock.shapes import may_hold_call

CHUNK = "chunk"


def chunk_bytes(event: Event) -> bytes | None:
    """Returns what a chunk carries; None for an event of another type, which must carry nothing.

    Raises:
        WireError: base64 that decoders read differently, or anything a lenient reader takes for a chunk.
    """
    document = document_of(event)
    if event.kind != CHUNK:
        if event.kind.lower() == CHUNK or b"bytes" in event.payload or may_hold_call(document):
            raise WireError(f"{WHAT}: an event of type {event.kind!r} that looks like a chunk")
        return None
    # cohere's client takes the first braces of every line: an object inside would be read by it alone.
    if (
        event.payload.count(b"{") != 1
        or event.payload.count(b'"bytes"') != 1
        or b"\\" in event.payload
    ):
        raise WireError(f"{WHAT}: a chunk that is not one flat object")
    carried = document.get("bytes")
    if not isinstance(carried, str):
        raise WireError(f"{WHAT}: a chunk without bytes")
    try:
        data = base64.b64decode(carried, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError(f"{WHAT}: a chunk whose bytes are not base64") from error
    if base64.b64encode(data).decode() != carried:
        raise WireError(f"{WHAT}: a chunk whose base64 is not canonical")
    return data


def chunk_frame(data: bytes) -> bytes:
    return event_frame(CHUNK, {"bytes": base64.b64encode(data).decode()})


def named_frame(kind: str, document: Json) -> bytes:
    """Writes an event as ConverseStream frames it."""
    return event_frame(kind, document)


def wrapped_frame(kind: str, document: Json) -> bytes:
    """Writes an event as Nova's own API sends it, in a chunk."""
    return chunk_frame(json_bytes({kind: document}))
