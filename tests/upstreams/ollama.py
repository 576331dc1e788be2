"""Ollama as a strict stand-in: /api/chat in lines or one body, with or without ids, saying a script.

What belongs here: real bytes, and the refusals of a server behind a template that wants a result for
each call, in order: results that answer another call, calls without results, a user's word after one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
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

_HEAD = {"model": "m", "created_at": "2026-01-01T00:00:00Z"}


@dataclass
class Kept:
    requests: list[Body] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)


class OllamaUpstream(Loopback):
    """Speaks /api/chat."""

    def __init__(self, script: Script, *, ids: bool) -> None:
        self._script, self._with_ids = script, ids
        self._ids, self.kept = Ids("ollama"), Kept()
        super().__init__(Starlette(routes=[Route("/api/chat", self._chat, methods=["POST"])]))

    async def _chat(self, request: Request) -> Response:
        body = json.loads(await request.body())
        try:
            text, asked = self._script(read(body))
        except Rejected as rejected:
            self.kept.rejected.append(f"{rejected.message}: {json.dumps(body)}")
            return JSONResponse({"error": rejected.message}, rejected.status)
        self.kept.requests.append(body)
        calls = []
        for n, (name, arguments) in enumerate(asked):
            call: Body = {"function": {"index": n, "name": name, "arguments": arguments}}
            calls.append({"id": self._ids.mixed("call_", 8), **call} if self._with_ids else call)
        end = {"done_reason": "stop", "done": True, "total_duration": 5, "eval_count": 3}
        if body.get("stream") is False:
            message: Body = {"role": "assistant", "content": text}
            message |= {"tool_calls": calls} if calls else {}
            return JSONResponse({**_HEAD, "message": message, **end})
        messages: list[Body] = [{"content": word} for word in text.split(" ")]
        messages[1:] = [{"content": f" {one['content']}"} for one in messages[1:]]
        messages += [{"content": "", "tool_calls": [call]} for call in calls]
        lines = [{**_HEAD, "message": {"role": "assistant", **m}, "done": False} for m in messages]
        lines.append({**_HEAD, "message": {"role": "assistant", "content": ""}, **end})

        async def stream() -> AsyncIterator[bytes]:
            for line in lines:
                yield json.dumps(line).encode() + b"\n"
                await asyncio.sleep(0)

        return StreamingResponse(stream(), media_type="application/x-ndjson")


def read(body: Body) -> str:
    """Reads a history and returns the newest user text, "" where results came after it.

    Raises:
        Rejected: a strict server would answer 400.
    """
    user = ""
    open_names: list[str] = []
    for n, message in enumerate(body["messages"]):
        role = message["role"]
        if role == "tool":
            rejects(not open_names, f"messages[{n}]: a result of no call")
            name = message.get("tool_name")
            rejects(name != open_names.pop(0), f"messages[{n}]: a result of another call, {name}")
            continue
        rejects(bool(open_names), f"messages[{n}]: calls without results: {open_names}")
        if role == "assistant":
            calls = message.get("tool_calls") or []
            rejects(any(not isinstance(c["function"]["arguments"], dict) for c in calls), "text")
            open_names = [call["function"]["name"] for call in calls]
            user = ""
        elif role == "user":
            rejects(bool(n) and body["messages"][n - 1]["role"] == "tool", f"messages[{n}]: order")
            user = message["content"]
    rejects(bool(open_names), f"calls without results: {open_names}")
    return str(user)
