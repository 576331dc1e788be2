"""The fuzz targets of WebSockets: one connection each, and what must hold whatever either side says.

How it works. Fuzzed bytes are lines, one message each: `> ` ahead of what the client says, all others
are the server's. They go through the gate three times: all calls released, all refused, and all
ruled on only at the end. Whatever the lines are: nothing but a `CheckreinError` is raised; all
released means the very messages that came; before a ruling no message shows anything of its call;
and the SDK finds no call, and no arguments, that the gate did not report, none where all were
refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from openai._models import construct_type_unchecked
from openai.types.realtime import RealtimeServerEvent
from openai.types.responses import ResponsesServerEvent

from proxy.errors import CheckreinError
from proxy.model import Call
from proxy.wire.codec import Refuse, Release, Ruling
from proxy.wire.realtime.gate import RealtimeGate
from proxy.wire.responses.socket import ResponsesSocketGate
from proxy.wire.socket import Asked, Found, Ran, SocketEvent, SocketGate, ToClient, ToServer
from tests.fuzz.targets import CORPUS, TEXT

_CALLS = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "computer_call",
        "mcp_approval_request",
    }
)
_ARGUMENTS_DONE = "response.function_call_arguments.done"
_OURS = b"checkrein_refused"

type Shown = tuple[str, str | None]
"""A call as a client reads it: its name, and its arguments where they are whole."""


@dataclass(slots=True)
class Said:
    """What left on both sides, and what was reported."""

    down: list[bytes] = field(default_factory=list)
    up: list[bytes] = field(default_factory=list)
    found: list[Call] = field(default_factory=list)
    ran: list[Call] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    closed: bool = False

    def take(self, events: Sequence[SocketEvent]) -> None:
        for event in events:
            match event:
                case ToClient(data):
                    self.down.append(data)
                case ToServer(data) | Asked(data):
                    self.up.append(data)
                case Found(key, call):
                    assert key == len(self.found), "keys do not count up"
                    self.found.append(call)
                    self.waiting.append(key)
                case Ran(call):
                    self.ran.append(call)
                case _:
                    pass


@dataclass(frozen=True, slots=True)
class SocketTarget:
    """One API's connections."""

    name: str
    make: Callable[[Callable[[], str]], SocketGate]
    event_type: Any
    dictionary: tuple[str, ...]

    @property
    def seeds(self) -> Iterator[bytes]:
        for file in sorted((CORPUS / self.name).iterdir()):
            yield file.read_bytes()

    def length(self, data: bytes) -> int:
        return 0  # messages come whole

    def check(self, data: bytes, cuts: Sequence[int] = (), *, whole_is_good: bool = False) -> None:
        lines = [line for line in data.split(b"\n") if line]
        mine = [line[2:] for line in lines if line.startswith(b"> ")]
        theirs = [line for line in lines if not line.startswith(b"> ")]
        released, _ = self._run(lines, Release())
        refused, _ = self._run(lines, Refuse(TEXT))
        held, gate = self._run(lines, None)
        if not released.closed and not any(call.fault for call in released.found):
            left = Counter(line for line in released.down if _OURS not in line)
            assert not left - Counter(theirs), "the client got a message nobody sent"
            assert not Counter(released.up) - Counter(mine), "the server got a message nobody sent"
            assert not whole_is_good or left == Counter(theirs), "a good message was lost"
        assert not whole_is_good or not released.closed, "a good connection was closed"
        # The server repeats calls that the client put into the conversation itself.
        clients = [shown for line in mine for shown in _calls_anywhere(_loaded(line))]
        self._covered(released, [*_reported(released.found + released.ran), *clients])
        self._covered(refused, [*_reported(refused.ran), *clients])
        self._covered(held, [*_reported(held.ran), *clients])
        if not held.closed:  # what a late ruling lets out
            try:
                for key in held.waiting:
                    no = held.found[key].fault is not None
                    held.take(gate.rule(key, Refuse(TEXT) if no else Release()))
            except CheckreinError:
                return
            self._covered(held, [*_reported(held.found + held.ran), *clients])

    def _run(self, lines: Sequence[bytes], ruling: Ruling | None) -> tuple[Said, SocketGate]:
        numbers = count(1)
        gate = self.make(lambda: f"cr_{next(numbers):032x}")
        said = Said()
        try:
            for line in lines:
                if line.startswith(b"> "):
                    events = gate.from_client(line[2:])
                    for asked in [event for event in events if isinstance(event, Asked)]:
                        assert gate.restored(asked.request, ()) is None
                else:
                    events = gate.from_server(line)
                said.take(events)
                while ruling is not None and said.waiting:
                    key = said.waiting.pop(0)
                    gate.ref_of(key)
                    no = said.found[key].fault is not None
                    said.take(gate.rule(key, Refuse(TEXT) if no else ruling))
        except CheckreinError:
            said.closed = True
            said.down.append(gate.fail("refused"))
        assert gate.waiting_bytes >= 0
        return said, gate

    def _covered(self, said: Said, reported: Sequence[Shown]) -> None:
        names = {name for name, _ in reported}
        for line in said.down:
            for name, arguments in self._calls(line):
                assert name in names, f"a call that was not reported: {name!r}"
                # Arguments of another form are another call.
                whole = [known for known in reported if known[0] == name and known[1] is not None]
                assert arguments is None or not whole or (name, arguments) in whole, (
                    f"other arguments than were reported: {name!r}"
                )

    def _calls(self, line: bytes) -> Iterator[Shown]:
        """What openai-python shows to an agent: the items of an event, and arguments with a name."""
        try:
            event = construct_type_unchecked(value=json.loads(line), type_=self.event_type)
        except (ValueError, RecursionError, AttributeError, TypeError):
            return
        kind = getattr(event, "type", None)
        response = getattr(event, "response", None)
        output = getattr(response, "output", None)
        items = [getattr(event, "item", None), *(output if isinstance(output, list) else ())]
        for item in items:
            shown = item if isinstance(item, dict) else getattr(item, "__dict__", {})
            if shown.get("type") in _CALLS:
                yield _shown(shown)
        if kind == _ARGUMENTS_DONE and isinstance(getattr(event, "name", None), str):
            yield event.name, _canonical(event.arguments)


def _shown(item: Any) -> Shown:
    kind, name, arguments = item["type"], item.get("name"), item.get("arguments")
    named = name if isinstance(name, str) and name else kind
    whole = kind == "function_call" and isinstance(arguments, str) and arguments
    return named, _canonical(arguments) if whole else None


def _reported(calls: Sequence[Call]) -> list[Shown]:
    return [
        (call.name, _written(call.arguments) if call.kind == "function" else None) for call in calls
    ]


def _canonical(text: Any) -> str | None:
    try:
        return _written(json.loads(text)) if text else None
    except (ValueError, RecursionError, TypeError):
        return str(text)


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=float)


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _calls_anywhere(value: Any) -> Iterator[Shown]:
    if isinstance(value, list):
        for inner in value:
            yield from _calls_anywhere(inner)
    elif isinstance(value, dict):
        if value.get("type") in _CALLS:
            yield _shown(value)
        for inner in value.values():
            yield from _calls_anywhere(inner)


_EVENTS = (
    *("response.created", "response.done", "response.output_item.added", "item", "output", "type"),
    *("response.output_item.done", "response.function_call_arguments.done", "item_id", "call_id"),
    *("conversation.item.added", "conversation.item.create", "previous_item_id", "response_id"),
    *("function_call", "function_call_output", "mcp_call", "mcp_approval_request", "arguments"),
    *("mcp_approval_response", "response.create", "response.completed", "stream_id", "status"),
    *("session.updated", "error", "name", "response", "in_progress", "completed", "id"),
)

SOCKETS: tuple[SocketTarget, ...] = (
    SocketTarget("realtime-socket", RealtimeGate, RealtimeServerEvent, _EVENTS),
    SocketTarget("responses-socket", ResponsesSocketGate, ResponsesServerEvent, _EVENTS),
)
