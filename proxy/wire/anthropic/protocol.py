"""The Anthropic Messages API as one protocol: what belongs to no single room of it.

`request` reads and restores requests, `stream_gate` and `json_gate` gate the
answers, `blocks` knows content blocks. Here is the choice between them, and errors in the
vendor's shape: https://docs.claude.com/en/api/errors (the SDK's mapping is tested).
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.errors import WireError
from proxy.wire.anthropic.blocks import PROVIDER
from proxy.wire.anthropic.json_gate import MessageGate
from proxy.wire.anthropic.request import parse_request
from proxy.wire.anthropic.restore import restore
from proxy.wire.anthropic.stream_gate import MessageStreamGate
from proxy.wire.codec import ParsedRequest, RefusedResponse, ResponseGate, WireProtocol
from proxy.wire.jsontext import encode

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicMessages:
    """`codec.WireProtocol` for POST /v1/messages."""

    name = PROVIDER

    def parse_request(self, body: bytes) -> ParsedRequest:
        return parse_request(body)

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return restore(request, memories)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        media_type = content_type.partition(";")[0].strip().lower()
        if not 200 <= status < 300 or media_type == "application/json":
            return MessageGate(status=status, ref=ref, error_body=self.error_body)
        if media_type == "text/event-stream":
            return MessageStreamGate(ref=ref, error_body=self.error_body)
        raise WireError(
            f"anthropic: response of content type {media_type!r};"
            " expected application/json or text/event-stream"
        )

    def error_body(self, status: int, text: str) -> bytes:
        kind = _ERROR_TYPES.get(status, "api_error")
        return encode({"type": "error", "error": {"type": kind, "message": text}})


PROTOCOL: WireProtocol = AnthropicMessages()
