"""Cohere's chat API, v1 and v2.

What belongs here: which part reads what. `/v2/chat` says `messages`, streams server-sent events and is
read by `v2_*`; `/v1/chat` says `message`, streams lines of JSON and is read by `v1_*`. The path of v1 is
other vendors' too (writer.com speaks Chat there), so `detect.py` asks for its protocol by the body.

Source: https://docs.cohere.com/reference/chat (read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from proxy.errors import WireError
from proxy.wire.codec import ParsedRequest, RefusedResponse, ResponseGate, Target, WireProtocol
from proxy.wire.cohere import v1_calls, v1_request, v2_calls, v2_request
from proxy.wire.cohere.v1_json import CohereV1JsonGate
from proxy.wire.cohere.v1_stream import CohereV1StreamGate
from proxy.wire.cohere.v2_json import CohereJsonGate
from proxy.wire.cohere.v2_stream import CohereStreamGate
from proxy.wire.jsontext import encode
from proxy.wire.media import media_type

_LINES = frozenset({"application/stream+json", "application/x-ndjson", "application/ndjson"})
_V2 = re.compile(r"(?:.*/)?v2/chat")


class CohereProtocol:
    """`codec.WireProtocol` for v2."""

    name = v2_calls.PROVIDER

    def parse_request(self, body: bytes) -> ParsedRequest:
        return v2_request.parse_request(body)

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return v2_request.restore(request, memories)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        media = media_type(content_type, "cohere.v2 response")
        if media == "text/event-stream":
            return CohereStreamGate(ref=ref)
        if media == "application/json" or not 200 <= status < 300:
            return CohereJsonGate(ref=ref, status=status)
        raise WireError(f"cohere.v2 response: content type {media or 'missing'!r} is not used here")

    def error_body(self, status: int, text: str) -> bytes:
        return encode({"message": text})


class CohereV1Protocol:
    """`codec.WireProtocol` for v1.

    `cohere` for Python reads lines or a body by what it asked for, whatever the content type says.
    """

    name = v1_calls.PROVIDER

    def parse_request(self, body: bytes) -> ParsedRequest:
        return v1_request.parse_request(body)

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return v1_request.restore(request, memories)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        good = 200 <= status < 300
        media = media_type(content_type, "cohere.v1 response")
        if good and media == "text/event-stream":
            return CohereV1StreamGate(ref=ref, lines=False)
        asked_for_lines = request is not None and request.stream
        if good and (media in _LINES or (media == "application/json" and asked_for_lines)):
            return CohereV1StreamGate(ref=ref, lines=True)
        if media == "application/json" or not good:
            return CohereV1JsonGate(ref=ref, status=status)
        raise WireError(f"cohere.v1 response: content type {media or 'missing'!r} is not used here")

    def error_body(self, status: int, text: str) -> bytes:
        return encode({"message": text})


V1: WireProtocol = CohereV1Protocol()
V2: WireProtocol = CohereProtocol()

PROTOCOLS: tuple[WireProtocol, ...] = (V1, V2)
"""One a name under which memories are kept."""


def claims(target: Target) -> WireProtocol | None:
    """Returns this API's protocol where the target is one of its endpoints."""
    if target.method in ("GET", "HEAD"):
        return None
    return V2 if _V2.fullmatch(target.path) else None
