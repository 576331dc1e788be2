"""OpenAI's Chat Completions API, and the many that speak it.

What belongs here: which part reads what. Requests are read by `request` and made whole by
`restore`; answers pass `stream_gate` or `json_gate`; how a call looks is in `calls`.

Source: https://platform.openai.com/docs/api-reference/chat (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.errors import WireError
from proxy.wire.chat import request as chat_request
from proxy.wire.chat import restore as chat_restore
from proxy.wire.chat.calls import PROVIDER, error_document
from proxy.wire.chat.json_gate import ChatJsonGate
from proxy.wire.chat.stream_gate import ChatStreamGate
from proxy.wire.codec import ParsedRequest, RefusedResponse, ResponseGate, WireProtocol
from proxy.wire.jsontext import decode_object, encode


class ChatProtocol:
    """`codec.WireProtocol` for Chat Completions."""

    name = PROVIDER

    def parse_request(self, body: bytes) -> ParsedRequest:
        return chat_request.parse(body)

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return chat_restore.restore(request, memories)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        media = content_type.partition(";")[0].strip().lower()
        if media == "text/event-stream":
            return ChatStreamGate(ref=ref)
        if media == "application/json" or media.endswith("+json") or not 200 <= status < 300:
            return ChatJsonGate(ref=ref, status=status)
        raise WireError(
            f"openai.chat response: content type {media or 'missing'!r} is not used here"
        )

    def error_body(self, status: int, text: str) -> bytes:
        return encode(error_document(text))


class StoredChatProtocol(ChatProtocol):
    """A stored completion: what is sent changes its metadata and has no messages."""

    def parse_request(self, body: bytes) -> ParsedRequest:
        decode_object(body, f"{PROVIDER} request")
        return ParsedRequest(provider=PROVIDER, document={chat_request.RAW: body})


PROTOCOL: WireProtocol = ChatProtocol()
STORED: WireProtocol = StoredChatProtocol()
