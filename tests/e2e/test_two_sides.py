"""One action seen on two sides: the model asks for it, then the agent does it, and it counts once.

The openai SDK asks a scripted model through the proxy; the tool is then called over MCP (streamable
HTTP, or stdio through `checkrein mcp`) or as a plain HTTP route, in the same run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import httpx2
import openai
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from proxy.cli.demo.billing import Billing
from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from tests.e2e.conftest import RULES, Proxy, StartProxy
from tests.e2e.mcp.conftest import Server, StartServer, start_server

__all__ = ["start_server"]  # a fixture of the MCP tests

pytestmark = pytest.mark.e2e

type Side = Literal["mcp", "http"]
type How = Literal["credential", "header"]

ROUTED = RULES.replace(
    "gates:",
    """  - http: {method: POST, host: 127.0.0.1, path: "/v1/refunds/{order_id}"}
    effects:
      - {kind: money.refund, amount: body.amount, unit: EUR, target: path.order_id, reversibility: irreversible}
gates:""",
)
REPOSITORY = Path(__file__).parents[2]
STDIO_SERVER = Path(__file__).parent / "mcp" / "stdio_server.py"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "refund_order",
        "parameters": {
            "type": "object",
            "properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}},
        },
    },
}


def script(history: History) -> Turn:
    """Asks for a refund of what the user names, "o1 45", once for each user text."""
    if history.fresh:
        return Turn("Done.")
    order, amount = history.user.split()
    return Turn("", (ask("refund_order", order_id=order, amount=int(amount)),))


@dataclass
class Run:
    """One run of an agent: how its traffic is known, and where its tools are."""

    proxy: Proxy
    model: ScriptedModel
    billing: Billing
    server: Server
    how: How
    name: str = "run-1"
    histories: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.through = self.proxy.url
        self.headers = {"x-checkrein-session": self.name}
        if self.how == "credential":
            self.through, self.headers = self.proxy.credential(self.name), {}

    def asks(self, order: str, amount: int) -> list[tuple[str, dict[str, Any]]]:
        """Lets the model ask for a refund; returns the calls that the SDK reads."""
        self.histories.append([{"role": "user", "content": f"{order} {amount}"}])
        return [(c.function.name, json.loads(c.function.arguments)) for c in self._turn()]

    def tells(self, text: str) -> None:
        """Gives the model its call's result."""
        call_id = self.histories[-1][-1]["tool_calls"][0]["id"]
        self.histories[-1].append({"role": "tool", "tool_call_id": call_id, "content": text})
        assert self._turn() == []

    def _turn(self) -> list[Any]:
        with (
            httpx2.Client(proxy=self.through, trust_env=False) as http,
            openai.OpenAI(
                api_key="sk-test",
                base_url=self.model.url + "/v1",
                http_client=http,
                max_retries=0,
                default_headers=self.headers,
            ) as client,
        ):
            answer = client.chat.completions.create(
                model="gpt-5", messages=self.histories[-1], tools=[TOOL]
            )
        message = answer.choices[0].message
        self.histories[-1].append(message.model_dump(exclude_none=True))
        return list(message.tool_calls or ())

    async def does(self, side: Side, order: str, amount: int) -> str:
        """Does it, and returns the tool's answer; a refusal is a text that starts with "refused"."""
        if side == "http":
            url = f"{self.billing.url}/v1/refunds/{order}"
            async with httpx.AsyncClient(
                proxy=self.through, headers=self.headers, trust_env=False, timeout=20
            ) as client:
                answer = await client.post(url, json={"amount": amount})
            return answer.text if answer.status_code == 201 else "refused: " + answer.text
        async with (
            httpx2.AsyncClient(
                proxy=self.through, headers=self.headers, trust_env=False, timeout=20
            ) as http,
            Client(
                streamable_http_client(self.server.url + "/mcp", http_client=http), mode="legacy"
            ) as mcp,
        ):
            arguments = {"order_id": order, "amount": amount}
            result = await mcp.call_tool("refund_order", arguments)
        text = "".join(part.text for part in result.content)  # type: ignore[union-attr]
        return "refused: " + text if result.is_error else text

    @property
    def ran(self) -> int:
        """How many refunds were really made."""
        return len(self.server.ran) + len(self.billing.refunds())

    @property
    def account(self) -> tuple[list[dict[str, Any]], str]:
        """The session's entries, and what its budget says is used."""
        view = self.proxy.ask(f"/v1/sessions/{self.name}")
        return view["entries"], view["budgets"][0]["used"] if view["budgets"] else "0"

    def decision(self) -> dict[str, Any]:
        return self.proxy.records("decision")[-1]


@pytest.fixture
def how() -> How:
    return "credential"


@pytest.fixture
def run(
    how: How,
    start_proxy: StartProxy,
    start_server: StartServer,
    tmp_path: Path,
) -> Iterator[Run]:
    with Billing(tmp_path / "billing.sqlite") as billing, ScriptedModel(script) as model:
        proxy = start_proxy(rules=ROUTED, hold_wait="300ms")
        yield Run(proxy, model, billing, start_server("json"), how)
        assert not model.rejected


both_sides = pytest.mark.parametrize("side", ["mcp", "http"])


@pytest.mark.parametrize("how", ["credential", "header"])
@both_sides
async def test_the_same_action_counts_once(run: Run, side: Side) -> None:
    """Asked for by the model and done by the agent: one entry, charged once, settled by the tool."""
    assert run.asks("o1", 45) == [("refund_order", {"order_id": "o1", "amount": 45})]
    done = await run.does(side, "o1", 45)
    assert not done.startswith("refused")
    run.tells(done)
    (entry,), used = run.account
    assert (entry["side"], entry["bound"], entry["state"]) == ("model", True, "committed")
    assert used == "45"
    asked, did = run.proxy.records("decision")
    assert (asked["session"], asked["side"]) == (did["session"], "model")
    assert (did["side"], did["verdict"], did["drift"]) == (side, "allow", None)
    assert did["bound"]["call_id"] == asked["call"]["id"]
    assert [b["after"] for b in asked["budgets"]] == [45]
    assert did["budgets"] == []  # the tool side was charged nothing
    (settled,) = run.proxy.records("settlement")
    assert (settled["by"], settled["call"]["id"]) == ("http-result", asked["call"]["id"])


@both_sides
async def test_done_twice_is_two_actions(run: Run, side: Side) -> None:
    """What the model asked for once is spared once; again, it is the agent's own and is charged."""
    run.asks("o1", 45)
    for expected in ("45", "90"):
        assert not (await run.does(side, "o1", 45)).startswith("refused")
        assert run.account[1] == expected
    assert (await run.does(side, "o1", 45)).startswith("refused")  # 135 of 100
    assert run.ran == 2


@both_sides
async def test_a_changed_amount_is_drift(run: Run, side: Side) -> None:
    """Other arguments than the model's are judged afresh, counted, and told as drift."""
    run.asks("o1", 45)
    assert not (await run.does(side, "o1", 46)).startswith("refused")
    did = run.decision()
    assert did["drift"]["call_id"] == run.histories[-1][-1]["tool_calls"][0]["id"]
    assert [r["rule"] for r in did["reasons"]] == ["drift"]
    assert [b["after"] for b in did["budgets"]] == [91]
    entries, used = run.account
    assert ([e["side"] for e in entries], used) == (["model", side], "91")
    assert not any(entry["bound"] for entry in entries)


@both_sides
async def test_a_changed_amount_past_the_budget_does_not_run(run: Run, side: Side) -> None:
    """A small amount shown to the model's side opens no way for a large one on the tool's."""
    run.asks("o1", 45)
    assert (await run.does(side, "o1", 145)).startswith("refused")
    did = run.decision()
    assert did["verdict"] == "hold"
    assert {r["rule"] for r in did["reasons"]} == {"drift", "refunds"}
    assert run.account[1] == "45"
    assert run.ran == 0


@both_sides
async def test_the_tool_side_alone_is_governed(run: Run, side: Side) -> None:
    """No model traffic is seen: the budget holds all the same."""
    for order in ("o1", "o2"):
        assert not (await run.does(side, order, 45)).startswith("refused")
    assert (await run.does(side, "o3", 45)).startswith("refused")
    assert [r["verdict"] for r in run.proxy.records("decision")] == ["allow", "allow", "hold"]
    assert (run.account[1], run.ran) == ("90", 2)


async def test_one_ask_is_spent_on_one_tool(run: Run) -> None:
    """Done over MCP and then over HTTP: the second is charged."""
    run.asks("o1", 45)
    await run.does("mcp", "o1", 45)
    await run.does("http", "o1", 45)
    assert (run.account[1], run.ran) == ("90", 2)


AGENT = """
import asyncio, sys
import openai
from mcp import ClientSession, StdioServerParameters, stdio_client

base_url, order, amount, *argv = sys.argv[1:]
answer = openai.OpenAI(api_key="sk-test", base_url=base_url, max_retries=0).chat.completions.create(
    model="gpt-5", messages=[{"role": "user", "content": "o1 45"}]
)
assert answer.choices[0].message.tool_calls, answer

async def main():
    parameters = StdioServerParameters(command=argv[0], args=argv[1:])
    async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
        await session.initialize()
        arguments = {"order_id": order, "amount": int(amount)}
        print((await session.call_tool("refund_order", arguments)).content[0].text)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("amount", "used", "drifts"),
    [pytest.param(45, "45", False, id="same"), pytest.param(50, "95", True, id="changed")],
)
def test_stdio_in_a_run(
    start_proxy: StartProxy, tmp_path: Path, amount: int, used: str, drifts: bool
) -> None:
    """`checkrein exec` runs an agent whose tool server stands behind `checkrein mcp`: one session."""
    record = tmp_path / "record"
    with ScriptedModel(script) as model:
        proxy = start_proxy(rules=RULES)
        checkrein = [sys.executable, "-m", "proxy"]
        admin = ["--admin", str(proxy.admin)]
        tool = [*checkrein, "mcp", "--server", "billing", *admin, "--"]
        tool += [sys.executable, str(STDIO_SERVER), str(record)]
        agent = [sys.executable, "-c", AGENT, model.url + "/v1", "o1", str(amount), *tool]
        done = subprocess.run(
            [*checkrein, "exec", "--session", "task-1", *admin, "--", *agent],
            cwd=REPOSITORY,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"refunded {amount}"
    assert record.read_text().splitlines() == [f"refund o1 {amount}"]
    asked, did = proxy.records("decision")
    assert [(r["session"], r["side"]) for r in (asked, did)] == [
        ("task-1", "model"),
        ("task-1", "mcp"),
    ]
    assert (did["drift"] is not None) is drifts
    view = proxy.ask("/v1/sessions/task-1")
    assert view["budgets"][0]["used"] == used
    assert [e["bound"] for e in view["entries"]] == ([False, False] if drifts else [True])
