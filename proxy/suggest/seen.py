"""What a decision log has of tools: who called them with what, and what they were said to be.

What belongs here: one pass over the records. Memory grows with tools and sessions, not with calls; names are an agent's to
choose, so there is an end of tools too, and what lies beyond it is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from proxy.model import Json, Side
from proxy.policy.facts import Hints
from proxy.rehearsal.lines import Lines
from proxy.rehearsal.recorded import RecordingError, read_object
from proxy.suggest.fields import Fields

_MOST_TOOLS = 2_000
HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
"""What an MCP server may say of its tool, each true or false."""
_FAULTS = (KeyError, TypeError, ValueError, AttributeError)
_NO_TOOLS = ("unparsed", "opaque", "pass-through", "model_request", "mcp_")
"""Beginnings of the kinds of calls that stand for traffic, not for a tool."""


@dataclass(slots=True)
class SeenTool:
    """One tool, by the name under which it was called or offered."""

    name: str
    calls: int = 0
    sessions: set[int] = field(default_factory=set)
    agents: set[str] = field(default_factory=set)
    sides: set[str] = field(default_factory=set)
    servers: set[str] = field(default_factory=set)
    by_provider: int = 0  # calls that the model's provider ran itself
    unmapped: int = 0  # calls that no rule knew when the log was written
    fields: Fields = field(default_factory=Fields)
    offered: bool = False
    description: str = ""
    hints: list[Mapping[str, bool]] = field(default_factory=list)  # of each server that lists it


@dataclass(slots=True)
class SeenLog:
    """A log, read."""

    tools: dict[str, SeenTool] = field(default_factory=dict)
    kinds: set[tuple[str, str | None]] = field(default_factory=set)  # effects' (kind, unit)
    calls: int = 0
    sessions: set[int] = field(default_factory=set)
    days: set[str] = field(default_factory=set)
    rules: set[str] = field(default_factory=set)  # digests of the rule sets that judged it
    files: tuple[str, ...] = ()  # of the last of them
    first: datetime | None = None
    last: datetime | None = None
    left_out: int = 0  # calls of tools beyond the end

    def tool(self, name: str) -> SeenTool | None:
        """Returns a tool, a new one where it is first met; None beyond the end."""
        found = self.tools.get(name)
        if found is None and len(self.tools) < _MOST_TOOLS:
            found = self.tools[name] = SeenTool(name)
        return found


def read_log(lines: Lines) -> SeenLog:
    """Reads log files.

    Raises:
        RecordingError: a line cannot be read, or is no record of a decision log.
    """
    seen = SeenLog()
    for line in lines:
        record = read_object(line.text, line.where)
        try:
            _take(seen, record)
        except _FAULTS as error:
            text = f"{line.where}: not a record of a decision log ({type(error).__name__})"
            raise RecordingError(text) from error
    return seen


def _take(seen: SeenLog, record: Mapping[str, Json]) -> None:
    kind = record["type"]
    at = datetime.fromisoformat(record["time"]).astimezone(UTC)
    if kind == "decision":
        seen.first = at if seen.first is None else min(at, seen.first)
        seen.last = at if seen.last is None else max(at, seen.last)
        seen.days.add(at.date().isoformat())
        _decision(seen, record)
    elif kind == "tools":
        _tools(seen, record)
    elif kind == "rules":
        seen.files = tuple(str(file) for file in record["files"])


def _decision(seen: SeenLog, record: Mapping[str, Json]) -> None:
    call, session = record["call"], hash(record["session"])
    seen.rules.add(str(record["rules"]))
    for effect in record["effects"]:
        seen.kinds.add((str(effect["kind"]), effect["unit"]))
    kind = str(call["kind"])
    if kind.startswith(_NO_TOOLS):
        return
    seen.calls += 1
    seen.sessions.add(session)
    if record["side"] == Side.HTTP:
        return  # its route is named in a rule, or it were no call
    tool = seen.tool(str(call["name"]))
    if tool is None:
        seen.left_out += 1
        return
    tool.calls += 1
    tool.sessions.add(session)
    tool.agents.add(str(record["agent"]))
    tool.sides.add(str(record["side"]))
    tool.by_provider += call["executor"] == "provider"
    tool.unmapped += any(reason["rule"] == "unmapped" for reason in record["reasons"])
    if isinstance(call.get("namespace"), str):
        tool.servers.add(call["namespace"])
    tool.fields.take(call["args"])


def _tools(seen: SeenLog, record: Mapping[str, Json]) -> None:
    server = record["server"]
    for stated in record["tools"]:
        tool = seen.tool(str(stated["name"]))
        if tool is None:
            continue
        tool.offered = True
        tool.sides.add(str(record["side"]))
        if isinstance(server, str):
            tool.servers.add(server)
        if isinstance(stated["description"], str):
            tool.description = stated["description"]
        said = stated["annotations"]
        hints = {n: said[n] for n in HINTS if isinstance(said.get(n), bool)} if said else {}
        if hints and hints not in tool.hints:
            tool.hints.append(hints)
        tool.fields.state(stated["schema"])


def strictest(hints: Iterable[Mapping[str, bool]]) -> Hints:
    """Returns what servers say of a tool of this name, each the strictest word of all."""
    listed = list(hints)

    def told(name: str, *, strict: bool) -> bool | None:
        said = [one[name] for one in listed if isinstance(one.get(name), bool)]
        return None if not said else strict if strict in said else not strict

    return Hints(
        told("readOnlyHint", strict=False),
        told("destructiveHint", strict=True),
        told("openWorldHint", strict=True),
    )
