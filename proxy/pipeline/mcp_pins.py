"""What an MCP server's tools are said to be, pinned: a definition that changes is told.

A tool's description is text that the model obeys, so a server that changes it after a human has looked
("rug pull") changes what the agent does. The first definition seen is pinned in the ledger, by server and
tool; a later one that differs, and a tool that is new on a known server, become a `signal` record with
what is different, and what the rules set in force for it (`signals.py`). What is new to the log is told there as
it stands (`definitions.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.canonical import digest, sha256_hex
from proxy.errors import CheckreinError
from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit
from proxy.model import Identity, Json, Side
from proxy.pipeline.core import Pipeline
from proxy.pipeline.definitions import Shown
from proxy.pipeline.records import signal_record
from proxy.pipeline.signals import Watch
from proxy.pipeline.standing import Happened, Who
from proxy.redact import redact_text
from proxy.wire.jsontext import decode_object, encode

_FIELDS = ("title", "description", "inputSchema", "outputSchema", "annotations")
_PAST = {"changed": "changed", "added": "been added"}
_MOST_TOOLS = 4_096
_SHOWN_CHARS = 2_000


async def pin_tools(
    pipeline: Pipeline,
    identity: Identity,
    server: str,
    result: Mapping[str, Json],
    *,
    whole: bool,
) -> None:
    """Compares a `tools/list` result with what is pinned, tells what changed, and pins it.

    `whole`: the list began with this page (its end is there when the result has no cursor).
    """
    tools = result.get("tools")
    seen: dict[str, tuple[str, bytes]] = {}
    shown: dict[str, Shown] = {}
    for tool in tools[:_MOST_TOOLS] if isinstance(tools, list) else ():
        if isinstance(tool, dict) and isinstance(tool.get("name"), str):
            found = seen[tool["name"]] = _definition(tool)
            shown[tool["name"]] = Shown(tool["name"], found[0], tool)
    if not seen:
        return
    written = pipeline.definitions.record(
        identity, list(shown.values()), side=Side.MCP, provider="mcp", server=server
    )
    now_ms = pipeline.now_ms()
    complete = whole and not result.get("nextCursor")

    def pin(tx: Transaction, emit: Emit) -> None:
        if written is not None:
            emit(written.record)
        watch = Watch(tx, emit, Who.of(tx, identity), now_ms, pipeline.happenings)

        def tell(name: str, event: str, changes: Sequence[Json]) -> None:
            text = f"the definition of {name} on {server} has {_PAST[event]}"
            fields = {"event": event, "server": server, "tool": name}
            happened = Happened("tools-changed", text, fields)
            rules = pipeline.rules
            watch.changed(rules, identity, happened, server=server, tool=name, changes=changes)

        pinned = tx.tool_pins(server)
        for name, (found, document) in seen.items():
            before = pinned.get(name)
            if before is not None and before[0] == found:
                continue
            if len(pinned) < _MOST_TOOLS or before is not None:
                tx.pin_tool(server, name, found, document, now_ms)
            if before is not None:
                changes = _changes(before[1], document)
                tell(name, "changed", changes)
            elif pinned and whole:
                changes = _changes(b"{}", document)
                tell(name, "added", changes)
        for name in pinned.keys() - seen.keys() if complete else ():
            tx.unpin_tool(server, name)
            emit(signal_record(identity, "tools-changed", server, name, "removed", []))

    await pipeline.in_transaction(pin)
    if written is not None:
        written.note()


def _definition(tool: Mapping[str, Json]) -> tuple[str, bytes]:
    made = {key: tool[key] for key in _FIELDS if tool.get(key) is not None}
    document = encode(made)
    try:
        return digest(made), document
    except (CheckreinError, ValueError, RecursionError):
        return sha256_hex(document), document


def _changes(before: bytes, after: bytes) -> list[Json]:
    old, new = decode_object(before, "pin"), decode_object(after, "pin")
    return [
        {"field": key, "before": _shown(old.get(key)), "after": _shown(new.get(key))}
        for key in _FIELDS
        if old.get(key) != new.get(key)
    ]


def _shown(value: Json) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else encode(value).decode()
    return redact_text(text[:_SHOWN_CHARS])
