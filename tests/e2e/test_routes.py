"""Routes through a real proxy: every way to the same tool is judged, whatever names and frames say."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trustme

from tests.e2e.conftest import Proxy
from tests.e2e.wire.conftest import RawUpstream, make_proxy, plain, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("routes")]

RULES = """
version: 1
tools:
  - http: {method: POST, host: [tool.example, localhost], path: /refunds}
    effects: [{kind: money.refund, amount: num(body.amount), unit: EUR, target: body.order}]
  - http: {method: DELETE, host: [tool.example, localhost], path: "/orders/{id}"}
    effects: [{kind: record.delete, target: path.id}]
  - http: {method: POST, host: [tool.example, localhost], path: /do, query: {action: wipe}}
    effects: [{kind: record.delete, target: query.action}]
  - http: {method: POST, host: [tool.example, localhost], path: /graphql, graphql: {operation: wipe, type: mutation}}
    effects: [{kind: record.delete, target: graphql.args.id}]
gates:
  - {name: no-deletion, when: effect.kind == "record.delete", verdict: block, message: Nothing is deleted.}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: call, on_exceed: block}
"""
BIG = b'{"order": "a", "amount": 145}'
SMALL = b'{"order": "a", "amount": 45}'


@dataclass(frozen=True, slots=True)
class Place:
    proxy: Proxy
    tls: RawUpstream
    bare: RawUpstream

    @property
    def client(self) -> httpx.Client:
        trust = ssl.create_default_context(cafile=str(self.proxy.ca))
        return httpx.Client(proxy=self.proxy.url, verify=trust, trust_env=False, timeout=20)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("routes")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "upstream-ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1", "localhost", "tool.example").configure_cert(context)
    with RawUpstream(context) as tls, RawUpstream() as bare:
        made = make_proxy(folder, "--trust-ca", str(folder / "upstream-ca.pem"), rules=RULES)
        with running(made) as proxy:
            yield Place(proxy, tls, bare)


@pytest.fixture(autouse=True)
def _forget(place: Place) -> None:
    for upstream in (place.tls, place.bare):
        upstream.seen.clear()
        upstream.answer = plain(b"{}")


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("method", "target", "body", "headers"),
    [
        pytest.param("POST", "/refunds", BIG, JSON, id="plain"),
        pytest.param("POST", "/refunds", b"order=a&amount=145", {"content-type": "application/x-www-form-urlencoded"}, id="form"),
        pytest.param("POST", "/refunds", BIG.decode().encode("utf-16"), JSON, id="utf-16"),
        pytest.param("POST", "/refunds", b"\xef\xbb\xbf" + BIG, {"content-type": "text/plain"}, id="bom"),
        pytest.param("DELETE", "/orders/7", b"", {}, id="delete"),
        pytest.param("POST", "/orders/7", b"_method=DELETE", {}, id="method-field"),
        pytest.param("POST", "/orders/7?_method=delete", b"", {}, id="method-in-the-query"),
        pytest.param("POST", "/orders/7", b"", {"x-http-method-override": "DELETE"}, id="method-header"),
        pytest.param("POST", "/do?x=1&action=%77ipe", b"", {}, id="query"),
        pytest.param("POST", "/do?action=list&action=wipe", b"", {}, id="query-twice"),
        pytest.param("POST", "/graphql", b'{"query": "mutation order { order: wipe(id: 1) }"}', JSON, id="graphql-alias"),
        pytest.param("POST", "/graphql", b'{"id": "stored", "operationName": "order"}', JSON, id="graphql-persisted"),
        pytest.param("POST", "/graphql", b'[{"query": "{ a }"}, {"query": "mutation { wipe(id: 1) }"}]', JSON, id="graphql-batch"),
    ],
)  # fmt: skip
def test_what_rules_refuse_stays_here(
    place: Place, scheme: str, method: str, target: str, body: bytes, headers: dict[str, str]
) -> None:
    """Through a plain proxy request and through a tunnel: a problem document, nothing upstream."""
    upstream = place.tls if scheme == "https" else place.bare
    with place.client as client:
        url = f"{scheme}://localhost:{upstream.port}{target}"
        answer = client.request(method, url, content=body, headers=headers)
    assert answer.status_code in (400, 403), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].startswith("urn:checkrein:problem:")
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("target", "body", "headers"),
    [
        pytest.param("/refunds", SMALL, JSON, id="within-the-budget"),
        pytest.param("/graphql", b'{"query": "{ order }"}', JSON, id="graphql-that-no-rule-names"),
        pytest.param("/do?action=list", b"", {}, id="other-query"),
        pytest.param("/orders/7", b"payment_method=card", {}, id="other-field"),
    ],
)
def test_what_rules_allow_arrives_as_it_was_sent(
    place: Place, target: str, body: bytes, headers: dict[str, str]
) -> None:
    """Byte for byte."""
    with place.client as client:
        url = f"https://localhost:{place.tls.port}{target}"
        assert client.post(url, content=body, headers=headers).status_code == 200
    assert [(s.path, s.body) for s in place.tls.seen] == [(target, body)]


def test_a_multipart_form_is_read(place: Place) -> None:
    """The fields of a form with a file are judged as JSON's would be."""
    with place.client as client:
        url = f"https://localhost:{place.tls.port}/refunds"
        for amount, status in (("45", 200), ("145", 403)):
            fields = {"order": "a", "amount": amount}
            answer = client.post(url, data=fields, files={"receipt": ("r.pdf", b"%PDF\0")})
            assert answer.status_code == status, answer.text
    assert len(place.tls.seen) == 1


def test_a_program_can_read_the_refusal(place: Place) -> None:
    """RFC 9457's fields, and under `checkrein` what to do next."""
    with place.client as client:
        url = f"https://localhost:{place.tls.port}/refunds"
        body = client.post(url, content=BIG, headers=JSON).json()
    assert (body["type"], body["status"]) == ("urn:checkrein:problem:call-refused", 403)
    assert body["title"]
    assert body["detail"]
    said = body["checkrein"]
    assert (said["verdict"], said["hold"], said["retry"]) == ("block", None, "never")
    assert said["reasons"][0]["rule"] == "refunds"
    assert said["budgets"][0]["limit"] == 100


def test_a_redirect_is_judged_where_it_leads(place: Place) -> None:
    """A server that nobody names sends the client on to a tool: that request is judged like any other."""
    to = f"https://localhost:{place.tls.port}/refunds"
    place.bare.answer = (
        f"HTTP/1.1 307 Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n".encode()
    )
    with place.client as client:
        url = f"http://127.0.0.1:{place.bare.port}/start"
        answer = client.post(url, content=BIG, headers=JSON, follow_redirects=True)
    assert answer.status_code == 403
    assert str(answer.url) == to
    assert [s.path for s in place.bare.seen] == ["/start"]
    assert place.tls.seen == []


def _in_tunnel(place: Place, sni: str, request: bytes) -> bytes:
    target = f"127.0.0.1:{place.tls.port}"
    with socket.create_connection(("127.0.0.1", place.proxy.port), 10) as raw:
        raw.sendall(f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n".encode())
        assert b" 200 " in raw.recv(4096)
        trust = ssl.create_default_context(cafile=str(place.proxy.ca))
        trust.check_hostname = False
        with trust.wrap_socket(raw, server_hostname=sni) as tunnel:
            tunnel.settimeout(10)
            tunnel.sendall(request)
            return tunnel.recv(65536).split(b"\r\n")[0]


def _post(target: str, *headers: str, body: bytes = BIG) -> bytes:
    head = [f"POST {target} HTTP/1.1", *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


@pytest.mark.parametrize(
    ("sni", "request_bytes"),
    [
        pytest.param("tool.example", _post("/refunds", "host: harmless.example"), id="sni-alone"),
        pytest.param("harmless.example", _post("/refunds", "host: tool.example"), id="host-alone"),
        pytest.param("harmless.example", _post("/refunds", "host: TOOL.example.:443"), id="spelling"),
        pytest.param(
            "harmless.example",
            _post("/refunds", "host: harmless.example", "host: tool.example"),
            id="two-hosts",
        ),
        pytest.param(
            "harmless.example", _post("http://tool.example/refunds", "host: harmless.example"), id="absolute-form"
        ),
    ],
)  # fmt: skip
def test_every_name_of_the_destination_counts(place: Place, sni: str, request_bytes: bytes) -> None:
    """CONNECT by address: the name is in the handshake, in a Host header, in the request line."""
    status = _in_tunnel(place, sni, request_bytes)
    assert b" 403 " in status or b" 400 " in status
    assert place.tls.seen == []


@pytest.mark.parametrize(
    "head",
    [
        pytest.param("transfer-encoding: chunked\r\ncontent-length: 4", id="both"),
        pytest.param("content-length: 4\r\ncontent-length: 50", id="two-lengths"),
        pytest.param("transfer-encoding: xchunked", id="unknown-coding"),
        pytest.param("transfer-encoding : chunked", id="space-before-the-colon"),
        pytest.param("transfer-encoding: chunked\r\ntransfer-encoding: identity", id="two-codings"),
        pytest.param("content-length: +4", id="signed-length"),
        pytest.param("x: y\r\n transfer-encoding: chunked\r\ncontent-length: 4", id="folded"),
    ],
)
def test_no_second_request_is_smuggled(place: Place, head: str) -> None:
    """A body whose end two readers see at two places brings no unjudged refund to the server."""
    inner = _post("/refunds", "host: localhost").decode()
    port = place.bare.port
    outer = (
        f"POST http://localhost:{port}/plain HTTP/1.1\r\nhost: localhost:{port}\r\n{head}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", place.proxy.port), 10) as raw:
        raw.sendall(f"{outer}0\r\n\r\n{inner}".encode())
        raw.settimeout(1.0)
        try:
            while raw.recv(65536):
                pass
        except OSError:
            pass
    assert [s.path for s in place.bare.seen if "refunds" in s.path] == []


def test_absolute_form_and_host_that_differ(place: Place) -> None:
    """The request line's host and the Host header are both read."""
    for line_host, host in (("127.0.0.1", "tool.example"), ("localhost", "127.0.0.1")):
        port = place.bare.port
        with socket.create_connection(("127.0.0.1", place.proxy.port), 10) as raw:
            raw.sendall(_post(f"http://{line_host}:{port}/refunds", f"host: {host}"))
            raw.settimeout(10)
            assert b" 403 " in raw.recv(65536).split(b"\r\n")[0]
    assert place.bare.seen == []


@pytest.mark.parametrize(
    ("authority", "host"),
    [("harmless.example", "tool.example"), ("tool.example", "harmless.example")],
    ids=["host", "authority"],
)
def test_http2_names(place: Place, authority: str, host: str) -> None:
    """`:authority` and a Host header beside it both count."""
    from tests.e2e.wire.test_http2_framing import _exchange

    target = f"127.0.0.1:{place.tls.port}"
    with socket.create_connection(("127.0.0.1", place.proxy.port), 10) as raw:
        raw.sendall(f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n".encode())
        assert b" 200 " in raw.recv(4096)
        trust = ssl.create_default_context(cafile=str(place.proxy.ca))
        trust.set_alpn_protocols(["h2"])
        trust.check_hostname = False
        with trust.wrap_socket(raw, server_hostname="harmless.example") as tunnel:
            fields = [
                (b":method", b"POST"),
                (b":scheme", b"https"),
                (b":authority", authority.encode()),
                (b":path", b"/refunds"),
                (b"host", host.encode()),
                (b"content-length", str(len(BIG)).encode()),
            ]
            status = _exchange(tunnel, fields, (BIG,))
    assert status in (b"400", b"403", None)
    assert place.tls.seen == []
