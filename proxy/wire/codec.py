"""What every codec speaks: the gate over one response, the view of one request, the refusal memory.

How it works. The glue gives a gate the response body as it arrives (decoded from any
Content-Encoding) and gets events back *in order*:

- `Emit`: bytes that may leave now. Text streams through at once.
- `CallFound`: a complete call that waits. The gate emits nothing that stands behind it until
  `rule(key, …)` is called, but goes on reading, so several calls can be waiting.
- `CallSeen`: a call that the provider runs itself. It cannot be held, only accounted for.
- `Remember`: a refused response that the next request will need (`restore`). The glue makes it
  durable before it emits what follows, so that no client can be faster than our memory.

An all-released response leaves byte for byte. A refused call is stripped and a text that the
ruling brings stands in its place; it contains the gate's `ref`, by which the next request finds the
memory again (docs/design/0004-strip-remember-restore.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from proxy.model import Call, Json, ToolDefinition, ToolResult
from proxy.wire.usage import Usage

REF_PATTERN = rb"cr_[0-9a-f]{32}"
"""How a refusal's reference looks, in the text of a stripped call and in the next request."""


@dataclass(frozen=True, slots=True)
class Emit:
    data: bytes


@dataclass(frozen=True, slots=True)
class CallFound:
    key: int  # for `rule`; counts up within one response
    call: Call


@dataclass(frozen=True, slots=True)
class CallSeen:
    call: Call


@dataclass(frozen=True, slots=True)
class RefusedCall:
    call_id: str | None
    name: str
    kind: str  # Call.kind: decides the form of the virtual result
    text: str  # what the model reads as the failed result


@dataclass(frozen=True, slots=True)
class RefusedResponse:
    """An assistant turn as the provider sent it, of which the client saw only a part.

    `original` is in the shape in which this API's *requests* carry history: one assistant message
    (Chat, Anthropic) or a list of items (Responses). `keys` are all names by which a later request
    may refer to this turn: "ref:…", "response:…", "conversation:…", "item:…" (reasoning items),
    "call:…" (the calls that were let through).
    """

    ref: str
    provider: str
    keys: tuple[str, ...]
    original: Json
    refused: tuple[RefusedCall, ...]


@dataclass(frozen=True, slots=True)
class Remember:
    response: RefusedResponse


type GateEvent = Emit | CallFound | CallSeen | Remember


@dataclass(frozen=True, slots=True)
class Release:
    """The call may leave as it came."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The call must not leave; `text` stands in its place and is the virtual result."""

    text: str


type Ruling = Release | Refuse


class ResponseGate(Protocol):
    """The gate over one response body."""

    @property
    def streams(self) -> bool:
        """Whether parts leave before the whole has come: the glue then sends the head at once.

        A gate that does not stream is fed the whole body, and may still change the status.
        """

    @property
    def response_id(self) -> str | None:
        """The answer's own id, once it is known and if requests can name it; it links sessions."""

    @property
    def usage(self) -> Usage | None:
        """The tokens that the answer says it used so far, None where it has not said."""

    @property
    def confidence(self) -> float | None:
        """The mean probability of its tokens so far, 0 to 1; None where it shows none."""

    @property
    def pending(self) -> Sequence[int]:
        """Keys of the calls that wait for a ruling, oldest first."""

    def feed(self, data: bytes) -> list[GateEvent]:
        """Reads the next bytes; `b""`, given once, is the end of the body.

        A call that is incomplete at the end is never emitted.

        Raises:
            WireError: the bytes have no single meaning; the glue ends the stream with `fail`.
        """

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        """Takes the ruling on one waiting call and returns what may follow now."""

    def keepalive(self) -> bytes:
        """Bytes that every client of this API ignores, valid at the present place in the body."""

    def fail(self, text: str) -> bytes:
        """Bytes that end the body with an error that this API's clients raise and show."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """What one model request says, parsed once.

    `opening` is the part of the conversation that every later turn repeats (system text and first
    user message): the last resort of identity. `hints` are the body's own names for a session
    ("previous_response_id", "conversation", "prompt_cache_key", "session_id", …).
    `remembered_by` are the keys under which memories may apply, in order of appearance
    (`RefusedResponse.keys` has their forms). `document` belongs to the codec that made it (Chat keeps
    the raw body there, to splice it in `restore`).
    """

    provider: str
    document: dict[str, Json]
    model: str | None = None
    stream: bool = False
    results: tuple[ToolResult, ...] = ()
    tools: tuple[ToolDefinition, ...] = ()
    system_text: str = ""
    user_text: str = ""  # the newest user message
    opening: str = ""
    hints: Mapping[str, str] = field(default_factory=dict)
    remembered_by: tuple[str, ...] = ()
    max_output_tokens: int | None = None  # of one answer; None: the body sets no limit
    answers: int = 1  # how many are asked for at once (`n`)


@dataclass(frozen=True, slots=True)
class Target:
    """The request line of an exchange, as codecs look at it to tell whether it is theirs."""

    method: str  # upper case
    path: str  # as the most lenient server reads it: decoded, lower case, no slashes at its ends
    raw_path: str  # as on the request line, without the query
    query: str  # as on the request line, without the "?"


class WireProtocol(Protocol):
    """One model API.

    Where the path says what the body does not (Gemini's and Bedrock's model and method), the codec's
    `claims` returns an instance that knows it; `name` is the API's all the same.
    """

    name: str  # "openai.chat"

    def parse_request(self, body: bytes) -> ParsedRequest:
        """Reads a decoded request body.

        Raises:
            WireError: not a JSON object, or not one this API's shape allows us to read safely.
        """

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        """Returns the body with refused calls and their failed results put back; None: no change."""

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        """Returns the gate for one response.

        Raises:
            WireError: a successful answer of a content type this API does not use.
        """

    def error_body(self, status: int, text: str) -> bytes:
        """Returns a JSON error body in this API's own shape; its SDKs raise it with the text."""
