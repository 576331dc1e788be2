"""The kill switch on what is under way: a held call's client is told at once, and a call that comes in a stream that began before is refused."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from proxy.cli.demo.loopback import Loopback
from tests.e2e.conftest import Proxy

pytestmark = pytest.mark.e2e

RULES = """
version: 1
pack: switch
tools:
  - {name: look_up, effects: [{kind: order.read, target: args.id}]}
  - {name: refund, effects: [{kind: money.refund, target: args.id}]}
gates:
  - {name: refunds, when: effect.kind == "money.refund"}
"""


class SlowModel(Loopback):
    """Says a word, waits until it is told to go on, then asks for the tool that the user named."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        super().__init__(
            Starlette(routes=[Route("/v1/chat/completions", self._chat, methods=["POST"])])
        )

    async def _chat(self, request: Request) -> Response:
        tool = (await request.json())["messages"][-1]["content"]
        return StreamingResponse(self._stream(tool), media_type="text/event-stream")

    async def _stream(self, tool: str) -> AsyncIterator[bytes]:
        yield _chunk({"role": "assistant", "content": "Let me see. "})
        while not self.goes_on.is_set():  # noqa: ASYNC110  # set from the test's thread
            await asyncio.sleep(0.02)
        function = {"name": tool, "arguments": '{"id": "o-1"}'}
        yield _chunk(
            {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}
        )
        yield _chunk({}, "tool_calls")
        yield b"data: [DONE]\n\n"


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**body, "choices": [choice]}).encode() + b"\n\n"


@pytest.fixture
def model() -> Iterator[SlowModel]:
    with SlowModel() as made:
        yield made


class Stream:
    """One streamed answer, read in a thread: what came, and when its end did."""

    def __init__(self, proxy: Proxy, tool: str) -> None:
        self.heard = b""
        self.ended_s = 0.0
        self.began = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(proxy, tool))
        self._thread.start()

    def _read(self, proxy: Proxy, tool: str) -> None:
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": tool}]}
        function = {"name": tool, "parameters": {"type": "object"}}
        headers = {"x-checkrein-session": "s", "authorization": "Bearer sk-x"}
        with (
            httpx.Client(trust_env=False, timeout=40) as client,
            client.stream(
                "POST",
                f"{proxy.url}/v1/chat/completions",
                json={**body, "tools": [{"type": "function", "function": function}]},
                headers=headers,
            ) as answer,
        ):
            for part in answer.iter_raw():
                self.heard += part
                self.began.set()
        self.ended_s = time.monotonic()

    def end(self) -> str:
        self._thread.join(40)
        return self.heard.decode()


FREEZES = {
    "session": ("/v1/sessions/s/freeze", {"by": "ada", "reason": "stop"}),
    "fleet": ("/v1/signals/freeze", {"scope": "fleet", "by": "ada", "reason": "stop"}),
}


@pytest.mark.parametrize("what", FREEZES)
def test_a_stream_in_flight(start_proxy: Any, model: SlowModel, what: str) -> None:
    """Its text has come; the call that comes after the freeze is not let through."""
    proxy = start_proxy("--upstream", model.url, rules=RULES)
    stream = Stream(proxy, "look_up")
    assert stream.began.wait(20)
    proxy.ask(*FREEZES[what])
    model.goes_on.set()
    said = stream.end()
    assert "Let me see." in said
    assert '"tool_calls":[' not in said.replace(" ", "")
    assert "frozen" in said
    assert proxy.records("decision")[-1]["verdict"] == "block"


@pytest.mark.parametrize("what", FREEZES)
def test_a_call_that_is_held(start_proxy: Any, model: SlowModel, what: str) -> None:
    """Its client does not wait for the hold's time to run out: the answer ends when the freeze is made."""
    proxy = start_proxy("--upstream", model.url, rules=RULES, hold_wait="30s")
    model.goes_on.set()
    stream = Stream(proxy, "refund")
    hold = proxy.wait_for_hold()
    frozen_s = time.monotonic()
    proxy.ask(*FREEZES[what])
    said = stream.end()
    assert '"tool_calls":[' not in said.replace(" ", "")
    assert stream.ended_s - frozen_s < 15  # the hold would have been kept for thirty
    assert proxy.ask(f"/v1/holds/{hold['id']}")["reason"] == "frozen: stop"
