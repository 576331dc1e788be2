"""The gate over a streamed interaction.

How it works. `step.start` opens a step at an index; the frames of a call step wait, and all that stands behind
them, until it has stopped and is ruled on. Then they leave as they came, or a text step leaves in their
place, at the same index. Arguments come whole with the start or as text in `arguments_delta`; a client may
take either, so both at once is a fault. A lifecycle event that shows the whole interaction again waits
for every call in it. The older `content.start` / `content.delta` / `content.stop` are read alike.
Event shapes: https://ai.google.dev/gemini-api/docs/interactions/streaming (read 2026-11), and
google-genai's `_gaos` package, which tells events by `event_type` alone.

Refused as contradictory: an index that is used twice, arguments for an index that has no open call (a stream
that is resumed in the middle of a call), an event name that contradicts the data.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.codec import CallFound, CallSeen, Emit, GateEvent, Refuse, Remember, Ruling
from proxy.wire.gemini.parts import fold, get, key_of
from proxy.wire.interactions.steps import (
    Role,
    Step,
    call_of,
    lists_of,
    memory,
    refuse_hidden,
    role_of,
    settled_status,
    signature,
    text_step,
)
from proxy.wire.jsontext import decode_marked, encode, is_ambiguous
from proxy.wire.sse import Frame, SseReader, frame_bytes
from proxy.wire.usage import AnswerMeter, Metered

_WHAT = "interactions: stream"
_CUT = "The answer ended in the middle of a tool call."
_SIGNS = frozenset({"thoughtsignature", "signature"})


class _State(Enum):
    OPEN = "open"
    WAITING = "waiting"
    RELEASED = "released"
    REFUSED = "refused"


@dataclass(slots=True)
class _Slot:
    """One call of the client."""

    step: Step
    index: int | None
    form: str  # "steps" or "outputs"
    state: _State = _State.OPEN
    text: str = ""
    call: Call | None = None
    pieces: list[str] = field(default_factory=list)
    fault: str | None = None


@dataclass(slots=True)
class _Item:
    raw: bytes
    event: str | None = None
    document: dict[str, Json] | None = None
    slot: _Slot | None = None
    starts: bool = False
    parts: list[tuple[list[Json], int, _Slot, str]] = field(default_factory=list)
    interaction: dict[str, Json] | None = None  # whose status may change
    ends: bool = False


class InteractionStreamGate(Metered):
    """`codec.ResponseGate` for `text/event-stream`."""

    def __init__(self, *, ref: str, error_body: Callable[[int, str], bytes]) -> None:
        self._ref = ref
        self._error_body = error_body
        self._reader = SseReader()
        self._meter = AnswerMeter()
        self._queue: deque[_Item] = deque()
        self._slots: list[_Slot] = []
        self._open: dict[int, _Slot] = {}
        self._used: set[int] = set()
        self._steps: dict[int, Step] = {}
        self._waiting: dict[int, _Slot] = {}
        self._next_key = 0
        self._id: str | None = None
        self._remembered = 0
        self._ended = False
        self._broken = False

    @property
    def streams(self) -> bool:
        return True

    @property
    def response_id(self) -> str | None:
        return self._id

    @property
    def pending(self) -> Sequence[int]:
        return tuple(self._waiting)

    def feed(self, data: bytes) -> list[GateEvent]:
        if self._ended:
            return []
        events: list[GateEvent] = []
        try:
            frames = self._reader.feed(data)
            if not data and (rest := self._reader.rest()):
                frames.append(rest)
            for frame in frames:
                self._take(frame, events)
        except WireError:
            # Nothing behind a contradiction may leave, whatever is ruled later.
            self._ended = self._broken = True
            self._queue.clear()
            self._waiting.clear()
            raise
        self._ended = not data
        self._flush(events)
        return events

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        if self._broken:
            return []
        slot = self._waiting.pop(key)
        if isinstance(ruling, Refuse):
            slot.state, slot.text = _State.REFUSED, ruling.text
        else:
            slot.state = _State.RELEASED
        events: list[GateEvent] = []
        self._flush(events)
        return events

    def keepalive(self) -> bytes:
        """A blank line; google-genai's readers of this API pass over it as over comments."""
        return b"\n"

    def fail(self, text: str) -> bytes:
        error = {"code": "checkrein_refused", "message": text}
        event = {"error": error, "event_type": "error"}
        return b"\n\n" + frame_bytes(encode(event), "error")

    # --- reading -----------------------------------------------------------------------------
    def _take(self, frame: Frame, events: list[GateEvent]) -> None:
        if frame.data is None or frame.data.strip() in (b"", b"[DONE]"):
            if frame.data is None and frame.raw.lstrip()[:1] in (b"{", b"["):
                raise WireError(f"{_WHAT}: JSON outside of an event")
            self._queue.append(_Item(frame.raw))
            return
        document = decode_marked(frame.data, _WHAT)
        self._meter.read(document)
        kind = get(document, "eventType")
        if kind is not None and not isinstance(kind, str):
            raise WireError(f"{_WHAT}: expected a string - at event_type")
        if kind is not None and frame.event not in (None, kind):
            raise WireError(f"{_WHAT}: event {frame.event!r} carries data of type {kind!r}")
        kind = kind or frame.event or ""
        family, _, verb = kind.partition(".")
        item = _Item(frame.raw, frame.event, document)
        judged: set[int] = set()
        if family in ("step", "content"):
            self._step(item, document, family, verb, judged, events)
        elif any(get(document, name) is not None for name in ("step", "delta")):
            raise WireError(f"{_WHAT}: a step in an event of unknown shape ({kind!r})")
        else:
            self._lifecycle(item, document, judged, events)
        if is_ambiguous(document, but=frozenset(judged)):
            raise WireError(f"{_WHAT}: an object has the same key twice - in a {kind} event")
        self._queue.append(item)

    def _step(
        self,
        item: _Item,
        document: dict[str, Json],
        family: str,
        verb: str,
        judged: set[int],
        events: list[GateEvent],
    ) -> None:
        index = get(document, "index")
        if type(index) is not int:
            raise WireError(f"{_WHAT}: expected a number - at index")
        if verb == "start":
            step = get(document, "step" if family == "step" else "content")
            if not isinstance(step, dict):
                raise WireError(f"{_WHAT}: expected an object - at step")
            self._start(item, step, index, family, judged, events)
        elif verb == "delta":
            delta = get(document, "delta")
            if not isinstance(delta, dict):
                raise WireError(f"{_WHAT}: expected an object - at delta")
            self._delta(item, delta, index, family, judged)
        elif verb in ("stop", "done"):
            slot = self._open.get(index)
            if slot is not None:
                item.slot = slot
                self._close(slot, events)
        else:
            raise WireError(f"{_WHAT}: unknown event {family}.{verb}")

    def _start(
        self,
        item: _Item,
        step: Step,
        index: int,
        family: str,
        judged: set[int],
        events: list[GateEvent],
    ) -> None:
        if index in self._used:
            raise WireError(f"{_WHAT}: two steps at index {index}")
        self._used.add(index)
        refuse_hidden(step, _WHAT)
        role = role_of(step)
        if role is Role.CLIENT:
            judged.add(id(step))
            item.starts = True
            item.slot = _Slot(step, index, "steps" if family == "step" else "outputs")
            self._slots.append(item.slot)
            self._open[index] = item.slot
            return
        self._steps[index] = dict(step)
        if role is Role.PROVIDER:
            events.append(CallSeen(call_of(step, self._id)))

    def _delta(
        self, item: _Item, delta: dict[str, Json], index: int, family: str, judged: set[int]
    ) -> None:
        refuse_hidden(delta, _WHAT)
        slot = self._open.get(index)
        kind = fold(str(get(delta, "type")))
        if slot is None:
            calls = role_of(delta) is Role.CLIENT or kind.startswith("arguments")
            if calls and index not in self._used and family == "content":
                # The older form may begin a call with its delta.
                self._used.add(index)
                slot = _Slot({"type": "function_call"}, index, "outputs")
                item.starts = True
                self._slots.append(slot)
                self._open[index] = slot
            elif calls:
                raise WireError(f"{_WHAT}: arguments for a call that is not open (index {index})")
            else:
                _grow(self._steps.get(index), delta)
                return
        item.slot = slot
        judged.add(id(delta))
        if is_ambiguous(delta):
            slot.fault = "duplicate key in the call"
        if kind in _SIGNS:
            slot.step = slot.step | {"signature": get(delta, "signature")}
            return
        for name in ("id", "name"):
            value = get(delta, name)
            if value is None:
                continue
            if get(slot.step, name) not in (None, "", value):
                slot.fault = f"the call's {name} changed while it was streamed"
            slot.step = slot.step | {str(key_of(slot.step, name) or name): value}
        for name in ("arguments", "partialArguments"):
            value = get(delta, name)
            if isinstance(value, str):
                slot.pieces.append(value)
            elif value is not None:
                if get(slot.step, "arguments") not in (None, {}, value):
                    slot.fault = "two versions of the arguments"
                slot.step = slot.step | {str(key_of(slot.step, "arguments") or "arguments"): value}

    def _close(self, slot: _Slot, events: list[GateEvent]) -> None:
        """Completes a call and lets it wait for its ruling."""
        if slot.index is not None:
            self._open.pop(slot.index, None)
        text = "".join(slot.pieces)
        if text.strip():
            whole = get(slot.step, "arguments")
            made = call_of(slot.step | {"arguments": text}, self._id)
            if whole not in (None, {}, "") and made.arguments != whole:
                slot.fault = slot.fault or "the arguments came whole and in pieces"
            value = made.arguments if made.fault is None else {}  # the API takes back objects only
            slot.step = slot.step | {str(key_of(slot.step, "arguments") or "arguments"): value}
            if made.fault is not None:
                self._wait(slot, made, events)
                return
        self._wait(slot, call_of(slot.step, self._id, fault=slot.fault), events)

    def _wait(self, slot: _Slot, call: Call, events: list[GateEvent]) -> None:
        key, self._next_key = self._next_key, self._next_key + 1
        slot.call, slot.state = call, _State.WAITING
        self._waiting[key] = slot
        self._flush(events)
        events.append(CallFound(key, call))

    def _lifecycle(
        self,
        item: _Item,
        document: dict[str, Json],
        judged: set[int],
        events: list[GateEvent],
    ) -> None:
        found = get(document, "interaction")
        interaction = found if isinstance(found, dict) else document
        name = get(found, "id") if isinstance(found, dict) else get(document, "interactionId")
        if isinstance(name, str) and name:
            self._id = self._id or name
        status = get(interaction, "status")
        item.interaction = interaction if status is not None else None
        item.ends = status not in (None, "in_progress", "queued")
        if item.ends or get(document, "error") is not None:
            finished = status in ("requires_action", "completed")
            for slot in list(self._open.values()):
                if finished:  # the provider sends no stop for a call that ends its answer
                    self._close(slot, events)
        for holder in (document, interaction) if interaction is not document else (document,):
            for form, steps in lists_of(holder, _WHAT):
                self._again(item, form, steps, judged, events)

    def _again(
        self,
        item: _Item,
        form: str,
        steps: list[Json],
        judged: set[int],
        events: list[GateEvent],
    ) -> None:
        """Looks at calls in an interaction that is shown as a whole: known ones, and others."""
        left = [slot for slot in self._slots if slot.call is not None]
        for at, step in enumerate(steps):
            role = role_of(step)
            if role is Role.PROVIDER and not self._used:
                events.append(CallSeen(call_of(step, self._id)))
            if role is not Role.CLIENT:
                continue
            judged.add(id(step))
            call = call_of(step, self._id)
            slot = next((s for s in left if s.call and signature(s.call) == signature(call)), None)
            if slot is not None:
                left.remove(slot)
            else:
                slot = _Slot(step, None, form)
                self._slots.append(slot)
                self._wait(slot, call, events)
            item.parts.append((steps, at, slot, form))

    # --- writing -----------------------------------------------------------------------------
    def _flush(self, events: list[GateEvent]) -> None:
        out = bytearray()
        while self._queue:
            item = self._queue[0]
            slots = [slot for _, _, slot, _ in item.parts]
            if item.slot is not None:
                slots.append(item.slot)
            states = {slot.state for slot in slots}
            if _State.WAITING in states or (_State.OPEN in states and not self._ended):
                break
            if _State.OPEN in states:
                self._queue.clear()
                self._remember(out, events)
                out += self.fail(_CUT)
                break
            self._queue.popleft()
            if _State.REFUSED in states or item.ends:
                self._remember(out, events)
            out += self._written(item)
        if self._ended and not self._queue:
            self._remember(out, events)
        if out:
            events.append(Emit(bytes(out)))

    def _written(self, item: _Item) -> bytes:
        if item.slot is not None and item.slot.state is _State.REFUSED:
            return _text_frames(item.slot, item.event is not None) if item.starts else b""
        changed = False
        for steps, at, slot, form in item.parts:
            if slot.state is _State.REFUSED:
                steps[at], changed = text_step(slot.text, form), True
        if item.interaction is not None and self._refused():
            left = any(slot.state is _State.RELEASED for slot in self._slots)
            settled = settled_status(item.interaction, calls_left=left)
            key = key_of(item.interaction, "status")
            if settled and key is not None:
                item.interaction[key], changed = settled["status"], True
        if not changed:
            return item.raw
        try:
            return frame_bytes(encode(item.document), item.event)
        except (UnicodeEncodeError, RecursionError) as error:
            raise WireError(f"{_WHAT}: cannot be written again") from error

    def _refused(self) -> list[_Slot]:
        return [slot for slot in self._slots if slot.state is _State.REFUSED]

    def _remember(self, out: bytearray, events: list[GateEvent]) -> None:
        refused = self._refused()
        size = len(refused) + len(self._steps) + sum(s.call is not None for s in self._slots)
        if not refused or size == self._remembered:
            return
        self._remembered = size
        if out:
            events.append(Emit(bytes(out)))
            out.clear()
        calls = [(slot.step, slot.call) for slot in self._slots if slot.call is not None]
        texts = [s for s in self._slots if s.call is not None]
        placed = {
            s.index: s.step for s in self._slots if s.call is not None and s.index is not None
        }
        made = memory(
            ref=self._ref,
            response_id=self._id,
            form=refused[0].form,
            steps=[step for _, step in sorted({**self._steps, **placed}.items())],
            calls=calls,
            refused={n: s.text for n, s in enumerate(texts) if s.state is _State.REFUSED},
        )
        events.append(Remember(made))


def _grow(step: Step | None, delta: dict[str, Json]) -> None:
    """Adds a signature to a step that is kept for the memory; its other parts are the client's to keep."""
    if step is not None and fold(str(get(delta, "type"))) in _SIGNS:
        step["signature"] = get(delta, "signature")


def _text_frames(slot: _Slot, named: bool) -> bytes:
    """Writes the events of a text step at the call's index."""
    family, holder = ("step", "step") if slot.form == "steps" else ("content", "content")
    text = {"type": "text", "text": slot.text}
    begun: Step = {"type": "model_output"} if slot.form == "steps" else {**text, "text": ""}
    made: list[tuple[str, dict[str, Json]]] = [
        ("start", {holder: begun}),
        ("delta", {"delta": text}),
        ("stop", {}),
    ]
    frames = bytearray()
    for verb, fields in made:
        kind = f"{family}.{verb}"
        document = {"index": slot.index, **fields, "event_type": kind}
        frames += frame_bytes(encode(document), kind if named else None)
    return bytes(frames)
