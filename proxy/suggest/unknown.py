"""The tools of a log that no rule names, and the entry that is proposed for each.

What belongs here: which tools these are, and which names belong to one tool: `mcp__shop__refund` on the model's side is
`refund` of the MCP server `shop`, and one entry for both counts the action once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from proxy.model import Json, Side
from proxy.policy.entries import Entries
from proxy.policy.guess.lexicon import Lexicon
from proxy.policy.load import Loaded
from proxy.policy.yaml_text import shown, why_unwritable
from proxy.suggest.budget import plural
from proxy.suggest.deeds import Deed, deed_of
from proxy.suggest.expressions import Measured, measured
from proxy.suggest.fields import Field, Fields
from proxy.suggest.seen import HINTS, SeenLog, SeenTool, strictest

MOST_ENTRIES = 500
_UNMEASURED = "unmeasured"
_OF_MCP = re.compile(r"mcp__(?P<server>.+?)__(?P<tool>.+)")
_MOST_SHOWN_FIELDS = 12
_MOST_SHOWN_HINTS = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `tools:`, proposed."""

    names: tuple[str, ...]
    seen: SeenTool
    deed: Deed
    measured: Measured

    def plain(self, why: str) -> Entry:
        """Returns the entry without what is read from arguments."""
        return replace(self, measured=Measured(notes=(*self.measured.notes, why)))

    @property
    def kind(self) -> str | None:
        return self.deed.kind

    def apart(self) -> Entry:
        """Returns the entry under a kind of its own: budgets in money cannot count it."""
        kind = f"{self.kind}.{_UNMEASURED}"
        note = f"no argument says how much for sure, so it is no {self.kind}, which budgets sum"
        told = replace(self.measured, notes=(*self.measured.notes, note))
        return replace(self, deed=replace(self.deed, kind=kind), measured=told)

    def about(self) -> Iterator[str]:
        """Yields what is told of it, a sentence each, safe within a comment."""
        seen = self.seen
        yield f"{shown(self.names[0])}: {_how_often(seen)}"
        if seen.fields.by_path:
            yield f"Arguments: {'; '.join(_arguments(seen.fields))}."
        if seen.description:
            yield f"Described as {shown(seen.description)}."
        for hints in seen.hints[:_MOST_SHOWN_HINTS]:
            yield f"Its server says: {', '.join(_hints(hints))}."
        yield _sentence("; ".join(self.deed.why))
        for note in self.measured.notes:
            yield _sentence(note)
        yield from (f"Or {other.entry}: {other.why}." for other in self.deed.others)

    def as_json(self) -> dict[str, Json]:
        seen, deed, told = self.seen, self.deed, self.measured
        return {
            "id": self.names[0],
            "type": "tool",
            "names": list(self.names),
            "kind": self.kind,
            "amount": told.amount,
            "unit": {"from": told.unit_from} if told.unit_from else told.unit,
            "target": told.target,
            "reversibility": deed.reversibility.value if deed.kind is not None else None,
            "why": list(deed.why),
            "notes": list(told.notes),
            "others": [{"entry": other.entry, "why": other.why} for other in deed.others],
            "calls": seen.calls,
            "sessions": len(seen.sessions),
            "servers": sorted(seen.servers),
            "arguments": [_field_json(one) for one in seen.fields],
        }


@dataclass(slots=True)
class Unknown:
    """What is proposed for tools, and which could not be."""

    entries: list[Entry] = field(default_factory=list)
    unwritable: list[tuple[str, str]] = field(default_factory=list)  # name, why
    left_out: int = 0


def unknown_tools(seen: SeenLog, loaded: Loaded) -> Unknown:
    """Returns an entry for each tool that only a guess knows, or none; those with most calls first."""
    entries = Entries(loaded.tools)
    made = Unknown()
    wanted: list[SeenTool] = []
    for tool in seen.tools.values():
        entry = entries.of_name(tool.name)
        if entry is not None and not entry.guesses:
            continue
        why = why_unwritable(tool.name)
        if why is None:
            wanted.append(tool)
        else:
            made.unwritable.append((tool.name, why))
    found = [_entry(group, loaded.lexicon) for group in _grouped(wanted)]
    found = with_sums(found, loaded)
    found.sort(key=lambda one: (-one.seen.calls, one.names))
    made.unwritable.sort()
    made.entries, made.left_out = found[:MOST_ENTRIES], max(0, len(found) - MOST_ENTRIES)
    return made


def _grouped(tools: Iterable[SeenTool]) -> Iterator[list[SeenTool]]:
    """Yields the tools with the names of each together, the server's own name first.

    An agent names a server as it likes, the log by its address: where the two differ, a tool goes with the one
    name that the model has for it, if there is only one.
    """
    listed = sorted(tools, key=lambda tool: tool.name)
    groups = {tool.name: [tool] for tool in listed}
    for tail, named in _of_servers(listed).items():
        own = groups.get(tail)
        if own is None or Side.MCP not in own[0].sides:
            continue
        by_server = [tool for server, tool in named if server in own[0].servers]
        for tool in by_server or [tool for _, tool in named if len(named) == 1]:
            own.append(tool)
            del groups[tool.name]
    yield from groups.values()


def _of_servers(tools: Iterable[SeenTool]) -> dict[str, list[tuple[str, SeenTool]]]:
    """Returns (server, tool) of names such as `mcp__shop__refund`, by the server's own name for the tool."""
    made: dict[str, list[tuple[str, SeenTool]]] = {}
    for tool in tools:
        found = _OF_MCP.fullmatch(tool.name)
        if found is not None and Side.MCP not in tool.sides:
            made.setdefault(found["tool"], []).append((found["server"], tool))
    return made


def _entry(group: list[SeenTool], lexicon: Lexicon) -> Entry:
    tool = _together(group)
    deed = deed_of(lexicon, tool.name, tool.fields, tool.description, strictest(tool.hints))
    told = Measured()
    if deed.kind is not None:
        told = measured(tool.fields, deed.act, lexicon, tool.description, money=deed.money)
    return Entry(tuple(one.name for one in group), tool, deed, told)


def with_sums(entries: Iterable[Entry], loaded: Loaded) -> list[Entry]:
    """Returns the entries, of kinds that have an amount elsewhere those without one under a kind of their own.

    A budget over a sum holds what it cannot count, so one tool without an amount would cost all others their budget.
    """
    listed = list(entries)
    summed = {entry.kind for entry in listed if entry.measured.amount is not None}
    effects = [e for tool in loaded.tools if not tool.guesses for e in tool.all_effects]
    summed |= {effect.kind for effect in effects if effect.amount is not None}
    return [
        entry.apart() if entry.kind in summed and entry.measured.amount is None else entry
        for entry in listed
    ]


def _together(group: list[SeenTool]) -> SeenTool:
    first = group[0]
    if len(group) == 1:
        return first
    fields = Fields()
    for one in group:
        fields.add(one.fields)
    return SeenTool(
        first.name,
        sum(one.calls for one in group),
        set().union(*(one.sessions for one in group)),
        set().union(*(one.agents for one in group)),
        set().union(*(one.sides for one in group)),
        set().union(*(one.servers for one in group)),
        sum(one.by_provider for one in group),
        sum(one.unmapped for one in group),
        fields,
        any(one.offered for one in group),
        next((one.description for one in group if one.description), ""),
        [hint for one in group for hint in one.hints],
    )


# --- what is told ----------------------------------------------------------------------------------------
def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _how_often(seen: SeenTool) -> str:
    where = (
        f" Of the MCP server {', '.join(map(shown, sorted(seen.servers)[:3]))}."
        if seen.servers
        else ""
    )
    if not seen.calls:
        return f"offered, never called.{where}"
    text = f"{plural(seen.calls, 'call')} in {plural(len(seen.sessions), 'session')}"
    if len(seen.agents) > 1:
        text += f" of {len(seen.agents)} agents"
    if seen.unmapped:
        text += f", {seen.unmapped:,} of them unmapped"
    if seen.by_provider:
        text += f", {seen.by_provider:,} run by the model's provider, which nothing can hold"
    return f"{text}.{where}"


def _hints(hints: Mapping[str, bool]) -> Iterator[str]:
    for name in HINTS:
        if name in hints:
            yield f"{name} {'true' if hints[name] else 'false'}"


def _arguments(fields: Fields) -> Iterator[str]:
    listed = list(fields)
    for one in listed[:_MOST_SHOWN_FIELDS]:
        yield f"{shown(one.name)} ({_values(one, fields)})"
    more = len(listed) - _MOST_SHOWN_FIELDS
    if more > 0 or fields.left_out:
        yield f"and {more} more" if not fields.left_out else "and many more"


def _values(one: Field, fields: Fields) -> str:
    if not one.calls:
        needed = "required" if one.required else "optional"
        return f"{_word(one.stated or 'anything')}, {needed}, never seen"
    kinds = " or ".join(sorted(one.types))
    if one.amounts == one.calls and one.least is not None and not one.examples:
        values = f", {one.least:f}" + (f" to {one.most:f}" if one.least != one.most else "")
    else:
        values = "".join(f", {shown(text, 32)}" for text in one.examples)
    rare = f", in {one.calls:,} of {fields.calls:,}" if one.calls < fields.calls else ""
    return f"{kinds}{values}{rare}"


def _word(stated: str) -> str:
    """Returns a schema's word for a type; it is a stranger's, so one that is none is quoted."""
    known = {"string": "text", "array": "list", "integer": "number"}
    word = known.get(stated, stated)
    return (
        word if word in ("text", "list", "number", "boolean", "object", "anything") else shown(word)
    )


def _field_json(one: Field) -> dict[str, Json]:
    return {
        "name": one.name,
        "calls": one.calls,
        "types": sorted(one.types),
        "stated": one.stated,
        "required": one.required,
        "examples": list(one.examples),
        "least": None if one.least is None else f"{one.least:f}",
        "most": None if one.most is None else f"{one.most:f}",
    }
