"""`sessions undo` in front of a real API: the calls that make good what an SDK agent did, backwards, with values from their results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from proxy.cli.demo.loopback import Loopback
from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from tests.e2e.conftest import Proxy

pytestmark = pytest.mark.e2e

RULES = """
version: 1
pack: tickets
tools:
  - name: create_ticket
    effects: [{kind: ticket.create, target: args.title, reversibility: compensable}]
    undo:
      http:
        method: DELETE
        url: "'API/tickets/' + string(result.json.id)"
        headers: {authorization: "env:TICKETS_TOKEN"}
        body: {why: "'made by ' + args.title"}
  - name: disable_user
    effects: [{kind: identity.disable, target: args.title, reversibility: compensable}]
    undo: {tool: enable_user, args: {user: args.title}}
  - name: release_host
    effects: [{kind: host.release, target: args.title}]
    undo: {mcp: {url: "API/mcp", tool: isolate, args: {host: args.title}}}
  - {name: send_mail, effects: [{kind: message.external, target: args.title, reversibility: irreversible}]}
unmapped: hold
"""


class Api(Loopback):
    """Tickets, and an MCP endpoint; what was asked of it is kept."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any, str | None]] = []
        self.fails: set[str] = set()
        super().__init__(
            Starlette(
                routes=[
                    Route("/tickets/{id}", self._delete, methods=["DELETE"]),
                    Route("/mcp", self._mcp, methods=["POST"]),
                ]
            )
        )

    async def _delete(self, request: Request) -> Response:
        token = request.headers.get("authorization")
        self.asked.append((request.path_params["id"], await request.json(), token))
        if request.path_params["id"] in self.fails:
            return JSONResponse({"error": "locked"}, 409)
        return JSONResponse({})

    async def _mcp(self, request: Request) -> Response:
        body = await request.json()
        if body["method"] == "initialize":
            result: Any = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}}
            return JSONResponse(
                {"jsonrpc": "2.0", "id": body["id"], "result": result},
                headers={"mcp-session-id": "m1"},
            )
        if body["method"] != "tools/call":
            return Response(status_code=202)
        self.asked.append(("mcp", body["params"], request.headers.get("mcp-session-id")))
        result = {"content": [{"type": "text", "text": "ok"}], "isError": "mcp" in self.fails}
        answer = json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": result})
        return Response(f"event: message\ndata: {answer}\n\n", media_type="text/event-stream")


def script(history: History) -> Turn:
    """`TOOL TITLE` asks for that call."""
    if history.fresh:
        return Turn("Noted.")
    tool, title = history.user.split()
    return Turn("Let me see.", (ask(tool, title=title),))


@dataclass
class Scene:
    proxy: Proxy
    api: Api
    client: openai.OpenAI
    messages: list[Any] = field(default_factory=list)

    def did(self, tool: str, title: str, result: Any) -> None:
        """One call of the agent, and the result that it tells in its next request."""
        for said in ({"role": "user", "content": f"{tool} {title}"}, None):
            if said is not None:
                self.messages.append(said)
            made: Any = self.client.chat.completions.create(
                model="gpt-5-mini",
                messages=self.messages,
                tools=[
                    {
                        "type": "function",
                        "function": {"name": tool, "parameters": {"type": "object"}},
                    }
                ],
            )
            message = made.choices[0].message
            self.messages.append(message)
            for call in message.tool_calls or ():
                told = {"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)}
                self.messages.append(told)

    def undo(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "proxy", "sessions", "undo", "s", *options]
        return subprocess.run(
            [*argv, "--admin", str(self.proxy.admin)],
            env={**os.environ, "TICKETS_TOKEN": "credential-77", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def listed(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.undo("--json").stdout.splitlines()]

    def events(self) -> list[str]:
        return [record["event"] for record in self.proxy.records("undo")]


@pytest.fixture
def scene(start_proxy: Any, tmp_path: Path) -> Iterator[Scene]:
    with ScriptedModel(script) as model, Api() as api:
        proxy = start_proxy("--upstream", model.url, rules=RULES.replace("API", api.url))
        with openai.OpenAI(
            api_key="sk-none",
            max_retries=0,
            base_url=f"{proxy.url}/v1",
            default_headers={"X-Checkrein-Session": "s"},
            http_client=openai.DefaultHttpxClient(trust_env=False, timeout=60),
        ) as client:
            yield Scene(proxy, api, client)


def test_backwards_with_values_from_results(scene: Scene) -> None:
    """The newest first; what cannot run says why; run twice it is undone once; no credential is kept."""
    scene.did("create_ticket", "one", {"id": 11})
    scene.did("send_mail", "kim@x.example", {"ok": True})
    scene.did("disable_user", "kim", {"ok": True})
    scene.did("release_host", "h-7", {"ok": True})
    scene.did("create_ticket", "two", {"id": 12})
    calls = scene.listed()
    assert [(c["tool"], c["runs"]) for c in calls] == [
        ("create_ticket", True),
        ("release_host", True),
        ("disable_user", False),
        ("send_mail", False),
        ("create_ticket", True),
    ]
    assert calls[0]["undo"]["url"].endswith("/tickets/12")
    assert calls[2]["undo"] == {"way": "tool", "name": "enable_user", "args": {"user": "kim"}}
    assert calls[3]["why"] == "it cannot be undone"
    ran = scene.undo("--run")
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "3 undone; 2 are for a human")
    assert scene.api.asked == [
        ("12", {"why": "made by two"}, "credential-77"),
        ("mcp", {"name": "isolate", "arguments": {"host": "h-7"}}, "m1"),
        ("11", {"why": "made by one"}, "credential-77"),
    ]
    assert scene.events() == ["begun", "done"] * 3
    assert "0 undone" in scene.undo("--run").stdout
    assert len(scene.api.asked) == 3
    assert "credential-77" not in scene.proxy.log.read_text()


@pytest.mark.parametrize("how", ["status", "tool", "credential"])
def test_the_first_failure_ends_it(scene: Scene, how: str) -> None:
    scene.did("create_ticket", "one", {"id": 11})
    if how == "tool":
        scene.did("release_host", "h-7", {"ok": True})
        scene.api.fails.add("mcp")
    else:
        scene.did("create_ticket", "two", {"id": 12})
        scene.api.fails.update({"12"} if how == "status" else ())
    ran = scene.undo("--run", **({"TICKETS_TOKEN": ""} if how == "credential" else {}))
    assert ran.returncode == 1
    assert "failed: " in ran.stderr
    assert "2 calls are left as they are" in ran.stderr
    assert scene.events() == ["begun", "failed"]
    scene.api.fails.clear()
    assert scene.undo("--run").stdout.splitlines()[-1] == "2 undone; 0 are for a human"


def test_a_run_that_was_cut_off(scene: Scene) -> None:
    """Begun and never heard of again: it is not made by itself, `--again` makes it."""
    scene.did("create_ticket", "one", {"id": 11})
    (call,) = scene.listed()
    scene.proxy.ask(f"/v1/undo/{call['id']}", {"event": "begun", "by": "ada"})
    assert "0 undone" in scene.undo("--run").stdout
    assert "nobody knows how it ended" in scene.listed()[0]["why"]
    assert "1 undone" in scene.undo("--run", "--again", call["id"][:12]).stdout


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ({"ok": True}, "cannot be made of the result"),
        ({"id": "ghp_" + "a1B2" * 9}, "looks like a secret"),
    ],
    ids=["a-field-is-missing", "a-secret"],
)
def test_what_cannot_be_made_of_a_result(scene: Scene, result: Any, why: str) -> None:
    scene.did("create_ticket", "one", result)
    (call,) = scene.listed()
    assert (call["runs"], why in call["why"]) == (False, True)
    assert "ghp_" not in json.dumps(call)
