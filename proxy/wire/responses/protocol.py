"""The OpenAI Responses API as a `WireProtocol`: the parts put together.

What belongs here: which gate reads which answer, and the shape of an error. Items are in
`items`, the gates in `stream_gate` and `json_gate`, requests in
`request`, the way back of refused calls in `restore`.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.errors import WireError
from proxy.wire.codec import (
    Emit,
    GateEvent,
    ParsedRequest,
    RefusedResponse,
    ResponseGate,
    Ruling,
    WireProtocol,
)
from proxy.wire.jsontext import encode
from proxy.wire.responses.items import PROVIDER
from proxy.wire.responses.json_gate import ResponsesJsonGate
from proxy.wire.responses.memory import conversation_id
from proxy.wire.responses.request import parse_request
from proxy.wire.responses.restore import restore
from proxy.wire.responses.stream_gate import ResponsesStreamGate


class ErrorGate:
    """The gate over an answer that is an error: no client reads calls out of it."""

    pending: Sequence[int] = ()
    streams = False
    response_id = None
    usage = None
    confidence = None

    def feed(self, data: bytes) -> list[GateEvent]:
        return [Emit(data)] if data else []

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        raise ValueError(f"openai.responses: no call waits under key {key}")

    def keepalive(self) -> bytes:
        return b""

    def fail(self, text: str) -> bytes:
        return _error(text)


class ResponsesProtocol:
    """See `codec.WireProtocol`."""

    name = PROVIDER

    def parse_request(self, body: bytes) -> ParsedRequest:
        return parse_request(body)

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return restore(request, memories)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        if not 200 <= status < 300 or status == 204:  # 204 has no body
            return ErrorGate()
        conversation = conversation_id(request.document.get("conversation")) if request else None
        media = content_type.partition(";")[0].strip().lower()
        if media == "text/event-stream":
            return ResponsesStreamGate(ref, conversation)
        if media == "application/json" or media.endswith("+json"):
            return ResponsesJsonGate(ref, conversation)
        raise WireError(
            f"openai.responses: an answer of type {media or 'nothing'!r}; expected JSON or an "
            "event stream"
        )

    def error_body(self, status: int, text: str) -> bytes:
        return _error(text)


def _error(text: str) -> bytes:
    error = {"message": text, "type": "checkrein_refused", "param": None, "code": "checkrein"}
    return encode({"error": error})


PROTOCOL: WireProtocol = ResponsesProtocol()
