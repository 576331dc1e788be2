"""The wall around the web inbox: who comes in, from where, and what a page may do.

How it works. An ASGI layer ahead of every page. A request must name a host under which this listener is known (a name that was rebound to this
address is none), and must not have come through a proxy: not through ours, and through another only where the people file's `url` says that
TLS is in front. All but signing in and static files need a session. What changes something is a POST with the session's CSRF token,
from a page of ours. Every answer says that it may load nothing from elsewhere, be framed by nobody and be kept nowhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.approval import Approver
from proxy.inbox.web.sessions import Session, Sessions
from proxy.people.current import CurrentPeople
from proxy.pipeline.carried import Carried

OPEN = ("/login", "/oidc/", "/static/")
_SAFE = ("GET", "HEAD")
_OF_PROXIES = ("via", "proxy-connection", "proxy-authorization")
_MOST_BYTES = 64 * 1024
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # without one browsers say of a form that its origin is null
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@dataclass(frozen=True, slots=True)
class Wall:
    """What the proxy has carried here by mistake, and whom to tell of it."""

    carried: Carried
    tell: Callable[[str], Awaitable[None]]


class Guard:
    """Lets people in."""

    def __init__(
        self,
        app: ASGIApp,
        people: CurrentPeople,
        sessions: Sessions,
        now_ms: Callable[[], int],
        hosts: Callable[[], frozenset[str]],
        wall: Wall | None = None,
    ) -> None:
        """`hosts`: names, with ports, under which the listener is known; `wall`: what the proxy itself brings."""
        self._app = app
        self._people = people
        self._sessions = sessions
        self._now_ms = now_ms
        self._hosts = hosts
        self._wall = wall

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refusal = await self._brought(scope, headers) or self._refusal(scope, headers)
        if refusal is None:
            body, receive = await _buffered(scope, receive)
            refusal = self._unsafe(scope, headers, body)
        app = self._app if refusal is None else refusal
        await app(scope, receive, _guarded(send, scope["path"]))

    async def _brought(self, scope: Scope, headers: Headers) -> Response | None:
        """Returns the answer to what a proxy brings."""
        wall, client = self._wall, scope.get("client")
        if wall is not None and client and wall.carried.brings(tuple(client), self._now_ms()):
            await wall.tell("a request to the inbox came through the proxy")
            return PlainTextResponse("No way in here.\n", 403)
        if not scope["path"].startswith("/"):  # a request line as proxies get it
            return PlainTextResponse("No proxy here.\n", 400)
        url = self._people.people.url or ""
        is_behind = scope.get("scheme") == "http" and url.startswith("https:")
        if not is_behind and any(name in headers for name in _OF_PROXIES):
            return PlainTextResponse("The inbox is not reached through a proxy.\n", 403)
        return None

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Returns the answer to who must not come in; notes who does."""
        named = headers.getlist("host")
        if len(named) != 1 or named[0].lower() not in self._hosts():
            return PlainTextResponse("This is not the inbox you asked for.\n", 421)
        path = scope["path"]
        cookie = cookie_of(headers, is_secure(scope.get("scheme"), self._people.people.url))
        by_itself = path == "/events" or "hx-request" in headers
        session, person = self._who(cookie, in_use=not (by_itself and scope["method"] in _SAFE))
        state = scope.setdefault("state", {})
        state["person"], state["csrf"] = person, session.csrf if session is not None else ""
        state["session_id"] = cookie
        state["is_still_in"] = lambda: self._who(cookie, in_use=False)[1] is not None
        if person is not None or any(path == o or path.startswith(o) for o in OPEN):
            return None
        if scope["method"] in _SAFE and not by_itself:
            query = scope["query_string"].decode("latin-1")
            to = quote(path + (f"?{query}" if query else ""), safe="")
            return RedirectResponse(f"/login?next={to}", 303)
        return PlainTextResponse("Sign in first.\n", 401)

    def _unsafe(self, scope: Scope, headers: Headers, body: bytes | None) -> Response | None:
        """Returns the answer to a change that no page of ours has asked for."""
        if scope["method"] in _SAFE:
            return None
        if scope["method"] != "POST":
            return PlainTextResponse("Method not allowed.\n", 405)
        if body is None:
            return PlainTextResponse("That is too long.\n", 413)
        site = headers.get("sec-fetch-site", "same-origin")
        origin = headers.get("origin")
        is_ours = origin is None or urlsplit(origin).netloc.lower() in self._hosts()
        if site not in ("same-origin", "none") or not is_ours:
            return PlainTextResponse("Another site has sent this.\n", 403)
        expected = scope["state"]["csrf"]
        if scope["path"].startswith(OPEN):
            return None  # the sign-in page has a token of its own
        form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        given = headers.get("x-csrf-token") or next(iter(form.get("csrf", ())), "")
        if not expected or not secrets.compare_digest(given.encode(), expected.encode()):
            return PlainTextResponse("This page is from another session: open it again.\n", 403)
        return None

    def _who(self, session_id: str, *, in_use: bool) -> tuple[Session | None, Approver | None]:
        session = self._sessions.find(session_id, self._now_ms(), in_use=in_use)
        if session is None:
            return None, None
        person = session.person_in(self._people.people)
        if person is None:
            self._sessions.end(session_id)
            return None, None
        return session, person


COOKIE = "checkrein"
SECURE_COOKIE = "__Host-checkrein"


def is_secure(scheme: str | None, url: str | None) -> bool:
    """Whether browsers reach the inbox by TLS: ours, or one that the people file's `url` says is in front."""
    return scheme == "https" or (url or "").startswith("https:")


def cookie_of(headers: Headers, is_secure: bool) -> str:
    """Returns the session's id as the browser sends it; with TLS only a cookie that no neighbour could have set."""
    jar = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    found = jar.get(SECURE_COOKIE if is_secure else COOKIE)
    return found.value if found is not None else ""


async def _buffered(scope: Scope, receive: Receive) -> tuple[bytes | None, Receive]:
    """Reads a POST's body, which the CSRF token may be in; None: it is too long."""
    if scope["method"] in _SAFE:
        return b"", receive
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _MOST_BYTES:
            return None, receive
        if not message.get("more_body"):
            break
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return bytes(body), again


def _guarded(send: Send, path: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault(
                "cache-control", "max-age=3600" if path.startswith("/static/") else "no-store"
            )
        await send(message)

    return sending
