"""The web inbox put together: pages behind the guard, live updates, static files.

What belongs here: the application, and what every page has (who looks, banners, the CSRF token). Templates escape by themselves; what agents wrote also goes
through `presenting.plain`. An error on a page is a page, and says nothing from inside.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp

from proxy.approval import Right
from proxy.errors import CheckreinError, HoldError
from proxy.inbox.web.desk_pages import DeskPages
from proxy.inbox.web.guard import Guard, Wall
from proxy.inbox.web.presenting import clock, plain
from proxy.inbox.web.rules_pages import RulesPages
from proxy.inbox.web.session_pages import SessionPages
from proxy.inbox.web.sessions import Sessions
from proxy.inbox.web.signing_in import SigningIn
from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit
from proxy.people.current import CurrentPeople
from proxy.pipeline.changes import Changes
from proxy.pipeline.core import Pipeline
from proxy.pipeline.links import Links
from proxy.settings import Settings

logger = logging.getLogger("checkrein")

HERE = Path(__file__).resolve().parent
_HEARTBEAT_S = 15.0
_SETTLE_S = 0.2  # several changes in a moment are one update


def application(
    pipeline: Pipeline,
    people: CurrentPeople,
    settings: Settings,
    changes: Changes,
    hosts: Callable[[], frozenset[str]],
) -> ASGIApp:
    """Returns the application; `hosts`: names, with ports, under which people reach it."""
    templates = Jinja2Templates(directory=HERE / "templates")
    templates.env.globals.update(plain=plain, Right=Right)
    sessions = Sessions()

    async def page(
        request: Request, name: str, context: dict[str, Any], *, status: int = 200, here: str = ""
    ) -> Response:
        rows = await pipeline.signals.list()
        frozen = [row for row in rows if row.scope == "fleet" and row.freezes]
        return render(request, name, {"frozen_fleet": frozen, **context}, status=status, here=here)

    def render(
        request: Request, name: str, context: dict[str, Any], *, status: int = 200, here: str = ""
    ) -> Response:
        rejected = pipeline.rulebook.rejected
        shared = {
            "person": request.state.person,
            "csrf": request.state.csrf,
            "here": here,
            "rejected": rejected,
            "rejected_at": clock(rejected.at_ms) if rejected is not None else "",
            "shadow": settings.shadow,
            "frozen_fleet": (),
            "done": plain(request.query_params.get("done", ""))[:20],
        }
        return templates.TemplateResponse(request, name, {**shared, **context}, status_code=status)

    async def banners(request: Request) -> Response:
        """What stands above every page, for one that is open."""
        return await page(request, "banners.html", {})

    async def link(request: Request) -> Response:
        """A link from a notice: it leads to a hold's page, once, whoever has signed in."""
        token: str = request.path_params["token"]

        def use(tx: Transaction, _emit: Emit) -> str:
            key = tx.state_key("links")
            return Links(key, people.people.url or "").open_in(tx, token, pipeline.now_ms())

        try:
            hold_id = await pipeline.in_transaction(use)
        except HoldError as error:
            context = {"title": "This link leads nowhere", "text": plain(error), "back": "/"}
            return await page(request, "problem.html", context, status=410)
        return RedirectResponse(f"/holds/{quote(hold_id, safe='')}", 303)

    async def events(request: Request) -> Response:
        """Server-sent events: something has changed."""

        async def stream() -> AsyncIterator[str]:
            version = changes.version
            yield "retry: 2000\n\n"
            while not pipeline.closing and request.state.is_still_in():
                now = await changes.after(version, _HEARTBEAT_S)
                if now == version:
                    yield ": still here\n\n"
                    continue
                await asyncio.sleep(_SETTLE_S)
                version = changes.version
                yield f"event: changed\ndata: {version}\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    def problem(request: Request, status: int, title: str, text: str) -> Response:
        context = {"title": title, "text": text, "back": "/"}
        return render(request, "problem.html", context, status=status)

    async def not_found(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return problem(request, status, "Not found", "There is no such page.")

    async def no_hold(request: Request, error: Exception) -> Response:
        return problem(request, 404, "Not found", plain(error))

    async def failed(request: Request, error: Exception) -> Response:
        logger.error("inbox: %s", error)
        return problem(request, 503, "This cannot be shown now", plain(error))

    async def broken(request: Request, error: Exception) -> Response:
        logger.error("inbox: %s", type(error).__name__, exc_info=error)
        return problem(request, 500, "Something is broken", "The proxy's stderr says what.")

    def note(what: str, name: str) -> None:
        logger.warning("inbox: sign-in: %s: %s", what, plain(name)[:100])

    signing_in = SigningIn(people, sessions, templates, pipeline.now_ms, note)
    inside = Starlette(
        routes=[
            *DeskPages(pipeline, page).routes(),
            *SessionPages(pipeline, settings, page).routes(),
            *RulesPages(pipeline, settings, page).routes(),
            Route("/events", events),
            Route("/banners", banners),
            Route("/l/{token}", link, methods=["GET"]),
            *signing_in.routes(),
            Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
        ],
        exception_handlers={
            404: not_found,
            405: not_found,
            HoldError: no_hold,
            CheckreinError: failed,
            500: broken,
        },
    )

    async def tell(text: str) -> None:
        await pipeline.note_error(None, "inbox", text)

    wall = Wall(pipeline.carried, tell)
    return Guard(inside, people, sessions, pipeline.now_ms, hosts, wall)
