"""The gate over a streamed Chat Completions answer.

What belongs here: which frames may leave when. Text frames leave at once. From the first fragment of
a call on, all frames wait in order until the call's round is *settled*: its choice's finish reason
(or `[DONE]`) came and every call of the round was ruled on. Frames then leave as they came, or, where
a call of theirs was refused, without its fragments; a refusal's text goes ahead of the finish reason.

A frame without the bytes `tool_call`, `function_call` or `\\u` cannot hold a call in any spelling
(only `\\u` escapes can spell a letter of a key), so it is read the fast way; all others are read with
duplicate keys refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.chat.assembly import LEGACY, Round, StreamedCall, StreamedChoice, memory_of
from proxy.wire.chat.calls import (
    CUT_OFF,
    cut_off_text,
    error_document,
    executed_calls,
    finish_without_calls,
    list_or_empty,
    object_or_none,
)
from proxy.wire.chat.frames import (
    Events,
    Finish,
    Held,
    Touch,
    check_fields,
    says_nothing,
    take_out,
)
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    GateEvent,
    Release,
    Remember,
    Ruling,
)
from proxy.wire.jsontext import decode_marked, decode_object, encode, is_ambiguous
from proxy.wire.sse import Frame, SseReader, frame_bytes
from proxy.wire.usage import AnswerMeter, Metered

_WHAT = "openai.chat stream"
_ENDED_INSIDE = "checkrein: the answer ended inside a tool call; the call was not let through."
_HEAD = ("id", "object", "created", "model", "system_fingerprint")


class ChatStreamGate(Metered):
    """Holds back the frames of a Chat stream that carry calls (`codec.ResponseGate`)."""

    def __init__(self, *, ref: str) -> None:
        self._ref = ref
        self._reader = SseReader()
        self._meter = AnswerMeter()
        self._choices: dict[int, StreamedChoice] = {}
        self._held: list[Held] = []
        self._waiting: dict[int, StreamedCall] = {}
        self._next_key = 0
        self._head: dict[str, Json] | None = None
        self._response_ids: list[str] = []
        self._ran: set[tuple[int, str]] = set()  # server-side calls that were told
        self._error: WireError | None = None
        self._ended = False

    @property
    def streams(self) -> bool:
        return True

    @property
    def response_id(self) -> str | None:
        return None  # no request of this API names an answer

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
        call = self._waiting.pop(key)
        call.ruled = True
        if not isinstance(ruling, Release):
            call.refusal = ruling.text
        events = Events()
        self._settle(call.round, events)
        self._flush(events)
        return events.all()

    def keepalive(self) -> bytes:
        """A chunk that says nothing: clients that time parsed events do not count comments."""
        if self._head is None:
            return b": checkrein\n\n"
        return self._chunk(self._head, 0, {})

    def fail(self, text: str) -> bytes:
        return frame_bytes(encode(error_document(text)))

    # --- reading ---------------------------------------------------------------------------

    def _take(self, frame: Frame, events: Events) -> None:
        data = frame.data
        if data is None or not data.strip():
            check_fields(frame)
            held = Held(frame, None)
        elif data.strip() == b"[DONE]":
            held = Held(frame, None)
            for choice in self._choices.values():
                self._finish(held, choice, None, None, events)
        else:
            held = self._read(frame, data, events)
        if self._held or held.touches or held.finishes:
            self._held.append(held)
            self._flush(events)
        else:
            events.emit(frame.raw)

    def _read(self, frame: Frame, data: bytes, events: Events) -> Held:
        plain = b"tool_call" not in data and b"function_call" not in data and b"\\u" not in data
        document = decode_object(data, _WHAT) if plain else decode_marked(data, _WHAT)
        choices = list_or_empty(document.get("choices"), f"{_WHAT}: $.choices")
        held = Held(frame, document)
        if choices or self._head is None:
            self._note_head(document)
        metered = bool(document.get("usage") or document.get("x_groq"))
        for position, item in enumerate(choices):
            where = f"{_WHAT}: $.choices[{position}]"
            at = object_or_none(item, where) or {}
            metered = metered or bool(at.get("logprobs"))
            index = at.get("index")
            if index is None:
                index = position
            if type(index) is not int:
                raise WireError(f"{where}.index: expected a number")
            choice = self._choices.get(index)
            if choice is None:
                choice = self._choices[index] = StreamedChoice(index)
            delta = object_or_none(at.get("delta"), f"{where}.delta")
            if delta:
                choice.note(delta)
            message = object_or_none(at.get("message"), f"{where}.message")  # writer.com repeats it
            if delta and delta.get("executed_tools"):
                self._note_executed(choice.index, delta, where, events)
            if not plain:
                self._fragments(held, choice, delta or {}, message or {}, where)
            reason = at.get("finish_reason")
            if reason:
                self._finish(held, choice, at, str(reason), events)
        if metered:
            self._meter.read(document)
        if not plain:
            inside = frozenset(id(touch.call.value) for touch in held.touches)
            try:
                ambiguous = is_ambiguous(document, but=inside)
            except RecursionError as error:
                raise WireError(f"{_WHAT}: nested too deeply") from error
            if ambiguous:
                raise WireError(f"{_WHAT}: an object has the same key twice")
        return held

    def _note_head(self, document: dict[str, Json]) -> None:
        self._head = {key: document[key] for key in _HEAD if key in document}
        response_id = document.get("id")
        if isinstance(response_id, str) and response_id not in self._response_ids[-1:]:
            self._response_ids.append(response_id)

    def _note_executed(
        self, choice: int, delta: dict[str, Json], where: str, events: Events
    ) -> None:
        """Tells of each call once: it comes again with its output."""
        last = self._response_ids[-1] if self._response_ids else None
        for index, call in executed_calls(delta, last, f"{where}.delta"):
            name = (choice, str(index))
            if name not in self._ran:
                self._ran.add(name)
                events.add(CallSeen(call))

    @staticmethod
    def _fragments(
        held: Held,
        choice: StreamedChoice,
        delta: dict[str, Json],
        message: dict[str, Json],
        where: str,
    ) -> None:
        for key in ("tool_calls", LEGACY):
            ours, theirs = delta.get(key), message.get(key)
            if ours and theirs and ours != theirs:
                raise WireError(f"{where}: `delta.{key}` and `message.{key}` are not the same")
            carriers = [m for m in (delta, message) if m.get(key)]
            if not carriers:
                continue
            if key == LEGACY:
                body = object_or_none(carriers[0][key], f"{where}.{key}") or {}
                call = choice.legacy_fragment(body, f"{where}.{key}")
                held.touches += [Touch(m, None, call) for m in carriers]
                continue
            for n, value in enumerate(list_or_empty(carriers[0][key], f"{where}.{key}")):
                entry = object_or_none(value, f"{where}.{key}[{n}]")
                if entry is not None:
                    call = choice.fragment(entry, f"{where}.{key}[{n}]")
                    held.touches += [Touch(m, m[key][n], call) for m in carriers]

    def _finish(
        self,
        held: Held,
        choice: StreamedChoice,
        at: dict[str, Json] | None,
        reason: str | None,
        events: Events,
    ) -> None:
        closed = choice.close(reason)
        if closed is None and not (choice.renumbers or self._held):
            return
        held.finishes.append(Finish(choice, at, closed))
        if closed is None:
            return
        for call in closed.calls:
            found = call.to_call(self._response_ids[-1] if self._response_ids else None)
            call.restored_id = call.id or f"call_{self._ref.removeprefix('cr_')}_{self._next_key}"
            if reason in CUT_OFF:
                call.ruled = call.cut_off = True
                call.refusal = cut_off_text(call.name, reason)
            else:
                self._waiting[self._next_key] = call
                events.add(CallFound(self._next_key, found))
                self._next_key += 1
        self._settle(closed, events)

    def _end(self, events: Events) -> None:
        self._ended = True
        whole = True
        try:
            rest = self._reader.rest()
            if rest is not None:
                self._take(rest, events)
        except WireError:
            whole = False  # a frame cut in the middle
        for choice in self._choices.values():
            cut = choice.close(None)
            if cut is not None:
                whole = False
                for call in cut.calls:
                    call.ruled = call.cut_off = True
                    call.refusal = _ENDED_INSIDE
                choice.settle(cut)
        if not whole:
            self._held.append(Held(Frame(self.fail(_ENDED_INSIDE), None, None), None))
        self._flush(events)

    # --- writing ---------------------------------------------------------------------------

    def _settle(self, closed: Round, events: Events) -> None:
        if closed.settled or not all(call.ruled for call in closed.calls):
            return
        closed.choice.settle(closed)
        if any(not call.cut_off for call in closed.refused):
            events.add(Remember(memory_of(self._choices.values(), self._ref, self._response_ids)))

    def _flush(self, events: Events) -> None:
        sent = 0
        for held in self._held:
            if not held.ready:
                break
            events.emit(self._bytes_of(held))
            sent += 1
        del self._held[:sent]

    def _bytes_of(self, held: Held) -> bytes:
        ahead: list[bytes] = []
        changed = False
        for touch in held.touches:
            changed = take_out(touch) or changed
        for finish in held.finishes:
            changed = self._rewrite_finish(finish, held, ahead) or changed
        if not changed or held.document is None:
            return b"".join([*ahead, held.frame.raw])
        if says_nothing(held.document):
            return b"".join(ahead)
        try:
            return b"".join([*ahead, frame_bytes(encode(held.document), held.frame.event)])
        except (UnicodeEncodeError, RecursionError) as error:
            raise WireError(f"{_WHAT}: a frame cannot be written again") from error

    def _rewrite_finish(self, finish: Finish, held: Held, ahead: list[bytes]) -> bool:
        changed = False
        choice = finish.choice
        texts = [c.refusal for c in finish.round.refused if c.refusal] if finish.round else []
        if texts:
            text = "\n\n".join(texts)
            if choice.fields.get("content"):
                text = "\n\n" + text
            delta = finish.at.get("delta") if finish.at else None
            if (
                isinstance(delta, dict)
                and isinstance(delta.get("content"), str)
                and delta["content"]
            ):
                delta["content"] += text
                changed = True
            else:
                head = {k: v for k, v in (held.document or {}).items() if k in _HEAD}
                added: dict[str, Json] = {"content": text}
                if not choice.has_role:
                    # Said once only: openai-python adds the deltas' texts up, the role's too, and
                    # an agent that echoes "assistantassistant" gets a 400.
                    added = {"role": "assistant", **added}
                    choice.has_role = True
                ahead.append(self._chunk(head or self._head or {}, choice.index, added))
        if finish.at is not None and choice.renumbers and not choice.has_calls_left:
            finish_without_calls(finish.at)
            changed = True
        return changed

    @staticmethod
    def _chunk(head: dict[str, Json], index: int, delta: dict[str, Json]) -> bytes:
        choice = {"index": index, "delta": delta, "finish_reason": None}
        chunk = {"object": "chat.completion.chunk"} | head | {"choices": [choice]}
        return frame_bytes(encode(chunk))
