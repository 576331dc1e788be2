"""The text of an answer that never said how many tokens it was: cut short, or asked not to say.

What belongs here: one reading of decoded bytes in any framing (events, lines, one body, Bedrock's
frames), for counting alone. Only what streams is taken: an event that sums up what was streamed would
count it twice. Unreadable parts are passed over; nothing is decided by what this finds.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.bedrock.eventstream import EventReader, document_of
from proxy.wire.bedrock.framing import chunk_bytes

_TEXTS = frozenset(
    {"content", "text", "delta", "arguments", "partial_json", "thinking", "reasoning", "response"}
    | {"reasoning_content", "refusal", "input", "name", "generation", "outputText", "tool_calls"}
    | {"function", "message", "choices", "candidates", "parts", "functionCall", "args", "output"}
    | {"partialArgs", "stringValue", "content_block", "toolUse", "outputs", "item", "custom"}
)
_STREAMED = ("delta", "generation", "start")
_DEEP = 40


def said_in(body: bytes) -> str:
    """Returns the text that an answer's decoded bytes brought so far."""
    texts: list[str] = []
    for document in _documents(body):
        kind = document.get("type") or document.get("event_type") or document.get("object") or ""
        if isinstance(kind, str) and _sums_up(kind):
            continue
        _collect(document, texts, 0)
    return "".join(texts)


def is_unfinished(body: bytes) -> bool:
    """Tells whether a whole body only says that the answer is being worked on (a run, `background`)."""
    document = _read(body)
    status = document.get("status") if document is not None else None
    return isinstance(status, str) and status.lower() in ("queued", "in_progress")


def _sums_up(kind: str) -> bool:
    """Whether an event of this type repeats what came before it, or says nothing."""
    if kind in ("", "message", "response") or kind.startswith(("chat.completion", "text_comp")):
        return False
    return not any(word in kind for word in _STREAMED)


def _documents(body: bytes) -> Iterator[dict[str, Json]]:
    whole = _read(body)
    if whole is not None:
        yield whole
        return
    if body[:1] == b"\0":  # a frame's length: no text begins so
        yield from _frames(body)
        return
    for line in body.splitlines():
        data = line.removeprefix(b"data:").strip().strip(b",[]")
        if data[:1] == b"{" and (document := _read(data)) is not None:
            yield document


def _frames(body: bytes) -> Iterator[dict[str, Json]]:
    reader = EventReader()
    reader.feed(body)
    try:
        while (event := reader.next()) is not None:
            carried = chunk_bytes(event) if event.kind == "chunk" else None
            document = document_of(event) if carried is None else _read(carried)
            if document is not None:
                yield document
    except WireError:
        return


def _read(data: bytes) -> dict[str, Json] | None:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _collect(value: Json, texts: list[str], depth: int) -> None:
    if isinstance(value, str):
        texts.append(value)
    elif depth > _DEEP:
        return
    elif isinstance(value, list):
        for one in value:
            _collect(one, texts, depth + 1)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in _TEXTS or (depth > 0 and key not in _MARKS and not isinstance(inner, str)):
                _collect(inner, texts, depth + 1)


_MARKS = frozenset({"usage", "logprobs", "usageMetadata", "metadata", "annotations"})
