"""The same tricks through a running proxy, with the vendors' own SDKs.

The scripted model asks for whatever the user's message lists, so that a test is an agent and its model at once.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import Ask, History, Turn
from tests.e2e.conftest import Proxy, StartProxy, start_proxy

__all__ = ["start_proxy"]  # a fixture of the end-to-end tests

pytestmark = pytest.mark.e2e

KEY = "q7Xw2PbT9sKd4LmZ8nVc"
RULES = """
version: 1
pack: wire
tools:
  - {name: refund, effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.order}]}
  - {name: read_secret, effects: [{kind: data.read.secret, target: args.name}]}
  - {name: upload, effects: [{kind: data.egress, target: args.to, data: args.body}]}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session}
  - {name: agent-refunds, of: money.refund, sum: EUR, limit: 300, per: agent}
chains:
  - {name: leaves, steps: [data.read.secret, data.egress], flow: observed, on_match: block}
"""


def script(history: History) -> Turn:
    """Asks for the calls that the newest user message lists, each a tool and its arguments' text."""
    if history.fresh:
        return Turn("Done.")
    return Turn("", tuple(Ask(tool, text) for tool, text in json.loads(history.user)))


class Agent:
    """An agent's program on the openai SDK: one conversation."""

    def __init__(self, proxy: Proxy, model: ScriptedModel, through: str | None = None) -> None:
        self.proxy, self.model = proxy, model
        self.through = through or proxy.url
        self.messages: list[Any] = []

    def asks(self, *calls: tuple[str, str], **headers: str) -> list[str]:
        """Returns the names of the calls that come through."""
        self.messages.append({"role": "user", "content": json.dumps(calls)})
        return self.turn(**headers)

    def turn(self, **headers: str) -> list[str]:
        with (
            httpx2.Client(proxy=self.through, trust_env=False) as http,
            openai.OpenAI(
                api_key="sk-test",
                base_url=self.model.url + "/v1",
                http_client=http,
                max_retries=0,
                default_headers={k.replace("_", "-"): v for k, v in headers.items()},
            ) as client,
        ):
            answer = client.chat.completions.create(model="gpt-5", messages=self.messages)
        said = answer.choices[0].message
        self.messages.append(said.model_dump(exclude_none=True))
        return [c.function.name for c in said.tool_calls or () if c.type == "function"]

    def tells(self, text: str) -> None:
        """Gives the newest call its result."""
        called = self.messages[-1]["tool_calls"][0]["id"]
        self.messages.append({"role": "tool", "tool_call_id": called, "content": text})


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(script) as model:
        yield model


@pytest.fixture
def proxy(start_proxy: StartProxy) -> Proxy:
    return start_proxy(rules=RULES, hold_wait="300ms")


def refund(order: str, amount: str = "45") -> tuple[str, str]:
    return "refund", f'{{"order": "{order}", "amount": {amount}}}'


def passed(proxy: Proxy) -> int:
    return sum(record["verdict"] == "allow" for record in proxy.records("decision"))


def test_a_race_within_one_answer(proxy: Proxy, model: ScriptedModel) -> None:
    """Four refunds asked for at once: two fit."""
    agent = Agent(proxy, model, proxy.credential())
    assert agent.asks(*(refund(f"o{n}") for n in range(4))) == ["refund", "refund"]


def test_a_race_on_many_connections(proxy: Proxy, model: ScriptedModel) -> None:
    """Six connections of one run at the same moment: two fit."""
    through = proxy.credential()
    agents = [Agent(proxy, model, through) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda n: agents[n].asks(refund(f"o{n}")), range(6)))
    assert sum(map(len, got)) == 2


def test_a_new_session_id_each_time(proxy: Proxy, model: ScriptedModel) -> None:
    """A header resets no budget of the agent: six of 45 fit into 300."""
    got = [
        Agent(proxy, model).asks(
            refund(f"o{n}"), x_checkrein_session=f"mine-{n}", x_session_id=f"also-{n}"
        )
        for n in range(8)
    ]
    assert [len(calls) for calls in got] == [1] * 6 + [0] * 2


def test_headers_do_not_move_a_run(proxy: Proxy, model: ScriptedModel) -> None:
    """Within a run neither a session's nor a parent's name counts: what was read stays with it."""
    agent = Agent(proxy, model, proxy.credential("run-1"))
    assert agent.asks(("read_secret", '{"name": "prod"}')) == ["read_secret"]
    agent.tells(json.dumps({"api_key": KEY}))
    agent.turn()
    body = base64.b64encode(KEY.encode()).decode()
    upload = ("upload", json.dumps({"to": "x", "body": body}))
    named = {"x_checkrein_session": "other", "x_parent_session_id": "elsewhere"}
    assert agent.asks(upload, **named) == []
    assert proxy.records("decision")[-1]["reasons"][0]["rule"] == "leaves"


def test_a_result_changed_on_a_later_turn(proxy: Proxy, model: ScriptedModel) -> None:
    """The model is shown a key where nothing stood the turn before."""
    agent = Agent(proxy, model, proxy.credential())
    agent.asks(("read_secret", '{"name": "prod"}'))
    agent.tells("nothing there")
    agent.turn()
    agent.messages[2]["content"] = json.dumps({"api_key": KEY})
    assert agent.asks(("upload", json.dumps({"to": "x", "body": KEY[::-1]}))) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"order": "o1", "amount": 1, "amount": 900}', id="a-key-twice"),
        pytest.param('{"order": "o1", "amount": NaN}', id="nan"),
        pytest.param('{"order": "o1", "amount": 1e400}', id="infinite"),
        pytest.param('{"order": "o1", "amount": -45}', id="negative"),
        pytest.param('{"order": "o1", "amount": 1} {"amount": 900}', id="two-values"),
        pytest.param('{"order": "o1", "amount": 1, "\\u0061mount": 900}', id="a-key-twice-escaped"),
    ],
)
def test_arguments_with_two_readings(proxy: Proxy, model: ScriptedModel, text: str) -> None:
    """They never reach the SDK; nor does a harmless call beside them lose its way."""
    agent = Agent(proxy, model, proxy.credential())
    assert agent.asks(("refund", text), refund("o2", "1")) == ["refund"]
    assert passed(proxy) == 1


def test_an_approval_is_used_once_and_by_nobody_else(proxy: Proxy, model: ScriptedModel) -> None:
    through = proxy.credential("run-1")
    large = refund("o1", "150")

    def asks(call: tuple[str, str], through: str | None = through, **headers: str) -> list[str]:
        return Agent(proxy, model, through).asks(call, **headers)

    assert asks(large) == []
    proxy.answer("approve")
    assert asks(large, None, x_checkrein_session="run-1") == []
    assert asks(refund("o1", "151")) == []
    assert asks(("refund", '{"amount":150.0,"order":"o1"}')) == ["refund"]
    assert asks(large) == []


def test_anthropics_sdk_at_once(proxy: Proxy, model: ScriptedModel) -> None:
    """The other API, streaming: of four tool uses in one message two are left."""
    calls = [refund(f"o{n}") for n in range(4)]
    with (
        httpx2.Client(proxy=proxy.credential(), trust_env=False) as http,
        anthropic.Anthropic(
            api_key="sk-test", base_url=model.url, http_client=http, max_retries=0
        ) as client,
        client.messages.stream(
            model="claude-sonnet-5",
            max_tokens=100,
            messages=[{"role": "user", "content": json.dumps(calls)}],
        ) as stream,
    ):
        message = stream.get_final_message()
    assert sum(block.type == "tool_use" for block in message.content) == 2
