"""Three small agents, one a model API, on the vendors' own SDKs, streaming.

An agent knows one tool, `refund_order`, which is an HTTP request to the billing API. Its model and
its tool traffic both take the given proxy. It knows nothing of checkrein: what it is told is what
any agent would be told.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from proxy.errors import ConfigurationError
from proxy.model import Json

type Api = Literal["chat", "responses", "anthropic"]
type OnStep = Callable[[str, str], None]
"""Told of each step: "text" (the model spoke), "call" (it asked for a tool), "result"."""

SYSTEM = "You work at a support desk. Refund what the customer is owed."
DESCRIPTION = "Refund an order, in EUR."
PARAMETERS: dict[str, Json] = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}},
    "required": ["order_id", "amount"],
    "additionalProperties": False,
}
_TIMEOUT_S = 600.0
_MAX_TURNS = 20


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are. `proxy_url` may carry a credential: http://user:password@host:port."""

    model_url: str
    billing_url: str
    proxy_url: str | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(slots=True)
class Reply:
    """One model answer as an agent sees it."""

    text: str = ""
    uses: list[ToolUse] = field(default_factory=list)


class Agent(ABC):
    """Asks the model, runs the tools it asks for, until it asks for none."""

    def __init__(self, places: Places, on_step: OnStep) -> None:
        self._places = places
        self._on_step = on_step
        # Only the proxy that is named: the machine's own proxy settings are not the demo's.
        self._http = httpx.Client(proxy=places.proxy_url, trust_env=False, timeout=_TIMEOUT_S)

    def say(self, prompt: str) -> str:
        """Runs the agent on one message of its user; returns the model's last text."""
        self._add_user(prompt)
        for _ in range(_MAX_TURNS):
            reply = self._ask()
            if reply.text:
                self._on_step("text", reply.text)
            if not reply.uses:
                return reply.text
            results: list[tuple[str, str, bool]] = []
            for use in reply.uses:
                self._on_step("call", f"{use.name} {json.dumps(use.arguments)}")
                text, failed = self._use(use)
                self._on_step("result", text)
                results.append((use.id, text, failed))
            self._add_results(results)
        raise RuntimeError(f"the agent did not come to an end in {_MAX_TURNS} turns")

    def close(self) -> None:
        self._http.close()

    def _use(self, use: ToolUse) -> tuple[str, bool]:
        """Runs a tool; returns its result and whether it failed."""
        if use.name != "refund_order":
            return f"unknown tool {use.name}", True
        url = f"{self._places.billing_url}/v1/refunds/{use.arguments['order_id']}"
        answer = self._http.post(url, json={"amount": use.arguments["amount"]})
        if answer.headers.get("content-type", "").startswith("application/problem+json"):
            problem = answer.json()  # RFC 9457
            return str(problem.get("detail") or problem.get("title")), True
        return answer.text, answer.is_error

    @abstractmethod
    def _add_user(self, prompt: str) -> None: ...

    @abstractmethod
    def _ask(self) -> Reply: ...

    @abstractmethod
    def _add_results(self, results: list[tuple[str, str, bool]]) -> None: ...


def _no_sdk(package: str) -> ConfigurationError:
    return ConfigurationError(
        f"the demo's agent speaks through the vendor's SDK, and '{package}' is not installed; "
        "install it with: pip install 'checkrein[demo]'"
    )


def _client_arguments(vendor: Any, places: Places, suffix: str) -> dict[str, Any]:
    return {
        "api_key": "sk-demo-no-key-needed",
        "base_url": places.model_url + suffix,
        # The SDK's own class: which httpx it is built on changed between versions.
        "http_client": vendor.DefaultHttpxClient(
            proxy=places.proxy_url, trust_env=False, timeout=_TIMEOUT_S
        ),
    }


class ChatAgent(Agent):
    """On `openai`, Chat Completions."""

    def __init__(self, places: Places, on_step: OnStep) -> None:
        try:
            import openai
        except ImportError as error:
            raise _no_sdk("openai") from error
        super().__init__(places, on_step)
        self._client = openai.OpenAI(**_client_arguments(openai, places, "/v1"))
        self._messages: list[Any] = [{"role": "system", "content": SYSTEM}]

    def close(self) -> None:
        super().close()
        self._client.close()

    def _add_user(self, prompt: str) -> None:
        self._messages.append({"role": "user", "content": prompt})

    def _ask(self) -> Reply:
        function: Any = {
            "name": "refund_order",
            "description": DESCRIPTION,
            "parameters": PARAMETERS,
        }
        reply = Reply()
        calls: list[dict[str, Any]] = []
        with self._client.chat.completions.create(
            model="gpt-5-mini",
            messages=self._messages,
            tools=[{"type": "function", "function": function}],
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            for chunk in stream:
                for choice in chunk.choices:
                    reply.text += choice.delta.content or ""
                    for part in choice.delta.tool_calls or ():
                        made = part.function
                        if part.index == len(calls):
                            begun = {"name": made.name if made else None, "arguments": ""}
                            calls.append({"id": part.id, "type": "function", "function": begun})
                        if made and made.arguments:
                            calls[part.index]["function"]["arguments"] += made.arguments
        message: dict[str, Json] = {"role": "assistant", "content": reply.text or None}
        if calls:
            message["tool_calls"] = calls
        if calls or reply.text:
            self._messages.append(message)
        for call in calls:
            asked = call["function"]
            reply.uses.append(ToolUse(call["id"], asked["name"], json.loads(asked["arguments"])))
        return reply

    def _add_results(self, results: list[tuple[str, str, bool]]) -> None:
        for call_id, text, _ in results:
            self._messages.append({"role": "tool", "tool_call_id": call_id, "content": text})


class ResponsesAgent(Agent):
    """On `openai`, Responses; the history is kept here, or with `server_state` by the API."""

    def __init__(self, places: Places, on_step: OnStep, *, server_state: bool = False) -> None:
        try:
            import openai
        except ImportError as error:
            raise _no_sdk("openai") from error
        super().__init__(places, on_step)
        self._client = openai.OpenAI(**_client_arguments(openai, places, "/v1"))
        self._server_state = server_state
        self._previous: str | None = None
        self._items: list[Any] = []

    def close(self) -> None:
        super().close()
        self._client.close()

    def _add_user(self, prompt: str) -> None:
        self._items.append({"role": "user", "content": prompt})

    def _ask(self) -> Reply:
        arguments: dict[str, Any] = {"store": False, "include": ["reasoning.encrypted_content"]}
        if self._server_state:
            arguments = {"previous_response_id": self._previous} if self._previous else {}
        tool: Any = {
            "type": "function",
            "name": "refund_order",
            "description": DESCRIPTION,
            "parameters": PARAMETERS,
            "strict": True,
        }
        reply = Reply()
        output: list[Any] = []
        with self._client.responses.create(
            model="gpt-5-mini",
            instructions=SYSTEM,
            input=self._items,
            tools=[tool],
            stream=True,
            **arguments,
        ) as stream:
            for event in stream:
                if event.type == "response.output_item.done":
                    output.append(event.item)
                elif event.type == "response.completed":
                    self._previous = event.response.id
        for item in output:
            if item.type == "message":
                reply.text += "".join(getattr(part, "text", "") for part in item.content)
            elif item.type == "function_call":
                reply.uses.append(ToolUse(item.call_id, item.name, json.loads(item.arguments)))
        if self._server_state:
            self._items = []
        else:
            self._items += [item.model_dump(exclude_none=True) for item in output]
        return reply

    def _add_results(self, results: list[tuple[str, str, bool]]) -> None:
        for call_id, text, _ in results:
            self._items.append({"type": "function_call_output", "call_id": call_id, "output": text})


class AnthropicAgent(Agent):
    """On `anthropic`, Messages; thinking blocks go back as they came."""

    def __init__(self, places: Places, on_step: OnStep) -> None:
        try:
            import anthropic
        except ImportError as error:
            raise _no_sdk("anthropic") from error
        super().__init__(places, on_step)
        self._client = anthropic.Anthropic(**_client_arguments(anthropic, places, ""))
        self._messages: list[Any] = []

    def close(self) -> None:
        super().close()
        self._client.close()

    def _add_user(self, prompt: str) -> None:
        self._messages.append({"role": "user", "content": prompt})

    def _ask(self) -> Reply:
        tool: Any = {
            "name": "refund_order",
            "description": DESCRIPTION,
            "input_schema": PARAMETERS,
        }
        with self._client.messages.stream(
            model="claude-sonnet-5",
            max_tokens=4096,
            system=SYSTEM,
            messages=self._messages,
            tools=[tool],
        ) as stream:
            message = stream.get_final_message()
        reply = Reply()
        content: list[Any] = []
        for block in message.content:
            match block.type:
                case "text":
                    reply.text += block.text
                    content.append({"type": "text", "text": block.text})
                case "tool_use":
                    given: Any = block.input
                    reply.uses.append(ToolUse(block.id, block.name, given))
                    content.append(
                        {"type": "tool_use", "id": block.id, "name": block.name, "input": given}
                    )
                case _:
                    content.append(block.model_dump(exclude_none=True))
        if content:
            self._messages.append({"role": "assistant", "content": content})
        return reply

    def _add_results(self, results: list[tuple[str, str, bool]]) -> None:
        content = [
            {"type": "tool_result", "tool_use_id": call_id, "content": text, "is_error": failed}
            for call_id, text, failed in results
        ]
        self._messages.append({"role": "user", "content": content})


def agent_for(api: Api, places: Places, on_step: OnStep) -> Agent:
    """Returns the agent that speaks this API.

    Raises:
        ConfigurationError: the vendor's SDK is not installed; the message says what to install.
    """
    match api:
        case "chat":
            return ChatAgent(places, on_step)
        case "responses":
            return ResponsesAgent(places, on_step)
        case "anthropic":
            return AnthropicAgent(places, on_step)
