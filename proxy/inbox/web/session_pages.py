"""Sessions: meters, what they did, freeze and thaw; a page that an auditor can print. Grants, and taking them back."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from proxy.approval import Approver, Right, check_right
from proxy.errors import HoldError
from proxy.inbox.signals_api import frozen_sessions
from proxy.inbox.views import grant_view
from proxy.inbox.web.desk_pages import Render
from proxy.inbox.web.log_search import Wanted, search
from proxy.inbox.web.presenting import amount_of, clock, limit_text, plain, short, span
from proxy.inbox.web.timeline import timeline
from proxy.pipeline.core import Pipeline
from proxy.pipeline.standing import standing_of
from proxy.settings import Settings

_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class Meter:
    """A budget's use in one account; `share` is per mille of its limit, None where no rule has it now."""

    name: str
    scope: str
    words: str
    share: int | None


class SessionPages:
    """Sessions and grants."""

    def __init__(self, pipeline: Pipeline, settings: Settings, render: Render) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._render = render

    def routes(self) -> list[Route]:
        return [
            Route("/sessions", self._sessions),
            Route("/session", self._session),
            Route("/session/freeze", self._freeze, methods=["POST"]),
            Route("/session/thaw", self._thaw, methods=["POST"]),
            Route("/fleet", self._fleet),
            Route("/fleet/freeze", self._freeze_fleet, methods=["POST"]),
            Route("/fleet/thaw", self._thaw_fleet, methods=["POST"]),
            Route("/grants", self._grants),
            Route("/grants/{id}/revoke", self._revoke, methods=["POST"]),
        ]

    # --- sessions ------------------------------------------------------------------------------------------
    async def _sessions(self, request: Request) -> Response:
        sessions = await self._pipeline.sessions()
        scopes = {row.scope for row in await self._pipeline.signals.list() if row.freezes}
        frozen = frozen_sessions(sessions, scopes)
        now_ms = self._pipeline.now_ms()
        rows = [
            (s, short(s.id, 80), short(s.agent, 60), span(now_ms - s.last_seen_ms), s.id in frozen)
            for s in sessions[:200]
        ]
        context = {"rows": rows, "more": max(0, len(sessions) - 200)}
        return await self._render(request, "sessions.html", context, here="sessions")

    async def _session(self, request: Request) -> Response:
        name = request.query_params.get("id", "")
        entries, used = await self._pipeline.session(name)
        sessions = await self._pipeline.sessions()
        known = [s for s in sessions if s.id == name]
        if not known and not entries:
            text = "No call of this session was ever seen."
            lost = {"title": "No such session", "text": text, "back": "/sessions"}
            return await self._render(request, "problem.html", lost, status=404, here="sessions")
        signals = await self._pipeline.signals.of_session(name)
        log, problem = await self._logged(name)
        sequence = [r["seq"] for r in log if isinstance(r.get("seq"), int)]
        context = {
            "name": name,
            "summary": known[0] if known else None,
            "below": [s for s in sessions if s.parent == name],
            "meters": [self._meter(*one) for one in used],
            "picture": timeline(entries),
            "entries": [
                (e, amount_of(e.effect), plain(e.effect.target or ""), clock(e.reserved_at_ms))
                for e in reversed(entries[-500:])
            ],
            "log": [told(record) for record in reversed(log)],
            "log_problem": problem,
            "seq": (min(sequence), max(sequence)) if sequence else None,
            "signals": [standing_of(row) for row in signals],
            "frozen": any(row.freezes for row in signals),
            "rules": self._pipeline.rules.digest[:16],
            "made": clock(self._pipeline.now_ms()),
        }
        return await self._render(request, "session.html", context, here="sessions")

    async def _logged(self, session: str) -> tuple[list[dict[str, Any]], str]:
        try:
            found = await to_thread.run_sync(
                lambda: search(self._settings.log, Wanted(session=session), most=_RECORDS)
            )
        except OSError as error:
            return [], f"The decision log cannot be read: {error.strerror}."
        cut = "" if found.before is None else "Only the newest part of the log was looked through."
        return list(found.records), cut

    def _meter(self, name: str, scope: str, used: str) -> Meter:
        budget = next((b for b in self._pipeline.rules.compiled.budgets if b.name == name), None)
        try:
            amount = Decimal(used)
        except InvalidOperation:
            return Meter(plain(name), plain(scope), plain(used), None)
        if budget is None:
            return Meter(plain(name), plain(scope), limit_text(amount, None), None)
        words = f"{limit_text(amount, None)} of {limit_text(budget.limit, budget.unit)}"
        return Meter(plain(name), plain(scope), words, int(1000 * amount / budget.limit))

    async def _freeze(self, request: Request) -> Response:
        form = await request.form()
        person = _allowed(request)
        name = str(form.get("id", ""))
        await self._pipeline.signals.freeze(name, person.name, _reason(form.get("reason")))
        return _to_session(name)

    async def _thaw(self, request: Request) -> Response:
        form = await request.form()
        person = _allowed(request)
        name = str(form.get("id", ""))
        await self._pipeline.signals.thaw(name, person.name, _reason(form.get("reason")))
        return _to_session(name)

    # --- the fleet -------------------------------------------------------------------------------------------
    async def _fleet(self, request: Request) -> Response:
        rows = [row for row in await self._pipeline.signals.list() if row.scope == "fleet"]
        _, count = await self._pipeline.desk.waiting(limit=1)
        context = {"frozen": [r for r in rows if r.freezes], "count": count}
        return await self._render(request, "fleet.html", context, here="sessions")

    async def _freeze_fleet(self, request: Request) -> Response:
        form = await request.form()
        person = _allowed(request)
        reason = _reason(form.get("reason"))
        await self._pipeline.signals.freeze_scope("fleet", person.name, reason)
        return RedirectResponse("/fleet", 303)

    async def _thaw_fleet(self, request: Request) -> Response:
        person = _allowed(request)
        await self._pipeline.signals.lift("fleet", "freeze", person.name)
        return RedirectResponse("/fleet", 303)

    # --- grants ------------------------------------------------------------------------------------------------
    async def _grants(self, request: Request) -> Response:
        now_ms = self._pipeline.now_ms()
        views = [grant_view(grant, now_ms) for grant in await self._pipeline.grants.list()]
        return await self._render(request, "grants.html", {"grants": views[:500]}, here="grants")

    async def _revoke(self, request: Request) -> Response:
        person: Approver = request.state.person
        try:
            await self._pipeline.grants.revoke(request.path_params["id"], person)
        except HoldError as error:
            context = {"title": "Not done", "text": plain(error), "back": "/grants"}
            return await self._render(request, "problem.html", context, status=409, here="grants")
        return RedirectResponse("/grants", 303)


def _allowed(request: Request) -> Approver:
    person: Approver = request.state.person
    check_right(person, Right.FREEZE)
    return person


def _reason(value: object) -> str | None:
    return str(value).strip()[:500] or None if value is not None else None


def _to_session(name: str) -> Response:
    return RedirectResponse(f"/session?id={quote(name, safe='')}", 303)


def told(record: dict[str, Any]) -> dict[str, Any]:
    """A record as a line that an auditor reads."""
    call = record.get("call") or {}
    reasons = record.get("reasons") or ()
    if record["type"] == "decision":
        what = f"{record['verdict']}: {call.get('name', '')}"
        text = "; ".join(f"{r['rule']}: {r['text']}" for r in reasons)
    elif record["type"] in ("hold", "session", "grant"):
        by = f" by {record['by']}" if record.get("by") else ""
        what = f"{record['type']} {record.get('event', '')}{by}"
        text = record.get("reason") or ""
    elif record["type"] == "settlement":
        what = f"{record.get('state', '')}: {call.get('name', '')}"
        text = f"by {record.get('by', '')}"
    else:
        what, text = record["type"], record.get("text") or record.get("error") or ""
    return {
        "seq": record.get("seq"),
        "time": str(record.get("time", ""))[:19].replace("T", " "),
        "what": short(what, 120),
        "text": short(text, 400),
        "verdict": record.get("verdict") or record.get("event") or "",
    }
