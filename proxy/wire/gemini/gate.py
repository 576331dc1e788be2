"""The gate over an answer of Gemini, in any of its framings.

How it works. `framing` cuts the body into pieces; a piece whose document has a part of a call waits, and
all that stands behind it, until every call it has a part of is complete and ruled on. Then it leaves as it
came, or it is written again: our text takes the place of a refused call's first part, its other parts go.
`finishReason` stays, since Gemini says STOP with calls and without.

Where calls stand: `candidates[].content.parts[]`, in Cloud Code's answers below `response`. Every
candidate counts, also those that most clients pass over. Memory: the model's whole `Content` as the
provider sent it (signatures stay on their parts), for each candidate that lost a call; it is made durable
before the first text that refers to it leaves, and again where the answer ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    Refuse,
    RefusedCall,
    RefusedResponse,
    Remember,
    Ruling,
)
from proxy.wire.gemini.framing import Framing, Piece
from proxy.wire.gemini.partial import PartialCall
from proxy.wire.gemini.parts import (
    PROVIDER,
    Part,
    call_of,
    fold,
    function_call,
    get,
    key_of,
    names_of,
    objects,
    provider_calls,
)
from proxy.wire.jsontext import decode_marked, encode, is_ambiguous
from proxy.wire.usage import AnswerMeter, Metered

_WHAT = "gemini: response"
_CUT = "The answer ended in the middle of a tool call."


class _State(Enum):
    OPEN = "open"
    WAITING = "waiting"
    RELEASED = "released"
    REFUSED = "refused"


@dataclass(slots=True)
class _Slot:
    """One call of the client, over one part or several."""

    turn: _Turn
    state: _State = _State.OPEN
    text: str = ""  # of the refusal
    call: Call | None = None
    value: dict[str, Json] = field(default_factory=dict)  # the functionCall as a whole
    signature: dict[str, Json] = field(default_factory=dict)  # the other fields of its parts
    partial: PartialCall | None = None


@dataclass(slots=True)
class _Turn:
    """What one candidate has said so far."""

    parts: list[Part | _Slot] = field(default_factory=list)
    open: _Slot | None = None
    refused: bool = False


@dataclass(slots=True)
class _Edit:
    """One `parts` list, and which of its parts belong to which call."""

    parts: list[Json]
    slots: dict[int, tuple[_Slot, bool]]  # position -> the call, and whether it begins here


@dataclass(slots=True)
class _Item:
    piece: Piece
    document: dict[str, Json] | None = None
    edits: list[_Edit] = field(default_factory=list)
    ends: bool = False  # a candidate finishes here

    @property
    def slots(self) -> list[_Slot]:
        return [slot for edit in self.edits for slot, _first in edit.slots.values()]


class GeminiGate(Metered):
    """`codec.ResponseGate` for generateContent and streamGenerateContent."""

    def __init__(
        self,
        framing: Framing,
        *,
        status: int,
        ref: str,
        error_body: Callable[[int, str], bytes],
    ) -> None:
        self._framing = framing
        self._meter = AnswerMeter()
        self._good = 200 <= status < 300
        self._ref = ref
        self._error_body = error_body
        self._queue: deque[_Item] = deque()
        self._turns: dict[int, _Turn] = {}
        self._waiting: dict[int, _Slot] = {}
        self._next_key = 0
        self._response_id: str | None = None
        self._remembered: tuple[int, ...] = ()
        self._ended = False
        self._broken = False

    @property
    def streams(self) -> bool:
        return self._framing.streams

    @property
    def response_id(self) -> str | None:
        return None  # no request of this API names an answer

    @property
    def pending(self) -> Sequence[int]:
        return tuple(self._waiting)

    def feed(self, data: bytes) -> list[GateEvent]:
        if self._ended:
            return []
        events: list[GateEvent] = []
        try:
            for piece in self._framing.feed(data):
                self._take(piece, events)
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
            slot.state, slot.text, slot.turn.refused = _State.REFUSED, ruling.text, True
        else:
            slot.state = _State.RELEASED
        events: list[GateEvent] = []
        self._flush(events)
        return events

    def keepalive(self) -> bytes:
        """A blank line: google-genai takes neither comments nor `event:` lines, JSON takes white space."""
        return b"\n"

    def fail(self, text: str) -> bytes:
        return self._framing.error(self._error_body(502, text))

    # --- reading -----------------------------------------------------------------------------
    def _take(self, piece: Piece, events: list[GateEvent]) -> None:
        item = _Item(piece)
        if piece.body is not None:
            try:
                item.document = decode_marked(piece.body, _WHAT)
            except WireError:
                if self._good:
                    raise
                # A gateway's error page, or an error in an array: no client acts on it.
        if item.document is not None:
            self._read(item, item.document, events)
        self._queue.append(item)

    def _read(self, item: _Item, document: dict[str, Json], events: list[GateEvent]) -> None:
        judged: set[int] = set()
        self._meter.read(document)
        for answer in answers(document):
            found = get(answer, "responseId")
            if isinstance(found, str) and found:
                self._response_id = found
            for position, candidate in enumerate(candidates(answer)):
                index = get(candidate, "index")
                index = index if type(index) is int else position
                turn = self._turns.setdefault(index, _Turn())
                item.ends |= get(candidate, "finishReason") is not None
                for parts in parts_lists(candidate):
                    self._parts(item, turn, parts, judged, events)
        if is_ambiguous(document, but=frozenset(judged)):
            raise WireError(f"{_WHAT}: an object has the same key twice")

    def _parts(
        self,
        item: _Item,
        turn: _Turn,
        parts: list[Json],
        judged: set[int],
        events: list[GateEvent],
    ) -> None:
        edit = _Edit(parts, {})
        for position, part in enumerate(parts):
            call = function_call(part)
            if call is None:
                turn.parts.append(part)
                for seen in provider_calls(part, self._response_id):
                    events.append(CallSeen(seen))
                continue
            judged.add(id(call))
            first = turn.open is None
            slot = turn.open or _Slot(turn)
            if first:
                turn.parts.append(slot)
            edit.slots[position] = (slot, first)
            slot.signature |= {k: v for k, v in part.items() if fold(k) != "functioncall"}
            self._absorb(slot, call, events)
        if edit.slots:
            item.edits.append(edit)

    def _absorb(self, slot: _Slot, call: dict[str, Json], events: list[GateEvent]) -> None:
        if slot.partial is None and get(call, "willContinue") is not True:
            pieces = get(call, "partialArgs")
            if pieces is None or pieces == []:
                slot.value = call
                self._wait(slot, call_of(call, self._response_id), events)
                return
        if slot.partial is None:
            slot.partial = PartialCall()
        if is_ambiguous(call):
            slot.partial.fault = "duplicate key in the call"
        done = slot.partial.absorb(call)
        slot.turn.open = None if done else slot
        if done:
            arguments = slot.partial.arguments()
            slot.value = {**slot.partial.call, "args": arguments}
            made = call_of(
                slot.value, self._response_id, arguments=arguments, fault=slot.partial.fault
            )
            self._wait(slot, made, events)

    def _wait(self, slot: _Slot, call: Call, events: list[GateEvent]) -> None:
        key, self._next_key = self._next_key, self._next_key + 1
        slot.call, slot.state = call, _State.WAITING
        self._waiting[key] = slot
        self._flush(events)  # what stands before it leaves before anyone thinks about it
        events.append(CallFound(key, call))

    # --- writing -----------------------------------------------------------------------------
    def _flush(self, events: list[GateEvent]) -> None:
        out = bytearray()
        while self._queue:
            item = self._queue[0]
            states = {slot.state for slot in item.slots}
            if _State.WAITING in states or (_State.OPEN in states and not self._ended):
                break
            if _State.OPEN in states:
                self._queue.clear()  # a call that did not end; what stands behind is its rest
                self._remember(out, events)
                out += self.fail(_CUT)
                break
            self._queue.popleft()
            refused = _State.REFUSED in states
            if refused or item.ends:
                self._remember(out, events)
            self._framing.left(item.piece)
            out += self._rewritten(item) if refused else item.piece.raw
        if self._ended and not self._queue:
            self._remember(out, events)
        if out:
            events.append(Emit(bytes(out)))

    def _rewritten(self, item: _Item) -> bytes:
        for edit in item.edits:
            made: list[Json] = []
            for position, part in enumerate(edit.parts):
                slot, first = edit.slots.get(position, (None, False))
                if slot is None or slot.state is not _State.REFUSED:
                    made.append(part)
                elif first:
                    made.append({"text": slot.text})
            # google-genai drops a turn from its history in which a chunk has no parts.
            edit.parts[:] = made or [{"text": ""}]
        try:
            return item.piece.rewritten(encode(item.document))
        except (UnicodeEncodeError, RecursionError) as error:
            raise WireError(f"{_WHAT}: cannot be written again") from error

    def _remember(self, out: bytearray, events: list[GateEvent]) -> None:
        """Emits the memory, where there is something new to remember, behind what stands before it."""
        losers = [turn for turn in self._turns.values() if turn.refused]
        size = tuple(
            sum(not isinstance(p, _Slot) or p.state is not _State.OPEN for p in turn.parts)
            for turn in losers
        ) + tuple(slot.state is _State.REFUSED for slot in _slots(losers))
        if not losers or size == self._remembered:
            return
        self._remembered = size
        if out:
            events.append(Emit(bytes(out)))
            out.clear()
        events.append(Remember(self._memory(losers)))

    def _memory(self, turns: Sequence[_Turn]) -> RefusedResponse:
        contents: list[Json] = []
        places: list[Json] = []
        refused: list[RefusedCall] = []
        keys = [f"ref:{self._ref}"]
        for turn in turns:
            parts: list[Json] = []
            lost: list[int] = []
            for part in turn.parts:
                if not isinstance(part, _Slot):
                    keys += names_of(part)
                    _append(parts, part)
                    continue
                if part.state is _State.OPEN or part.call is None:
                    continue
                if part.state is _State.REFUSED:
                    lost.append(len(parts))
                    refused.append(
                        RefusedCall(part.call.id, part.call.name, part.call.kind, part.text)
                    )
                whole = {**part.signature, "functionCall": part.value}
                if part.state is not _State.REFUSED:
                    keys += names_of(whole)
                parts.append(whole)
            contents.append({"role": "model", "parts": parts})
            places.append(lost)
        return RefusedResponse(
            ref=self._ref,
            provider=PROVIDER,
            keys=tuple(dict.fromkeys(keys)),
            original={"contents": contents, "refused": places},
            refused=tuple(refused),
        )


def answers(document: dict[str, Json]) -> list[dict[str, Json]]:
    """Returns the objects in which candidates stand: the document, and what Cloud Code wraps in it."""
    wrapped = get(document, "response")
    return [document, wrapped] if isinstance(wrapped, dict) else [document]


def candidates(answer: dict[str, Json]) -> list[dict[str, Json]]:
    found = get(answer, "candidates")
    if isinstance(found, dict):
        raise WireError(f"{_WHAT}: expected an array - at candidates")
    return objects(found, "candidates")


def parts_lists(candidate: dict[str, Json]) -> list[list[Json]]:
    """Returns the candidate's list of parts, if it has one.

    Raises:
        WireError: something else stands there.
    """
    content = get(candidate, "content")
    if content is None:
        return []
    if not isinstance(content, dict):
        raise WireError(f"{_WHAT}: expected an object - at content")
    key = key_of(content, "parts")
    if key is None or content[key] is None:
        return []
    if not isinstance(content[key], list):
        raise WireError(f"{_WHAT}: expected an array - at parts")
    objects(content[key], "parts")
    return [content[key]]


def has_calls(document: dict[str, Json]) -> bool:
    """Tells whether a call of the client stands in an answer's document."""
    return any(
        function_call(part) is not None
        for answer in answers(document)
        for candidate in candidates(answer)
        for parts in parts_lists(candidate)
        for part in parts
    )


def _slots(turns: Sequence[_Turn]) -> list[_Slot]:
    return [part for turn in turns for part in turn.parts if isinstance(part, _Slot)]


_PLAIN = frozenset({"text", "thought"})


def _append(parts: list[Json], part: Part) -> None:
    """Appends a part; plain texts that were streamed one after the other become one."""
    last: Part = parts[-1] if parts else {}
    plain = _is_plain(last) and _is_plain(part)
    if plain and last.get("thought") == part.get("thought"):
        parts[-1] = {**last, "text": last["text"] + part["text"]}
    else:
        parts.append(part)


def _is_plain(part: Part) -> bool:
    return set(part) <= _PLAIN and isinstance(part.get("text"), str)
