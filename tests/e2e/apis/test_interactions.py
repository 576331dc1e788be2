"""google-genai's Interactions through the proxy: each verdict, and the request that goes on from it."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import types

from tests.e2e.conftest import RULES, Proxy, free_port
from tests.upstreams.interactions import ScriptedInteractions, Step, call, said

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("interactions")]

NAMES = {"ALLOW": "look_up", "BLOCK": "forbidden", "HOLD": "refund_order"}
WORDS = {"allow": "ALLOW", "block": "BLOCK", "approve": "HOLD", "deny": "HOLD"}
TOOLS: list[Any] = [
    {"type": "function", "name": n, "parameters": {"type": "object"}} for n in NAMES.values()
]


def script(steps: list[Step]) -> list[Step]:
    """Asks for the tools that the user's words stand for, then tells what results it read."""
    results = [s for s in steps if s["type"] == "function_result"]
    texts = [json.dumps(s) for s in steps if s["type"] in ("text", "user_input")]
    words = [w for w in NAMES if texts and w in texts[-1]]
    if words and not results:
        asked = texts[-1].replace('"', " ").split()
        calls = [call(NAMES[w], order_id="A-1", amount=150) for w in asked if w in NAMES]
        return [said("Let me see."), *calls]
    return [said(f"I have {len(results)} results: {json.dumps(results)}")]


@dataclass(frozen=True)
class Line:
    proxy: Proxy
    model: ScriptedInteractions

    def client(self, session: str | None) -> genai.Client:
        headers = {"x-checkrein-session": session} if session else {}
        return genai.Client(
            api_key="none",
            http_options=types.HttpOptions(
                base_url=self.proxy.url,
                headers=headers,
                client_args={"trust_env": False},
                async_client_args={"trust_env": False},
            ),
        )


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    folder: Path = tmp_path_factory.mktemp("interactions")
    with ScriptedInteractions(script) as model:
        (folder / "rules.yaml").write_text(RULES)
        port = free_port()
        argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}"]
        argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
        argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "a.sock")]
        argv += ["--ca-dir", str(folder / "ca"), "--hold-wait", "30s", "--keepalive", "200ms"]
        argv += ["--no-inbox", "--upstream", model.url]
        proxy = Proxy(folder, argv, port).start()
        yield Line(proxy, model)
        proxy.stop()


@dataclass
class Got:
    id: str = ""
    status: str = ""
    text: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)


def ask(client: genai.Client, is_async: bool, **asked: Any) -> Got:
    asked = {"model": "gemini-3-flash", "tools": TOOLS, **asked}
    if is_async:
        return asyncio.run(_ask(client, **asked))
    answer: Any = client.interactions.create(**asked)
    return _of_events(list(answer)) if asked.get("stream") else _of_interaction(answer)


async def _ask(client: genai.Client, **asked: Any) -> Got:
    answer: Any = await client.aio.interactions.create(**asked)
    try:
        if asked.get("stream"):
            return _of_events([event async for event in answer])
        return _of_interaction(answer)
    finally:
        await client.aio.aclose()


def _of_interaction(answer: Any) -> Got:
    steps = [step.model_dump(mode="json", exclude_none=True) for step in answer.steps]
    return _of_steps(answer.id, answer.status, steps)


def _of_steps(name: str, status: str, steps: list[dict[str, Any]]) -> Got:
    texts = [c["text"] for s in steps if s["type"] == "model_output" for c in s["content"]]
    calls = [s for s in steps if s["type"] == "function_call"]
    return Got(name, status, " ".join(texts), calls, steps)


def _of_events(events: list[Any]) -> Got:
    """Puts a stream together as the API's guide does."""
    made: dict[int, dict[str, Any]] = {}
    pieces: dict[int, str] = {}
    name = status = ""
    for event in events:
        match event.event_type:
            case "step.start":
                assert event.index not in made
                made[event.index] = event.step.model_dump(mode="json", exclude_none=True)
            case "step.delta" if event.delta.type == "text":
                content = {"type": "text", "text": event.delta.text}
                made[event.index].setdefault("content", []).append(content)
            case "step.delta" if event.delta.type == "arguments_delta":
                pieces[event.index] = pieces.get(event.index, "") + event.delta.arguments
            case "interaction.created" | "interaction.completed":
                name, status = event.interaction.id, event.interaction.status
            case "error":
                raise AssertionError(event.error)
    for index, text in pieces.items():
        made[index]["arguments"] = json.loads(text)
    return _of_steps(name, status, [made[index] for index in sorted(made)])


def results(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"type": "function_result", "call_id": c["id"], "name": c["name"], "result": "fine"}
        for c in calls
    ]


each_mode = pytest.mark.parametrize(
    ("is_async", "stream"),
    [(False, False), (False, True), (True, False), (True, True)],
    ids=["sync-plain", "sync-stream", "async-plain", "async-stream"],
)


@each_mode
@pytest.mark.parametrize("stateful", [True, False], ids=["stateful", "stateless"])
@pytest.mark.parametrize("verdict", ["allow", "block", "approve", "deny"])
def test_verdict_and_next_request(
    line: Line, is_async: bool, stream: bool, verdict: str, stateful: bool
) -> None:
    """The call comes through or its refusal does, and what goes on from it is accepted."""
    session = f"i-{verdict}-{is_async}-{stream}-{stateful}"
    with line.client(session) as client:
        if verdict in ("approve", "deny"):
            threading.Thread(target=line.proxy.answer, args=(verdict,), daemon=True).start()
        first = ask(client, is_async, input=WORDS[verdict], stream=stream)
        passes = verdict in ("allow", "approve")
        assert [c["name"] for c in first.calls] == ([NAMES[WORDS[verdict]]] if passes else [])
        assert ("checkrein cr_" in first.text) == (not passes)
        assert first.status == ("requires_action" if passes else "completed")
        if passes:
            assert first.calls[0]["arguments"] == {"order_id": "A-1", "amount": 150}
    with line.client(session) as client:
        more: Any = results(first.calls) or "Go on."
        if stateful:
            second = ask(
                client, is_async, input=more, previous_interaction_id=first.id, stream=stream
            )
        else:
            asked = {"type": "user_input", "content": [{"type": "text", "text": WORDS[verdict]}]}
            again = {"type": "user_input", "content": [{"type": "text", "text": "Go on."}]}
            follows = more if passes else [again]
            whole = [asked, *first.steps, *follows]
            second = ask(client, is_async, input=whole, store=False, stream=stream)
        assert "I have 1 results" in second.text
        assert ("did not run" in second.text) == (not passes)
    assert line.model.rejected == []


@each_mode
@pytest.mark.parametrize("stateful", [True, False], ids=["stateful", "stateless"])
def test_parallel_calls(line: Line, is_async: bool, stream: bool, stateful: bool) -> None:
    """One of three calls is refused: the others live, and all three have results in the next request."""
    session = f"p-{is_async}-{stream}-{stateful}"
    words = "ALLOW BLOCK ALLOW"
    with line.client(session) as client:
        first = ask(client, is_async, input=words, stream=stream)
    assert [c["name"] for c in first.calls] == ["look_up", "look_up"]
    assert first.status == "requires_action"
    with line.client(session) as client:
        more: dict[str, Any] = {"input": results(first.calls), "previous_interaction_id": first.id}
        if not stateful:
            asked = {"type": "user_input", "content": [{"type": "text", "text": words}]}
            more = {"input": [asked, *first.steps, *results(first.calls)], "store": False}
        second = ask(client, is_async, stream=stream, **more)
    assert "I have 3 results" in second.text
    assert line.model.rejected == []


def test_fetched_again(line: Line) -> None:
    """A stored interaction that is fetched has the refusal too, and goes on in the same session."""
    with line.client("fetched") as client:
        first = ask(client, False, input="BLOCK")
        again: Any = client.interactions.get(first.id)
        assert [s.type for s in again.steps] == ["thought", "model_output", "model_output"]
        second = ask(client, False, input="Go on.", previous_interaction_id=first.id)
    assert "I have 1 results" in second.text
    assert line.model.rejected == []


def test_chain_is_one_session(line: Line) -> None:
    """Without a name, `previous_interaction_id` links the requests to one session."""
    with line.client(None) as client:
        first = ask(client, False, input="ALLOW")
        more = results(first.calls)
        second = ask(client, False, input=more, previous_interaction_id=first.id)
        third = ask(client, False, input="ALLOW", previous_interaction_id=second.id)
    ids = {first.calls[0]["id"], third.calls[0]["id"]}
    decided = [r for r in line.proxy.records("decision") if r["call"]["id"] in ids]
    assert len(decided) == 2
    assert len({r["session"] for r in decided}) == 1
    assert line.model.rejected == []
