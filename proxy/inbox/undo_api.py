"""The admin side of undoing: the list of a session's calls backwards, and what became of each compensating call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy.inbox.views import shown, when
from proxy.inbox.who import approver_of
from proxy.pipeline.core import Pipeline
from proxy.pipeline.records import effect_record
from proxy.pipeline.undoing import Undoable

if TYPE_CHECKING:
    from proxy.people.current import CurrentPeople


def routes(pipeline: Pipeline, people: CurrentPeople | None) -> list[Route]:
    """Returns the routes; they stand ahead of the one that shows a session."""

    async def list_(request: Request) -> Response:
        found = await pipeline.undo.list(request.path_params["id"])
        return JSONResponse({"calls": [undoable_view(one) for one in found]})

    async def note(request: Request) -> Response:
        body: Any = await request.json() if await request.body() else {}
        if not isinstance(body, dict) or body.get("event") not in ("begun", "done", "failed"):
            raise ValueError("'event' is begun, done or failed")
        by, status, error = body.get("by"), body.get("status"), body.get("error")
        person = approver_of(request, by if isinstance(by, str) else None, people)
        row = await pipeline.undo.note(
            request.path_params["key"],
            body["event"],
            person,
            again=body.get("again") is True,
            status=status if type(status) is int else None,
            error=str(error)[:500] if error is not None else None,
        )
        return JSONResponse({"id": row.call_key, "state": row.state, "by": row.by})

    return [
        Route("/v1/sessions/{id:path}/undo", list_),
        Route("/v1/undo/{key}", note, methods=["POST"]),
    ]


def undoable_view(one: Undoable) -> dict[str, Any]:
    row = one.row
    return {
        "id": one.call_key,
        "session": one.session,
        "tool": one.tool,
        "time": when(one.at_ms),
        "effects": [effect_record(entry.effect) for entry in one.effects],
        "undo": None if row is None or row.call is None else shown(row.call),
        "state": None if row is None else row.state,
        "by": None if row is None else row.by,
        "runs": one.runs,
        "why": one.why,
    }
