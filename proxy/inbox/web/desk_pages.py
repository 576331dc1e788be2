"""The inbox and a hold's page: what waits, what it would do, and the answers.

What belongs here: from the ledger to what the templates show, and from forms to answers. An answer is for the hold that the page showed, by its id; of two
people at once the second is told who has answered, and how.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from proxy.approval import Approver, Right, answering, check_may_answer, check_right, needed
from proxy.errors import HoldError
from proxy.grants import is_grantable
from proxy.holds import is_waiting
from proxy.inbox.web.differences import differences
from proxy.inbox.web.presenting import (
    amount_of,
    call_line,
    clock,
    grouped,
    limit_text,
    place_of,
    plain,
    pretty,
    risk_of,
    row_of,
    span,
)
from proxy.inbox.web.timeline import timeline
from proxy.model import BudgetState, Hold, HoldState, Json
from proxy.pipeline.core import Pipeline
from proxy.pipeline.figures import today
from proxy.pipeline.grant_desk import Asking

PAGE = 100
_SPANS_MS = {"15m": 900_000, "1h": 3_600_000, "8h": 28_800_000, "1d": 86_400_000}

type Render = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Figures:
    """How much people are asked."""

    per_100_calls: str
    median: str


class DeskPages:
    """The inbox and holds."""

    def __init__(self, pipeline: Pipeline, render: Render) -> None:
        self._pipeline = pipeline
        self._render = render

    def routes(self) -> list[Route]:
        return [
            Route("/", self._inbox, name="inbox"),
            Route("/waiting", self._waiting),
            Route("/holds/{id}", self._hold),
            Route("/holds/{id}/state", self._state),
            Route("/holds/{id}/answer", self._answer, methods=["POST"]),
        ]

    # --- the inbox -------------------------------------------------------------------------------------
    async def _inbox(self, request: Request) -> Response:
        context = {**await self._listed(request), "figures": await figures(self._pipeline)}
        return await self._render(request, "inbox.html", context, here="inbox")

    async def _waiting(self, request: Request) -> Response:
        """The list alone, for a page that is open."""
        return await self._render(request, "waiting.html", await self._listed(request))

    async def _listed(self, request: Request) -> dict[str, Any]:
        page = max(1, _whole(request.query_params.get("page"), 1))
        now_ms = self._pipeline.now_ms()
        holds, count = await self._pipeline.desk.waiting(limit=PAGE, skip=(page - 1) * PAGE)
        person: Approver = request.state.person
        groups = grouped([row_of(hold, person, now_ms) for hold in holds])
        return {
            "groups": groups,
            "count": count,
            "page": page,
            "pages": -(-count // PAGE),
        }

    # --- a hold ------------------------------------------------------------------------------------------
    async def _hold(self, request: Request) -> Response:
        hold, former = await self._pipeline.desk.with_former(request.path_params["id"])
        entries, _ = await self._pipeline.session(hold.session)
        rules = self._pipeline.rules.compiled
        now_ms = self._pipeline.now_ms()
        context = {
            **self._standing(request, hold),
            "call": call_line(hold),
            "arguments": pretty(hold.arguments),
            "differences": differences(former.arguments, hold.arguments) if former else [],
            "former": former,
            "former_at": clock(former.created_at_ms) if former else "",
            "origins": list(_origins(hold.asked)),
            "reasons": [(r, plain(r.text), place_of(r)) for r in hold.reasons],
            "picture": timeline(entries, hold, rules.chains),
            "bars": [_bar(state) for state in hold.budgets],
            "effects": [(e, amount_of(e), plain(e.target or "")) for e in hold.effects],
            "risk": risk_of(hold),
            "exceeded": [
                s for s in hold.budgets if s.exceeded and not s.shadow and s.scope != "call"
            ],
            "age": span(now_ms - hold.created_at_ms),
            "began": clock(hold.created_at_ms),
            "rules_changed": hold.rules_digest != self._pipeline.rules.digest,
        }
        return await self._render(request, "hold.html", context, here="inbox")

    async def _state(self, request: Request) -> Response:
        """The standing of a hold alone; nothing where it is as the page knows it."""
        hold = await self._pipeline.desk.get(request.path_params["id"])
        standing = self._standing(request, hold)
        if request.query_params.get("was") == standing["token"]:
            return Response(status_code=204)
        return await self._render(request, "standing.html", standing)

    def _standing(self, request: Request, hold: Hold) -> dict[str, Any]:
        now_ms = self._pipeline.now_ms()
        person: Approver = request.state.person
        try:
            check_may_answer(person, hold, now_ms)
            hindrance = ""
        except HoldError as error:
            hindrance = plain(error)
        if not hindrance and any(c.by == person.name for c in hold.consents):
            hindrance = "You have said yes. It waits for somebody else."
        return {
            "hold": hold,
            "hindrance": hindrance,
            "left": span(hold.expires_at_ms - now_ms),
            "expires": clock(hold.expires_at_ms),
            "decided": clock(hold.decided_at_ms),
            "needed": needed(hold),
            "asks": [
                (ask, " or ".join(answering(ask, hold.created_at_ms, now_ms)))
                for ask in hold.asks
                if ask.by or ask.approvals > 1
            ],
            "is_open": is_waiting(hold, now_ms),
            "can_deny": hold.state in (HoldState.PENDING, HoldState.APPROVED),
            "token": f"{hold.state.value}-{len(hold.consents)}",
        }

    # --- answers -----------------------------------------------------------------------------------------
    async def _answer(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        hold_id: str = request.path_params["id"]
        person: Approver = request.state.person
        reason = form.get("reason", "").strip()[:500] or None
        desk = self._pipeline.desk
        try:
            # A page names a hold whole, no beginning will do, and is about the state that it showed.
            await desk.with_former(hold_id)
            seen = form.get("was", HoldState.PENDING)
            if form.get("freeze") == "yes":
                check_right(person, Right.FREEZE)
            match form.get("answer"):
                case "approve":
                    hold = await desk.approve(hold_id, person, reason, seen=seen)
                case "deny":
                    freeze = form.get("freeze") == "yes"
                    hold = await desk.deny(hold_id, person, reason, freeze=freeze, seen=seen)
                case "grant" | "top-up" as what:
                    asking = _asking(form, what, self._pipeline.now_ms())
                    hold, _, _ = await self._pipeline.grants.give(
                        hold_id, asking, person, reason, seen=seen
                    )
                case _:
                    raise HoldError("no answer was given; go back and choose one")
        except HoldError as error:
            return await self._render(
                request,
                "problem.html",
                {
                    "title": "Not done",
                    "text": plain(error),
                    "back": f"/holds/{hold_id}",
                },
                status=409,
                here="inbox",
            )
        waiting, _ = await desk.waiting(limit=PAGE)
        now_ms = self._pipeline.now_ms()
        mine = [h for h in waiting if h.id != hold.id and row_of(h, person, now_ms).mine]
        to = f"/holds/{mine[0].id}" if mine else "/"
        return RedirectResponse(f"{to}?done={hold.state.value}", 303)


# --- parts -----------------------------------------------------------------------------------------------
async def figures(pipeline: Pipeline) -> Figures:
    """Returns how often people were asked in the last day, and how long they took."""
    now_ms = pipeline.now_ms()
    found = await pipeline.in_transaction(lambda tx, _emit: today(tx, now_ms))
    per_100, took_ms = found.holds_per_100_calls, found.median_answer_ms
    return Figures(
        "none yet" if per_100 is None else f"{per_100:.1f}",
        "none yet" if took_ms is None else span(took_ms),
    )


def _asking(form: dict[str, str], what: str, now_ms: int) -> Asking:
    lasts_ms = _SPANS_MS.get(form.get("for", ""), _SPANS_MS["1h"])
    if what == "top-up":
        extra = _amount(form.get("extra", ""))
        if extra is None:
            raise HoldError("a top-up needs an amount, such as 500")
        return Asking(now_ms + lasts_ms, budget=form.get("budget", ""), extra=extra)
    return Asking(
        now_ms + lasts_ms,
        per="agent" if form.get("per") == "agent" else "session",
        same_target=form.get("target") != "any",
        amount=_amount(form.get("amount", "")),
    )


def _amount(text: str) -> Decimal | None:
    if not text.strip():
        return None
    try:
        made = Decimal(text.strip())
    except InvalidOperation:
        raise HoldError(f"{text[:40]!r} is not an amount") from None
    if not is_grantable(made):
        raise HoldError(f"{text[:40]!r} is not an amount above 0")
    return made


@dataclass(frozen=True, slots=True)
class Bar:
    """A budget before and after, in per mille of the picture's width."""

    name: str
    scope: str
    before: int
    after: int
    limit: int
    words: str
    exceeded: bool
    shadow: bool


def _bar(state: BudgetState) -> Bar:
    whole = max(state.after, state.limit, Decimal(1))
    before, after, limit = (
        int(1000 * amount / whole) for amount in (state.before, state.after, state.limit)
    )
    words = f"{limit_text(state.before, None)} → {limit_text(state.after, None)} of {limit_text(state.limit, state.unit)}"
    return Bar(
        plain(state.name),
        plain(state.scope),
        before,
        after,
        limit,
        words,
        state.exceeded,
        state.shadow,
    )


def _origins(asked: Json) -> Any:
    """Yields (argument, where it came from) as the decision's notes have it."""
    for question, answer in (asked or {}).items():
        if not question.startswith("origin:") or not isinstance(answer, dict):
            continue
        said = [w for w in ("user", "system", "model") if answer.get(w)]
        for one in answer.get("from", ()):
            if isinstance(one, dict) and one.get("tool"):
                trust = "trusted" if one.get("trusted") else "untrusted"
                said.append(f"result of {one['tool']} ({trust})")
        labels = ", ".join(map(str, answer.get("labels", ())))
        yield (
            plain(question.removeprefix("origin:")),
            plain(", ".join(dict.fromkeys(said)) or "unknown"),
            plain(labels),
        )


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdigit() and len(text) < 7 else otherwise
