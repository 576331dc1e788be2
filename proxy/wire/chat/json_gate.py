"""The gate over a Chat Completions answer that is one JSON object.

What belongs here: where calls stand in `choices[*].message`, and how they are taken out. `delta` is
looked at as well: a body that carries one would be read by somebody. A list of stored completions
(`GET /chat/completions`) is so many of them; each has its own id, under which its calls were decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from proxy.model import Json
from proxy.wire.chat.calls import (
    CUT_OFF,
    PROVIDER,
    cut_off_text,
    error_document,
    executed_calls,
    finish_without_calls,
    function_kind,
    history_message,
    list_or_empty,
    make_call,
    object_or_none,
    text_or_none,
)
from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.json_gate import Found, JsonGate
from proxy.wire.jsontext import encode


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one call stands; `entry` is None for the legacy `function_call`."""

    choice: dict[str, Json]
    message: dict[str, Json]
    entry: dict[str, Json] | None
    response_id: str | None


class ChatJsonGate(JsonGate):
    """Holds a whole Chat completion back until its calls are ruled on."""

    def __init__(self, *, ref: str, status: int) -> None:
        super().__init__(what="openai.chat response", status=status)
        self._ref = ref
        self._places: list[_Place] = []

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        found: list[Found] = []
        ran: list[Found] = []
        for message, choice, response_id, where in _messages(document):
            for place, at in _places(message, choice, response_id, where):
                self._places.append(place)
                found.append(self._found_at(place, at))
            ran += [
                Found(call, seen=True) for _, call in executed_calls(message, response_id, where)
            ]
        return [*found, *ran]  # a call's place is known by its position

    def _found_at(self, place: _Place, where: str) -> Found:
        if place.entry is None:
            kind, body, call_id = "legacy_function", place.message["function_call"], None
        else:
            kind = function_kind(place.entry, where) or "function"
            body = place.entry.get("custom" if kind == "custom" else "function")
            call_id = text_or_none(place.entry.get("id"), f"{where}.id")
        inner = object_or_none(body, where) or {}
        arguments = inner.get("input" if kind == "custom" else "arguments")
        call = make_call(
            arguments,
            kind=kind,
            call_id=call_id or None,
            name=text_or_none(inner.get("name"), f"{where}.name") or "",
            response_id=place.response_id,
        )
        reason = place.choice.get("finish_reason")
        return Found(
            call,
            value=arguments if isinstance(arguments, dict | list) else None,
            refusal=cut_off_text(call.name, str(reason)) if reason in CUT_OFF else None,
        )

    def strip(
        self, document: dict[str, Json], refused: Mapping[int, str]
    ) -> RefusedResponse | None:
        originals: list[Json] = []
        gone: list[RefusedCall] = []
        keys = [f"ref:{self._ref}"]
        for place in self._places:
            if place.response_id and f"response:{place.response_id}" not in keys:
                keys.append(f"response:{place.response_id}")
        for message in self._messages():
            at = [n for n, place in enumerate(self._places) if place.message is message]
            lost = [n for n in at if n in refused]
            if not lost:
                continue
            choice = self._places[at[0]].choice
            if choice.get("finish_reason") not in CUT_OFF:
                originals.append(self._original(message, at))
                gone += [self._refused_call(n, refused[n]) for n in lost]
                ids = (self._found[n].call.id for n in at if n not in refused)
                keys += [f"call:{call_id}" for call_id in ids if call_id]
            self._take_out(choice, message, lost, [refused[n] for n in lost])
        if not gone:
            return None
        return RefusedResponse(
            ref=self._ref,
            provider=PROVIDER,
            keys=tuple(dict.fromkeys(keys)),
            original=originals[0] if len(originals) == 1 else originals,
            refused=tuple(gone),
        )

    def _messages(self) -> Iterator[dict[str, Json]]:
        seen: set[int] = set()
        for place in self._places:
            if id(place.message) not in seen:
                seen.add(id(place.message))
                yield place.message

    def _restorable_id(self, n: int) -> str:
        return self._found[n].call.id or f"call_{self._ref.removeprefix('cr_')}_{n}"

    def _refused_call(self, n: int, text: str) -> RefusedCall:
        call = self._found[n].call
        legacy = call.kind == "legacy_function"
        return RefusedCall(None if legacy else self._restorable_id(n), call.name, call.kind, text)

    def _original(self, message: dict[str, Json], at: list[int]) -> dict[str, Json]:
        entries: list[Json] = []
        for n in at:
            entry = self._places[n].entry
            if entry is not None:
                copy = {k: v for k, v in entry.items() if k != "index"}
                entries.append(copy | {"id": self._restorable_id(n)})
        return history_message(message, entries, message.get("function_call"))

    def _take_out(
        self,
        choice: dict[str, Json],
        message: dict[str, Json],
        lost: list[int],
        texts: list[str],
    ) -> None:
        entries = [self._places[n].entry for n in lost]
        if any(entry is None for entry in entries):
            message.pop("function_call", None)
        left = [
            e
            for e in message.get("tool_calls") or []
            if e is not None and not any(e is gone for gone in entries)
        ]
        if left:
            for position, entry in enumerate(left):
                if isinstance(entry.get("index"), int):
                    entry["index"] = position
            message["tool_calls"] = left
        else:
            message.pop("tool_calls", None)
        content = message.get("content")
        if isinstance(content, list):  # Mistral's parts
            message["content"] = [*content, {"type": "text", "text": "\n\n".join(texts)}]
        else:
            message["content"] = "\n\n".join([content, *texts] if content else texts)
        if not left and not message.get("function_call"):
            finish_without_calls(choice)

    def fail(self, text: str) -> bytes:
        return encode(error_document(text))


def _messages(
    document: dict[str, Json],
) -> Iterator[tuple[dict[str, Json], dict[str, Json], str | None, str]]:
    """Yields each message with its choice and the id of its completion."""
    stored = document.get("data")
    listed = stored if isinstance(stored, list) else []
    for k, completion in enumerate([document, *(one for one in listed if isinstance(one, dict))]):
        base = "openai.chat: $" if k == 0 else f"openai.chat: $.data[{k - 1}]"
        found = completion.get("id")
        response_id = found if isinstance(found, str) else None
        for n, item in enumerate(list_or_empty(completion.get("choices"), f"{base}.choices")):
            where = f"{base}.choices[{n}]"
            choice = object_or_none(item, where) or {}
            for carrier in ("message", "delta"):
                message = object_or_none(choice.get(carrier), f"{where}.{carrier}")
                if message is not None:
                    yield message, choice, response_id, f"{where}.{carrier}"


def _places(
    message: dict[str, Json], choice: dict[str, Json], response_id: str | None, where: str
) -> Iterator[tuple[_Place, str]]:
    calls = f"{where}.tool_calls"
    for k, value in enumerate(list_or_empty(message.get("tool_calls"), calls)):
        entry = object_or_none(value, f"{calls}[{k}]")
        if entry is not None:
            yield _Place(choice, message, entry, response_id), f"{calls}[{k}]"
    if message.get("function_call") is not None:
        yield _Place(choice, message, None, response_id), f"{where}.function_call"
