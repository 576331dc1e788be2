"""The WebSocket layer and its exchange, driven by hand: frames in, frames out, nothing unjudged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest
import wsproto.events
from mitmproxy import connection, http, options
from mitmproxy.proxy import commands, context, events
from mitmproxy.test import tflow
from wsproto.connection import Connection, ConnectionType

from proxy.addon.gatekeeper import Gatekeeper
from proxy.addon.socket_exchange import MAX_BEHIND_HOLD, PlainSocket, SocketExchange
from proxy.addon.socket_layer import SOCKET, GatedWebsocketLayer, SocketWake
from proxy.model import Identity
from proxy.pipeline.clients import ClientProfile
from proxy.wire.codec import ParsedRequest
from proxy.wire.realtime.gate import RealtimeGate

if TYPE_CHECKING:
    from tests.conftest import Bench

CALL = {"type": "function_call", "id": "i", "call_id": "c", "status": "completed"}


def call(name: str, **arguments: Any) -> bytes:
    item = {**CALL, "name": name, "arguments": json.dumps(arguments)}
    return json.dumps({"type": "response.output_item.done", "item": item}).encode()


class Socket:
    """One connection through the layer; both peers are wsproto's."""

    def __init__(self, bench: Bench | None, mark: object = None) -> None:
        client = connection.Client(peername=("c", 1), sockname=("p", 2), timestamp_start=0.0)
        self.context = context.Context(client, options.Options())
        self.context.server.timestamp_start = 0.0
        self.flow: http.HTTPFlow = tflow.twebsocketflow(messages=False)
        assert self.flow.response is not None
        self.flow.response.headers.pop("sec-websocket-extensions", None)
        self.tasks: set[asyncio.Task[None]] = set()
        self.exchange: SocketExchange | None = None
        if bench is not None:
            mark = self.exchange = self._exchange(bench)
        if mark is not None:
            self.flow.metadata[SOCKET] = mark
        self.layer = GatedWebsocketLayer(self.context, self.flow)
        self.client = Connection(ConnectionType.CLIENT)
        self.server = Connection(ConnectionType.SERVER)
        self.hooks: list[str] = []
        self._event(events.Start())

    def _exchange(self, bench: Bench) -> SocketExchange:
        async def identify(_: ParsedRequest | None) -> Identity:
            return bench.who()

        def spawn(work: Coroutine[Any, Any, None]) -> object:
            task = asyncio.ensure_future(work)
            self.tasks.add(task)
            return task

        return SocketExchange(
            bench.pipeline,
            RealtimeGate(lambda: "cr_" + "0" * 32),
            bench.who(),
            identify,
            profile=ClientProfile("test", 5.0, bench.settings.hold_wait_s),
            spawn=spawn,
            wake=lambda: self._event(SocketWake.of(self.flow)),
        )

    def _event(self, event: events.Event) -> None:
        for command in self.layer.handle_event(event):
            if isinstance(command, commands.SendData):
                to_client = command.connection is self.context.client
                (self.client if to_client else self.server).receive_data(command.data)
            elif isinstance(command, commands.StartHook):
                self.hooks.append(command.name)
                if command.blocking:
                    self._event(events.HookCompleted(command, None))

    def server_says(self, *said: bytes | wsproto.events.Event) -> None:
        for one in said:
            event = wsproto.events.TextMessage(one.decode()) if isinstance(one, bytes) else one
            self._event(events.DataReceived(self.context.server, self.server.send(event)))

    def client_says(self, *said: bytes | wsproto.events.Event) -> None:
        for one in said:
            event = wsproto.events.TextMessage(one.decode()) if isinstance(one, bytes) else one
            self._event(events.DataReceived(self.context.client, self.client.send(event)))

    def cut(self, *, client: bool) -> None:
        where = self.context.client if client else self.context.server
        self._event(events.ConnectionClosed(where))

    async def settled(self) -> None:
        """Returns once no task works on anything."""
        while pending := [task for task in self.tasks if not task.done()]:
            await asyncio.wait(pending, timeout=5)

    @staticmethod
    def heard(peer: Connection) -> list[Any]:
        return list(peer.events())


def texts(heard: list[Any]) -> list[bytes]:
    return [one.data.encode() for one in heard if isinstance(one, wsproto.events.TextMessage)]


def closed(heard: list[Any]) -> int | None:
    codes = [one.code for one in heard if isinstance(one, wsproto.events.CloseConnection)]
    return int(codes[0]) if codes else None


async def test_an_allowed_call_leaves_in_order(bench: Bench) -> None:
    """What stands behind it comes behind it, though it was there before the decision."""
    socket = Socket(bench)
    messages = [call("look_up", order="o1"), b'{"type": "response.done", "response": {"id": "r"}}']
    socket.server_says(*messages)
    await socket.settled()
    assert texts(socket.heard(socket.client)) == messages


async def test_a_message_in_parts_is_one(bench: Bench) -> None:
    """Frames are put together, characters cut between them too; pings in between go on."""
    socket = Socket(bench)
    whole = json.dumps({"type": "error", "text": "Grüße"}, ensure_ascii=False)
    socket.server_says(
        wsproto.events.TextMessage(whole[:5], message_finished=False),
        wsproto.events.Ping(b"p"),
        wsproto.events.TextMessage(whole[5:]),
    )
    heard = socket.heard(socket.client)
    assert isinstance(heard[0], wsproto.events.Ping)
    assert texts(heard) == [whole.encode()]


async def test_pings_pass_while_a_call_is_held(
    bench: Bench, until_held: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Both ways; and when the client leaves, the hold is abandoned."""
    socket = Socket(bench)
    socket.server_says(call("deploy", order="o1"))
    await until_held()
    socket.client_says(wsproto.events.Ping(b"c"))
    socket.server_says(wsproto.events.Pong(b"c"), wsproto.events.Ping(b"s"))
    kinds = [type(one) for one in socket.heard(socket.client)]
    assert kinds == [wsproto.events.Pong, wsproto.events.Ping]
    assert [type(one) for one in socket.heard(socket.server)] == [wsproto.events.Ping]
    socket.cut(client=True)
    await socket.settled()
    assert bench.pipeline.room.count() == 0
    assert "abandoned" in json.dumps(bench.records("hold")[-1])


async def test_too_much_behind_a_hold_closes(
    bench: Bench, until_held: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """4 MiB wait behind a call, not more: 1011, and the client never has the call."""
    socket = Socket(bench)
    socket.server_says(call("deploy", order="o1"))
    await until_held()
    big = b'{"type": "x", "pad": "%s"}' % (b"a" * (MAX_BEHIND_HOLD // 2))
    socket.server_says(big, big, big)
    heard = socket.heard(socket.client)
    assert texts(heard) == []
    assert closed(heard) == 1011
    assert closed(socket.heard(socket.server)) == 1011
    await socket.settled()


@pytest.mark.parametrize(
    "said",
    [wsproto.events.BytesMessage(b"x"), b"{", b'{"type": 1}'],
    ids=["binary", "cut", "no type"],
)
async def test_what_cannot_be_read_closes(bench: Bench, said: Any) -> None:
    """The client reads why; both sides are closed, and later messages are nobody's."""
    socket = Socket(bench)
    socket.server_says(said)
    heard = socket.heard(socket.client)
    assert len(texts(heard)) == 1
    assert b"checkrein could not judge" in texts(heard)[0]
    assert closed(heard) == 1008
    await socket.settled()
    assert [r["type"] for r in bench.records("error")] == ["error"]


async def test_a_dead_ledger_closes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that cannot be made lets nothing through."""

    async def broken(*_: object) -> None:
        raise RuntimeError("disk")

    monkeypatch.setattr(bench.pipeline, "decide", broken)
    socket = Socket(bench)
    socket.server_says(call("look_up", order="o1"))
    await socket.settled()
    heard = socket.heard(socket.client)
    assert not any(b"look_up" in text for text in texts(heard))
    assert closed(heard) == 1011


async def test_a_socket_without_a_mark_closes() -> None:
    """An addon that was unloaded lets nothing through."""
    socket = Socket(None)
    socket.server_says(b'{"type": "x"}')
    heard = socket.heard(socket.client)
    assert texts(heard) == []
    assert closed(heard) == 1008


async def test_an_error_in_the_layer_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """mitmproxy would log it and wait for ever."""
    plain = PlainSocket()
    monkeypatch.setattr(PlainSocket, "take", lambda *_, **__: 1 / 0)
    socket = Socket(None, plain)
    socket.server_says(b"x")
    assert closed(socket.heard(socket.client)) == 1011


@pytest.mark.parametrize("cut", ["close frame", "connection"])
async def test_the_servers_close_comes_behind_its_words(bench: Bench, cut: str) -> None:
    """A call said just before is judged and leaves first."""
    socket = Socket(bench)
    message = call("look_up", order="o1")
    socket.server_says(message)
    if cut == "connection":
        socket.cut(client=False)
    else:
        socket.server_says(wsproto.events.CloseConnection(1000, "bye"))
    await socket.settled()
    heard = socket.heard(socket.client)
    assert texts(heard) == [message]
    assert closed(heard) is not None
    assert socket.hooks[-1] == "websocket_end"


async def test_plain_sockets_pass_until_a_model_speaks() -> None:
    """Text and bytes as they came; a model's words close."""
    socket = Socket(None, PlainSocket())
    socket.client_says(b"hello", wsproto.events.BytesMessage(b"\x00"))
    heard = socket.heard(socket.server)
    assert texts(heard) == [b"hello"]
    assert bytes(heard[1].data) == b"\x00"
    socket.server_says(b'{"type": "response.created"}')
    assert closed(socket.heard(socket.client)) == 1008


HANDSHAKE: dict[str | bytes, str | bytes] = {
    "upgrade": "websocket",
    "connection": "upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "sec-websocket-extensions": "permessage-deflate",
}


@pytest.mark.parametrize(
    ("path", "mode", "status", "kind"),
    [
        ("/v1/realtime?model=m", "gate", None, SocketExchange),
        ("/openai/realtime?deployment=d", "gate", None, SocketExchange),
        ("/openai/v1/Realtime/", "gate", None, SocketExchange),
        ("/v1/realtime?intent=transcription", "gate", None, SocketExchange),
        ("/v1/realtime/translations", "gate", None, SocketExchange),
        ("/v1/responses", "gate", None, SocketExchange),
        ("/v1/%72esponses", "gate", None, SocketExchange),
        ("/v1/realtime", "http", 426, None),
        ("/v1/responses", "http", 426, None),
        ("/v1/chat/completions", "gate", 426, None),
        ("/v1/responses/resp_1", "gate", 426, None),
        ("/v1/realtime/calls", "gate", 426, None),
        ("/ws/google.ai.GenerativeService.BidiGenerateContent", "gate", 426, None),
        ("/v1/convai/conversation?agent_id=a", "gate", 426, None),
        ("/chat", "gate", None, PlainSocket),
    ],
)
async def test_admission(
    make_bench: Callable[..., Bench], path: str, mode: str, status: int | None, kind: type | None
) -> None:
    """Which upgrades are gated, refused, or no model's."""
    flow = tflow.tflow(req=http.Request.make("GET", "http://h" + path, headers=HANDSHAKE))
    bench = make_bench(websocket=mode)
    await Gatekeeper(bench.pipeline).requestheaders(flow)
    assert (flow.response.status_code if flow.response else None) == status
    mark = flow.metadata.get(SOCKET)
    assert mark is None if kind is None else isinstance(mark, kind)
    if kind is SocketExchange:
        assert "sec-websocket-extensions" not in flow.request.headers


@pytest.mark.parametrize("left_out", ["sec-websocket-version", "sec-websocket-key"])
async def test_half_a_handshake_is_refused(bench: Bench, left_out: str) -> None:
    """What only some servers would take for an upgrade does not get that far."""
    headers = {k: v for k, v in HANDSHAKE.items() if k != left_out}
    flow = tflow.tflow(req=http.Request.make("GET", "http://h/v1/realtime", headers=headers))
    await Gatekeeper(bench.pipeline).requestheaders(flow)
    assert flow.response is not None
    assert flow.response.status_code == 426


async def test_a_call_that_never_ends_is_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands behind an incomplete call is kept, but not for ever."""
    monkeypatch.setattr("proxy.addon.socket_exchange.MAX_IN_A_CALL", 1000)
    socket = Socket(bench)
    item = {**CALL, "status": "in_progress", "name": "look_up", "arguments": ""}
    socket.server_says(
        json.dumps({"type": "response.output_item.added", "item": item}).encode(),
        b'{"type": "x", "pad": "%s"}' % (b"a" * 1000),
    )
    heard = socket.heard(socket.client)
    assert texts(heard) == []
    assert closed(heard) == 1011
