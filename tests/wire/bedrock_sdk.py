"""What the vendor's SDK makes of a Bedrock answer: botocore's own parsers, and a fold as its users write it."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from anthropic.lib.bedrock._stream_decoder import AWSEventStreamDecoder
from botocore.eventstream import EventStream
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import EventStreamJSONParser, create_parser

OPERATIONS = {
    "converse": "Converse",
    "converse-stream": "ConverseStream",
    "invoke": "InvokeModel",
    "invoke-with-response-stream": "InvokeModelWithResponseStream",
}


@cache
def _service() -> Any:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Any:
        yield self._body


def events_of(operation: str, body: bytes) -> list[dict[str, Any]]:
    """Returns the events that boto3 yields; raises what it raises."""
    shape = _service().operation_model(operation).output_shape
    stream_name = shape.serialization["payload"]
    output = shape.members[stream_name]
    stream = EventStream(_Raw(body), output, EventStreamJSONParser(), operation)
    return list(stream)


def document_of(operation: str, body: bytes) -> dict[str, Any]:
    """Returns what boto3 returns for a whole answer."""
    if operation == "InvokeModel":
        made: dict[str, Any] = json.loads(body)
        return made
    shape = _service().operation_model(operation).output_shape
    parsed: dict[str, Any] = create_parser("rest-json").parse(
        {"status_code": 200, "headers": {}, "body": body}, shape
    )
    return parsed


def message_of(url: str, body: bytes) -> tuple[list[dict[str, Any]], str | None]:
    """Returns an answer's blocks, in Converse's form, and the stop reason."""
    operation = OPERATIONS[url.rsplit("/", 1)[-1]]
    if operation == "ConverseStream":
        return _fold([next(iter(e.items())) for e in events_of(operation, body)])
    if operation == "InvokeModelWithResponseStream":
        events = events_of(operation, body)
        chunks = [json.loads(event["chunk"]["bytes"]) for event in events]
        if any("type" in chunk for chunk in chunks):
            list(AWSEventStreamDecoder().iter_bytes(iter([body])))
            return _fold_messages(chunks)
        return _fold(
            [(n, c[n]) for c in chunks for n in c if not n.startswith(("amazon", "input"))]
        )
    document = document_of(operation, body)
    if "output" in document:
        return document["output"]["message"]["content"], document.get("stopReason")
    made = [_from_messages(block) for block in document.get("content", ())]
    return made, document.get("stop_reason")


def calls_of(url: str, body: bytes) -> list[tuple[str, str, Any]]:
    blocks, _ = message_of(url, body)
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    return [(u["toolUseId"], u["name"], u["input"]) for u in uses]


def texts_of(url: str, body: bytes) -> tuple[str, str | None]:
    blocks, stop = message_of(url, body)
    return "\n".join(block["text"] for block in blocks if "text" in block), stop


def _fold(events: list[tuple[str, Any]]) -> tuple[list[dict[str, Any]], str | None]:
    blocks: dict[int, dict[str, Any]] = {}
    stop = None
    for name, event in events:
        if name == "contentBlockStart" and "toolUse" in event.get("start", {}):
            use = {**event["start"]["toolUse"], "input": ""}
            blocks[event["contentBlockIndex"]] = {"toolUse": use}
        elif name == "contentBlockDelta":
            delta = event["delta"]
            block = blocks.setdefault(event["contentBlockIndex"], {})
            if "toolUse" in delta:
                block["toolUse"]["input"] += delta["toolUse"]["input"]
            elif "text" in delta:
                block["text"] = block.get("text", "") + delta["text"]
        elif name == "messageStop":
            stop = event["stopReason"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return list(blocks.values()), stop


def _fold_messages(chunks: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str | None]:
    blocks: list[dict[str, Any]] = []
    stop = None
    for chunk in chunks:
        if chunk["type"] == "content_block_start":
            assert chunk["index"] == len(blocks)
            blocks.append({**chunk["content_block"], "json": ""})
        elif chunk["type"] == "content_block_delta":
            block, delta = blocks[chunk["index"]], chunk["delta"]
            block["text"] = block.get("text", "") + delta.get("text", "")
            block["json"] += delta.get("partial_json", "")
        elif chunk["type"] == "message_delta":
            stop = chunk["delta"]["stop_reason"]
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["json"] or "{}")
    return [_from_messages(block) for block in blocks], stop


def _from_messages(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] != "tool_use":
        return {"text": block.get("text", "")}
    use = {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}
    return {"toolUse": use}


def chunk_document(payload: bytes) -> Any:
    """Returns what one chunk's payload carries."""
    return json.loads(base64.b64decode(json.loads(payload)["bytes"]))
