"""The fuzz targets: one codec and one form of answer each, and what must hold for any bytes at all.

How it works. `check` feeds a gate some bytes, in pieces, twice: all calls released, then all refused.
Whatever the bytes are: nothing but a `CheckreinError` is raised; all released means the very bytes
that came, but for what the end cut off; the cuts make no difference; and, the *differential* property, the vendor's SDK finds no
call in what left that the codec did not report, and none at all where all were refused.
"""

from __future__ import annotations

import binascii
import itertools
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.errors import CheckreinError
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    Refuse,
    Release,
    ResponseGate,
    WireProtocol,
)
from proxy.wire.detect import protocol_for
from tests.fuzz.sdk_readers import READERS, Answer, Reader

CORPUS = Path(__file__).resolve().parent / "corpus"
REF = "cr_" + "ab" * 16
TEXT = f"[checkrein {REF}] The call was refused and did not run."
MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint's answers of one content type."""

    name: str
    api: str  # of `READERS`
    path: str
    content_type: str
    stream: bool
    dictionary: tuple[str, ...]  # words that mean something to this API's parsers
    hint: bytes | None = None  # the request's body, where the path does not tell the API

    @property
    def protocol(self) -> WireProtocol:
        found = protocol_for("POST", self.path, self.hint)
        assert found is not None, f"no codec claims {self.path}"
        return found

    @property
    def seeds(self) -> Iterator[bytes]:
        for file in sorted((CORPUS / self.name).iterdir()):
            yield file.read_bytes()

    def length(self, data: bytes) -> int:
        return len(self.body(data))

    def check(self, data: bytes, cuts: Sequence[int] = (), *, whole_is_good: bool = False) -> None:
        check(self, data, cuts, whole_is_good=whole_is_good)

    def body(self, data: bytes) -> bytes:
        """The answer that fuzzed bytes stand for.

        An AWS event stream has checksums, which no mutation would hit: its fuzzed form is lines of
        `EVENT-TYPE JSON`, framed here.
        """
        if self.content_type != "application/vnd.amazon.eventstream":
            return data
        out = bytearray()
        for line in data.split(b"\n"):
            kind, _, payload = line.partition(b" ")
            out += eventstream_frame(kind[:64], payload)
        return bytes(out)


def eventstream_frame(kind: bytes, payload: bytes) -> bytes:
    """One frame of `application/vnd.amazon.eventstream`, written apart from the product's own encoder.

    Source: https://smithy.io/2.0/aws/amazon-eventstream.html (read 2026-11).
    """
    headers = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
        for name, value in (
            (b":event-type", kind),
            (b":content-type", b"application/json"),
            (b":message-type", b"event"),
        )
    )
    total = 16 + len(headers) + len(payload)
    prelude = struct.pack(">II", total, len(headers))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", binascii.crc32(message))


_JSON = "application/json"
_SSE = "text/event-stream"
_LINES = "application/x-ndjson"
_V1 = b'{"message": "x"}'
_AWS = "application/vnd.amazon.eventstream"
_CHAT = (
    *("choices", "delta", "message", "tool_calls", "function_call", "function", "custom", "index"),
    *(
        "name",
        "arguments",
        "id",
        "type",
        "finish_reason",
        "tool_calls",
        "stop",
        "content",
        "[DONE]",
    ),
)
_RESPONSES = (
    *("response.output_item.added", "response.output_item.done", "item", "output", "output_index"),
    *("response.function_call_arguments.delta", "response.function_call_arguments.done", "item_id"),
    *(
        "response.completed",
        "function_call",
        "custom_tool_call",
        "call_id",
        "arguments",
        "response",
    ),
)
_ANTHROPIC = (
    *("message_start", "content_block_start", "content_block_delta", "content_block_stop", "index"),
    *("message_delta", "message_stop", "tool_use", "server_tool_use", "input_json_delta", "input"),
    *("partial_json", "content_block", "stop_reason", "text_delta", "content", "name", "id"),
)
_GEMINI = (
    *("candidates", "content", "parts", "functionCall", "function_call", "args", "name", "id"),
    *("partialArgs", "willContinue", "thoughtSignature", "finishReason", "text", "response"),
)
_CONVERSE = (
    *("contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStart", "messageStop"),
    *(
        "contentBlockIndex",
        "toolUse",
        "toolUseId",
        "input",
        "start",
        "delta",
        "stopReason",
        "output",
    ),
    *("message", "content", "name", "text", "chunk", "bytes"),
)
_COHERE = (
    *("tool-call-start", "tool-call-delta", "tool-call-end", "tool-plan-delta", "message-end"),
    *("delta", "message", "tool_calls", "function", "name", "arguments", "parameters", "type"),
    *("event_type", "tool-calls-generation", "tool-calls-chunk", "stream-end", "response"),
)
_OLLAMA = ("message", "tool_calls", "function", "name", "arguments", "done", "content", "role")
_INTERACTIONS = (
    *("event_type", "step.start", "step.delta", "step.stop", "step", "delta", "index", "steps"),
    *("interaction.completed", "interaction", "function_call", "arguments_delta", "arguments"),
    *("type", "name", "id", "content.start", "content", "outputs", "status", "google_search_call"),
)
_ASSISTANTS = (
    *("thread.run.requires_action", "thread.run.step.delta", "required_action", "tool_calls"),
    *("submit_tool_outputs", "step_details", "function", "arguments", "name", "index", "id"),
    *("thread.run.step.completed", "thread.run", "status", "object", "delta", "type", "data"),
)
_CONVERSATIONS = (
    *("function.call.delta", "function.call", "tool_call_id", "output_index", "arguments"),
    *("conversation.response.started", "conversation.response.done", "outputs", "entries"),
    *("message.output.delta", "tool.execution.started", "tool.execution.done", "type", "name"),
)

TARGETS: dict[str, Target] = {
    made.name: made
    for made in (
        Target("chat-json", "openai.chat", "/v1/chat/completions", _JSON, False, _CHAT),
        Target("chat-sse", "openai.chat", "/v1/chat/completions", _SSE, True, _CHAT),
        Target("responses-json", "openai.responses", "/v1/responses", _JSON, False, _RESPONSES),
        Target("responses-sse", "openai.responses", "/v1/responses", _SSE, True, _RESPONSES),
        Target("anthropic-json", "anthropic.messages", "/v1/messages", _JSON, False, _ANTHROPIC),
        Target("anthropic-sse", "anthropic.messages", "/v1/messages", _SSE, True, _ANTHROPIC),
        Target("gemini-json", "gemini", "/v1beta/models/m:generateContent", _JSON, False, _GEMINI),
        Target(
            "gemini-sse",
            "gemini",
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            _SSE,
            True,
            _GEMINI,
        ),
        Target("converse-json", "bedrock.converse", "/model/m/converse", _JSON, False, _CONVERSE),
        Target(
            "converse-stream",
            "bedrock.converse",
            "/model/m/converse-stream",
            _AWS,
            True,
            _CONVERSE,
        ),
        Target("invoke-json", "bedrock.invoke", "/model/m/invoke", _JSON, False, _CONVERSE),
        Target(
            "invoke-stream",
            "bedrock.invoke",
            "/model/m/invoke-with-response-stream",
            _AWS,
            True,
            _CONVERSE,
        ),
        Target("mistral-json", "mistral", "/v1/chat/completions", _JSON, False, _CHAT),
        Target("mistral-sse", "mistral", "/v1/chat/completions", _SSE, True, _CHAT),
        Target("cohere-v2-json", "cohere.v2", "/v2/chat", _JSON, False, _COHERE),
        Target("cohere-v2-sse", "cohere.v2", "/v2/chat", _SSE, True, _COHERE),
        Target("ollama-json", "ollama.chat", "/api/chat", _JSON, False, _OLLAMA),
        Target("ollama-ndjson", "ollama.chat", "/api/chat", "application/x-ndjson", True, _OLLAMA),
        Target("ollama-generate", "ollama.generate", "/api/generate", _LINES, True, _OLLAMA),
        Target(
            "gemini-array",
            "gemini.array",
            "/v1beta/models/m:streamGenerateContent",
            _JSON,
            True,
            _GEMINI,
        ),
        Target("cohere-v1-json", "cohere.v1", "/v1/chat", _JSON, False, _COHERE, _V1),
        Target(
            "cohere-v1-ndjson",
            "cohere.v1",
            "/v1/chat",
            "application/stream+json",
            True,
            _COHERE,
            _V1,
        ),
        Target(
            "interactions-json",
            "google.interactions",
            "/v1beta/interactions",
            _JSON,
            False,
            _INTERACTIONS,
        ),
        Target(
            "interactions-sse",
            "google.interactions",
            "/v1beta/interactions",
            _SSE,
            True,
            _INTERACTIONS,
        ),
        Target(
            "assistants-json", "assistants", "/v1/threads/t/runs/run_1", _JSON, False, _ASSISTANTS
        ),
        Target("assistants-sse", "assistants", "/v1/threads/t/runs", _SSE, True, _ASSISTANTS),
        Target(
            "conversations-json",
            "mistral.conversations",
            "/v1/conversations/conv_1",
            _JSON,
            False,
            _CONVERSATIONS,
        ),
        Target(
            "conversations-sse",
            "mistral.conversations",
            "/v1/conversations/conv_1",
            _SSE,
            True,
            _CONVERSATIONS,
        ),
    )
}


@dataclass(slots=True)
class Outcome:
    """What a client got, what was reported, and whether the gate gave up."""

    left: bytearray = field(default_factory=bytearray)
    calls: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    failed: bool = False


def drive(gate: ResponseGate, pieces: Sequence[bytes], *, refuse: bool) -> Outcome:
    """Feeds the pieces and the end, and rules on every call at once, as the glue does."""
    outcome = Outcome()
    try:
        for piece in [*pieces, b""]:
            todo: list[GateEvent] = gate.feed(piece)
            while todo:
                event = todo.pop(0)
                if isinstance(event, Emit):
                    outcome.left += event.data
                elif isinstance(event, CallSeen):
                    outcome.seen.append(event.call.name)
                elif isinstance(event, CallFound):
                    outcome.calls.append(event.call.name)
                    # A faulty call is refused by the judge, whatever the rules say.
                    no = refuse or event.call.fault is not None
                    todo[:0] = gate.rule(event.key, Refuse(TEXT) if no else Release())
                    outcome.failed |= event.call.fault is not None and not refuse
    except CheckreinError:
        outcome.failed = True
        outcome.left += gate.fail("refused")
    return outcome


def check(
    target: Target, data: bytes, cuts: Sequence[int] = (), *, whole_is_good: bool = False
) -> None:
    """Asserts all properties for one answer; `cuts` are positions in it.

    `whole_is_good`: the answer is one that a provider gives, and must leave whole.
    """
    body = target.body(data)
    inner = sorted({cut for cut in cuts if 0 < cut < len(body)})
    pieces = [body[a:b] for a, b in itertools.pairwise([0, *inner, len(body)])] if body else []
    reader: Reader = READERS[target.api]

    def run(feed: Sequence[bytes], *, refuse: bool) -> Outcome | None:
        try:
            gate = target.protocol.gate(
                content_type=target.content_type, status=200, ref=REF, request=None
            )
        except CheckreinError:
            return None
        return drive(gate, feed, refuse=refuse)

    whole = [body] if body else []
    released, refused = run(whole, refuse=False), run(whole, refuse=True)
    split = run(pieces, refuse=False)
    if released is None or refused is None or split is None:
        return
    if not released.failed:
        assert _is_intact(body, released.left), "all released, and other bytes left"
        assert split.left == released.left, "in pieces other bytes left"
        # A call or a frame that the end of the answer cut off is never released.
        assert not whole_is_good or bytes(released.left) == body, "a good answer lost its end"
    assert released.failed == split.failed, "the cuts make a difference"
    if not released.failed:
        assert (released.calls, released.seen) == (split.calls, split.seen), "other calls by cuts"
    for outcome, reported in (
        (released, [*released.calls, *released.seen]),
        (split, [*split.calls, *split.seen]),
        (refused, refused.seen),
    ):
        answer = Answer(bytes(outcome.left), target.content_type, target.stream)
        found = reader(answer)
        # A call without a name is one too, though the codec may have found a name in another spelling.
        extra = Counter(name for name in found if name) - Counter(reported)
        assert not extra, f"the SDK finds calls that were not reported: {dict(extra)}"
        assert len(found) <= len(reported), "the SDK finds more calls than were reported"


def _is_intact(body: bytes, left: bytearray) -> bool:
    """Whether the bytes that came have left, up to where the end cut something off.

    A stream that ends inside a call or a frame is closed with an error or a text of ours.
    """
    kept = next(
        (n for n, pair in enumerate(zip(body, left, strict=False)) if pair[0] != pair[1]), -1
    )
    if kept < 0:  # one is the other's beginning
        kept = min(len(body), len(left))
    lines = iter(body.splitlines())
    if b"thread.run" in body and all(line in lines for line in bytes(left).splitlines()):
        return True  # an Assistants stream drops the fragments of a call that nothing completes
    rest = left[kept:].lower()
    return kept == len(left) or b"error" in rest or b"[checkrein]" in rest
