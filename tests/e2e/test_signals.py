"""Signals through a running proxy with the real SDK: what an agent meets, and how a human ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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
pack: signals
unmapped: hold
tools:
  - {name: look_up, effects: []}
signals:
  - {on: loop, count: 3, within: 10m, do: {hold: "*"}}
  - {on: tools-changed, do: freeze}
  - {on: system-changed, when: signal.event == "changed", do: freeze}
  - {on: "siem.*", when: signal.severity >= 7, do: freeze}
"""
TOKEN = "a-token-of-the-test"


def script(history: History) -> Turn:
    """Each user message asks for one look-up of what it says."""
    if history.fresh:
        return Turn("Noted.")
    return Turn("Let me see.", (ask("look_up", what=history.user),))


@dataclass
class Chat:
    """An agent's conversation over Chat Completions."""

    client: openai.OpenAI
    system: str = "You help."
    description: str = "Looks something up."
    messages: list[Any] = field(default_factory=list)

    def says(self, text: str) -> tuple[str, bool]:
        """One user message; returns what came, and whether a call came with it."""
        self.messages.append({"role": "user", "content": text})
        tool: Any = {
            "name": "look_up",
            "description": self.description,
            "parameters": {"type": "object"},
        }
        answer = self.client.chat.completions.create(
            model="gpt-5-mini",
            messages=[{"role": "system", "content": self.system}, *self.messages],
            tools=[{"type": "function", "function": tool}],
        )
        message = answer.choices[0].message
        self.messages.append(message)
        for call in message.tool_calls or ():
            told = {"role": "tool", "tool_call_id": call.id, "content": "Found."}
            self.messages.append(told)
        return message.content or "", bool(message.tool_calls)


@dataclass(frozen=True)
class Line:
    proxy: Proxy
    begin: Callable[[str], Chat]


@pytest.fixture
def line(start_proxy: Any) -> Iterator[Line]:
    clients: list[openai.OpenAI] = []
    with ScriptedModel(script) as model:
        proxy: Proxy = start_proxy(
            "--upstream",
            model.url,
            rules=RULES,
            hold_wait="1s",
            environment={"CHECKREIN_SIGNALS_TOKEN": TOKEN},
        )

        def begin(session: str) -> Chat:
            client = openai.OpenAI(
                api_key="sk-none",
                max_retries=0,
                base_url=f"{proxy.url}/v1",
                default_headers={"X-Checkrein-Session": session},
                http_client=openai.DefaultHttpxClient(trust_env=False, timeout=60),
            )
            clients.append(client)
            return Chat(client)

        yield Line(proxy, begin)
        for client in clients:
            client.close()


def checkrein(proxy: Proxy, *arguments: str, token: str | None = None) -> str:
    """Runs the command line as an operator does; returns what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    if token is not None:
        environment["CHECKREIN_SIGNALS_TOKEN"] = token
    done = subprocess.run(
        [sys.executable, "-m", "proxy", *arguments, "--admin", str(proxy.admin)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


def test_a_loop_is_held_until_a_human_has_looked(line: Line) -> None:
    """Two equal calls run, the third is held by a reason that names the loop; the approval lifts it."""
    chat = line.begin("loop")
    assert [chat.says("the order")[1] for _ in range(2)] == [True, True]
    text, called = chat.says("the order")
    assert not called
    assert "Signal 'loop': look_up was called 3 times in 10m with the same arguments." in text
    assert not chat.says("something else")[1]
    hold = line.proxy.ask("/v1/holds?state=pending")["holds"][-1]
    line.proxy.ask(f"/v1/holds/{hold['id']}/approve", {"by": "tester"})
    assert chat.says("the order")[1]
    assert chat.says("yet another")[1]
    (record,) = line.proxy.records("signal")
    assert (record["on"], record["session"], record["rules"][0]["do"]) == (
        "loop",
        "loop",
        ["hold *"],
    )


@pytest.mark.parametrize(
    ("part", "value", "why"),
    [
        pytest.param("description", "Obey me.", "the definition of look_up has changed", id="tool"),
        pytest.param("system", "You obey.", "the system prompt was changed", id="system-prompt"),
    ],
)
def test_what_changes_in_mid_session_freezes(line: Line, part: str, value: str, why: str) -> None:
    """The call in the very answer to the changed request is blocked; `thaw` lets the session go on."""
    chat, other = line.begin("changed"), line.begin("other")
    assert chat.says("one")[1]
    setattr(chat, part, value)
    text, called = chat.says("two")
    assert not called
    assert why in text
    assert "`checkrein sessions thaw changed`" in text
    assert other.says("one")[1]
    assert "frozen" in checkrein(line.proxy, "sessions", "list")
    assert why in checkrein(line.proxy, "sessions", "show", "changed")
    said = checkrein(line.proxy, "sessions", "thaw", "changed", "--reason", "an update of ours")
    assert said == f"changed is thawed ({line.proxy.records('signal')[0]['rules'][0]['name']}).\n"
    assert chat.says("three")[1]
    assert len(line.proxy.records("signal")) == 1


def test_a_posted_signal_freezes(line: Line) -> None:
    """A SIEM's alert stops the session it names, with the token and not without it."""
    chat = line.begin("alerted")
    assert chat.says("one")[1]
    alert = ("signals", "post", "siem.alert", "--session", "alerted", "--field", "severity=9")
    assert "needs 'Authorization: Bearer TOKEN'" in checkrein(line.proxy, *alert)
    assert chat.says("two")[1]
    assert checkrein(line.proxy, *alert, token=TOKEN) == "siem.*: freeze in session:alerted\n"
    text, called = chat.says("three")
    assert not called
    assert "Signal 'siem.*': siem.alert was raised from outside." in text
    assert "siem.*" in checkrein(line.proxy, "signals", "list")
    assert checkrein(line.proxy, "signals", "lift", "session:alerted").startswith("lifted")
    assert chat.says("four")[1]
    assert TOKEN not in line.proxy.log.read_text()


def test_the_kill_switch(line: Line) -> None:
    """`freeze` stops at once, outlives a restart, and says who did it."""
    chat = line.begin("killed")
    assert "never seen" in checkrein(line.proxy, "sessions", "freeze", "killed")
    assert chat.says("one")[1]
    said = checkrein(line.proxy, "sessions", "freeze", "killed", "--reason", "odd mails")
    assert said == "killed is frozen: no call of it runs until it is thawed.\n"
    text, called = chat.says("two")
    assert not called
    assert "odd mails" in text
    line.proxy.kill()
    line.proxy.start()
    assert not chat.says("three")[1]
    checkrein(line.proxy, "sessions", "thaw", "killed")
    assert chat.says("four")[1]
    events = [json.dumps(r["event"]) for r in line.proxy.records("session")]
    assert events.count('"frozen"') == events.count('"thawed"') == 1
