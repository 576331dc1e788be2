"""The admin API: what operators see and do, what it refuses, and that only they can reach it."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from proxy.canonical import sha256_hex
from proxy.errors import ConfigurationError
from proxy.inbox.api import application
from proxy.inbox.server import AdminServer

if TYPE_CHECKING:
    from tests.conftest import Bench

BIG = '{"order": "o1", "amount": 145.50}'


@pytest.fixture
async def api(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(bench.pipeline, lambda: {"pid": 1}))
    async with httpx.AsyncClient(transport=transport, base_url="http://checkrein") as client:
        yield client


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name is short enough for a unix socket."""
    with tempfile.TemporaryDirectory(prefix="cr-") as folder:
        yield Path(folder)


async def held(bench: Bench, text: str = BIG, response: str = "r1") -> str:
    decision = await bench.decide(bench.call(text=text, response=response))
    assert decision.hold is not None
    return decision.hold.id


async def test_a_hold_is_shown_whole(bench: Bench, api: httpx.AsyncClient) -> None:
    """The list and the page have the call, its fractions too; the page has what went before."""
    await bench.decide(bench.call(response="r0"))
    hold_id = await held(bench)
    (listed,) = (await api.get("/v1/holds")).json()["holds"]
    assert next(iter(listed)) == "id"
    assert listed["call"]["args"] == {"order": "o1", "amount": 145.5}
    page = (await api.get(f"/v1/holds/{hold_id}")).json()
    assert [entry["call"]["name"] for entry in page["timeline"]] == ["refund"]
    assert next((b["name"], b["before"], b["after"]) for b in page["budgets"]) == (
        "refunds",
        45,
        190.5,
    )


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('{"order": "o1", "amount": 145, "password": "hunter2hunter2"}', "hunter2hunter2"),
        ('{"order": "https://u:pa55word@x/", "amount": 145}', "pa55word"),
    ],
    ids=["argument", "target"],
)
async def test_no_secret_is_shown(
    bench: Bench, api: httpx.AsyncClient, text: str, secret: str
) -> None:
    """Neither list nor page repeats a credential that a model wrote."""
    hold_id = await held(bench, text)
    for path in ("/v1/holds", f"/v1/holds/{hold_id}", "/v1/sessions/s1"):
        assert secret not in (await api.get(path)).text


@pytest.mark.parametrize(
    ("steps", "status", "says"),
    [
        pytest.param(["approve"], 200, "approved", id="approve"),
        pytest.param(["deny"], 200, "denied", id="deny"),
        pytest.param(["deny", "approve"], 409, "already denied", id="too-late"),
        pytest.param(["approve", "approve"], 409, "already approved", id="twice"),
    ],
)
async def test_answers(
    bench: Bench, api: httpx.AsyncClient, steps: list[str], status: int, says: str
) -> None:
    """An answer is given once, under a name, and a second one is told what the first was."""
    hold_id = await held(bench)
    answers = [await api.post(f"/v1/holds/{hold_id}/{step}", json={"by": "ops"}) for step in steps]
    assert answers[-1].status_code == status
    assert says in answers[-1].text
    assert {r["by"] for r in bench.records("hold")} == {"ops"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("GET", "/v1/holds?state=strange", b"", 400, id="no-such-state"),
        pytest.param("GET", "/v1/holds/none", b"", 409, id="no-such-hold"),
        pytest.param("GET", "/v1/sessions/none", b"", 404, id="no-such-session"),
        pytest.param("POST", "/v1/holds/none/approve", b"", 409, id="approve-nothing"),
        pytest.param("POST", "/v1/holds/none/approve", b"{", 400, id="broken-json"),
        pytest.param("POST", "/v1/holds/none/approve", b"[1]", 400, id="no-object"),
        pytest.param("POST", "/v1/holds/none/approve", b'{"by": 1}', 400, id="name-no-text"),
        pytest.param("POST", "/v1/holds/none/approve", b"\xff\xfe", 400, id="no-text-at-all"),
        pytest.param("GET", "/v1/holds/none/approve", b"", 405, id="an-answer-is-no-get"),
        pytest.param("POST", "/v1/credentials", b'{"session": "a\\nb"}', 400, id="newline-in-name"),
        pytest.param(
            "POST", "/v1/credentials", b'{"agent": "\\u001b[2J"}', 400, id="escape-in-name"
        ),
        pytest.param(
            "POST",
            "/v1/credentials",
            json.dumps({"session": "x" * 129}).encode(),
            400,
            id="long-name",
        ),
    ],
)
async def test_wrong_questions(
    api: httpx.AsyncClient, method: str, path: str, body: bytes, status: int
) -> None:
    """Each mistake has its status, and none is a server's error."""
    answer = await api.request(method, path, content=body)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "body", [{}, {"session": "nightly", "agent": "bot"}], ids=["free", "named"]
)
async def test_minting(bench: Bench, api: httpx.AsyncClient, body: dict[str, str]) -> None:
    """Only the token's digest is kept; the names are those asked for, or new ones."""
    minted = (await api.post("/v1/credentials", json=body)).json()
    found = await bench.pipeline.credential(sha256_hex(minted["token"].encode()))
    assert found is not None
    assert (found.session, found.agent) == (minted["session"], minted["agent"])
    assert body.get("session", minted["session"]) == found.session
    assert minted["token"].encode() not in bench.settings.state.read_bytes()
    assert (await bench.pipeline.credential(minted["token"])) is None


async def test_odd_session_names_are_found(bench: Bench, api: httpx.AsyncClient) -> None:
    """A name with a slash, a query's mark or a percent sign is one name."""
    for name in ("a/b", "a?b", "50%25", "x#y"):
        await bench.decide(bench.call(), bench.who(name))
        path = "/v1/sessions/" + "".join(f"%{byte:02x}" for byte in name.encode())
        answer: dict[str, Any] = (await api.get(path)).json()
        assert (answer["id"], answer["calls"]) == (name, 1)


async def test_the_socket_is_ours_alone(bench: Bench, short_path: Path) -> None:
    """Mode 0600 from the start, and gone when the server ends."""
    path = short_path / "new" / "a.sock"
    server = AdminServer(application(bench.pipeline, dict), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            assert (await client.get("/v1/holds")).json() == {"holds": []}
        server.stop()
    assert not path.exists()


def test_a_second_proxy_is_refused(bench: Bench, short_path: Path) -> None:
    """A socket that somebody answers on is not taken; a stale one is."""
    path = short_path / "a.sock"
    first = AdminServer(application(bench.pipeline, dict), path)
    with pytest.raises(ConfigurationError, match="another checkrein answers"):
        AdminServer(application(bench.pipeline, dict), path)
    assert path.is_socket()
    first.close()
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stale.bind(str(path))
    stale.close()
    AdminServer(application(bench.pipeline, dict), path).close()


@pytest.mark.parametrize("name", ["x" * 200, "file/a.sock"], ids=["too-long", "under-a-file"])
def test_a_path_that_cannot_be_used(bench: Bench, short_path: Path, name: str) -> None:
    """The message names the path and the option; nothing starts without an admin side."""
    (short_path / "file").touch()
    with pytest.raises(ConfigurationError, match="--admin"):
        AdminServer(application(bench.pipeline, dict), short_path / name)
