"""Calls in the APIs' other forms, refused and gone on from: legacy functions and custom tools.

The agent answers each call in the call's own form and never knew the refused one; the model, strict
in these forms too (`conftest.py`), must accept what then reaches it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import Ask, History, Turn
from proxy.logtail import verify
from tests.e2e.clients.conftest import CustomModel, LegacyModel
from tests.e2e.conftest import Proxy, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("other-tools")]  # one proxy serves them all

RULES = """
version: 1
pack: other-tools
tools:
  - {name: run_script, effects: [{kind: code.exec, reversibility: irreversible}]}
  - {name: note, effects: []}
gates:
  - {name: no-scripts, when: effect.kind == "code.exec", verdict: block, message: No scripts here.}
unmapped: hold
"""
SCRIPT = '{"line": "rm -r everything"}'  # what the refused call asks for, in every form
CALLS = {"SCRIPT": ("run_script",), "NOTE": ("note",), "BOTH": ("note", "run_script")}


def script(history: History) -> Turn:
    """A word of the table asks for its tools until a result is there."""
    if history.fresh or history.user not in CALLS:
        return Turn("Noted.")
    return Turn("Let me see.", tuple(Ask(name, SCRIPT) for name in CALLS[history.user]))


@dataclass(slots=True)
class Reply:
    text: str
    uses: list[tuple[str, str]]  # id (a legacy call has its name), name


class ChatTalk:
    """An agent on Chat that echoes the SDK's message and answers calls in their own form."""

    def __init__(self, client: openai.OpenAI, *, stream: bool, stateful: bool) -> None:
        del stateful  # Chat keeps none
        self.client, self.stream, self.items = client, stream, list[Any]()

    def ask(self) -> Reply:
        if self.stream:
            message = self._streamed()
        else:
            made: Any = self.client.chat.completions.create(model="m", messages=self.items)
            message = made.choices[0].message.model_dump(exclude_none=True)
        self.items.append(message)
        uses = [(call["id"], call["custom"]["name"]) for call in message.get("tool_calls") or []]
        if legacy := message.get("function_call"):
            uses.append((legacy["name"], legacy["name"]))
        return Reply(message.get("content") or "", uses)

    def _streamed(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        events = self.client.chat.completions.create(model="m", messages=self.items, stream=True)
        with events as chunks:
            deltas = [c.delta.model_dump() for chunk in chunks for c in chunk.choices]
        for delta in deltas:
            message["content"] += delta.get("content") or ""
            if legacy := delta.get("function_call"):
                _add(message.setdefault("function_call", {}), legacy)
            for part in delta.get("tool_calls") or []:
                calls = message.setdefault("tool_calls", [])
                if part["index"] == len(calls):
                    calls.append({"id": part["id"], "type": "custom", "custom": {}})
                _add(calls[part["index"]]["custom"], part["custom"])
        return message

    def give(self, call_id: str, result: str) -> Reply:
        legacy = "function_call" in self.items[-1]
        name = {"name": call_id} if legacy else {"tool_call_id": call_id}
        role = "function" if legacy else "tool"
        self.items.append({"role": role, **name, "content": result})
        return self.ask()


def _add(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    for key, text in part.items():
        whole[key] = whole.get(key, "") + (text or "")


class ResponsesTalk:
    """An agent on Responses, with the history on its own side or on the API's."""

    def __init__(self, client: openai.OpenAI, *, stream: bool, stateful: bool) -> None:
        self.client, self.stream, self.items = client, stream, list[Any]()
        self.more: dict[str, Any] = {} if stateful else {"store": False}
        self.stateful = stateful

    def ask(self) -> Reply:
        request: dict[str, Any] = {"model": "m", "input": self.items, **self.more}
        if self.stream:
            with self.client.responses.create(**request, stream=True) as events:
                (made,) = [e.response for e in events if e.type == "response.completed"]
        else:
            made = self.client.responses.create(**request)
        if self.stateful:
            self.items, self.more = [], {"previous_response_id": made.id}
        else:
            self.items += made.output
        calls = [item for item in made.output if item.type == "custom_tool_call"]
        return Reply(made.output_text, [(item.call_id, item.name) for item in calls])

    def give(self, call_id: str, result: str) -> Reply:
        kind = "custom_tool_call_output"
        self.items.append({"type": kind, "call_id": call_id, "output": result})
        return self.ask()


@dataclass(frozen=True, slots=True)
class Form:
    """One way a tool may be called, and how its call and failed result look in a request."""

    name: str
    model: type[ScriptedModel]
    talk: type[ChatTalk] | type[ResponsesTalk]
    stateful: bool = False
    parallel: bool = True


FORMS = [
    Form("chat-legacy", LegacyModel, ChatTalk, parallel=False),
    Form("chat-custom", CustomModel, ChatTalk),
    Form("responses-custom", CustomModel, ResponsesTalk),
    Form("responses-custom-previous", CustomModel, ResponsesTalk, stateful=True),
]
PARALLEL = [form for form in FORMS if form.parallel]
both_ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


@dataclass(frozen=True, slots=True)
class Line:
    """A proxy in front of a model that speaks one of the other forms."""

    proxy: Proxy
    model: ScriptedModel


def _serve(folder: Path, kind: type[ScriptedModel]) -> Iterator[Line]:
    (folder / "rules.yaml").write_text(RULES)
    port = free_port()
    with kind(script) as model:
        argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}"]
        argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
        argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "a.sock")]
        argv += ["--ca-dir", str(folder / "ca"), "--no-inbox", "--upstream", model.url]
        proxy = Proxy(folder, argv, port).start()
        yield Line(proxy, model)
        proxy.stop()


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    yield from _serve(tmp_path_factory.mktemp("legacy"), LegacyModel)


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    yield from _serve(tmp_path_factory.mktemp("custom"), CustomModel)


@dataclass(slots=True)
class Scene:
    line: Line
    talk: Any

    def say(self, word: str) -> Reply:
        self.talk.items.append({"role": "user", "content": word})
        made: Reply = self.talk.ask()
        return made

    def saw_refusal(self) -> None:
        """The newest request was accepted, and its history has the call and its failed result."""
        model = self.line.model
        assert [one.message for one in model.rejected] == []
        failed = [text for text in model.requests[-1].history.results if "run_script" in text]
        assert len(failed) == 1
        assert "No scripts here." in failed[0]
        sent: Any = model.requests[-1].body
        turns = str(
            [m for m in sent.get("messages") or sent["input"] if m.get("role") == "assistant"]
        )
        assert "[checkrein" not in turns  # what stood in the call's place is not the model's
        assert ("rm -r" in str(sent)) is not (getattr(self.talk, "stateful", False))


@pytest.fixture
def scene(request: pytest.FixtureRequest, form: Form, stream: bool) -> Iterator[Scene]:
    name = "legacy" if form.model is LegacyModel else "custom"
    line: Line = request.getfixturevalue(name)
    line.model.rejected.clear()  # another test's
    with openai.OpenAI(
        api_key="sk-none",
        max_retries=0,
        base_url=line.proxy.url + "/v1",
        default_headers={"X-Checkrein-Session": request.node.name},
        http_client=openai.DefaultHttpxClient(trust_env=False, timeout=60),
    ) as client:
        yield Scene(line, form.talk(client, stream=stream, stateful=form.stateful))


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
@both_ways
def test_refused_then_next_turn(scene: Scene, form: Form, stream: bool) -> None:
    """The SDK finds no call; the turns after it are valid and tell the model of the refusal."""
    refused = scene.say("SCRIPT")
    assert not refused.uses
    assert "No scripts here." in refused.text
    for word in ("Next", "Onward"):
        assert scene.say(word).text == "Noted."
        scene.saw_refusal()


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
@both_ways
def test_allowed(scene: Scene, form: Form, stream: bool) -> None:
    """An allowed call of this form reaches the SDK, and its result reaches the model."""
    reply = scene.say("NOTE")
    assert [name for _, name in reply.uses] == ["note"]
    assert scene.talk.give(reply.uses[0][0], "Kept.").text == "Noted."
    assert scene.line.model.requests[-1].history.results == ("Kept.",)
    assert not scene.line.model.rejected


@pytest.mark.parametrize("form", PARALLEL, ids=[form.name for form in PARALLEL])
@both_ways
def test_one_of_two_is_refused(scene: Scene, form: Form, stream: bool) -> None:
    """The agent answers the call it got; the model reads that result and the refusal."""
    reply = scene.say("BOTH")
    assert [name for _, name in reply.uses] == ["note"]
    assert scene.talk.give(reply.uses[0][0], "Kept.").text == "Noted."
    scene.saw_refusal()
    assert "Kept." in scene.line.model.requests[-1].history.results


@pytest.mark.parametrize("name", ["legacy", "custom"])
def test_the_log_tells_each_call(name: str, request: pytest.FixtureRequest) -> None:
    """Whatever ran before this: a script was blocked, a note allowed, and the log verifies."""
    line: Line = request.getfixturevalue(name)
    seen = {(r["call"]["name"], r["verdict"]) for r in line.proxy.records("decision")}
    assert seen <= {("run_script", "block"), ("note", "allow")}
    assert all("rm -r" in str(r["call"]["args"]) for r in line.proxy.records("decision"))
    assert verify([line.proxy.log]).ok
