"""The reading of a Messages request: history, tools, and what it says of its session.

What belongs here: request body in, `ParsedRequest` out. A shape that the API does not have is refused,
since what cannot be read cannot be judged. `opening` holds the system text as it came: Claude Code
writes lines into it that change from run to run (dates, billing headers), so it is a weak identity,
to be used only where nothing better is said.
Vendor page: https://docs.claude.com/en/api/messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.model import Json, ToolDefinition, ToolResult
from proxy.wire.anthropic.blocks import PROVIDER, is_client_call
from proxy.wire.codec import REF_PATTERN, ParsedRequest
from proxy.wire.jsontext import decode_object
from proxy.wire.limits import output_limit

_WHAT = "anthropic: request"
_REF = re.compile(REF_PATTERN)
_OLD_USER_ID = re.compile(r"_session_([0-9a-f-]{36})\Z")  # Claude Code before it wrote JSON there
_HINT_LIMIT = 512  # a session's name longer than this is no name


def parse_request(body: bytes) -> ParsedRequest:
    """Reads a request body.

    Raises:
        WireError: not JSON, or not of this API's shape; the message says where.
    """
    document = decode_object(body, _WHAT)
    messages = document.get("messages")
    if not isinstance(messages, list):
        raise WireError(f"{_WHAT}: expected an array - at $.messages")
    contents = [
        (_role(message, n), blocks_of(message.get("content"), f"$.messages[{n}].content"))
        for n, message in enumerate(messages)
    ]
    system = _text(blocks_of(_present(document, "system"), "$.system"))
    user_texts = [t for role, blocks in contents if role == "user" and (t := _text(blocks))]
    calls = {
        str(block["id"]): block
        for role, blocks in contents
        if role == "assistant"
        for block in blocks
        if is_client_call(str(block["type"])) and isinstance(block.get("id"), str)
    }
    hints = _hints(document)
    model = document.get("model")
    keys = [f"ref:{ref.decode()}" for ref in _REF.findall(body)]
    if "previous_response_id" in hints:
        keys.append(f"response:{hints['previous_response_id']}")
    keys += [f"call:{call_id}" for call_id in calls]
    return ParsedRequest(
        provider=PROVIDER,
        document=document,
        model=model if isinstance(model, str) else None,
        stream=document.get("stream") is True,
        results=tuple(_results(contents)),
        tools=tuple(_tools(document)),
        max_output_tokens=output_limit(document, "max_tokens", "max_tokens_to_sample"),
        system_text=system,
        user_text=user_texts[-1] if user_texts else "",
        opening="\n\n".join(part for part in (system, *user_texts[:1]) if part),
        hints=hints,
        remembered_by=tuple(dict.fromkeys(keys)),
    )


def blocks_of(content: Json, where: str) -> list[dict[str, Json]]:
    """Returns content as blocks; a string stands for one text block.

    Raises:
        WireError: neither a string nor an array of objects with a type.
    """
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        raise WireError(f"{_WHAT}: expected a string or an array - at {where}")
    for n, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise WireError(f"{_WHAT}: expected a content block with a type - at {where}[{n}]")
    return content


def _present(document: Mapping[str, Json], key: str) -> Json:
    value = document.get(key)
    return [] if value is None else value


def _role(message: Json, n: int) -> str:
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str):
        raise WireError(f"{_WHAT}: expected a message with a role - at $.messages[{n}]")
    return role


def _text(blocks: list[dict[str, Json]]) -> str:
    """Joins the text of blocks, also of documents and search results that carry some."""
    parts: list[str] = []
    for block in blocks:
        kind = block["type"]
        if kind == "text" and isinstance(block.get("text"), str):
            parts.append(block["text"])
        elif kind == "document" and isinstance(source := block.get("source"), dict):
            if source.get("type") == "text" and isinstance(source.get("data"), str):
                parts.append(source["data"])
            elif source.get("type") == "content":
                parts.append(_text(blocks_of(source.get("content"), "a document's source")))
        elif kind == "search_result" and isinstance(block.get("content"), list):
            parts.append(_text(blocks_of(block["content"], "a search result")))
    return "\n".join(part for part in parts if part)


def _results(contents: list[tuple[str, list[dict[str, Json]]]]) -> Iterator[ToolResult]:
    """Yields the tool results in order, each with the digest of the call before it that it answers."""
    asked: dict[str, tuple[str | None, str | None]] = {}  # ids may be used again: the latest counts
    for role, blocks in contents:
        for block in blocks:
            call_id = block.get("id")
            if role == "assistant" and is_client_call(block["type"]) and isinstance(call_id, str):
                name = block.get("name")
                asked[call_id] = (name if isinstance(name, str) else None, _digest(block))
            elif role == "user" and block["type"] == "tool_result":
                tool_use_id = block.get("tool_use_id")
                if not isinstance(tool_use_id, str):
                    raise WireError(f"{_WHAT}: a tool_result without tool_use_id")
                called, args_sha256 = asked.get(tool_use_id, (None, None))
                content = block.get("content")
                yield ToolResult(
                    call_id=tool_use_id,
                    name=called,
                    text=_text(blocks_of([] if content is None else content, "a tool_result")),
                    is_error=block.get("is_error") is True,
                    args_sha256=args_sha256,
                )


def _digest(block: Mapping[str, Json]) -> str | None:
    try:
        return digest(block.get("input") or {})
    except (ValueError, RecursionError):
        return None


def _tools(document: Mapping[str, Json]) -> Iterator[ToolDefinition]:
    """Yields one definition a tool: client tools, server tools by type, MCP servers by name."""
    tools = _present(document, "tools")
    if not isinstance(tools, list):
        raise WireError(f"{_WHAT}: expected an array - at $.tools")
    for n, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise WireError(f"{_WHAT}: expected an object - at $.tools[{n}]")
        name = tool.get("name") or tool.get("mcp_server_name") or tool.get("type")
        # A cache breakpoint moves from turn to turn and says nothing of what the tool does.
        yield _definition(name, {k: v for k, v in tool.items() if k != "cache_control"}, n)
    servers = _present(document, "mcp_servers")
    if not isinstance(servers, list):
        raise WireError(f"{_WHAT}: expected an array - at $.mcp_servers")
    for n, server in enumerate(servers):
        if not isinstance(server, dict):
            raise WireError(f"{_WHAT}: expected an object - at $.mcp_servers[{n}]")
        kept = {k: v for k, v in server.items() if k != "authorization_token"}
        yield _definition(f"mcp:{server.get('name')}", kept, n)


def _definition(name: Json, value: dict[str, Json], n: int) -> ToolDefinition:
    try:
        return ToolDefinition(name if isinstance(name, str) else "", digest(value), value)
    except (ValueError, RecursionError) as error:
        raise WireError(f"{_WHAT}: a tool that has no canonical form - at $.tools[{n}]") from error


def _hints(document: Mapping[str, Json]) -> dict[str, str]:
    """Returns what the body says of its session.

    Claude Code writes a JSON string with `session_id` into `metadata.user_id`, and may continue a
    history that the server keeps (`thread`).
    """
    hints: dict[str, str] = {}
    metadata = document.get("metadata")
    user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
    if isinstance(user_id, str) and user_id:
        session = _session_in(user_id)
        if session:
            hints["session_id"] = session
        elif len(user_id) <= _HINT_LIMIT:
            hints["user_id"] = user_id
    thread = document.get("thread")
    if isinstance(thread, dict):
        previous = thread.get("previous_message_id")
        if isinstance(previous, str) and previous:
            hints["previous_response_id"] = previous
    return hints


def _session_in(user_id: str) -> str | None:
    if not user_id.lstrip().startswith("{"):
        found = _OLD_USER_ID.search(user_id)
        return found[1] if found else None
    try:
        value = msgspec.json.decode(user_id)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    session = value.get("session_id") if isinstance(value, dict) else None
    return session if isinstance(session, str) and 0 < len(session) <= _HINT_LIMIT else None
