"""The admin side of `checkrein mcp`: wrappers of stdio servers have their lines judged here.

`POST /v1/mcp` opens a conversation (one wrapper, one server), `POST /v1/mcp/{id}/client` and
`/server` take one line of that side as it is and answer with steps, one JSON object a line, as they
come about; `DELETE /v1/mcp/{id}` ends it. A step has `to` (client, server or nobody) and `data`, which is
null where the line itself is meant: what is allowed is not sent back and forth.

A wrapper that goes away while a call is held closes its request, and the hold is abandoned.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from proxy.canonical import sha256_hex
from proxy.inbox.mcp_lines import Conversation, stdio_identity
from proxy.inbox.mcp_steps import From, Given, Opening, Step
from proxy.pipeline.core import Pipeline
from proxy.pipeline.mcp import McpChannel

_MOST = 4096  # a wrapper whose conversation was dropped opens another


_opening = msgspec.json.Decoder(Opening).decode
_encode = msgspec.json.Encoder().encode


def routes(pipeline: Pipeline) -> list[Route]:
    """Returns the endpoints over one pipeline."""
    open_now: OrderedDict[str, Conversation] = OrderedDict()

    async def begin(request: Request) -> Response:
        asked = _opening(await request.body())  # a ValidationError is a ValueError
        for name, value in (("server", asked.server), ("session", asked.session or "-")):
            if not (value and value.isprintable() and len(value) <= 128):
                raise ValueError(f"{name!r} must be 1 to 128 printable characters")
        credential, human = None, None
        if asked.token is not None:
            found = await pipeline.credential(sha256_hex(asked.token.encode()))
            if found is None:
                raise ValueError("'token': not a credential of this proxy")
            credential, human = (found.session, found.agent), found.human
        identity = stdio_identity(
            asked.server, credential=credential, session=asked.session, human=human
        )
        name = secrets.token_hex(16)
        await pipeline.see_session(identity, f"stdio {asked.server}")
        open_now[name] = Conversation(pipeline, McpChannel(pipeline, identity, asked.server))
        if len(open_now) > _MOST:
            open_now.popitem(last=False)
        return JSONResponse({"id": name, "session": identity.session, "agent": identity.agent})

    async def line(request: Request) -> Response:
        conversation = open_now.get(request.path_params["id"])
        if conversation is None:
            return JSONResponse({"error": "no such conversation"}, 404)
        open_now.move_to_end(request.path_params["id"])
        origin = From(request.path_params["side"])
        steps = conversation.judge(origin, await request.body())
        return StreamingResponse(_written(steps), media_type="application/x-ndjson")

    async def end(request: Request) -> Response:
        open_now.pop(request.path_params["id"], None)
        return JSONResponse({})

    return [
        Route("/v1/mcp", begin, methods=["POST"]),
        Route("/v1/mcp/{id}", end, methods=["DELETE"]),
        Route("/v1/mcp/{id}/{side}", line, methods=["POST"]),
    ]


async def _written(steps: AsyncGenerator[Step]) -> AsyncIterator[bytes]:
    async with aclosing(steps):
        async for step in steps:
            yield _encode(Given.of(step)) + b"\n"
