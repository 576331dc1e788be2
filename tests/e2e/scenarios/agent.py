"""Small agents on the vendors' own SDKs, with a table of tools that are requests to a tool API.

An agent knows nothing of checkrein: its model and its tools are behind an HTTP proxy, and what it is
told is what any agent would be told. It keeps what it ran and what it heard, for a test to look at.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import anthropic
import httpx
import openai

type Vendor = Literal["openai", "anthropic"]
type Arguments = dict[str, Any]
type Do = Callable[[httpx.Client, Arguments], httpx.Response | str]

SYSTEM = "You do the work that you are given with the tools that you have."
_MAX_TURNS = 60


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its name, and the request that it is. A text as the answer needed no request."""

    name: str
    do: Do
    arguments: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "object", "properties": {name: {} for name in self.arguments}}


def request(method: str, path: str, *, send: Sequence[str] = (), ask: Sequence[str] = ()) -> Do:
    """A tool that is one request: `{name}` in the path, `send` in the body, `ask` in the query."""

    def do(http: httpx.Client, arguments: Arguments) -> httpx.Response:
        body = {name: arguments[name] for name in send if name in arguments}
        query = {name: str(arguments[name]) for name in ask if name in arguments}
        return http.request(
            method, path.format_map(arguments), json=body if send else None, params=query or None
        )

    return do


@dataclass(frozen=True, slots=True)
class Use:
    id: str
    name: str
    arguments: Arguments


class Agent(ABC):
    """Asks the model, runs the tools it asks for, until it asks for none."""

    def __init__(self, tools: Sequence[Tool], http: httpx.Client) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._http = http
        self.ran: list[str] = []  # tools that were really called
        self.heard: list[str] = []  # what came back from them

    def say(self, prompt: str) -> str:
        """Runs the agent on one message of its user; returns the model's last text."""
        self._add_user(prompt)
        for _ in range(_MAX_TURNS):
            text, uses = self._ask()
            if not uses:
                return text
            self._add_results([(use.id, *self._use(use)) for use in uses])
        raise AssertionError(f"the agent did not come to an end in {_MAX_TURNS} turns")

    def replace(self, tool: Tool) -> None:
        """Does something else under a tool's name, without the model's knowledge."""
        self._tools[tool.name] = tool

    def _use(self, use: Use) -> tuple[str, bool]:
        """Runs a tool; returns its result and whether it failed."""
        self.ran.append(use.name)
        answer = self._tools[use.name].do(self._http, use.arguments)
        if isinstance(answer, str):
            text, failed = answer, False
        elif answer.headers.get("content-type", "").startswith("application/problem+json"):
            text, failed = str(answer.json()["detail"]), True  # RFC 9457
        else:
            text, failed = answer.text, answer.is_error
        self.heard.append(text)
        return text, failed

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def _add_user(self, prompt: str) -> None: ...

    @abstractmethod
    def _ask(self) -> tuple[str, list[Use]]: ...

    @abstractmethod
    def _add_results(self, results: list[tuple[str, str, bool]]) -> None: ...


class OpenAIAgent(Agent):
    """On `openai`, Chat Completions."""

    def __init__(
        self, model_url: str, through: str, tools: Sequence[Tool], http: httpx.Client
    ) -> None:
        super().__init__(tools, http)
        self._client = openai.OpenAI(
            api_key="sk-test",
            base_url=model_url + "/v1",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(proxy=through, trust_env=False, timeout=60),
        )
        self._messages: list[Any] = [{"role": "system", "content": SYSTEM}]
        self._offered: list[Any] = [
            {"type": "function", "function": {"name": tool.name, "parameters": tool.schema}}
            for tool in tools
        ]

    def close(self) -> None:
        self._client.close()

    def _add_user(self, prompt: str) -> None:
        self._messages.append({"role": "user", "content": prompt})

    def _ask(self) -> tuple[str, list[Use]]:
        answer = self._client.chat.completions.create(
            model="gpt-5-mini", messages=self._messages, tools=self._offered
        )
        message = answer.choices[0].message
        self._messages.append(message.model_dump(exclude_none=True))
        calls: list[Any] = list(message.tool_calls or ())
        uses = [Use(c.id, c.function.name, json.loads(c.function.arguments)) for c in calls]
        return message.content or "", uses

    def _add_results(self, results: list[tuple[str, str, bool]]) -> None:
        for call_id, text, _ in results:
            self._messages.append({"role": "tool", "tool_call_id": call_id, "content": text})


class AnthropicAgent(Agent):
    """On `anthropic`, Messages, streaming."""

    def __init__(
        self, model_url: str, through: str, tools: Sequence[Tool], http: httpx.Client
    ) -> None:
        super().__init__(tools, http)
        self._client = anthropic.Anthropic(
            api_key="sk-test",
            base_url=model_url,
            max_retries=0,
            http_client=anthropic.DefaultHttpxClient(proxy=through, trust_env=False, timeout=60),
        )
        self._messages: list[Any] = []
        self._offered: list[Any] = [
            {"name": tool.name, "input_schema": tool.schema} for tool in tools
        ]

    def close(self) -> None:
        self._client.close()

    def _add_user(self, prompt: str) -> None:
        self._messages.append({"role": "user", "content": prompt})

    def _ask(self) -> tuple[str, list[Use]]:
        with self._client.messages.stream(
            model="claude-sonnet-5",
            max_tokens=4096,
            system=SYSTEM,
            messages=self._messages,
            tools=self._offered,
        ) as stream:
            message = stream.get_final_message()
        content: list[Any] = [block.model_dump(exclude_none=True) for block in message.content]
        self._messages.append({"role": "assistant", "content": content})
        text = "".join(block["text"] for block in content if block["type"] == "text")
        uses = [
            Use(block["id"], block["name"], block["input"])
            for block in content
            if block["type"] == "tool_use"
        ]
        return text, uses

    def _add_results(self, results: list[tuple[str, str, bool]]) -> None:
        content = [
            {"type": "tool_result", "tool_use_id": call_id, "content": text, "is_error": failed}
            for call_id, text, failed in results
        ]
        self._messages.append({"role": "user", "content": content})


AGENTS: dict[Vendor, type[OpenAIAgent] | type[AnthropicAgent]] = {
    "openai": OpenAIAgent,
    "anthropic": AnthropicAgent,
}
