"""What a request of the Assistants API says: outputs, tools, texts.

The run stands in the path of `submit_tool_outputs`; there it names the session and the memories. Shapes:
https://platform.openai.com/docs/api-reference/runs/createRun and …/submitToolOutputs (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.model import Json, ToolDefinition, ToolResult
from proxy.wire.assistants.calls import PROVIDER
from proxy.wire.chat.request import message_text
from proxy.wire.codec import ParsedRequest
from proxy.wire.jsontext import decode_object
from proxy.wire.limits import output_limit

_WHAT = "openai.assistants request"


def parse(body: bytes, *, thread_id: str | None, run_id: str | None) -> ParsedRequest:
    """Reads a request body (`codec.WireProtocol.parse_request`)."""
    document = decode_object(body, _WHAT)
    thread = document.get("thread")
    messages = [
        message
        for holder, key in ((thread, "messages"), (document, "additional_messages"))
        if isinstance(holder, dict) and isinstance(holder.get(key), list)
        for message in holder[key]
        if isinstance(message, dict)
    ]
    users = [message_text(m.get("content")) for m in messages if m.get("role") == "user"]
    said = (document.get("instructions"), document.get("additional_instructions"))
    system_text = "\n".join(text for text in said if isinstance(text, str))
    model = document.get("model")
    return ParsedRequest(
        provider=PROVIDER,
        document=document,
        model=model if isinstance(model, str) else None,
        stream=document.get("stream") is True,
        results=tuple(_results(document)),
        tools=tuple(_tools(document.get("tools"))),
        max_output_tokens=output_limit(document, "max_completion_tokens"),
        system_text=system_text,
        user_text=users[-1] if users else "",
        # A thread is a conversation: all its runs are of one session.
        opening=f"thread {thread_id}" if thread_id else f"{system_text}\n{''.join(users[:1])}",
        # Sessions are linked by the ids of answers, and a run is this API's answer.
        hints={"previous_response_id": run_id} if run_id else {},
        remembered_by=(f"response:{run_id}",) if run_id else (),
    )


def _results(document: dict[str, Json]) -> Iterator[ToolResult]:
    outputs = document.get("tool_outputs")
    for one in outputs if isinstance(outputs, list) else []:
        if not isinstance(one, dict):
            raise WireError(f"{_WHAT}: $.tool_outputs: expected objects")
        call_id, output = one.get("tool_call_id"), one.get("output")
        yield ToolResult(
            call_id=call_id if isinstance(call_id, str) else None,
            name=None,
            text=message_text(output),
        )


def _tools(tools: Json) -> Iterator[ToolDefinition]:
    for tool in tools if isinstance(tools, list) else []:
        if not isinstance(tool, dict):
            continue
        function = tool.get("function")
        name = function.get("name") if isinstance(function, dict) else tool.get("type")
        try:
            yield ToolDefinition(str(name), digest(tool), tool)
        except (ValueError, RecursionError) as error:
            raise WireError(f"{_WHAT}: tool {name!r} has no digest") from error
