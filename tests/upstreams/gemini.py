"""A scripted Gemini on loopback, strict about histories as the real API is.

It serves `:generateContent` and `:streamGenerateContent` (events with `alt=sse`, else one JSON array), on any
path that ends so, and Cloud Code's `/v1internal:…` with its wrapping. What the real API would refuse is
refused with 400 and kept in `rejected`:

- as many function responses as calls, in the one content directly behind the turn;
- ids and names that fit; each turn's thought signatures exactly where they were sent.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from proxy.cli.demo.loopback import Loopback

type Part = dict[str, Any]
type Script = Callable[[list[dict[str, Any]]], Sequence[Part]]


class Rejected(Exception):
    """A request that the real API answers with 400; the text is like its own."""


@dataclass
class Seen:
    """One request that was accepted."""

    path: str
    contents: list[dict[str, Any]]
    body: dict[str, Any]


@dataclass
class Turn:
    """What was said in one answer, as it must come back."""

    parts: list[Part]
    calls: list[Part] = field(default_factory=list)


class ScriptedGemini(Loopback):
    """A Gemini that follows a script.

    Args:
        script: the parts of the next answer, by the contents that were read.
        with_ids: whether calls carry ids (Gemini 3 on the Developer API) or none (Vertex, older ones).
        signs: whether the first call of a turn carries a thought signature.
        delay_s: pause between two chunks.
    """

    def __init__(
        self,
        script: Script,
        *,
        with_ids: bool = True,
        signs: bool = True,
        delay_s: float = 0.0,
    ) -> None:
        self._script = script
        self._with_ids = with_ids
        self._signs = signs
        self._delay_s = delay_s
        self._said: list[Turn] = []
        self.requests: list[Seen] = []
        self.rejected: list[tuple[str, dict[str, Any]]] = []
        super().__init__(Starlette(routes=[Route("/{path:path}", self._serve, methods=["POST"])]))

    async def _serve(self, request: Request) -> Response:
        path = request.url.path
        verb = path.rpartition(":")[2]
        if verb not in ("generateContent", "streamGenerateContent"):
            return self._error(404, "NOT_FOUND", "Requested entity was not found.")
        body = await request.json()
        internal = path.endswith("v1internal:" + verb)
        asked = body["request"] if internal else body
        try:
            self._check(asked["contents"])
        except Rejected as rejected:
            self.rejected.append((str(rejected), body))
            return self._error(400, "INVALID_ARGUMENT", str(rejected))
        self.requests.append(Seen(path, asked["contents"], body))
        parts = self._signed(self._script(asked["contents"]))
        chunks = [self._chunk([part], internal) for part in parts]
        last = self._chunk([{"text": ""}], internal)
        (last["response"] if internal else last)["candidates"][0]["finishReason"] = "STOP"
        if verb == "generateContent":
            whole = self._chunk(parts, internal)
            (whole["response"] if internal else whole)["candidates"][0]["finishReason"] = "STOP"
            text = json.dumps(whole, indent=2)
            return Response(text, media_type="application/json; charset=UTF-8")
        events = request.query_params.get("alt") == "sse"
        return StreamingResponse(
            self._stream([*chunks, last], events=events),
            media_type="text/event-stream" if events else "application/json; charset=UTF-8",
        )

    async def _stream(self, chunks: list[dict[str, Any]], *, events: bool) -> AsyncIterator[bytes]:
        for n, chunk in enumerate(chunks):
            text = json.dumps(chunk, indent=None if events else 2)
            if events:
                yield f"data: {text}\r\n\r\n".encode()
            else:
                yield (("[" if n == 0 else ",\r\n") + text).encode()
            await asyncio.sleep(self._delay_s)
        if not events:
            yield b"]"

    def _chunk(self, parts: list[Part], internal: bool) -> dict[str, Any]:
        content = {"parts": parts, "role": "model"}
        made = {
            "candidates": [{"content": content, "index": 0}],
            "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 9},
            "modelVersion": "gemini-3-scripted",
            "responseId": f"r{len(self._said)}-{id(self)}",
        }
        return {"response": made, "traceId": "t"} if internal else made

    def _signed(self, script: Sequence[Part]) -> list[Part]:
        """Adds ids and, to the first call, a signature."""
        made: list[Part] = []
        signed = not self._signs
        for one in script:
            part = dict(one)
            if "functionCall" in part:
                if self._with_ids:
                    part["functionCall"] = {"id": secrets.token_hex(4), **part["functionCall"]}
                if not signed:
                    part["thoughtSignature"] = base64.b64encode(secrets.token_bytes(25)).decode()
                    signed = True
            made.append(part)
        self._said.append(Turn(made, [part for part in made if "functionCall" in part]))
        return made

    def _check(self, contents: list[dict[str, Any]]) -> None:
        n, answers = 0, False
        while n < len(contents):
            content = contents[n]
            _reject(content.get("role") not in ("user", "model", None), "Please use a valid role.")
            _reject(not content.get("parts"), "contents.parts must not be empty.")
            if content.get("role") != "model":
                mine = [p for p in content["parts"] if "functionResponse" in p]
                _reject(
                    bool(mine) and not answers,
                    "Please ensure that function response turn comes immediately after a"
                    " function call turn.",
                )
                n, answers = n + 1, False
                continue
            calls: list[Part] = []
            while n < len(contents) and contents[n].get("role") == "model":
                calls += _calls(contents[n])
                n += 1
            answers = bool(calls)
            if calls:
                self._check_turn(calls, contents[n] if n < len(contents) else {"parts": []})

    def _check_turn(self, calls: list[Part], behind: dict[str, Any]) -> None:
        results = [p["functionResponse"] for p in behind["parts"] if "functionResponse" in p]
        _reject(
            len(results) != len(calls),
            "Please ensure that the number of function response parts is equal to the number of"
            " function call parts of the function call turn.",
        )
        for call, result in zip(calls, results, strict=True):
            _reject(
                result.get("name") != call["functionCall"]["name"]
                # The SDK's own function calling answers without ids.
                or result.get("id", call["functionCall"].get("id"))
                != call["functionCall"].get("id"),
                "Function response does not fit its function call.",
            )
            _reject(not isinstance(result.get("response"), dict), "response must be an object.")
        said = [turn for turn in self._said if _same(turn.calls, calls)]
        _reject(not said, "Function call turn that was never sent.")
        _reject(
            not any(_signatures(turn.calls) == _signatures(calls) for turn in said),
            "Function call is missing a thought_signature in functionCall parts.",
        )

    @staticmethod
    def _error(status: int, name: str, text: str) -> Response:
        return JSONResponse({"error": {"code": status, "message": text, "status": name}}, status)


def call(name: str, **args: Any) -> Part:
    """Returns a call part."""
    return {"functionCall": {"name": name, "args": args}}


def _calls(content: dict[str, Any]) -> list[Part]:
    return [p for p in content["parts"] if "functionCall" in p]


def _same(said: list[Part], came: list[Part]) -> bool:
    return [p["functionCall"] for p in said] == [p["functionCall"] for p in came]


def _signatures(calls: list[Part]) -> list[str | None]:
    """Signatures as bytes are the same in either alphabet of base64."""
    texts = [p.get("thoughtSignature") for p in calls]
    return [t and t.replace("-", "+").replace("_", "/").rstrip("=") for t in texts]


def _reject(condition: bool, text: str) -> None:
    if condition:
        raise Rejected(text)
