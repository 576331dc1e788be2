"""Signing in and out: by password, or by the identity provider that the people file names.

What belongs here: the routes. A wrong password and an unknown name get one answer, after the same work. The form has a token that is signed for the
browser it was shown to, so that no other page signs somebody in under another name. The session's id is new at every sign-in.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from anyio import to_thread
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from proxy.approval import Approver
from proxy.inbox.web.guard import COOKIE, SECURE_COOKIE, is_secure
from proxy.inbox.web.oidc import OidcError, Provider
from proxy.inbox.web.rate import SignInRate
from proxy.inbox.web.sessions import LONGEST_MS, Sessions
from proxy.people.current import CurrentPeople

_FORM_S = 3600
_OIDC_S = 600
_FORM_COOKIE, _STATE_COOKIE = "checkrein-form", "checkrein-oidc"

type Note = Callable[[str, str], None]
"""Told of a sign-in that failed or succeeded: (what, name)."""


class SigningIn:
    """The routes, over one people file."""

    def __init__(
        self,
        people: CurrentPeople,
        sessions: Sessions,
        templates: Jinja2Templates,
        now_ms: Callable[[], int],
        note: Note = lambda _what, _name: None,
    ) -> None:
        self._people = people
        self._sessions = sessions
        self._templates = templates
        self._now_ms = now_ms
        self._note = note
        self._rate = SignInRate()
        self._signer = URLSafeTimedSerializer(secrets.token_urlsafe(32), salt="sign-in")
        self._provider = Provider()

    def routes(self) -> list[Route]:
        return [
            Route("/login", self._show),
            Route("/login", self._by_password, methods=["POST"]),
            Route("/logout", self._sign_out, methods=["POST"]),
            Route("/oidc/start", self._to_provider),
            Route("/oidc/callback", self._from_provider),
        ]

    # --- by password ---------------------------------------------------------------------------------
    async def _show(self, request: Request) -> Response:
        return self._page(request, None, 200)

    def _page(self, request: Request, problem: str | None, status: int) -> Response:
        browser = request.cookies.get(_FORM_COOKIE) or secrets.token_urlsafe(16)
        people = self._people.people
        response = self._templates.TemplateResponse(
            request,
            "login.html",
            {
                "problem": problem,
                "form": self._signer.dumps(browser),
                "next": _local(request.query_params.get("next")),
                "by_password": any(p.password for p in people.people.values()),
                "provider": people.oidc.issuer if people.oidc is not None else None,
            },
            status_code=status,
        )
        self._set_cookie(request, response, _FORM_COOKIE, browser, _FORM_S)
        return response

    async def _by_password(self, request: Request) -> Response:
        form = await request.form()
        name, password = str(form.get("name", "")), str(form.get("password", ""))
        if not self._is_ours(request, str(form.get("form", ""))):
            return self._page(request, "This page had been open for too long. Try again.", 403)
        address = request.client.host if request.client is not None else "unknown"
        now_ms = self._now_ms()
        if (wait_ms := self._rate.wait_ms(name, address, now_ms)) > 0:
            seconds = -(-wait_ms // 1000)
            return self._page(request, f"Too many tries. Wait {seconds} s.", 429)
        # Counted before it is looked at: of many at once each waits for those before it.
        self._rate.failed(name, address, now_ms)
        people = self._people.people
        person = await to_thread.run_sync(people.by_password, name, password)
        if person is None:
            self._note("failed", name)
            return self._page(request, "Name or password is wrong.", 401)
        self._rate.succeeded(name, address)
        session_id = self._sessions.begin(person, self._now_ms(), proof=people.proof_of(name))
        return self._let_in(request, person, session_id, str(form.get("next", "")))

    def _is_ours(self, request: Request, form: str) -> bool:
        try:
            browser = self._signer.loads(form, max_age=_FORM_S)
        except BadSignature:
            return False
        given = request.cookies.get(_FORM_COOKIE, "")
        return isinstance(browser, str) and secrets.compare_digest(
            browser.encode(), given.encode("utf-8", "surrogatepass")
        )

    def _let_in(self, request: Request, person: Approver, made: str, to: str) -> Response:
        if former := getattr(request.state, "session_id", ""):
            self._sessions.end(former)
        self._note("signed in", person.name)
        response = RedirectResponse(_local(to) or "/", 303)
        name = SECURE_COOKIE if self._is_secure(request) else COOKIE
        response.set_cookie(
            name,
            made,
            max_age=LONGEST_MS // 1000,
            httponly=True,
            samesite="strict",
            secure=self._is_secure(request),
        )
        response.delete_cookie(_FORM_COOKIE)
        return response

    async def _sign_out(self, request: Request) -> Response:
        self._sessions.end(request.state.session_id)
        response = RedirectResponse("/login", 303)
        for name in (SECURE_COOKIE, COOKIE):
            response.delete_cookie(name, secure=name == SECURE_COOKIE, httponly=True)
        return response

    # --- by a provider ---------------------------------------------------------------------------------
    async def _to_provider(self, request: Request) -> Response:
        oidc = self._people.people.oidc
        if oidc is None:
            return self._page(request, "No identity provider is set up.", 404)
        try:
            begun = await self._provider.begin(oidc, self._callback(request))
        except OidcError as error:
            self._note("failed", f"provider: {error}")
            return self._page(request, "The identity provider does not answer.", 502)
        kept = {**begun.kept, "next": _local(request.query_params.get("next"))}
        response = RedirectResponse(begun.url, 303)
        # The provider's answer is a navigation from another site: a strict cookie would not come along.
        self._set_cookie(request, response, _STATE_COOKIE, self._signer.dumps(kept), _OIDC_S, "lax")
        return response

    async def _from_provider(self, request: Request) -> Response:
        oidc = self._people.people.oidc
        try:
            kept = self._signer.loads(request.cookies.get(_STATE_COOKIE, ""), max_age=_OIDC_S)
        except BadSignature:
            kept = None
        if oidc is None or not isinstance(kept, dict):
            return self._page(request, "Begin to sign in again.", 400)
        try:
            claims = await self._provider.finish(
                oidc, self._callback(request), kept, dict(request.query_params)
            )
        except OidcError as error:
            self._note("failed", f"provider: {error}")
            response = self._page(request, "The identity provider's answer cannot be taken.", 401)
        else:
            person = self._people.people.by_claims(claims)
            if person is None:
                response = self._page(request, "The identity provider does not say your name.", 403)
            else:
                made = self._sessions.begin(person, self._now_ms(), claims=claims)
                response = self._let_in(request, person, made, kept.get("next") or "")
        response.delete_cookie(_STATE_COOKIE)
        return response

    def _callback(self, request: Request) -> str:
        base = self._people.people.url or f"{request.url.scheme}://{request.url.netloc}"
        return f"{base}/oidc/callback"

    # --- cookies -----------------------------------------------------------------------------------------
    def _is_secure(self, request: Request) -> bool:
        return is_secure(request.url.scheme, self._people.people.url)

    def _set_cookie(
        self,
        request: Request,
        response: Response,
        name: str,
        value: str,
        age_s: int,
        same: str = "strict",
    ) -> None:
        response.set_cookie(
            name,
            value,
            max_age=age_s,
            httponly=True,
            samesite="lax" if same == "lax" else "strict",
            secure=self._is_secure(request),
        )


def _local(to: str | None) -> str:
    """Returns a path of this site, or nothing: no link leads people elsewhere by way of signing in."""
    if not to or not to.startswith("/") or to.startswith(("//", "/\\")) or "\\" in to:
        return ""
    parts = urlsplit(to)
    is_plain = to.isprintable() and not parts.scheme and not parts.netloc
    return to if is_plain and not parts.path.startswith(("/login", "/logout", "/oidc")) else ""
