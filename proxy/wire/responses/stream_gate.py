"""The gate over a Responses answer that comes as server-sent events.

How it works. Frames stand in one queue in the order in which they came and leave in that order.
A frame of a call (`output_item.added`, its arguments, `output_item.done`) refers to the call's
slot and waits until the slot is ruled on; all behind it waits too, but is read on, so that parallel
calls wait together. A call is complete at `output_item.done`; every version that the stream
shows of it (added, deltas, `*.done`, the item in `response.completed`) has to read the same, since
a client may act on any of them.

A refused call's first frame becomes the events of a whole message, its other frames vanish, and the
responses inside the lifecycle events are patched. `sequence_number` keeps counting: frames before
the first refusal are untouched, those behind it are renumbered only where numbers would repeat.
Event shapes: https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.codec import CallFound, CallSeen, Emit, GateEvent, Remember, Ruling
from proxy.wire.jsontext import Ambiguous, decode_marked, decode_object, encode
from proxy.wire.responses.items import Role, call_of, role_of, signature
from proxy.wire.responses.json_gate import failed_response, patched_items
from proxy.wire.responses.memory import Rulings, Slot, conversation_id, remember
from proxy.wire.sse import Frame, SseReader, frame_bytes
from proxy.wire.usage import AnswerMeter, Metered

_WHERE = "openai.responses: event stream"
_TERMINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})
# A call's arguments; not its results (`shell_call_output_content`).
_FRAGMENT = re.compile(r"response\.(\w*?_call)(?!_output)\w*\.")
_FRAGMENT_FIELDS = ("delta", "arguments", "input", "command", "diff")
_ENDED = "the response ended in the middle of this call"


@dataclass(slots=True, eq=False)
class _Entry:
    """One frame in the queue."""

    frame: Frame
    event: dict[str, Json] | None = None  # parsed, unless it has no data
    slot: Slot | None = None  # the call it is a part of
    parts: dict[int, Slot] = field(default_factory=dict)  # calls in the response it carries
    terminal: bool = False
    is_end: bool = False  # no frame: the end of the body


class ResponsesStreamGate(Metered):
    """See `codec.ResponseGate`."""

    def __init__(self, ref: str, conversation: str | None = None) -> None:
        self._reader = SseReader()
        self._meter = AnswerMeter()
        self._rulings = Rulings(ref)
        self._queue: deque[_Entry] = deque()
        self._open: list[Slot] = []
        self._closed: dict[int, Slot] = {}  # by output_index
        self._provider_places: set[Json] = set()  # output_index or id of server-side calls
        self._seen: set[Json] = set()
        self._items: dict[int, dict[str, Json]] = {}  # finished items by output_index
        self._response: dict[str, Json] = {}
        self._final: list[dict[str, Json]] = []  # the output of the last lifecycle event
        self._conversation = conversation
        self._named = True  # frames have an `event:` line
        self._started = self._over = self._remembered = False  # of what was emitted
        self._last = -1  # sequence_number last emitted
        self._shift = 0

    @property
    def pending(self) -> Sequence[int]:
        return self._rulings.pending

    def feed(self, data: bytes) -> list[GateEvent]:
        events: list[GateEvent] = []
        if data:
            for frame in self._reader.feed(data):
                self._take(frame, events)
        else:
            self._end(events)
        # What stands before the first call leaves before it: a ruling's bytes come behind.
        first = next((n for n, e in enumerate(events) if isinstance(e, CallFound)), len(events))
        return [*self._flush(events[:first]), *events[first:]]

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        self._rulings.rule(key, ruling)
        return self._flush([])

    @property
    def streams(self) -> bool:
        return True

    @property
    def response_id(self) -> str | None:
        """The answer's id, by which a later request may go on from it."""
        return self._id

    def keepalive(self) -> bytes:
        """Returns a `keepalive` event, as the API itself sends them, or a comment where none fits.

        Clients that time parsed events need an event; before `response.created` the openai SDK's
        `stream()` accepts no other, and behind the end nothing should follow. It repeats the last
        number, so that the numbers of later frames stay as they are.
        """
        if not self._started or self._over:
            return b": checkrein\n\n"
        event = {"type": "keepalive", "sequence_number": max(self._last, 0)}
        return frame_bytes(encode(event), "keepalive" if self._named else None)

    def fail(self, text: str) -> bytes:
        """Returns an `error` event and, in a response that has begun, its `response.failed`.

        openai-python raises on the nested `error` object; Codex reads only `response.failed`.
        """
        error = {"type": "checkrein_refused", "code": "checkrein", "message": text, "param": None}
        number = self._last + 1
        first = {**error, "type": "error", "error": error, "sequence_number": number}
        made = frame_bytes(encode(first), "error")
        if self._started and not self._over:
            base = {k: v for k, v in self._response.items() if k != "usage"}
            response = failed_response(self._rulings.ref, text, base)
            last = {"type": "response.failed", "sequence_number": number + 1, "response": response}
            made += frame_bytes(encode(last), "response.failed")
        self._last, self._over = number + 1, True
        return made

    # --- reading -----------------------------------------------------------------------------
    def _take(self, frame: Frame, events: list[GateEvent]) -> None:
        if frame.data is None or frame.data.strip() in (b"", b"[DONE]"):
            self._queue.append(_Entry(frame))
            return
        event = decode_object(frame.data, _WHERE)
        kind = event.get("type")
        kind = kind if isinstance(kind, str) else frame.event or ""
        slot = self._slot_of(event)
        fragment = _FRAGMENT.match(kind)
        if slot is not None or fragment or "item" in event or "response" in event:
            # Only these can carry a call: they are read again in the way that sees double keys.
            event = decode_marked(frame.data, _WHERE)
            if isinstance(event, Ambiguous):
                raise WireError(f"{_WHERE}: duplicate key in a {kind or 'nameless'} event")
        elif any(role_of(item) is Role.CLIENT for item in _listed(event.get("output"))):
            raise WireError(f"{_WHERE}: a call in an event of unknown shape ({kind!r})")
        if "response" in event or event.get("logprobs"):
            self._meter.read(event)
        entry = _Entry(frame, event, slot)
        if isinstance(event.get("response"), dict):
            if isinstance(event.get("item"), dict):
                raise WireError(f"{_WHERE}: an event with both an item and a response ({kind!r})")
            self._lifecycle(entry, event["response"], kind, events)
        elif isinstance(event.get("item"), dict):
            self._item(entry, event["item"], kind, events)
        elif slot is not None:
            slot.absorb(event)
        elif (
            fragment
            and role_of({"type": fragment[1]}) is Role.CLIENT
            and any(isinstance(event.get(name), str) for name in _FRAGMENT_FIELDS)
        ):
            entry.slot = self._late(event, kind)
        self._queue.append(entry)

    def _slot_of(self, event: dict[str, Json]) -> Slot | None:
        index, item_id = event.get("output_index"), event.get("item_id")
        for slot in self._open:
            if index is not None and index == slot.index:
                return slot
            if isinstance(item_id, str) and item_id == slot.item.get("id"):
                return slot
        return None

    def _late(self, event: dict[str, Json], kind: str) -> Slot | None:
        """Finds the place of a fragment that belongs to no open call."""
        index = event.get("output_index")
        if index in self._provider_places or event.get("item_id") in self._provider_places:
            return None
        known = self._closed.get(index) if isinstance(index, int) else None
        if known is None or not known.reads_as(event):
            raise WireError(f"{_WHERE}: {kind} for a call that is not open (output_index {index})")
        return known

    def _item(
        self, entry: _Entry, item: dict[str, Json], kind: str, events: list[GateEvent]
    ) -> None:
        index = entry.event.get("output_index") if entry.event else None
        index = index if isinstance(index, int) else None
        role, slot = role_of(item), entry.slot
        if role is not Role.CLIENT and isinstance(item, Ambiguous):
            raise WireError(f"{_WHERE}: duplicate key in an item (output_index {index})")
        if kind.endswith(".added"):
            if slot is not None:
                raise WireError(f"{_WHERE}: two items at output_index {index}")
            if role is Role.CLIENT:
                entry.slot = Slot(item=item, index=index, added=item)
                self._open.append(entry.slot)
            elif role is Role.PROVIDER:
                self._provider_places |= {index, item.get("id")} - {None}
            return
        if index is not None:
            self._items[index] = item
        if slot is not None:
            if role is Role.CLIENT:
                slot.item = item
            else:
                slot.fault = "the call became another item while it was streamed"
            self._open.remove(slot)
            self._wait(slot, events)
        elif role is Role.CLIENT:
            entry.slot = self._again(item, index)
            if entry.slot is None:
                entry.slot = Slot(item=item, index=index)
                self._wait(entry.slot, events)
        elif role is Role.PROVIDER:
            self._see(item, events)

    def _again(self, item: dict[str, Json], index: int | None) -> Slot | None:
        """Returns the slot of a call that is shown once more at the same place."""
        known = self._closed.get(index) if index is not None else None
        if known is None or known.call is None:
            return None
        return known if signature(call_of(item, self._id)) == signature(known.call) else None

    def _wait(self, slot: Slot, events: list[GateEvent]) -> None:
        call = call_of(slot.item, self._id, fault=slot.difference())
        self._rulings.wait(slot, call)
        if slot.index is not None:
            self._closed[slot.index] = slot
        events.append(CallFound(slot.key, call))

    def _see(self, item: dict[str, Json], events: list[GateEvent]) -> None:
        name = item.get("id") or item.get("call_id")
        if name is None or name not in self._seen:
            self._seen.add(name)
            events.append(CallSeen(call_of(item, self._id)))

    def _lifecycle(
        self, entry: _Entry, response: dict[str, Json], kind: str, events: list[GateEvent]
    ) -> None:
        output = response.get("output")
        if isinstance(response, Ambiguous) or not isinstance(output, list | None):
            raise WireError(f"{_WHERE}: {kind} carries a response that has no single reading")
        self._response = {k: v for k, v in response.items() if k != "output"}
        self._conversation = conversation_id(response.get("conversation")) or self._conversation
        entry.slot = None
        entry.terminal = kind.rpartition(".")[2] in _TERMINAL
        if entry.terminal:
            for slot in self._open:
                self._cut(slot, events)
            self._open.clear()
        self._final = [item for item in _listed(output) if isinstance(item, dict)]
        unmatched = list(self._rulings.slots)
        for at, item in enumerate(_listed(output)):
            role = role_of(item)
            if role is Role.CLIENT:
                known = self._matching(item, unmatched)
                if known is not None:
                    unmatched.remove(known)
                else:
                    known = Slot(item=item)
                    self._wait(known, events)
                entry.parts[at] = known
            elif isinstance(item, Ambiguous):
                raise WireError(f"{_WHERE}: {kind}: duplicate key - at $.response.output[{at}]")
            elif role is Role.PROVIDER and entry.terminal:
                self._see(item, events)

    def _matching(self, item: dict[str, Json], among: list[Slot]) -> Slot | None:
        call = call_of(item, self._id)
        mine = signature(call)
        for slot in among:
            if slot.call is None:
                continue
            if slot.ended_early and (slot.call.kind, slot.call.id) == (call.kind, call.id):
                return slot
            # A faulty version (a double key) never passes as the sound one that was judged.
            if signature(slot.call) == mine and (call.fault is None or slot.call.fault):
                return slot
        return None

    def _cut(self, slot: Slot, events: list[GateEvent]) -> None:
        """Completes a call that will not end, with what is known of it and a fault."""
        text = "".join(part for parts in slot.deltas.values() for part in parts)
        if slot.item.get("type") == "function_call" and text:
            slot.item = {**slot.item, "arguments": text}
        slot.fault, slot.ended_early = _ENDED, True
        self._wait(slot, events)

    @property
    def _id(self) -> str | None:
        found = self._response.get("id")
        return found if isinstance(found, str) else None

    def _end(self, events: list[GateEvent]) -> None:
        rest = self._reader.rest()
        if rest is not None:
            try:
                self._take(rest, events)
            except WireError:
                # Cut in the middle of a frame: no client can read it. In a call it is dropped.
                if not self._open:
                    self._queue.append(_Entry(rest))
        for slot in self._open:
            slot.dropped = True
        self._queue.append(_Entry(Frame(b"", None, None), is_end=True))

    # --- writing -----------------------------------------------------------------------------
    def _flush(self, events: list[GateEvent]) -> list[GateEvent]:
        made = bytearray()
        while self._queue and self._ready(self._queue[0]):
            entry = self._queue.popleft()
            if (entry.terminal or entry.is_end) and not self._remembered and self._rulings.refused:
                self._remembered = True
                if made:
                    events.append(Emit(bytes(made)))
                    made.clear()
                events.append(Remember(self._memory()))
            made += self._written(entry)
        if made:
            events.append(Emit(bytes(made)))
        return events

    @staticmethod
    def _ready(entry: _Entry) -> bool:
        if entry.slot is not None and not entry.slot.decided:
            return False
        return all(slot.decided for slot in entry.parts.values())

    def _written(self, entry: _Entry) -> bytes:
        slot, event = entry.slot, entry.event
        if entry.is_end:
            if any(slot.dropped for slot in self._open):
                return self.fail("checkrein: the answer ended in the middle of a tool call")
            return b""
        if event is None:
            return entry.frame.raw
        self._named = entry.frame.event is not None
        if slot is not None and slot.dropped:
            return b""
        if slot is not None and slot.refused:
            if slot.shown or slot.message is None:
                return b""
            slot.shown = True
            return self._message(slot.message, event)
        if isinstance(event.get("response"), dict):
            self._started = True
            self._over = self._over or entry.terminal
        if any(part.refused for part in entry.parts.values()):
            response = event["response"]
            output = patched_items(response["output"], entry.parts)
            event = {**event, "response": {**response, "output": output}}
        number = event.get("sequence_number")
        if isinstance(number, int):
            if self._rulings.refused and number + self._shift <= self._last:
                self._shift = self._last + 1 - number
            self._last = number + self._shift
            if self._shift:
                event = {**event, "sequence_number": self._last}
        if event is entry.event:
            return entry.frame.raw
        return frame_bytes(encode(event), entry.frame.event)

    def _message(self, message: dict[str, Json], first: dict[str, Json]) -> bytes:
        """Writes the events of a message, with the place and numbers of the call's frames."""
        part = message["content"][0]
        text = part["text"]
        index = first.get("output_index", 0)
        at = {"output_index": index, "item_id": message["id"], "content_index": 0}
        empty = {**part, "text": ""}
        begun = {**message, "status": "in_progress", "content": []}
        made: list[tuple[str, dict[str, Json]]] = [
            ("output_item.added", {"output_index": index, "item": begun}),
            ("content_part.added", {**at, "part": empty}),
            ("output_text.delta", {**at, "delta": text, "logprobs": []}),
            ("output_text.done", {**at, "text": text, "logprobs": []}),
            ("content_part.done", {**at, "part": part}),
            ("output_item.done", {"output_index": index, "item": message}),
        ]
        number = first.get("sequence_number")
        number = number + self._shift if isinstance(number, int) else 0
        number = max(number, self._last + 1)
        frames = bytearray()
        for kind, fields in made:
            event = {"type": f"response.{kind}", "sequence_number": number, **fields}
            frames += frame_bytes(encode(event), event["type"] if self._named else None)
            number += 1
        self._last = number - 1
        return bytes(frames)

    def _memory(self) -> Json:
        """The items as the provider sent them: its own list, where that has every refused call."""
        refused = [slot.item for slot in self._rulings.refused]
        original = self._final
        if not all(any(_is(item, one) for item in original) for one in refused):
            original = [item for _, item in sorted(self._items.items())]
            original += [one for one in refused if not any(_is(item, one) for item in original)]
        return remember(
            self._rulings, original, response_id=self._id, conversation=self._conversation
        )


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _is(item: dict[str, Json], one: dict[str, Json]) -> bool:
    if item is one:
        return True
    return all(item.get(name) == one.get(name) for name in ("type", "id", "call_id"))
