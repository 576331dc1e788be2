"""HTTP/2 requests to an HTTP/1 server: what frames delimit must not become two requests.

mitmproxy writes an HTTP/2 request out as HTTP/1. Whatever a client puts into fields and frames, the
server reads one request, the one that was judged, or none.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
import trustme

from tests.e2e.conftest import Proxy
from tests.e2e.wire.conftest import RawUpstream, make_proxy, plain, running

pytestmark = pytest.mark.e2e

_RULES = "version: 1\npack: framing\nunmapped: allow\n"
_SMUGGLED = b"POST /smuggled HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
_CHAT = b"/v1/chat/completions"
_BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
_ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}}],
    }
).encode()


@dataclass(frozen=True, slots=True)
class Place:
    proxy: Proxy
    upstream: RawUpstream


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("framing")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "upstream-ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    with RawUpstream(tls) as upstream:
        made = make_proxy(folder, "--trust-ca", str(folder / "upstream-ca.pem"), rules=_RULES)
        with running(made) as proxy:
            yield Place(proxy, upstream)


def _send(place: Place, fields: list[tuple[bytes, bytes]], *data: bytes) -> bytes | None:
    """Sends one HTTP/2 request as it is told, unchecked; returns the status, None where there is none."""
    port = place.upstream.port
    with socket.create_connection(("127.0.0.1", place.proxy.port), 10) as bare:
        bare.sendall(
            f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()
        )
        assert b" 200 " in bare.recv(4096)
        trust = ssl.create_default_context(cafile=str(place.proxy.ca))
        trust.set_alpn_protocols(["h2"])
        with trust.wrap_socket(bare, server_hostname="127.0.0.1") as tunnel:
            assert tunnel.selected_alpn_protocol() == "h2"
            return _exchange(tunnel, fields, data)


def _exchange(
    tunnel: ssl.SSLSocket, fields: list[tuple[bytes, bytes]], data: tuple[bytes, ...]
) -> bytes | None:
    config = h2.config.H2Configuration(
        validate_outbound_headers=False, normalize_outbound_headers=False
    )
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    connection.send_headers(1, fields, end_stream=not data)
    for number, piece in enumerate(data, 1):
        connection.send_data(1, piece, end_stream=number == len(data))
    tunnel.sendall(connection.data_to_send())
    status: bytes | None = None
    while received := _receive(tunnel):
        for event in connection.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                status = dict(event.headers)[b":status"]
            elif isinstance(event, h2.events.StreamEnded):
                return status
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                return None
    return None


def _receive(tunnel: ssl.SSLSocket) -> bytes:
    try:
        return tunnel.recv(65536)
    except OSError:
        return b""


def _fields(
    place: Place, method: bytes = b"POST", path: bytes = _CHAT
) -> list[tuple[bytes, bytes]]:
    authority = f"127.0.0.1:{place.upstream.port}".encode()
    pseudo = [(b":method", method), (b":scheme", b"https"), (b":authority", authority)]
    return [*pseudo, (b":path", path), (b"content-type", b"application/json")]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param(b"POST", _CHAT, _BODY, id="model-api"),
        pytest.param(b"POST", b"/other", _SMUGGLED, id="elsewhere"),
        pytest.param(b"DELETE", b"/other", _SMUGGLED, id="streamed-delete"),
        pytest.param(b"GET", b"/other", _SMUGGLED, id="streamed-get"),
        pytest.param(b"OPTIONS", _CHAT, _SMUGGLED, id="not-gated"),
    ],
)
def test_a_body_without_a_length_is_one_request(
    place: Place, method: bytes, path: bytes, body: bytes
) -> None:
    """The server reads the whole body, in one request."""
    place.upstream.seen.clear()
    place.upstream.answer = plain(_ANSWER)
    half = len(body) // 2
    status = _send(place, _fields(place, method, path), body[:half], body[half:])
    assert status == b"200"
    seen = [(s.method.encode(), s.path.encode(), s.body) for s in place.upstream.seen]
    assert seen == [(method, path, body)]


_END = b" HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("change", "data"),
    [
        pytest.param({b":path": b"/a" + _END + _SMUGGLED}, [], id="line-break-in-path"),
        pytest.param({b":path": b"/a HTTP/1.1\nhost: x\n\n"}, [], id="line-feed-in-path"),
        pytest.param({b":method": b"GET /a" + _END + b"GET"}, [], id="line-break-in-method"),
        pytest.param({b"x-a": b"1\r\n\r\n" + _SMUGGLED}, [], id="line-break-in-value"),
        pytest.param({b"x-a": b"1\n\n" + _SMUGGLED}, [], id="line-feed-in-value"),
        pytest.param({b"x-a: 1\r\n\r\n" + _SMUGGLED: b"1"}, [], id="line-break-in-name"),
        pytest.param({b"transfer-encoding": b"chunked"}, [b"0\r\n\r\n" + _SMUGGLED], id="chunked"),
        pytest.param({b"content-length": b"0"}, [_SMUGGLED], id="length-too-small"),
        pytest.param({b"content-length": b"4"}, [b"[]  " + _SMUGGLED], id="length-in-the-middle"),
        pytest.param({b"host": b"x\r\n\r\n" + _SMUGGLED}, [], id="line-break-in-host"),
    ],
)
@pytest.mark.parametrize("method", [b"POST", b"GET"], ids=["buffered", "streamed"])
def test_fields_cannot_make_a_second_request(
    place: Place, method: bytes, change: dict[bytes, bytes], data: list[bytes]
) -> None:
    """What cannot be one request for everybody is refused; the server hears of no other."""
    place.upstream.seen.clear()
    place.upstream.answer = plain(b"{}")
    fields = dict(_fields(place, method, b"/other")) | change
    _send(place, list(fields.items()), *data)
    heard = b"".join(
        s.path.encode() + repr(s.headers).encode() + s.body for s in place.upstream.seen
    )
    assert len(place.upstream.seen) <= 1
    assert b"smuggled" not in heard
