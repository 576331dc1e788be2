"""The admin API of the desk as a whole: its figures, what is still to be told, and a test of those who are.

What belongs here: `GET /v1/desk`, `GET /v1/outbox` and `POST /v1/notices/test`. Who sends is not known here; the service hands in how.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy.inbox.views import shown, when
from proxy.ledger.store import OutboxRow
from proxy.pipeline.core import Pipeline
from proxy.pipeline.figures import Figure, figures_in

type Try = Callable[[], Awaitable[Sequence[tuple[str, str | None]]]]
"""Sends a test to everybody who is told; (who, what went wrong) of each."""

_STATES = ("waiting", "failed", "sent", "dropped")


def routes(pipeline: Pipeline, try_notices: Try | None) -> list[Route]:
    """Returns the routes."""

    async def show_desk(_request: Request) -> Response:
        now_ms = pipeline.now_ms()
        found = await pipeline.in_transaction(lambda tx, _emit: figures_in(tx, now_ms))
        return JSONResponse(
            {
                "pending": found.pending,
                "oldest_pending_s": _seconds(found.oldest_pending_ms),
                "figures": [figure_view(one) for one in found.lines],
            }
        )

    async def show_outbox(request: Request) -> Response:
        states = request.query_params.getlist("state") or list(_STATES[:2])
        strange = sorted(set(states) - set(_STATES))
        if strange:
            raise ValueError(f"'{strange[0]}' is not one of {', '.join(_STATES)}")
        rows = await pipeline.in_transaction(lambda tx, _emit: tx.outbox(states))
        return JSONResponse({"outbox": [row_view(row) for row in rows]})

    async def try_all(_request: Request) -> Response:
        if try_notices is None:
            return JSONResponse({"error": "this proxy tells nobody: it has no people file"}, 404)
        tried = await try_notices()
        return JSONResponse({"tried": [{"id": who, "error": fault} for who, fault in tried]})

    return [
        Route("/v1/desk", show_desk),
        Route("/v1/outbox", show_outbox),
        Route("/v1/notices/test", try_all, methods=["POST"]),
    ]


def figure_view(figure: Figure) -> dict[str, Any]:
    return {
        "id": figure.id,
        "window": figure.window,
        "since": when(figure.since_ms),
        "rule": figure.rule,
        "agent": figure.agent,
        "calls": figure.calls,
        "holds": figure.holds,
        "holds_per_100_calls": shown(figure.holds_per_100_calls),
        "answered": figure.answered,
        "median_answer_s": _seconds(figure.median_answer_ms),
    }


def row_view(row: OutboxRow) -> dict[str, Any]:
    """A row, without what is sent."""
    return {
        "id": row.id,
        "to": row.lane,
        "event": row.event,
        "hold": row.hold_id,
        "state": row.state,
        "attempts": row.attempts,
        "error": row.error,
        "created_at": when(row.created_at_ms),
        "next_at": when(row.next_at_ms) if row.state == "waiting" else None,
        "done_at": when(row.done_at_ms),
    }


def _seconds(span_ms: int | None) -> float | None:
    return None if span_ms is None else span_ms / 1000
