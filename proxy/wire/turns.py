"""Refused calls put back into a list of messages, for APIs whose calls may have no ids.

What belongs here: finding the assistant message a refusal was taken from, and making it whole, with a
result for each of its calls in the order of the calls (where nothing else tells which result is whose,
their order does). What a call and a result look like is said by a `Form`. The client sends the
stripped history again at every turn, so this happens at every turn; what is there is not added twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from proxy.model import Json
from proxy.wire.codec import RefusedCall, RefusedResponse

type Message = dict[str, Json]


class Form(Protocol):
    """How one API writes calls and results in a history."""

    def call_id(self, entry: Message) -> str | None:
        """Returns the id under which the gate reported this call."""

    def same(self, entry: Message) -> Hashable:
        """Returns what tells this call from others, also where a client dropped its id."""

    def answered(self, result: Message) -> str | None:
        """Returns the id of the call that a result names; None where it names none."""

    def failed(self, entry: Message, refused: RefusedCall) -> Message:
        """Returns the result message of a refused call."""

    def whole(self, message: Message, original: Message) -> Message:
        """Puts back what this API wants with the calls besides them."""


def put_back(messages: list[Json], memory: RefusedResponse, form: Form) -> bool:
    """Puts one memory's refused calls back, in place; tells whether anything changed."""
    original: Message = memory.original
    results = [text_of(m.get("content")) for m in messages if _role(m) == "tool"]
    if all(any(one.text in text for text in results) for one in memory.refused):
        return False  # they are back already: some servers hand the history out again
    n = _find(messages, memory, original, form)
    if n is None:
        return False
    message: Message = messages[n]
    refused = _refused(original, memory.refused, form)
    kept = [e for e in message.get("tool_calls") or [] if isinstance(e, dict)]
    merged: list[tuple[Message, RefusedCall | None]] = []
    left = list(kept)
    for position, entry in enumerate(original.get("tool_calls") or []):
        mine = next((e for e in left if form.same(e) == form.same(entry)), None)
        if mine is not None and position not in refused:
            left.remove(mine)
            merged.append((mine, None))
        elif position in refused:
            merged.append((entry, refused[position]))
    merged += [(entry, None) for entry in left]
    until = n + 1
    while until < len(messages) and _role(messages[until]) == "tool":
        until += 1
    came: list[Message] = messages[n + 1 : until]
    made = dict(message)
    texts = [one.text for one in memory.refused]
    if memory.ref in text_of(message.get("content")):
        content = without(message.get("content"), texts, memory.ref)
        made["content"] = content or original.get("content")
    made = form.whole(made, original)
    made["tool_calls"] = [entry for entry, _ in merged]
    new = [made, *_results(merged, came, form)]
    if until < len(messages) and _role(messages[until]) == "user":
        # The agent took the refusal for the answer; no API wants a user's word right after a result.
        new.append({"role": "assistant", "content": "\n\n".join(texts)})
    if messages[n:until] == new:
        return False
    messages[n:until] = new
    return True


def _results(
    merged: Sequence[tuple[Message, RefusedCall | None]], came: list[Message], form: Form
) -> list[Message]:
    """A result a call, in the order of the calls; what answers none of them stays at the end."""
    left = list(came)
    made: list[Message] = []
    for entry, refused in merged:
        if refused is not None:
            made.append(form.failed(entry, refused))
            continue
        own = entry.get("id")
        mine = next((r for r in left if own is not None and form.answered(r) == own), None)
        if mine is None:
            mine = next((r for r in left if form.answered(r) in (None, form.call_id(entry))), None)
        if mine is not None:
            left.remove(mine)
            made.append(mine)
    return made + left


def _refused(
    original: Message, refused: Sequence[RefusedCall], form: Form
) -> dict[int, RefusedCall]:
    """Which of the original's calls were refused, by position."""
    places: dict[int, RefusedCall] = {}
    for one in refused:
        for position, entry in enumerate(original.get("tool_calls") or []):
            if position not in places and form.call_id(entry) == one.call_id:
                places[position] = one
                break
    return places


def _find(
    messages: list[Json], memory: RefusedResponse, original: Message, form: Form
) -> int | None:
    """The message with a refusal's whole text; else the oldest with the reference (the model may quote
    it later on); else one with a call of the same turn that was let through."""
    said = [
        (n, text_of(m.get("content")))
        for n, m in enumerate(messages)
        if isinstance(m, dict) and _role(m) == "assistant"
    ]
    for n, text in said:
        if any(one.text in text for one in memory.refused):
            return n
    for n, text in said:
        if memory.ref in text:
            return n
    refused = _refused(original, memory.refused, form)
    entries = original.get("tool_calls") or []
    siblings = {e["id"] for p, e in enumerate(entries) if p not in refused and e.get("id")}
    for n, _ in said:
        calls = messages[n].get("tool_calls")
        if any(isinstance(e, dict) and e.get("id") in siblings for e in calls or []):
            return n
    return None


def _role(message: Json) -> str:
    role = message.get("role") if isinstance(message, dict) else None
    return role.lower() if isinstance(role, str) else ""


def text_of(content: Json) -> str:
    """Returns a message's text: a string, or its text parts, a line each."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part if isinstance(part, str) else _part_text(part) for part in parts)
    return "\n".join(text for text in texts if text)


def _part_text(part: Json) -> str:
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


def without(content: Json, texts: Sequence[str], ref: str) -> Json:
    """Returns the content without our texts; "" or [] where nothing else was there."""
    if isinstance(content, str):
        return _cut(content, texts, ref)
    kept: list[Json] = []
    for part in content if isinstance(content, list) else []:
        text = part if isinstance(part, str) else _part_text(part)
        if ref not in text:
            kept.append(part)
        elif left := _cut(text, texts, ref):
            kept.append(left if isinstance(part, str) else part | {"text": left})
    return kept


def _cut(text: str, texts: Sequence[str], ref: str) -> str:
    for ours in texts:
        text = text.replace(ours, "")
    if ref in text:  # the client changed its spaces: the paragraphs with the reference are ours
        text = "\n\n".join(part for part in text.split("\n\n") if ref not in part)
    return text.strip()
