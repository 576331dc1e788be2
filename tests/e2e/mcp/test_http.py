"""MCP over HTTP end to end: the Python SDK, a real server, a real proxy; each way a call can go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from mcp_types import CreateMessageResult, ElicitResult, TextContent

from tests.e2e.mcp.conftest import MODES, RULES

if TYPE_CHECKING:
    from tests.e2e.mcp.conftest import MakeScene, Scene

pytestmark = pytest.mark.e2e

every_mode = pytest.mark.parametrize("mode", MODES)


def text_of(result: Any) -> str:
    return "".join(part.text for part in result.content)


async def answered(scene: Scene, verb: str, **more: Any) -> None:
    await asyncio.to_thread(scene.proxy.answer, verb, **more)


@every_mode
async def test_allowed_blocked_and_settled(mode: str, make_scene: MakeScene) -> None:
    """What is allowed runs and is settled by its result; what is blocked never reaches the server."""
    scene = make_scene(mode)
    async with scene.client() as client:
        assert "refund_order" in {tool.name for tool in (await client.list_tools()).tools}
        done = await client.call_tool("refund_order", {"order_id": "o1", "amount": 40})
        assert text_of(done) == "refunded 40 for o1"
        no = await client.call_tool("forbidden", {"order_id": "o1"})
        assert no.is_error
        assert "Nothing is deleted here" in text_of(no)
        failed = await client.call_tool("refund_order", {"order_id": "broken", "amount": 50})
        assert failed.is_error
        assert (await client.call_tool("look_up", {"order_id": "ö"})).content
    assert [line.split()[0] for line in scene.server.ran] == [
        "refund_order",
        "refund_order",
        "look_up",
    ]
    states = [(r["state"], r["by"]) for r in scene.proxy.records("settlement")]
    assert states == [("committed", "http-result"), ("released", "http-result")]
    sides = {r["side"] for r in scene.proxy.records("decision")}
    assert sides == {"mcp"}


@pytest.mark.parametrize("mode", ["json", "sse", "legacy"])
async def test_held_then_approved(mode: str, make_scene: MakeScene) -> None:
    """A held call runs when a human says yes; who asked for progress hears meanwhile."""
    scene = make_scene(mode)
    heard: list[str | None] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with scene.client() as client:
        async with asyncio.TaskGroup() as group:
            call = group.create_task(
                client.call_tool(
                    "refund_order",
                    {"order_id": "o1", "amount": 145},
                    progress_callback=on_progress,
                )
            )
            await asyncio.sleep(0.8)
            assert scene.server.ran == []
            await answered(scene, "approve")
        assert text_of(call.result()) == "refunded 145 for o1"
        again = await client.call_tool("look_up", {"order_id": "o1"})
        assert not again.is_error  # the connection lives on
    assert heard
    assert all(message is not None and "approval" in message for message in heard)


@pytest.mark.parametrize(
    ("mode", "progress"),
    [
        pytest.param("json", True, id="json-progress"),
        pytest.param("sse", False, id="sse-silent"),
        pytest.param("legacy", False, id="legacy-silent"),
    ],
)
async def test_held_then_denied(mode: str, progress: bool, make_scene: MakeScene) -> None:
    """A denied call never runs; the agent reads why."""
    scene = make_scene(mode)

    async def on_progress(progress: float, total: float | None, message: str | None) -> None: ...

    async with scene.client() as client:
        async with asyncio.TaskGroup() as group:
            call = group.create_task(
                client.call_tool(
                    "refund_order",
                    {"order_id": "o1", "amount": 145},
                    progress_callback=on_progress if progress else None,
                )
            )
            await answered(scene, "deny", reason="too much")
        assert call.result().is_error
        assert "too much" in text_of(call.result())
    assert scene.server.ran == []


@pytest.mark.parametrize(
    ("mode", "progress"),
    [
        pytest.param("json", False, id="json-silent"),
        pytest.param("sse", True, id="sse-progress"),
        pytest.param("stateless", False, id="stateless-silent"),
        pytest.param("legacy", True, id="legacy-progress"),
    ],
)
async def test_pending_then_once(mode: str, progress: bool, make_scene: MakeScene) -> None:
    """Past the wait the agent reads `pending`; approved later, the same call passes once."""
    scene = make_scene(mode, hold_wait="500ms")

    async def on_progress(progress: float, total: float | None, message: str | None) -> None: ...

    async def refund(client: Any) -> Any:
        return await client.call_tool(
            "refund_order",
            {"order_id": "o1", "amount": 145},
            progress_callback=on_progress if progress else None,
        )

    async with scene.client() as client:
        pending = await refund(client)
        assert pending.is_error
        assert "pending" in text_of(pending)
        await answered(scene, "approve")
        assert text_of(await refund(client)) == "refunded 145 for o1"
        third = await refund(client)
        assert third.is_error
    assert len(scene.server.ran) == 1


@pytest.mark.parametrize("mode", ["sse"])
async def test_changed_tools_are_told(mode: str, make_scene: MakeScene) -> None:
    """A description that changes behind the agent's back is a signal, once, also after a restart."""
    scene = make_scene(mode)
    async with scene.client() as client:
        await client.list_tools()
        await client.call_tool("rename", {})
    scene.proxy.stop()
    scene.proxy.start()
    async with scene.client() as client:
        await client.list_tools()
        await client.list_tools()
    (signal,) = scene.proxy.records("signal")
    assert (signal["on"], signal["event"], signal["tool"]) == (
        "tools-changed",
        "changed",
        "refund_order",
    )
    (change,) = signal["changes"]
    assert change["field"] == "description"
    assert change["before"] == "Pays money back."
    assert "evil.example" in change["after"]


ASKED_RULES = RULES.replace(
    "gates:",
    """  - {name: elicitation/create, effects: [{kind: user.ask, target: args.message}]}
  - {name: sampling/createMessage, effects: [{kind: model.ask}]}
gates:
  - {name: no-asking, when: 'effect.kind in ["user.ask", "model.ask"]', verdict: block, message: Not now.}""",
)


async def _elicited(context: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"sure": True})


async def _sampled(context: Any, params: Any) -> CreateMessageResult:
    return CreateMessageResult(
        role="assistant", content=TextContent(type="text", text="sampled"), model="m"
    )


@pytest.mark.parametrize("mode", ["sse", "legacy"])
@pytest.mark.parametrize("rules", [RULES, ASKED_RULES], ids=["allowed", "blocked"])
async def test_what_servers_ask(mode: str, rules: str, make_scene: MakeScene) -> None:
    """Sampling and elicitation are logged; a rule that names them keeps them from the client."""
    scene = make_scene(mode, rules=rules)
    is_blocked = rules is ASKED_RULES
    async with scene.client(elicitation_callback=_elicited, sampling_callback=_sampled) as client:
        asked = await asyncio.wait_for(client.call_tool("ask_user", {}), 20)
        assert text_of(asked) == ("decline" if is_blocked else "accept")
        said = await asyncio.wait_for(client.call_tool("ask_model", {}), 20)
        assert ("sampled" in text_of(said)) is not is_blocked
    seen = {r["call"]["name"]: r["verdict"] for r in scene.proxy.records("decision")}
    verdict = "block" if is_blocked else "allow"
    assert seen["elicitation/create"] == seen["sampling/createMessage"] == verdict


@pytest.mark.parametrize("mode", ["json", "sse"])
async def test_modern_revision(mode: str, make_scene: MakeScene) -> None:
    """2026-07-28: no handshake, no session, routing headers; calls run, are blocked and are held."""
    scene = make_scene(mode)
    heard: list[str | None] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with scene.client(mode="2026-07-28") as client:
        done = await client.call_tool("refund_order", {"order_id": "o1", "amount": 40})
        assert text_of(done) == "refunded 40 for o1"
        no = await client.call_tool("forbidden", {"order_id": "o1"})
        assert no.is_error
        await client.read_resource("notes://one")
        async with asyncio.TaskGroup() as group:
            call = group.create_task(
                client.call_tool(
                    "refund_order",
                    {"order_id": "o1", "amount": 90},
                    progress_callback=on_progress,
                )
            )
            await asyncio.sleep(0.8)
            await answered(scene, "approve")
        assert text_of(call.result()) == "refunded 90 for o1"
    assert heard
    assert "resources/read" in {r["call"]["name"] for r in scene.proxy.records("decision")}
    assert len(scene.server.ran) == 2
