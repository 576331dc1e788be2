"""What an Ollama request says, and refused calls put back into it.

What belongs here: the reading of a body, and which result belongs to which call: by `tool_call_id`, else
by `tool_name` (`name` in older clients) among the calls of the turn that have no result yet, else the
first of these. Ollama has no memory of its own: the whole history comes with every request.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.model import Call, Json, ToolDefinition, ToolResult
from proxy.wire.codec import REF_PATTERN, ParsedRequest, RefusedCall, RefusedResponse
from proxy.wire.jsontext import decode_object, encode
from proxy.wire.limits import output_limit
from proxy.wire.ollama.calls import PROVIDER, anonymous, call_of
from proxy.wire.turns import put_back

_WHAT = "ollama request"
_REF = re.compile(REF_PATTERN)


def parse_request(body: bytes) -> ParsedRequest:
    """Reads a request body, of /api/chat or /api/generate.

    Raises:
        WireError: not JSON, or not of this API's shape.
    """
    document = decode_object(body, _WHAT)
    messages = document.get("messages")
    if messages is None:
        messages = []
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise WireError(f"{_WHAT}: $.messages: expected a list of objects")
    told = [(m.get("role"), m.get("content")) for m in messages]
    users = [text for role, text in told if role == "user" and isinstance(text, str)]
    systems = [text for role, text in told if role == "system" and isinstance(text, str)]
    prompt, system = document.get("prompt"), document.get("system")
    users += [prompt] if isinstance(prompt, str) and prompt else []
    systems += [system] if isinstance(system, str) and system else []
    model = document.get("model")
    ids = (
        call_id
        for m in messages
        for entry in m.get("tool_calls") or []
        if isinstance(entry, dict) and isinstance(call_id := entry.get("id"), str)
    )
    keys = [f"ref:{ref.decode()}" for ref in _REF.findall(body)]
    return ParsedRequest(
        provider=PROVIDER,
        document=document,
        model=model if isinstance(model, str) else None,
        stream=document.get("stream") is not False,  # lines are the default
        results=tuple(_results(messages)),
        tools=tuple(_tools(document.get("tools"))),
        max_output_tokens=output_limit(document, "options.num_predict"),
        system_text="\n".join(systems),
        user_text=users[-1] if users else "",
        opening="\n".join([*systems[:1], *users[:1]]),
        remembered_by=tuple(dict.fromkeys([*keys, *(f"call:{call_id}" for call_id in ids)])),
    )


def restore(request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
    """Returns the body with what the memories hold put back; None when nothing changes."""
    messages = request.document.get("messages")
    if not isinstance(messages, list):
        return None
    made = list(messages)
    changed = [put_back(made, memory, _FORM) for memory in memories]
    return encode(request.document | {"messages": made}) if any(changed) else None


class _OllamaForm:
    """See `turns.Form`."""

    def call_id(self, entry: dict[str, Json]) -> str | None:
        call = _call(entry)
        return call.id if call else None

    def same(self, entry: dict[str, Json]) -> Hashable:
        call = _call(entry)
        return (call.name, call.args_sha256) if call else None

    def answered(self, result: dict[str, Json]) -> str | None:
        named = result.get("tool_call_id")
        return named if isinstance(named, str) else None

    def failed(self, entry: dict[str, Json], refused: RefusedCall) -> dict[str, Json]:
        made = {"role": "tool", "tool_name": refused.name, "content": refused.text}
        return made | ({"tool_call_id": entry["id"]} if entry.get("id") else {})

    def whole(self, message: dict[str, Json], original: dict[str, Json]) -> dict[str, Json]:
        if original.get("thinking") and not message.get("thinking"):
            return message | {"thinking": original["thinking"]}
        return message


_FORM = _OllamaForm()


def _call(entry: Json) -> Call | None:
    try:
        return call_of(entry, _WHAT)
    except WireError:
        return None


def _results(messages: Sequence[dict[str, Json]]) -> Iterator[ToolResult]:
    open_calls: list[Call] = []
    for message in messages:
        if message.get("role") == "assistant":
            calls = (_call(entry) for entry in message.get("tool_calls") or [])
            open_calls = [call for call in calls if call is not None]
        elif message.get("role") == "tool":
            call = _answered(message, open_calls)
            if call is not None:
                open_calls.remove(call)
            content, own = message.get("content"), message.get("tool_call_id")
            name = message.get("tool_name") or message.get("name")
            call_id = call.id if call else own if isinstance(own, str) else None
            yield ToolResult(
                call_id=call_id,
                name=call.name if call else name if isinstance(name, str) else None,
                text=content if isinstance(content, str) else "",
                args_sha256=call.args_sha256 if call else None,
            )


def _answered(message: dict[str, Json], calls: Sequence[Call]) -> Call | None:
    own = message.get("tool_call_id")
    if isinstance(own, str) and own:
        return next((c for c in calls if own in (c.id, anonymous(c).id)), None)
    name = message.get("tool_name") or message.get("name")
    if isinstance(name, str) and name:
        return next((c for c in calls if c.name == name), None)
    return calls[0] if calls else None


def _tools(tools: Json) -> Iterator[ToolDefinition]:
    if tools is None:
        return
    if not isinstance(tools, list):
        raise WireError(f"{_WHAT}: $.tools: expected a list")
    for n, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        try:
            yield ToolDefinition(name if isinstance(name, str) else "", digest(tool), tool)
        except (ValueError, RecursionError) as error:
            raise WireError(f"{_WHAT}: $.tools[{n}]: no canonical form") from error
