"""Mistral's API, where it differs from Chat Completions.

What belongs here: which part reads what. Chat itself (`/v1/chat/completions`) is the Chat codec's; its
answers need nothing of their own. `chat.py` has Mistral's other endpoints that speak Chat; the
conversations, whose history the server keeps, are read by the other modules here.

OpenAI has conversations under the same path, which answer with no calls: those pass.
Source: https://docs.mistral.ai/api/ (read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from proxy.errors import WireError
from proxy.wire.codec import ParsedRequest, RefusedResponse, ResponseGate, Target, WireProtocol
from proxy.wire.jsontext import encode
from proxy.wire.media import media_type
from proxy.wire.mistral import request as conversations
from proxy.wire.mistral.chat import AgentsProtocol, FimProtocol
from proxy.wire.mistral.entries import PROVIDER, error_document
from proxy.wire.mistral.json_gate import ConversationGate
from proxy.wire.mistral.stream_gate import ConversationStreamGate

_CONVERSATIONS = re.compile(
    r"(?:.*/)?v1/conversations(?:/(?P<id>[^/]+)(?:/(?P<tail>restart|history|messages))?)?"
)
_AGENTS = re.compile(r"(?:.*/)?v1/agents/completions")
_FIM = re.compile(r"(?:.*/)?v1/fim/completions")
_NAME = re.compile(r"/conversations/+([^/]+)", re.IGNORECASE)


class ConversationsProtocol:
    """`codec.WireProtocol` for the conversations; an instance knows which one its path names."""

    name = PROVIDER

    def __init__(self, conversation: str | None = None, *, restarts: bool = False) -> None:
        self._conversation = conversation
        self._restarts = restarts

    def parse_request(self, body: bytes) -> ParsedRequest:
        return conversations.parse_request(body, self._conversation, restarts=self._restarts)

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return conversations.restore(request, memories, self._conversation)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        media = media_type(content_type, "mistral response")
        # What a restart answers belongs to the new conversation, which the answer names.
        conversation = None if self._restarts else self._conversation
        if media == "text/event-stream":
            return ConversationStreamGate(ref=ref, conversation=conversation)
        if media == "application/json" or not 200 <= status < 300 or status == 204:
            return ConversationGate(ref=ref, status=status, conversation=conversation)
        raise WireError(f"mistral response: content type {media or 'missing'!r} is not used here")

    def error_body(self, status: int, text: str) -> bytes:
        return encode(error_document(text))


PROTOCOL: WireProtocol = ConversationsProtocol()
AGENTS: WireProtocol = AgentsProtocol()
FIM: WireProtocol = FimProtocol()

PROTOCOLS: tuple[WireProtocol, ...] = (PROTOCOL,)
"""One a name under which memories are kept; the Chat-shaped ones keep theirs under Chat's."""


def claims(target: Target) -> WireProtocol | None:
    """Returns this API's protocol where the target is one of its endpoints."""
    reads = target.method in ("GET", "HEAD")
    if _AGENTS.fullmatch(target.path):
        return None if reads else AGENTS
    if _FIM.fullmatch(target.path):
        return None if reads else FIM
    found = _CONVERSATIONS.fullmatch(target.path)
    if found is None or (reads and found["tail"] is None):
        return None  # lists and descriptions hold no calls
    if found["id"] is None:
        return PROTOCOL
    named = _NAME.search(unquote(target.raw_path))
    # Ids keep their case on the wire; a path that hides its name is read as the lenient server would.
    conversation = named[1] if named and named[1].lower() == found["id"] else found["id"]
    return ConversationsProtocol(conversation, restarts=found["tail"] == "restart")
