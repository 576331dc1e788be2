"""What a Chat Completions request says: results, tools, texts, names for its session.

What belongs here: one reading of a request body, quick enough for every turn (a history of 2 MB comes
again with each). Only what is needed is decoded: tool definitions stay raw until their bytes are new,
and the digest of an old call's arguments is kept from turn to turn. The body itself is kept, raw,
under `RAW` in `ParsedRequest.document`: `restore` splices it and leaves all other bytes alone.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.model import Json, ToolDefinition, ToolResult
from proxy.wire.chat.calls import PROVIDER, make_call
from proxy.wire.codec import REF_PATTERN, ParsedRequest
from proxy.wire.limits import answers_wanted, output_limit

RAW = "raw body"
"""The one key of a Chat request's `document`; its value is the body as bytes."""

_HINTS = ("prompt_cache_key", "session_id", "user", "safety_identifier")
_REF = re.compile(REF_PATTERN)
_SHORT = 8192


class _Message(msgspec.Struct, gc=False):  # thousands a request; no cycles
    role: str = ""
    content: Json = None
    tool_calls: Json = None
    function_call: Json = None
    tool_call_id: Json = None
    name: Json = None


class _Body(msgspec.Struct):
    messages: list[_Message]
    model: Json = None
    stream: Json = None
    tools: msgspec.Raw = msgspec.Raw(b"")
    functions: msgspec.Raw = msgspec.Raw(b"")
    metadata: Json = None
    prompt_cache_key: Json = None
    session_id: Json = None
    user: Json = None
    safety_identifier: Json = None
    max_completion_tokens: Json = None
    max_tokens: Json = None
    n: Json = None


_decode = msgspec.json.Decoder(_Body).decode


def parse(body: bytes) -> ParsedRequest:
    """Reads a request body (`codec.WireProtocol.parse_request`)."""
    try:
        read = _decode(body)
        tools = _definitions(bytes(read.tools)) + _definitions(bytes(read.functions))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"openai.chat request: {error}") from error
    limits = {"limit": read.max_completion_tokens, "old": read.max_tokens, "n": read.n}
    walk = _Walk()
    for message in read.messages:
        walk.take(message)
    refs = (f"ref:{ref.decode()}" for ref in _REF.findall(body)) if b"cr_" in body else ()
    return ParsedRequest(
        provider=PROVIDER,
        document={RAW: body},
        model=read.model if isinstance(read.model, str) else None,
        stream=read.stream is True,
        results=tuple(walk.results),
        tools=tools,
        max_output_tokens=output_limit(limits, "limit", "old"),
        answers=answers_wanted(limits, "n"),
        system_text="\n".join(walk.system),
        user_text=walk.user,
        opening="\n".join([*walk.leading, walk.first_user or ""]),
        hints=_hints(read),
        remembered_by=tuple(dict.fromkeys([*refs, *walk.keys])),
    )


def message_text(content: Json) -> str:
    """Returns the text of a message's content: a string, or its text parts, a line each."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (
        part if isinstance(part, str) else part.get("text") or part.get("refusal")
        for part in content
        if isinstance(part, str | dict)
    )
    return "\n".join(part for part in parts if isinstance(part, str))


class _Walk:
    """One pass over the messages."""

    def __init__(self) -> None:
        self.results: list[ToolResult] = []
        self.keys: list[str] = []
        self.system: list[str] = []
        self.leading: list[str] = []  # the system texts ahead of the first user message
        self.user = ""
        self.first_user: str | None = None
        # Ids come again (tau-bench): a result answers the nearest call before it.
        self._calls: dict[str, tuple[Json, str, str]] = {}
        self._legacy: dict[str, Json] = {}

    def take(self, message: _Message) -> None:
        role = message.role
        if role == "assistant":
            self._assistant(message)
        elif role == "tool":
            self._tool_result(message)
        elif role == "function":
            self._function_result(message)
        elif role == "user":
            self.user = message_text(message.content)
            if self.first_user is None:
                self.first_user = self.user
        elif role in ("system", "developer"):
            text = message_text(message.content)
            self.system.append(text)
            if self.first_user is None:
                self.leading.append(text)

    def _assistant(self, message: _Message) -> None:
        calls = message.tool_calls
        for entry in calls if isinstance(calls, list) else ():
            call_id = entry.get("id") if isinstance(entry, dict) else None
            if not isinstance(call_id, str):
                continue
            self.keys.append(f"call:{call_id}")
            kind = "custom" if isinstance(entry.get("custom"), dict) else "function"
            body = entry.get(kind)
            if isinstance(body, dict):
                arguments = body.get("input" if kind == "custom" else "arguments")
                self._calls[call_id] = (arguments, kind, _text(body.get("name")) or "")
        legacy = message.function_call
        if isinstance(legacy, dict) and isinstance(legacy.get("name"), str):
            self._legacy[legacy["name"]] = legacy.get("arguments")

    def _tool_result(self, message: _Message) -> None:
        call_id = _text(message.tool_call_id)
        arguments, kind, name = self._calls.get(call_id or "", (None, "", ""))
        self.results.append(
            ToolResult(
                call_id=call_id,
                name=name or _text(message.name),
                text=message_text(message.content),
                args_sha256=_args_digest(arguments, kind) if kind else None,
            )
        )

    def _function_result(self, message: _Message) -> None:
        name = _text(message.name)
        known = name is not None and name in self._legacy
        self.results.append(
            ToolResult(
                call_id=None,
                name=name,
                text=message_text(message.content),
                args_sha256=_args_digest(self._legacy[name or ""], "legacy_function")
                if known
                else None,
            )
        )


def _args_digest(arguments: Json, kind: str) -> str:
    if isinstance(arguments, str) and len(arguments) <= _SHORT:
        return _kept_digest(arguments, kind)
    return _fresh_digest(arguments, kind)


def _fresh_digest(arguments: Json, kind: str) -> str:
    return make_call(arguments, kind=kind, call_id=None, name="", response_id=None).args_sha256


@lru_cache(maxsize=4096)
def _kept_digest(arguments: str, kind: str) -> str:
    return _fresh_digest(arguments, kind)


@lru_cache(maxsize=64)
def _definitions(raw: bytes) -> tuple[ToolDefinition, ...]:
    tools = msgspec.json.decode(raw) if raw else None
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise WireError("openai.chat request: $.tools: expected a list")
    return tuple(_definition(tool, n) for n, tool in enumerate(tools))


def _definition(tool: Json, n: int) -> ToolDefinition:
    """A definition of the forms `{"type", "function": {…}}`, `{"type", "custom": {…}}` or, legacy, bare."""
    if not isinstance(tool, dict):
        raise WireError(f"openai.chat request: $.tools[{n}]: expected an object")
    inner = next((tool[k] for k in ("function", "custom") if isinstance(tool.get(k), dict)), tool)
    name = inner.get("name") or tool.get("type")
    try:
        return ToolDefinition(name if isinstance(name, str) else "", digest(tool), tool)
    except (ValueError, RecursionError) as error:
        raise WireError(f"openai.chat request: $.tools[{n}]: {error}") from error


def _hints(read: _Body) -> dict[str, str]:
    hints = {name: value for name in _HINTS if isinstance(value := getattr(read, name), str)}
    if isinstance(read.metadata, dict) and isinstance(read.metadata.get("session_id"), str):
        hints["session_id"] = read.metadata["session_id"]
    return {name: value for name, value in hints.items() if value}


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None
