"""The gate over a run that comes as server-sent events.

How it works. Text and everything ahead of a call leave at once. A call shows in up to three versions:
fragments (`thread.run.step.delta`), the run that asks for its output (`thread.run.requires_action`),
and the whole step. From the first fragment of a client's call on, frames wait in order. The call is
complete with the run or the whole step that names it; its fragments have to say the same, since a
client may act on any of them. Fragments that nothing completes are never emitted.

The stand-in for a refused call is nothing at all: the model reads the refusal as the call's output
(`memory`), and tells it. Indices behind a call that was taken out move up, for openai-python falls over a
hole.

The event's name is not looked at: a frame is read by its shape, whatever it is called. A frame without
the bytes `tool_calls` or `\\u` holds no call in any spelling.
Source: https://platform.openai.com/docs/api-reference/assistants-streaming/events (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.assistants.calls import (
    ACTION,
    DELTA,
    Place,
    call_of,
    explain,
    make_call,
    places,
    take_out,
    text,
    value_of,
)
from proxy.wire.assistants.memory import memory_of
from proxy.wire.chat.calls import error_document
from proxy.wire.chat.frames import Events, check_fields
from proxy.wire.codec import CallFound, CallSeen, GateEvent, Release, Remember, Ruling
from proxy.wire.jsontext import decode_marked, decode_object, encode, is_ambiguous
from proxy.wire.sse import Frame, SseReader, frame_bytes
from proxy.wire.usage import AnswerMeter, Metered

_WHAT = "openai.assistants stream"
_ENDED_INSIDE = "checkrein: the answer ended inside a tool call; the call was not let through."


@dataclass(slots=True, eq=False)
class _Slot:
    """One call, complete, and what was ruled on it."""

    call: Call
    asked: bool  # a run asks the client for it
    ruled: bool = False
    refusal: str | None = None


@dataclass(slots=True, eq=False)
class _Fragments:
    """One entry of a step while its fragments come in."""

    step: str
    index: int
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    slot: _Slot | None = None
    cut_off: bool = False

    @property
    def settled(self) -> bool:
        return self.cut_off or (self.slot is not None and self.slot.ruled)

    @property
    def gone(self) -> bool:
        return self.cut_off or (self.slot is not None and self.slot.refusal is not None)


@dataclass(slots=True)
class _Held:
    """A frame, the calls it waits for, and the round that it ends."""

    frame: Frame
    document: dict[str, Json] | None = None
    touches: list[tuple[Place, _Slot | _Fragments | None]] = field(default_factory=list)
    remembered: bool = False

    @property
    def ready(self) -> bool:
        return all(
            one is None or (one.ruled if isinstance(one, _Slot) else one.settled)
            for _, one in self.touches
        )


class AssistantsStreamGate(Metered):
    """Holds back the frames of a run's stream that carry calls (`codec.ResponseGate`)."""

    def __init__(self, *, ref: str, run_id: str | None) -> None:
        self._ref = ref
        self._run_id = run_id
        self._reader = SseReader()
        self._meter = AnswerMeter()
        self._held: list[_Held] = []
        self._slots: dict[tuple[str | None, str | None], _Slot] = {}
        self._seen: set[str | None] = set()
        self._fragments: dict[tuple[str, int], _Fragments] = {}
        self._waiting: dict[int, _Slot] = {}
        self._next_key = 0
        self._error: WireError | None = None
        self._ended = False

    @property
    def streams(self) -> bool:
        return True

    @property
    def response_id(self) -> str | None:
        """The run, which later requests name in their path."""
        return self._run_id

    @property
    def pending(self) -> Sequence[int]:
        return tuple(self._waiting)

    def feed(self, data: bytes) -> list[GateEvent]:
        if self._error is not None:
            raise self._error
        if self._ended:
            return []
        events = Events()
        try:
            if data:
                for frame in self._reader.feed(data):
                    self._take(frame, events)
            else:
                self._end(events)
        except WireError as error:
            # What came before the bad frame still leaves; the error follows at the next feed.
            self._error = error
            before = events.all()
            if not before or self._ended:
                raise
            return before
        return events.all()

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        slot = self._waiting.pop(key)
        slot.ruled = True
        if not isinstance(ruling, Release):
            slot.refusal = ruling.text
        events = Events()
        self._flush(events)
        return events.all()

    def keepalive(self) -> bytes:
        """A comment: every event of this API has a meaning of its own."""
        return b": checkrein\n\n"

    def fail(self, text: str) -> bytes:
        return frame_bytes(encode(error_document(text)), "error")

    # --- reading ---------------------------------------------------------------------------

    def _take(self, frame: Frame, events: Events) -> None:
        data = frame.data
        if data is None or not data.strip():
            check_fields(frame)
            held = _Held(frame)
        elif data.startswith(b"[DONE]"):
            held = _Held(frame)
            self._cut_off(None)
        elif b"tool_calls" in data or b"\\u" in data:
            held = self._read(frame, data, events)
        else:
            self._note_run(data)
            held = _Held(frame)
        self._held.append(held)
        self._flush(events)

    def _note_run(self, data: bytes) -> None:
        if b"thread.run" in data and (self._run_id is None or b'"usage"' in data):
            try:
                self._note(decode_object(data, _WHAT))
            except WireError:
                return  # whatever it is, no call is in it

    def _note(self, document: dict[str, Json]) -> None:
        self._meter.read(document)
        is_run = document.get("object") == "thread.run"
        found = document.get("id") if is_run else document.get("run_id")
        if self._run_id is None and isinstance(found, str):
            self._run_id = found

    def _read(self, frame: Frame, data: bytes, events: Events) -> _Held:
        document = decode_marked(data, _WHAT)
        self._note(document)
        held = _Held(frame, document)
        whole: set[str | None] = set()
        values: list[Json] = []
        for place in places(document, _WHAT):
            value = value_of(place)
            if isinstance(value, dict | list):
                values.append(value)
            if place.form == DELTA or self._is_beginning(place):
                held.touches.append((place, self._fragment(place, value)))
            elif place.is_clients:
                slot = self._complete(place, value, events)
                if any(slot is one for _, one in held.touches):
                    raise WireError(f"{place.where}: one call stands here twice")
                held.touches.append((place, slot))
                whole.add(None if place.form == ACTION else _text(place.top.get("id")))
            elif place.is_providers:
                held.touches.append((place, None))
                call = call_of(place, self._run_of(place), value)
                if call.id not in self._seen:
                    self._seen.add(call.id)
                    events.add(CallSeen(call))
        inside = frozenset(id(value) for value in values)
        try:
            ambiguous = is_ambiguous(document, but=inside)
        except RecursionError as error:
            raise WireError(f"{_WHAT}: nested too deeply") from error
        if ambiguous:
            raise WireError(f"{_WHAT}: an object has the same key twice")
        for step in whole:
            self._cut_off(step)
        return held

    @staticmethod
    def _is_beginning(place: Place) -> bool:
        """A step that is shown while it runs: fragments will be added to what stands in it."""
        return place.form != ACTION and place.top.get("status") == "in_progress"

    def _run_of(self, place: Place) -> str | None:
        return place.run_id or self._run_id

    def _fragment(self, place: Place, value: Json) -> _Fragments | None:
        """Adds one fragment; None where it is a part of a call that the server runs."""
        step = _text(place.top.get("id"))
        index = place.entry.get("index", None if place.form == DELTA else place.position)
        if step is None or type(index) is not int or index < 0:
            raise WireError(f"{place.where}: a fragment without a step or an index")
        known = self._fragments.get((step, index))
        if known is None:
            answered_or_not_ours = place.form != DELTA and not place.is_clients
            is_ours = place.is_clients or place.entry.get("type") == "function"
            if answered_or_not_ours or not is_ours:
                return None
            known = self._fragments[step, index] = _Fragments(step, index)
        body = place.entry.get("function")
        if body is not None and not isinstance(body, dict):
            raise WireError(f"{place.where}.function: expected an object")
        if known.settled or known.slot is not None:
            raise WireError(f"{place.where}: a fragment behind the end of its call")
        known.id += text(place.entry.get("id"), f"{place.where}.id") or ""
        known.name += text((body or {}).get("name"), f"{place.where}.name") or ""
        known.arguments.append(text(value, f"{place.where}.arguments") or "")
        return known

    def _complete(self, place: Place, value: Json, events: Events) -> _Slot:
        call = call_of(place, self._run_of(place), value)
        key = (call.response_id, call.id)
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = _Slot(call, place.form == ACTION)
            self._waiting[self._next_key] = slot
            events.add(CallFound(self._next_key, call))
            self._next_key += 1
        elif not _same(slot.call, call):
            raise WireError(f"{place.where}: two versions of the call {call.id}")
        slot.asked = slot.asked or place.form == ACTION
        for fragments in self._fragments.values():
            if fragments.slot is None and not fragments.cut_off and fragments.id == call.id:
                shown = make_call(
                    "".join(fragments.arguments),
                    call_id=fragments.id,
                    name=fragments.name,
                    run_id=call.response_id,
                    kind=call.kind,
                )
                if not _same(shown, call):
                    raise WireError(f"{place.where}: the fragments of {call.id} say another call")
                fragments.slot = slot
        return slot

    def _cut_off(self, step: str | None) -> bool:
        """Gives up the fragments, of one step or all, that no whole call has named."""
        cut = [
            one
            for one in self._fragments.values()
            if one.slot is None and not one.cut_off and step in (None, one.step)
        ]
        for one in cut:
            one.cut_off = True
        return bool(cut)

    def _end(self, events: Events) -> None:
        self._ended = True
        whole = True
        try:
            rest = self._reader.rest()
            if rest is not None:
                self._take(rest, events)
        except WireError:
            whole = False  # a frame cut in the middle
        if self._cut_off(None) or not whole:
            self._held.append(_Held(Frame(self.fail(_ENDED_INSIDE), None, None)))
        self._flush(events)

    # --- writing ---------------------------------------------------------------------------

    def _flush(self, events: Events) -> None:
        sent = 0
        for held in self._held:
            if not held.ready:
                break
            if any(place.form == ACTION for place, _ in held.touches):
                self._remember(events)
            events.emit(self._bytes_of(held))
            sent += 1
        del self._held[:sent]

    def _remember(self, events: Events) -> None:
        judged = [(slot.call, slot.refusal) for slot in self._slots.values() if slot.asked]
        if (memory := memory_of(self._ref, judged)) is not None:
            events.add(Remember(memory))

    def _bytes_of(self, held: _Held) -> bytes:
        changed = False
        emptied = False
        asked: dict[int, tuple[dict[str, Json], list[str]]] = {}
        for place, one in held.touches:
            if one is not None and (
                one.refusal is not None if isinstance(one, _Slot) else one.gone
            ):
                take_out(place)
                changed = True
                emptied = emptied or (place.form == DELTA and not place.owner["tool_calls"])
                if place.form == ACTION and isinstance(one, _Slot) and one.refusal is not None:
                    asked.setdefault(id(place.top), (place.top, []))[1].append(one.refusal)
            elif place.form == DELTA:
                changed = self._move_up(place) or changed
        if not changed or held.document is None:
            return held.frame.raw
        if emptied:
            return b""
        for run, texts in asked.values():
            if not any(place.form == ACTION for place in places(run, _WHAT)):
                explain(run, texts)
        try:
            return frame_bytes(encode(held.document), held.frame.event)
        except (UnicodeEncodeError, RecursionError) as error:
            raise WireError(f"{_WHAT}: a frame cannot be written again") from error

    def _move_up(self, place: Place) -> bool:
        """Closes the holes that refused calls left ahead of this entry."""
        step, index = place.top.get("id"), place.entry.get("index")
        if not isinstance(index, int):
            return False
        holes = sum(
            one.step == step and one.index < index and one.gone for one in self._fragments.values()
        )
        if holes:
            place.entry["index"] = index - holes
        return bool(holes)


def _same(one: Call, other: Call) -> bool:
    return (one.id, one.name, one.args_sha256, one.fault) == (
        other.id,
        other.name,
        other.args_sha256,
        other.fault,
    )


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None
