"""Recorded sessions as they stand in a file: JSON lines of OpenAI-style messages.

What belongs here: one line read into what was said, called and answered, in order. The form of a
message is that of a Chat Completions request, read by the codec's own functions; what no request could hold is
an error with its line. Nothing is judged here.

A turn is what lies between two answers of the model: texts and results that the next request brings, then the
calls of the answer to it. Ids come again for other calls: a result answers the nearest call before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from proxy.errors import CheckreinError, WireError
from proxy.model import Call, Json, Speaker, ToolDefinition, ToolResult
from proxy.wire.chat.calls import function_kind, make_call
from proxy.wire.chat.request import message_text, parse
from proxy.wire.jsontext import decode_marked, encode


class RecordingError(CheckreinError):
    """A line that is no session, and no record of a decision log; the text says which line."""

    line = 0  # over all files, from 1; 0 where it is not known


@dataclass(frozen=True, slots=True)
class Turn:
    """What one request brings that is new, and the calls of the answer to it."""

    said: tuple[tuple[Speaker, str], ...]
    results: tuple[ToolResult, ...]
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """One session, ready to be rehearsed."""

    id: str
    turns: tuple[Turn, ...]
    tools: tuple[ToolDefinition, ...] = ()
    fields: Mapping[str, Json] = field(default_factory=dict)  # what the line says besides


@dataclass(slots=True)
class _Open:
    """The turn that is being read."""

    said: list[tuple[Speaker, str]] = field(default_factory=list)
    results: list[ToolResult] = field(default_factory=list)

    def closed(self, calls: Sequence[Call]) -> Turn:
        turn = Turn(tuple(self.said), tuple(self.results), tuple(calls))
        self.said, self.results = [], []
        return turn

    def __bool__(self) -> bool:
        return bool(self.said or self.results)


def read_object(line: bytes, where: str) -> dict[str, Json]:
    """Returns the object of one line.

    Raises:
        RecordingError: there is none.
    """
    try:
        return decode_marked(line, where)
    except WireError as error:
        raise RecordingError(str(error)) from error


def read_session(value: Mapping[str, Json], where: str) -> RecordedSession:
    """Reads one line's object; `where` is its file and line, for messages.

    Raises:
        RecordingError: it is no session.
    """
    name, messages = value.get("session_id"), value.get("messages")
    if not isinstance(name, str) or not name:
        raise RecordingError(f"{where}: 'session_id' is missing, or no text")
    if not isinstance(messages, list):
        raise RecordingError(f"{where}: 'messages' is missing, or no list")
    try:
        turns = tuple(_turns(messages))
    except WireError as error:
        raise RecordingError(f"{where}: {error}") from error
    fields = {key: item for key, item in value.items() if key not in ("messages", "tools")}
    return RecordedSession(name, turns, _definitions(value.get("tools")), fields)


def _turns(messages: Iterable[Json]) -> Iterator[Turn]:
    now = _Open()
    known: dict[str, Call] = {}  # by id: the nearest call before
    legacy: dict[str, Call] = {}  # by name
    for n, message in enumerate(messages):
        at = f"messages[{n}]"
        if not isinstance(message, dict):
            raise WireError(f"{at}: expected an object")
        role = message.get("role")
        text = message_text(message.get("content"))
        if role in ("system", "developer"):
            now.said.append((Speaker.SYSTEM, text))
        elif role == "user":
            now.said.append((Speaker.USER, text))
        elif role == "tool":
            id_ = message.get("tool_call_id")
            now.results.append(_result(known.get(id_) if isinstance(id_, str) else None, message))
        elif role == "function":
            now.results.append(_result(legacy.get(str(message.get("name"))), message))
        elif role == "assistant":
            calls = list(_calls(message, n, at))
            yield now.closed(calls)
            known |= {call.id: call for call in calls if call.id is not None}
            legacy |= {call.name: call for call in calls if call.kind == "legacy_function"}
        else:
            raise WireError(f"{at}: unknown role {role!r}")
    if now:
        yield now.closed(())


def _calls(message: Mapping[str, Json], n: int, at: str) -> Iterator[Call]:
    entries = message.get("tool_calls")
    if entries is not None and not isinstance(entries, list):
        raise WireError(f"{at}.tool_calls: expected a list")
    for k, entry in enumerate(entries or ()):
        where = f"{at}.tool_calls[{k}]"
        if not isinstance(entry, dict):
            raise WireError(f"{where}: expected an object")
        kind = function_kind(entry, where)
        body = entry.get(kind) if kind is not None else None
        if kind is None or not isinstance(body, dict) or not isinstance(body.get("name"), str):
            raise WireError(f"{where}: neither a function nor a custom call with a name")
        yield make_call(
            body.get("input" if kind == "custom" else "arguments"),
            kind=kind,
            call_id=entry["id"] if isinstance(entry.get("id"), str) else None,
            name=body["name"],
            response_id=f"message-{n}",
        )
    legacy = message.get("function_call")
    if isinstance(legacy, dict) and isinstance(legacy.get("name"), str):
        yield make_call(
            legacy.get("arguments"),
            kind="legacy_function",
            call_id=None,
            name=legacy["name"],
            response_id=f"message-{n}",
        )


def _result(call: Call | None, message: Mapping[str, Json]) -> ToolResult:
    id_, name = message.get("tool_call_id"), message.get("name")
    return ToolResult(
        call_id=id_ if isinstance(id_, str) else None,
        name=call.name if call is not None else name if isinstance(name, str) else None,
        text=message_text(message.get("content")),
        args_sha256=call.args_sha256 if call is not None else None,
    )


def _definitions(tools: Json) -> tuple[ToolDefinition, ...]:
    """The tools that were offered: definitions, or names; anything else says nothing about them."""
    if not isinstance(tools, list):
        return ()
    named = [{"name": tool} if isinstance(tool, str) else tool for tool in tools]
    try:
        return parse(encode({"messages": [], "tools": named})).tools
    except WireError:
        return ()
