"""A scripted Interactions API on loopback, strict about what it goes on from.

It keeps interactions, as the real API does unless `store` is false. Refused with 400, and kept in `rejected`:
a `previous_interaction_id` that is unknown, an input that leaves a call of the previous interaction
without its result or answers one that was never made, a stateless input whose calls have no results or differ from
what was sent (signatures too).
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from proxy.cli.demo.loopback import Loopback

type Step = dict[str, Any]
type Script = Callable[[list[Step]], Sequence[Step]]


class Rejected(Exception):
    """A request that the real API answers with 400."""


class ScriptedInteractions(Loopback):
    """An Interactions API that follows a script, which maps the input's steps to the answer's."""

    def __init__(self, script: Script, *, delay_s: float = 0.0) -> None:
        self._script = script
        self._delay_s = delay_s
        self._stored: dict[str, dict[str, Any]] = {}
        self._calls: dict[str, Step] = {}
        self.requests: list[dict[str, Any]] = []
        self.rejected: list[tuple[str, dict[str, Any]]] = []
        routes = [
            Route("/{version}/interactions", self._create, methods=["POST"]),
            Route("/{version}/interactions/{id}", self._get, methods=["GET"]),
        ]
        super().__init__(Starlette(routes=routes))

    async def _create(self, request: Request) -> Response:
        body = await request.json()
        try:
            steps = self._check(body)
        except Rejected as rejected:
            self.rejected.append((str(rejected), body))
            error = {"code": 400, "message": str(rejected), "status": "INVALID_ARGUMENT"}
            return JSONResponse({"error": error}, 400)
        self.requests.append(body)
        made = self._made(body, steps)
        if not body.get("stream"):
            return JSONResponse(made)
        return StreamingResponse(self._stream(made), media_type="text/event-stream")

    async def _get(self, request: Request) -> Response:
        return JSONResponse(self._stored[request.path_params["id"]])

    def _made(self, body: dict[str, Any], said: list[Step]) -> dict[str, Any]:
        signature = base64.b64encode(secrets.token_bytes(25)).decode()
        steps: list[Step] = [{"type": "thought", "signature": signature}]
        for step in self._script(said):
            if step["type"] == "function_call":
                step = {
                    "id": secrets.token_hex(4),
                    "signature": base64.b64encode(secrets.token_bytes(10)).decode(),
                    **step,
                }
                self._calls[step["id"]] = step
            steps.append(step)
        calls = any(step["type"] == "function_call" for step in steps)
        made = {
            "id": "v1_" + secrets.token_hex(12),
            "object": "interaction",
            "model": body["model"],
            "status": "requires_action" if calls else "completed",
            "steps": steps,
            "created": "2026-11-01T00:00:00Z",
            "updated": "2026-11-01T00:00:00Z",
        }
        self._stored[made["id"]] = made
        return made

    async def _stream(self, made: dict[str, Any]) -> AsyncIterator[bytes]:
        brief = {k: v for k, v in made.items() if k != "steps"}
        yield _event("interaction.created", interaction=brief | {"status": "in_progress"})
        for index, step in enumerate(made["steps"]):
            match step["type"]:
                case "function_call":
                    text = json.dumps(step["arguments"])
                    yield _event("step.start", index=index, step=step | {"arguments": {}})
                    for piece in (text[:5], text[5:]):
                        delta = {"type": "arguments_delta", "arguments": piece}
                        yield _event("step.delta", index=index, delta=delta)
                        await asyncio.sleep(self._delay_s)
                case "model_output":
                    yield _event("step.start", index=index, step={"type": "model_output"})
                    for content in step["content"]:
                        yield _event("step.delta", index=index, delta=content)
                case _:
                    yield _event("step.start", index=index, step=step)
            yield _event("step.stop", index=index)
        yield _event("interaction.completed", interaction=brief)
        yield b"event: done\ndata: [DONE]\n\n"

    def _check(self, body: dict[str, Any]) -> list[Step]:
        value = body["input"]
        steps: list[Step] = value if isinstance(value, list) else [{"type": "text", "text": value}]
        results = {s["call_id"]: s for s in steps if s["type"] == "function_result"}
        calls = [s for s in steps if s["type"] == "function_call"]
        for one in calls:
            _reject(
                self._calls.get(one["id"]) != one, f"Call {one['id']} differs from what was sent."
            )
        wanted = {one["id"] for one in calls}
        if previous := body.get("previous_interaction_id"):
            _reject(previous not in self._stored, "Interaction not found.")
            found = self._stored[previous]["steps"]
            wanted |= {s["id"] for s in found if s["type"] == "function_call"}
        _reject(wanted - set(results) != set(), "No function result found for a function call.")
        _reject(set(results) - wanted != set(), "A function result for no function call.")
        kinds = {s["type"] for s in steps}
        mixed = "text" in kinds and kinds - {"text", "image"}
        _reject(bool(mixed), "Input cannot mix contents and steps.")
        return steps


def call(name: str, **arguments: Any) -> Step:
    return {"type": "function_call", "name": name, "arguments": arguments}


def said(text: str) -> Step:
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(fields | {'event_type': kind})}\n\n".encode()


def _reject(condition: bool, text: str) -> None:
    if condition:
        raise Rejected(text)
