"""The admin side of the rules in force: what they are, what became of the last edit, and a look at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy.approval import Right, check_right
from proxy.inbox.views import when
from proxy.inbox.who import approver_of
from proxy.model import Json
from proxy.pipeline.core import Pipeline

if TYPE_CHECKING:
    from proxy.people.current import CurrentPeople

type Look = Callable[[], Awaitable[str]]
"""Looks at the rule files now; says what it led to: same, reloaded, rejected."""


def routes(
    pipeline: Pipeline, look: Look | None, people: CurrentPeople | None = None
) -> list[Route]:
    """Returns the endpoints over one pipeline; with people, to have the files read is a right."""

    async def show(_request: Request) -> Response:
        return JSONResponse(_view(pipeline))

    async def reload(request: Request) -> Response:
        if people is not None:
            check_right(approver_of(request, None, people), Right.RULES)
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
