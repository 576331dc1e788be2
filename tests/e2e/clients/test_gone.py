"""A client that goes away while its call is held: the hold ends, the upstream is let go of.

Every SDK client leaves as its users make it leave: a stream is closed, a task is cancelled, the
agent's process dies. The upstream's streams never end by themselves, so it sees who hangs up.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anthropic
import httpx
import openai
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from proxy.logtail import verify
from tests.e2e.conftest import RULES, Proxy, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("gone")]  # one proxy serves them all

type Api = Literal["chat", "responses", "anthropic"]

APIS: tuple[Api, ...] = ("chat", "responses", "anthropic")


def script(history: History) -> Turn:
    """A refund that is held, or for a user in a hurry only a word."""
    if history.user == "QUICK":
        return Turn("Here I am.")
    return Turn("Let me see.", (ask("refund_order", order_id="A-1", amount=150),))


class PatientModel(ScriptedModel):
    """Its streams stop short of their last frame until somebody hangs up."""

    def __init__(self) -> None:
        super().__init__(script)
        self.open = 0  # streams that are being sent
        self.left = 0  # streams whose reader hung up

    async def _stream(self, frames: list[bytes]) -> AsyncIterator[bytes]:
        waits = any(b"refund_order" in frame for frame in frames)
        self.open += 1
        try:
            for frame in frames[:-1]:
                yield frame
            while waits:
                yield b": still here\n\n"
                await asyncio.sleep(0.05)
            yield frames[-1]
        except (asyncio.CancelledError, GeneratorExit):
            self.left += 1
            raise
        finally:
            self.open -= 1


@dataclass(frozen=True, slots=True)
class Line:
    proxy: Proxy
    model: PatientModel


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    folder: Path = tmp_path_factory.mktemp("gone")
    (folder / "rules.yaml").write_text(RULES)
    port = free_port()
    with PatientModel() as model:
        argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}"]
        argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
        argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "a.sock")]
        argv += ["--ca-dir", str(folder / "ca"), "--hold-wait", "60s", "--keepalive", "200ms"]
        proxy = Proxy(
            folder, [*argv, "--no-inbox", "--abandon-after", "0s", "--upstream", model.url], port
        ).start()
        yield Line(proxy, model)
        proxy.stop()


def until(met: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + 20
    while not met():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


def request_for(api: Api, word: str) -> dict[str, Any]:
    said = [{"role": "user", "content": word}]
    match api:
        case "chat":
            return {"model": "gpt-5-mini", "messages": said}
        case "responses":
            return {"model": "gpt-5-mini", "input": said, "store": False}
        case "anthropic":
            return {"model": "claude-sonnet-5", "max_tokens": 1024, "messages": said}


def client_for(api: Api, proxy: Proxy, session: str, *, is_async: bool) -> Any:
    vendor: Any = anthropic if api == "anthropic" else openai
    name = vendor.__name__.replace("openai", "OpenAI").replace("anthropic", "Anthropic")
    kind = getattr(vendor, f"Async{name}" if is_async else name)
    http = vendor.DefaultAsyncHttpxClient if is_async else vendor.DefaultHttpxClient
    return kind(
        api_key="sk-none",
        max_retries=0,
        base_url=proxy.url + ("" if api == "anthropic" else "/v1"),
        default_headers={"X-Checkrein-Session": session},
        http_client=http(trust_env=False, timeout=60),
    )


def endpoint(client: Any, api: Api) -> Any:
    match api:
        case "chat":
            return client.chat.completions
        case "responses":
            return client.responses
        case "anthropic":
            return client.messages


def leave_sync_stream(line: Line, api: Api, session: str) -> str:
    """The agent reads what has come, then closes its stream."""
    with client_for(api, line.proxy, session, is_async=False) as client:
        stream = endpoint(client, api).create(**request_for(api, "SLOW"), stream=True)
        with stream as events:
            next(iter(events))
            return str(line.proxy.wait_for_hold()["id"])


def leave_async_stream(line: Line, api: Api, session: str) -> str:
    """The task that reads the stream is cancelled while it waits for the next event."""

    async def read() -> None:
        async with (
            client_for(api, line.proxy, session, is_async=True) as client,
            await endpoint(client, api).create(**request_for(api, "SLOW"), stream=True) as events,
        ):
            async for _ in events:
                pass

    return _cancelled_when_held(line, read())


def leave_async_plain(line: Line, api: Api, session: str) -> str:
    """The task that awaits the answer is cancelled."""

    async def ask_once() -> None:
        async with client_for(api, line.proxy, session, is_async=True) as client:
            await endpoint(client, api).create(**request_for(api, "SLOW"))

    return _cancelled_when_held(line, ask_once())


def _cancelled_when_held(line: Line, work: Any) -> str:
    async def run() -> str:
        task = asyncio.ensure_future(work)
        hold = await asyncio.to_thread(line.proxy.wait_for_hold)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return str(hold["id"])

    return asyncio.run(run())


AGENT = """
import json, sys, {vendor} as vendor
client = vendor.{kind}(api_key="sk-none", max_retries=0, base_url=sys.argv[1],
    default_headers={{"X-Checkrein-Session": sys.argv[2]}},
    http_client=vendor.DefaultHttpxClient(trust_env=False, timeout=60))
client.{endpoint}.create(**json.loads(sys.argv[3]))
"""


def leave_sync_plain(line: Line, api: Api, session: str) -> str:
    """The agent's process is killed while it blocks on the answer."""
    vendor, kind, resource = {
        "chat": ("openai", "OpenAI", "chat.completions"),
        "responses": ("openai", "OpenAI", "responses"),
        "anthropic": ("anthropic", "Anthropic", "messages"),
    }[api]
    code = AGENT.format(vendor=vendor, kind=kind, endpoint=resource)
    base = line.proxy.url + ("" if api == "anthropic" else "/v1")
    arguments = [base, session, json.dumps(request_for(api, "SLOW"))]
    agent = subprocess.Popen([sys.executable, "-c", code, *arguments])
    try:
        return str(line.proxy.wait_for_hold()["id"])
    finally:
        assert agent.poll() is None
        agent.kill()
        agent.wait(10)


WAYS: dict[str, Callable[[Line, Api, str], str]] = {
    "sync-stream": leave_sync_stream,
    "async-stream": leave_async_stream,
    "async-plain": leave_async_plain,
    "sync-plain": leave_sync_plain,
}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("way", WAYS)
def test_client_goes_away(line: Line, api: Api, way: str) -> None:
    """The hold is abandoned, cannot be approved any more, and no upstream connection is left."""
    left = line.model.left
    hold = WAYS[way](line, api, f"{api}-{way}")

    until(lambda: line.proxy.ask(f"/v1/holds/{hold}")["state"] == "abandoned", "not abandoned")
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        line.proxy.ask(f"/v1/holds/{hold}/approve", {"by": "tester", "reason": None})
    if way.endswith("stream"):
        until(lambda: line.model.left == left + 1, "the upstream's stream was not let go of")
    until(lambda: line.model.open == 0, "an upstream stream is still open")
    events = [r["event"] for r in line.proxy.records("hold") if r["hold"]["id"] == hold]
    assert events == ["abandoned"]


@pytest.mark.parametrize("api", APIS)
def test_the_next_client_is_served(line: Line, api: Api) -> None:
    """After all who left, in the very session of one of them, an answer comes at once and whole."""
    request = request_for(api, "QUICK")
    with (
        client_for(api, line.proxy, f"{api}-sync-stream", is_async=False) as client,
        endpoint(client, api).create(**request, stream=True) as events,
    ):
        assert len(list(events)) > 1
    assert verify([line.proxy.log]).ok
    assert "Traceback" not in line.proxy.stderr
