"""The wall around the inbox: who gets in, what a request must bring to change something, and what no answer leaves out."""

from __future__ import annotations

import os

import httpx
import pytest

from proxy.approval import Approver
from proxy.inbox.web.rate import FREE, SignInRate
from proxy.inbox.web.sessions import IDLE_MS, LONGEST_MS, Sessions
from proxy.people.people import hashed
from tests.inbox.web.conftest import BASE, HASH, PEOPLE, OpenSite, Site, sign_in

BIG = '{"order": "o1", "amount": 145}'
READABLE = [
    "/",
    "/waiting",
    "/holds/x",
    "/sessions",
    "/session?id=s",
    "/fleet",
    "/grants",
    "/rules",
    "/log",
    "/banners",
]
CHANGING = [
    "/holds/x/answer",
    "/session/freeze",
    "/session/thaw",
    "/fleet/freeze",
    "/fleet/thaw",
    "/grants/x/revoke",
    "/logout",
]


async def held(site: Site) -> str:
    decision = await site.bench.decide(site.bench.call(text=BIG))
    assert decision.hold is not None
    return decision.hold.id


@pytest.mark.parametrize("path", READABLE)
async def test_nobody_sees_a_page(site: Site, path: str) -> None:
    answer = await site.client().get(path)
    assert (answer.status_code, answer.headers["location"][:12]) == (303, "/login?next=")


@pytest.mark.parametrize("path", CHANGING)
async def test_nobody_changes_anything(site: Site, path: str) -> None:
    assert (await site.client().post(path, data={"csrf": ""})).status_code == 401


async def test_events_are_for_those_who_are_in(site: Site) -> None:
    assert (await site.client().get("/events")).status_code == 401


@pytest.mark.parametrize("path", CHANGING)
@pytest.mark.parametrize(
    ("headers", "token"),
    [
        pytest.param({}, "", id="no-token"),
        pytest.param({}, "A" * 43, id="a-token-of-its-own"),
        pytest.param({"origin": "https://evil.example"}, None, id="another-origin"),
        pytest.param({"origin": "null"}, None, id="an-origin-that-hides"),
        pytest.param({"sec-fetch-site": "cross-site"}, None, id="another-site"),
        pytest.param({"sec-fetch-site": "same-site"}, None, id="a-neighbour"),
    ],
)
async def test_a_change_needs_a_page_of_ours(
    site: Site, path: str, headers: dict[str, str], token: str | None
) -> None:
    client = await site.signed_in()
    if token is not None:
        client.headers["x-csrf-token"] = token
    assert (await client.post(path, headers=headers)).status_code == 403


async def test_another_sessions_token_is_none(site: Site) -> None:
    ada, eve = await site.signed_in("ada"), await site.signed_in("eve")
    ada.headers["x-csrf-token"] = eve.headers["x-csrf-token"]
    assert (await ada.post("/fleet/freeze")).status_code == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_changes_by_another_method(site: Site, method: str) -> None:
    hold, client = await held(site), await site.signed_in()
    path = f"/holds/{hold}/answer?answer=approve"
    assert (await client.request(method, path)).status_code in (404, 405)
    assert (await site.bench.pipeline.desk.get(hold)).state == "pending"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8081", "127.0.0.1", "localhost:8081.evil.example", ""]
)
async def test_a_name_that_was_turned_here_is_refused(site: Site, host: str) -> None:
    assert (await site.client().get("/login", headers={"host": host})).status_code == 421


async def test_what_the_proxy_has_carried_is_refused_and_told(site: Site) -> None:
    """Whatever it says of its host: the connection's other end is the proxy's own."""
    site.bench.pipeline.carried.opened(("127.0.0.1", 50_000))
    for port, status in ((50_000, 403), (50_001, 200)):
        transport = httpx.ASGITransport(site.app, client=("127.0.0.1", port))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            assert (await client.get("/login")).status_code == status
    log = site.bench.settings.log.read_text()
    assert log.count("a request to the inbox came through the proxy") == 1


@pytest.mark.parametrize("header", ["via", "proxy-connection", "proxy-authorization"])
async def test_no_proxy_leads_there(site: Site, open_site: OpenSite, header: str) -> None:
    """Only one that the people file's `url` says is in front."""
    headers = {header: "1.1 somebody"}
    assert (await site.client().get("/login", headers=headers)).status_code == 403
    behind = open_site(f"url: https://desk.example\n{PEOPLE}")
    assert (await behind.client().get("/login", headers=headers)).status_code == 200


async def test_what_no_answer_leaves_out(site: Site) -> None:
    client = await site.signed_in()
    for path in ("/", "/login", "/static/inbox.css", "/holds/none", "/nowhere"):
        headers = (await client.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"
        assert ("no-store" in headers["cache-control"]) is not path.startswith("/static/")


async def test_a_session_ends(site: Site) -> None:
    """By signing out, by time, and at once when the person is taken out of the file."""
    for way in ("out", "idle", "long", "password", "gone"):
        client = await site.signed_in()
        if way == "out":
            assert (await client.post("/logout")).status_code == 303
        elif way == "idle":
            site.bench.now_ms += IDLE_MS + 1
        elif way == "long":
            for _ in range(LONGEST_MS // IDLE_MS + 1):
                site.bench.now_ms += IDLE_MS
                await client.get("/grants")
        else:
            gone = PEOPLE.replace("ada", "adam")
            edit(site, gone if way == "gone" else PEOPLE.replace(HASH, hashed("another"), 1))
        answer = await client.get("/")
        assert answer.status_code == 303, way
        edit(site, PEOPLE)


def edit(site: Site, people: str) -> None:
    before = site.file.stat().st_mtime_ns
    site.file.write_text(people)
    os.utime(site.file, ns=(before + 1, before + 1))


async def test_what_a_page_asks_by_itself_is_no_use(site: Site) -> None:
    """A page that is left open follows what happens, and is signed out all the same; it is told so, not shown the sign-in page."""
    client, follows = await site.signed_in(), {"hx-request": "true"}
    for _ in range(3):
        site.bench.now_ms += IDLE_MS // 3
        assert (await client.get("/waiting", headers=follows)).status_code == 200
    site.bench.now_ms += 1
    assert (await client.get("/waiting", headers=follows)).status_code == 401
    assert (await client.get("/")).status_code == 303


async def test_with_tls_only_the_cookie_that_no_neighbour_can_set(open_site: OpenSite) -> None:
    site = open_site(f"url: https://desk.example\n{PEOPLE}")
    browser = site.client()
    browser.base_url = httpx.URL(BASE.replace("http:", "https:"))
    answer = await sign_in(browser, "ada")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-checkrein=")
    for word in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"):
        assert word in cookie
    made = cookie.partition("=")[2].partition(";")[0]
    for name, status in (("__Host-checkrein", 200), ("checkrein", 303)):
        got = await site.client().get("/", headers={"cookie": f"{name}={made}"})
        assert got.status_code == status, name


async def test_a_sessions_id_is_new_at_each_sign_in(site: Site) -> None:
    client = await site.signed_in()
    before = client.cookies["checkrein"]
    await sign_in(client, "ada")
    assert client.cookies["checkrein"] != before
    other = site.client()
    other.cookies.set("checkrein", before)
    assert (await other.get("/")).status_code == 303


async def test_a_sign_in_from_another_page_is_none(site: Site) -> None:
    """A form of our own page's token, but in another browser."""
    mine, theirs = site.client(), site.client()
    page = (await mine.get("/login")).text
    form = page.split('name="form" value="')[1].split('"')[0]
    await theirs.get("/login")
    answer = await theirs.post("/login", data={"name": "ada", "password": "pw", "form": form})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("to", "lands"),
    [
        ("/holds/x", "/holds/x"),
        ("/log?text=a", "/log?text=a"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/%5cevil", "/%5cevil"),
        ("javascript:alert(1)", "/"),
        ("/logout", "/"),
        ("/a\r\nset-cookie: x=y", "/"),
    ],
)
async def test_where_signing_in_leads(site: Site, to: str, lands: str) -> None:
    answer = await sign_in(site.client(), "ada", to=to)
    assert (answer.status_code, answer.headers["location"]) == (303, lands)


async def test_tries_are_slowed_by_name_and_not_for_others(site: Site) -> None:
    client = site.client()
    for _ in range(FREE):
        assert (await sign_in(client, "ada", "wrong")).status_code == 401
    refused: httpx.Response = await sign_in(client, "ada")  # the right one is not looked at either
    assert (refused.status_code, "Too many tries" in refused.text) == (429, True)
    assert (await sign_in(client, "eve")).status_code == 303
    site.bench.now_ms += 2_000
    assert (await sign_in(site.client(), "ada")).status_code == 303


def test_signing_in_counts_against_nobody() -> None:
    """People behind one address come in all day; only failures slow it down."""
    rate = SignInRate()
    for n in range(100):
        assert rate.wait_ms(f"p{n}", "10.0.0.1", n) == 0
        rate.failed(f"p{n}", "10.0.0.1", n)
        rate.succeeded(f"p{n}", "10.0.0.1")


def test_the_wait_doubles_to_a_quarter_of_an_hour() -> None:
    rate, waits = SignInRate(), []
    for n in range(FREE + 14):
        rate.failed("ada", f"10.0.0.{n}", 0)
        waits.append(rate.wait_ms("ada", "elsewhere", 0))
    assert waits[: FREE - 1] == [0] * (FREE - 1)
    assert waits[FREE - 1 : FREE + 3] == [1_000, 2_000, 4_000, 8_000]
    assert waits[-1] == 900_000


def test_an_id_is_kept_as_its_digest_alone() -> None:
    sessions = Sessions()
    made = sessions.begin(Approver("ada"), 0)
    assert made not in repr(vars(sessions))
    assert sessions.find(made[:-1], 0) is None


async def test_a_body_that_is_too_long(site: Site) -> None:
    client = await site.signed_in()
    assert (await client.post("/fleet/freeze", content=b"a" * 70_000)).status_code == 413


async def test_who_may_not_freeze_or_answer_is_told(site: Site) -> None:
    hold, eve = await held(site), await site.signed_in("eve")
    answer = await eve.post(f"/holds/{hold}/answer", data={"answer": "approve"})
    assert (answer.status_code, "needs the right" in answer.text) == (409, True)
    assert (await site.bench.pipeline.desk.get(hold)).state == "pending"
