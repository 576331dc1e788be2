"""Cohere's own SDK through the proxy: v2 and v1, sync and async, streamed and not, each verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cohere
import httpx
import pytest

from tests.e2e.conftest import Proxy
from tests.e2e.test_sdk_verdicts import make_proxy
from tests.upstreams.cohere import CohereUpstream, Says
from tests.upstreams.verdicts import CASES, MODE_IDS, MODES, SCHEMA, TOOLS, Got, check, script

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("cohere")]


@dataclass(frozen=True, slots=True)
class Line:
    proxy: Proxy
    model: CohereUpstream


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with CohereUpstream(lambda user: Says(*script(user))) as model:
        proxy = make_proxy(tmp_path_factory.mktemp("cohere"), "--upstream", model.url).start()
        yield Line(proxy, model)
        proxy.stop()


class _Sdk:
    """One of the SDK's clients, over an HTTP client that can be closed."""

    kinds: tuple[Any, Any]

    def __init__(self, url: str, session: str, *, is_async: bool, stream: bool) -> None:
        options: Any = {"trust_env": False, "headers": {"X-Checkrein-Session": session}}
        self._http: Any = httpx.AsyncClient(**options) if is_async else httpx.Client(**options)
        made = self.kinds[is_async](api_key="k", base_url=url, httpx_client=self._http)
        self._client: Any = made
        self._is_async, self._stream = is_async, stream

    async def close(self) -> None:
        if self._is_async:
            await self._http.aclose()
        else:
            self._http.close()


class V2Agent(_Sdk):
    """Keeps its history as https://docs.cohere.com/docs/tool-use-overview does."""

    kinds = (cohere.ClientV2, cohere.AsyncClientV2)

    def __init__(self, url: str, session: str, *, is_async: bool, stream: bool) -> None:
        super().__init__(url, session, is_async=is_async, stream=stream)
        self._messages: list[Any] = []
        self._ids: list[str] = []

    async def say(self, text: str) -> Got:
        self._messages.append({"role": "user", "content": text})
        return await self._ask()

    async def results(self, texts: Sequence[str]) -> Got:
        for call_id, text in zip(self._ids, texts, strict=True):
            part = {"type": "document", "document": {"data": text}}
            self._messages.append({"role": "tool", "tool_call_id": call_id, "content": [part]})
        return await self._ask()

    async def _ask(self) -> Got:
        functions = [{"name": n, "description": n, "parameters": SCHEMA} for n in TOOLS]
        tools = [{"type": "function", "function": one} for one in functions]
        asked = {"model": "command-a", "messages": self._messages, "tools": tools}
        if not self._stream:
            made = self._client.chat(**asked)
            answer = (await made if self._is_async else made).message
            self._messages.append(answer)
            calls = [(c.id, c.function.name, c.function.arguments) for c in answer.tool_calls or ()]
            return self._got("".join(part.text for part in answer.content or ()), calls)
        events = self._client.chat_stream(**asked)
        seen = [e async for e in events] if self._is_async else list(events)
        text, plan, calls = "", "", []
        for event in seen:
            match event.type:
                case "content-delta":
                    text += event.delta.message.content.text
                case "tool-plan-delta":
                    plan += event.delta.message.tool_plan
                case "tool-call-start":
                    assert event.index == len(calls)
                    call = event.delta.message.tool_calls
                    calls.append((call.id, call.function.name, call.function.arguments))
                case "tool-call-delta":
                    one = calls[event.index]
                    more = event.delta.message.tool_calls.function.arguments
                    calls[event.index] = (one[0], one[1], one[2] + more)
        said: dict[str, Any] = {"role": "assistant"}
        if calls:
            said |= {"tool_plan": plan, "tool_calls": [_entry(*call) for call in calls]}
        if text:
            said["content"] = text
        self._messages.append(said)
        assert seen[-1].delta.finish_reason == ("TOOL_CALL" if calls else "COMPLETE")
        return self._got(text, calls)

    def _got(self, text: str, calls: list[tuple[str, str, str]]) -> Got:
        self._ids = [call_id for call_id, _, _ in calls]
        return Got(text, [(name, _json(arguments)) for _, name, arguments in calls])


class V1Agent(_Sdk):
    """Keeps its history as https://docs.cohere.com/v1/docs/tool-use does."""

    kinds = (cohere.Client, cohere.AsyncClient)

    def __init__(self, url: str, session: str, *, is_async: bool, stream: bool) -> None:
        super().__init__(url, session, is_async=is_async, stream=stream)
        self._history: list[Any] = []
        self._calls: list[Any] = []

    async def say(self, text: str) -> Got:
        return await self._ask(message=text)

    async def results(self, texts: Sequence[str]) -> Got:
        pairs = zip(self._calls, texts, strict=True)
        results = [{"call": call, "outputs": [{"text": text}]} for call, text in pairs]
        return await self._ask(message="", tool_results=results)

    async def _ask(self, **more: Any) -> Got:
        field = {"description": "x", "type": "str", "required": True}
        tools = [
            {"name": n, "description": n, "parameter_definitions": {"order_id": field}}
            for n in TOOLS
        ]
        asked = {"model": "command-r", "chat_history": self._history, "tools": tools, **more}
        if not self._stream:
            made = self._client.chat(**asked)
            answer = await made if self._is_async else made
            text = answer.text
        else:
            events = self._client.chat_stream(**asked)
            seen = [e async for e in events] if self._is_async else list(events)
            answer = seen[-1].response
            whole = [e for e in seen if e.event_type == "tool-calls-generation"]
            assert [c for e in whole for c in e.tool_calls] == list(answer.tool_calls or ())
            pieces = [e for e in seen if e.event_type == "tool-calls-chunk" and e.tool_call_delta]
            names = [e.tool_call_delta.name for e in pieces if e.tool_call_delta.name]
            assert names == [c.name for c in answer.tool_calls or ()]
            numbers = [e.tool_call_delta.index for e in pieces if e.tool_call_delta.name]
            assert numbers == list(range(len(names)))
            text = "".join(e.text for e in seen if e.event_type == "text-generation")
            assert text.strip() in answer.text
        self._history = answer.chat_history
        self._calls = list(answer.tool_calls or ())
        return Got(text, [(call.name, call.parameters) for call in self._calls])


def _entry(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _json(text: str) -> Any:
    return httpx.Response(200, text=text).json()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("agent", [V2Agent, V1Agent], ids=["v2", "v1"])
@pytest.mark.parametrize(("is_async", "stream"), MODES, ids=MODE_IDS)
def test_verdicts(line: Line, agent: Any, case: str, is_async: bool, stream: bool) -> None:
    """The SDK gets the call exactly when the verdict lets it pass, and its next turn is accepted."""
    session = f"{agent.__name__}-{case}-{is_async}-{stream}"
    made = agent(line.proxy.url, session, is_async=is_async, stream=stream)
    check(made, case, session, line.proxy, line.model.kept)
