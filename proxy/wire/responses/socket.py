"""The gate over the Responses API on a WebSocket: many responses, one after another or in lanes.

How it works. The client's `response.create` is the body of a POST with a `type`; the server's
messages are the events of the HTTP stream, one a message, and end with the response's last event. So
each response gets its own `ResponsesStreamGate`, fed with a frame a message. The frame's bytes are a
token (`data: #7`) for the message, since one may hold line breaks, which event streams cannot:
what comes out as a token leaves as the very message, what comes out as JSON is a new one.

A response begins with `response.created`; what comes while the one before still waits for a ruling
waits behind it, in its lane. Lanes (`stream_id`) are independent. Shapes:
https://platform.openai.com/docs/guides/websocket-mode (read 2026-11), and `ResponsesServerEvent` of openai-python.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    ParsedRequest,
    RefusedResponse,
    Remember,
    Ruling,
)
from proxy.wire.jsontext import Ambiguous, decode_marked, encode
from proxy.wire.responses.items import PROVIDER
from proxy.wire.responses.memory import conversation_id
from proxy.wire.responses.request import parse_request
from proxy.wire.responses.restore import restore
from proxy.wire.responses.stream_gate import ResponsesStreamGate
from proxy.wire.socket import Answered, Asked, Found, Ran, SocketEvent, ToClient, ToServer
from proxy.wire.sse import Frame

_WHERE = "openai.responses: socket"
_TERMINAL = frozenset(
    f"response.{end}" for end in ("completed", "incomplete", "failed", "cancelled")
)
_MAX_LANES = 256


class _MessageGate(ResponsesStreamGate):
    """A stream gate that is fed messages and gives messages."""

    def __init__(self, ref: str, conversation: str | None) -> None:
        super().__init__(ref, conversation)
        self.ref = ref
        self.finished = False  # its last event was read
        self.begun = False
        self._messages: dict[bytes, bytes] = {}  # token: message
        self._count = 0

    @property
    def drained(self) -> bool:
        return not self._queue

    @property
    def open_calls(self) -> bool:
        return bool(self._open)

    @property
    def waiting_bytes(self) -> int:
        return sum(map(len, self._messages.values()))

    def take(self, data: bytes) -> list[GateEvent]:
        events: list[GateEvent] = []
        self._count += 1
        token = b"#%d" % self._count
        self._messages[token] = data
        self._take(Frame(b"data: " + token + b"\n\n", None, data), events)
        first = next((n for n, e in enumerate(events) if isinstance(e, CallFound)), len(events))
        return [*self._flush(events[:first]), *events[first:]]

    def messages(self, frames: bytes) -> list[bytes]:
        """Turns emitted frames back into messages."""
        found: list[bytes] = []
        for frame in frames.split(b"\n\n"):
            # Generated events may have an `event:` line ahead of their one line of data; comments none.
            data = frame.partition(b"\n")[2] if frame.startswith(b"event: ") else frame
            data = data.removeprefix(b"data: ") if data.startswith(b"data: ") else b""
            if data.startswith(b"#"):
                found.append(self._messages.pop(data))
            elif data:
                found.append(data)
        return found


class _Lane:
    """The responses that one `stream_id` carries, one after another."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gate: _MessageGate | None = None
        self.conversation: str | None = None
        self.behind: deque[tuple[bytes, dict[str, Json]]] = deque()  # while an earlier one waits
        self.behind_bytes = 0


class ResponsesSocketGate:
    """See `socket.SocketGate`."""

    provider = PROVIDER

    def __init__(self, new_ref: Callable[[], str]) -> None:
        self._new_ref = new_ref
        self.ref = new_ref()
        self._lanes: dict[str, _Lane] = {}
        self._calls: dict[int, tuple[_Lane, _MessageGate, int]] = {}
        self._next_key = 0

    @property
    def waiting_bytes(self) -> int:
        kept = sum(lane.gate.waiting_bytes for lane in self._lanes.values() if lane.gate)
        return kept + sum(lane.behind_bytes for lane in self._lanes.values())

    def from_client(self, data: bytes) -> list[SocketEvent]:
        event = decode_marked(data, f"{_WHERE}: client")
        if isinstance(event, Ambiguous):
            raise WireError(f"{_WHERE}: client: duplicate key")
        if event.get("type") == "response.create":
            lane = self._lane(event)
            lane.conversation = conversation_id(event.get("conversation"))
            return [Asked(data, parse_request(data), lane.name)]
        return [ToServer(data)]

    def from_server(self, data: bytes) -> list[SocketEvent]:
        event = decode_marked(data, f"{_WHERE}: server")
        if isinstance(event, Ambiguous):
            raise WireError(f"{_WHERE}: server: duplicate key")
        lane = self._lane(event)
        lane.behind.append((data, event))
        lane.behind_bytes += len(data)
        return self._advance(lane)

    def rule(self, key: int, ruling: Ruling) -> list[SocketEvent]:
        lane, gate, inner = self._calls.pop(key)
        return [*self._told(lane, gate, gate.rule(inner, ruling)), *self._advance(lane)]

    def ref_of(self, key: int) -> str:
        return self._calls[key][1].ref

    def restored(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return restore(request, memories)

    def keepalive(self, lane: str) -> bytes | None:
        found = self._lanes.get(lane)
        if found is None or found.gate is None:
            return None
        made = found.gate.messages(found.gate.keepalive())
        if not made or not lane:
            return made[0] if made else None
        return encode({**decode_marked(made[0], _WHERE), "stream_id": lane})

    @property
    def is_answering(self) -> bool:
        gates = [lane.gate for lane in self._lanes.values()]
        return any(gate is not None and gate.begun and not gate.finished for gate in gates)

    def refused(self, text: str, lane: str) -> bytes:
        error = {"type": "checkrein_refused", "code": "checkrein", "message": text, "param": None}
        message = {"type": "error", "status": 403, "error": error}
        return encode({**message, "stream_id": lane} if lane else message)

    def fail(self, text: str) -> bytes:
        error = {"type": "checkrein_refused", "code": "checkrein", "message": text, "param": None}
        return encode({"type": "error", "status": 400, "error": error})

    # --- parts -------------------------------------------------------------------------------
    def _lane(self, event: dict[str, Json]) -> _Lane:
        name = event.get("stream_id", "")
        if not isinstance(name, str | None):
            raise WireError(f"{_WHERE}: stream_id is not text")
        name = name or ""
        lane = self._lanes.get(name)
        if lane is None:
            if len(self._lanes) >= _MAX_LANES:
                raise WireError(f"{_WHERE}: more than {_MAX_LANES} streams")
            lane = self._lanes[name] = _Lane(name)
        return lane

    def _advance(self, lane: _Lane) -> list[SocketEvent]:
        """Feeds what stands behind, as far as no earlier response of the lane waits."""
        events: list[SocketEvent] = []
        while lane.behind:
            data, event = lane.behind[0]
            gate = lane.gate
            if gate is None or self._begins(gate, event):
                if gate is not None and not gate.drained:
                    break
                gate = lane.gate = _MessageGate(self._new_ref(), lane.conversation)
            lane.behind.popleft()
            lane.behind_bytes -= len(data)
            gate.begun = gate.begun or event.get("type") == "response.created"
            made = gate.take(data)
            if event.get("type") in _TERMINAL:
                gate.finished = True
                if gate.response_id is not None:
                    ok = event["type"] == "response.completed"
                    events.append(
                        Answered(gate.response_id, ok, lane.name, gate.usage, gate.confidence)
                    )
            events += self._told(lane, gate, made)
        return events

    @staticmethod
    def _begins(gate: _MessageGate, event: dict[str, Json]) -> bool:
        if event.get("type") != "response.created":
            # What carries items behind a response's end is read with that response: it may
            # only repeat what was judged.
            return False
        if gate.finished or not gate.begun:
            return gate.finished
        if gate.open_calls:
            raise WireError(f"{_WHERE}: a response began in the middle of a tool call")
        return True

    def _told(self, lane: _Lane, gate: _MessageGate, made: list[GateEvent]) -> list[SocketEvent]:
        events: list[SocketEvent] = []
        for event in made:
            match event:
                case Emit(data):
                    events += [ToClient(self._in_lane(lane, m)) for m in gate.messages(data)]
                case CallFound(key, call):
                    if gate.confidence is not None:
                        call = replace(call, confidence=Decimal(f"{gate.confidence:.4f}"))
                    self._calls[self._next_key] = (lane, gate, key)
                    events.append(Found(self._next_key, call, lane.name))
                    self._next_key += 1
                case CallSeen(call):
                    events.append(Ran(call, lane.name))
                case Remember():
                    events.append(event)
        return events

    @staticmethod
    def _in_lane(lane: _Lane, message: bytes) -> bytes:
        """A new message says in which lane it is; one that came says so itself."""
        if not lane.name or b'"stream_id"' in message:
            return message
        return encode({**decode_marked(message, _WHERE), "stream_id": lane.name})
