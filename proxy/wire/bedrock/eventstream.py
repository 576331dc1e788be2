"""AWS's binary event stream, cut into frames whose bytes are kept, and the frames we write.

What belongs here: the framing (https://smithy.io/2.0/aws/amazon-eventstream.html, read 2026-11): a
prelude of total length, headers' length and CRC, then headers, payload and the CRC of it all. A frame
is cut out by its prelude and read by botocore's own parser, so that it means here what it means in
boto3. What botocore lets pass though readers differ on it is refused: a negative payload, header
names and types that Bedrock does not use. Only the unfinished frame is kept.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from zlib import crc32

from botocore.eventstream import EventStreamBuffer, ParserError

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.jsontext import decode_object, encode

WHAT = "bedrock: event stream"

_PRELUDE = struct.Struct("!III")
_FRAME_OVERHEAD = 16  # the prelude, and the CRC at the end
_MAX_HEADERS_BYTES = 128 << 10  # botocore's limits
_MAX_PAYLOAD_BYTES = 24 << 20
_STRING = 7  # the type of a header's value

KEEPALIVE_EVENT = "checkrein-keepalive"
"""No SDK knows this event type: botocore and AnthropicBedrock pass over it, the others hand it on as an
unknown member, which the consumers' switches pass over."""

_HEADERS = frozenset(
    {":message-type", ":event-type", ":content-type"}
    | {":exception-type", ":error-code", ":error-message"}
)


@dataclass(frozen=True, slots=True)
class Event:
    """One frame with the bytes it came in."""

    raw: bytes
    is_error: bool  # `:message-type` is exception or error: SDKs raise it
    kind: str  # `:event-type`, "" for errors
    payload: bytes


class EventReader:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def inside(self) -> bool:
        """Whether a part of a frame is left over."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Event | None:
        """Returns the next whole frame.

        Raises:
            WireError: a wrong CRC, a frame too large, or headers that are not Bedrock's.
        """
        buffer = self._buffer
        if len(buffer) < _PRELUDE.size:
            return None
        total, headers, crc = _PRELUDE.unpack_from(buffer)
        if crc32(buffer[:8]) != crc:
            raise WireError(f"{WHAT}: wrong checksum of a prelude")
        payload = total - headers - _FRAME_OVERHEAD
        if headers > _MAX_HEADERS_BYTES or not 0 <= payload <= _MAX_PAYLOAD_BYTES:
            raise WireError(f"{WHAT}: a frame of {total} bytes with headers of {headers}")
        if len(buffer) < total:
            return None
        raw = bytes(buffer[:total])
        del buffer[:total]
        return _read(raw)


def _read(raw: bytes) -> Event:
    parser = EventStreamBuffer()
    parser.add_data(raw)
    try:
        message = parser.next()
    except (ParserError, KeyError, ValueError, struct.error, StopIteration) as error:
        raise WireError(f"{WHAT}: {type(error).__name__}: {error}") from error
    for name, value in message.headers.items():
        # cohere's Bedrock client reads the frames as text, by the first braces it finds.
        if name not in _HEADERS or not isinstance(value, str) or "{" in value:
            raise WireError(f"{WHAT}: a header {name!r} that Bedrock does not send")
    kind = message.headers.get(":message-type")
    if kind in ("exception", "error"):
        return Event(raw, True, "", message.payload)
    name = message.headers.get(":event-type")
    if kind != "event" or not name:
        raise WireError(f"{WHAT}: a frame of message type {kind!r} and event type {name!r}")
    return Event(raw, False, name, message.payload)


def document_of(event: Event) -> dict[str, Json]:
    """Reads a payload that is not looked at for calls.

    Raises:
        WireError: it is not a JSON object.
    """
    return decode_object(event.payload, WHAT)


def event_frame(kind: str, document: Json) -> bytes:
    """Writes one event, with the headers in the order in which Bedrock sends them."""
    return _frame(
        {":event-type": kind, ":content-type": "application/json", ":message-type": "event"},
        json_bytes(document),
    )


def json_bytes(document: Json) -> bytes:
    """Writes JSON; half a surrogate pair, as a frame may end in one, stays the escape it came as."""
    try:
        return encode(document)
    except UnicodeEncodeError:
        return json.dumps(document, default=float).encode()


def exception_frame(text: str) -> bytes:
    """Writes the frame that boto3 raises as `EventStreamError`, AnthropicBedrock as an API error."""
    return _frame(
        {
            ":exception-type": "modelStreamErrorException",
            ":content-type": "application/json",
            ":message-type": "exception",
        },
        encode({"message": text}),
    )


def _frame(headers: dict[str, str], payload: bytes) -> bytes:
    head = b"".join(
        struct.pack("!B", len(name.encode()))
        + name.encode()
        + struct.pack("!BH", _STRING, len(value.encode()))
        + value.encode()
        for name, value in headers.items()
    )
    lengths = struct.pack("!II", len(head) + len(payload) + _FRAME_OVERHEAD, len(head))
    body = lengths + struct.pack("!I", crc32(lengths)) + head + payload
    return body + struct.pack("!I", crc32(body))


KEEPALIVE = event_frame(KEEPALIVE_EVENT, {})
