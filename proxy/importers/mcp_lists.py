"""Which tools of which MCP servers a gateway or a client lets pass.

What is read, told by its shape:

- `mcp_servers:` of LiteLLM's config.yaml (https://docs.litellm.ai/docs/mcp, read 2026-11): with `allowed_tools` a server has these
  tools alone, with `disallowed_tools` all but these. LiteLLM names a tool `server-tool` to the model.
- `mcpServers` of an MCP client's JSON: `alwaysAllow` (Roo Code, Kilo Code), `autoApprove` (Cline) are called without asking and others
  ask, `disabledTools` are not there, nor is a server that is `disabled` (https://docs.cline.bot/mcp/configuring-mcp-servers,
  https://kilo.ai/docs/automate/mcp/using-in-cli, read 2026-11). `includeTools`, `excludeTools` and `trust` are Gemini CLI's
  (https://geminicli.com/docs/tools/mcp-server/, read 2026-11): these alone, not these, and without asking.
- `server: [tool, …]` of Docker's gateway (`docker mcp gateway run --tools server:tool`, docker/mcp-gateway docs/mcp-gateway.md, read
  2026-11), as a mapping of servers to lists; `*` is all of them.

How it works. A server's tools go by several names: on its own wire by theirs, to a model by `mcp__server__tool`, `server-tool`,
`server__tool` or `server_tool`, as its client puts them. A gate knows all of these. Tools of servers that the file does not name, and tools
that are no server's, are not what it speaks of, and are let alone: those that no other rule knows are held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.errors import ConfigurationError
from proxy.importers.celtext import all_of, any_of, literal, none_of
from proxy.importers.imported import Imported, ImportedGate
from proxy.importers.names import free, slug
from proxy.model import Json
from proxy.policy.yaml_text import why_unwritable
from proxy.policy.yamlnodes import Document, Path

_JOINTS = ("mcp__{}__", "{}-", "{}__", "{}_")
_LIST_KEYS = {
    "allowed_tools": "only",
    "includeTools": "only",
    "disallowed_tools": "never",
    "excludeTools": "never",
    "disabledTools": "never",
    "alwaysAllow": "free",
    "autoApprove": "free",
}


@dataclass(frozen=True, slots=True)
class _Server:
    name: str
    place: str
    only: tuple[str, ...] | None = None  # there are no others
    never: tuple[str, ...] = ()
    free: tuple[str, ...] | None = None  # without asking; others ask. None: none asks
    disabled: bool = False
    url: str | None = None

    @property
    def at(self) -> tuple[str, ...]:
        """What the server is called on its own side: by its name (stdio), or by its address (docs/mcp.md)."""
        found = re.match(r"https?://([^?#]+)", self.url or "")
        return (self.name, found[1].rstrip("/").lower()) if found is not None else (self.name,)


def read_mcp(document: Document) -> Imported:
    """Reads a list of allowed tools.

    Raises:
        ConfigurationError: none of the shapes that are known, or a list that is none.
    """
    imported = Imported("MCP allow lists", unmapped="hold")
    imported.about.append(
        "What passes has no effect stated: `rules suggest` proposes effects from what was seen."
    )
    servers = list(_servers(document, imported))
    if not servers:
        raise ConfigurationError(
            f"{document.name}: no 'mcp_servers' (LiteLLM), 'mcpServers' (MCP clients) or mapping of servers to lists of tools"
        )
    names: set[str] = set()
    for server in servers:
        _write(server, names, imported)
        _cases(server, imported)
    return imported


def _servers(document: Document, imported: Imported) -> Iterator[_Server]:
    value = document.value
    if not isinstance(value, dict):
        return
    for key in ("mcp_servers", "mcpServers"):
        listed = value.get(key)
        if isinstance(listed, dict):
            for name, said in listed.items():
                yield _server(document, (key, name), str(name), said, imported)
            return
    if value and all(isinstance(tools, list) for tools in value.values()):
        for name, tools in value.items():
            place = _place(document, (name,))
            listed_tools = _tools(tools, place, str(name))
            yield _Server(str(name), place, None if "*" in listed_tools else listed_tools)


def _server(document: Document, path: Path, name: str, said: Json, imported: Imported) -> _Server:
    place = _place(document, path)
    if not isinstance(said, dict):
        raise ConfigurationError(f"{place}: server '{name}': expected a mapping")
    found: dict[str, tuple[str, ...]] = {}
    for key, meaning in _LIST_KEYS.items():
        if key in said:
            found[meaning] = (
                *found.get(meaning, ()),
                *_tools(said[key], _place(document, (*path, key)), key),
            )
    if path[0] == "mcpServers" and said.get("trust") is not True:
        found.setdefault("free", ())
    elif said.get("trust") is True:
        found.pop("free", None)
    if "*" in found.get("free", ()):
        found.pop("free")
    if "*" in found.get("only", ()):
        found.pop("only")
    return _Server(
        name,
        place,
        found.get("only"),
        found.get("never", ()),
        found.get("free"),
        said.get("disabled") is True or said.get("enabled") is False,
        next((u for u in (said.get("url"), said.get("httpUrl")) if isinstance(u, str)), None),
    )


def _tools(value: Json, place: str, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(tool, str) for tool in value):
        raise ConfigurationError(f"{place}: '{what}' is a list of tools' names")
    return tuple(tool.split("(")[0] for tool in value)  # Gemini CLI: `tool(args…)` is the tool


def _write(server: _Server, names: set[str], imported: Imported) -> None:
    imported.taken += 1
    about = _whose(server)
    if server.disabled:
        said = f"The server {server.name} is switched off."
        _gate(server, "off", about, "block", said, names, imported)
        return
    if server.only is not None:
        when = all_of([about, none_of(_named(server, tool) for tool in server.only)])
        said = f"This tool of the server {server.name} is not in the imported list."
        _gate(server, "not-listed", when, "block", said, names, imported)
    if server.never:
        when = any_of(_named(server, tool) for tool in server.never)
        said = f"The imported list takes this tool of the server {server.name} away."
        _gate(server, "taken-away", when, "block", said, names, imported)
    if server.free is not None:
        when = all_of([about, none_of(_named(server, tool) for tool in server.free)])
        said = f"The imported list asks before this tool of the server {server.name}."
        _gate(server, "asks", when, "hold", said, names, imported)
    _known(server, names, imported)
    if server.only is None and server.free is None:
        imported.note(
            server.place,
            f"all other tools of {server.name} pass",
            "on the model's side; at the server itself a tool that no list names is held",
        )


def _known(server: _Server, names: set[str], out: Imported) -> None:
    """Says of tools that they are known; a name that a rule file cannot state is held as unknown.

    At a server's own side a tool has its own name, which other servers' tools may have too: there it is known at this server alone.
    """
    listed = dict.fromkeys((*(server.only or ()), *(server.free or ()), *server.never))
    own: list[str] = []
    known: list[str] = []
    for tool in (*listed, *(("*",) if server.only is None and not server.free else ())):
        why = why_unwritable(tool) if tool != "*" else None
        why = why or why_unwritable(server.name)
        if why is not None:
            out.note(server.place, f"{server.name}: the tool {tool!r} {why}", "it is held")
            continue
        known += [joint.format(server.name) + tool for joint in _JOINTS]
        own += [tool] if tool != "*" else []
    if known:
        out.tools.append((tuple(dict.fromkeys((*known, *own))), f"{server.place} {server.name}"))
    if own:
        tools = f"tool in [{', '.join(map(literal, own))}]"
        when = all_of([tools, f"!({_at(server)})"])
        said = f"A tool of this name is known at the server {server.name} alone."
        _gate(server, "elsewhere", when, "hold", said, names, out)


def _gate(
    server: _Server, what: str, when: str, verdict: str, said: str, names: set[str], out: Imported
) -> None:
    name = free(f"mcp-{slug(server.name, 'server')}-{what}", names)
    when = all_of(['side != "http"', when])
    out.gates.append(ImportedGate(name, when, verdict, said, f"{server.place} {server.name}"))


def _whose(server: _Server) -> str:
    """A tool that is, or may be, this server's."""
    starts = [f"tool.startsWith({literal(joint.format(server.name))})" for joint in _JOINTS]
    return any_of([f"({_at(server)})", *starts])


def _at(server: _Server) -> str:
    return f'side == "mcp" && server in [{", ".join(map(literal, server.at))}]'


def _named(server: _Server, tool: str) -> str:
    """One tool of a server, by all of its names."""
    names = [joint.format(server.name) + tool for joint in _JOINTS]
    own = f"{_at(server)} && tool == {literal(tool)}"
    return any_of([f"tool in [{', '.join(map(literal, names))}]", own])


def _cases(server: _Server, imported: Imported) -> None:
    tools = dict.fromkeys(
        (*(server.only or ()), *server.never, *(server.free or ()), "another_tool")
    )
    for tool in tools:
        verdict = _decides(server, tool)
        for name, at in ((f"mcp__{server.name}__{tool}", None), (tool, server.name)):
            listed = at is None or tool in (*(server.only or ()), *(server.free or ()))
            noted = any(n.place == server.place for n in imported.notes)
            if verdict != "allow" or (listed and not noted):
                imported.case(
                    name,
                    {},
                    verdict,
                    f"{server.name}: {tool}{'' if at is None else ', at the server'}",
                    at,
                )


def _decides(server: _Server, tool: str) -> str:
    if server.disabled or tool in server.never:
        return "block"
    if server.only is not None and tool not in server.only:
        return "block"
    return "allow" if server.free is None or tool in server.free else "hold"


def _place(document: Document, path: Path) -> str:
    return f"{document.name}:{document.line(path)}"
