"""What every codec of a WebSocket speaks: one gate over both directions of one connection.

How it works. The glue gives a gate each whole text message and gets events back *in order*, one list
for each direction:

- `ToClient`, `ToServer`: a message that may leave now. What nobody changed leaves byte for byte.
- `Found`: a complete call that waits. Its messages, and what has to stand behind them, leave after
  `rule(key, …)`; the gate reads on meanwhile, so several calls can wait.
- `Ran`: a call that the provider runs itself. It cannot be held, only accounted for.
- `Asked`: a request that has to be completed from memory before it goes up (`restored`).
- `Results`: tool results on their way up; the ledger is settled by them before what follows leaves.
- `Remember`: see `codec.py`; durable before what follows leaves.
- `Answered`: a response is complete; its id links sessions.

A connection may carry several conversations at once: each event names its `lane`, and the call of a
lane is judged under the identity of that lane's last request.

Which paths are such sockets is told here too (`kind_of`, `is_unparsed`), and what one looks like that
hides on another path (`looks_like_model`). Realtime:
https://platform.openai.com/docs/guides/realtime-websocket; Responses over a WebSocket:
https://platform.openai.com/docs/guides/websocket-mode (read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from proxy.model import Call, ToolResult
from proxy.wire.codec import ParsedRequest, RefusedResponse, Remember, Ruling
from proxy.wire.usage import Usage


@dataclass(frozen=True, slots=True)
class ToClient:
    data: bytes


@dataclass(frozen=True, slots=True)
class ToServer:
    data: bytes


@dataclass(frozen=True, slots=True)
class Found:
    key: int  # for `rule`; counts up within one connection
    call: Call
    lane: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    call: Call
    lane: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    data: bytes  # as the client sent it
    request: ParsedRequest
    lane: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    results: tuple[ToolResult, ...]
    lane: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    response_id: str
    ok: bool
    lane: str = ""
    usage: Usage | None = None  # as the provider counted it
    confidence: float | None = None


type SocketEvent = ToClient | ToServer | Found | Ran | Asked | Results | Remember | Answered


class SocketGate(Protocol):
    """The gate over one connection."""

    @property
    def provider(self) -> str:
        """The API's name, as calls and memories carry it."""

    @property
    def ref(self) -> str:
        """Names the connection, where the provider gives its responses no id."""

    @property
    def waiting_bytes(self) -> int:
        """How much is kept back behind calls that wait."""

    def from_client(self, data: bytes) -> list[SocketEvent]:
        """Reads the client's next message.

        Raises:
            WireError: it has no single meaning; the glue closes the connection.
        """

    def from_server(self, data: bytes) -> list[SocketEvent]:
        """Reads the server's next message.

        Raises:
            WireError: it has no single meaning; the glue closes the connection.
        """

    def rule(self, key: int, ruling: Ruling) -> list[SocketEvent]:
        """Takes the ruling on one waiting call and returns what may follow now."""

    def ref_of(self, key: int) -> str:
        """Returns the reference that the refusal of this call carries."""

    def restored(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        """Returns a request's message with refused calls put back; None: no change."""

    def keepalive(self, lane: str) -> bytes | None:
        """A message that clients ignore, for clients that time messages; None where none fits."""

    @property
    def is_answering(self) -> bool:
        """Whether a response has begun and not ended."""

    def refused(self, text: str, lane: str) -> bytes:
        """A message with an error in one lane: its request was not sent; the connection goes on."""

    def fail(self, text: str) -> bytes:
        """A message with an error that this API's clients raise and show; the connection ends."""


class SocketKind(StrEnum):
    REALTIME = "realtime"
    RESPONSES = "responses"


# OpenAI: /v1/realtime; Azure: /openai/realtime and /openai/v1/realtime; translation has its own path.
_REALTIME = re.compile(r"(?:.*/)?realtime(?:/(?:translations|transcription\w*))?")
_RESPONSES = re.compile(r"(?:.*/)?responses")

# Sockets on which models call tools, in shapes no gate here reads: Gemini Live
# (https://ai.google.dev/api/live), ElevenLabs' and Deepgram's agents, Hume's EVI, Ultravox.
_UNPARSED = re.compile(
    r"(?:.*[./])?bidigeneratecontent\w*|(?:.*/)?convai/conversation|(?:.*/)?agent/converse"
    r"|(?:.*/)?evi/chat|(?:.*/)?realtime/.*"
)
_MODEL = re.compile(
    rb'"type"\s*:\s*"(?:response\.(?:create|created|done|output_item\.\w+|function_call_arguments'
    rb'\.\w+)|session\.(?:created|update)|conversation\.item\.\w+)"|"(?:toolCall|tool_call)"\s*:\s*\{'
    rb'\s*"function'
)


def kind_of(path: str) -> SocketKind | None:
    """Returns whose socket a normalised path is (`detect.normalised`); None: not one we read."""
    if _REALTIME.fullmatch(path):
        return SocketKind.REALTIME
    return SocketKind.RESPONSES if _RESPONSES.fullmatch(path) else None


def is_unparsed(path: str) -> bool:
    """Tells whether a normalised path is a model's socket that no gate reads."""
    return kind_of(path) is None and _UNPARSED.fullmatch(path) is not None


def looks_like_model(data: bytes) -> bool:
    """Tells whether a message on an unknown path is one of a model's socket.

    The server's words are what counts: an agent may spell its own as it likes, a provider's encoder
    does not.
    """
    return _MODEL.search(data) is not None
