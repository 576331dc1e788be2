"""Grants over the admin API: listed and taken back; what an approval may ask for.

What belongs here: reading what an approver asked for. What fits a hold is `proxy/grants.py`'s to say.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy.grants import is_grantable
from proxy.inbox.views import grant_view
from proxy.inbox.who import approver_of
from proxy.pipeline.core import Pipeline
from proxy.pipeline.grant_desk import Asking

if TYPE_CHECKING:
    from proxy.people.current import CurrentPeople

_KEYS = frozenset({"expires_at_ms", "per", "target", "amount", "budget", "extra", "unit"})


def asking_of(value: Any) -> Asking:
    """Returns what an approver asks for.

    `budget` and `extra` (with `unit`) make a top-up; else `per` is `session` or `agent`, `target` is `same` or `any`, `amount`
    the most of each effect. `expires_at_ms` is when it ends.

    Raises:
        ValueError: it is not so.
    """
    if not isinstance(value, dict) or value.keys() - _KEYS:
        raise ValueError(f"'grant' is an object with some of {', '.join(sorted(_KEYS))}")
    expires_at_ms = value.get("expires_at_ms")
    if expires_at_ms is not None and type(expires_at_ms) is not int:
        raise ValueError("'expires_at_ms' is a whole number of milliseconds")
    per, target = value.get("per", "session"), value.get("target", "same")
    if per not in ("session", "agent") or target not in ("same", "any"):
        raise ValueError("'per' is session or agent, 'target' is same or any")
    budget, unit = value.get("budget"), value.get("unit")
    if any(text is not None and not isinstance(text, str) for text in (budget, unit)):
        raise ValueError("'budget' and 'unit' are texts")
    extra = _amount(value, "extra")
    if (budget is None) != (extra is None):
        raise ValueError("'budget' and 'extra' stand together")
    return Asking(
        expires_at_ms, per, target == "same", _amount(value, "amount"), budget, extra, unit
    )


def _amount(value: dict[str, Any], name: str) -> Decimal | None:
    stated = value.get(name)
    if stated is None:
        return None
    if isinstance(stated, bool) or not isinstance(stated, int | float | str):
        raise ValueError(f"'{name}' is a number")
    try:
        made = Decimal(str(stated))
    except InvalidOperation as error:
        raise ValueError(f"'{name}' is a number") from error
    if not is_grantable(made):
        raise ValueError(f"'{name}' is a number above 0")
    return made


def routes(pipeline: Pipeline, people: CurrentPeople | None = None) -> list[Route]:
    """Returns the routes; `people` are those who may answer."""

    async def list_grants(_request: Request) -> Response:
        now_ms = pipeline.now_ms()
        found = await pipeline.grants.list()
        return JSONResponse({"grants": [grant_view(grant, now_ms) for grant in found]})

    async def revoke(request: Request) -> Response:
        body = await request.json() if await request.body() else {}
        by = body.get("by") if isinstance(body, dict) else None
        named = by if isinstance(by, str) and by else None
        person = approver_of(request, named, people)
        grant = await pipeline.grants.revoke(request.path_params["id"], person)
        return JSONResponse(grant_view(grant, pipeline.now_ms()))

    return [
        Route("/v1/grants", list_grants),
        Route("/v1/grants/{id}/revoke", revoke, methods=["POST"]),
    ]
