"""Requests of Converse: read, and made whole again.

How it works. A history of Converse says the same as one of Anthropic's Messages API in other words, so
it is translated, read and restored by that API's codec, and translated back. Every translated block
keeps the block it came from; what nobody changed goes back as it came.

Rules of the API (https://docs.aws.amazon.com/bedrock/latest/userguide/tool-use-inference-call.html,
read 2026-11): the user message behind a turn holds one `toolResult` for each `toolUse`, no more and no
less, and no result is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

import msgspec

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.model import Json, ToolDefinition
from proxy.wire.anthropic.blocks import PROVIDER as ANTHROPIC
from proxy.wire.anthropic.request import parse_request as parse_messages
from proxy.wire.anthropic.restore import restore as restore_messages
from proxy.wire.bedrock.blocks import SERVER_TOOL
from proxy.wire.codec import ParsedRequest, RefusedResponse
from proxy.wire.jsontext import decode_object, encode
from proxy.wire.limits import output_limit

_WHAT = "bedrock: request"
_CAME = "came"  # in a translated block: the block it came from

# Converse's own; Nova's by InvokeModel; what a model reads behind Converse's back.
_LIMITS = (
    "inferenceConfig.maxTokens",
    "inferenceConfig.max_new_tokens",
    "additionalModelRequestFields.max_tokens",
    "additionalModelRequestFields.max_completion_tokens",
)

type _Block = dict[str, Json]


def parse(body: bytes, *, provider: str, model: str | None, stream: bool) -> ParsedRequest:
    """Reads a request body.

    Raises:
        WireError: not JSON, or not of this API's shape; the message says where.
    """
    return parse_document(decode_object(body, _WHAT), provider=provider, model=model, stream=stream)


def parse_document(
    document: dict[str, Json], *, provider: str, model: str | None, stream: bool
) -> ParsedRequest:
    messages = [
        message | {"content": [{k: v for k, v in b.items() if k != _CAME} for b in content]}
        for message in _translated(document)
        if isinstance(content := message["content"], list)
    ]
    system = [b for b in map(_from_block, _list(document.get("system"), "$.system"))]
    texts = [{"type": "text", "text": b["text"]} for b in system if b["type"] == "text"]
    try:
        read = parse_messages(encode({"system": texts, "messages": messages}))
    except UnicodeEncodeError as error:
        raise WireError(f"{_WHAT}: text that UTF-8 cannot carry") from error
    return replace(
        read,
        provider=provider,
        document=document,
        model=model,
        stream=stream,
        tools=tuple(_tools(document)),
        max_output_tokens=output_limit(document, *_LIMITS),
    )


def restore(
    document: dict[str, Json], memories: Sequence[RefusedResponse]
) -> dict[str, Json] | None:
    """Returns the body with refused calls and their failed results put back; None: no change."""
    shape: dict[str, Json] = {"messages": _translated(document)}
    turns = [
        replace(
            memory,
            provider=ANTHROPIC,
            original={
                "role": "assistant",
                "content": [_from_block(block) for block in memory.original["content"]],
            },
        )
        for memory in memories
    ]
    made = restore_messages(ParsedRequest(provider=ANTHROPIC, document=shape), turns)
    if made is None:
        return None
    messages = [
        {"role": message["role"], "content": [_to_block(b) for b in message["content"]]}
        for message in msgspec.json.decode(made)["messages"]
    ]
    return document | {"messages": messages}


def _translated(document: dict[str, Json]) -> list[dict[str, Json]]:
    made: list[dict[str, Json]] = []
    for n, message in enumerate(_list(document.get("messages"), "$.messages")):
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str):
            raise WireError(f"{_WHAT}: expected a message with a role - at $.messages[{n}]")
        content = _list(message.get("content"), f"$.messages[{n}].content")
        made.append({"role": role, "content": [_from_block(block) for block in content]})
    return made


def _from_block(block: Json) -> _Block:
    """Translates one content block, and keeps it."""
    if not isinstance(block, dict):
        raise WireError(f"{_WHAT}: expected a content block, got {type(block).__name__}")
    made: _Block = {"type": "bedrock"}  # images, cache points and what may come: carried along
    if isinstance(text := block.get("text"), str):
        made = {"type": "text", "text": text}
    elif isinstance(use := block.get("toolUse"), dict):
        kind = SERVER_TOOL if use.get("type") == SERVER_TOOL else "tool_use"
        made = {"type": kind, "name": use.get("name"), "input": use.get("input")}
        made["id"] = use.get("toolUseId")
    elif isinstance(result := block.get("toolResult"), dict):
        made = {
            "type": "tool_result",
            "tool_use_id": result.get("toolUseId"),
            "content": _result_content(result),
            "is_error": result.get("status") == "error",
        }
    elif isinstance(reasoning := block.get("reasoningContent"), dict):
        said = reasoning.get("reasoningText")
        if isinstance(said, dict):
            made = {"type": "thinking", "thinking": said.get("text")}
            made["signature"] = said.get("signature")
        else:
            made = {"type": "redacted_thinking", "data": reasoning.get("redactedContent")}
    return made | {_CAME: block}


def _to_block(block: _Block) -> _Block:
    came: _Block | None = block.get(_CAME)
    if came is not None and (block["type"] != "text" or came["text"] == block["text"]):
        return came
    if block["type"] == "text":
        return {"text": block["text"]}
    return {  # the only other block that is added: a failed result
        "toolResult": {
            "toolUseId": block["tool_use_id"],
            "content": [{"text": block["content"]}],
            "status": "error",
        }
    }


def _result_content(result: dict[str, Json]) -> list[Json]:
    parts: list[Json] = []
    for part in _list(result.get("content"), "a toolResult"):
        if not isinstance(part, dict):
            raise WireError(f"{_WHAT}: expected an object in a toolResult")
        if isinstance(part.get("text"), str):
            parts.append({"type": "text", "text": part["text"]})
        elif part.get("json") is not None:
            parts.append({"type": "text", "text": encode(_plain(part["json"])).decode()})
    return parts


def _plain(value: Json) -> Json:
    return float(value) if isinstance(value, Decimal) else value


def _tools(document: dict[str, Json]) -> Iterator[ToolDefinition]:
    """Yields one definition a tool; cache points move from turn to turn and define nothing."""
    config = document.get("toolConfig")
    if config is None:
        return
    if not isinstance(config, dict):
        raise WireError(f"{_WHAT}: expected an object - at $.toolConfig")
    for n, tool in enumerate(_list(config.get("tools"), "$.toolConfig.tools")):
        if not isinstance(tool, dict):
            raise WireError(f"{_WHAT}: expected an object - at $.toolConfig.tools[{n}]")
        if tool.get("cachePoint") is not None:
            continue
        spec = tool.get("toolSpec") or tool.get("systemTool")
        name = spec.get("name") if isinstance(spec, dict) else None
        try:
            yield ToolDefinition(name if isinstance(name, str) else "", digest(tool), tool)
        except (ValueError, RecursionError) as error:
            raise WireError(f"{_WHAT}: a tool without a canonical form - at {n}") from error


def _list(value: Json, where: str) -> list[Json]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise WireError(f"{_WHAT}: expected an array - at {where}")
    return value
