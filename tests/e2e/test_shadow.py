"""Shadow through a running proxy with the real SDK: the agent meets what is enforced, the log has both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from proxy.logtail import verify

pytestmark = pytest.mark.e2e

RULES = """
version: 1
pack: desk
tools:
  - {name: refund, effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.order}]}
gates:
  - {name: large, when: effect.amount > 500.0, verdict: block, message: Too large for an agent.}
budgets:
  - {name: tried, mode: shadow, of: money.refund, sum: EUR, limit: 100, per: session}
"""
NEW_PACK = """
version: 1
pack: new
mode: shadow
tools:
  - {name: lookup, effects: [{kind: order.read}]}
gates:
  - {name: nothing-goes, when: 'true', verdict: block, message: Nothing goes.}
unmapped: block
"""


def script(history: History) -> Turn:
    """Asks for a refund of as much as the user says."""
    if history.fresh:
        return Turn("Done.")
    return Turn("Let me see.", (ask("refund", order="A-1", amount=int(history.user)),))


def chat(url: str, session: str, amount: int) -> tuple[str, bool]:
    with openai.OpenAI(
        api_key="sk-none",
        max_retries=0,
        base_url=f"{url}/v1",
        default_headers={"X-Checkrein-Session": session},
        http_client=openai.DefaultHttpxClient(trust_env=False, timeout=60),
    ) as client:
        tool: Any = {"name": "refund", "parameters": {"type": "object"}}
        answer = client.chat.completions.create(
            model="gpt-5-mini",
            messages=[{"role": "user", "content": str(amount)}],
            tools=[{"type": "function", "function": tool}],
        )
    message = answer.choices[0].message
    return message.content or "", bool(message.tool_calls)


def claude(url: str, session: str, amount: int) -> tuple[str, bool]:
    with (
        anthropic.Anthropic(
            api_key="sk-none",
            max_retries=0,
            base_url=url,
            default_headers={"X-Checkrein-Session": session},
            http_client=anthropic.DefaultHttpxClient(trust_env=False, timeout=60),
        ) as client,
        client.messages.stream(
            model="claude-sonnet-4-6",
            max_tokens=100,
            messages=[{"role": "user", "content": str(amount)}],
            tools=[{"name": "refund", "input_schema": {"type": "object"}}],
        ) as stream,
    ):
        message = stream.get_final_message()
    said = "".join(block.text for block in message.content if block.type == "text")
    return said, any(block.type == "tool_use" for block in message.content)


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "proxy", *arguments],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize("api", [chat, claude], ids=["openai", "anthropic-stream"])
def test_an_agent_cannot_tell_and_the_operator_can(
    start_proxy: Any, tmp_path: Path, api: Any
) -> None:
    """A budget in shadow and a whole pack in shadow beside rules in force: calls pass or are refused as
    without them; the log, `tail` and `rules report` say what would have been.
    """
    new = tmp_path / "new.yaml"
    new.write_text(NEW_PACK)
    with ScriptedModel(script) as model:
        proxy = start_proxy("--upstream", model.url, "--rules", str(new), rules=RULES)
        assert [api(proxy.url, "s1", 60) for _ in range(2)] == [("Let me see.", True)] * 2
        refused, called = api(proxy.url, "s1", 600)
    assert (called, "Too large for an agent." in refused) == (False, True)
    for word in ("tried", "nothing-goes", "Nothing goes", "shadow", "of 100"):
        assert word not in refused
    decisions = proxy.records("decision")
    assert [(r["verdict"], r["would"]) for r in decisions] == [
        ("allow", "block"), ("allow", "block"), ("block", None),
    ]  # fmt: skip
    assert verify([proxy.log]).ok
    rules = map(json.loads, run("rules", "report", str(proxy.log), "--json").splitlines())
    assert {r["id"]: (r["held"], r["blocked"], r["alone"]) for r in rules} == {
        "nothing-goes": (0, 2, 1),
        "tried": (1, 0, 0),
    }
    tail = run("tail", "--log", str(proxy.log), "--no-follow")
    assert "would block" in tail
    assert "(shadow) tried: Budget 'tried' would reach 120 of 100 EUR (60 used)." in tail
