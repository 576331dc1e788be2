"""What a request of Cohere's v2 says, and refused calls put back into it.

What belongs here: the reading of a body, and the form in which a history carries calls and results: the
assistant message with its `tool_plan`, then one message of role `tool` for each `tool_call_id`
(https://docs.cohere.com/docs/tool-use-overview, read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.model import Json, ToolDefinition, ToolResult
from proxy.wire.codec import REF_PATTERN, ParsedRequest, RefusedCall, RefusedResponse
from proxy.wire.cohere.v2_calls import PROVIDER, call_of
from proxy.wire.jsontext import decode_object, encode
from proxy.wire.limits import answers_wanted, output_limit
from proxy.wire.turns import put_back, text_of

_WHAT = "cohere.v2 request"
_REF = re.compile(REF_PATTERN)


def parse_request(body: bytes) -> ParsedRequest:
    """Reads a request body.

    Raises:
        WireError: not JSON, or not of this API's shape.
    """
    document = decode_object(body, _WHAT)
    messages = document.get("messages")
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise WireError(f"{_WHAT}: $.messages: expected a list of objects")
    users = [text_of(m.get("content")) for m in messages if m.get("role") == "user"]
    systems = [text_of(m.get("content")) for m in messages if m.get("role") in _SYSTEM]
    model = document.get("model")
    ids = [
        call_id
        for m in messages
        for entry in m.get("tool_calls") or []
        if isinstance(entry, dict) and isinstance(call_id := entry.get("id"), str)
    ]
    keys = [f"ref:{ref.decode()}" for ref in _REF.findall(body)]
    return ParsedRequest(
        provider=PROVIDER,
        document=document,
        model=model if isinstance(model, str) else None,
        stream=document.get("stream") is True,
        results=tuple(_results(messages)),
        tools=definitions(document.get("tools"), _WHAT),
        max_output_tokens=output_limit(document, "max_tokens"),
        answers=answers_wanted(document, "num_generations"),
        system_text="\n".join(systems),
        user_text=users[-1] if users else "",
        opening="\n".join([*systems[:1], *users[:1]]),
        remembered_by=tuple(dict.fromkeys([*keys, *(f"call:{call_id}" for call_id in ids)])),
    )


_SYSTEM = ("system", "developer")


def restore(request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
    """Returns the body with what the memories hold put back; None when nothing changes."""
    made = list(request.document["messages"])
    changed = [put_back(made, memory, _FORM) for memory in memories]
    return encode(request.document | {"messages": made}) if any(changed) else None


class _CohereForm:
    """See `turns.Form`."""

    def call_id(self, entry: dict[str, Json]) -> str | None:
        try:
            return call_of(entry, None, _WHAT).id
        except WireError:
            return None

    def same(self, entry: dict[str, Json]) -> Hashable:
        return self.call_id(entry)

    def answered(self, result: dict[str, Json]) -> str | None:
        named = result.get("tool_call_id")
        return named if isinstance(named, str) else None

    def failed(self, entry: dict[str, Json], refused: RefusedCall) -> dict[str, Json]:
        return {"role": "tool", "tool_call_id": refused.call_id, "content": refused.text}

    def whole(self, message: dict[str, Json], original: dict[str, Json]) -> dict[str, Json]:
        made = dict(message)
        if original.get("tool_plan") and not made.get("tool_plan"):
            made["tool_plan"] = original["tool_plan"]
        if not made.get("content"):
            made.pop("content", None)  # a message with calls needs none; an empty one is refused
        return made


_FORM = _CohereForm()


def _results(messages: Sequence[dict[str, Json]]) -> Iterator[ToolResult]:
    asked: dict[str, tuple[str, str]] = {}  # ids may come again: a result answers the nearest call
    for message in messages:
        for entry in message.get("tool_calls") or []:
            try:
                call = call_of(entry, None, _WHAT)
            except WireError:
                continue
            asked[call.id or ""] = (call.name, call.args_sha256)
        if message.get("role") == "tool":
            own = message.get("tool_call_id")
            call_id = own if isinstance(own, str) else None
            name, args_sha256 = asked.get(call_id or "", (None, None))
            text = _result_text(message.get("content"))
            yield ToolResult(call_id=call_id, name=name, text=text, args_sha256=args_sha256)


def _result_text(content: Json) -> str:
    """A result's text: a string, or text and document parts."""
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for part in content if isinstance(content, list) else []:
        document = part.get("document") if isinstance(part, dict) else None
        data = document.get("data") if isinstance(document, dict) else None
        if isinstance(data, str):
            texts.append(data)
        elif data is not None:
            texts.append(encode(data).decode())
        else:
            texts.append(text_of([part]))
    return "\n".join(text for text in texts if text)


def definitions(tools: Json, what: str) -> tuple[ToolDefinition, ...]:
    """Returns one definition a tool: v2's functions, v1's bare ones.

    Raises:
        WireError: not a list, or a tool without a canonical form.
    """
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise WireError(f"{what}: $.tools: expected a list")
    made: list[ToolDefinition] = []
    for n, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise WireError(f"{what}: $.tools[{n}]: expected an object")
        inner = tool["function"] if isinstance(tool.get("function"), dict) else tool
        name = inner.get("name")
        try:
            known = name if isinstance(name, str) else ""
            made.append(ToolDefinition(known, digest(tool), tool))
        except (ValueError, RecursionError) as error:
            raise WireError(f"{what}: $.tools[{n}]: no canonical form") from error
    return tuple(made)
