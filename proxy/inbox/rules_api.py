"""The admin side of the rules in force: what they are, what became of the last edit, and a look at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy.inbox.views import when
from proxy.model import Json
from proxy.pipeline.core import Pipeline

type Look = Callable[[], Awaitable[str]]
"""Looks at the rule files now; says what it led to: same, reloaded, rejected."""


def routes(pipeline: Pipeline, look: Look | None) -> list[Route]:
    """Returns the endpoints over one pipeline."""

    async def show(_request: Request) -> Response:
        return JSONResponse(_view(pipeline))

    async def reload(_request: Request) -> Response:
        if look is None:
            return JSONResponse({"error": "the rules of this proxy come from no file"}, 409)
        return JSONResponse({"outcome": str(await look()), **_view(pipeline)})

    return [Route("/v1/rules", show), Route("/v1/rules/reload", reload, methods=["POST"])]


def _view(pipeline: Pipeline) -> dict[str, Json]:
    status = dict(pipeline.rulebook.status())
    since_ms, rejected = status.pop("since_ms"), status["rejected"]
    if rejected is not None:
        status["rejected"] = {**rejected, "at": when(rejected["at_ms"])}
    return {"id": status["rules"], **status, "since": when(since_ms)}
