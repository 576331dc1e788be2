"""The turn after a refusal, made as agent code makes it: echo what came, go on, never a 400.

The scripted model is as strict as the real APIs about histories. It must accept every request and
must have read the refused call's failed result, though the agent never knew that call.
"""

from __future__ import annotations

import json
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from tests.e2e.conftest import RULES, Proxy, free_port

pytestmark = pytest.mark.e2e

CALLS = {
    "BLOCK": (ask("forbidden", order_id="A-1"),),
    "HOLD": (ask("refund_order", order_id="A-1", amount=150),),
    "REFUSED-FIRST": (ask("forbidden", order_id="A-1"), ask("look_up", order_id="A-1")),
    "REFUSED-LAST": (ask("look_up", order_id="A-1"), ask("forbidden", order_id="A-1")),
}
NAMES = ("look_up", "forbidden", "refund_order")
SCHEMA = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}},
    "required": ["order_id"],
}
FOUND = "The order was found."


def script(history: History) -> Turn:
    """A word the table knows asks for its calls, until their results are there."""
    *flags, word = history.user.split()
    thinking = "The user wants this done." if "THINK" in flags else None
    if history.fresh or word not in CALLS:
        return Turn("Noted.", thinking=thinking)
    return Turn("Let me see.", CALLS[word], thinking)


@dataclass(slots=True)
class Reply:
    text: str
    uses: list[tuple[str, str]] = field(default_factory=list)  # id, name


class Talk(ABC):
    """An agent's conversation; what it sends next is built from what it got, and nothing else."""

    def __init__(self, client: Any, *, thinks: bool, stream: bool) -> None:
        self.client, self.thinks, self.stream = client, thinks, stream
        self.items: list[Any] = []

    def say(self, word: str) -> Reply:
        content = f"THINK {word}" if self.thinks else word
        self.items.append({"role": "user", "content": content})
        return self.ask()

    @abstractmethod
    def ask(self) -> Reply: ...

    @abstractmethod
    def give(self, call_id: str, result: str) -> Reply:
        """Sends the result of the one call that came through."""


class ChatTalk(Talk):
    def ask(self) -> Reply:
        functions = [{"name": name, "parameters": SCHEMA} for name in NAMES]
        request: dict[str, Any] = {
            "model": "gpt-5-mini",
            "messages": self.items,
            "tools": [{"type": "function", "function": one} for one in functions],
        }
        text, calls = "", list[dict[str, Any]]()
        if self.stream:
            with self.client.chat.completions.create(**request, stream=True) as chunks:
                for chunk in chunks:
                    for choice in chunk.choices:
                        text += choice.delta.content or ""
                        for part in choice.delta.tool_calls or ():
                            if part.index == len(calls):
                                begun = {"name": part.function.name, "arguments": ""}
                                calls.append({"id": part.id, "type": "function", "function": begun})
                            more = part.function.arguments or ""
                            calls[part.index]["function"]["arguments"] += more
            message: dict[str, Any] = {"role": "assistant", "content": text}
            self.items.append({**message, "tool_calls": calls} if calls else message)
        else:
            came = self.client.chat.completions.create(**request).choices[0].message
            self.items.append(came)  # the SDK's object goes back as it is
            text = came.content or ""
            calls = [c.model_dump() for c in came.tool_calls or ()]
        return Reply(text, [(c["id"], c["function"]["name"]) for c in calls])

    def give(self, call_id: str, result: str) -> Reply:
        self.items.append({"role": "tool", "tool_call_id": call_id, "content": result})
        return self.ask()


class ResponsesTalk(Talk):
    """Stateless: every output item is sent again."""

    def request(self) -> dict[str, Any]:
        return {"store": False, "include": ["reasoning.encrypted_content"]}

    def ask(self) -> Reply:
        request: dict[str, Any] = {
            "model": "gpt-5-mini",
            "input": self.items,
            "tools": [
                {"type": "function", "name": name, "strict": False, "parameters": SCHEMA}
                for name in NAMES
            ],
            **self.request(),
        }
        if self.stream:
            with self.client.responses.create(**request, stream=True) as events:
                ends = [e.response for e in events if e.type == "response.completed"]
            (response,) = ends
        else:
            response = self.client.responses.create(**request)
        self.keep(response)
        calls = [item for item in response.output if item.type == "function_call"]
        return Reply(response.output_text, [(item.call_id, item.name) for item in calls])

    def keep(self, response: Any) -> None:
        self.items += response.output

    def give(self, call_id: str, result: str) -> Reply:
        self.items.append({"type": "function_call_output", "call_id": call_id, "output": result})
        return self.ask()


class PreviousTalk(ResponsesTalk):
    """The API keeps the history; a request names the response it follows."""

    previous: str | None = None

    def request(self) -> dict[str, Any]:
        return {"previous_response_id": self.previous} if self.previous else {}

    def keep(self, response: Any) -> None:
        self.previous, self.items = response.id, []


class ConversationTalk(ResponsesTalk):
    """The API keeps the history in a conversation."""

    conversation: str | None = None

    def request(self) -> dict[str, Any]:
        if self.conversation is None:
            self.conversation = self.client.conversations.create().id
        return {"conversation": self.conversation}

    def keep(self, response: Any) -> None:
        self.items = []


class AnthropicTalk(Talk):
    def ask(self) -> Reply:
        request: dict[str, Any] = {
            "model": "claude-sonnet-5",
            "max_tokens": 4096,
            "messages": self.items,
            "tools": [{"name": name, "input_schema": SCHEMA} for name in NAMES],
        }
        if self.thinks:
            request["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if self.stream:
            with self.client.messages.stream(**request) as stream:
                content = stream.get_final_message().content
        else:
            content = self.client.messages.create(**request).content
        self.items.append({"role": "assistant", "content": content})
        text = "".join(block.text for block in content if block.type == "text")
        return Reply(text, [(b.id, b.name) for b in content if b.type == "tool_use"])

    def give(self, call_id: str, result: str) -> Reply:
        block = {"type": "tool_result", "tool_use_id": call_id, "content": result}
        self.items.append({"role": "user", "content": [block]})
        return self.ask()


@dataclass(frozen=True, slots=True)
class Way:
    """One way agent code keeps its history."""

    name: str
    kind: type[Talk]
    thinks: bool = False

    @property
    def is_stateful(self) -> bool:
        return self.kind in (PreviousTalk, ConversationTalk)


WAYS = [
    Way("chat", ChatTalk),
    Way("responses-stateless", ResponsesTalk),
    Way("responses-stateless-reasoning", ResponsesTalk, thinks=True),
    Way("responses-previous", PreviousTalk),
    Way("responses-previous-reasoning", PreviousTalk, thinks=True),
    Way("responses-conversation", ConversationTalk),
    Way("anthropic", AnthropicTalk),
    Way("anthropic-thinking", AnthropicTalk, thinks=True),
]
every_way = pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
both_forms = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


@dataclass(frozen=True, slots=True)
class Line:
    proxy: Proxy
    model: ScriptedModel


type Begin = Callable[[Way, bool, Line], Talk]


def _serve(folder: Path, hold_wait: str) -> Iterator[Line]:
    (folder / "rules.yaml").write_text(RULES)
    port = free_port()
    with ScriptedModel(script) as model:
        argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}"]
        argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
        argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "a.sock")]
        argv += ["--ca-dir", str(folder / "ca"), "--hold-wait", hold_wait, "--keepalive", "200ms"]
        proxy = Proxy(
            folder, [*argv, "--no-inbox", "--abandon-after", "0s", "--upstream", model.url], port
        ).start()
        yield Line(proxy, model)
        proxy.stop()


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A proxy that waits for its humans."""
    yield from _serve(tmp_path_factory.mktemp("waiting"), "30s")


@pytest.fixture(scope="module")
def parking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A proxy that soon tells the agent to come back."""
    yield from _serve(tmp_path_factory.mktemp("parking"), "1s")


@pytest.fixture
def begin(request: pytest.FixtureRequest) -> Iterator[Begin]:
    """Begins a conversation in a session of the test's own."""
    made: list[Any] = []

    def start(way: Way, stream: bool, line: Line) -> Talk:
        is_anthropic = way.kind is AnthropicTalk
        kind: Any = anthropic.Anthropic if is_anthropic else openai.OpenAI
        vendor: Any = anthropic if is_anthropic else openai
        client = kind(
            api_key="sk-none",
            max_retries=0,
            base_url=line.proxy.url + ("" if is_anthropic else "/v1"),
            default_headers={"X-Checkrein-Session": request.node.name},
            http_client=vendor.DefaultHttpxClient(trust_env=False, timeout=60),
        )
        made.append(client)
        return way.kind(client, thinks=way.thinks, stream=stream)

    yield start
    for client in made:
        client.close()


def saw(line: Line, way: Way, tool: str, refusal: str) -> None:
    """The newest request was accepted and shows the model the call with its failed result, once."""
    assert not line.model.rejected
    seen = line.model.requests[-1]
    failed = [one for one in seen.history.results if f"The call {tool}" in one]
    assert len(failed) == 1
    assert refusal in failed[0]
    history: Any = seen.body.get("messages") or seen.body.get("input")
    if way.is_stateful:  # the API has the call itself; sending it again would double it
        assert not [item for item in history if item.get("type") == "function_call"]
        return
    if way.kind is ResponsesTalk:
        calls = [item for item in history if item.get("type") == "function_call"]
        names = [item["name"] for item in calls]
    elif way.kind is ChatTalk:
        names = [c["function"]["name"] for m in history for c in m.get("tool_calls") or ()]
    else:
        blocks = [b for m in history if isinstance(m["content"], list) for b in m["content"]]
        names = [block["name"] for block in blocks if block["type"] == "tool_use"]
        texts = [b for b in blocks if b["type"] == "tool_result" and b.get("is_error")]
        assert len(texts) == 1
    assert names.count(tool) == 1
    agents_own = [m for m in history if m.get("role") == "assistant" and "[checkrein" in str(m)]
    assert not agents_own  # the text that stood in the call's place is not the model's


@every_way
@both_forms
@pytest.mark.parametrize("outcome", ["block", "deny"])
def test_next_turn(waiting: Line, begin: Begin, way: Way, stream: bool, outcome: str) -> None:
    """After a refusal the next turn, and the one after it, are valid and tell the model of it."""
    talk = begin(way, stream, waiting)
    if outcome == "deny":
        thread = threading.Thread(
            target=waiting.proxy.answer, args=("deny",), kwargs={"reason": "Not this one."}
        )
        thread.start()
        refused = talk.say("HOLD")
        thread.join(20)
    else:
        refused = talk.say("BLOCK")
    tool, why = {
        "block": ("forbidden", "Nothing is deleted here."),
        "deny": ("refund_order", "Not this one."),
    }[outcome]
    assert not refused.uses
    assert why in refused.text
    assert talk.say("Next").text == "Noted."
    saw(waiting, way, tool, why)
    assert talk.say("Onward").text == "Noted."
    saw(waiting, way, tool, why)


@every_way
@both_forms
@pytest.mark.parametrize("word", ["REFUSED-FIRST", "REFUSED-LAST"])
def test_one_of_two_is_refused(
    waiting: Line, begin: Begin, way: Way, stream: bool, word: str
) -> None:
    """The agent answers the one call it got; the model reads that result and the refusal."""
    talk = begin(way, stream, waiting)
    reply = talk.say(word)
    assert [name for _, name in reply.uses] == ["look_up"]
    assert talk.give(reply.uses[0][0], FOUND).text == "Noted."
    saw(waiting, way, "forbidden", "Nothing is deleted here.")
    assert waiting.model.requests[-1].history.results.count(FOUND) == 1
    assert talk.say("Onward").text == "Noted."
    saw(waiting, way, "forbidden", "Nothing is deleted here.")


@every_way
@both_forms
def test_parked_passes_once(parking: Line, begin: Begin, way: Way, stream: bool) -> None:
    """Nobody answers: pending, with the hold's id. Approved, the same call passes once, not twice."""
    talk = begin(way, stream, parking)
    parked = talk.say("HOLD")
    hold = parking.proxy.wait_for_hold()
    assert not parked.uses
    assert f"(hold {hold['id']}, pending)" in parked.text
    assert talk.say("Next").text == "Noted."
    saw(parking, way, "refund_order", hold["id"])
    parking.proxy.answer("approve")

    passed = talk.say("HOLD")
    assert [name for _, name in passed.uses] == ["refund_order"]
    refunded = json.dumps({"refunded": 150})
    assert talk.give(passed.uses[0][0], refunded).text == "Noted."
    assert refunded in parking.model.requests[-1].history.results

    again = talk.say("HOLD")
    other = parking.proxy.wait_for_hold()
    assert not again.uses
    assert other["id"] != hold["id"]
    assert f"(hold {other['id']}, pending)" in again.text
    parking.proxy.answer("deny")  # leaves no pending hold to the next test
    assert not parking.model.rejected
