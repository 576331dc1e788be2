"""The scripted model: three real APIs on one loopback port, saying what a script says.

It is strict where the real APIs are: a history they refuse gets their error, and is kept in
`rejected`. What was accepted is kept in `requests`, with the history that was read from it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from proxy.cli.demo.loopback import Loopback
from proxy.cli.demo.speak_anthropic import AnthropicSpeaker
from proxy.cli.demo.speak_chat import ChatSpeaker
from proxy.cli.demo.speak_responses import ResponsesSpeaker
from proxy.cli.demo.speech import History, Ids, Rejected, Script, Speaker, next_turn
from proxy.model import Json

type Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """One accepted request."""

    path: str
    headers: Headers
    body: dict[str, Json]
    history: History


@dataclass(frozen=True, slots=True)
class Refused:
    """One request the real API would have refused, and what it would have said."""

    path: str
    body: dict[str, Json]
    message: str


class ScriptedModel(Loopback):
    """A model that follows a script.

    Args:
        script: turns, by how often the model spoke before, or a function of the history.
        delay_s: pause between two frames of a stream.
        seed: makes ids repeat from run to run; random where none is given.
    """

    chat: type[ChatSpeaker] = ChatSpeaker  # a subclass may speak an API's older forms
    responses: type[ResponsesSpeaker] = ResponsesSpeaker

    def __init__(self, script: Script, *, delay_s: float = 0.0, seed: str | None = None) -> None:
        ids = Ids(seed or secrets.token_hex(8))
        self._script = script
        self._delay_s = delay_s
        self._responses = self.responses(ids)
        self.requests: list[Seen] = []
        self.rejected: list[Refused] = []
        speakers: tuple[Speaker, ...] = (self.chat(ids), self._responses, AnthropicSpeaker(ids))
        routes = [Route(one.path, self._endpoint(one), methods=["POST"]) for one in speakers]
        routes.append(Route("/v1/conversations", self._conversation, methods=["POST"]))
        super().__init__(Starlette(routes=routes))

    def _endpoint(self, speaker: Speaker):  # type: ignore[no-untyped-def]  # Starlette's own type is private
        async def respond(request: Request) -> Response:
            try:
                body = json.loads(await request.body())
            except ValueError:
                body = None
            try:
                return self._respond(speaker, request, body)
            except Rejected as rejected:
                self.rejected.append(Refused(speaker.path, body or {}, rejected.message))
                return JSONResponse(
                    speaker.error(rejected), rejected.status, dict(speaker.headers())
                )

        return respond

    def _respond(self, speaker: Speaker, request: Request, body: Json) -> Response:
        if not isinstance(body, dict):
            raise Rejected("We could not parse the JSON body of your request.")
        history = speaker.read(body)
        self.requests.append(Seen(speaker.path, dict(request.headers), body, history))
        answer = speaker.answer(next_turn(self._script, history), body)
        headers = dict(speaker.headers())
        if not body.get("stream"):
            return JSONResponse(answer.document, headers=headers)
        # A charset is what the real servers send; Starlette adds it to text/* itself.
        return StreamingResponse(
            self._stream(answer.frames), headers=headers, media_type="text/event-stream"
        )

    async def _stream(self, frames: list[bytes]) -> AsyncIterator[bytes]:
        for frame in frames:
            yield frame
            await asyncio.sleep(self._delay_s)

    async def _conversation(self, request: Request) -> Response:
        return JSONResponse(self._responses.open_conversation())
