"""Cohere's chat API as a strict stand-in: v2 (JSON and events) and v1 (JSON and lines), saying a script.

What belongs here: real bytes (as recorded), and the refusals of the real API: a tool message for an id
that nobody asked for, calls without results, results in another number than calls, a user's word right
after a call, an empty message.
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


@dataclass(frozen=True, slots=True)
class Says:
    """One turn of the model."""

    text: str = ""
    calls: tuple[tuple[str, Body], ...] = ()


type Script = Callable[[str], Says]  # of the newest user text, "" once its results are there


@dataclass
class Kept:
    """What was accepted and what was rejected."""

    requests: list[Body] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)


class CohereUpstream(Loopback):
    """Speaks both versions."""

    def __init__(self, script: Script) -> None:
        self._script, self._ids, self.kept = script, Ids("cohere"), Kept()
        routes = [
            Route("/v2/chat", self._v2, methods=["POST"]),
            Route("/v1/chat", self._v1, methods=["POST"]),
        ]
        super().__init__(Starlette(routes=routes))

    async def _v2(self, request: Request) -> Response:
        return await self._answer(
            request, read_v2, self._v2_json, self._v2_frames, "text/event-stream"
        )

    async def _v1(self, request: Request) -> Response:
        kind = "application/stream+json"
        return await self._answer(request, read_v1, self._v1_json, self._v1_lines, kind)

    async def _answer(
        self,
        request: Request,
        read: Callable[[Body], str],
        whole: Callable[[Body, Says], Body],
        frames: Callable[[Body, Says], list[bytes]],
        kind: str,
    ) -> Response:
        body = json.loads(await request.body())
        try:
            said = self._script(read(body))
        except Rejected as rejected:
            self.kept.rejected.append(f"{rejected.message}: {json.dumps(body)}")
            return JSONResponse({"message": rejected.message}, rejected.status)
        self.kept.requests.append(body)
        if not body.get("stream"):
            return JSONResponse(whole(body, said))

        async def stream() -> AsyncIterator[bytes]:
            for frame in frames(body, said):
                yield frame
                await asyncio.sleep(0)

        return StreamingResponse(stream(), media_type=kind)

    # --- v2 --------------------------------------------------------------------------------

    def _v2_calls(self, said: Says) -> list[Body]:
        return [
            {
                "id": self._ids.mixed(f"{name}_", 12),
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for name, arguments in said.calls
        ]

    def _v2_json(self, _: Body, said: Says) -> Body:
        message: Body = {"role": "assistant"}
        if said.calls:
            message |= {"tool_plan": said.text, "tool_calls": self._v2_calls(said)}
        else:
            message["content"] = [{"type": "text", "text": said.text}]
        reason = "TOOL_CALL" if said.calls else "COMPLETE"
        return {"id": self._ids.hex("", 32), "message": message, "finish_reason": reason}

    def _v2_frames(self, body: Body, said: Says) -> list[bytes]:
        answer = self._v2_json(body, said)
        events: list[Body] = []

        def add(kind: str, message: Body | None = None, **more: Any) -> None:
            delta = {} if message is None else {"delta": {"message": message}}
            events.append({"type": kind, **more, **delta})

        start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
        add("message-start", start, id=answer["id"])
        if said.calls:
            for word in said.text.split(" "):
                add("tool-plan-delta", {"tool_plan": f"{word} "})
            for n, call in enumerate(answer["message"]["tool_calls"]):
                arguments = call["function"]["arguments"]
                call = call | {"function": call["function"] | {"arguments": ""}}
                add("tool-call-start", {"tool_calls": call}, index=n)
                for at in range(0, len(arguments), 5):
                    piece = {"arguments": arguments[at : at + 5]}
                    add("tool-call-delta", {"tool_calls": {"function": piece}}, index=n)
                add("tool-call-end", index=n)
        else:
            add("content-start", {"content": {"type": "text", "text": ""}}, index=0)
            add("content-delta", {"content": {"text": said.text}}, index=0)
            add("content-end", index=0)
        events.append({"type": "message-end", "delta": {"finish_reason": answer["finish_reason"]}})
        return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]

    # --- v1 --------------------------------------------------------------------------------

    def _v1_json(self, body: Body, said: Says) -> Body:
        calls = [{"name": name, "parameters": parameters} for name, parameters in said.calls]
        history = list(body.get("chat_history") or [])
        if body.get("tool_results"):
            history.append({"role": "TOOL", "tool_results": body["tool_results"]})
        elif body["message"]:
            history.append({"role": "USER", "message": body["message"]})
        model: Body = {"role": "CHATBOT", "message": said.text}
        history.append(model | ({"tool_calls": calls} if calls else {}))
        answer = {
            "response_id": self._ids.hex("", 32),
            "text": said.text,
            "generation_id": self._ids.hex("", 32),
            "chat_history": history,
            "finish_reason": "COMPLETE",
            "meta": {"api_version": {"version": "1"}},
        }
        return answer | ({"tool_calls": calls} if calls else {})

    def _v1_lines(self, body: Body, said: Says) -> list[bytes]:
        answer = self._v1_json(body, said)
        events: list[Body] = [{"event_type": "stream-start", "generation_id": "g"}]
        if said.calls:
            for word in said.text.split(" "):
                delta = {"tool_call_delta": None, "text": f"{word} "}
                events.append({"event_type": "tool-calls-chunk", **delta})
            for n, (name, parameters) in enumerate(said.calls):
                text = json.dumps(parameters)
                pieces: list[Body] = [{"name": name, "index": n}]
                for at in range(0, len(text), 5):
                    pieces.append({"index": n, "parameters": text[at : at + 5]})
                events += [{"event_type": "tool-calls-chunk", "tool_call_delta": p} for p in pieces]
            calls = {"text": said.text, "tool_calls": answer["tool_calls"]}
            events.append({"event_type": "tool-calls-generation", **calls})
        else:
            events.append({"event_type": "text-generation", "text": said.text})
        end = {"finish_reason": "COMPLETE", "response": answer}
        events.append({"event_type": "stream-end", **end})
        last = len(events) - 1
        lines = [{"is_finished": n == last, **event} for n, event in enumerate(events)]
        return [json.dumps(line).encode() + b"\n" for line in lines]


def read_v2(body: Body) -> str:
    """Reads a v2 history as the real API would, and returns the newest user text.

    Raises:
        Rejected: it would answer 400.
    """
    user = ""
    open_ids: list[str] = []
    for n, message in enumerate(body["messages"]):
        role = message.get("role")
        where = f"invalid request: messages[{n}]"
        if role == "tool":
            rejects(message.get("tool_call_id") not in open_ids, f"{where}: no such tool call")
            rejects(not message.get("content"), f"{where}: tool message without content")
            open_ids.remove(message["tool_call_id"])
            continue
        rejects(bool(open_ids), f"{where}: all tool calls must have a result, missing {open_ids}")
        if role == "assistant":
            calls = message.get("tool_calls") or []
            open_ids = [call["id"] for call in calls]
            for call in calls:
                json.loads(call["function"]["arguments"])
            rejects(not calls and not message.get("content"), f"{where}: empty message")
            rejects(
                "content" in message and message["content"] in ([], ""), f"{where}: empty content"
            )
            user = ""
        elif role == "user":
            before = body["messages"][n - 1]["role"] if n else ""
            rejects(before == "tool", f"{where}: a user message right after a tool message")
            user = message["content"]
    rejects(bool(open_ids), f"all tool calls must have a result, missing {open_ids}")
    return str(user)


def read_v1(body: Body) -> str:
    """Reads a v1 history as the real API would, and returns the newest user text.

    Raises:
        Rejected: it would answer 400.
    """
    open_calls: list[Any] = []

    def answered(results: list[Body]) -> None:
        made = [result["call"] for result in results]
        rejects(made != open_calls, f"tool results for {made}, calls were {open_calls}")
        rejects(any(not r["outputs"] for r in results), "tool result without outputs")
        open_calls.clear()

    for message in body.get("chat_history") or []:
        if message["role"] == "TOOL":
            answered(message["tool_results"])
            continue
        rejects(bool(open_calls), f"calls without results: {open_calls}")
        if message["role"] == "CHATBOT":
            open_calls += message.get("tool_calls") or []
            rejects(not open_calls and not message["message"], "empty message")
    if body.get("tool_results"):
        answered(body["tool_results"])
        return ""
    rejects(bool(open_calls), f"calls without results: {open_calls}")
    return str(body["message"])
