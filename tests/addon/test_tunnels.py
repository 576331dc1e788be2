"""The choice of a tunnel's layer, by hand: nothing but HTTP and TLS, whatever mitmproxy proposes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from mitmproxy import http
from mitmproxy.proxy import context, events, layer, layers
from mitmproxy.proxy.layers.http import HTTPMode

from proxy.addon.identification import Identification
from proxy.addon.tunnels import Tunnels
from tests.conftest import BENCH_RULES

if TYPE_CHECKING:
    from tests.addon.conftest import MakeLine
    from tests.conftest import Bench, MakeBench

HTTP = b"POST /x HTTP/1.1\r\n"


class Choice:
    """One tunnel whose first bytes have come."""

    def __init__(self, bench: Bench, line: Any, host: str, port: int, first: bytes) -> None:
        self.bench = bench
        self.tunnels = Tunnels(bench.pipeline, Identification(bench.pipeline))
        self.context: context.Context = line.context
        self.context.server.address = (host, port)
        flow = http.HTTPFlow(self.context.client, self.context.server)
        flow.request = http.Request.make("CONNECT", f"http://{host}:{port}/")
        self.tunnels.opened(flow)
        self.next = layer.NextLayer(self.context)
        self.next.events.append(events.DataReceived(self.context.client, first))

    async def of(self, proposed: Callable[[context.Context], layer.Layer]) -> layer.Layer:
        self.next.layer = proposed(self.context)
        await self.tunnels.next_layer(self.next)
        assert self.next.layer is not None
        return self.next.layer


def transparent(at: context.Context) -> layer.Layer:
    return layers.HttpLayer(at, HTTPMode.transparent)


@pytest.mark.parametrize(
    ("proposed", "port", "first"),
    [
        pytest.param(layers.DNSLayer, 53, b"\0\x1d\x12\x34", id="dns-by-its-port"),
        pytest.param(layers.TCPLayer, 9000, b"\0\1\2", id="tcp-by-an-option"),
        pytest.param(transparent, 22, b"SSH-2.0-x y\r\n", id="ssh"),
        pytest.param(transparent, 80, HTTP, id="http"),
        pytest.param(layers.DNSLayer, 53, HTTP, id="http-on-the-dns-port"),
        pytest.param(transparent, 80, b"\r\n\n" + HTTP, id="http-behind-empty-lines"),
        pytest.param(transparent, 80, b"\r", id="the-beginning-of-one"),
    ],
)
async def test_what_is_no_tls_is_read_as_http(
    bench: Bench,
    make_line: MakeLine,
    proposed: Callable[[context.Context], layer.Layer],
    port: int,
    first: bytes,
) -> None:
    """HTTP's layer answers 400 to what it cannot read: nothing goes on unread."""
    made = await Choice(bench, make_line(), "any.example", port, first).of(proposed)
    assert isinstance(made, layers.HttpLayer)


@pytest.mark.parametrize(
    ("rules", "host", "passes"),
    [
        ("opaque: allow", "any.example", True),
        ("opaque: allow", "billing.internal", False),
        ("opaque: allow", "api.openai.com", False),
        ("pass_through: any.example", "any.example", True),
        ("pass_through: '*'", "api.openai.com", False),
        ("pass_through: '*'", "billing.internal", False),
        ("pass_through: api.openai.com", "api.openai.com", True),
        ("", "any.example", False),
    ],
)
async def test_who_is_handed_on(
    make_bench: MakeBench, make_line: MakeLine, rules: str, host: str, passes: bool
) -> None:
    """A glob names no host that serves models or that a route is on."""
    bench = make_bench(BENCH_RULES + rules + "\n", folder="own")
    made = await Choice(bench, make_line(bench), host, 22, b"SSH-2.0-x\r\n").of(transparent)
    assert isinstance(made, layers.TCPLayer) is passes
    (record,) = bench.records("decision")
    assert record["verdict"] == ("allow" if passes else "block")


@pytest.mark.parametrize(
    "first", [b"\r\n" + HTTP, b"\x16", b"\x16\x03"], ids=["empty-line", "one-byte", "two-bytes"]
)
async def test_the_beginning_of_http_or_tls_is_not_opaque(
    make_bench: MakeBench, make_line: MakeLine, first: bytes
) -> None:
    """Servers skip empty lines, and read a handshake that comes byte by byte."""
    bench = make_bench(BENCH_RULES + "opaque: allow\n", folder="own")
    choice = Choice(bench, make_line(bench), "any.example", 80, first)
    assert isinstance(await choice.of(transparent), layers.HttpLayer)


async def test_without_a_record_nothing_is_handed_on(
    make_bench: MakeBench, make_line: MakeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is full: closed."""
    bench = make_bench(BENCH_RULES + "opaque: allow\n", folder="own")

    def full(_fd: int, _data: object) -> int:
        raise OSError(28, "No space left on device")

    choice = Choice(bench, make_line(bench), "any.example", 22, b"SSH-2.0-x\r\n")
    with monkeypatch.context() as patch:
        patch.setattr("proxy.decisionlog.os.write", full)
        assert isinstance(await choice.of(layers.TCPLayer), layers.HttpLayer)
