"""Anthropic Messages as the demo's model speaks it.

Frames follow streams recorded in 2026 (`event` lines, a `ping` behind the first block's start,
padding behind the JSON). Histories are checked as the API does: every `tool_use` has exactly one
`tool_result` at the head of the next user message, thinking blocks come back unchanged.
https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls (read 2026-11).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.cli.demo.speak_chat import text_of
from proxy.cli.demo.speech import Answer, History, Ids, Rejected, Turn, compact, count, pieces
from proxy.cli.demo.speech import rejects as reject_if
from proxy.model import Json


class AnthropicSpeaker:
    """Speaks POST /v1/messages. It remembers the signatures it gave, nothing else."""

    name = "anthropic.messages"
    path = "/v1/messages"

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._signed: dict[str, str] = {}  # signature: the thinking it was given for

    def headers(self) -> Mapping[str, str]:
        return {"request-id": self._ids.mixed("req_011", 21), "cache-control": "no-cache"}

    def read(self, body: dict[str, Json]) -> History:
        for key in ("model", "max_tokens", "messages"):
            reject_if(key not in body, f"{key}: Field required")
        messages = body["messages"]
        reject_if(not messages, "messages: at least one message is required")
        turns, user = 0, ""
        results: list[str] = []
        fresh: list[str] = []
        asked: list[str] = []
        for at, message in enumerate(messages):
            role, blocks = message.get("role"), _blocks(message.get("content"))
            reject_if(
                role not in ("user", "assistant"),
                f"messages.{at}.role: Input should be 'user' or 'assistant'",
            )
            last = at == len(messages) - 1
            reject_if(
                not blocks and not (last and role == "assistant"),
                f"messages.{at}: all messages must have non-empty content except for the optional "
                "final assistant message",
            )
            reject_if(
                any(b.get("type") == "text" and not b.get("text") for b in blocks),
                "messages: text content blocks must be non-empty",
            )
            answers = self._results(at, blocks, asked if role == "user" else [])
            self._all_answered(at - 1, asked, answers)
            asked = []
            results += answers.values()
            fresh += answers.values()
            if role == "assistant":
                turns += 1
                asked = self._assistant(at, blocks)
                first = blocks[0].get("type") if blocks else None
                reject_if(
                    bool(asked)
                    and (body.get("thinking") or {}).get("type") == "enabled"
                    and at == len(messages) - 2
                    and first not in ("thinking", "redacted_thinking"),
                    f"messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but "
                    f"found `{first}`. When `thinking` is enabled, a final `assistant` message must "
                    "start with a thinking block (preceeding the lastmost set of `tool_use` and "
                    "`tool_result` blocks).",
                )
            elif text := text_of([b for b in blocks if b.get("type") == "text"]):
                user, fresh = text, []
        self._all_answered(len(messages) - 1, asked, {})
        return History(turns, user, tuple(results), tuple(fresh))

    def answer(self, turn: Turn, body: dict[str, Json]) -> Answer:
        content: list[dict[str, Json]] = []
        if turn.thinking is not None:
            content.append(self._thinking(turn.thinking))
        if turn.text:
            content.append({"type": "text", "text": turn.text})
        for one in turn.calls:
            call_id = one.id or self._ids.mixed("toolu_01", 22)
            arguments = _input_of(one.arguments)
            content.append(
                {"type": "tool_use", "id": call_id, "name": one.name, "input": arguments}
            )
        said = sum(count(str(block)) for block in content)
        usage = {
            "input_tokens": count(str(body["messages"])),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": said,
            "service_tier": "standard",
        }
        document: dict[str, Json] = {
            "model": body["model"],
            "id": self._ids.mixed("msg_01", 22),
            "type": "message",
            "role": "assistant",
            "content": content,
            "stop_reason": "tool_use" if turn.calls else "end_turn",
            "stop_sequence": None,
            "usage": usage,
        }
        return Answer(document, list(_frames(document, [one.arguments for one in turn.calls])))

    def error(self, rejected: Rejected) -> dict[str, Json]:
        kind = {401: "authentication_error", 404: "not_found_error"}.get(
            rejected.status, "invalid_request_error"
        )
        return {
            "type": "error",
            "error": {"type": kind, "message": rejected.message},
            "request_id": self._ids.mixed("req_011", 21),
        }

    def _thinking(self, text: str) -> dict[str, Json]:
        seed = self._ids.hex("", 32)
        signature = base64.b64encode(hashlib.shake_256((seed + text).encode()).digest(120)).decode()
        self._signed[signature] = text
        return {"type": "thinking", "thinking": text, "signature": signature}

    def _assistant(self, at: int, blocks: list[dict[str, Any]]) -> list[str]:
        """Checks one assistant message; returns the ids of its calls."""
        asked: list[str] = []
        for index, block in enumerate(blocks):
            where = f"messages.{at}.content.{index}"
            match block.get("type"):
                case "thinking":
                    known = self._signed.get(block.get("signature", ""))
                    reject_if(known is None, f"{where}: Invalid `signature` in `thinking` block")
                    reject_if(
                        known != block.get("thinking"),
                        f"{where}: `thinking` or `redacted_thinking` blocks in the latest assistant "
                        "message cannot be modified. These blocks must remain as they were in the "
                        "original response.",
                    )
                case "tool_use":
                    reject_if(
                        not isinstance(block.get("input"), dict),
                        f"{where}.tool_use.input: Input should be a valid dictionary",
                    )
                    reject_if(
                        block["id"] in asked,
                        "messages: `tool_use` ids must be unique",
                    )
                    asked.append(block["id"])
                case "tool_result":
                    raise Rejected(
                        f"messages.{at}: `tool_result` blocks can only be in `user` messages"
                    )
        return asked

    def _results(self, at: int, blocks: list[dict[str, Any]], asked: list[str]) -> dict[str, str]:
        """Returns the texts of the results that stand at the head of a message, by call id."""
        answers: dict[str, str] = {}
        at_head = True
        for index, block in enumerate(blocks):
            if block.get("type") != "tool_result":
                at_head = False
                continue
            call_id, where = str(block.get("tool_use_id")), f"messages.{at}.content.{index}"
            reject_if(
                call_id not in asked,
                f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {call_id}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous "
                "message.",
            )
            reject_if(
                call_id in answers,
                f"{where}: each tool_use must have a single result. Found multiple `tool_result` "
                f"blocks with id: {call_id}",
            )
            if at_head:
                answers[call_id] = text_of(block.get("content"))
        return answers

    def _all_answered(self, at: int, asked: list[str], answers: dict[str, str]) -> None:
        missing = [call_id for call_id in asked if call_id not in answers]
        reject_if(
            bool(missing),
            f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately "
            f"after: {', '.join(missing)}. Each `tool_use` block must have a corresponding "
            "`tool_result` block in the next message.",
        )


def _input_of(arguments: str) -> Json:
    """Returns the arguments' value; a test's broken text shows in the stream's deltas only."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {}


def _blocks(content: Json) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content if isinstance(content, list) else []


def _frames(document: dict[str, Json], arguments: list[str]) -> Iterator[bytes]:
    """Writes the events; `arguments` are the calls' argument texts, in order."""
    padding = 0

    def event(body: dict[str, Json]) -> bytes:
        nonlocal padding
        padding = (padding + 7) % 17  # real events carry blanks behind the JSON
        kind = body["type"]
        data = compact(body)[:-1] + b" " * padding + b"}"
        return f"event: {kind}\n".encode() + b"data: " + data + b"\n\n"

    usage = document["usage"]
    opened = {
        **document,
        "content": [],
        "stop_reason": None,
        "usage": {**usage, "output_tokens": 1},
    }
    yield event({"type": "message_start", "message": opened})
    texts = iter(arguments)
    for index, block in enumerate(document["content"]):
        empty, deltas = _deltas(block, texts)
        yield event({"type": "content_block_start", "index": index, "content_block": empty})
        if index == 0:
            yield b'event: ping\ndata: {"type": "ping"}\n\n'
        for delta in deltas:
            yield event({"type": "content_block_delta", "index": index, "delta": delta})
        yield event({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": document["stop_reason"], "stop_sequence": None}
    used = {"output_tokens": usage["output_tokens"]}
    yield event({"type": "message_delta", "delta": ended, "usage": used})
    yield event({"type": "message_stop"})


def _deltas(
    block: dict[str, Any], arguments: Iterator[str]
) -> tuple[dict[str, Json], list[dict[str, Json]]]:
    match block["type"]:
        case "thinking":
            deltas = [
                {"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])
            ]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            return {"type": "thinking", "thinking": "", "signature": ""}, deltas
        case "tool_use":
            deltas = [
                {"type": "input_json_delta", "partial_json": piece}
                for piece in ("", *pieces(next(arguments)))
            ]
            return {**block, "input": {}}, deltas
        case _:
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
            return {"type": "text", "text": ""}, deltas
