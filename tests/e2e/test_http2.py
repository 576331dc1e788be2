"""HTTP/2: many answers on one connection, one of them waits for a human, the others do not.

The client speaks HTTP/2 with the proxy through a tunnel; the upstream speaks TLS, HTTP/1.1 or HTTP/2.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
import trustme
from h2.errors import ErrorCodes

from proxy.logtail import verify
from tests.e2e.conftest import RULES, Proxy, free_port

pytestmark = pytest.mark.e2e

AMOUNTS = {"ALLOW": 1, "HOLD": 150}


def frames(word: str) -> list[bytes]:
    """A chat stream: text, then the call the word stands for."""
    name = "forbidden" if word == "BLOCK" else "refund_order"
    arguments = json.dumps({"order_id": "A-1", "amount": AMOUNTS.get(word, 1)})
    call = {"index": 0, "id": "call_1", "type": "function"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "Let me see."}]
    if word != "TEXT":
        deltas.append({"tool_calls": [{**call, "function": {"name": name, "arguments": ""}}]})
        deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]})
    made: list[tuple[dict[str, Any], str | None]] = [(delta, None) for delta in deltas]
    made.append(({}, "stop" if word == "TEXT" else "tool_calls"))
    documents = [
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
        for delta, reason in made
    ]
    return [*(b"data: " + json.dumps(d).encode() + b"\n\n" for d in documents), b"data: [DONE]\n\n"]


class TlsUpstream:
    """A model API over TLS on a loopback port, in a thread; by ALPN HTTP/2 or HTTP/1.1."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0
        self.spoken: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def __enter__(self) -> TlsUpstream:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        server.close_clients()
        await server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        spoken = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        self.spoken.add(spoken)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await (self._http2 if spoken == "h2" else self._http1)(reader, writer)
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    async def _http1(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
            writer.write(b"transfer-encoding: chunked\r\n\r\n")
            for frame in frames(_word(body)):
                writer.write(f"{len(frame):x}\r\n".encode() + frame + b"\r\n")
                await writer.drain()
            writer.write(b"0\r\n\r\n")

    async def _http2(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        made.initiate_connection()
        bodies: dict[int, bytes] = {}
        writer.write(made.data_to_send())
        while data := await reader.read(65536):
            for event in made.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                    made.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    head = [(":status", "200"), ("content-type", "text/event-stream")]
                    made.send_headers(event.stream_id, head)
                    for frame in frames(_word(bodies.pop(event.stream_id))):
                        made.send_data(event.stream_id, frame)
                    made.end_stream(event.stream_id)
            writer.write(made.data_to_send())
            await writer.drain()


def _word(body: bytes) -> str:
    return str(json.loads(body)["messages"][0]["content"])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module", params=["http/1.1", "h2"], ids=["upstream-h1", "upstream-h2"])
def upstream(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[TlsUpstream]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols([request.param])
    with TlsUpstream(context) as upstream:
        yield upstream
    # Of an upstream that knows nothing the client offered, nothing is negotiated: HTTP/1.1.
    assert upstream.spoken <= ({"h2"} if request.param == "h2" else {"http/1.1", None})


@pytest.fixture(scope="module")
def proxy(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A forward proxy that trusts the upstream's authority."""
    folder = tmp_path_factory.mktemp("http2")
    (folder / "rules.yaml").write_text(RULES)
    authority.cert_pem.write_to_path(str(folder / "upstream-ca.pem"))
    port = free_port()
    argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}"]
    argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
    argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "a.sock")]
    argv += ["--ca-dir", str(folder / "ca"), "--hold-wait", "20s", "--keepalive", "200ms"]
    argv += ["--trust-ca", str(folder / "upstream-ca.pem"), "--no-inbox", "--abandon-after", "0s"]
    proxy = Proxy(folder, argv, port)
    yield proxy.start()
    proxy.stop()
    assert verify([proxy.log]).ok


class Http2Only(ssl.SSLContext):
    """Offers HTTP/2 and nothing else; httpcore offers HTTP/1.1 first, and the proxy takes the first."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        del alpn_protocols
        super().set_alpn_protocols(["h2"])


def client_of(proxy: Proxy) -> httpx.Client:
    """An HTTP/2 client that trusts the proxy's authority."""
    context = Http2Only(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(proxy.ca)
    return httpx.Client(http2=True, proxy=proxy.url, verify=context, trust_env=False, timeout=20)


def request_of(client: httpx.Client, upstream: TlsUpstream, session: str, word: str) -> Any:
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": word}]}
    return client.stream(
        "POST",
        upstream.url + "/v1/chat/completions",
        json=body,
        headers={"x-checkrein-session": session},
    )


@pytest.mark.parametrize("word", ["TEXT", "ALLOW", "BLOCK"])
def test_verdict(word: str, proxy: Proxy, upstream: TlsUpstream) -> None:
    """Text and an allowed call arrive byte for byte, of a blocked call nothing but the text why."""
    session = f"{word}-{upstream.port}"
    with (
        client_of(proxy) as client,
        request_of(client, upstream, session, word) as answer,
    ):
        raw = b"".join(answer.iter_raw())
        assert answer.http_version == "HTTP/2"
    if word == "BLOCK":
        assert b"tool_calls" not in raw
        assert b"was refused" in raw
    else:
        assert raw == b"".join(frames(word))


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_another_stream_answers_during_a_hold(
    verb: str, proxy: Proxy, upstream: TlsUpstream
) -> None:
    """The held answer shows its text at once, its call after the human; a neighbour is not kept."""
    session = f"{verb}-{upstream.port}"
    with (
        client_of(proxy) as client,
        request_of(client, upstream, session, "HOLD") as held,
    ):
        parts = held.iter_raw()
        raw = next(parts)
        assert b"Let me see." in raw
        proxy.wait_for_hold()
        with request_of(client, upstream, session + "-2", "ALLOW") as neighbour:
            assert b"".join(neighbour.iter_raw()) == b"".join(frames("ALLOW"))
        same = {r.extensions["network_stream"] for r in (held, neighbour)}
        assert len(same) == 1, "both answers came on one connection"
        assert b"tool_calls" not in raw
        proxy.answer(verb)
        raw += b"".join(parts)
    assert (b"tool_calls" in raw, b"human denied it" in raw) == (
        verb == "approve",
        verb == "deny",
    )
    assert raw.endswith(b"data: [DONE]\n\n")


def test_a_client_that_resets_its_stream_abandons_the_hold(
    proxy: Proxy, upstream: TlsUpstream
) -> None:
    """RST_STREAM in the middle of a hold: the hold ends as abandoned, the connection lives on."""
    with RawHttp2(proxy, upstream) as raw:
        stream = raw.ask("HOLD", f"reset-{upstream.port}")
        raw.read_until(stream, b"Let me see.")
        hold = proxy.wait_for_hold()
        raw.reset(stream)
        assert proxy.wait_for_hold(state="abandoned")["id"] == hold["id"]
        stream = raw.ask("ALLOW", f"after-reset-{upstream.port}")
        raw.read_until(stream, b"[DONE]")
        assert raw.heard[stream] == b"".join(frames("ALLOW"))


class RawHttp2:
    """An HTTP/2 connection through the proxy by hand: httpx never resets a stream."""

    def __init__(self, proxy: Proxy, upstream: TlsUpstream) -> None:
        self.heard: dict[int, bytes] = {}
        self._authority = f"localhost:{upstream.port}"
        plain = socket.create_connection(("127.0.0.1", proxy.port), 20)
        plain.sendall(f"CONNECT {self._authority} HTTP/1.1\r\n\r\n".encode())
        assert b" 200 " in plain.recv(65536)
        context = Http2Only(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(proxy.ca)
        context.set_alpn_protocols(())
        self._socket = context.wrap_socket(plain, server_hostname="localhost")
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration())
        self._h2.initiate_connection()

    def __enter__(self) -> RawHttp2:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, word: str, session: str) -> int:
        """Sends a request and returns its stream."""
        body = json.dumps(
            {"model": "m", "stream": True, "messages": [{"role": "user", "content": word}]}
        ).encode()
        stream = self._h2.get_next_available_stream_id()
        head = {":method": "POST", ":scheme": "https", ":authority": self._authority}
        head |= {":path": "/v1/chat/completions", "content-type": "application/json"}
        head |= {"content-length": str(len(body)), "x-checkrein-session": session}
        self._h2.send_headers(stream, list(head.items()))
        self._h2.send_data(stream, body, end_stream=True)
        self._flush()
        return stream

    def reset(self, stream: int) -> None:
        self._h2.reset_stream(stream, ErrorCodes.CANCEL)
        self._flush()

    def read_until(self, stream: int, part: bytes) -> None:
        """Reads until a stream's answer holds a part."""
        while part not in self.heard.get(stream, b""):
            data = self._socket.recv(65536)
            assert data, "the connection was closed"
            for event in self._h2.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    self.heard[event.stream_id] = self.heard.get(event.stream_id, b"") + event.data
                    self._h2.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
            self._flush()

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())
