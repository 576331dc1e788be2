"""Frames of a Chat stream that wait, and what is left of them when a call of theirs was refused.

What belongs here: where in a frame parts of calls stand, whether it may leave, and the cuts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.chat.assembly import LEGACY, Round, StreamedCall, StreamedChoice
from proxy.wire.codec import Emit, GateEvent
from proxy.wire.sse import Frame


@dataclass(slots=True)
class Touch:
    """One place in a frame that holds a part of a call; `entry` is None for `function_call`."""

    message: dict[str, Json]
    entry: dict[str, Json] | None
    call: StreamedCall


@dataclass(slots=True)
class Finish:
    """A choice's finish reason in a frame, or the `[DONE]` that stands for it (`at` is None)."""

    choice: StreamedChoice
    at: dict[str, Json] | None
    round: Round | None


@dataclass(slots=True)
class Held:
    """A frame that waits."""

    frame: Frame
    document: dict[str, Json] | None
    touches: list[Touch] = field(default_factory=list)
    finishes: list[Finish] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return all(touch.call.round.settled for touch in self.touches) and all(
            finish.round is None or finish.round.settled for finish in self.finishes
        )


class Events:
    """Events in order, neighbouring bytes joined."""

    def __init__(self) -> None:
        self._events: list[GateEvent] = []
        self._bytes: list[bytes] = []

    def emit(self, data: bytes) -> None:
        if data:
            self._bytes.append(data)

    def add(self, event: GateEvent) -> None:
        self._flush()
        self._events.append(event)

    def all(self) -> list[GateEvent]:
        self._flush()
        return self._events

    def _flush(self) -> None:
        if self._bytes:
            self._events.append(Emit(b"".join(self._bytes)))
            self._bytes = []


def check_fields(frame: Frame) -> None:
    """Refuses a JSON body under a stream's content type: a client may read it as what it is."""
    for line in frame.raw.removeprefix(b"\xef\xbb\xbf").splitlines():
        if line.lstrip()[:1] in (b"{", b"["):
            raise WireError("openai.chat stream: JSON outside of any event")


def take_out(touch: Touch) -> bool:
    call = touch.call
    if call.refusal is None:
        if touch.entry is None or call.new_index == call.index:
            return False
        touch.entry["index"] = call.new_index
        return True
    if touch.entry is None:
        touch.message.pop(LEGACY, None)
        return True
    left = [entry for entry in touch.message.get("tool_calls") or [] if entry is not touch.entry]
    if left:
        touch.message["tool_calls"] = left
    else:
        touch.message.pop("tool_calls", None)
    return True


def says_nothing(document: dict[str, Json]) -> bool:
    """Tells whether nothing is left in a frame that was only there for a refused call."""
    if document.get("usage"):
        return False
    return not any(
        choice.get("finish_reason")
        or any(v not in (None, "", []) for v in (choice.get("delta") or {}).values())
        for choice in document.get("choices") or []
        if choice
    )
