"""Waiting calls of one Responses answer, and the memory of those that were refused.

What belongs here: `Slot`, one call from its first byte to its ruling, and `remember`, which makes
the `RefusedResponse` out of the slots once all are ruled. Both gates (stream, JSON) use them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from proxy.canonical import digest
from proxy.model import Call, Json
from proxy.wire.codec import Refuse, RefusedCall, RefusedResponse, Release, Ruling
from proxy.wire.jsontext import call_from_text, is_ambiguous
from proxy.wire.responses.items import (
    PROVIDER,
    arguments_of,
    message_id,
    message_item,
    same_reading,
)

TWO_VERSIONS = "the stream shows two versions of this call's arguments"


@dataclass(slots=True, eq=False)
class Slot:
    """One call that the client would execute."""

    item: dict[str, Json]  # the latest version seen
    index: int | None = None  # output_index
    added: dict[str, Json] | None = None  # as output_item.added showed it
    key: int = -1  # -1 until the call is complete and waits
    call: Call | None = None
    ruling: Ruling | None = None
    number: int = 0  # counts the refusals of one response, from 1
    message: dict[str, Json] | None = None  # stands in its place once refused
    shown: bool = False  # the message's events were emitted
    dropped: bool = False  # the body ended inside it
    ended_early: bool = False  # the response ended inside it
    fault: str | None = None
    deltas: dict[Json, list[str]] = field(default_factory=dict)  # by command_index
    claims: list[tuple[Json, Json]] = field(default_factory=list)  # whole texts of *.done events

    @property
    def decided(self) -> bool:
        return self.ruling is not None or self.dropped

    @property
    def refused(self) -> bool:
        return isinstance(self.ruling, Refuse)

    def absorb(self, event: dict[str, Json]) -> None:
        """Notes a fragment of the call: each is a version that some client may act on."""
        if is_ambiguous(event):
            self.fault = "duplicate key in an event of the call"
        at = event.get("command_index")
        if isinstance(event.get("delta"), str):
            self.deltas.setdefault(at, []).append(event["delta"])
        elif str(event.get("type", "")).endswith(".added") and isinstance(
            event.get("command"), str
        ):
            self.deltas.setdefault(at, []).append(event["command"])
        else:
            for name in ("arguments", "input", "command", "diff"):
                if isinstance(event.get(name), str):
                    self.claims.append((at, event[name]))
        for name in ("name", "call_id"):
            # `added` may be known only: `done` is compared with it in `difference`.
            mine = self.item.get(name)
            if event.get(name) is not None and mine is not None and event[name] != mine:
                self.fault = TWO_VERSIONS

    def difference(self) -> str | None:
        """Returns the fault where the stream's versions of this call are not all the same."""
        if self.fault is not None:
            return self.fault
        added, item = self.added or {}, self.item
        for name in ("type", "call_id", "name", "namespace", "server_label"):
            if name == "call_id" and item.get("type") == "tool_search_call":
                continue  # the API gives it another when the item is done, and the agent uses that
            if added.get(name) is not None and added[name] != item.get(name):
                return TWO_VERSIONS
        is_json = item.get("type") not in ("custom_tool_call", "shell_call", "apply_patch_call")
        start = arguments_of(added) if added else ""
        start = start if isinstance(start, str) else ""
        for at, parts in self.deltas.items():
            text, final = "".join(parts), self._final(at)
            if not (
                _same(text, final, text_is_json=is_json)
                or (start and _same(start + text, final, text_is_json=is_json))
            ):
                return TWO_VERSIONS
        if start and not self.deltas:
            self.claims.append((None, start))
        for at, claim in self.claims:
            if not _same(claim, self._final(at), text_is_json=is_json):
                return TWO_VERSIONS
        return None

    def reads_as(self, event: dict[str, Json]) -> bool:
        """Tells whether an event that comes late only repeats what was judged."""
        late = Slot(item=self.item)
        late.absorb(event)
        return not late.deltas and late.difference() is None

    def _final(self, at: Json) -> Json:
        item = self.item
        if item.get("type") == "shell_call":
            action = item.get("action")
            commands = action.get("commands") if isinstance(action, dict) else None
            known = isinstance(commands, list) and isinstance(at, int) and 0 <= at < len(commands)
            return commands[at] if known and commands is not None else None
        if item.get("type") == "apply_patch_call":
            operation = item.get("operation")
            return operation.get("diff") if isinstance(operation, dict) else None
        return arguments_of(item)


def _same(text: str, final: Json, *, text_is_json: bool) -> bool:
    if isinstance(final, str) or final is None:
        return same_reading(text, final, text_is_json=text_is_json)
    try:
        # Arguments that the item shows as a value and the fragments as text.
        from_value = digest(final)
    except ValueError:
        return False
    return same_reading_of(text, from_value)


def same_reading_of(text: str, value_sha256: str) -> bool:
    """Tells whether a JSON text reads as the value with this digest."""
    read = call_from_text(text, id=None, name="", provider=PROVIDER)
    return read.fault is None and read.args_sha256 == value_sha256


class Rulings:
    """The calls of one response that wait or were ruled on."""

    def __init__(self, ref: str) -> None:
        self.ref = ref
        self.slots: list[Slot] = []
        self._refusals = 0

    @property
    def pending(self) -> list[int]:
        return [slot.key for slot in self.slots if not slot.decided]

    @property
    def refused(self) -> list[Slot]:
        """Refused slots in the order of their messages' numbers."""
        return sorted((slot for slot in self.slots if slot.refused), key=lambda slot: slot.number)

    def wait(self, slot: Slot, call: Call) -> None:
        slot.key, slot.call = len(self.slots), call
        self.slots.append(slot)

    def rule(self, key: int, ruling: Ruling) -> None:
        if not 0 <= key < len(self.slots) or self.slots[key].decided:
            raise ValueError(f"openai.responses: no call waits under key {key}")
        slot = self.slots[key]
        if isinstance(ruling, Refuse):
            self._refusals += 1
            text = ruling.text
            if self.ref not in text:
                text = f"{text} [{self.ref}]"  # clients that drop ids are known by it
            slot.number, ruling = self._refusals, Refuse(text)
            slot.message = message_item(self.ref, slot.number, text)
        slot.ruling = ruling


def remember(
    rulings: Rulings,
    original: list[dict[str, Json]],
    *,
    response_id: str | None,
    conversation: str | None,
) -> RefusedResponse:
    """Makes the memory of a response of which the client saw only a part."""
    keys = [f"ref:{rulings.ref}"]
    if response_id:
        keys.append(f"response:{response_id}")
    if conversation:
        keys.append(f"conversation:{conversation}")
    refused: list[RefusedCall] = []
    for slot in rulings.refused:
        if slot.call is not None and isinstance(slot.ruling, Refuse):
            call = slot.call
            refused.append(RefusedCall(call.id, call.name, call.kind, slot.ruling.text))
    keys += [f"item:{message_id(rulings.ref, slot.number)}" for slot in rulings.refused]
    keys += _item_keys(item for item in original if item.get("type") == "reasoning")
    for slot in rulings.slots:
        if isinstance(slot.ruling, Release):
            keys += _item_keys([slot.item])
            if slot.call is not None and slot.call.id is not None:
                keys.append(f"call:{slot.call.id}")
    return RefusedResponse(
        ref=rulings.ref,
        provider=PROVIDER,
        keys=tuple(dict.fromkeys(keys)),
        original=original,
        refused=tuple(refused),
    )


def _item_keys(items: Iterable[dict[str, Json]]) -> list[str]:
    return [f"item:{item['id']}" for item in items if isinstance(item.get("id"), str)]


def conversation_id(value: Json) -> str | None:
    """Returns the id of a `conversation` field, which is a string or an object."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) and value else None
