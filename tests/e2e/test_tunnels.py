"""CONNECT tunnels through a real proxy: opened, handed on unread, or refused, and on record each time."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.e2e.conftest import Proxy, StartProxy
from tests.e2e.wire.conftest import RawUpstream

pytestmark = pytest.mark.e2e

RULES = """
version: 1
tools:
  - http: {{method: POST, host: [127.0.0.1, tool.example], path: /refunds}}
    effects: [{{kind: money.refund, amount: body.amount, unit: EUR, target: body.order}}]
budgets:
  - {{name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, on_exceed: block}}
{more}
"""


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> Iterator[RawUpstream]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", "other.example").configure_cert(context)
    with RawUpstream(context) as upstream:
        yield upstream


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "upstream-ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


class Echo:
    """A server that is no HTTP: it says back what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._server.accept()
                with one:
                    while data := one.recv(4096):
                        self.heard += data
                        one.sendall(data)

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


def tunnel(proxy: Proxy, target: str) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", proxy.port), 10)
    raw.sendall(f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n".encode())
    head = raw.recv(4096)
    assert b" 200 " in head.split(b"\r\n")[0]
    return raw


def issuer(raw: socket.socket, name: str | None, *, trusted: Path | None = None) -> str:
    """Ends the handshake and returns who issued the certificate that the client got."""
    context = ssl.create_default_context()
    context.check_hostname = False
    if trusted is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(trusted)
    with context.wrap_socket(raw, server_hostname=name) as secured:
        der = secured.getpeercert(binary_form=True) or b""
        secured.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert secured.recv(64).startswith(b"HTTP/1.1 200")
    return "mitmproxy" if b"mitmproxy" in der else "trustme" if b"trustme" in der else "?"


def tunnels(proxy: Proxy) -> list[tuple[str, str]]:
    found = [r for r in proxy.records("decision") if r["call"]["name"].startswith("CONNECT")]
    return [(r["call"]["kind"], r["verdict"]) for r in found]


@pytest.mark.parametrize(
    ("rules", "name", "who", "records"),
    [
        pytest.param("", "localhost", "mitmproxy", [], id="opened-by-default"),
        pytest.param(
            "pass_through: localhost",
            "localhost",
            "trustme",
            [("pass-through", "allow")],
            id="named-and-agreeing",
        ),
        pytest.param(
            'pass_through: "local*"', "localhost", "trustme", [("pass-through", "allow")], id="glob"
        ),
        pytest.param(
            "pass_through: localhost", None, "trustme", [("pass-through", "allow")], id="no-sni"
        ),
        pytest.param(
            "pass_through: localhost", "other.example", "mitmproxy", [], id="handshake-disagrees"
        ),
        pytest.param(
            "pass_through: other.example", "other.example", "mitmproxy", [], id="connect-disagrees"
        ),
        pytest.param(
            "pass_through: '*host'\nmodel_hosts: localhost",
            "localhost",
            "mitmproxy",
            [],
            id="glob-over-a-model-host",
        ),
    ],
)
def test_what_is_opened(
    start_proxy: StartProxy,
    tls: RawUpstream,
    ca_file: Path,
    rules: str,
    name: str | None,
    who: str,
    records: list[tuple[str, str]],
) -> None:
    """Only a host that is named goes by unread, and only if both names agree; each has its record."""
    more = rules + ("\nunparsed: allow" if "model_hosts" in rules else "")
    proxy = start_proxy("--trust-ca", str(ca_file), rules=RULES.format(more=more))
    assert issuer(tunnel(proxy, f"localhost:{tls.port}"), name) == who
    assert tunnels(proxy) == records


@pytest.mark.parametrize(
    ("opaque", "second"), [("block", "mitmproxy"), ("allow", "trustme")], ids=["block", "allow"]
)
def test_a_client_that_pins(
    start_proxy: StartProxy, tls: RawUpstream, ca_file: Path, opaque: str, second: str
) -> None:
    """Its first handshake fails and is on record; only `opaque: allow` hands the next one on."""
    rules = RULES.format(more=f"opaque: {opaque}")
    proxy = start_proxy("--trust-ca", str(ca_file), rules=rules)
    with pytest.raises(ssl.SSLError):
        issuer(tunnel(proxy, f"localhost:{tls.port}"), "localhost", trusted=ca_file)
    give_up = time.monotonic() + 10
    while not tunnels(proxy) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert tunnels(proxy) == [("opaque", opaque)]
    (record,) = [r for r in proxy.records("decision") if r["call"]["kind"] == "opaque"]
    assert "pass_through" in record["reasons"][0]["text"]
    assert record["call"]["name"] == f"CONNECT localhost:{tls.port}"
    assert issuer(tunnel(proxy, f"localhost:{tls.port}"), "localhost") == second


def test_a_pinning_client_does_not_close_a_tools_gate(
    start_proxy: StartProxy, tls: RawUpstream, ca_file: Path
) -> None:
    """A host that a route names is opened again after a failed handshake, even with `opaque: allow`."""
    proxy = start_proxy("--trust-ca", str(ca_file), rules=RULES.format(more="opaque: allow"))
    with pytest.raises(ssl.SSLError):
        issuer(tunnel(proxy, f"127.0.0.1:{tls.port}"), "127.0.0.1", trusted=ca_file)
    assert issuer(tunnel(proxy, f"127.0.0.1:{tls.port}"), None) == "mitmproxy"


@pytest.mark.parametrize(
    ("rules", "passes", "record"),
    [
        pytest.param("", False, ("opaque", "block"), id="by-default"),
        pytest.param("opaque: allow", True, ("opaque", "allow"), id="opaque-allow"),
        pytest.param("pass_through: localhost", True, ("pass-through", "allow"), id="named"),
    ],
)
@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x00\x01\x02 SECRET\xff\n"], ids=["ssh", "binary"]
)
def test_bytes_that_are_neither_tls_nor_http(
    start_proxy: StartProxy,
    echo: Echo,
    data: bytes,
    rules: str,
    passes: bool,
    record: tuple[str, str],
) -> None:
    """They reach their server only where the rules say so, and leave one record."""
    proxy = start_proxy(rules=RULES.format(more=rules))
    with tunnel(proxy, f"localhost:{echo.port}") as raw:
        raw.sendall(data)
        raw.settimeout(5)
        with contextlib.suppress(OSError):
            assert (raw.recv(4096) == data) is passes
    assert (echo.heard == data) is passes
    assert tunnels(proxy) == [record]


def test_http_in_a_tunnel_is_judged_even_where_opaque_passes(
    start_proxy: StartProxy, echo: Echo
) -> None:
    """Plain HTTP behind a CONNECT is opened: a refund past the budget stays here."""
    proxy = start_proxy(rules=RULES.format(more="opaque: allow\npass_through: '*'"))
    body = b'{"order": "a", "amount": 145}'
    head = f"POST /refunds HTTP/1.1\r\nhost: tool.example\r\ncontent-length: {len(body)}\r\n\r\n"
    with tunnel(proxy, f"localhost:{echo.port}") as raw:
        raw.sendall(head.encode() + body)
        assert b" 403 " in raw.recv(65536).split(b"\r\n")[0]
    assert echo.heard == b""
    kinds: list[Any] = [r["call"]["kind"] for r in proxy.records("decision")]
    assert kinds == ["http"]
