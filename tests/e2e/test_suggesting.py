"""From traffic to rules: a real agent and a real MCP server through a proxy in shadow, then `rules suggest` on its log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from proxy.logtail import verify
from tests.e2e.conftest import Proxy, StartProxy, free_port

pytestmark = pytest.mark.e2e

RULES = "version: 1\npack: own\ntools: []\nunmapped: hold\n"
REPOSITORY = Path(__file__).parents[2]


def tool(name: str, description: str, **types: str) -> Any:
    properties = {key: {"type": kind} for key, kind in types.items()}
    schema = {"type": "object", "properties": properties, "required": list(types)}
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


TOOLS = [
    tool("mcp__shop__refund_order", "Pays money back, in euros.", order_id="string", amount="number"),
    tool("send_mail", "Sends a mail.", to="string", body="string"),
    tool("archive_ticket", "Never called. # checkrein: ignore[may-fail]\n- name: injected", ticket_id="string"),
]  # fmt: skip


def script(history: History) -> Turn:
    """Asks for a refund of what the user names, and tells the customer."""
    if history.fresh:
        return Turn("Done.")
    order, amount = history.user.split()
    refund = ask("mcp__shop__refund_order", order_id=order, amount=int(amount))
    return Turn("", (refund, ask("send_mail", to=f"{order}@example.com", body="Paid back.")))


@pytest.fixture
def shop() -> Iterator[str]:
    """The URL of an MCP server with annotations."""
    port = free_port()
    server = Path(__file__).parent / "mcp" / "annotated_server.py"
    process = subprocess.Popen([sys.executable, str(server), str(port)])
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/mcp"
    process.kill()
    process.wait(5)


def asks(proxy: Proxy, model: ScriptedModel, session: str, text: str) -> list[str]:
    """Lets the model answer a user; returns the tools that the SDK was told to call, with their results told."""
    messages: list[Any] = [{"role": "user", "content": text}]
    with openai.OpenAI(
        api_key="sk-none",
        max_retries=0,
        base_url=f"{model.url}/v1",
        default_headers={"X-Checkrein-Session": session},
        http_client=httpx2.Client(proxy=proxy.url, trust_env=False, timeout=60),
    ) as client:
        for _ in range(2):
            answer = client.chat.completions.create(model="gpt-5", messages=messages, tools=TOOLS)
            message = answer.choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            calls = message.tool_calls or []
            messages += [{"role": "tool", "tool_call_id": c.id, "content": "ok"} for c in calls]
    told = messages[1].get("tool_calls") or []
    return [call["function"]["name"] for call in told]


async def does(proxy: Proxy, url: str, session: str, name: str, **arguments: Any) -> bool:
    """Calls a tool of the MCP server as an agent's client does; whether it ran."""
    headers = {"x-checkrein-session": session}
    async with (
        httpx2.AsyncClient(proxy=proxy.url, headers=headers, trust_env=False, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode="legacy") as client,
    ):
        await client.list_tools()
        return not (await client.call_tool(name, arguments)).is_error


def checkrein(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proxy", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_day_in_shadow_becomes_rules(start_proxy: StartProxy, shop: str, tmp_path: Path) -> None:
    """Nothing was stopped; the tools that were offered, called and listed are proposed, with budgets that the replay of this
    very log bears out; the file is in order, and switched on no tool is unmapped any more."""
    with ScriptedModel(script) as model:
        proxy = start_proxy("--shadow", rules=RULES)
        for n, amount in enumerate((20, 30, 45)):
            asked = asks(proxy, model, f"s{n}", f"o{n} {amount}")
            assert asked == ["mcp__shop__refund_order", "send_mail"]
            run = does(proxy, shop, f"s{n}", "refund_order", order_id=f"o{n}", amount=amount)
            assert asyncio.run(run)
        assert asyncio.run(does(proxy, shop, "s0", "look_up", order_id="o0"))
        assert asyncio.run(does(proxy, shop, "s0", "purge_customer", customer_id="c1"))
        assert not model.rejected
    log = proxy.log
    assert verify([log], expect_first=1).ok
    told = {(r["side"], t["name"]) for r in proxy.records("tools") for t in r["tools"]}
    assert {("model", "archive_ticket"), ("mcp", "purge_customer"), ("mcp", "look_up")} <= told
    assert len(proxy.records("tools")) == 2  # once a definition, not once a request

    own, out = proxy.folder / "rules.yaml", tmp_path / "suggested.yaml"
    made = checkrein("rules", "suggest", log, "--rules", own, "--out", out)
    assert made.returncode == 0, made.stderr
    text = out.read_text()
    assert "3 sessions: too few to go by" in made.stderr
    for line in (
        "  - name: [refund_order, mcp__shop__refund_order]",
        "        amount: args.amount\n        unit: EUR\n        target: args.order_id",
        "  - name: look_up\n    effects: []",
        "  - name: purge_customer\n    effects:\n      - kind: record.delete",
        "  - name: archive_ticket\n    effects:",
        "  # Its server says: readOnlyHint true, destructiveHint false.",
        "of: money.refund, sum: EUR, limit: 50, per: session",
    ):
        assert line in text, text

    checked = checkrein("rules", "check", "--strict", own, out)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    alone = checkrein("rules", "check", "--strict", out)
    assert alone.returncode == 0, alone.stdout + alone.stderr

    replayed = checkrein("rules", "replay", log, "--rules", own, "--rules", out, "--json")
    sessions = [json.loads(line) for line in replayed.stdout.splitlines()]
    assert len(sessions) == 3
    assert {r["rule"] for s in sessions for c in s["calls"] for r in c["reasons"]} == {"unmapped"}

    out.write_text(text.replace("mode: shadow\n", ""))
    replayed = checkrein("rules", "replay", log, "--rules", own, "--rules", out, "--json")
    calls = [call for line in replayed.stdout.splitlines() for call in json.loads(line)["calls"]]
    assert len(calls) == 11
    assert {call["verdict"] for call in calls} == {"allow"}
