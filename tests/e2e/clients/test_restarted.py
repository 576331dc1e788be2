"""A proxy that is killed or stopped between two turns: what it refused and what was spent stay so.

All agents make their first turn, the proxy ends and starts again on the same state, then each goes
on with the history it has, on a new client.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anthropic
import openai
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from proxy.logtail import verify
from tests.e2e.clients.conftest import Agent, Api
from tests.e2e.conftest import RULES, Proxy, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("restarted")]  # one proxy serves them all


def script(history: History) -> Turn:
    """`block`, `park` and `spend N` ask for a call; anything else, and a result, is noted."""
    word, *rest = history.user.split()
    if history.fresh or word == "next":
        return Turn("Noted.", thinking="Nothing to do.")
    tool = "forbidden" if word == "block" else "refund_order"
    amount = int(rest[0]) if word == "spend" else 150
    return Turn("Let me see.", (ask(tool, order_id="A-1", amount=amount),), "The user wants this.")


@dataclass(frozen=True, slots=True)
class Way:
    """How one agent keeps its history and hears its answers."""

    name: str
    api: Api
    stream: bool
    server_state: Literal["previous", "conversation"] | None = None


WAYS = [
    Way("chat-stream", "chat", True),
    Way("chat-plain", "chat", False),
    Way("responses-stream", "responses", True),
    Way("responses-plain", "responses", False),
    Way("responses-previous", "responses", True, "previous"),
    Way("responses-conversation", "responses", False, "conversation"),
    Way("anthropic-stream", "anthropic", True),
    Way("anthropic-plain", "anthropic", False),
]
REFUSALS = {"block": "Nothing is deleted here.", "park": "pending"}


def client_for(api: Api, proxy: Proxy) -> Any:
    is_anthropic = api == "anthropic"
    vendor: Any = anthropic if is_anthropic else openai
    kind: Any = anthropic.AsyncAnthropic if is_anthropic else openai.AsyncOpenAI
    return kind(
        api_key="sk-none",
        max_retries=0,
        base_url=proxy.url + ("" if is_anthropic else "/v1"),
        http_client=vendor.DefaultAsyncHttpxClient(trust_env=False, timeout=60),
    )


@dataclass(frozen=True, slots=True)
class Scene:
    """The proxy after its restart, and the agents as they were before it."""

    proxy: Proxy
    model: ScriptedModel
    agents: dict[str, Agent]
    said: dict[str, tuple[str, list[tuple[str, str]]]]


@pytest.fixture(scope="module", params=["kill", "term"])
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("restarted")
    (folder / "rules.yaml").write_text(RULES)
    port = free_port()
    with ScriptedModel(script) as model:
        argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}"]
        argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
        argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "a.sock")]
        argv += ["--ca-dir", str(folder / "ca"), "--hold-wait", "300ms", "--keepalive", "100ms"]
        proxy = Proxy(folder, [*argv, "--no-inbox", "--upstream", model.url], port).start()
        agents, said = asyncio.run(_first_turns(proxy))
        if request.param == "kill":
            proxy.kill()
        else:
            assert proxy.stop() == 0
        yield Scene(proxy.start(), model, agents, said)
        proxy.stop()


async def _first_turns(proxy: Proxy) -> tuple[dict[str, Agent], dict[str, Any]]:
    agents: dict[str, Agent] = {}
    said: dict[str, Any] = {}

    async def first(way: Way, word: str) -> None:
        name = f"{way.name}-{word.split()[0]}"
        async with client_for(way.api, proxy) as client:
            agents[name] = Agent(way.api, client, name, way.stream, way.server_state)
            said[name] = await agents[name].say(word)

    async with asyncio.TaskGroup() as group:
        for way in WAYS:
            for word in (*REFUSALS, "spend 90"):
                group.create_task(first(way, word))
    return agents, said


@pytest.mark.parametrize("word", REFUSALS)
@pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
async def test_a_refusal_outlives_the_process(scene: Scene, way: Way, word: str) -> None:
    """The turn after the restart, and the one after it, are valid and tell of the refusal."""
    name = f"{way.name}-{word}"
    agent, (text, calls) = scene.agents[name], scene.said[name]
    assert not calls
    assert REFUSALS[word] in text
    scene.model.rejected.clear()  # another test's
    async with client_for(way.api, scene.proxy) as agent.client:
        for _ in range(2):
            assert (await agent.say("next"))[0] == "Noted."
            assert [one.message for one in scene.model.rejected] == []
            seen = scene.model.requests[-1]
            assert seen.history.user == f"next {name}"
            failed = [one for one in seen.history.results if "did not run" in one]
            assert len(failed) == 1
            assert REFUSALS[word] in failed[0]


@pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
async def test_what_was_spent_stays_spent(scene: Scene, way: Way) -> None:
    """90 of 100 EUR were let through before the restart: 10 more pass after it, 11 are held."""
    name = f"{way.name}-spend"
    agent, (_, calls) = scene.agents[name], scene.said[name]
    assert [tool for _, tool in calls] == ["refund_order"]
    async with client_for(way.api, scene.proxy) as agent.client:
        await agent.give(calls[0][0], "Refunded.")
        text, calls = await agent.say("spend 11")
        assert not calls
        assert "Budget 'refunds' would reach 101 of 100 EUR (90 used)." in text
        _, calls = await agent.say("spend 10")
        assert [tool for _, tool in calls] == ["refund_order"]


def test_holds_stay_and_the_log_holds_together(scene: Scene) -> None:
    """Every call parked before the restart is still pending after it, and the log verifies."""
    pending = scene.proxy.ask("/v1/holds?state=pending")["holds"]
    parked = {h["session"] for h in pending if h["session"].endswith("-park")}
    assert parked == {f"{way.name}-park" for way in WAYS}
    assert verify([scene.proxy.log]).ok
    assert "Traceback" not in scene.proxy.stderr
