"""An Assistants API on loopback: real shapes, and as strict about tool outputs as the real one.

A run's `instructions` are its script: rounds split by ";", tools by ",". After the last round it is
completed. `submit_tool_outputs` wants exactly the calls that the run waits for, else 400:
https://platform.openai.com/docs/api-reference/runs/submitToolOutputs (read 2026-11).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from proxy.cli.demo.loopback import Loopback

ARGUMENTS = {"order_id": "A-1", "amount": 150}


@dataclass
class Run:
    """A run on the server."""

    id: str
    thread: str
    rounds: list[list[str]]
    done: list[dict[str, Any]] = field(default_factory=list)  # answered calls
    round: int = 0
    polled: bool = False
    cancelled: bool = False

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls that wait for outputs."""
        if self.cancelled or self.round >= len(self.rounds):
            return []
        return [
            {
                "id": f"call_{self.id}_{self.round}_{n}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(ARGUMENTS)},
            }
            for n, name in enumerate(self.rounds[self.round])
        ]

    def document(self, status: str | None = None) -> dict[str, Any]:
        waits = "requires_action" if self.calls else "completed"
        status = status or ("cancelled" if self.cancelled else waits)
        action = None
        if status == "requires_action":
            action = {
                "type": "submit_tool_outputs",
                "submit_tool_outputs": {"tool_calls": self.calls},
            }
        return {
            "id": self.id,
            "object": "thread.run",
            "created_at": 1763999999,
            "assistant_id": "asst_1",
            "thread_id": self.thread,
            "status": status,
            "started_at": None,
            "expires_at": 1764000599,
            "cancelled_at": None,
            "failed_at": None,
            "completed_at": None,
            "required_action": action,
            "last_error": None,
            "model": "gpt-5-mini",
            "instructions": "…",
            "tools": [],
            "metadata": {},
            "usage": None,
            "incomplete_details": None,
            "tool_choice": "auto",
            "parallel_tool_calls": True,
        }

    def step(self, status: str) -> dict[str, Any]:
        calls = self.done if status == "completed" else []
        return {
            "id": f"step_{self.id}_{self.round}",
            "object": "thread.run.step",
            "created_at": 1763999999,
            "run_id": self.id,
            "assistant_id": "asst_1",
            "thread_id": self.thread,
            "type": "tool_calls",
            "status": status,
            "step_details": {"type": "tool_calls", "tool_calls": calls},
            "last_error": None,
            "metadata": {},
            "usage": None,
        }

    def events(self) -> Iterator[bytes]:
        """What happens until the run waits or ends."""
        yield event("thread.run.queued", self.document("queued"))
        yield event("thread.run.in_progress", self.document("in_progress"))
        if self.calls:
            step = self.step("in_progress")
            yield event("thread.run.step.created", step)
            yield event("thread.run.step.in_progress", step)
            for n, call in enumerate(self.calls):
                body = call["function"]
                yield self._delta(
                    n,
                    id=call["id"],
                    type="function",
                    function={"name": body["name"], "arguments": "", "output": None},
                )
                for at in range(0, len(body["arguments"]), 9):
                    part = body["arguments"][at : at + 9]
                    yield self._delta(n, type="function", function={"arguments": part})
            yield event("thread.run.requires_action", self.document())
        else:
            yield from self._message()
            yield event("thread.run.completed", self.document())
        yield b"event: done\ndata: [DONE]\n\n"

    def _delta(self, index: int, **entry: Any) -> bytes:
        details = {"type": "tool_calls", "tool_calls": [{"index": index, **entry}]}
        return event(
            "thread.run.step.delta",
            {
                "id": f"step_{self.id}_{self.round}",
                "object": "thread.run.step.delta",
                "delta": {"step_details": details},
            },
        )

    def _message(self) -> Iterator[bytes]:
        message: dict[str, Any] = {
            "id": f"msg_{self.id}",
            "object": "thread.message",
            "created_at": 1763999999,
            "thread_id": self.thread,
            "run_id": self.id,
            "assistant_id": "asst_1",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
            "attachments": [],
            "metadata": {},
        }
        yield event("thread.message.created", message)
        part = {"index": 0, "type": "text", "text": {"value": "All done.", "annotations": []}}
        delta = {
            "id": message["id"],
            "object": "thread.message.delta",
            "delta": {"content": [part]},
        }
        yield event("thread.message.delta", delta)
        text = {"type": "text", "text": {"value": "All done.", "annotations": []}}
        yield event(
            "thread.message.completed", message | {"status": "completed", "content": [text]}
        )


def event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


class AssistantsModel(Loopback):
    """The server; `outputs` are what each accepted submission held, `rejected` what was said to others."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.outputs: list[list[dict[str, Any]]] = []
        self.rejected: list[str] = []
        self.paths: list[str] = []
        routes = []
        for prefix in ("/v1", "/openai", "/api/projects/p"):
            base = prefix + "/threads/{thread}/runs"
            routes += [
                Route(prefix + "/threads/runs", self._create, methods=["POST"]),
                Route(base, self._create, methods=["POST"]),
                Route(base, self._list, methods=["GET"]),
                Route(base + "/{run}", self._get, methods=["GET", "POST"]),
                Route(base + "/{run}/cancel", self._cancel, methods=["POST"]),
                Route(base + "/{run}/submit_tool_outputs", self._submit, methods=["POST"]),
                Route(base + "/{run}/steps", self._steps, methods=["GET"]),
            ]
        super().__init__(Starlette(routes=routes))

    async def _create(self, request: Request) -> Response:
        self.paths.append(request.url.path)
        body = await request.json()
        rounds = [one.split(",") for one in body["instructions"].split(";") if one]
        thread = request.path_params.get("thread", "thread_New1")
        run = Run(f"run_Ab{len(self.runs)}", thread, rounds)
        self.runs[run.id] = run
        if body.get("stream"):
            created = event("thread.run.created", run.document("queued"))
            return _sse([created, *run.events()])
        return JSONResponse(run.document("queued"))

    async def _get(self, request: Request) -> Response:
        run = self.runs[request.path_params["run"]]
        if not run.polled:
            run.polled = True
            return JSONResponse(run.document("in_progress"), headers={"openai-poll-after-ms": "10"})
        return JSONResponse(run.document())

    async def _list(self, request: Request) -> Response:
        thread = request.path_params["thread"]
        found = [run.document() for run in self.runs.values() if run.thread == thread]
        return JSONResponse({"object": "list", "data": found, "has_more": False})

    async def _cancel(self, request: Request) -> Response:
        run = self.runs[request.path_params["run"]]
        run.cancelled = True
        return JSONResponse(run.document())

    async def _steps(self, request: Request) -> Response:
        run = self.runs[request.path_params["run"]]
        return JSONResponse({"object": "list", "data": [run.step("completed")], "has_more": False})

    async def _submit(self, request: Request) -> Response:
        run = self.runs[request.path_params["run"]]
        body = await request.json()
        given = body.get("tool_outputs") or []
        wanted = [call["id"] for call in run.calls]
        if sorted(one["tool_call_id"] for one in given) != sorted(wanted) or not wanted:
            message = f"Expected tool outputs for call_ids {wanted}, got {given}"
            self.rejected.append(message)
            error = {"message": message, "type": "invalid_request_error", "param": None}
            return JSONResponse({"error": error}, 400)
        self.outputs.append(given)
        texts = {one["tool_call_id"]: one["output"] for one in given}
        run.done = [
            call | {"function": call["function"] | {"output": texts[call["id"]]}}
            for call in run.calls
        ]
        completed = event("thread.run.step.completed", run.step("completed"))
        run.round += 1
        if body.get("stream"):
            return _sse([completed, *run.events()])
        return JSONResponse(run.document("in_progress"))


def _sse(frames: list[bytes]) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for frame in frames:
            yield frame

    return StreamingResponse(body(), media_type="text/event-stream")
