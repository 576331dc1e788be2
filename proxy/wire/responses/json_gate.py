"""The gate over a Responses answer that is one JSON document.

How it works. The body is kept until its end, its calls are found and wait, and when all are ruled
it leaves: byte for byte if none was refused, else with a message in the place of each refused call.
A list of items (`GET …/input_items`) is gated too, since it shows the provider's copy of calls
that were stripped; nothing is remembered for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.codec import CallFound, CallSeen, Emit, GateEvent, Remember, Ruling
from proxy.wire.jsontext import Ambiguous, decode_marked, encode
from proxy.wire.responses.items import Role, call_of, role_of
from proxy.wire.responses.memory import Rulings, Slot, conversation_id, remember
from proxy.wire.usage import AnswerMeter, Metered

MAX_BODY_BYTES = 256 << 20


class ResponsesJsonGate(Metered):
    """See `codec.ResponseGate`."""

    def __init__(self, ref: str, conversation: str | None = None) -> None:
        self._rulings = Rulings(ref)
        self._conversation = conversation
        self._meter = AnswerMeter()
        self._body = bytearray()
        self._document: dict[str, Json] = {}
        self._items: list[Json] = []
        self._slots: dict[int, Slot] = {}  # by position in the items
        self._read = False
        self._left = False

    @property
    def pending(self) -> Sequence[int]:
        return self._rulings.pending

    def feed(self, data: bytes) -> list[GateEvent]:
        if data:
            self._body += data
            if len(self._body) > MAX_BODY_BYTES:
                raise WireError(f"openai.responses: a body of more than {MAX_BODY_BYTES} bytes")
            return []
        events: list[GateEvent] = []
        if self._body.strip():
            events = self._judge()
        self._read = True
        return events + self._leave()

    def rule(self, key: int, ruling: Ruling) -> list[GateEvent]:
        self._rulings.rule(key, ruling)
        return self._leave()

    def keepalive(self) -> bytes:
        """White space may stand before a JSON value and behind it."""
        return b"\n"

    def fail(self, text: str) -> bytes:
        """A failed response: frameworks raise on its `error`."""
        return encode(failed_response(self._rulings.ref, text))

    @property
    def streams(self) -> bool:
        return False

    @property
    def response_id(self) -> str | None:
        """The answer's id, by which a later request may go on from it."""
        found = self._document.get("id")
        return found if isinstance(found, str) else None

    def _judge(self) -> list[GateEvent]:
        document = self._document = decode_marked(bytes(self._body), "openai.responses: body")
        field = "data" if document.get("object") == "list" else "output"
        items = document.get(field)
        if isinstance(document, Ambiguous):
            raise WireError("openai.responses: body: duplicate key")
        self._meter.read(document)
        if items is None:
            # Deletions, token counts and errors have no output; a response without one is none.
            if document.get("object") == "response" and document.get("error") is None:
                raise WireError("openai.responses: body: a response without output")
            return []
        if not isinstance(items, list):
            raise WireError(f"openai.responses: body: {field} is not a list")
        self._items = items
        events: list[GateEvent] = []
        response_id = self.response_id
        for at, item in enumerate(items):
            role = role_of(item)
            if role is Role.CLIENT:
                slot = self._slots[at] = Slot(item=item)
                call = call_of(item, response_id)
                self._rulings.wait(slot, call)
                events.append(CallFound(slot.key, call))
            elif isinstance(item, Ambiguous):
                raise WireError(f"openai.responses: body: duplicate key - at $.{field}[{at}]")
            elif role is Role.PROVIDER:
                events.append(CallSeen(call_of(item, response_id)))
        return events

    def _leave(self) -> list[GateEvent]:
        if not self._read or self._left or self._rulings.pending:
            return []
        self._left = True
        if not self._rulings.refused:
            return [Emit(bytes(self._body))] if self._body else []
        events: list[GateEvent] = []
        document = self._document
        field = "data" if document.get("object") == "list" else "output"
        if field == "output":
            memory = remember(
                self._rulings,
                [item for item in self._items if isinstance(item, dict)],
                response_id=self.response_id,
                conversation=conversation_id(document.get("conversation")) or self._conversation,
            )
            events.append(Remember(memory))
        patched = {**document, field: patched_items(self._items, self._slots)}
        if isinstance(patched.get("output_text"), str):
            patched.pop("output_text")  # a convenience copy; it would not show the refusal
        events.append(Emit(encode(patched)))
        return events


def patched_items(items: list[Json], slots: dict[int, Slot]) -> list[Json]:
    """Returns the items with a message in the place of each refused call."""
    made = list(items)
    for at, slot in slots.items():
        if slot.refused:
            made[at] = slot.message
    return made


def failed_response(ref: str, text: str, base: dict[str, Json] | None = None) -> dict[str, Json]:
    """Returns a response object that says it failed, and why."""
    known = base or {"id": f"resp_{ref}", "object": "response", "created_at": 0, "model": ""}
    error = {"code": "server_error", "message": text}
    return {**known, "status": "failed", "error": error, "output": []}
