"""Realtime with the real SDK through a real proxy: what leaves, what waits, what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus

from proxy.cli.demo.speech import Turn, ask
from tests.e2e.conftest import Proxy, StartProxy
from tests.upstreams.realtime import RealtimeUpstream

pytestmark = pytest.mark.e2e

SMALL = ask("refund_order", order_id="A-1", amount=20)
BIG = ask("refund_order", order_id="A-2", amount=500)
LOOK = ask("look_up", order_id="A-3")
GONE = ask("forbidden", order_id="A-4")
VAD = {"type": "server_vad", "create_response": True}


def client(proxy: Proxy) -> AsyncOpenAI:
    return AsyncOpenAI(api_key="sk-test", base_url=f"{proxy.url}/v1", max_retries=0)


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Any]:
    async with client(proxy).realtime.connect(model="gpt-realtime", max_retries=0) as connection:
        yield connection


async def ask_for(connection: Any, text: str = "go") -> None:
    part = {"type": "input_text", "text": text}
    item = {"type": "message", "role": "user", "content": [part]}
    await connection.conversation.item.create(item=item)
    await connection.response.create()


async def until(connection: Any, kind: str = "response.done", within_s: float = 20) -> list[bytes]:
    """Reads raw messages up to and with the first of a kind."""
    got: list[bytes] = []
    async with asyncio.timeout(within_s):
        while True:
            got.append(await connection.recv_bytes())
            if json.loads(got[-1])["type"] == kind:
                return got


def calls(messages: list[bytes]) -> set[str]:
    """Every call an SDK user could find, anywhere in the messages, by argument text."""
    found: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("type") == "function_call" or "arguments" in str(value.get("type")):
                found.add(str(value.get("arguments") or ""))
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    for message in messages:
        look(json.loads(message))
    return found - {""}


async def give_results(connection: Any, done: bytes) -> None:
    for item in json.loads(done)["response"]["output"]:
        if item["type"] == "function_call":
            output = {"type": "function_call_output", "call_id": item["call_id"], "output": "ok"}
            await connection.conversation.item.create(item=output)
    await connection.response.create()


@pytest.mark.parametrize("beta", [False, True], ids=["ga", "beta"])
async def test_allowed_conversation_is_byte_identical(start_proxy: StartProxy, beta: bool) -> None:
    """Payloads of every message are the server's, in its order; results settle the ledger."""
    script = [Turn("Grüße \U0001f600 " * 2000, (SMALL, LOOK)), Turn("All done.")]
    with RealtimeUpstream(script, beta=beta) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            await ask_for(connection)
            got = await until(connection)
            await give_results(connection, got[-1])
            got += await until(connection)
            got.append(await connection.recv_bytes())
            seen = upstream.connections[0]
            assert [m.decode() for m in got] == seen.sent
            assert len(calls(got)) == 2
        assert [r["verdict"] for r in proxy.records("decision")] == ["allow", "allow"]
        assert [r["type"] for r in proxy.records("settlement")]


def test_sync_client(start_proxy: StartProxy) -> None:
    """The synchronous SDK reads a refused call as a message, and the next response works."""
    with RealtimeUpstream([Turn(calls=(GONE,)), Turn("Sorry.")]) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        sdk = OpenAI(api_key="sk-test", base_url=f"{proxy.url}/v1")
        with sdk.realtime.connect(model="gpt-realtime") as connection:
            connection.response.create()
            texts: list[str] = []
            done = 0
            for event in connection:
                if event.type == "response.output_text.done":
                    texts.append(event.text)
                assert event.type != "response.function_call_arguments.done"
                if event.type == "error":
                    raise AssertionError(event)
                if event.type == "response.done":
                    assert [i.type for i in event.response.output or []] == ["message"]
                    done += 1
                    if done == 2:
                        break
                    connection.response.create()
        assert "Nothing is deleted here." in texts[0]
        assert texts[1] == "Sorry."


async def test_blocked_beside_allowed(start_proxy: StartProxy) -> None:
    """One of two calls is refused: its failed output is the server's, the other one's the client's."""
    with RealtimeUpstream([Turn("Hm.", (GONE, LOOK)), Turn("Fine.")]) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            await ask_for(connection)
            got = await until(connection)
            assert calls(got) == {LOOK.arguments}
            await give_results(connection, got[-1])
            got += await until(connection)
            kinds = [json.loads(m)["type"] for m in got]
            assert "error" not in kinds
            assert not any(b"item_cr" in m for m in got)  # what we put in is not shown
            made = upstream.connections[0].events("conversation.item.create")
            outputs = [e["item"] for e in made if e["item"]["type"] == "function_call_output"]
            assert len(outputs) == 2
            assert "refused" in outputs[0]["output"]
            assert outputs[1]["output"] == "ok"
        by_name = {r["call"]["name"]: r["verdict"] for r in proxy.records("decision")}
        assert by_name == {"forbidden": "block", "look_up": "allow"}


async def test_live_session_goes_on_once(start_proxy: StartProxy) -> None:
    """With turn detection the model is asked to go on by us, but never twice in a row."""
    with RealtimeUpstream([Turn(calls=(GONE,)), Turn(calls=(GONE,))], VAD) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            await ask_for(connection)
            got = [*await until(connection), *await until(connection)]
            assert calls(got) == set()
            await connection.input_audio_buffer.append(audio="AAAA")
            await until(connection, "input_audio_buffer.speech_started")
            assert len(upstream.connections[0].events("response.create")) == 2


@pytest.mark.parametrize(
    ("verb", "text"), [("approve", None), ("deny", "not today")], ids=["approve", "deny"]
)
async def test_hold_is_answered(start_proxy: StartProxy, verb: str, text: str | None) -> None:
    """While a call waits, pings of both sides are answered and speech goes on; then the answer counts."""
    with RealtimeUpstream([Turn("One moment.", (BIG,)), Turn("Then.")]) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            await ask_for(connection)
            got = await until(connection, "response.output_text.done")
            await asyncio.to_thread(proxy.wait_for_hold)
            await asyncio.wait_for(await connection._connection.ping(), 5)
            await asyncio.to_thread(upstream.ping)
            await connection.input_audio_buffer.append(audio="AAAA")
            got += await until(connection, "input_audio_buffer.speech_started")
            assert proxy.ask("/v1/holds?state=pending")["holds"]  # it waits still
            assert calls(got) == set()
            await asyncio.to_thread(proxy.answer, verb, reason=text)
            got += await until(connection)
            assert calls(got) == ({BIG.arguments} if verb == "approve" else set())
            assert (b"not today" in b"".join(got)) == (verb == "deny")
            await give_results(connection, got[-1])
            assert b"Then." in b"".join(await until(connection))


async def test_hold_runs_out_and_the_call_comes_again(start_proxy: StartProxy) -> None:
    """Nobody answers: refused as pending. Approved later, the same call passes once."""
    with RealtimeUpstream([Turn(calls=(BIG,)), Turn(calls=(BIG,)), Turn("Ok.")]) as upstream:
        proxy = start_proxy("--upstream", upstream.url, hold_wait="600ms")
        async with connected(proxy) as connection:
            await ask_for(connection)
            got = await until(connection)
            assert calls(got) == set()
            assert b"pending" in b"".join(got)
            await asyncio.to_thread(proxy.answer, "approve")
            await connection.response.create()
            got = await until(connection)
            assert calls(got) == {BIG.arguments}


async def test_two_held_calls_in_one_response(start_proxy: StartProxy) -> None:
    """Both wait together and leave in the server's order; only rate limits have gone ahead."""
    other = ask("refund_order", order_id="A-9", amount=400)
    with RealtimeUpstream([Turn(calls=(BIG, other))]) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            await ask_for(connection)
            await asyncio.to_thread(proxy.wait_for_hold, count=2)
            for hold in proxy.ask("/v1/holds?state=pending")["holds"]:
                await asyncio.to_thread(
                    proxy.ask, f"/v1/holds/{hold['id']}/approve", {"by": "t", "reason": None}
                )
            got = await until(connection)
            free = [m.decode() for m in got if b"rate_limits" in m]
            sent = upstream.connections[0].sent
            assert free == sent[-1:]
            assert [m.decode() for m in got if b"rate_limits" not in m] == sent[:-1]


async def test_client_leaves_during_a_hold(start_proxy: StartProxy) -> None:
    """The hold ends as abandoned, and the proxy goes on."""
    with RealtimeUpstream([Turn(calls=(BIG,))]) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            await ask_for(connection)
            await asyncio.to_thread(proxy.wait_for_hold)
        await asyncio.to_thread(proxy.wait_for_hold, state="abandoned")
        async with connected(proxy) as connection:
            await until(connection, "session.created")


async def test_server_leaves_behind_its_last_word(start_proxy: StartProxy) -> None:
    """What was said before the server's close reaches the client, judged."""
    with RealtimeUpstream([Turn("Bye.", (SMALL,))], leave_after=1) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            await ask_for(connection)
            assert calls(await until(connection)) == {SMALL.arguments}
            with pytest.raises(ConnectionClosed):
                await until(connection, "nothing more")


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01",
        '{"type": "response.weird", "thing": {"type": "function_call", "name": "x", "call_id": "c"}}',
        '{"type": "a", "type": "response.done"}',
        "{",
        '{"type": "response.function_call_arguments.done", "item_id": "i", "arguments": "{}"}',
        '{"type": "conversation.item.done", "item": {"type": "function_call", "name": "x"}}',
    ],
    ids=["binary", "odd-place", "double-type", "cut", "orphan-arguments", "no-id"],
)
async def test_what_cannot_be_read_closes(start_proxy: StartProxy, raw: str | bytes) -> None:
    """A message of no single meaning never reaches the client; it reads why, and the socket closes."""
    with RealtimeUpstream([], raw=[raw]) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            got = await until(connection, "error")
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(connection.recv_bytes(), 10)
            assert [json.loads(m)["type"] for m in got] == ["session.created", "error"]
            assert b"checkrein could not judge" in got[1]
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008


async def test_refused_item_stays_refused_when_fetched(start_proxy: StartProxy) -> None:
    """The server still has the call; asked for its item, the client sees the message again."""
    with RealtimeUpstream([Turn(calls=(GONE,))]) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            await ask_for(connection)
            done = json.loads((await until(connection))[-1])
            await connection.conversation.item.retrieve(item_id=done["response"]["output"][0]["id"])
            got = await until(connection, "conversation.item.retrieved")
            assert calls(got) == set()
            assert json.loads(got[-1])["item"]["type"] == "message"


async def test_sent_back_to_http(start_proxy: StartProxy) -> None:
    """`--websocket http` answers the upgrade with 426; nothing reaches the server."""
    with RealtimeUpstream([]) as upstream:
        proxy = start_proxy("--upstream", upstream.url, "--websocket", "http")
        with pytest.raises(InvalidStatus) as refused:
            async with connected(proxy):
                pass
        assert refused.value.response.status_code == 426
        assert upstream.connections == []


async def test_through_a_forward_proxy(
    start_proxy: StartProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By CONNECT, as an agent with HTTP_PROXY set comes: held, approved, and under its credential."""
    with RealtimeUpstream([Turn(calls=(BIG,))]) as upstream:
        proxy = start_proxy()
        url = proxy.credential("run-7")
        for name in ("http_proxy", "ws_proxy", "all_proxy"):
            monkeypatch.setenv(name, url)
        monkeypatch.setenv("no_proxy", "")
        sdk = AsyncOpenAI(api_key="sk-test", base_url=f"{upstream.url}/v1")
        async with sdk.realtime.connect(model="gpt-realtime") as connection:
            await ask_for(connection)
            hold = await asyncio.to_thread(proxy.wait_for_hold)
            assert hold["session"] == "run-7"
            await asyncio.to_thread(proxy.answer, "approve")
            assert calls(await until(connection)) == {BIG.arguments}


async def test_unknown_path_is_watched(start_proxy: StartProxy) -> None:
    """A model's socket under another name is closed as soon as it speaks; other paths are not read."""
    from websockets.asyncio.client import connect

    with RealtimeUpstream([Turn(calls=(LOOK,))]) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        where = proxy.url.replace("http", "ws")
        async with connect(f"{where}/other", proxy=None) as socket:
            await socket.send('{"type": "hello"}')
            assert "Unknown event type" in str(await asyncio.wait_for(socket.recv(), 10))
            await socket.send('{"\\u0074ype": "response.create", "input": "x", "model": "m"}')
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
        live = f"{where}/ws/google.ai.generativelanguage.v1beta.GenerativeService"
        with pytest.raises(InvalidStatus):
            await connect(f"{live}.BidiGenerateContent", proxy=None)
