"""Memories of InvokeModel's answers: which model's API they are of.

What belongs here: the wrapping. The gates of the models' own APIs make memories in their own names;
kept under this API's name they say whose they are, and are given back to that API's `restore`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from proxy.wire.anthropic.blocks import PROVIDER as ANTHROPIC_PROVIDER
from proxy.wire.bedrock.blocks import CONVERSE
from proxy.wire.chat.calls import PROVIDER as CHAT_PROVIDER
from proxy.wire.codec import RefusedResponse

ANTHROPIC, CHAT, NOVA, COHERE, PLAIN = "anthropic", "chat", "nova", "cohere", "plain"

_PROVIDERS = {ANTHROPIC: ANTHROPIC_PROVIDER, CHAT: CHAT_PROVIDER, NOVA: CONVERSE}


def wrapped(memory: RefusedResponse, provider: str, family: str) -> RefusedResponse:
    original = {"family": family, "turn": memory.original}
    return replace(memory, provider=provider, original=original)


def unwrapped(memories: Sequence[RefusedResponse], family: str) -> list[RefusedResponse]:
    """Returns the memories of one family, in its own API's name and shape."""
    return [
        replace(memory, provider=_PROVIDERS[family], original=memory.original["turn"])
        for memory in memories
        if family in _PROVIDERS and memory.original.get("family") == family
    ]
