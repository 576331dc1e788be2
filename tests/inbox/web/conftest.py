"""The web inbox over a real pipeline and a real ledger, without a port: what a browser would send, written by hand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from proxy.inbox.web.site import application
from proxy.people.current import CurrentPeople
from proxy.people.people import hashed
from proxy.pipeline.changes import Changes
from tests.conftest import Bench

HASH = hashed("pw")
PEOPLE = f"""version: 1
people:
  - {{name: ada, password: "{HASH}", groups: [leads]}}
  - {{name: eve, password: "{HASH}", may: [freeze]}}
"""
HOST = "127.0.0.1:8081"
BASE = f"http://{HOST}"


class Site:
    """One inbox; each `client` is a browser."""

    def __init__(self, bench: Bench, folder: Path, people: str = PEOPLE) -> None:
        self.bench = bench
        self.file = folder / "people.yaml"
        self.file.write_text(people)
        self.file.chmod(0o600)
        self.people = CurrentPeople(self.file)
        self.changes = Changes()
        self.app = application(
            bench.pipeline, self.people, bench.settings, self.changes, lambda: frozenset({HOST})
        )
        self._clients: list[httpx.AsyncClient] = []

    def client(self) -> httpx.AsyncClient:
        made = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=BASE)
        self._clients.append(made)
        return made

    async def signed_in(self, name: str = "ada") -> httpx.AsyncClient:
        client = self.client()
        answer = await sign_in(client, name)
        assert answer.status_code == 303, answer.text
        page = await client.get("/")
        client.headers["x-csrf-token"] = csrf_of(page.text)
        return client

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


def csrf_of(page: str) -> str:
    found = re.search(r'<meta name="csrf" content="([^"]+)"', page)
    assert found is not None
    return found[1]


async def sign_in(
    client: httpx.AsyncClient,
    name: str,
    password: str = "pw",  # noqa: S107
    to: str = "",
) -> httpx.Response:
    page = await client.get("/login")
    form = re.search(r'name="form" value="([^"]+)"', page.text)
    assert form is not None
    data = {"name": name, "password": password, "form": form[1], "next": to}
    return await client.post("/login", data=data)


type OpenSite = Callable[..., Site]


@pytest.fixture
async def open_site(bench: Bench, tmp_path: Path) -> AsyncIterator[OpenSite]:
    made: list[Site] = []

    def open_(people: str = PEOPLE) -> Site:
        made.append(Site(bench, tmp_path, people))
        return made[-1]

    yield open_
    for site in made:
        await site.close()
    await asyncio.sleep(0)


@pytest.fixture
async def site(open_site: OpenSite) -> Site:
    return open_site()
