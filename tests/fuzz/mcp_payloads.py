"""The fuzz target of MCP's messages: nobody may read a payload otherwise than the gate's reader.

How it works. The bytes are read by `read_payload`, and, where that does not refuse them, as peers do:
by the `mcp` SDK (its stdio server line by line, its HTTP server as a body) and by plain `json.loads`. A message
that one of them finds has to be one of those that were read, with the same method, id, tool and
arguments; arguments with a key twice make a faulty call, which is refused whatever they say.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic_core
from mcp import types

from proxy.errors import WireError
from proxy.wire.jsontext import is_ambiguous
from proxy.wire.mcp.messages import CALL, Kind, batched, joined, read_payload, refused_result
from tests.fuzz.targets import CORPUS

type Read = tuple[str, Any, Any, str | None]
"""Method, id, tool and arguments of a request or notification."""


@dataclass(frozen=True, slots=True)
class McpTarget:
    """Payloads of either side."""

    name: str
    dictionary: tuple[str, ...]

    @property
    def seeds(self) -> Iterator[bytes]:
        for file in sorted((CORPUS / self.name).iterdir()):
            yield file.read_bytes()

    def length(self, data: bytes) -> int:
        return 0  # payloads come whole

    def check(self, data: bytes, cuts: Sequence[int] = (), *, whole_is_good: bool = False) -> None:
        try:
            payload = read_payload(data)
        except WireError:
            assert not whole_is_good, "a good payload was refused"
            return
        known = [
            _read(m.document, faulty=is_ambiguous(m.document))
            for m in payload.messages
            if m.kind is not Kind.ANSWER
        ]
        for found in (*_by_lines(data), *_by_body(data), *_by_json(data)):
            assert found in known or (*found[:3], None) in known, f"read by a peer alone: {found}"
        # What is written of it reads as the same.
        for message in payload.messages:
            if (answer := refused_result(message, "refused")) and message.kind is Kind.REQUEST:
                (said,) = read_payload(answer).messages
                assert (said.kind, said.id) == (Kind.ANSWER, message.id)
                read_payload(batched((answer, answer), is_batch=True))
        kept = payload.messages[1:]
        if payload.is_batch and kept and not any(is_ambiguous(m.document) for m in kept):
            again = joined(payload, kept)
            assert again is not None
            assert [_read(m.document) for m in read_payload(again).messages] == [
                _read(m.document) for m in kept
            ]


def _read(value: Any, *, faulty: bool = False) -> Read:
    method, params = value.get("method"), value.get("params")
    params = params if isinstance(params, dict) else {}
    tool = params.get("name") if method == CALL else None
    arguments = _written(params.get("arguments")) if method == CALL and not faulty else None
    return str(method), value.get("id"), tool, arguments


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=float)


def _of_sdk(message: Any) -> Iterator[Read]:
    if hasattr(message, "method"):
        yield _read(message.model_dump(by_alias=True))


def _by_lines(data: bytes) -> Iterator[Read]:
    """As `mcp.server.stdio` reads: text lines, whatever ends them."""
    for line in io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="replace"):
        try:
            yield from _of_sdk(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValueError:
            continue


def _by_body(data: bytes) -> Iterator[Read]:
    """As `mcp.server.streamable_http` reads."""
    try:
        raw = pydantic_core.from_json(data)
        yield from _of_sdk(types.jsonrpc_message_adapter.validate_python(raw, by_name=False))
    except ValueError:
        return


def _by_json(data: bytes) -> Iterator[Read]:
    """As a server of one's own might: every object that has a method."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and "method" in one:
            yield _read(one)


MCP = McpTarget(
    "mcp-payload",
    (
        *("jsonrpc", "2.0", "id", "method", "params", "name", "arguments", "tools/call", "ping"),
        *("result", "error", "notifications/progress", "_meta", "progressToken", "tools/list"),
        *("initialize", "sampling/createMessage", "elicitation/create", "uri", "resources/read"),
    ),
)
