"""The admin API of signals: what is in force, freeze and thaw, and what other systems post.

`POST /v1/signals` asks for `Authorization: Bearer TOKEN` where CHECKREIN_SIGNALS_TOKEN was set when the
proxy was started, so that a SIEM's relay can be let at the socket and do nothing else in its name. With a people
file, freezing needs nobody's token (it is the kill switch), thawing and lifting somebody's who may freeze.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy.approval import Right, check_right
from proxy.inbox.who import approver_of
from proxy.ledger.store import SessionSummary
from proxy.pipeline.core import Pipeline
from proxy.pipeline.standing import standing_of

if TYPE_CHECKING:
    from proxy.people.current import CurrentPeople

_MOST_BYTES = 65_536


def routes(pipeline: Pipeline, people: CurrentPeople | None = None) -> list[Route]:
    """Returns the routes; freeze and thaw stand ahead of the one that shows a session.

    Args:
        people: of whom one must lift and thaw; freezing is for whoever opens the socket.
    """

    def may_lift(request: Request, body: dict[str, Any]) -> str:
        """Returns who ends what a human or a rule has stopped. Raises HoldError where they may not."""
        person = approver_of(request, _text(body, "by"), people)
        check_right(person, Right.FREEZE)
        return person.name

    async def list_all(_request: Request) -> Response:
        rows = await pipeline.signals.list()
        return JSONResponse({"signals": [standing_of(row) for row in rows]})

    async def post(request: Request) -> Response:
        token = pipeline.settings.signals_token
        if token is not None and not _has_token(request, token):
            text = "a signal needs 'Authorization: Bearer TOKEN', the CHECKREIN_SIGNALS_TOKEN"
            return JSONResponse({"error": text}, 401, {"www-authenticate": "Bearer"})
        body = await _body(request)
        return JSONResponse(await pipeline.signals.post(body, by="posted"))

    async def lift(request: Request) -> Response:
        body = await _body(request)
        scope, name = _text(body, "scope"), _text(body, "name")
        if scope is None:
            raise ValueError("'scope' must say where: session:S, agent:A, human:H or fleet")
        lifted = await pipeline.signals.lift(scope, name, may_lift(request, body))
        if not lifted:
            return JSONResponse({"error": f"nothing is in force in {scope!r} to lift"}, 404)
        return JSONResponse({"scope": scope, "lifted": list(lifted)})

    async def freeze_scope(request: Request) -> Response:
        body = await _body(request)
        by = _text(body, "by") or "operator"
        scope = _text(body, "scope") or ""
        row = await pipeline.signals.freeze_scope(scope, by, _text(body, "reason"))
        return JSONResponse({"scope": row.scope, "frozen": True, "signal": standing_of(row)})

    async def freeze(request: Request) -> Response:
        session: str = request.path_params["id"]
        body = await _body(request)
        by = _text(body, "by") or "operator"
        row = await pipeline.signals.freeze(session, by, _text(body, "reason"))
        if row is None:
            return _never_seen(session)
        return JSONResponse({"session": session, "frozen": True, "signal": standing_of(row)})

    async def thaw(request: Request) -> Response:
        session: str = request.path_params["id"]
        body = await _body(request)
        by = may_lift(request, body)
        done = await pipeline.signals.thaw(session, by, _text(body, "reason"))
        if done is None:
            return _never_seen(session)
        lifted, left = done
        return JSONResponse(
            {
                "session": session,
                "frozen": any(row.freezes for row in left),
                "lifted": list(lifted),
                "signals": [standing_of(row) for row in left],
            }
        )

    return [
        Route("/v1/signals", list_all),
        Route("/v1/signals", post, methods=["POST"]),
        Route("/v1/signals/lift", lift, methods=["POST"]),
        Route("/v1/signals/freeze", freeze_scope, methods=["POST"]),
        Route("/v1/sessions/{id:path}/freeze", freeze, methods=["POST"]),
        Route("/v1/sessions/{id:path}/thaw", thaw, methods=["POST"]),
    ]


def frozen_sessions(sessions: Sequence[SessionSummary], scopes: Set[str]) -> frozenset[str]:
    """Returns which of the sessions are stopped, by their family's freeze, their agent's or the fleet's."""
    parents = {one.id: one.parent for one in sessions}
    return frozenset(
        one.id
        for one in sessions
        if not scopes.isdisjoint(
            (f"session:{_root(one.id, parents)}", f"agent:{one.agent}", "fleet")
        )
    )


def _root(session: str, parents: Mapping[str, str | None]) -> str:
    seen = {session}
    while (parent := parents.get(session)) is not None and parent not in seen and len(seen) < 32:
        seen.add(parent)
        session = parent
    return session


def _never_seen(session: str) -> Response:
    return JSONResponse({"error": f"session {session!r}: never seen"}, 404)


def _has_token(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and secrets.compare_digest(
        given.strip().encode("utf-8", "surrogatepass"), token.encode("utf-8", "surrogatepass")
    )


async def _body(request: Request) -> dict[str, Any]:
    data = await request.body()
    if len(data) > _MOST_BYTES:
        raise ValueError(f"the body is longer than {_MOST_BYTES} bytes")
    try:
        body = await request.json() if data else {}
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name!r} must be text")
    return value
