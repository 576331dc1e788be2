"""One Responses request, parsed once: results, tools, texts, and the names it gives its session.

What belongs here: reading only; `restore` writes. Unknown items and parts are passed
over: the provider judges them, not we. Shapes:
https://platform.openai.com/docs/api-reference/responses/create (read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.model import Json, ToolDefinition, ToolResult
from proxy.wire.codec import REF_PATTERN, ParsedRequest
from proxy.wire.jsontext import decode_object
from proxy.wire.limits import output_limit
from proxy.wire.responses.items import PROVIDER, Role, answer_key, call_key, call_of, role_of
from proxy.wire.responses.memory import conversation_id

_REF = re.compile(REF_PATTERN)
# Fresh in every request, so no part of what a tool is.
_VOLATILE = frozenset({"authorization", "headers"})


def parse_request(body: bytes) -> ParsedRequest:
    """See `codec.WireProtocol.parse_request`."""
    document = decode_object(body, "openai.responses: request")
    items = items_of(document)
    instructions = document.get("instructions")
    texts = [instructions] if isinstance(instructions, str) else []
    texts += [text_of(item.get("content")) for item in items if _role(item) in _SYSTEM]
    user = [text_of(item.get("content")) for item in items if _role(item) == "user"]
    system_text = "\n".join(texts)
    model = document.get("model")
    return ParsedRequest(
        provider=PROVIDER,
        document=document,
        model=model if isinstance(model, str) else None,
        stream=document.get("stream") is True,
        results=tuple(_results(items)),
        tools=tuple(_tools(document, items)),
        max_output_tokens=output_limit(document, "max_output_tokens"),
        system_text=system_text,
        user_text=user[-1] if user else "",
        opening=f"{system_text}\n{user[0] if user else ''}",
        hints=_hints(document),
        remembered_by=tuple(dict.fromkeys(_keys(body, document, items))),
    )


_SYSTEM = frozenset({"system", "developer"})


def items_of(document: dict[str, Json]) -> list[dict[str, Json]]:
    """Returns the input as items; a plain string is one user message.

    Raises:
        WireError: `input` is neither text nor a list of objects.
    """
    given = document.get("input")
    if given is None:
        return []
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise WireError("openai.responses: request: expected text or a list - at $.input")
    for at, item in enumerate(given):
        if not isinstance(item, dict):
            raise WireError(f"openai.responses: request: expected an object - at $.input[{at}]")
    return given


def text_of(content: Json) -> str:
    """Returns all text of a message's content or of a result's output."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    found: list[str] = []
    for part in parts:
        if isinstance(part, dict):
            # stdout and stderr: what a shell call's output is made of.
            for name in ("text", "refusal", "stdout", "stderr"):
                if isinstance(part.get(name), str) and part[name]:
                    found.append(part[name])
    return "\n".join(found)


def is_message(item: dict[str, Json]) -> bool:
    """Tells whether an item is a message; the type may be absent."""
    return item.get("type", "message") == "message" and isinstance(item.get("role"), str)


def _role(item: dict[str, Json]) -> Json:
    return item["role"] if is_message(item) else None


def _results(items: Iterable[dict[str, Json]]) -> Iterator[ToolResult]:
    calls: dict[tuple[str, str], tuple[str, str]] = {}  # name and digest; the latest wins
    for item in items:
        key = call_key(item)
        if key is not None:
            call = call_of(item, None)
            calls[key] = (call.name, call.args_sha256)
            continue
        kind = item.get("type")
        refusal = kind == "mcp_approval_response" and item.get("approve") is False
        if not refusal and not (isinstance(kind, str) and kind.endswith("_output")):
            continue
        key = answer_key(item)
        name, sha = calls.get(key, (None, None)) if key is not None else (None, None)
        yield ToolResult(
            call_id=key[1] if key is not None else None,
            name=name or (item["name"] if isinstance(item.get("name"), str) else None),
            text=text_of(item.get("reason") if refusal else item.get("output")),
            is_error=refusal or item.get("status") in ("failed", "incomplete"),
            args_sha256=sha,
        )


def _tools(document: dict[str, Json], items: Iterable[dict[str, Json]]) -> Iterator[ToolDefinition]:
    yield from _definitions(document.get("tools"))
    for item in items:
        if item.get("type") == "additional_tools":
            yield from _definitions(item.get("tools"))


def _definitions(tools: Json) -> Iterator[ToolDefinition]:
    for tool in tools if isinstance(tools, list) else []:
        if not isinstance(tool, dict):
            continue
        if tool.get("type") == "namespace" and isinstance(tool.get("tools"), list):
            yield from _definitions(tool["tools"])
            continue
        name = tool.get("name") or tool.get("server_label") or tool.get("type")
        stable = {k: v for k, v in tool.items() if k not in _VOLATILE}
        try:
            yield ToolDefinition(str(name), digest(stable), stable)
        except ValueError as error:
            raise WireError(f"openai.responses: request: tool {name!r} has no digest") from error


def _hints(document: dict[str, Json]) -> dict[str, str]:
    metadata = document.get("metadata")
    found: dict[str, Json] = {
        "conversation": conversation_id(document.get("conversation")),
        "session_id": metadata.get("session_id") if isinstance(metadata, dict) else None,
    }
    for name in ("previous_response_id", "prompt_cache_key", "user", "safety_identifier"):
        found[name] = document.get(name)
    return {k: v for k, v in found.items() if isinstance(v, str) and v}


def _keys(
    body: bytes, document: dict[str, Json], items: Iterable[dict[str, Json]]
) -> Iterator[str]:
    for ref in _REF.findall(body):
        yield f"ref:{ref.decode()}"
    if isinstance(document.get("previous_response_id"), str):
        yield f"response:{document['previous_response_id']}"
    conversation = conversation_id(document.get("conversation"))
    if conversation is not None:
        yield f"conversation:{conversation}"
    for item in items:
        # Some clients send ids in place of whole items (`item_reference`).
        named = item.get("type") in ("reasoning", "item_reference") or _role(item) == "assistant"
        client_call = role_of(item) is Role.CLIENT
        if (named or client_call) and isinstance(item.get("id"), str):
            yield f"item:{item['id']}"
        key = call_key(item) if client_call else None
        if key is not None:
            yield f"call:{key[1]}"
