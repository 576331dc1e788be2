"""How a conversation began, pinned: a system prompt or a tool's definition that changes is told.

How it works. A session may hold several conversations at once (a sub-agent's, a title's), each with a
system prompt of its own. They are told apart by what every turn repeats, the first user message, and by
whether tools are offered; turns that name an earlier answer instead of repeating it are one conversation.
The first request of each is pinned in the ledger, a later one that differs becomes a `signal` record, and
is pinned in turn. A tool that is left out is no change; a new one is `added`.

What the tools are said to be goes into the log when it is new (`definitions.py`).

Clients write the date, the time and a checksum of their own into the system prompt: those are left out
of the comparison. Everything else counts.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.canonical import sha256_hex
from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit, LedgerWriter
from proxy.model import Identity, Json, Side
from proxy.pipeline.definitions import Definitions, Shown
from proxy.pipeline.signals import Watch
from proxy.pipeline.standing import Happened, Who
from proxy.wire.codec import ParsedRequest

if TYPE_CHECKING:
    from proxy.pipeline.judge import RulesInForce

_REMEMBERED = 16_384
_MOST_TOOLS = 1_024
_READ_CHARS = 262_144
_LINKED = "linked"
_LINKS = ("previous_response_id", "conversation")

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_DAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?"
_MOVING = re.compile(
    r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?(?:Z|[+-]\d{2}:?\d{2})?"
    r"|\b\d{1,2}:\d{2}(?::\d{2})?(?: ?[ap]\.?m\b\.?)?"
    r"|(?<![\d.])(?:\d{1,2}[./]\d{1,2}[./]\d{4}|\d{4}[./]\d{1,2}[./]\d{1,2})(?!\.?\d)"
    rf"|\b(?:{_DAY},? )?{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}\b"
    rf"|\b(?:{_DAY},? )?\d{{1,2}}\.? {_MONTH} \d{{4}}\b"
    rf"|\b{_DAY}(?=,? (?:\d|$))"
    # Claude Code's own line, a checksum of each request (seen 2026-11): fields and nothing else.
    r"|^x-anthropic-billing-header: (?:\w{1,24}=[\w.-]{0,64}; ?){1,8}$",
    re.IGNORECASE | re.ASCII | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class _Pin:
    """What is kept of one request."""

    length: int
    system: str  # digest of the system prompt without what moves by itself
    tools: Mapping[str, str]

    def document(self) -> dict[str, object]:
        return {"length": self.length, "system": self.system, "tools": dict(self.tools)}


class Conversations:
    """Compares each model request with the one before it."""

    def __init__(
        self,
        in_force: RulesInForce,
        writer: LedgerWriter,
        now_ms: Callable[[], int],
        definitions: Definitions,
    ) -> None:
        self._in_force = in_force
        self._definitions = definitions
        self._writer = writer
        self._now_ms = now_ms
        self._last: OrderedDict[tuple[str, str, str], int] = OrderedDict()

    async def observe(self, identity: Identity, request: ParsedRequest) -> None:
        """Tells what has changed since this conversation's last request."""
        if not request.system_text and not request.tools:
            return
        name = conversation_of(request)
        key = (identity.session, identity.agent, name)
        mark = hash((request.system_text, request.tools))
        if self._last.get(key) == mark:
            return
        steady = steady_text(request.system_text)
        pin = _Pin(
            len(steady),
            _digest(steady),
            {tool.name: tool.digest for tool in request.tools[:_MOST_TOOLS]},
        )
        written = self._definitions.record(
            identity,
            [
                Shown(tool.name, tool.digest, tool.document)
                for tool in request.tools[:_MOST_TOOLS]
                if tool.document is not None
            ],
            side=Side.MODEL,
            provider=request.provider,
        )

        def look(tx: Transaction, emit: Emit) -> None:
            if written is not None:
                emit(written.record)
            self._compare(tx, emit, identity, name, pin, steady)

        await self._writer.run(look)
        if written is not None:
            written.note()
        self._last[key] = mark
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)

    def _compare(
        self, tx: Transaction, emit: Emit, identity: Identity, name: str, pin: _Pin, steady: str
    ) -> None:
        who = (identity.session, identity.agent)
        now_ms = self._now_ms()
        before = tx.conversation_pin(*who, name)
        if before is not None:
            watch = Watch(tx, emit, Who.of(tx, identity), now_ms, self._in_force.happenings)
            for happened, tool, changes in _changes(before, pin, steady, name):
                watch.changed(self._in_force.rules, identity, happened, tool=tool, changes=changes)
        if before != pin.document():
            tx.pin_conversation(*who, name, _merged(before, pin), now_ms)
        if name != _LINKED and tx.conversation_pin(*who, _LINKED) is None:
            # The next turn may name this one's answer instead of repeating what was said.
            tx.pin_conversation(*who, _LINKED, pin.document(), now_ms)


def conversation_of(request: ParsedRequest) -> str:
    """Returns what tells a session's conversations apart."""
    if any(name in request.hints for name in _LINKS):
        return _LINKED
    opening, system = request.opening, request.system_text
    cut = len(system)
    if not opening.startswith(system):
        # A system text that is said later stands in `system_text` too: they part at a line's end.
        pairs = enumerate(zip(opening, system, strict=False))
        apart = next((at for at, (a, b) in pairs if a != b), 0)
        cut = opening.rfind("\n", 0, apart) + 1
    first = opening[cut:].strip()
    return f"{_digest(first)}:{'tools' if request.tools else 'none'}"


def steady_text(text: str) -> str:
    """Returns a system prompt without what changes by itself: dates, times, a client's checksum."""
    return _MOVING.sub("#", text[:_READ_CHARS]) + text[_READ_CHARS:]


def _digest(text: str) -> str:
    return sha256_hex(text.encode("utf-8", "surrogatepass"))[:32]


def _changes(
    before: Mapping[str, object], pin: _Pin, steady: str, name: str
) -> Sequence[tuple[Happened, str | None, Sequence[Json]]]:
    found: list[tuple[Happened, str | None, Sequence[Json]]] = []
    was = str(before.get("system"))
    says_nothing = name == _LINKED and not steady  # a turn that goes on may leave it out
    if was != pin.system and not says_nothing:
        length = before.get("length")
        size = length if isinstance(length, int) else 0
        event = (
            "appended" if 0 < size < len(steady) and _digest(steady[:size]) == was else "changed"
        )
        text = f"the system prompt was {event} in the middle of the session"
        shown: list[Json] = [{"field": "system", "before": was, "after": pin.system}]
        found.append((Happened("system-changed", text, {"event": event}), None, shown))
    tools = before.get("tools")
    pinned: Mapping[str, object] = tools if isinstance(tools, dict) else {}
    for tool, digest in pin.tools.items() if pinned else ():
        if pinned.get(tool) == digest:
            continue
        event = "changed" if tool in pinned else "added"
        past = "has changed" if tool in pinned else "was added"
        text = f"the definition of {tool} {past} in the middle of the session"
        shown = [{"field": "digest", "before": pinned.get(tool), "after": digest}]
        fields = {"event": event, "tool": tool, "server": ""}
        found.append((Happened("tools-changed", text, fields), tool, shown))
    return found


def _merged(before: Mapping[str, object] | None, pin: _Pin) -> dict[str, object]:
    """Keeps the definitions of tools that this request leaves out: it may offer them again, changed."""
    tools = before.get("tools") if before is not None else None
    made: dict[str, object] = {**tools} if isinstance(tools, dict) else {}
    made.update(pin.tools)
    document = pin.document()
    if before is not None and not pin.length:
        document["system"], document["length"] = before["system"], before["length"]
    document["tools"] = dict(list(made.items())[-_MOST_TOOLS:])
    return document
