"""`/v1/chat`, a path of two APIs: Cohere's v1 says `message` there, writer.com speaks Chat (`messages`).

What belongs here: the protocol of such an exchange, which is known once its request has been read. One
instance an exchange; until then it is Cohere's. A body that is neither's, or both's, is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.errors import WireError
from proxy.wire.chat import protocol as chat
from proxy.wire.codec import ParsedRequest, RefusedResponse, ResponseGate, WireProtocol
from proxy.wire.cohere.protocol import V1
from proxy.wire.jsontext import decode_object


class BareChat:
    """A `codec.WireProtocol` that becomes one of two."""

    def __init__(self) -> None:
        self._is: WireProtocol = V1
        self.name = V1.name

    def parse_request(self, body: bytes) -> ParsedRequest:
        document = decode_object(body, "/v1/chat request")
        if ("message" in document) == ("messages" in document):
            raise WireError("/v1/chat request: expected either `message` or `messages`")
        self._is = V1 if "message" in document else chat.PROTOCOL
        self.name = self._is.name
        return self._is.parse_request(body)

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return self._is.restore(request, memories)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        return self._is.gate(content_type=content_type, status=status, ref=ref, request=request)

    def error_body(self, status: int, text: str) -> bytes:
        return self._is.error_body(status, text)
