"""MCP over HTTP by hand: bytes, odd encodings, batches, resumed streams, headers, both sides of a call."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.mcp.conftest import RULES

if TYPE_CHECKING:
    from tests.e2e.conftest import Proxy, StartProxy

pytestmark = pytest.mark.e2e

BOTH = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


class Upstream:
    """Answers each request with what `answers` has under "METHOD last-event-id", and keeps what came."""

    def __init__(self) -> None:
        upstream = self
        self.came: list[bytes] = []
        self.answer: tuple[int, str, bytes] = (200, "application/json", b"{}")
        self.stream: bytes = b""

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                upstream.came.append(self.rfile.read(int(self.headers["content-length"])))
                self._send(*upstream.answer)

            def do_GET(self) -> None:
                self._send(200, "text/event-stream", upstream.stream)

            def _send(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def proxy(start_proxy: StartProxy, upstream: Upstream) -> Proxy:
    return start_proxy("--upstream", upstream.url, rules=RULES, hold_wait="400ms")


def call(id: Any = 1, name: str = "look_up", **arguments: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}


def post(proxy: Proxy, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(
        proxy.url + "/mcp", content=body, headers=BOTH | (headers or {}), trust_env=False
    )


def test_bytes_and_what_is_refused(proxy: Proxy, upstream: Upstream) -> None:
    """Allowed bytes pass both ways unchanged; what lenient servers read otherwise never arrives."""
    allowed = b' {"jsonrpc" : "2.0","id":1,"method":"tools\\/call","params":{"name":"look_up"} }\n'
    for kind, answer in (
        ("application/json", b'{"jsonrpc":"2.0",  "id":1,"result":{"content":[]}}\n'),
        (
            "text/event-stream",
            b': hi\r\nid: 7\r\ndata: {"jsonrpc":"2.0","id":1,\r\ndata: "result":{}}\r\n\r\n',
        ),
        ("text/event-stream; charset=utf-8", b"id: 1\ndata: \n\n" + b"data: x"[:0]),
    ):
        upstream.answer = (200, kind, answer)
        got = post(proxy, allowed)
        assert (got.status_code, got.content) == (200, answer)
    assert upstream.came == [allowed] * 3
    text = json.dumps(call(name="forbidden", order_id="o1"))
    odd = [
        text.encode("utf-16"),
        b"\xef\xbb\xbf" + text.encode(),
        text.replace('"method"', '"METHOD"').encode(),
        text.replace('"name"', '"Name"').encode(),
        text.replace('"method"', '"method":"ping","method"').encode(),
        (json.dumps(call()) + "\n" + text).encode(),
        text.replace('"jsonrpc": "2.0", ', "").encode(),
    ]
    for body in odd:
        for kind in ("application/json", "text/plain", "application/octet-stream"):
            got = post(proxy, body, {"content-type": kind})
            assert got.status_code == 400, body
            assert "error" in got.json()
    mismatch = post(proxy, json.dumps(call()).encode(), {"mcp-name": "other"})
    assert mismatch.json()["error"]["code"] == -32020
    assert mismatch.json()["id"] == 1
    assert len(upstream.came) == 3
    assert post(proxy, b'{"jsonrpc":"2.0","id":1,"method":"eth_call"}').status_code == 200


def test_batches(proxy: Proxy, upstream: Upstream) -> None:
    """Of a batch the refused calls are answered beside what the server says of the others."""
    upstream.answer = (
        200,
        "application/json",
        b'[{"jsonrpc":"2.0","id":1,"result":{"content":[]}}]',
    )
    got = post(proxy, json.dumps([call(1), call(2, "forbidden", order_id="o")]).encode())
    assert sorted(m["id"] for m in got.json()) == [1, 2]
    assert [m["id"] for m in json.loads(upstream.came[0])] == [1]
    upstream.answer = (200, "text/event-stream", b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n')
    got = post(proxy, json.dumps([call(1), call(2, "forbidden", order_id="o")]).encode())
    assert got.text.count("data: ") == 2


def test_resumed_stream_settles(proxy: Proxy, upstream: Upstream) -> None:
    """A result that comes on a resumed GET stream settles its call."""
    session = {"mcp-session-id": "m1"}
    upstream.answer = (200, "text/event-stream", b"id: 1\ndata:\n\n")  # and the connection ends
    body = json.dumps(call(4, "refund_order", order_id="o1", amount=40)).encode()
    assert post(proxy, body, session).content == b"id: 1\ndata:\n\n"
    assert proxy.records("settlement") == []
    upstream.stream = (
        b'id: 2\ndata: {"jsonrpc":"2.0","id":4,"result":{"isError":true,"content":[]}}\n\n'
    )
    got = httpx.get(
        proxy.url + "/mcp",
        headers={"accept": "text/event-stream", "last-event-id": "1", **session},
        trust_env=False,
    )
    assert got.content == upstream.stream
    give_up = time.monotonic() + 5
    while not proxy.records("settlement") and time.monotonic() < give_up:
        time.sleep(0.05)
    assert [r["state"] for r in proxy.records("settlement")] == ["released"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param((404, "text/plain", b"no"), "HTTP 404", id="no-message"),
        pytest.param(
            (
                400,
                "application/json",
                b'{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"odd"}}',
            ),
            "odd",
            id="error-without-id",
        ),
        pytest.param((200, "application/json", b"{"), "could not judge", id="broken"),
    ],
)
def test_after_a_hold_errors_are_events(
    start_proxy: StartProxy, upstream: Upstream, answer: tuple[int, str, bytes], expected: str
) -> None:
    """The answer's head has gone out by then, so the server's refusal becomes an event under the id."""
    proxy = start_proxy("--upstream", upstream.url, rules=RULES)
    upstream.answer = answer
    document = call(9, "refund_order", order_id="o1", amount=145)
    document["params"]["_meta"] = {"progressToken": "p"}
    body = json.dumps(document).encode()
    held: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: held.append(post(proxy, body)))
    thread.start()
    proxy.answer("approve")
    thread.join(20)
    (got,) = held
    assert got.headers["content-type"] == "text/event-stream"
    assert expected in got.text
    events = [line[6:] for line in got.text.splitlines() if line.startswith("data: ")]
    assert json.loads(events[-1])["id"] == 9


def test_credential_joins_both_sides(proxy: Proxy, upstream: Upstream) -> None:
    """Traffic of one run is one session, whatever MCP's own session id says."""
    upstream.answer = (200, "application/json", b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}')
    token = proxy.credential("run-7").split(":")[2].split("@")[0]
    for session in ("m1", "m2"):
        post(
            proxy,
            json.dumps(call(1, "refund_order", order_id=session, amount=40)).encode(),
            {"mcp-session-id": session, "proxy-authorization": f"Bearer {token}"},
        )
    assert {r["session"] for r in proxy.records("decision")} == {"run-7"}
