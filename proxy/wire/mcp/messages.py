"""JSON-RPC messages as MCP uses them, read so that no server and no client can read them otherwise.

What belongs here: the one reader of payloads (a message, or a batch where a peer still sends them) and the
answers that checkrein writes itself. Sources: https://modelcontextprotocol.io/specification/2025-11-25
and 2026-07-28, https://www.jsonrpc.org/specification (read 2026-11).

Refused (`WireError`), because peers differ over it: text that is not UTF-8 or starts with a BOM, a key
twice in one object, a key that differs from a known one only by case (Go's decoder does not see the
difference), a method that does so, ids that are not text or a whole number, a message that is a
request and an answer at once, a carriage return between tokens that no line feed follows (Python's
servers read stdio with universal newlines and would see several lines, each a message). A key that comes twice inside a call's arguments makes a faulty call,
which is refused under its own id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NoReturn

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.jsontext import Ambiguous, encode, is_ambiguous

type Id = int | str

PROGRESS = "notifications/progress"
CALL = "tools/call"
LIST = "tools/list"
SAMPLE = "sampling/createMessage"
ELICIT = "elicitation/create"
READ = "resources/read"
PROMPT = "prompts/get"
TASK_RESULT = "tasks/result"
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"

INVALID_REQUEST = -32600
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020

NAMED_BY: Mapping[str, str] = {CALL: "name", PROMPT: "name", READ: "uri"}
"""Which parameter names the thing that a method acts on; `Mcp-Name` repeats it."""

_HANDSHAKE = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"})
_METHODS = frozenset(
    {
        "initialize", "ping", CALL, LIST, SAMPLE, ELICIT, READ, PROMPT, TASK_RESULT,
        "tasks/get", "tasks/list", "tasks/cancel", "tasks/update", "resources/list",
        "resources/templates/list", "resources/subscribe", "resources/unsubscribe", "prompts/list",
        "completion/complete", "logging/setLevel", "roots/list", "server/discover",
        "subscriptions/listen",
    }
)  # fmt: skip
_LINE_END = re.compile(rb"\r(?!\n)")
_FOLDED = {method.casefold(): method for method in _METHODS}
_ENVELOPE = ("jsonrpc", "id", "method", "params", "result", "error")
_PARAMS = ("_meta", "name", "arguments", "uri", "task", "taskId", "inputResponses", "requestState")


class Kind(StrEnum):
    REQUEST = "request"
    NOTIFICATION = "notification"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Message:
    """One JSON-RPC message."""

    kind: Kind
    id: Id | None
    method: str  # "" for answers
    params: Mapping[str, Json]
    document: dict[str, Json]  # all of it

    @property
    def progress_token(self) -> Id | None:
        meta = self.params.get("_meta")
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        return token if isinstance(token, int | str) and not isinstance(token, bool) else None

    @property
    def is_modern(self) -> bool:
        """Whether its sender speaks 2026-07-28 or later: each request says its revision."""
        meta = self.params.get("_meta")
        version = meta.get(VERSION_KEY) if isinstance(meta, dict) else None
        return isinstance(version, str) and version not in _HANDSHAKE


@dataclass(frozen=True, slots=True)
class Payload:
    """What one line, one body or one event carries."""

    raw: bytes
    messages: tuple[Message, ...]
    is_batch: bool


def _marked(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Ambiguous(made)


def _no_constant(name: str) -> NoReturn:
    raise WireError(f"{name} is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_marked, parse_float=Decimal, parse_constant=_no_constant
)


def read_payload(raw: bytes) -> Payload:
    """Reads what one side sent.

    Raises:
        WireError: not JSON-RPC, or JSON-RPC that two readers may read differently.
    """
    if _LINE_END.search(raw.rstrip()):
        raise WireError("MCP: a carriage return inside of a message")
    try:
        value = _decoder.decode(raw.decode())
    except WireError:
        raise
    except (ValueError, RecursionError) as error:
        raise WireError("MCP: not valid JSON in UTF-8") from error
    if isinstance(value, list):
        if not value:
            raise WireError("MCP: an empty batch")
        return Payload(raw, tuple(_message(item) for item in value), True)
    return Payload(raw, (_message(value),), False)


def _message(value: Json) -> Message:
    if not isinstance(value, dict):
        raise WireError("MCP: a message is an object")
    _check_keys(value, _ENVELOPE, "message")
    if value.get("jsonrpc") != "2.0":
        raise WireError('MCP: a message says jsonrpc: "2.0"')
    id_ = value.get("id")
    if isinstance(id_, bool) or not (id_ is None or isinstance(id_, int | str)):
        raise WireError("MCP: an id is text or a whole number")
    _check_text(id_)
    is_answer = "result" in value or "error" in value
    if "method" not in value:
        if not is_answer or ("result" in value and value.get("error") is not None):
            raise WireError("MCP: a message is a request, a notification or an answer")
        if is_ambiguous(value):
            raise WireError("MCP: a key stands twice in one object")
        return Message(Kind.ANSWER, id_, "", {}, value)
    return _request(value, id_, is_answer)


def _request(value: dict[str, Json], id_: Id | None, is_answer: bool) -> Message:
    method = value["method"]
    if is_answer or not isinstance(method, str):
        raise WireError("MCP: a message is a request, a notification or an answer")
    _check_text(method)
    if _FOLDED.get(method.strip().strip("/").casefold(), method) != method:
        raise WireError("MCP: another spelling of a method")
    if "id" in value and id_ is None:
        raise WireError("MCP: a request's id is null")
    params = value.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise WireError("MCP: params are an object")
    _check_keys(params, _PARAMS, "params")
    own = frozenset({id(params["arguments"])}) if method == CALL and "arguments" in params else None
    if is_ambiguous(value, but=own or frozenset()):
        raise WireError("MCP: a key stands twice in one object")
    if (named := NAMED_BY.get(method)) is not None:
        name = params.get(named)
        if not isinstance(name, str):
            raise WireError(f"MCP: {method} without a {named}")
        _check_text(name)
    kind = Kind.REQUEST if id_ is not None else Kind.NOTIFICATION
    return Message(kind, id_, method, params, value)


def _check_keys(value: dict[str, Json], known: tuple[str, ...], what: str) -> None:
    if isinstance(value, Ambiguous):
        raise WireError(f"MCP: a key stands twice in the {what}")
    folded = {key.casefold(): key for key in known}
    for key in value:
        if folded.get(key.strip().casefold(), key) != key:
            raise WireError(f"MCP: another spelling of a key in the {what}")


def _check_text(value: Json) -> None:
    try:
        if isinstance(value, str):
            value.encode()
    except UnicodeEncodeError as error:
        raise WireError("MCP: a lone surrogate") from error


# --- what checkrein writes itself -------------------------------------------------------------------


def result(id_: Id, value: Mapping[str, Json]) -> bytes:
    return encode({"jsonrpc": "2.0", "id": id_, "result": dict(value)})


def error(id_: Id | None, code: int, text: str) -> bytes:
    return encode({"jsonrpc": "2.0", "id": id_, "error": {"code": code, "message": text}})


def refused_result(message: Message, text: str) -> bytes:
    """Returns the failed result of a tool call, or the error of any other refused request."""
    if message.id is None:
        return b""
    if message.method != CALL:
        return error(message.id, INVALID_REQUEST, text)
    return tool_error(message.id, text, modern=message.is_modern)


def tool_error(id_: Id, text: str, *, modern: bool) -> bytes:
    return tool_text(id_, text, modern=modern, is_error=True)


def tool_text(id_: Id, text: str, *, modern: bool, is_error: bool = False) -> bytes:
    """Returns a tool's result that is one text."""
    value: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": is_error}
    if modern:
        value["resultType"] = "complete"  # 2026-07-28 wants it said
    return result(id_, value)


def refused_to_server(message: Message, text: str) -> bytes:
    """Returns what the server reads in place of the client's answer to its request."""
    if message.id is None:
        return b""
    if message.method == ELICIT:
        return result(message.id, {"action": "decline"})
    # -1: what the specification's example has for a user who rejects a sampling request.
    return error(message.id, -1, text)


def progress(token: Id, step: int, text: str) -> bytes:
    params = {"progressToken": token, "progress": step, "message": text}
    return encode({"jsonrpc": "2.0", "method": PROGRESS, "params": params})


def joined(payload: Payload, kept: tuple[Message, ...]) -> bytes | None:
    """Returns a payload with only these of its messages; unchanged bytes where all are kept."""
    if len(kept) == len(payload.messages):
        return payload.raw
    if not kept:
        return None
    return encode([message.document for message in kept])


def batched(answers: tuple[bytes, ...], *, is_batch: bool) -> bytes:
    """Returns answers as one body."""
    return b"[" + b",".join(answers) + b"]" if is_batch else answers[0]
