"""The admin API of signals: freeze and thaw, posting with a token, what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner

from proxy.cli.signals import command
from proxy.inbox.api import application
from proxy.model import Verdict

if TYPE_CHECKING:
    from tests.conftest import Bench, MakeBench

RULES = """version: 1
unmapped: allow
signals:
  - {on: "siem.*", when: signal.severity >= 7, do: freeze}
  - {on: health.down, do: {hold: "*"}, per: fleet}
"""
ALERT = {"name": "siem.alert", "session": "s1", "severity": 9}


@asynccontextmanager
async def client_of(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(bench.pipeline, dict))
    async with httpx.AsyncClient(transport=transport, base_url="http://checkrein") as client:
        yield client


@pytest.fixture
async def api(make_bench: MakeBench) -> AsyncIterator[tuple[Bench, httpx.AsyncClient]]:
    bench = make_bench(RULES)
    await bench.decide(bench.call("look", "{}", "c0", "r0"))
    async with client_of(bench) as client:
        yield bench, client


async def verdict(bench: Bench, n: int) -> Verdict:
    return (await bench.decide(bench.call("look", "{}", f"c{n}", f"r{n}"))).verdict


async def test_freeze_is_shown_and_thawed(api: tuple[Bench, httpx.AsyncClient]) -> None:
    bench, client = api
    answer = await client.post("/v1/sessions/s1/freeze", json={"by": "ops", "reason": "odd"})
    assert answer.json()["signal"]["why"] == "Frozen by ops: odd."
    assert await verdict(bench, 1) is Verdict.BLOCK
    (listed,) = (await client.get("/v1/sessions")).json()["sessions"]
    assert listed["frozen"] is True
    shown = (await client.get("/v1/sessions/s1")).json()
    assert (shown["frozen"], [one["name"] for one in shown["signals"]]) == (True, ["freeze"])
    thawed = (await client.post("/v1/sessions/s1/thaw", json={"by": "ops"})).json()
    assert (thawed["frozen"], thawed["lifted"], thawed["signals"]) == (False, ["freeze"], [])
    assert await verdict(bench, 2) is Verdict.ALLOW
    (listed,) = (await client.get("/v1/sessions")).json()["sessions"]
    assert listed["frozen"] is False


async def test_a_posted_signal_is_answered_with_what_it_set_in_force(
    api: tuple[Bench, httpx.AsyncClient],
) -> None:
    bench, client = api
    answer = (await client.post("/v1/signals", json=ALERT)).json()
    assert answer == {
        "name": "siem.alert",
        "session": "s1",
        "agent": "a1",
        "known": True,
        "in_force": [
            {
                "name": "siem.*",
                "do": ["freeze"],
                "scope": "session:s1",
                "until": None,
                "mode": "enforce",
            }
        ],
    }
    assert await verdict(bench, 1) is Verdict.BLOCK
    (listed,) = (await client.get("/v1/signals")).json()["signals"]
    assert (listed["name"], listed["by"]) == ("siem.*", "posted")
    lifted = await client.post("/v1/signals/lift", json={"scope": "session:s1", "name": "siem.*"})
    assert lifted.json()["lifted"] == ["siem.*"]
    assert await verdict(bench, 2) is Verdict.ALLOW


async def test_a_fleet_signal_outlives_a_thaw(api: tuple[Bench, httpx.AsyncClient]) -> None:
    """`thaw` says what still stands, and where it is lifted."""
    bench, client = api
    await client.post("/v1/signals", json={"name": "health.down", "fleet": True})
    thawed = (await client.post("/v1/sessions/s1/thaw")).json()
    assert [one["scope"] for one in thawed["signals"]] == ["fleet"]
    assert await verdict(bench, 1) is Verdict.HOLD


@pytest.mark.parametrize(
    ("scope", "verdict_then"),
    [
        pytest.param("agent:a1", Verdict.BLOCK, id="the-agent"),
        pytest.param("fleet", Verdict.BLOCK, id="fleet"),
        pytest.param("session:s1", Verdict.BLOCK, id="session"),
        pytest.param("agent:a2", Verdict.ALLOW, id="another-agent"),
    ],
)
async def test_an_agent_is_frozen_whatever_it_calls_its_session(
    api: tuple[Bench, httpx.AsyncClient], scope: str, verdict_then: Verdict
) -> None:
    """A claimed session's name can be changed, the agent's cannot where its identity is trusted."""
    bench, client = api
    answer = await client.post("/v1/signals/freeze", json={"scope": scope, "by": "ops"})
    assert answer.json()["frozen"] is True
    assert await verdict(bench, 1) is verdict_then
    (listed,) = (await client.get("/v1/sessions")).json()["sessions"]
    assert listed["frozen"] is (verdict_then is Verdict.BLOCK)
    await client.post("/v1/signals/lift", json={"scope": scope, "name": "freeze", "by": "ops"})
    assert await verdict(bench, 2) is Verdict.ALLOW


async def test_a_sub_session_is_listed_with_its_family(
    api: tuple[Bench, httpx.AsyncClient],
) -> None:
    bench, client = api
    for session, parent in (("child", "s1"), ("grandchild", "child"), ("other", None)):
        who = bench.who(session, parent=parent)
        await bench.pipeline.see_session(who, "peer")
    await client.post("/v1/sessions/grandchild/freeze")
    sessions = (await client.get("/v1/sessions")).json()["sessions"]
    assert sorted(one["id"] for one in sessions if one["frozen"]) == ["child", "grandchild", "s1"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("/v1/signals", b'{"session": "s1"}', 400, id="no-name"),
        pytest.param("/v1/signals", b'{"name": "siem.x"}', 400, id="about-nobody"),
        pytest.param("/v1/signals", b'{"name": "loop", "session": "s1"}', 400, id="built-in"),
        pytest.param("/v1/signals", b"[]", 400, id="no-object"),
        pytest.param("/v1/signals", b"{", 400, id="broken"),
        pytest.param("/v1/signals", b"", 400, id="empty"),
        pytest.param("/v1/signals", b"[" * 60_000, 400, id="deep"),
        pytest.param("/v1/signals", b" " * 70_000, 400, id="long"),
        pytest.param("/v1/signals", b"\xff", 400, id="no-text"),
        pytest.param("/v1/signals/lift", b"{}", 400, id="lift-where"),
        pytest.param("/v1/signals/lift", b'{"scope": "fleet"}', 404, id="lift-nothing"),
        pytest.param("/v1/signals/freeze", b"{}", 400, id="freeze-where"),
        pytest.param("/v1/signals/freeze", b'{"scope": "agent:"}', 400, id="freeze-no-name"),
        pytest.param("/v1/signals/freeze", b'{"scope": "fleet:x"}', 400, id="freeze-no-scope"),
        pytest.param("/v1/sessions/none/freeze", b"", 404, id="freeze-nobody"),
        pytest.param("/v1/sessions/none/thaw", b"", 404, id="thaw-nobody"),
        pytest.param("/v1/sessions/s1/freeze", b'{"by": 1}', 400, id="name-no-text"),
    ],
)
async def test_wrong_questions(
    api: tuple[Bench, httpx.AsyncClient], path: str, body: bytes, status: int
) -> None:
    """Each mistake has its status, and nothing is put in force by it."""
    bench, client = api
    assert (await client.post(path, content=body)).status_code == status
    assert (await client.get("/v1/signals")).json() == {"signals": []}
    assert await verdict(bench, 1) is Verdict.ALLOW


@pytest.mark.parametrize(
    ("header", "status"),
    [
        pytest.param(None, 401, id="none"),
        pytest.param("Bearer wrong", 401, id="wrong"),
        pytest.param("Basic secret-1", 401, id="another-scheme"),
        pytest.param("Bearer secret-1 ", 200, id="right"),
        pytest.param("bearer secret-1", 200, id="scheme-in-lower-case"),
        pytest.param("Bearer sécret-1", 401, id="not-ascii"),
    ],
)
async def test_a_token_is_asked_for_where_one_is_set(
    make_bench: MakeBench, header: str | None, status: int
) -> None:
    bench = make_bench(RULES, signals_token="secret-1")
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    async with client_of(bench) as client:
        answer = await client.post("/v1/signals", json=ALERT, headers=headers)
        assert answer.status_code == status
        assert bool((await client.get("/v1/signals")).json()["signals"]) == (status == 200)


def test_the_token_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, make_bench: MakeBench
) -> None:
    """It is read when the proxy starts, and no one who prints the settings prints it."""
    monkeypatch.setenv("CHECKREIN_SIGNALS_TOKEN", "secret-2")
    settings = make_bench(RULES).settings
    assert settings.signals_token == "secret-2"
    assert "secret-2" not in repr(settings)


def test_the_command_line_posts_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are numbers, everything else is text."""
    sent: list[Any] = []

    def post(_self: Any, path: str, body: dict[str, Any]) -> dict[str, Any]:
        sent.append((path, body))
        return {"in_force": []}

    monkeypatch.setattr("proxy.cli.admin.AdminClient.post", post)
    arguments = "post siem.alert --session s1 --field severity=9 --field host=db-1 --field x=a=b"
    done = CliRunner().invoke(command, arguments.split())
    assert done.output == "Noted; no rule acts on it.\n"
    fields = {"severity": 9, "host": "db-1", "x": "a=b"}
    assert sent == [("/v1/signals", {"name": "siem.alert", "session": "s1", **fields})]
    assert CliRunner().invoke(command, ["post", "x.y", "--field", "session=s2"]).exit_code == 2
