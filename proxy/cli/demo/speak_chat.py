"""OpenAI Chat Completions as the demo's model speaks it.

Frames follow streams recorded in 2025 and 2026 (a nameless event a chunk, `obfuscation`, a `usage`
chunk with no choices when asked for, `[DONE]`). The order of messages is checked as the API does:
https://platform.openai.com/docs/guides/function-calling (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.cli.demo.speech import Answer, Ask, History, Ids, Rejected, Turn, compact, count, pieces
from proxy.cli.demo.speech import rejects as reject_if
from proxy.model import Json

CREATED = 1_793_000_000


class ChatSpeaker:
    """Speaks POST /v1/chat/completions. It keeps no state: every request carries its history."""

    name = "openai.chat"
    path = "/v1/chat/completions"

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def headers(self) -> Mapping[str, str]:
        return {"openai-version": "2020-10-01", "x-request-id": self._ids.hex("req_", 32)}

    def read(self, body: dict[str, Json]) -> History:
        messages: Json = body.get("messages")
        reject_if(
            not isinstance(messages, list),
            "Missing required parameter: 'messages'.",
            param="messages",
            code="missing_required_parameter",
        )
        reject_if(
            not messages,
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an "
            "empty array instead.",
            param="messages",
            code="empty_array",
        )
        return _Reader().read(messages)

    def answer(self, turn: Turn, body: dict[str, Json]) -> Answer:
        calls = [_call(one, self._ids) for one in turn.calls]
        message: dict[str, Json] = {"role": "assistant", "content": turn.text or None}
        if calls:
            message["tool_calls"] = calls
        message |= {"refusal": None, "annotations": []}
        finish = "tool_calls" if calls else "stop"
        head = {
            "id": self._ids.mixed("chatcmpl-", 29),
            "object": "chat.completion",
            "created": CREATED,
            "model": f"{body.get('model', 'gpt-5-mini')}-2025-08-07",
        }
        said = count(turn.text) + sum(count(one.arguments) for one in turn.calls)
        usage = _usage(count(str(body["messages"])), said)
        tail = {"service_tier": "default", "system_fingerprint": "fp_cbf1785567"}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        document = {**head, "choices": [choice], "usage": usage, **tail}
        chunk_head = {**head, "object": "chat.completion.chunk", **tail}
        wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        frames = list(self._frames(turn, calls, finish, chunk_head, usage if wants_usage else None))
        return Answer(document, frames)

    def error(self, rejected: Rejected) -> dict[str, Json]:
        return openai_error(rejected)

    def _frames(
        self,
        turn: Turn,
        calls: list[dict[str, Json]],
        finish: str,
        head: dict[str, Json],
        usage: dict[str, Json] | None,
    ) -> Iterator[bytes]:
        def frame(choices: list[Json], used: Json = None) -> bytes:
            chunk = {**head, "choices": choices}
            if usage is not None:
                chunk["usage"] = used
            chunk["obfuscation"] = self._ids.mixed("", 4 + len(choices) * 5)
            return b"data: " + compact(chunk) + b"\n\n"

        def delta(change: dict[str, Json], end: str | None = None) -> bytes:
            return frame([{"index": 0, "delta": change, "logprobs": None, "finish_reason": end}])

        opening = {"role": "assistant", "content": "" if turn.text else None, "refusal": None}
        yield delta(opening)
        for piece in pieces(turn.text):
            yield delta({"content": piece})
        for index, call in enumerate(calls):
            function = call["function"]
            started = {**call, "function": {"name": function["name"], "arguments": ""}}
            yield delta({"tool_calls": [{"index": index, **started}]})
            for piece in pieces(function["arguments"]):
                yield delta({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        yield delta({}, finish)
        if usage is not None:
            yield frame([], usage)
        yield b"data: [DONE]\n\n"


def openai_error(rejected: Rejected) -> dict[str, Json]:
    return {
        "error": {
            "message": rejected.message,
            "type": "invalid_request_error",
            "param": rejected.param,
            "code": rejected.code,
        }
    }


def text_of(content: Json) -> str:
    """Returns the text of a content value: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts)


class _Reader:
    """Walks the messages once; `open` are the calls of the newest assistant turn without a result."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.turns = 0
        self.user = ""
        self.results: list[str] = []
        self.fresh: list[str] = []

    def read(self, messages: list[Any]) -> History:
        for at, message in enumerate(messages):
            role = message.get("role")
            if role == "tool":
                self._result(at, message)
                continue
            self._all_answered(at)
            if role == "assistant":
                self._assistant(at, message)
            elif role == "user":
                self.user, self.fresh = text_of(message.get("content")), []
            else:
                reject_if(
                    role not in ("system", "developer"),
                    f"Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', "
                    "'function', 'tool', and 'developer'.",
                    param=f"messages[{at}].role",
                    code="invalid_value",
                )
        self._all_answered(len(messages))
        return History(self.turns, self.user, tuple(self.results), tuple(self.fresh))

    def _result(self, at: int, message: dict[str, Json]) -> None:
        call_id = message.get("tool_call_id")
        reject_if(
            call_id not in self.open,
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
            "message with 'tool_calls'.",
            param=f"messages.[{at}].role",
        )
        reject_if(
            not isinstance(message.get("content"), str | list),
            f"Invalid value for 'content': expected a string, got null. (messages[{at}])",
            param=f"messages.[{at}].content",
        )
        self.open.remove(str(call_id))
        text = text_of(message["content"])
        self.results.append(text)
        self.fresh.append(text)

    def _assistant(self, at: int, message: dict[str, Json]) -> None:
        self.turns += 1
        calls = message.get("tool_calls")
        reject_if(
            calls == [],
            f"Invalid 'messages[{at}].tool_calls': empty array. Expected an array with minimum "
            "length 1, but got an empty array instead.",
            param=f"messages[{at}].tool_calls",
            code="empty_array",
        )
        reject_if(
            not calls and message.get("content") is None,
            "Invalid value for 'content': expected a string, got null.",
            param=f"messages.[{at}].content",
        )
        for index, call in enumerate(calls or []):
            where = f"messages[{at}].tool_calls[{index}]"
            reject_if(
                not isinstance(call.get("function", {}).get("arguments"), str),
                f"Missing required parameter: '{where}.function.arguments'.",
                param=f"{where}.function.arguments",
                code="missing_required_parameter",
            )
            reject_if(
                call.get("id") in self.open,
                f"Duplicate value for 'tool_call_id' of '{call.get('id')}' in message[{at}].",
                param="messages",
            )
            self.open.append(str(call.get("id")))

    def _all_answered(self, at: int) -> None:
        reject_if(
            bool(self.open),
            "An assistant message with 'tool_calls' must be followed by tool messages responding to "
            "each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(self.open),
            param=f"messages.[{at}].role",
        )


def _call(one: Ask, ids: Ids) -> dict[str, Json]:
    function = {"name": one.name, "arguments": one.arguments}
    return {"id": one.id or ids.mixed("call_", 24), "type": "function", "function": function}


def _usage(read: int, said: int) -> dict[str, Json]:
    return {
        "prompt_tokens": read,
        "completion_tokens": said,
        "total_tokens": read + said,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
