"""Grants through a running proxy: an SDK agent that is held, an approver at the command line, and a restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from tests.e2e.conftest import Proxy

pytestmark = pytest.mark.e2e

RULES = """
version: 1
pack: grants
tools:
  - name: refund
    effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.id}]
gates:
  - {name: vip, when: 'effect.kind == "money.refund" && effect.target.startsWith("VIP")'}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, window: 24h}
"""


def script(history: History) -> Turn:
    """`TARGET AMOUNT` asks for a refund."""
    if history.fresh:
        return Turn("Noted.")
    target, amount = history.user.split()
    return Turn("Let me see.", (ask("refund", id=target, amount=int(amount)),))


@dataclass
class Agent:
    """An agent over Chat Completions."""

    client: openai.OpenAI
    messages: list[Any] = field(default_factory=list)

    def refund(self, target: str, amount: int) -> bool:
        """Asks for one refund; returns whether the call came through."""
        self.messages.append({"role": "user", "content": f"{target} {amount}"})
        tool: Any = {
            "type": "function",
            "function": {"name": "refund", "parameters": {"type": "object"}},
        }
        answer = self.client.chat.completions.create(
            model="gpt-5-mini", messages=self.messages, tools=[tool]
        )
        message = answer.choices[0].message
        self.messages.append(message)
        for call in message.tool_calls or ():
            told = {"role": "tool", "tool_call_id": call.id, "content": "Done."}
            self.messages.append(told)
        return bool(message.tool_calls)


@dataclass(frozen=True)
class Scene:
    proxy: Proxy
    agent: Agent

    def operator(self, *arguments: str) -> str:
        """Types a command; returns what it prints."""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        done = subprocess.run(
            [sys.executable, "-m", "proxy", *arguments, "--admin", str(self.proxy.admin)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout + done.stderr

    def held(self, target: str, amount: int, *answer: str) -> tuple[bool, str]:
        """A refund that waits while the approver answers; returns whether it came through, and what they read."""
        came: list[bool] = []
        waiting = threading.Thread(target=lambda: came.append(self.agent.refund(target, amount)))
        waiting.start()
        hold = self.proxy.wait_for_hold()
        said = self.operator("holds", "approve", hold["id"], *answer)
        waiting.join(60)
        return came[0], said


@pytest.fixture
def scene(start_proxy: Any) -> Iterator[Scene]:
    with ScriptedModel(script) as model:
        proxy: Proxy = start_proxy("--upstream", model.url, rules=RULES, hold_wait="20s")
        with openai.OpenAI(
            api_key="sk-none",
            max_retries=0,
            base_url=f"{proxy.url}/v1",
            default_headers={"X-Checkrein-Session": "s"},
            http_client=openai.DefaultHttpxClient(trust_env=False, timeout=60),
        ) as client:
            yield Scene(proxy, Agent(client))


def test_calls_like_a_held_one(scene: Scene) -> None:
    """The held call passes on its open connection, the next alike at once, and none when it is taken back."""
    came, said = scene.held("VIP-1", 10, "--like", "--up-to", "20 EUR", "--for", "2h")
    assert came
    assert "refund on VIP-1 up to 20 EUR for session:s until 20" in said
    assert scene.agent.refund("VIP-1", 20)
    listed = json.loads(scene.operator("grants", "list", "--json"))
    assert (listed["state"], listed["uses"]) == ("in-force", 1)
    assert "revoked by" in scene.operator("grants", "revoke", listed["id"][:13])
    assert scene.operator("grants", "list") == "Nothing is granted.\n"
    came, _ = scene.held("VIP-1", 15)
    assert came
    assert [r["event"] for r in scene.proxy.records("grant")] == ["granted", "used", "revoked"]


def test_a_top_up_outlives_a_restart(scene: Scene) -> None:
    assert scene.agent.refund("A", 90)
    came, said = scene.held("B", 20, "--top-up", "refunds +100 EUR for 30m")
    assert came
    assert "refunds +100 EUR for session:s until 20" in said
    scene.proxy.kill()
    scene.proxy.start()
    assert scene.agent.refund("C", 80)
    came, _ = scene.held("D", 30)  # 220 of 200
    assert came
    decided = [(r["verdict"], len(r["grants"])) for r in scene.proxy.records("decision")]
    assert decided == [("allow", 0), ("hold", 0), ("allow", 1), ("hold", 0)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--top-up", "refunds 500"), "write 'BUDGET +500 EUR until 17:00'"),
        (("--top-up", "refunds +500 EUR until 25:00"), "there is no 25:00"),
        (("--top-up", "other +500 EUR"), "the budget 'other' does not hold it"),
        (("--like", "--session"), "do not go together"),
        (("--up-to", "5"), "go with --like"),
        (("--like", "--up-to", "much"), "is no amount"),
        (("--for", "2h"), "is how long a grant lasts"),
        (("--session", "--for", "30d"), "a grant ends within 7 days"),
    ],
)
def test_what_is_not_understood_answers_nothing(
    scene: Scene, arguments: tuple[str, ...], message: str
) -> None:
    waiting = threading.Thread(target=lambda: scene.agent.refund("VIP-1", 10))
    waiting.start()
    hold = scene.proxy.wait_for_hold()
    assert message in scene.operator("holds", "approve", hold["id"], *arguments)
    assert scene.proxy.wait_for_hold()["id"] == hold["id"]
    scene.operator("holds", "deny", hold["id"])
    waiting.join(60)
