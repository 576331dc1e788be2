"""A run's credential: read from every form, never sent on; and the proxy is no way to the proxy."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from mitmproxy import connection, http
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test.tflow import tflow

from proxy.addon.credentials import is_own_address
from proxy.addon.gatekeeper import Gatekeeper
from proxy.canonical import sha256_hex
from proxy.ledger.store import Credential
from proxy.pipeline.carried import Carried

if TYPE_CHECKING:
    from tests.addon.conftest import MakeLine
    from tests.conftest import Bench

type MakeRequest = Callable[..., http.Request]

TOKEN = "token-of-a-run"
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture
async def minted(bench: Bench) -> Bench:
    await bench.pipeline.add_credential(
        Credential(sha256_hex(TOKEN.encode()), "run-1", "agent-1", bench.now_ms)
    )
    return bench


@pytest.mark.parametrize(
    ("value", "agent"),
    [
        pytest.param(basic(f"checkrein:{TOKEN}"), "agent-1", id="basic"),
        pytest.param(basic(f"anyone:{TOKEN}"), "agent-1", id="any-user"),
        pytest.param(f"Bearer {TOKEN}", "agent-1", id="bearer"),
        pytest.param(f"bEARER  {TOKEN}", "agent-1", id="other-case"),
        pytest.param(basic("checkrein:wrong"), "peer:10.0.0.9", id="wrong"),
        pytest.param(basic(TOKEN), "peer:10.0.0.9", id="no-colon"),
        pytest.param("Basic %%%", "peer:10.0.0.9", id="no-base64"),
        pytest.param("Basic /////w==", "peer:10.0.0.9", id="not-utf-8"),
        pytest.param(f"Digest {TOKEN}", "peer:10.0.0.9", id="other-scheme"),
        pytest.param("", "peer:10.0.0.9", id="empty"),
    ],
)
async def test_forms(
    minted: Bench, make_line: MakeLine, make_request: MakeRequest, value: str, agent: str
) -> None:
    """Every client's form is understood, what is not is nobody's, and the header goes no further."""
    line = make_line()
    asked = make_request(body=BODY, headers={"Proxy-Authorization": value})
    await line.ask(asked)
    assert "proxy-authorization" not in asked.headers
    assert line.reached_server
    (session,) = await minted.pipeline.sessions()
    assert session.agent == agent


async def test_headers_do_not_change_a_credentials_session(
    minted: Bench, make_line: MakeLine, make_request: MakeRequest
) -> None:
    """The run's session stands, whatever the agent says of itself."""
    headers = {
        "Proxy-Authorization": f"Bearer {TOKEN}",
        "X-Checkrein-Session": "fresh",
        "Session-Id": "fresher",
        "Authorization": "Bearer other",
    }
    await make_line().ask(make_request(body=BODY, headers=headers))
    (session,) = await minted.pipeline.sessions()
    assert (session.id, session.agent, session.trust) == ("run-1", "agent-1", "credential")


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("x.localhost", True),
        ("[::1]", True),
        ("::1", True),
        ("127.8.8.8", True),
        ("127.1", True),
        ("2130706433", True),
        ("0x7f.0.0.1", True),
        ("0177.0.0.1", True),
        ("0.0.0.0", True),  # noqa: S104  # a destination, not a listener
        ("::ffff:127.0.0.1", True),
        ("[::ffff:7f00:1]", True),
        ("192.168.7.7", True),
        ("192.168.7.8", False),
        ("example.com", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_own_address(host: str, own: bool) -> None:
    """Every spelling of this machine with the proxy's port is the proxy; the port alone is not."""
    assert is_own_address(host, 8080, "192.168.7.7", 8080) is own
    assert not is_own_address(host, 8081, "192.168.7.7", 8080)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "127.1:8080"])
async def test_the_proxy_carries_nothing_to_itself(
    make_line: MakeLine, make_request: MakeRequest, host: str
) -> None:
    """The admin side is a unix socket, and its neighbour the listener is refused too."""
    line = make_line()
    await line.ask(make_request("GET", f"http://{host}/v1/holds"))
    assert line.status == 403
    assert not line.reached_server


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
async def test_a_way_to_the_proxy_itself_is_told(
    bench: Bench, make_line: MakeLine, make_request: MakeRequest, method: str
) -> None:
    """The operator reads that an agent tried."""
    asked = make_request("GET", "http://127.0.0.1:8080/login")
    if method == "CONNECT":
        flow = tflow(req=asked)
        flow.request.host, flow.request.port = "127.0.0.1", 8080
        flow.client_conn.sockname = ("127.0.0.1", 8080)
        await Gatekeeper(bench.pipeline).http_connect(flow)
        assert flow.response is not None
        assert flow.response.status_code == 403
    else:
        await make_line().ask(asked)
    told = [json.loads(one) for one in bench.settings.log.read_text().splitlines()]
    assert [one["where"] for one in told if one["type"] == "error"] == ["own address"]


def test_a_name_that_was_turned_here_after_it_was_looked_up(bench: Bench) -> None:
    """The connection's own end is known to the inbox, for a minute after it was closed; ends of others are not."""
    bench.pipeline.own_addresses.append(("0.0.0.0", 8081))  # noqa: S104
    gatekeeper, carried = Gatekeeper(bench.pipeline), bench.pipeline.carried
    server = connection.Server(address=("turned.example", 8081))
    server.peername, server.sockname = ("127.0.0.1", 8081), ("127.0.0.1", 50_000)
    other = connection.Server(address=("turned.example", 8082))
    other.peername, other.sockname = ("127.0.0.1", 8082), ("127.0.0.1", 50_001)
    client = connection.Client(peername=("10.0.0.9", 1), sockname=("127.0.0.1", 8080))
    for one in (server, other):
        gatekeeper.server_connected(ServerConnectionHookData(server=one, client=client))
    assert carried.brings(("127.0.0.1", 50_000), bench.now_ms)
    assert carried.brings(("::ffff:127.0.0.1", 50_000), bench.now_ms)
    assert not carried.brings(("127.0.0.1", 50_001), bench.now_ms)
    for one in (server, other):
        gatekeeper.server_disconnected(ServerConnectionHookData(server=one, client=client))
    assert carried.brings(("127.0.0.1", 50_000), bench.now_ms + 60_000)
    assert not carried.brings(("127.0.0.1", 50_000), bench.now_ms + 60_001)


def test_many_connections_make_none_of_them_forgotten() -> None:
    """Whoever keeps one open and opens thousands more is known by it still."""
    carried = Carried()
    carried.opened(("127.0.0.1", 1_024))
    for port in range(1_025, 1_025 + 20_000):
        carried.opened(("127.0.0.1", port))
        carried.closed(("127.0.0.1", port), 0)
    assert carried.brings(("127.0.0.1", 1_024), 0)
