"""OpenAI Responses as the demo's model speaks it: the server side of a conversation's state.

What a request names (`previous_response_id`, `conversation`) is put in front of its input, and the
whole is checked by `responses_history`. Frames are in `responses.frames`.
https://platform.openai.com/docs/guides/conversation-state (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.cli.demo.responses_frames import frames_of
from proxy.cli.demo.responses_history import Issued, read_items
from proxy.cli.demo.speak_chat import CREATED, openai_error
from proxy.cli.demo.speech import Answer, History, Ids, Rejected, Turn, count
from proxy.cli.demo.speech import rejects as reject_if
from proxy.model import Json

type Items = list[dict[str, Json]]


class ResponsesSpeaker:
    """Speaks POST /v1/responses, with stored responses and conversations."""

    name = "openai.responses"
    path = "/v1/responses"

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._tail = ids.hex("", 32)  # real item ids share their response's ending
        self._issued = Issued()
        self._stored: dict[str, Items] = {}  # response id: all items up to and with its output
        self._conversations: dict[str, Items] = {}

    def headers(self) -> Mapping[str, str]:
        return {"openai-version": "2020-10-01", "x-request-id": self._ids.hex("req_", 32)}

    def open_conversation(self) -> dict[str, Json]:
        """Answers POST /v1/conversations."""
        made = self._ids.hex("conv_", 48)
        self._conversations[made] = []
        return {"id": made, "object": "conversation", "created_at": CREATED, "metadata": {}}

    def read(self, body: dict[str, Json]) -> History:
        given = body.get("input")
        reject_if(
            not isinstance(given, str | list),
            "Missing required parameter: 'input'.",
            param="input",
            code="missing_required_parameter",
        )
        return read_items(self._state(body) + _items(given), self._issued)

    def answer(self, turn: Turn, body: dict[str, Json]) -> Answer:
        output = self._output(turn, body)
        read, said = count(str(body["input"])), sum(count(str(item)) for item in output)
        thought = count(turn.thinking) if turn.thinking is not None else 0
        stored = body.get("store") is not False
        document: dict[str, Json] = {
            "id": self._ids.hex("resp_", 48),
            "object": "response",
            "created_at": CREATED,
            "status": "completed",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": None,
            "max_tool_calls": None,
            "model": f"{body.get('model', 'gpt-5-mini')}-2025-08-07",
            "output": output,
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": body.get("previous_response_id"),
            "prompt_cache_key": body.get("prompt_cache_key"),
            "reasoning": {"effort": "medium", "summary": "detailed"},
            "safety_identifier": None,
            "service_tier": "default",
            "store": stored,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": "auto",
            "tools": body.get("tools") or [],
            "top_logprobs": 0,
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": {
                "input_tokens": read,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": said,
                "output_tokens_details": {"reasoning_tokens": thought},
                "total_tokens": read + said,
            },
            "user": None,
            "metadata": {},
        }
        self._issued.add(output, stored=stored)
        everything = self._state(body) + _items(body["input"]) + output
        if stored:
            self._stored[document["id"]] = everything
        if conversation := _conversation_id(body):
            document["conversation"] = {"id": conversation}
            self._conversations[conversation] = everything
        return Answer(document, frames_of(document, self._ids))

    def error(self, rejected: Rejected) -> dict[str, Json]:
        return openai_error(rejected)

    def _state(self, body: dict[str, Json]) -> Items:
        previous, conversation = body.get("previous_response_id"), _conversation_id(body)
        if previous:
            reject_if(
                bool(conversation),
                "Mutually exclusive parameters: 'previous_response_id' and 'conversation'.",
                code="mutually_exclusive_parameters",
            )
            reject_if(
                previous not in self._stored,
                f"Previous response with id '{previous}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
            return self._stored[previous]
        if conversation:
            reject_if(
                conversation not in self._conversations,
                f"Conversation with id '{conversation}' not found.",
                status=404,
            )
            return self._conversations[conversation]
        return []

    def _output(self, turn: Turn, body: dict[str, Json]) -> Items:
        output: Items = []
        if turn.thinking is not None:
            reasoning: dict[str, Json] = {
                "id": self._item("rs_"),
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": turn.thinking}],
            }
            if "reasoning.encrypted_content" in (body.get("include") or ()):
                reasoning["encrypted_content"] = self._ids.mixed("gAAAAAB", 160)
            output.append(reasoning)
        if turn.text:
            part = {
                "type": "output_text",
                "annotations": [],
                "logprobs": [],
                "text": turn.text,
            }
            output.append(
                {
                    "id": self._item("msg_"),
                    "type": "message",
                    "status": "completed",
                    "content": [part],
                    "role": "assistant",
                }
            )
        for one in turn.calls:
            output.append(
                {
                    "id": self._item("fc_"),
                    "type": "function_call",
                    "status": "completed",
                    "arguments": one.arguments,
                    "call_id": one.id or self._ids.mixed("call_", 24),
                    "name": one.name,
                }
            )
        return output

    def _item(self, prefix: str) -> str:
        return self._ids.hex(prefix, 18) + self._tail


def _items(given: Json) -> Items:
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return list(given)


def _conversation_id(body: dict[str, Json]) -> str | None:
    named = body.get("conversation")
    found = named.get("id") if isinstance(named, dict) else named
    return str(found) if found else None
