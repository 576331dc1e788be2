"""Mistral's own SDK through the proxy: chat, agents, conversations, sync and async, each verdict."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from mistralai.client import Mistral

from tests.e2e.conftest import Proxy
from tests.e2e.test_sdk_verdicts import make_proxy
from tests.upstreams.mistral import MistralUpstream
from tests.upstreams.verdicts import (
    CASES,
    MODE_IDS,
    MODES,
    SCHEMA,
    TOOLS,
    Asked,
    Got,
    check,
    script,
)

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("mistral")]

with warnings.catch_warnings():  # the SDK imports it late, and it leans on what Python 3.14 drops
    warnings.simplefilter("ignore", DeprecationWarning)
    importlib.import_module("mistralai.client.beta")

FUNCTIONS: list[Any] = [
    {"type": "function", "function": {"name": n, "description": n, "parameters": SCHEMA}}
    for n in TOOLS
]


@dataclass(frozen=True, slots=True)
class Line:
    proxy: Proxy
    model: MistralUpstream


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with MistralUpstream(script) as model:
        proxy = make_proxy(tmp_path_factory.mktemp("mistral"), "--upstream", model.url).start()
        yield Line(proxy, model)
        proxy.stop()


class _Sdk:
    """The SDK over HTTP clients that can be closed."""

    def __init__(self, url: str, session: str, *, is_async: bool, stream: bool) -> None:
        options: Any = {"trust_env": False, "headers": {"X-Checkrein-Session": session}}
        self._http, self._ahttp = httpx2.Client(**options), httpx2.AsyncClient(**options)
        self._client: Any = Mistral(
            api_key="k", server_url=url, client=self._http, async_client=self._ahttp
        )
        self._is_async, self._stream = is_async, stream

    async def close(self) -> None:
        self._http.close()
        await self._ahttp.aclose()

    async def _call(self, resource: Any, name: str, **arguments: Any) -> Any:
        made = getattr(resource, f"{name}_async" if self._is_async else name)(**arguments)
        return await made if self._is_async else made

    async def _events(self, events: Any) -> list[Any]:
        return [e async for e in events] if self._is_async else list(events)


class ChatAgent(_Sdk):
    """Keeps its history as https://docs.mistral.ai/capabilities/function_calling/ does."""

    resource = "chat"
    which: Any = {"model": "mistral-large-latest"}  # noqa: RUF012

    def __init__(self, url: str, session: str, *, is_async: bool, stream: bool) -> None:
        super().__init__(url, session, is_async=is_async, stream=stream)
        self._messages: list[Any] = []
        self._calls: list[Any] = []

    async def say(self, text: str) -> Got:
        self._messages.append({"role": "user", "content": text})
        return await self._ask()

    async def results(self, texts: Sequence[str]) -> Got:
        for call, text in zip(self._calls, texts, strict=True):
            name = call.function.name
            result = {"role": "tool", "name": name, "tool_call_id": call.id, "content": text}
            self._messages.append(result)
        return await self._ask()

    async def _ask(self) -> Got:
        asked = {"messages": self._messages, "tools": FUNCTIONS, **self.which}
        resource = getattr(self._client, self.resource)
        if not self._stream:
            answer = await self._call(resource, "complete", **asked)
            message = answer.choices[0].message
            text, self._calls = message.content, list(message.tool_calls or ())
            self._messages.append(message)
            reason = answer.choices[0].finish_reason
        else:
            events = await self._events(await self._call(resource, "stream", **asked))
            choices = [event.data.choices[0] for event in events if event.data.choices]
            text = "".join(c.delta.content for c in choices if isinstance(c.delta.content, str))
            self._calls = [call for c in choices for call in c.delta.tool_calls or ()]
            said = {"role": "assistant", "content": text, "tool_calls": self._calls or None}
            self._messages.append(said)
            reason = next(c.finish_reason for c in reversed(choices) if c.finish_reason)
        assert reason == ("tool_calls" if self._calls else "stop")
        functions = [call.function for call in self._calls]
        return Got(text, [(f.name, json.loads(f.arguments)) for f in functions])


class AgentsAgent(ChatAgent):
    resource = "agents"
    which: Any = {"agent_id": "ag_1"}  # noqa: RUF012


class Conversation(_Sdk):
    """A conversation that the server keeps."""

    name: str | None = None
    store: bool | None = None

    def __init__(self, url: str, session: str, *, is_async: bool, stream: bool) -> None:
        super().__init__(url, session, is_async=is_async, stream=stream)
        self._ids: list[str] = []
        self._copy: list[Any] = []

    async def say(self, text: str) -> Got:
        if self.store is False:
            self._copy.append({"type": "message.input", "role": "user", "content": text})
            return await self._ask(self._copy)
        return await self._ask(text)

    async def results(self, texts: Sequence[str]) -> Got:
        pairs = zip(self._ids, texts, strict=True)
        made = [{"type": "function.result", "tool_call_id": i, "result": t} for i, t in pairs]
        self._copy += made
        return await self._ask(self._copy if self.store is False else made)

    async def _ask(self, inputs: Any) -> Got:
        resource = self._client.beta.conversations
        stream = "_stream" if self._stream else ""
        if self.name is None or self.store is False:
            more: Any = {"model": "m", "tools": FUNCTIONS, "inputs": inputs, "store": self.store}
            made = await self._call_named(resource, f"start{stream}", **more)
        else:
            more = {"conversation_id": self.name, "inputs": inputs}
            made = await self._call_named(resource, f"append{stream}", **more)
        if self._stream:
            return self._of_events(await self._events(made))
        self.name = made.conversation_id
        self._copy += made.outputs
        texts = [e.content for e in made.outputs if e.type == "message.output"]
        calls = [e for e in made.outputs if e.type == "function.call"]
        self._ids = [call.tool_call_id for call in calls]
        return Got("\n".join(texts), [(c.name, json.loads(c.arguments)) for c in calls])

    async def _call_named(self, resource: Any, name: str, **arguments: Any) -> Any:
        return await self._call(resource, name, **arguments)

    def _of_events(self, events: list[Any]) -> Got:
        text = ""
        calls: dict[int, list[str]] = {}
        entries: dict[int, Any] = {}
        for data in (event.data for event in events):
            match data.type:
                case "conversation.response.started":
                    self.name = data.conversation_id
                case "message.output.delta":
                    text += data.content
                    empty = {"type": "message.output", "role": "assistant", "content": ""}
                    entries.setdefault(data.output_index, empty)["content"] += data.content
                case "function.call.delta":
                    call = calls.setdefault(data.output_index, [data.tool_call_id, data.name, ""])
                    call[2] += data.arguments
                    kept = {"type": "function.call", "tool_call_id": call[0], "name": call[1]}
                    entries[data.output_index] = {**kept, "arguments": call[2]}
        assert events[-1].data.type == "conversation.response.done"
        self._ids = [call_id for call_id, _, _ in calls.values()]
        self._copy += [entry for _, entry in sorted(entries.items())]
        asked: list[Asked] = [(name, json.loads(text)) for _, name, text in calls.values()]
        return Got(text, asked)


class OwnCopy(Conversation):
    """The same with `store: false`: the client keeps the entries."""

    store = False


AGENTS = [
    pytest.param(ChatAgent, id="chat"),
    pytest.param(AgentsAgent, id="agents"),
    pytest.param(Conversation, id="conversation"),
    pytest.param(OwnCopy, id="own-copy"),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(("is_async", "stream"), MODES, ids=MODE_IDS)
def test_verdicts(line: Line, agent: Any, case: str, is_async: bool, stream: bool) -> None:
    """The SDK gets the call exactly when the verdict lets it pass, and its next turn is accepted."""
    session = f"{agent.__name__}-{case}-{is_async}-{stream}"
    line.model.kept.rejected.clear()
    made = agent(line.proxy.url, session, is_async=is_async, stream=stream)
    keeps = agent is Conversation
    check(made, case, session, line.proxy, line.model.kept, server_keeps=keeps)
