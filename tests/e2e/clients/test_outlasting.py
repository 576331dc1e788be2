"""Holds that last longer than the client waits: its timeout comes first, and still the call ends once, under one hold, by a human's yes.

The proxy is told (`waiting:`) to say nothing for so long that each SDK gives up in the middle of the hold. SDKs with retries send the request again, which joins the hold; where a client raises,
its agent asks again. MCP clients say that they gave up: that ends the hold, and the next call is another one.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from tests.e2e.conftest import RULES, Proxy, StartProxy
from tests.e2e.mcp.conftest import RULES as MCP_RULES
from tests.e2e.mcp.conftest import MakeScene, make_scene, start_server
from tests.e2e.mcp.node import needs_node
from tests.e2e.mcp.test_typescript import Set, call, set_up
from tests.upstreams.gemini import ScriptedGemini
from tests.upstreams.gemini import call as gemini_call

__all__ = ["make_scene", "set_up", "start_server"]  # fixtures of their neighbours

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

SILENT = '\nwaiting: [{client: "*", wait: 60s, keepalive: 60s}]\n'
TIMEOUT_S = 1.0


def script(history: History) -> Turn:
    if history.fresh:
        return Turn("Done.")
    return Turn("Let me see.", (ask("refund_order", order_id="A-1", amount=150),))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(script) as made:
        yield made


def approve_later(proxy: Proxy, tries: Callable[[], int]) -> threading.Thread:
    """Approves the hold once the client has asked for a second time."""

    def approve() -> None:
        hold = proxy.wait_for_hold()
        give_up = time.monotonic() + 20
        while tries() < 2 and time.monotonic() < give_up:
            time.sleep(0.05)
        time.sleep(0.3)
        proxy.ask(f"/v1/holds/{hold['id']}/approve", {"by": "tester"})

    thread = threading.Thread(target=approve)
    thread.start()
    return thread


def one_hold(proxy: Proxy) -> None:
    """All tries have waited under one hold, which was used once."""
    (hold,) = proxy.ask("/v1/holds")["holds"]
    assert hold["state"] == "used"
    assert [r["event"] for r in proxy.records("hold")] == ["approved", "used"]


TOOL: Any = {"name": "refund_order", "parameters": {"type": "object"}}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_openai(start_proxy: StartProxy, model: ScriptedModel, stream: bool) -> None:
    """The SDK's own retry joins the hold."""
    given = ("--upstream", model.url, "--abandon-after", "20s")
    proxy = start_proxy(*given, rules=RULES + SILENT)
    approving = approve_later(proxy, lambda: len(proxy.records("decision")))
    with openai.OpenAI(
        api_key="sk-none",
        max_retries=5,
        base_url=f"{proxy.url}/v1",
        default_headers={"X-Checkrein-Session": "s"},
        http_client=openai.DefaultHttpxClient(trust_env=False, timeout=TIMEOUT_S),
    ) as client:
        asked: dict[str, Any] = {
            "model": "gpt-5-mini",
            "messages": [{"role": "user", "content": "Refund it."}],
            "tools": [{"type": "function", "function": TOOL}],
        }
        calls: list[str] = []
        give_up = time.monotonic() + 25
        while not calls and time.monotonic() < give_up:
            try:
                if stream:
                    with client.chat.completions.create(stream=True, **asked) as chunks:
                        for chunk in chunks:
                            for one in chunk.choices[0].delta.tool_calls or ():
                                calls.append(str(one.function and one.function.name))
                else:
                    answer = client.chat.completions.create(**asked)
                    calls += [c.id for c in answer.choices[0].message.tool_calls or ()]
            except (openai.APITimeoutError, httpx.ReadTimeout):
                continue  # the head of a stream has come: its agent asks again
    approving.join(30)
    assert calls
    one_hold(proxy)


def test_anthropic(start_proxy: StartProxy, model: ScriptedModel) -> None:
    given = ("--upstream", model.url, "--abandon-after", "20s")
    proxy = start_proxy(*given, rules=RULES + SILENT)
    approving = approve_later(proxy, lambda: len(proxy.records("decision")))
    with anthropic.Anthropic(
        api_key="sk-none",
        max_retries=5,
        base_url=proxy.url,
        default_headers={"X-Checkrein-Session": "s"},
        http_client=anthropic.DefaultHttpxClient(trust_env=False, timeout=TIMEOUT_S),
    ) as client:
        answer = client.messages.create(
            model="claude-sonnet-5",
            max_tokens=100,
            messages=[{"role": "user", "content": "Refund it."}],
            tools=[{"name": "refund_order", "input_schema": {"type": "object"}}],
        )
    approving.join(30)
    assert answer.stop_reason == "tool_use"
    one_hold(proxy)


def test_google_genai(start_proxy: StartProxy) -> None:
    """It raises; the agent asks again, and joins the hold."""

    def says(contents: list[dict[str, Any]]) -> list[Any]:
        return [gemini_call("refund_order", order_id="A-1", amount=150)]

    with ScriptedGemini(says, with_ids=True) as gemini:
        given = ("--upstream", gemini.url, "--abandon-after", "20s")
        proxy = start_proxy(*given, rules=RULES + SILENT)
        approving = approve_later(proxy, lambda: len(proxy.records("decision")))
        options = types.HttpOptions(
            base_url=proxy.url,
            headers={"x-checkrein-session": "s"},
            timeout=int(TIMEOUT_S * 1000),
            client_args={"trust_env": False},
        )
        client = genai.Client(api_key="none", http_options=options)
        declared = types.FunctionDeclaration(name="refund_order", description="refunds")
        config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[declared])],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        calls: list[Any] = []
        give_up = time.monotonic() + 25
        while not calls and time.monotonic() < give_up:
            try:
                answer = client.models.generate_content(
                    model="gemini-3-pro", contents="Refund it.", config=config
                )
            except Exception as error:
                if "Timeout" not in type(error).__name__:  # of whichever HTTP library it has
                    raise
                continue
            calls = list(answer.function_calls or ())
        approving.join(30)
        assert [one.name for one in calls] == ["refund_order"]
        one_hold(proxy)


BIG = {"order_id": "o1", "amount": 150}


async def test_mcp_python(make_scene: MakeScene) -> None:
    """The client gives up and says so: its hold ends, nothing ran; asked again and approved it runs once."""
    scene = make_scene("json", rules=MCP_RULES + SILENT)
    raised: list[str] = []
    with contextlib.suppress(ExceptionGroup):  # leaving, the SDK may trip over the call it gave up
        async with scene.client(read_timeout_seconds=TIMEOUT_S) as client:
            try:
                await client.call_tool("refund_order", BIG)
            except Exception as error:  # noqa: BLE001  # whichever the SDK raises
                raised.append(str(error))
    assert re.search(r"(?i)timed? ?out", raised[0])
    first = scene.proxy.wait_for_hold(state="abandoned")
    approving = threading.Thread(target=scene.proxy.answer, args=("approve",))
    async with scene.client() as client:
        approving.start()
        result = await client.call_tool("refund_order", BIG)
    approving.join(30)
    assert not result.is_error
    assert len([line for line in scene.server.ran if line != "up"]) == 1
    assert scene.proxy.ask(f"/v1/holds/{first['id']}")["state"] == "abandoned"


@needs_node
def test_mcp_typescript(set_up: Set) -> None:
    setting = set_up()
    with setting.calling(call("refund_order", BIG, timeout_ms=1_000)) as client:
        assert "timed out" in client.said()["thrown"]
    setting.proxy.wait_for_hold(state="abandoned")
    approving = threading.Thread(target=setting.proxy.answer, args=("approve",))
    with setting.calling(call("refund_order", BIG, timeout_ms=30_000)) as client:
        approving.start()
        assert client.result()[0] is False
    approving.join(30)
    assert len(setting.ran()) == 1
