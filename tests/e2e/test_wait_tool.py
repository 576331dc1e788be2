"""`wait_for_approval`: offered where the rules say so, to MCP clients and to models, and answered by what humans say."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import openai
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from tests.e2e.conftest import RULES, Proxy, StartProxy
from tests.e2e.mcp.conftest import RULES as MCP_RULES
from tests.e2e.mcp.conftest import MakeScene, make_scene, start_server

__all__ = ["make_scene", "start_server"]  # fixtures of a neighbour

pytestmark = pytest.mark.e2e

ON = "\nwait_tool: true\n"
BIG = {"order_id": "o1", "amount": 150}
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def hold_in(text: str) -> str:
    found = ID.search(text)
    assert found is not None, text
    return found[0]


def said(result: Any) -> str:
    return "\n".join(part.text for part in result.content)


def later(proxy: Proxy, verb: str) -> threading.Thread:
    """Answers when somebody waits a second time."""
    thread = threading.Timer(0.8, proxy.answer, args=(verb,), kwargs={"reason": "go ahead"})
    thread.start()
    return thread


@pytest.mark.parametrize("mode", ["json", "sse"])
@pytest.mark.parametrize(("verb", "told"), [("approve", "Approved: make"), ("deny", "Denied: do")])
async def test_over_mcp(make_scene: MakeScene, mode: str, verb: str, told: str) -> None:
    """The call is parked, the tool waits for the human, the same call passes once."""
    scene = make_scene(mode, rules=MCP_RULES + ON, hold_wait="2s")
    async with scene.client() as client:
        assert "wait_for_approval" in [tool.name for tool in (await client.list_tools()).tools]
        pending = await client.call_tool("refund_order", BIG)
        assert pending.is_error
        hold = hold_in(said(pending))
        answering = later(scene.proxy, verb)
        waited = await client.call_tool("wait_for_approval", {"hold": hold})
        answering.join()
        assert (told in said(waited), "go ahead" in said(waited)) == (True, True)
        again = await client.call_tool("refund_order", BIG)
    assert again.is_error is (verb == "deny")
    assert len([line for line in scene.server.ran if line != "up"]) == (verb == "approve")


async def test_past_its_own_wait_it_says_so(make_scene: MakeScene) -> None:
    scene = make_scene("json", rules=MCP_RULES + ON, hold_wait="500ms")
    async with scene.client() as client:
        await client.list_tools()
        hold = hold_in(said(await client.call_tool("refund_order", BIG)))
        waited = await client.call_tool("wait_for_approval", {"hold": hold})
    assert "Still pending" in said(waited)
    assert scene.proxy.ask(f"/v1/holds/{hold}")["state"] == "pending"


async def test_what_is_no_hold_of_its_own(make_scene: MakeScene) -> None:
    """Guesses are told one thing, whatever there is."""
    scene = make_scene("json", rules=MCP_RULES + ON)
    guesses: list[Any] = [{}, {"hold": 7}, {"hold": "0"}, {"hold": "x" * 99}]
    async with scene.client() as client:
        await client.list_tools()
        for asked in guesses:
            told = await client.call_tool("wait_for_approval", asked)
            assert told.is_error, asked
            assert "no such hold of yours" in said(told), asked


async def test_it_is_not_offered_unasked(make_scene: MakeScene) -> None:
    scene = make_scene("json")
    async with scene.client() as client:
        assert "wait_for_approval" not in [t.name for t in (await client.list_tools()).tools]


def script(history: History) -> Turn:
    """`REFUND` asks for a refund, `WAIT ID` for the tool."""
    if history.fresh:
        return Turn("Done.")
    if history.user.startswith("WAIT"):
        return Turn("I wait.", (ask("wait_for_approval", hold=history.user.split()[1]),))
    return Turn("Let me see.", (ask("refund_order", order_id="A-1", amount=150),))


def test_of_a_model(start_proxy: StartProxy, tmp_path: Path) -> None:
    """The model is offered it and its call waits; it never reaches the client, which hears what became of the hold."""
    with ScriptedModel(script) as model:
        proxy = start_proxy("--upstream", model.url, rules=RULES + ON, hold_wait="2s")
        with openai.OpenAI(
            api_key="sk-none",
            max_retries=0,
            base_url=f"{proxy.url}/v1",
            default_headers={"X-Checkrein-Session": "s"},
            http_client=openai.DefaultHttpxClient(trust_env=False, timeout=30),
        ) as client:
            messages: list[Any] = []

            def say(text: str) -> Any:
                messages.append({"role": "user", "content": text})
                function: Any = {"name": "refund_order", "parameters": {"type": "object"}}
                made = client.chat.completions.create(
                    model="gpt-5-mini",
                    messages=messages,
                    tools=[{"type": "function", "function": function}],
                )
                messages.append(made.choices[0].message)
                return made.choices[0].message

            parked = say("REFUND")
            assert not parked.tool_calls
            answering = later(proxy, "approve")
            waited = say(f"WAIT {hold_in(parked.content)}")
            answering.join()
            assert not waited.tool_calls
            assert "Approved: make the very same call" in waited.content
            passed = say("REFUND")
            assert [c.function.name for c in passed.tool_calls] == ["refund_order"]
            messages.append(
                {"role": "tool", "tool_call_id": passed.tool_calls[0].id, "content": "ok"}
            )
            say("Thanks.")  # the model's API takes the history with both calls put back
        assert not model.rejected
    offered = proxy.records("decision")
    assert "wait_for_approval" not in {record["call"]["name"] for record in offered}
