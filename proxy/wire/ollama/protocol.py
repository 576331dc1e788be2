"""Ollama's own API: /api/chat and /api/generate.

What belongs here: which part reads what. Lines of JSON are what a request without `stream` gets; the
Python client reads lines or a body by what it asked for and never looks at the content type, so the
gate goes by the request too where the answer calls itself JSON. Ollama's other two APIs, `/v1/chat/…`
and `/v1/messages`, are read by the Chat and Messages codecs.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md (read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from proxy.errors import WireError
from proxy.wire.codec import ParsedRequest, RefusedResponse, ResponseGate, Target, WireProtocol
from proxy.wire.jsontext import encode
from proxy.wire.media import media_type
from proxy.wire.ollama.calls import PROVIDER
from proxy.wire.ollama.json_gate import OllamaJsonGate
from proxy.wire.ollama.request import parse_request, restore
from proxy.wire.ollama.stream_gate import OllamaStreamGate

_PATHS = re.compile(r"(?:.*/)?api/(?:chat|generate)")
_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})


class OllamaProtocol:
    """`codec.WireProtocol` for Ollama."""

    name = PROVIDER

    def parse_request(self, body: bytes) -> ParsedRequest:
        return parse_request(body)

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return restore(request, memories)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        good = 200 <= status < 300
        media = media_type(content_type, "ollama response")
        asked_for_lines = request is not None and request.stream
        if good and (media in _LINES or (media == "application/json" and asked_for_lines)):
            return OllamaStreamGate(ref=ref)
        if media == "application/json" or not good:
            return OllamaJsonGate(ref=ref, status=status)
        raise WireError(f"ollama response: content type {media or 'missing'!r} is not used here")

    def error_body(self, status: int, text: str) -> bytes:
        return encode({"error": text})


PROTOCOL: WireProtocol = OllamaProtocol()

PROTOCOLS: tuple[WireProtocol, ...] = (PROTOCOL,)
"""One a name under which memories are kept."""


def claims(target: Target) -> WireProtocol | None:
    """Returns this API's protocol where the target is one of its endpoints."""
    if target.method in ("GET", "HEAD") or _PATHS.fullmatch(target.path) is None:
        return None
    return PROTOCOL
