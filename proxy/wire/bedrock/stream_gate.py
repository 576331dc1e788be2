"""The gates over event streams: ConverseStream, and InvokeModel's stream in its model's own events.

How it works. A stream of InvokeModel is told by its chunks: Nova's hold Converse's events, Anthropic's
and Chat's are handed to the gates of those APIs as server-sent events. Each of these carries the
number of the frame it came in as its `id`, so that what the inner gate lets through is mapped back to
the very bytes; what it wrote itself has none and becomes a new chunk. A model of no known shape (Llama,
Titan, old Mistral: plain text) passes frame by frame, as long as nothing in it looks like a call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.anthropic.protocol import PROTOCOL as MESSAGES
from proxy.wire.anthropic.stream_gate import MessageStreamGate
from proxy.wire.bedrock.blocks import Context
from proxy.wire.bedrock.chat_shape import with_finish_reasons
from proxy.wire.bedrock.converse_stream import ENDED_INSIDE, EVENTS, MessageStream
from proxy.wire.bedrock.eventstream import (
    KEEPALIVE,
    WHAT,
    Event,
    EventReader,
    exception_frame,
)
from proxy.wire.bedrock.framing import chunk_bytes, named_frame, wrapped_frame
from proxy.wire.bedrock.invoke_memory import ANTHROPIC, CHAT, NOVA, wrapped
from proxy.wire.bedrock.shapes import may_hold_call
from proxy.wire.bedrock.translated import InOrder, TextsFirst, Translated
from proxy.wire.chat.stream_gate import ChatStreamGate
from proxy.wire.codec import CallFound, CallSeen, Emit, GateEvent, Remember, Ruling
from proxy.wire.jsontext import decode_marked, encode, is_ambiguous
from proxy.wire.usage import AnswerMeter, Metered

_EVENTS_LOWERED = frozenset(name.lower() for name in EVENTS)


class EventStreamGate(Metered, ABC):
    """Reads frames in order (`codec.ResponseGate`); what a frame means is the subclass's."""

    def __init__(self) -> None:
        self._reader = EventReader()
        self._meter = AnswerMeter()
        self._error: WireError | None = None
        self._ended = False

    @property
    def streams(self) -> bool:
        return True

    @property
    def response_id(self) -> str | None:
        return None  # no request of this API names an answer

    @property
    @abstractmethod
    def pending(self) -> Sequence[int]: ...

    @abstractmethod
    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]: ...

    @abstractmethod
    def take(self, event: Event, events: list[GateEvent]) -> None:
        """Reads one frame."""

    @abstractmethod
    def end(self, events: list[GateEvent], *, whole: bool) -> None:
        """The stream is over; `whole` is false where its last frame was cut."""

    @abstractmethod
    def abandon(self) -> None:
        """Nothing that waits may leave any more."""

    def feed(self, data: bytes) -> list[GateEvent]:
        if self._error is not None:
            raise self._error
        if self._ended:
            return []
        events: list[GateEvent] = []
        try:
            if data:
                self._reader.feed(data)
                while (event := self._reader.next()) is not None:
                    self.take(event, events)
            else:
                self._ended = True
                self.end(events, whole=not self._reader.inside)
        except WireError as error:
            # What came before the bad frame still leaves; the error follows at the next feed. What
            # waits behind a call stays.
            self._error = error
            self.abandon()
            before: list[GateEvent] = [e for e in events if not isinstance(e, CallFound)]
            if not before or self._ended:
                raise
            return before
        return events

    def keepalive(self) -> bytes:
        return KEEPALIVE

    def fail(self, text: str) -> bytes:
        return exception_frame(text)


class ConverseStreamGate(EventStreamGate):
    """The gate for `converse-stream`."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._message = MessageStream(context, named_frame)
        self._meter = self._message.meter

    @property
    def pending(self) -> Sequence[int]:
        return self._message.pending

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        events: list[GateEvent] = []
        if self._error is None:
            self._message.rule(key, ruling, events)
        return events

    def take(self, event: Event, events: list[GateEvent]) -> None:
        if event.is_error:
            self._message.take_error(event.raw, events)
        else:
            self._message.take(event.kind, event.payload, event.raw, events)

    def end(self, events: list[GateEvent], *, whole: bool) -> None:
        self._message.end(events, whole=whole)

    def abandon(self) -> None:
        self._message.abandon()


class InvokeStreamGate(EventStreamGate):
    """The gate for `invoke-with-response-stream`."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._family = ""
        self._nova: MessageStream | None = None
        self._inner: Translated | None = None

    @property
    def pending(self) -> Sequence[int]:
        part = self._nova or self._inner
        return part.pending if part is not None else ()

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        events: list[GateEvent] = []
        if self._error is not None:
            return events
        if self._nova is not None:
            self._nova.rule(key, ruling, events)
            return self._named(events)
        if self._inner is not None:
            return self._named(self._inner.rule(key, ruling))
        return events

    def take(self, event: Event, events: list[GateEvent]) -> None:
        if event.is_error:
            self._take_error(event.raw, events)
            return
        data = chunk_bytes(event)
        family, document = ("", None) if data is None else _family_of(data)
        if document is not None:
            self._meter.read(document)
        if family and family != self._family:
            if self._family:
                raise WireError(f"{WHAT}: a chunk of {family} in a stream of {self._family}")
            self._open(family)
        mine: list[GateEvent] = []
        if self._nova is not None:
            self._take_nova(document, event.raw, mine)
        elif self._inner is not None:
            if family == CHAT and document is not None and with_finish_reasons(document):
                data = encode(document)
            mine = self._inner.take(data if family else None, document, event.raw)
        else:
            mine = [Emit(event.raw)]
        events += self._named(mine)

    def _take_nova(
        self, document: dict[str, Json] | None, raw: bytes, events: list[GateEvent]
    ) -> None:
        if self._nova is None:
            return
        names = [name for name in document or () if name in EVENTS]
        if document is None or not names:
            self._nova.take_other(raw, events)
            return
        # Beside the event stand metrics and a guardrail's action, which a frame written anew loses.
        inner = document[names[0]]
        if not isinstance(inner, dict):
            raise WireError(f"{WHAT}: expected an object - at $.{names[0]}")
        self._nova.take_document(names[0], inner, raw, events)

    def _take_error(self, raw: bytes, events: list[GateEvent]) -> None:
        mine: list[GateEvent] = []
        if self._nova is not None:
            self._nova.take_error(raw, mine)
        elif self._inner is not None:
            mine = self._inner.end(raw)
        else:
            mine = [Emit(raw)]
        events += self._named(mine)

    def end(self, events: list[GateEvent], *, whole: bool) -> None:
        mine: list[GateEvent] = []
        last = b"" if whole else exception_frame(ENDED_INSIDE)
        if self._nova is not None:
            self._nova.end(mine, whole=whole)
        elif self._inner is not None:
            mine = self._inner.end(last)
        elif last:
            mine = [Emit(last)]
        events += self._named(mine)

    def abandon(self) -> None:
        if self._nova is not None:
            self._nova.abandon()
        self._inner = None

    def _open(self, family: str) -> None:
        self._family = family
        if family == NOVA:
            self._nova = MessageStream(self._context, wrapped_frame)
        elif family == ANTHROPIC:
            gate = MessageStreamGate(ref=self._context.ref, error_body=MESSAGES.error_body)
            self._inner = Translated(gate, order=TextsFirst())
        elif family == CHAT:
            self._inner = Translated(ChatStreamGate(ref=self._context.ref), order=InOrder())

    def _named(self, events: Sequence[GateEvent]) -> list[GateEvent]:
        """Puts this API's name on what the inner gates report."""
        return [named(event, self._context.provider, self._family) for event in events]


def named(event: GateEvent, provider: str, family: str) -> GateEvent:
    match event:
        case CallFound(key, call):
            return CallFound(key, replace(call, provider=provider))
        case CallSeen(call):
            return CallSeen(replace(call, provider=provider))
        case Remember(response):
            return Remember(wrapped(response, provider, family))
    return event


def _family_of(data: bytes) -> tuple[str, dict[str, Json]]:
    """Tells whose events these are; "" for a chunk that holds no call in any API.

    Raises:
        WireError: not JSON, of two APIs at once, or of none and with something like a call in it.
    """
    document = decode_marked(data, WHAT)
    families = set()
    if isinstance(document.get("type"), str):
        families.add(ANTHROPIC)
        _check_message_event(document)
    if "choices" in document:
        families.add(CHAT)
    if any(key.lower() in _EVENTS_LOWERED for key in document):
        families.add(NOVA)
        named_events = [key for key in document if key.lower() in _EVENTS_LOWERED]
        rest = {k: v for k, v in document.items() if k not in named_events}
        if len(named_events) != 1 or named_events[0] not in EVENTS or may_hold_call(rest):
            raise WireError(f"{WHAT}: a chunk with the events {named_events}")
        if is_ambiguous(document):
            raise WireError(f"{WHAT}: an object has the same key twice")
    if len(families) > 1:
        raise WireError(f"{WHAT}: a chunk of several APIs: {sorted(families)}")
    if not families:
        if is_ambiguous(document) or may_hold_call(document):
            raise WireError(f"{WHAT}: a chunk of unknown shape, with a call in it")
        return "", document
    return families.pop(), document


def _check_message_event(document: dict[str, Json]) -> None:
    """Refuses an event of a name unknown that has the members of a known one."""
    delta = document.get("delta")
    if isinstance(delta, dict) and not isinstance(delta.get("type", ""), str):
        raise WireError(f"{WHAT}: expected a string - at $.delta.type")
    if document["type"] in _MESSAGE_EVENTS:
        return
    if "delta" in document or "content_block" in document or may_hold_call(document):
        raise WireError(f"{WHAT}: an event {document['type']!r} that may be read as another")


_MESSAGE_EVENTS = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "content_block_stop"}
    | {"message_delta", "message_stop", "ping", "error", "completion"}
)
