"""The admin API: JSON over HTTP on a unix socket (mode 0600), for the command line and for scripts.

`curl --unix-socket PATH http://checkrein/v1/holds` works. The proxy itself refuses to carry traffic
to any address of its own, and a unix socket has none that an agent's HTTP client could name.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy.canonical import sha256_hex
from proxy.errors import CheckreinError, HoldError
from proxy.inbox import desk_api, grants_api, mcp_api, rules_api, signals_api, undo_api
from proxy.inbox.views import grant_view, hold_view, session_view, summary_view
from proxy.inbox.who import Unknown, approver_of
from proxy.ledger.store import Credential
from proxy.model import HoldState
from proxy.pipeline.core import Pipeline
from proxy.pipeline.standing import standing_of

if TYPE_CHECKING:
    from proxy.people.current import CurrentPeople

type Handler = Callable[[Request], Awaitable[Response]]


def application(
    pipeline: Pipeline,
    status: Callable[[], dict[str, Any]],
    look: rules_api.Look | None = None,
    people: CurrentPeople | None = None,
    try_notices: desk_api.Try | None = None,
) -> Starlette:
    """Returns the admin application.

    Args:
        pipeline: what it is about.
        status: tells how the proxy runs.
        look: looks at the rule files; without it they are not read again.
        people: who may answer; without it whoever opens the socket.
        try_notices: sends a test to everybody who is told of holds; without it there is nobody.
    """

    async def show_status(_request: Request) -> Response:
        return JSONResponse(status())

    async def list_holds(request: Request) -> Response:
        states = [HoldState(s) for s in request.query_params.getlist("state")]
        holds = await pipeline.desk.list(states)
        return JSONResponse({"holds": [hold_view(h) for h in holds]})

    async def show_hold(request: Request) -> Response:
        hold = await pipeline.desk.get(request.path_params["id"])
        entries, _budgets = await pipeline.session(hold.session)
        return JSONResponse({**hold_view(hold), "timeline": session_view(entries, ())["entries"]})

    async def approve(request: Request) -> Response:
        body = await _body(request)
        hold_id, by = request.path_params["id"], approver_of(request, _text(body, "by"), people)
        reason = _text(body, "reason")
        if body.get("grant") is not None:
            asking = grants_api.asking_of(body["grant"])
            hold, grant, others = await pipeline.grants.give(
                hold_id, asking, by, reason, seen=_text(body, "seen")
            )
            also = [other.id for other in others]
            return JSONResponse({**hold_view(hold), "grant": grant_view(grant), "also": also})
        hold = await pipeline.desk.approve(hold_id, by, reason, seen=_text(body, "seen"))
        return JSONResponse(hold_view(hold))

    async def deny(request: Request) -> Response:
        body = await _body(request)
        hold = await pipeline.desk.deny(
            request.path_params["id"],
            by=approver_of(request, _text(body, "by"), people),
            reason=_text(body, "reason"),
            freeze=body.get("freeze") is True,
            seen=_text(body, "seen"),
        )
        return JSONResponse(hold_view(hold))

    async def list_sessions(_request: Request) -> Response:
        scopes = {row.scope for row in await pipeline.signals.list() if row.freezes}
        sessions = await pipeline.sessions()
        frozen = signals_api.frozen_sessions(sessions, scopes)
        views = [{**summary_view(s), "frozen": s.id in frozen} for s in sessions]
        return JSONResponse({"sessions": views})

    async def show_session(request: Request) -> Response:
        session = request.path_params["id"]
        entries, budgets = await pipeline.session(session)
        known = [s for s in await pipeline.sessions() if s.id == session]
        if not known and not entries:
            return JSONResponse({"error": f"session {session!r}: never seen"}, 404)
        view = summary_view(known[0]) if known else {"id": session}
        rows = await pipeline.signals.of_session(session)
        standing = {
            "frozen": any(row.freezes for row in rows),
            "signals": [standing_of(row) for row in rows],
        }
        return JSONResponse({**view, **standing, **session_view(entries, budgets)})

    async def mint(request: Request) -> Response:
        body = await _body(request)
        session = _text(body, "session") or "run-" + secrets.token_hex(6)
        agent = _text(body, "agent") or "agent"
        human = _text(body, "human")
        for name, value in (("session", session), ("agent", agent), ("human", human or "")):
            if not (value.isprintable() and len(value) <= 128):
                raise ValueError(f"{name!r} must be at most 128 printable characters")
        token = secrets.token_urlsafe(32)
        await pipeline.add_credential(
            Credential(
                token_sha256=sha256_hex(token.encode()),
                session=session,
                agent=agent,
                created_at_ms=pipeline.now_ms(),
                human=human,
            )
        )
        return JSONResponse({"token": token, "session": session, "agent": agent})

    return Starlette(
        routes=[
            Route("/v1/status", show_status),
            Route("/v1/holds", list_holds),
            Route("/v1/holds/{id}", show_hold),
            Route("/v1/holds/{id}/approve", approve, methods=["POST"]),
            Route("/v1/holds/{id}/deny", deny, methods=["POST"]),
            *grants_api.routes(pipeline, people),
            *desk_api.routes(pipeline, try_notices),
            Route("/v1/sessions", list_sessions),
            *signals_api.routes(pipeline, people),
            *undo_api.routes(pipeline, people),
            Route("/v1/sessions/{id:path}", show_session),
            Route("/v1/credentials", mint, methods=["POST"]),
            *mcp_api.routes(pipeline),
            *rules_api.routes(pipeline, look, people),
        ],
        exception_handlers={
            Unknown: _unknown,
            HoldError: _conflict,
            CheckreinError: _failed,
            ValueError: _invalid,
        },
    )


async def _body(request: Request) -> dict[str, Any]:
    body = await request.json() if await request.body() else {}
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name!r} must be text")
    return value


async def _unknown(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 401, {"www-authenticate": "Bearer"})


async def _conflict(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 409)


async def _failed(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 503)


async def _invalid(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)
