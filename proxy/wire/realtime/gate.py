"""The gate over one Realtime connection: calls wait, speech goes on.

How it works. The server's messages stand in one queue. A message of a call (its item in
`conversation.item.*` and `response.output_item.*`, its arguments, the `response.done` that shows it)
waits until the call is ruled on, and so does what stands behind it, except what cannot depend on
it: audio buffers, rate limits, errors, and speech of items the client knows already
(`_overtakes`). Calls are known by item id; all versions of one have to read the same.

Refused. The client sees the call's item as an assistant message with the refusal, under the same
item id, so that ids that later messages name (`previous_item_id`) exist. The server still holds
the call: before `response.done` leaves, its failed output goes up as a `conversation.item.create`
of ours, placed behind the call. The server's answers to it (the item's events, an error) are
hidden from the client, and `previous_item_id` that name it name the call's item instead. Who goes on?
A client that lives by turn detection gets responses it has not asked for and would wait for
speech: there the gate asks for the next response itself, once in a row, if no call of the response
was let through. Any other client asks itself, as it does after each answer.

Events: https://platform.openai.com/docs/api-reference/realtime-server-events (read 2026-11), the beta's
names too (`conversation.item.created`, `response.text.*`).
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from proxy.errors import WireError
from proxy.model import Json, ToolResult
from proxy.wire.codec import ParsedRequest, Refuse, RefusedCall, RefusedResponse, Ruling
from proxy.wire.jsontext import Ambiguous, decode_marked, encode, is_ambiguous
from proxy.wire.realtime.items import (
    LAST,
    PROVIDER,
    Entry,
    Held,
    Item,
    as_realtime,
    bound,
    id_of,
    is_final,
    name_of,
    note,
    objects_in,
    text_or_none,
)
from proxy.wire.responses.items import Role, call_of, output_items, role_of, signature
from proxy.wire.responses.memory import Slot
from proxy.wire.responses.request import text_of
from proxy.wire.socket import Answered, Found, Ran, Results, SocketEvent, ToClient, ToServer
from proxy.wire.usage import usage_of

_CALL_FRAGMENT = re.compile(r"response\.(?!mcp_call)\w*_call\w*\.")
_FREE = ("input_audio_buffer.", "output_audio_buffer.", "rate_limits.", "session.")
_SPEECH = (
    "response.output_audio",
    "response.audio",
    "response.output_text",
    "response.text",
    "conversation.item.input_audio_transcription",
)


_ASK = ToServer(b"")  # stands for the `response.create` that follows `response.done`


class RealtimeGate:
    """See `socket.SocketGate`."""

    provider = PROVIDER

    def __init__(self, new_ref: Callable[[], str]) -> None:
        self.ref = new_ref()
        self._queue: deque[Entry] = deque()
        self._calls: OrderedDict[str, Held] = OrderedDict()  # by item id
        self._waiting: dict[int, Held] = {}
        self._next_key = 0
        self._shown: OrderedDict[str, None] = OrderedDict()  # items the client knows
        self._ran: OrderedDict[str, None] = OrderedDict()  # server-side calls accounted for
        self._digests: OrderedDict[str, tuple[str, str]] = OrderedDict()  # by call id
        self._approvable: OrderedDict[str, None] = OrderedDict()  # approval requests let through
        self._mine: OrderedDict[tuple[str | None, ...], None] = OrderedDict()  # client's own calls
        self._hidden: dict[str, str] = {}  # our items: the item they stand behind
        self._sent = 0
        self._live = False  # turn detection asks for responses
        self._beta = False
        self._model: str | None = None
        self._answering = False
        self._asked: str | None = None  # event id of a response we asked for
        self._ours: str | None = None  # its response

    # --- the client's messages ---------------------------------------------------------------
    def from_client(self, data: bytes) -> list[SocketEvent]:
        event = decode_marked(data, f"{PROVIDER}: client")
        if is_ambiguous(event):
            raise WireError(f"{PROVIDER}: client: duplicate key")
        results: list[ToolResult] = []
        for item in objects_in(event):
            kind = item.get("type")
            if kind == "function_call_output":
                results.append(self._result(item))
            elif kind == "mcp_approval_response":
                asked = item.get("approval_request_id")
                if item.get("approve") is False:
                    results.append(
                        ToolResult(text_or_none(asked), None, text_of(item.get("reason")), True)
                    )
                elif not isinstance(asked, str) or asked not in self._approvable:
                    text = "checkrein: this call was not let through and cannot be approved here"
                    return [ToClient(self._error(text, event.get("event_id")))]
            elif role_of(item) is Role.CLIENT and isinstance(kind, str):
                note(self._mine, signature(call_of(item, None)))
        passed: list[SocketEvent] = [ToServer(data)]
        return [Results(tuple(results)), *passed] if results else passed

    def _result(self, item: Item) -> ToolResult:
        call_id = text_or_none(item.get("call_id"))
        name, sha = self._digests.get(call_id or "", (None, None))
        return ToolResult(call_id, name, text_of(item.get("output")), args_sha256=sha)

    # --- the server's messages ---------------------------------------------------------------
    def from_server(self, data: bytes) -> list[SocketEvent]:
        event = decode_marked(data, f"{PROVIDER}: server")
        kind = event.get("type")
        if isinstance(event, Ambiguous) or not isinstance(kind, str):
            raise WireError(f"{PROVIDER}: server: a message without a single type")
        if self._is_ours(event, kind):
            return []
        entry = Entry(data, event, kind)
        events: list[SocketEvent] = []
        self._read(entry, events)
        follows = event.get("previous_item_id")
        if isinstance(follows, str) and follows in self._hidden:
            entry.event, entry.changed = {**event, "previous_item_id": self._hidden[follows]}, True
        if self._queue and self._overtakes(entry):
            return [*events, ToClient(self._bytes(entry))]
        self._queue.append(entry)
        return [*events, *self._flush()]

    def rule(self, key: int, ruling: Ruling) -> list[SocketEvent]:
        held = self._waiting.pop(key)
        held.slot.ruling = ruling
        call = held.slot.call
        if isinstance(ruling, Refuse):
            held.slot.message = self._message(held, ruling.text)
        elif call is not None:
            if call.kind == "mcp_approval_request":
                note(self._approvable, held.item_id)
            if call.id is not None:
                self._digests[call.id] = (call.name, call.args_sha256)
                bound(self._digests)
        return self._flush()

    def ref_of(self, key: int) -> str:
        return self.ref

    def restored(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return None

    def keepalive(self, lane: str) -> bytes | None:
        return None

    @property
    def is_answering(self) -> bool:
        return self._answering

    def refused(self, text: str, lane: str) -> bytes:
        return self._error(text, None)

    def fail(self, text: str) -> bytes:
        return self._error(text, None)

    @property
    def waiting_bytes(self) -> int:
        return sum(len(entry.data) for entry in self._queue)

    # --- reading -----------------------------------------------------------------------------
    def _is_ours(self, event: Item, kind: str) -> bool:
        """Whether this only answers what we put into the conversation."""
        item, error = event.get("item"), event.get("error")
        if kind == "error" and isinstance(error, dict):
            named = error.get("event_id")
            if named is not None and named == self._asked:
                self._asked = None
            return isinstance(named, str) and named.startswith(f"event_{self.ref}_")
        named = item.get("id") if isinstance(item, dict) else None
        return isinstance(named, str) and named in self._hidden and role_of(item) is Role.NONE

    def _read(self, entry: Entry, events: list[SocketEvent]) -> None:
        event, kind = entry.event, entry.kind
        item, response = event.get("item"), event.get("response")
        response_id = text_or_none(event.get("response_id"))
        places: list[Json] = []  # where calls are read; anywhere else they are not understood
        if isinstance(item, dict) and role_of(item) is not Role.NONE:
            places.append(item)
            held = self._item(item, kind, response_id, events)
            entry.calls = (held,) if held is not None else ()
        elif isinstance(response, dict):
            places = self._response(entry, response, events)
        elif isinstance(event.get("item_id"), str) and event["item_id"] in self._calls:
            held = self._calls[event["item_id"]]
            entry.calls = (held,)
            if held.slot.call is None:
                held.slot.absorb(event)
            elif not held.slot.reads_as(event):
                raise WireError(f"{PROVIDER}: {kind} changes a call that was judged")
        elif _CALL_FRAGMENT.match(kind.strip().lower()):
            raise WireError(f"{PROVIDER}: {kind} for a call that is not open")
        if kind in ("session.created", "session.updated"):
            self._session(event.get("session"))
        read = frozenset(map(id, places))
        if is_ambiguous(event, but=read):
            raise WireError(f"{PROVIDER}: duplicate key in {kind}")
        for found in objects_in(event, but=read):
            if role_of(found) is not Role.NONE:
                raise WireError(f"{PROVIDER}: a call in an event of unknown shape ({kind})")

    def _item(
        self, item: Item, kind: str, response_id: str | None, events: list[SocketEvent]
    ) -> Held | None:
        final = is_final(item, kind)
        if role_of(item) is Role.PROVIDER:
            if kind.endswith(LAST):  # before that its arguments are not whole
                self._see(item, response_id, events)
            return None
        name = name_of(item)
        held = self._calls.get(name)
        if held is None:
            if kind.startswith("conversation.") and self._is_clients(item):
                return None
            held = self._calls[name] = Held(Slot(item=item, added=item), response_id)
            bound(self._calls, keep=lambda old: not old.slot.decided)
        else:
            held.response_id = held.response_id or response_id
        slot = held.slot
        if slot.call is not None:
            if final or item.get("arguments"):
                self._repeats(slot, item, kind)
        elif final:
            slot.item = item
            self._complete(held, events)
        else:
            for field in ("type", "name", "call_id"):
                if item.get(field) != slot.item.get(field):
                    slot.fault = "the stream shows two versions of this call"
            if item.get("arguments"):
                slot.claims.append((None, item["arguments"]))
        return held

    def _response(self, entry: Entry, response: Item, events: list[SocketEvent]) -> list[Json]:
        response_id = text_or_none(response.get("id"))
        output = response.get("output")
        if not isinstance(output, list | None):
            raise WireError(f"{PROVIDER}: {entry.kind}: output is not a list")
        if entry.kind == "response.created" and self._asked is not None:
            self._asked, self._ours = None, response_id
        calls: list[Held] = []
        places: list[Json] = []
        ended = entry.kind == "response.done"
        self._answering = not ended
        for item in output or []:
            if isinstance(item, dict) and role_of(item) is not Role.NONE:
                places.append(item)
                held = self._item(item, ".done" if ended else "", response_id, events)
                if held is not None:
                    calls.append(held)
        if ended:
            for held in self._calls.values():
                if held.response_id != response_id or held in calls:
                    continue
                if held.slot.call is None:
                    held.slot.fault = "the response ended in the middle of this call"
                    self._complete(held, events)
                calls.append(held)
            if response_id is not None:
                ok = response.get("status") == "completed"
                counts = response.get("usage")
                used = usage_of(counts, self._model) if isinstance(counts, dict) else None
                events.append(Answered(response_id, ok, usage=used))
        entry.calls = tuple(calls)
        return places

    def _complete(self, held: Held, events: list[SocketEvent]) -> None:
        slot = held.slot
        call = call_of(slot.item, held.response_id, fault=slot.difference())
        slot.call = replace(call, provider=PROVIDER)
        held.key, self._next_key = self._next_key, self._next_key + 1
        self._waiting[held.key] = held
        events.append(Found(held.key, slot.call))

    def _repeats(self, slot: Slot, item: Item, kind: str) -> None:
        again = call_of(item, None)
        known = slot.call
        if (
            known is None
            or signature(again) != signature(known)
            or (again.fault and not known.fault)
        ):
            raise WireError(f"{PROVIDER}: {kind} shows another version of a call that was judged")

    def _is_clients(self, item: Item) -> bool:
        """Whether the client put this call into the conversation itself: the server only says so."""
        return signature(call_of(item, None)) in self._mine

    def _see(self, item: Item, response_id: str | None, events: list[SocketEvent]) -> None:
        name = name_of(item)
        if name not in self._ran:
            note(self._ran, name)
            events.append(Ran(as_realtime(call_of(item, response_id))))

    def _session(self, session: Json) -> None:
        if not isinstance(session, dict):
            return
        self._beta = "modalities" in session
        if isinstance(model := session.get("model"), str):
            self._model = model
        audio = session.get("audio")
        given = audio.get("input") if isinstance(audio, dict) else session
        turns = given.get("turn_detection") if isinstance(given, dict) else None
        self._live = isinstance(turns, dict) and turns.get("create_response") is not False

    # --- writing -----------------------------------------------------------------------------
    def _overtakes(self, entry: Entry) -> bool:
        """Whether a message may leave ahead of calls that wait, since it says nothing of them."""
        event, kind = entry.event, entry.kind
        if entry.calls or entry.changed or "item" in event or "response" in event:
            return False
        if kind == "error" or kind.startswith(_FREE):
            return True
        ids = entry.item_ids
        if not kind.startswith(_SPEECH) or not all(name in self._shown for name in ids):
            return False
        return bool(ids) and not any(ids & waiting.item_ids for waiting in self._queue)

    def _flush(self) -> list[SocketEvent]:
        made: list[SocketEvent] = []
        while self._queue:
            entry = self._queue[0]
            if not all(held.slot.decided for held in entry.calls):
                break
            self._queue.popleft()
            made += self._written(entry)
            for name in entry.item_ids:
                note(self._shown, name)
        return made

    def _written(self, entry: Entry) -> list[SocketEvent]:
        refused = {held.item_id: held for held in entry.calls if held.slot.refused}
        event, kind = entry.event, entry.kind
        if isinstance(event.get("response"), dict):
            return self._response_written(entry, refused)
        if not refused:
            return [ToClient(self._bytes(entry))]
        if not isinstance(event.get("item"), dict):
            return []  # its arguments
        held = next(iter(refused.values()))
        message = held.slot.message or {}
        shown = (
            message
            if is_final(event["item"], kind)
            else {**message, "status": "in_progress", "content": []}
        )
        made = encode({**event, "item": shown})
        parts = self._parts(held, event) if kind == "response.output_item.done" else []
        return [*parts, ToClient(made)]

    def _response_written(self, entry: Entry, refused: dict[str, Held]) -> list[SocketEvent]:
        response = entry.event["response"]
        made: list[SocketEvent] = []
        if entry.kind == "response.done":
            made += self._put_right(entry, response)
        if refused and isinstance(response.get("output"), list):
            output = [
                refused[name].slot.message if (name := id_of(item)) in refused else item
                for item in response["output"]
            ]
            entry.event = {**entry.event, "response": {**response, "output": output}}
            entry.changed = True
        # Behind the output items, ahead of the next response.
        asks = [event for event in made if event is _ASK]
        made = [event for event in made if event is not _ASK]
        made.append(ToClient(self._bytes(entry)))
        if asks:
            self._asked = self._event_id()
            create = {"type": "response.create", "event_id": self._asked}
            made.append(ToServer(encode(create)))
        return made

    def _put_right(self, entry: Entry, response: Item) -> list[SocketEvent]:
        """Gives the server the failed outputs of refused calls."""
        made: list[SocketEvent] = []
        if "conversation_id" in response and response["conversation_id"] is None:
            return made  # out of band: the calls stand in no conversation
        for held in entry.calls:
            ruling, call = held.slot.ruling, held.slot.call
            if held.answered or not isinstance(ruling, Refuse) or call is None:
                continue
            held.answered = True
            refused = RefusedCall(call.id, call.name, call.kind, ruling.text)
            behind = held.item_id
            for output in output_items(held.slot.item, refused):
                event_id = self._event_id()
                name = f"item_cr{self.ref[3:19]}{self._sent:06x}"  # at most 32 characters
                self._hidden[name] = held.item_id
                create = {"type": "conversation.item.create", "event_id": event_id}
                item = {"id": name, **output}
                made.append(ToServer(encode({**create, "previous_item_id": behind, "item": item})))
                behind = name
        alone = made and all(held.slot.refused for held in entry.calls)
        ours = self._ours is not None and response.get("id") == self._ours
        if alone and self._live and not ours and response.get("status") == "completed":
            made.append(_ASK)
        return made

    def _parts(self, held: Held, event: Item) -> list[SocketEvent]:
        """The refusal as the text of a message, for clients that show text as it comes."""
        if held.told or held.slot.message is None:
            return []
        held.told = True
        part = held.slot.message["content"][0]
        at = {"item_id": held.slot.message["id"], "content_index": 0}
        for name in ("response_id", "output_index"):
            if name in event:
                at[name] = event[name]
        text = "response.text" if self._beta else "response.output_text"
        shown = {"type": "text", "text": part["text"]}
        frames: list[tuple[str, Item]] = [
            ("response.content_part.added", {"part": {**shown, "text": ""}}),
            (f"{text}.delta", {"delta": part["text"]}),
            (f"{text}.done", {"text": part["text"]}),
            ("response.content_part.done", {"part": shown}),
        ]
        return [
            ToClient(encode({"type": kind, "event_id": self._event_id(), **at, **more}))
            for kind, more in frames
        ]

    def _message(self, held: Held, text: str) -> Item:
        part = {"type": "text" if self._beta else "output_text", "text": text}
        message: Item = {"id": held.item_id, "object": "realtime.item", "type": "message"}
        return {**message, "status": "completed", "role": "assistant", "content": [part]}

    def _bytes(self, entry: Entry) -> bytes:
        return encode(entry.event) if entry.changed else entry.data

    def _event_id(self) -> str:
        self._sent += 1
        return f"event_{self.ref}_{self._sent}"

    def _error(self, text: str, event_id: Json) -> bytes:
        error = {"type": "checkrein_refused", "code": "checkrein", "message": text, "param": None}
        named = {**error, "event_id": event_id if isinstance(event_id, str) else None}
        return encode({"type": "error", "event_id": self._event_id(), "error": named})
