"""The fuzz targets of requests: one endpoint each, and what must hold whatever an agent sends.

How it works. The bytes are a request body, and behind a line `--` possibly an answer. Memories are made as
in life: a gate reads that answer (else the corpus' own ones of that API) and every call in it is
refused. Whatever the bytes are: `parse_request` and `restore` raise nothing but a `WireError`;
without memories nothing changes; memories and the request are not changed by use, for they serve
again; and what `restore` writes is a request that can be read.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from proxy.errors import CheckreinError, WireError
from proxy.wire.codec import CallFound, GateEvent, Refuse, RefusedResponse, Remember, WireProtocol
from proxy.wire.detect import protocol_for
from tests.fuzz.targets import CORPUS, REF, TARGETS, TEXT, Target

_BETWEEN = b"\n--\n"
_WORDS = (REF, TEXT, "role", "assistant", "user", "tool", "content", "messages", "input")


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """One endpoint's requests."""

    name: str
    path: str
    answers: tuple[str, ...]  # the targets whose answers this API gives

    @property
    def dictionary(self) -> tuple[str, ...]:
        words = TARGETS[self.answers[0]].dictionary
        return (*_WORDS, *(word for word in words if word not in _WORDS))

    @property
    def seeds(self) -> Iterator[bytes]:
        for file in sorted((CORPUS / self.name).iterdir()):
            yield file.read_bytes()

    def length(self, data: bytes) -> int:
        return 0  # requests come whole

    def check(self, data: bytes, cuts: Sequence[int] = (), *, whole_is_good: bool = False) -> None:
        body, _, answer = data.partition(_BETWEEN)
        protocol = protocol_for("POST", self.path, body) or TARGETS[self.answers[0]].protocol
        try:
            request = protocol.parse_request(body)
        except WireError:
            assert not whole_is_good, "a good request was refused"
            return
        memories = _memories(self.answers)
        if answer:
            memories = (*_refused_all(TARGETS[self.answers[0]], answer), *memories)
        before = copy.deepcopy((request, memories))
        assert protocol.restore(request, ()) is None, "changed without a memory"
        changed = False
        for some in (memories[:1], memories[1:2], memories):
            try:
                made = protocol.restore(request, some)
            except WireError:
                assert not whole_is_good, "a good request could not be restored"
                continue
            finally:
                assert (request, memories) == before, "the request or a memory was changed by use"
            changed |= made is not None
            if made is not None:
                _reads_again(protocol, made, whole_is_good=whole_is_good)
        assert not whole_is_good or changed, "a good request was not restored"


def _reads_again(protocol: WireProtocol, made: bytes, *, whole_is_good: bool) -> None:
    try:
        protocol.parse_request(made)
    except WireError:
        # InvokeModel's family is told by the body's shape: what half belongs to two is refused.
        assert not whole_is_good, "what was restored cannot be read"


@cache
def _memories(answers: tuple[str, ...]) -> tuple[RefusedResponse, ...]:
    return tuple(
        memory
        for name in answers
        for data in TARGETS[name].seeds
        for memory in _refused_all(TARGETS[name], TARGETS[name].body(data))
    )


def _refused_all(target: Target, body: bytes) -> tuple[RefusedResponse, ...]:
    """What is remembered of an answer whose every call is refused."""
    made: list[RefusedResponse] = []
    protocol: WireProtocol = target.protocol
    try:
        gate = protocol.gate(content_type=target.content_type, status=200, ref=REF, request=None)
        for piece in (body, b""):
            todo: list[GateEvent] = gate.feed(piece)
            while todo:
                event = todo.pop(0)
                if isinstance(event, Remember):
                    made.append(event.response)
                elif isinstance(event, CallFound):
                    todo[:0] = gate.rule(event.key, Refuse(TEXT))
    except CheckreinError:
        pass
    return tuple(made)


REQUESTS: tuple[RequestTarget, ...] = (
    RequestTarget("chat-request", "/v1/chat/completions", ("chat-json", "chat-sse")),
    RequestTarget("responses-request", "/v1/responses", ("responses-json", "responses-sse")),
    RequestTarget("anthropic-request", "/v1/messages", ("anthropic-json", "anthropic-sse")),
    RequestTarget(
        "gemini-request", "/v1beta/models/m:generateContent", ("gemini-json", "gemini-sse")
    ),
    RequestTarget(
        "interactions-request", "/v1beta/interactions", ("interactions-json", "interactions-sse")
    ),
    RequestTarget("converse-request", "/model/m/converse", ("converse-json", "converse-stream")),
    RequestTarget("invoke-request", "/model/m/invoke", ("invoke-json", "invoke-stream")),
    RequestTarget(
        "conversations-request",
        "/v1/conversations/conv_1",
        ("conversations-json", "conversations-sse"),
    ),
    RequestTarget("cohere-v1-request", "/v1/chat", ("cohere-v1-json", "cohere-v1-ndjson")),
    RequestTarget("cohere-v2-request", "/v2/chat", ("cohere-v2-json", "cohere-v2-sse")),
    RequestTarget("ollama-request", "/api/chat", ("ollama-json", "ollama-ndjson")),
    RequestTarget(
        "assistants-request",
        "/v1/threads/t/runs/run_1/submit_tool_outputs",
        ("assistants-json", "assistants-sse"),
    ),
)
