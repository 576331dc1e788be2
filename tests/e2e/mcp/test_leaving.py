"""A client that goes away while its call is held: the hold ends, and nothing of the call runs."""

from __future__ import annotations

import json
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Proxy
    from tests.e2e.mcp.conftest import MakeScene

pytestmark = pytest.mark.e2e


def refund(meta: dict[str, Any], amount: int = 145) -> bytes:
    arguments = {"order_id": "o1", "amount": amount}
    params = {"name": "refund_order", "arguments": arguments, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    return json.dumps(message).encode()


def spoken(proxy: Proxy, line: str, body: bytes = b"") -> socket.socket:
    """Sends a request over a connection of its own, which the test can close when it likes."""
    connection = socket.create_connection(("127.0.0.1", proxy.port), 20)
    head = f"{line} HTTP/1.1\r\nhost: 127.0.0.1:{proxy.port}\r\n"
    head += "accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n"
    connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def read_until(connection: socket.socket, pattern: bytes) -> re.Match[bytes]:
    came = b""
    while (found := re.search(pattern, came)) is None:
        more = connection.recv(4096)
        assert more, came
        came += more
    return found


@pytest.mark.parametrize(
    ("meta", "heard"),
    [
        pytest.param({}, None, id="silent"),
        pytest.param({"progressToken": "p"}, rb"approval \(hold", id="progress"),
    ],
)
def test_a_call_that_waits(make_scene: MakeScene, meta: dict[str, Any], heard: bytes) -> None:
    """Streamable HTTP: the answer begun (with progress notes) or not, a closed connection ends it."""
    scene = make_scene("json")
    connection = spoken(scene.proxy, "POST /mcp", refund(meta))
    hold = scene.proxy.wait_for_hold()
    if heard is not None:
        read_until(connection, heard)
    connection.close()
    assert scene.proxy.wait_for_hold(state="abandoned")["id"] == hold["id"]
    assert [r["event"] for r in scene.proxy.records("hold")] == ["abandoned"]
    assert scene.server.ran == []
    # Asked for again it is a hold of its own, which nobody has answered.
    with spoken(scene.proxy, "POST /mcp", refund(meta)):
        assert scene.proxy.wait_for_hold()["id"] != hold["id"]


@pytest.mark.parametrize("leaves", ["stream", "post"])
def test_the_old_transport(make_scene: MakeScene, leaves: str) -> None:
    """HTTP+SSE: the answer would appear in the GET stream; without it, or its POST, nobody waits."""
    scene = make_scene("legacy")
    stream = spoken(scene.proxy, "GET /sse")
    path = read_until(stream, rb"data: (/\S+)\r\n")[1].decode()
    post = spoken(scene.proxy, f"POST {path}", refund({}))
    hold = scene.proxy.wait_for_hold()
    (stream if leaves == "stream" else post).close()
    assert scene.proxy.wait_for_hold(state="abandoned")["id"] == hold["id"]
    assert scene.server.ran == []
    stream.close()
    post.close()


def test_gone_before_it_is_judged(make_scene: MakeScene) -> None:
    """A request whose sender has hung up by the time it is read leaves no hold that can be answered."""
    scene = make_scene("json", hold_wait="60s")
    for amount in range(145, 151):
        spoken(scene.proxy, "POST /mcp", refund({}, amount)).close()
    scene.proxy.wait_for_hold(state="abandoned", count=6)
    assert scene.proxy.ask("/v1/holds?state=pending")["holds"] == []
