"""Signing in by an identity provider: a real one on loopback, and all that must not be taken from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.inbox.web.conftest import BASE, OpenSite, Site
from tests.inbox.web.oidc_provider import CLIENT, SECRET, OidcProvider


@pytest.fixture(scope="module")
def running() -> Iterator[OidcProvider]:
    with OidcProvider() as made:
        yield made


@pytest.fixture
def provider(running: OidcProvider) -> OidcProvider:
    running.who = {"sub": "1", "email": "ada@x.example", "groups": ["idp-leads"]}
    running.spoil = lambda _claims: None
    running.signs_with, running.alg, running.names_issuer = running.key, "RS256", None
    return running


@pytest.fixture
async def site(
    open_site: OpenSite, provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> Site:
    monkeypatch.setenv("OIDC_SECRET", SECRET)
    return open_site(
        f"version: 1\nurl: {BASE}\n"
        f"oidc: {{issuer: '{provider.url}', client_id: {CLIENT}, client_secret: 'env:OIDC_SECRET', map: {{idp-leads: leads}}}}\n"
    )


async def way_there(client: httpx.AsyncClient, to: str = "") -> str:
    """Goes to the provider and comes back; returns the address that it sends the browser to."""
    begun = await client.get(f"/oidc/start?next={to}")
    assert begun.status_code == 303, begun.text
    async with httpx.AsyncClient(trust_env=False) as outside:
        signed_in = await outside.get(begun.headers["location"])
    return str(signed_in.headers["location"])


async def test_somebody_signs_in(site: Site, provider: OidcProvider) -> None:
    """With a verifier and a nonce of its own, and to the page they wanted."""
    client = site.client()
    answer = await client.get(await way_there(client, "/log"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/log")
    page = (await client.get("/")).text
    assert 'title="leads">ada@x.example' in page
    asked = provider.asked[-1]
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{BASE}/oidc/callback"
    assert len(asked["nonce"]) >= 32


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        pytest.param("idp-leads: leads", "idp-leads: guests", 200, id="another-group"),
        pytest.param("issuer: 'http", "issuer: 'https", 303, id="another-issuer"),
    ],
)
async def test_an_edit_counts_for_who_is_signed_in(
    site: Site, before: str, after: str, status: int
) -> None:
    client = site.client()
    await client.get(await way_there(client))
    stamp = site.file.stat().st_mtime_ns + 1
    site.file.write_text(site.file.read_text().replace(before, after))
    os.utime(site.file, ns=(stamp, stamp))
    answer = await client.get("/")
    assert answer.status_code == status
    assert 'title="leads"' not in answer.text


SPOILT: dict[str, Callable[[dict[str, Any]], None]] = {
    "another-nonce": lambda c: c.update(nonce="x" * 40),
    "no-nonce": lambda c: c.pop("nonce"),
    "another-audience": lambda c: c.update(aud="somebody-else"),
    "several-audiences": lambda c: c.update(aud=[CLIENT, "somebody-else"]),
    "another-issuer": lambda c: c.update(iss="https://evil.example"),
    "expired": lambda c: c.update(exp=c["iat"] - 3600),
    "without-an-end": lambda c: c.pop("exp"),
    "without-a-subject": lambda c: c.pop("sub"),
}


@pytest.mark.parametrize("how", SPOILT)
async def test_a_token_that_does_not_hold(site: Site, provider: OidcProvider, how: str) -> None:
    provider.spoil = SPOILT[how]
    client = site.client()
    assert (await client.get(await way_there(client))).status_code == 401
    assert (await client.get("/")).status_code == 303


@pytest.mark.parametrize("how", ["another-key", "unsigned"])
async def test_a_signature_that_does_not_hold(site: Site, provider: OidcProvider, how: str) -> None:
    if how == "another-key":
        provider.signs_with = provider.other_key
    else:
        provider.alg = "none"
    client = site.client()
    assert (await client.get(await way_there(client))).status_code == 401


async def test_a_provider_that_names_another_issuer(site: Site, provider: OidcProvider) -> None:
    provider.names_issuer = "https://id.example"
    assert (await site.client().get("/oidc/start")).status_code == 502


async def test_an_answer_to_somebody_elses_sign_in(site: Site) -> None:
    """The state is in the browser that began; a link that was sent to somebody signs them in as nobody."""
    mine, theirs = site.client(), site.client()
    back = await way_there(mine)
    assert (await theirs.get(back)).status_code == 400
    await theirs.get("/oidc/start")
    assert (await theirs.get(back)).status_code == 401


async def test_an_answer_is_taken_once(site: Site) -> None:
    client = site.client()
    back = await way_there(client)
    state = client.cookies["checkrein-oidc"]
    assert (await client.get(back)).status_code == 303
    other = site.client()
    other.cookies.set("checkrein-oidc", state)
    assert (await other.get(back)).status_code == 401


@pytest.mark.parametrize(
    "who",
    [{"sub": "1"}, {"sub": "1", "email": "a@x.example", "email_verified": False}],
    ids=["no-name", "not-verified"],
)
async def test_somebody_without_a_name(
    site: Site, provider: OidcProvider, who: dict[str, Any]
) -> None:
    provider.who = who
    client = site.client()
    assert (await client.get(await way_there(client))).status_code == 403


async def test_a_provider_that_is_gone(open_site: OpenSite) -> None:
    site = open_site("version: 1\noidc: {issuer: 'http://127.0.0.1:1', client_id: c}\n")
    assert (await site.client().get("/oidc/start")).status_code == 502
