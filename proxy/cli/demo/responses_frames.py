"""The event stream of one Responses answer, made from its finished document.

Every event has `event:` and `sequence_number`; text and argument deltas carry `obfuscation`, as in
streams recorded in 2025 and 2026.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.cli.demo.speech import Ids, compact, pieces
from proxy.model import Json

type Event = dict[str, Json]


def frames_of(document: dict[str, Json], ids: Ids) -> list[bytes]:
    """Returns the frames that build up to `document`."""
    frames: list[bytes] = []
    for number, event in enumerate(_events(document, ids)):
        kind = event["type"]
        body = {"type": kind, "sequence_number": number, **event}
        frames.append(f"event: {kind}\n".encode() + b"data: " + compact(body) + b"\n\n")
    return frames


def _events(document: dict[str, Json], ids: Ids) -> Iterator[Event]:
    started = {**document, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    for index, item in enumerate(document["output"]):
        yield {
            "type": "response.output_item.added",
            "output_index": index,
            "item": _empty(item),
        }
        at = {"item_id": item["id"], "output_index": index}
        match item["type"]:
            case "reasoning":
                yield from _summary(item, at, ids)
            case "message":
                yield from _text(item, at, ids)
            case "function_call":
                yield from _arguments(item, at, ids)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": document}


def _empty(item: dict[str, Any]) -> dict[str, Json]:
    match item["type"]:
        case "reasoning":
            return {**item, "summary": []}
        case "message":
            return {**item, "status": "in_progress", "content": []}
        case _:
            return {**item, "status": "in_progress", "arguments": ""}


def _hidden(ids: Ids, piece: str) -> str:
    return ids.mixed("", max(1, 16 - len(piece)))


def _summary(item: dict[str, Any], at: Event, ids: Ids) -> Iterator[Event]:
    for number, part in enumerate(item["summary"]):
        here = {**at, "summary_index": number}
        kind, text = "response.reasoning_summary", part["text"]
        yield {"type": f"{kind}_part.added", **here, "part": {**part, "text": ""}}
        for piece in pieces(text):
            hidden = _hidden(ids, piece)
            yield {"type": f"{kind}_text.delta", **here, "delta": piece, "obfuscation": hidden}
        yield {"type": f"{kind}_text.done", **here, "text": text}
        yield {"type": f"{kind}_part.done", **here, "part": part}


def _text(item: dict[str, Any], at: Event, ids: Ids) -> Iterator[Event]:
    for number, part in enumerate(item["content"]):
        here = {**at, "content_index": number}
        text = part["text"]
        yield {"type": "response.content_part.added", **here, "part": {**part, "text": ""}}
        for piece in pieces(text):
            yield {
                "type": "response.output_text.delta",
                **here,
                "delta": piece,
                "logprobs": [],
                "obfuscation": _hidden(ids, piece),
            }
        yield {"type": "response.output_text.done", **here, "text": text, "logprobs": []}
        yield {"type": "response.content_part.done", **here, "part": part}


def _arguments(item: dict[str, Any], at: Event, ids: Ids) -> Iterator[Event]:
    kind, arguments = "response.function_call_arguments", item["arguments"]
    for piece in pieces(arguments):
        yield {"type": f"{kind}.delta", **at, "delta": piece, "obfuscation": _hidden(ids, piece)}
    yield {"type": f"{kind}.done", **at, "arguments": arguments}
