"""A run's credential: read from every form, never sent on; and the proxy is no way to the proxy."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from mitmproxy import http

from proxy.addon.credentials import is_own_address
from proxy.canonical import sha256_hex
from proxy.ledger.store import Credential

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
