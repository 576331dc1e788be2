"""An async agent, and the strict model in other forms: legacy, custom tools, behind a certificate.

A translation around the usual speakers: what they answer is turned into the other form, what they
are sent is turned back and then checked as ever. A result in a form that does not belong to its
call is refused, as the APIs refuse it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speak_chat import ChatSpeaker
from proxy.cli.demo.speak_responses import ResponsesSpeaker
from proxy.cli.demo.speech import Answer, History, Rejected, Script, Turn, compact
from proxy.model import Json

type Api = Literal["chat", "responses", "anthropic"]

SCHEMA = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}},
}
NAMES = ("look_up", "forbidden", "refund_order")


def _frames(answer: Answer, change: Callable[[dict[str, Json]], dict[str, Json]]) -> list[bytes]:
    """The answer's frames with every event's JSON changed."""
    made = []
    for frame in answer.frames:
        head, _, data = frame.partition(b"data: ")
        if data.strip() != b"[DONE]":
            data = compact(change(json.loads(data))) + b"\n\n"
        made.append(head + b"data: " + data)
    return made


class LegacyChat(ChatSpeaker):
    """Chat as it was before tools: one `function_call` without an id, results by name."""

    def read(self, body: dict[str, Json]) -> History:
        messages: list[Json] = []
        for at, message in enumerate(body["messages"]):
            if message.get("tool_calls") or message["role"] == "tool":
                raise Rejected(f"messages[{at}]: this model knows no tools")
            call = message.get("function_call")
            if call is not None:
                entry = {"id": f"{call['name']}", "type": "function", "function": call}
                message = {**message, "tool_calls": [entry]}
            elif message["role"] == "function":
                message = {**message, "role": "tool", "tool_call_id": message["name"]}
            messages.append(message)
        return super().read({**body, "messages": messages})

    def answer(self, turn: Turn, body: dict[str, Json]) -> Answer:
        answer = super().answer(turn, body)
        return Answer(_legacy(answer.document), _frames(answer, _legacy))


def _legacy(document: dict[str, Json]) -> dict[str, Json]:
    for choice in document["choices"]:
        part: dict[str, Json] = choice.get("message") or choice.get("delta") or {}
        for entry in part.pop("tool_calls", []):
            part["function_call"] = entry["function"]
        if choice["finish_reason"] == "tool_calls":
            choice["finish_reason"] = "function_call"
    return document


class CustomChat(ChatSpeaker):
    """Chat with custom tools: `tool_calls` of type custom, whose input is free text."""

    def read(self, body: dict[str, Json]) -> History:
        messages: list[Json] = []
        for at, message in enumerate(body["messages"]):
            calls: list[dict[str, Json]] = []
            for entry in message.get("tool_calls") or []:
                if entry.get("type") != "custom" or "function" in entry:
                    raise Rejected(f"messages[{at}].tool_calls: expected custom")
                custom = entry["custom"]
                function = {"name": custom["name"], "arguments": custom["input"]}
                calls.append({"id": entry["id"], "type": "function", "function": function})
            messages.append({**message, "tool_calls": calls} if calls else message)
        return super().read({**body, "messages": messages})

    def answer(self, turn: Turn, body: dict[str, Json]) -> Answer:
        answer = super().answer(turn, body)
        return Answer(_custom(answer.document), _frames(answer, _custom))


def _custom(document: dict[str, Json]) -> dict[str, Json]:
    for choice in document["choices"]:
        part: dict[str, Json] = choice.get("message") or choice.get("delta") or {}
        for entry in part.get("tool_calls") or []:
            function = entry.pop("function")
            entry["custom"] = {"input": function.pop("arguments"), **function}
            if "type" in entry:
                entry["type"] = "custom"
    return document


class CustomResponses(ResponsesSpeaker):
    """Responses with custom tools: items of their own, and results of their own."""

    def read(self, body: dict[str, Json]) -> History:
        return super().read({**body, "input": [_plain(item) for item in body["input"]]})

    def answer(self, turn: Turn, body: dict[str, Json]) -> Answer:
        answer = super().answer(turn, {**body, "input": [_plain(item) for item in body["input"]]})
        document = _custom_event({"response": answer.document})["response"]
        return Answer(document, _frames(answer, _custom_event))


def _plain(item: dict[str, Json]) -> dict[str, Json]:
    match item.get("type"):
        case "custom_tool_call":
            own = {k: v for k, v in item.items() if k != "input"}
            made = {**own, "type": "function_call", "arguments": item["input"]}
            if item.get("id") is not None:
                made["id"] = item["id"].replace("ctc_", "fc_", 1)
            return made
        case "custom_tool_call_output":
            return {**item, "type": "function_call_output"}
        case "function_call" | "function_call_output" as kind:
            raise Rejected(f"No custom tool call found for {kind} {item.get('call_id')}.")
    return item


def _custom_event(event: dict[str, Json]) -> dict[str, Json]:
    items = [event["item"]] if "item" in event else []
    items += event.get("response", {}).get("output", [])
    for item in items:
        if item["type"] == "function_call":
            item |= {"type": "custom_tool_call", "input": item.pop("arguments")}
            item["id"] = item["id"].replace("fc_", "ctc_", 1)
    kind = event.get("type", "")
    if ".function_call_arguments." in kind:
        event["type"] = kind.replace("function_call_arguments", "custom_tool_call_input")
        event["item_id"] = event["item_id"].replace("fc_", "ctc_", 1)
        if "arguments" in event:
            event["input"] = event.pop("arguments")
    return event


class LegacyModel(ScriptedModel):
    chat = LegacyChat


class CustomModel(ScriptedModel):
    chat = CustomChat
    responses = CustomResponses


class TlsModel(ScriptedModel):
    """The usual forms, behind a certificate as real upstreams are."""

    def __init__(self, script: Script, certificate: Path) -> None:
        super().__init__(script)
        config = self._server.config
        config.ssl_certfile = config.ssl_keyfile = str(certificate)  # key and chain in one file
        self.url = f"https://127.0.0.1:{self.port}"


@dataclass(slots=True)
class Agent:
    """One task on a shared client; its history is what the SDK gave it."""

    api: Api
    client: Any
    name: str
    stream: bool
    server_state: Literal["previous", "conversation"] | None = None  # of Responses
    items: list[Any] = field(default_factory=list)
    where: dict[str, Any] = field(default_factory=dict)  # what names the API's own history

    async def say(self, word: str) -> tuple[str, list[tuple[str, str]]]:
        """Returns the answer's text and its calls (id, name)."""
        self.items.append({"role": "user", "content": f"{word} {self.name}"})
        return await self._ask()

    async def give(self, call_id: str, result: str) -> tuple[str, list[tuple[str, str]]]:
        made: dict[str, Any]
        match self.api:
            case "chat":
                made = {"role": "tool", "tool_call_id": call_id, "content": result}
            case "responses":
                made = {"type": "function_call_output", "call_id": call_id, "output": result}
            case "anthropic":
                block = {"type": "tool_result", "tool_use_id": call_id, "content": result}
                made = {"role": "user", "content": [block]}
        self.items.append(made)
        return await self._ask()

    async def _ask(self) -> tuple[str, list[tuple[str, str]]]:
        headers = {"X-Checkrein-Session": self.name}
        match self.api:
            case "chat":
                functions = [{"name": name, "parameters": SCHEMA} for name in NAMES]
                tools = [{"type": "function", "function": one} for one in functions]
                answer = await self._answer(
                    self.client.chat.completions, "messages", tools, "completion", headers
                )
                message = answer.choices[0].message
                self.items.append(message.model_dump(exclude_none=True, exclude={"parsed"}))
                calls = [(c.id, c.function.name) for c in message.tool_calls or ()]
                return message.content or "", calls
            case "responses":
                tools = [{"type": "function", "name": n, "parameters": SCHEMA} for n in NAMES]
                answer = await self._answer(
                    self.client.responses,
                    "input",
                    tools,
                    "response",
                    headers,
                    **await self._history(),
                )
                if self.server_state is None:
                    self.items += [item.model_dump(exclude_none=True) for item in answer.output]
                elif self.server_state == "previous":
                    self.items, self.where = [], {"previous_response_id": answer.id}
                else:
                    self.items = []
                made = [item for item in answer.output if item.type == "function_call"]
                return answer.output_text, [(item.call_id, item.name) for item in made]
            case "anthropic":
                tools = [{"name": name, "input_schema": SCHEMA} for name in NAMES]
                answer = await self._answer(
                    self.client.messages,
                    "messages",
                    tools,
                    "message",
                    headers,
                    max_tokens=4096,
                    thinking={"type": "enabled", "budget_tokens": 1024},
                )
                self.items.append({"role": "assistant", "content": answer.content})
                text = "".join(b.text for b in answer.content if b.type == "text")
                return text, [(b.id, b.name) for b in answer.content if b.type == "tool_use"]

    async def _history(self) -> dict[str, Any]:
        if self.server_state is None:
            return {"store": False, "include": ["reasoning.encrypted_content"]}
        if self.server_state == "conversation" and not self.where:
            self.where = {"conversation": (await self.client.conversations.create()).id}
        return self.where

    async def _answer(
        self,
        endpoint: Any,
        history: str,
        tools: list[dict[str, Any]],
        whole: str,
        headers: dict[str, str],
        **more: Any,
    ) -> Any:
        request = {"model": "m-1", history: self.items, "tools": tools, **more}
        if not self.stream:
            return await endpoint.create(**request, extra_headers=headers)
        async with endpoint.stream(**request, extra_headers=headers) as events:
            return await getattr(events, f"get_final_{whole}")()
