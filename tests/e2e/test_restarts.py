"""What outlives a client and a process: holds, refusals, what was spent.

Chat is asked by the openai SDK's stream, Anthropic by its async client, Responses by its plain call:
one way of asking for each API.
"""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import anthropic
import httpx
import openai
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from proxy.logtail import verify
from tests.e2e.conftest import Proxy, StartProxy

pytestmark = pytest.mark.e2e

type Api = Literal["chat", "responses", "anthropic"]
type Calls = list[tuple[str, str, dict[str, Any]]]  # id, name, arguments

APIS: tuple[Api, ...] = ("chat", "responses", "anthropic")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}},
}


def script(history: History) -> Turn:
    """ "NAME AMOUNT" in the user's last words asks for that tool; a result ends the story."""
    if history.fresh:
        return Turn("Done.")
    name, amount = history.user.split()[-2:]
    return Turn("Let me see.", (ask(name, order_id="A-1", amount=int(amount)),))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(script) as made:
        yield made
        assert not made.rejected


class Conversation:
    """One API's history and how its agent asks; one client a request, as a restart would leave it."""

    def __init__(self, api: Api, proxy: Proxy, model: ScriptedModel, session: str) -> None:
        self.api, self.items = api, list[Any]()
        self._proxy, self._base, self._session = proxy, model.url, session

    def ask(self, prompt: str | None = None) -> tuple[str, Calls]:
        """Says something more, or the same again where there is nothing to say."""
        if prompt is not None:
            self.items.append({"role": "user", "content": prompt})
        match self.api:
            case "chat":
                return self._chat()
            case "responses":
                return self._responses()
            case "anthropic":
                return asyncio.run(self._anthropic())

    def _chat(self) -> tuple[str, Calls]:
        function: Any = {"name": "refund_order", "parameters": SCHEMA}
        text, calls = "", list[Any]()
        with (
            openai.OpenAI(**self._arguments(openai.DefaultHttpxClient, "/v1")) as client,
            client.chat.completions.create(
                model="gpt-5-mini",
                messages=self.items,
                tools=[{"type": "function", "function": function}],
                stream=True,
            ) as stream,
        ):
            for chunk in stream:
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    for part in choice.delta.tool_calls or ():
                        made: Any = part.function
                        if part.index == len(calls):
                            begun = {"name": made.name, "arguments": ""}
                            calls.append({"id": part.id, "type": "function", "function": begun})
                        calls[part.index]["function"]["arguments"] += made.arguments or ""
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        self.items.append({**message, "tool_calls": calls} if calls else message)
        return text, [
            (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls
        ]

    def _responses(self) -> tuple[str, Calls]:
        tool: Any = {"type": "function", "name": "refund_order", "parameters": SCHEMA}
        with openai.OpenAI(**self._arguments(openai.DefaultHttpxClient, "/v1")) as client:
            answer = client.responses.create(
                model="gpt-5-mini", input=self.items, tools=[tool], store=False
            )
        self.items += [item.model_dump(exclude_none=True) for item in answer.output]
        return answer.output_text, [
            (item.call_id, item.name, json.loads(item.arguments))
            for item in answer.output
            if item.type == "function_call"
        ]

    async def _anthropic(self) -> tuple[str, Calls]:
        kind = anthropic.DefaultAsyncHttpxClient
        async with anthropic.AsyncAnthropic(**self._arguments(kind, "")) as client:
            message = await client.messages.create(
                model="claude-sonnet-5",
                max_tokens=1000,
                messages=self.items,
                tools=[{"name": "refund_order", "input_schema": SCHEMA}],
            )
        content = [block.model_dump(exclude_none=True) for block in message.content]
        self.items.append({"role": "assistant", "content": content})
        blocks: list[Any] = list(message.content)
        return "".join(b.text for b in blocks if b.type == "text"), [
            (b.id, b.name, b.input) for b in blocks if b.type == "tool_use"
        ]

    def _arguments(self, kind: Callable[..., Any], suffix: str) -> dict[str, Any]:
        return {
            "api_key": "sk-none",
            "max_retries": 0,
            "base_url": self._base + suffix,
            "http_client": kind(
                proxy=self._proxy.credential(self._session), trust_env=False, timeout=60
            ),
        }


class InBackground:
    """An agent that asks in a thread; whatever ends its question is kept."""

    def __init__(self, conversation: Conversation, prompt: str | None = None) -> None:
        self.got: tuple[str, Calls] | None = None
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(conversation, prompt))
        self._thread.start()

    def _run(self, conversation: Conversation, prompt: str | None) -> None:
        try:
            self.got = conversation.ask(prompt)
        except (openai.APIError, anthropic.APIError, httpx.HTTPError) as error:
            self.error = error

    def end(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("how", ["kill", "term"])
def test_hold_outlives_the_process(
    how: str, api: Api, start_proxy: StartProxy, model: ScriptedModel
) -> None:
    """A hold stays pending over kill -9 and SIGTERM; approved after it, the same call passes once."""
    proxy = start_proxy()
    conversation = Conversation(api, proxy, model, "s")
    asking = InBackground(conversation, "refund_order 150")
    hold = proxy.wait_for_hold()
    if how == "kill":
        proxy.kill()
    else:
        assert proxy.stop(signal.SIGTERM) == 0
    asking.end()
    assert asking.got is None or not asking.got[1]
    proxy.start()
    assert proxy.wait_for_hold()["id"] == hold["id"]
    proxy.answer("approve")
    again = Conversation(api, proxy, model, "s")
    _, calls = again.ask("refund_order 150")
    assert [(name, arguments["amount"]) for _, name, arguments in calls] == [("refund_order", 150)]
    third = InBackground(Conversation(api, proxy, model, "s"), "refund_order 150")
    assert proxy.wait_for_hold()["id"] != hold["id"]
    proxy.answer("deny", reason="Once is enough.")
    third.end()
    assert third.got is not None
    assert not third.got[1]
    assert verify([proxy.log]).ok
