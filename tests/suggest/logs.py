"""Decision logs for the tests: sessions of calls played into a real one, with what the tools are said to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from proxy.canonical import digest
from proxy.decisionlog import DecisionLog
from proxy.model import ToolDefinition
from proxy.pipeline.mcp_pins import pin_tools
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.rehearsal import START_MS, Rehearsal
from proxy.settings import Settings

EMPTY = "version: 1\npack: empty\n"
_SETTINGS = Settings(state=Path("none"), log=Path("none"), admin=Path("none"), shadow=True)


@dataclass(frozen=True)
class Played:
    """One session: its calls, in order."""

    calls: Sequence[tuple[str, Any]]
    agent: str = "desk"
    day: int = 0
    server: str | None = None  # the calls are seen on this MCP server's side
    name: str | None = None
    results: bool = True


def function(name: str, properties: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A tool as a model request offers it; all its arguments are required."""
    listed = dict(properties or {})
    schema = {"type": "object", "properties": listed, "required": list(listed)}
    return {"type": "function", "function": {"name": name, "parameters": schema, **more}}


def record(
    log: Path,
    sessions: Iterable[Played],
    *,
    rules: str = EMPTY,
    offered: Sequence[Mapping[str, Any]] = (),
    servers: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    shadow: bool = True,
) -> Path:
    """Plays sessions into a log.

    Args:
        log: the file.
        sessions: what is played.
        rules: in force meanwhile.
        offered: tools of each model request.
        servers: tools of each MCP server, as it lists them.
        shadow: whether the run stops nothing.
    """
    clock: list[Rehearsal] = []

    def now() -> datetime:
        return datetime.fromtimestamp((clock[0].now_ms if clock else START_MS) / 1000, UTC)

    definitions = tuple(
        ToolDefinition(one["function"]["name"], digest(one), one) for one in offered
    )
    sink = DecisionLog(log, now=now)
    settings = replace(_SETTINGS, shadow=shadow)
    with Rehearsal(
        RuleSet.load_text("r.yaml", rules), sink=sink.append, settings=settings
    ) as played:
        clock.append(played)
        played.pipeline.start(())
        for n, session in enumerate(sessions):
            begun_ms = START_MS + session.day * 86_400_000
            played.now_ms = max(played.now_ms, begun_ms)
            who = played.session(session.name or f"s-{n}", agent=session.agent)
            who.tools = definitions
            who.user("Please.")
            for server, tools in (servers or {}).items():
                listed = {"tools": list(tools)}
                work = pin_tools(played.pipeline, who.identity, server, listed, whole=True)
                played.finish(work)
            for name, arguments in session.calls:
                judged = who.call(name, arguments, server=session.server)
                if session.results and session.server is None:
                    who.result(judged, "done")
    sink.close()
    return log
