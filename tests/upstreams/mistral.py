"""Mistral's API as a strict stand-in: chat, agents and conversations, saying a script.

What belongs here: real bytes (as recorded, as its SDK's models have them), and the refusals of the real
API: “Not the same number of function calls and responses”, “Unexpected role 'user' after role 'tool'”, “Expected
last role User or Tool”, tool call ids of another form than nine letters and digits.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from proxy.cli.demo.loopback import Loopback
from proxy.cli.demo.speech import Ids, Rejected, rejects

type Body = dict[str, Any]
type Script = Callable[[str], tuple[str, tuple[tuple[str, Body], ...]]]

_ID = re.compile(r"[a-zA-Z0-9]{9}")


@dataclass
class Kept:
    requests: list[Body] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)


class MistralUpstream(Loopback):
    """Speaks all three."""

    def __init__(self, script: Script) -> None:
        self._script, self._ids, self.kept = script, Ids("mistral"), Kept()
        self._conversations: dict[str, list[Body]] = {}
        chat, talk = self._guarded(self._chat), self._guarded(self._talk)
        routes = [
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/agents/completions", chat, methods=["POST"]),
            Route("/v1/conversations", talk, methods=["POST"]),
            Route("/v1/conversations/{id}", talk, methods=["POST"]),
            Route("/v1/conversations/{id}/history", self._history, methods=["GET"]),
        ]
        super().__init__(Starlette(routes=routes))

    def _guarded(self, respond: Callable[[Request, Body], Response]):  # type: ignore[no-untyped-def]
        async def endpoint(request: Request) -> Response:
            body = json.loads(await request.body())
            try:
                return respond(request, body)
            except Rejected as rejected:
                self.kept.rejected.append(f"{rejected.message}: {json.dumps(body)}")
                error = {"object": "error", "message": rejected.message, "code": "3230"}
                return JSONResponse(error, rejected.status)

        return endpoint

    # --- chat ------------------------------------------------------------------------------

    def _chat(self, _: Request, body: Body) -> Response:
        text, asked = self._script(read(body["messages"]))
        self.kept.requests.append(body)
        calls = [
            {
                "id": self._ids.mixed("", 9),
                "function": {"name": name, "arguments": json.dumps(arguments)},
                "index": n,
            }
            for n, (name, arguments) in enumerate(asked)
        ]
        head = {"id": self._ids.hex("", 32), "model": "mistral-large-latest", "created": 1770741598}
        reason = "tool_calls" if calls else "stop"
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if not body.get("stream"):
            message = {"role": "assistant", "content": text, "tool_calls": calls or None}
            choice = {"index": 0, "finish_reason": reason, "message": message}
            whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            return JSONResponse(whole)
        deltas: list[Body] = [{"role": "assistant", "content": ""}, {"content": text}]
        deltas += [{"content": "", "tool_calls": [call]} for call in calls] or [{"content": ""}]
        chunks = [
            {
                **head,
                "object": "chat.completion.chunk",
                "choices": [
                    {
                        "index": 0,
                        "delta": delta,
                        "finish_reason": reason if n + 1 == len(deltas) else None,
                    }
                ],
                "p": "abcdefgh",
            }
            for n, delta in enumerate(deltas)
        ]
        frames = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
        return _stream([*frames, b"data: [DONE]\n\n"])

    # --- conversations ---------------------------------------------------------------------

    def _talk(self, request: Request, body: Body) -> Response:
        name = request.path_params.get("id")
        rejects(name is not None and name not in self._conversations, "no such conversation")
        name = name or self._ids.hex("conv_", 32)
        inputs = body["inputs"]
        if isinstance(inputs, str):
            inputs = [{"type": "message.input", "role": "user", "content": inputs}]
        entries = [*self._conversations.get(name, []), *inputs]
        text, asked = self._script(read_entries(entries))
        self.kept.requests.append(body)
        said: list[Body] = []
        if text:
            said.append({"type": "message.output", "role": "assistant", "content": text})
        said += [
            {
                "type": "function.call",
                "tool_call_id": self._ids.mixed("", 9),
                "name": tool,
                "arguments": json.dumps(arguments),
            }
            for tool, arguments in asked
        ]
        made = {"object": "entry", "created_at": "2026-01-01T00:00:00Z", "model": "m"}
        outputs = [{**made, "id": self._ids.hex("e_", 32), **entry} for entry in said]
        if body.get("store") is not False:
            self._conversations[name] = [*entries, *outputs]
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if body.get("stream"):
            return _stream([_frame(event) for event in _events(name, outputs, usage)])
        answer = {"object": "conversation.response", "conversation_id": name, "outputs": outputs}
        return JSONResponse({**answer, "usage": usage})

    async def _history(self, request: Request) -> Response:
        name = request.path_params["id"]
        answer = {"object": "conversation.history", "conversation_id": name}
        return JSONResponse({**answer, "entries": self._conversations[name]})


def _events(name: str, outputs: list[Body], usage: Body) -> Iterator[Body]:
    at = {"created_at": "2026-01-01T00:00:00Z"}
    yield {"type": "conversation.response.started", "conversation_id": name, **at}
    for n, entry in enumerate(outputs):
        common = {"id": entry["id"], "output_index": n, **at}
        if entry["type"] == "message.output":
            for word in re.findall(r"\S+\s*", entry["content"]):
                event = {"type": "message.output.delta", "role": "assistant", "content_index": 0}
                yield {**common, **event, "content": word}
            continue
        event = {"type": "function.call.delta", "name": entry["name"]}
        for start in range(0, len(entry["arguments"]), 7):
            piece = {"arguments": entry["arguments"][start : start + 7]}
            yield {**common, **event, "tool_call_id": entry["tool_call_id"], **piece}
    yield {"type": "conversation.response.done", "usage": usage, **at}


def _frame(event: Body) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _stream(frames: list[bytes]) -> Response:
    async def stream() -> AsyncIterator[bytes]:
        for frame in frames:
            yield frame
            await asyncio.sleep(0)

    return StreamingResponse(stream(), media_type="text/event-stream")


def read(messages: list[Body]) -> str:
    """Reads a chat history and returns the newest user text, "" where results came after it.

    Raises:
        Rejected: the real API would answer 400.
    """
    user, before = "", ""
    open_ids: list[str] = []
    for message in messages:
        role = message["role"]
        if role == "tool":
            rejects(
                message.get("tool_call_id") not in open_ids, "Unexpected tool call id in results"
            )
            open_ids.remove(message["tool_call_id"])
        else:
            rejects(bool(open_ids), "Not the same number of function calls and responses")
        if role == "user":
            rejects(before == "tool", "Unexpected role 'user' after role 'tool'")
            user = _plain(message["content"])
        elif role == "assistant":
            calls = message.get("tool_calls") or []
            content = message.get("content")
            rejects(not calls and not content, "Assistant message must have content or tool_calls")
            for call in calls:
                rejects(
                    not _ID.fullmatch(call["id"]), "Tool call id must be a-z, A-Z, 0-9, length 9"
                )
                json.loads(call["function"]["arguments"])
            open_ids = [call["id"] for call in calls]
            user = ""
        before = role
    rejects(bool(open_ids), "Not the same number of function calls and responses")
    rejects(before not in ("user", "tool"), "Expected last role User or Tool for serving")
    return user


def _plain(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content)


def read_entries(entries: list[Body]) -> str:
    """Reads a conversation's entries as the chat history they are.

    Raises:
        Rejected: the real API would answer 400.
    """
    messages: list[Body] = []
    for entry in entries:
        kind = entry.get("type", "message.input")
        if kind == "function.call":
            last = messages[-1] if messages and messages[-1]["role"] == "assistant" else None
            if last is None:
                last = {"role": "assistant", "content": "", "tool_calls": []}
                messages.append(last)
            function = {"name": entry["name"], "arguments": entry["arguments"]}
            last.setdefault("tool_calls", []).append(
                {"id": entry["tool_call_id"], "function": function}
            )
        elif kind == "function.result":
            result = {"tool_call_id": entry["tool_call_id"], "content": entry["result"]}
            messages.append({"role": "tool", **result})
        else:
            messages.append({"role": entry["role"], "content": entry["content"]})
    return read(messages)
