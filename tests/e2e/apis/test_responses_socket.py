"""Responses over a WebSocket with the real SDK: the HTTP gate's verdicts, message by message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI
from websockets.exceptions import InvalidStatus

from proxy.cli.demo.speech import History, Turn, ask
from tests.e2e.conftest import Proxy, StartProxy
from tests.upstreams.realtime import RealtimeUpstream

pytestmark = pytest.mark.e2e

SMALL = ask("refund_order", order_id="A-1", amount=20)
BIG = ask("refund_order", order_id="A-2", amount=500)
GONE = ask("forbidden", order_id="A-4")


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Any]:
    sdk = AsyncOpenAI(api_key="sk-test", base_url=f"{proxy.url}/v1", max_retries=0)
    async with sdk.responses.connect(max_retries=0) as connection:
        yield connection


async def until_done(connection: Any, count: int = 1) -> list[bytes]:
    got: list[bytes] = []
    async with asyncio.timeout(20):
        while count:
            got.append(await connection.recv_bytes())
            kind = json.loads(got[-1])["type"]
            assert kind != "error", got[-1]
            count -= kind == "response.completed"
    return got


def output(messages: list[bytes]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(messages[-1])["response"]["output"]
    return made


def result(call: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call["call_id"], "output": "ok"}


async def test_allowed_turns_are_byte_identical(start_proxy: StartProxy) -> None:
    """Two responses on one connection, linked by id: every payload is the server's."""
    with RealtimeUpstream([Turn("Grüße.", (SMALL,)), Turn("Done.")]) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            await connection.response.create(model="gpt-5", input="go")
            got = await until_done(connection)
            first = json.loads(got[-1])["response"]
            call = next(i for i in output(got) if i["type"] == "function_call")
            await connection.response.create(
                model="gpt-5", previous_response_id=first["id"], input=[result(call)]
            )
            got += await until_done(connection)
            assert [m.decode() for m in got] == upstream.connections[0].sent
        assert [r["verdict"] for r in proxy.records("decision")] == ["allow"]
        assert len({r["session"] for r in proxy.records("settlement")}) == 1


@pytest.mark.parametrize("keeps", ["server", "client"])
async def test_refused_is_restored(start_proxy: StartProxy, keeps: str) -> None:
    """The next request has the call's failed output again, whoever keeps the history."""

    def script(history: History) -> Turn:
        return Turn("I see.") if history.results else Turn("Hm.", (GONE, SMALL))

    with RealtimeUpstream(script) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            asked = [{"role": "user", "content": "go"}]
            await connection.response.create(
                model="gpt-5", input=asked, store=None if keeps == "server" else False
            )
            got = await until_done(connection)
            assert b"A-4" not in b"".join(got)
            assert b"Nothing is deleted here." in b"".join(got)
            calls = [i for i in output(got) if i["type"] == "function_call"]
            assert [c["arguments"] for c in calls] == [SMALL.arguments]
            results = [result(call) for call in calls]
            if keeps == "server":
                before = json.loads(got[-1])["response"]["id"]
                await connection.response.create(
                    model="gpt-5", previous_response_id=before, input=results
                )
            else:
                history = [*asked, *output(got), *results]
                await connection.response.create(model="gpt-5", store=False, input=history)
            assert b"I see." in b"".join(await until_done(connection))
            last = upstream.connections[0].events("response.create")[-1]
            texts = [i["output"] for i in last["input"] if "output" in i]
            assert sorted("refused" in text for text in texts) == [False, True]


@pytest.mark.parametrize("verb", ["approve", "deny"])
async def test_held_in_a_lane(start_proxy: StartProxy, verb: str) -> None:
    """A held call keeps its own lane waiting, and the client awake; another lane goes on."""

    def script(history: History) -> Turn:
        return Turn("Free.") if history.user == "other" else Turn("Wait.", (BIG,))

    with RealtimeUpstream(script) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            await connection.response.create(model="gpt-5", input="go", stream_id="a")
            await asyncio.to_thread(proxy.wait_for_hold)
            await connection.response.create(model="gpt-5", input="other", stream_id="b")
            got = await until_done(connection)
            assert b"Free." in b"".join(got)
            assert BIG.arguments.encode() not in b"".join(got)
            await asyncio.wait_for(await connection._connection.ping(), 5)
            while json.loads(got[-1])["type"] != "keepalive":  # it is kept awake
                got.append(await asyncio.wait_for(connection.recv_bytes(), 5))
            await asyncio.to_thread(proxy.answer, verb)
            got += await until_done(connection)
            assert all(json.loads(m)["stream_id"] in ("a", "b") for m in got)
            calls = [i for i in output(got) if i["type"] == "function_call"]
            assert len(calls) == (verb == "approve")
            if verb == "approve":
                pure = [m.decode() for m in got if b'"keepalive"' not in m]
                assert sorted(pure) == sorted(upstream.connections[0].sent)


async def test_two_responses_in_a_row(start_proxy: StartProxy) -> None:
    """What is asked while a call waits is answered behind it, in the server's order."""
    with RealtimeUpstream([Turn("One.", (BIG,))]) as upstream:
        proxy = start_proxy("--upstream", upstream.url)
        async with connected(proxy) as connection:
            await connection.response.create(model="gpt-5", input="go")
            await asyncio.to_thread(proxy.wait_for_hold)
            await connection.response.create(model="gpt-5", input="and")
            await asyncio.sleep(0.5)
            for hold in proxy.ask("/v1/holds?state=pending")["holds"]:
                proxy.ask(f"/v1/holds/{hold['id']}/deny", {"by": "t", "reason": "no"})
            got = await until_done(connection)
            assert b"no" in b"".join(got)


async def test_426_sends_back_to_http(start_proxy: StartProxy) -> None:
    """Codex then speaks HTTP at once."""
    with RealtimeUpstream([]) as upstream:
        proxy = start_proxy("--upstream", upstream.url, "--websocket", "http")
        with pytest.raises(InvalidStatus) as refused:
            async with connected(proxy):
                pass
        assert refused.value.response.status_code == 426
