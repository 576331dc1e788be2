"""OpenAI's Assistants API, and Azure's agents that speak it: runs that ask for tool outputs.

What belongs here: the paths, and which part reads what. Where calls stand is in `calls`, the gates are
`json_gate` and `stream_gate`, refused calls come back by `memory`.

Gated: everything under `/threads/{t}/runs` and `/threads/runs`. A run is also found in lists and
in the answers to `cancel` and `submit_tool_outputs`. Not gated: threads, messages and assistants, in
which no call can stand. Source: https://platform.openai.com/docs/api-reference/runs (read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from proxy.errors import WireError
from proxy.wire.assistants import memory as assistants_memory
from proxy.wire.assistants import request as assistants_request
from proxy.wire.assistants.calls import PROVIDER
from proxy.wire.assistants.json_gate import AssistantsJsonGate
from proxy.wire.assistants.stream_gate import AssistantsStreamGate
from proxy.wire.chat.calls import error_document
from proxy.wire.codec import (
    ParsedRequest,
    RefusedResponse,
    ResponseGate,
    Target,
    WireProtocol,
)
from proxy.wire.jsontext import encode

_RUNS = re.compile(
    r"(?:.*/)?threads/(?:runs|[^/]+/runs"
    r"(?:/[^/]+(?:/(?:cancel|submit_tool_outputs|steps(?:/[^/]+)?))?)?)"
)


class AssistantsProtocol:
    """`codec.WireProtocol` for one path of the Assistants API."""

    name = PROVIDER

    def __init__(self, thread_id: str | None = None, run_id: str | None = None) -> None:
        self._thread_id = thread_id
        self._run_id = run_id

    def parse_request(self, body: bytes) -> ParsedRequest:
        return assistants_request.parse(body, thread_id=self._thread_id, run_id=self._run_id)

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        outputs = {"tool_outputs", "tool_approvals"} & request.document.keys()
        if self._run_id is None or not outputs:
            return None
        return assistants_memory.restore(request, memories, self._run_id)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        media = content_type.partition(";")[0].strip().lower()
        if media == "text/event-stream":
            return AssistantsStreamGate(ref=ref, run_id=self._run_id)
        if media == "application/json" or media.endswith("+json") or not 200 <= status < 300:
            return AssistantsJsonGate(ref=ref, status=status, run_id=self._run_id)
        raise WireError(
            f"{PROVIDER} response: content type {media or 'missing'!r} is not used here"
        )

    def error_body(self, status: int, text: str) -> bytes:
        return encode(error_document(text))


PROTOCOLS: tuple[WireProtocol, ...] = (AssistantsProtocol(),)
"""One a name under which memories are kept."""


def claims(target: Target) -> WireProtocol | None:
    """Returns this API's protocol where the target is one of its endpoints."""
    if _RUNS.fullmatch(target.path) is None:
        return None
    path = target.raw_path  # ids have capitals, which the path for matching has lost
    for _ in range(3):
        path = unquote(path)
    parts = [part for part in path.split("/") if part]
    at = max((n for n, part in enumerate(parts) if part.lower() == "threads"), default=len(parts))
    ids = parts[at + 1 :]
    if len(ids) < 2:
        return AssistantsProtocol()
    return AssistantsProtocol(ids[0], ids[2] if len(ids) > 2 else None)
