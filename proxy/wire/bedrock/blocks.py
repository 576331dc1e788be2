"""Content blocks of Converse (and of Nova's own API, which has the same): which are calls, what is kept.

What belongs here: what the stream and the JSON gate share. A block is an object with one member that
says its kind; `toolUse` is a call. With `type: "server_tool_use"` the provider runs it, unless its name
is that of a tool the client itself offered: then an agent that does not look at `type` would run it.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html and
…/API_runtime_ToolUseBlock.html (read 2026-11), and botocore's service model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.anthropic.blocks import plain, refusal_text, remembered_input
from proxy.wire.bedrock.shapes import may_hold_call
from proxy.wire.codec import ParsedRequest, RefusedCall, RefusedResponse
from proxy.wire.jsontext import call_from_text, call_from_value

CONVERSE = "bedrock.converse"
SERVER_TOOL = "server_tool_use"


@dataclass(frozen=True, slots=True)
class Context:
    """What a gate knows besides the bytes."""

    provider: str
    ref: str
    client_tools: frozenset[str] = frozenset()


def context_of(provider: str, ref: str, request: ParsedRequest | None) -> Context:
    names = (tool.name for tool in request.tools) if request is not None else ()
    return Context(provider, ref, frozenset(names))


def tool_use_of(block: Json, where: str) -> dict[str, Json] | None:
    """Returns a block's `toolUse`; None where the block is no call.

    Raises:
        WireError: not a block, or one that two clients read as two different things.
    """
    if not isinstance(block, dict):
        raise WireError(f"{where}: expected a content block")
    said = {key for key, value in block.items() if value is not None and key != "__type"}
    use = block.get("toolUse")
    if use is None:
        for key in said - {"toolResult"}:  # what a provider's tool gave back may be anything
            if may_hold_call({key: block[key]}):
                raise WireError(f"{where}: a call in an unexpected place - at {key!r}")
        return None
    if not isinstance(use, dict):
        raise WireError(f"{where}: expected an object - at toolUse")
    if said != {"toolUse"}:
        raise WireError(f"{where}: a call beside {sorted(said - {'toolUse'})}")
    return use


def runs_at_client(use: Mapping[str, Json], context: Context) -> bool:
    return use.get("type") != SERVER_TOOL or use.get("name") in context.client_tools


def call_of(
    use: Mapping[str, Json], fragments: str | None, context: Context, fault: str | None = None
) -> Call:
    """Makes the Call of a complete block.

    Args:
        use: the `toolUse` of a block, or of a stream's `contentBlockStart`.
        fragments: the joined texts of the deltas; None where the block came whole.
        context: of the answer.
        fault: what is wrong with the block already.
    """
    call_id, name, given = use.get("toolUseId"), use.get("name"), use.get("input")
    fields: dict[str, Any] = {
        "id": call_id if isinstance(call_id, str) and call_id else None,
        "name": name if isinstance(name, str) else "",
        "provider": context.provider,
        "kind": "function" if runs_at_client(use, context) else SERVER_TOOL,
        "executor": "client" if runs_at_client(use, context) else "provider",
    }
    if fragments is None:
        call = call_from_value({} if given is None else given, **fields)
    else:
        call = call_from_text(fragments, **fields)
        if given:
            fault = fault or "the block opened with an input"
    if call.fault is None and not isinstance(call.arguments, dict):
        fault = fault or "input is not an object"
    if not fields["name"]:
        fault = fault or "the call has no name"
    return call if fault is None else replace(call, arguments=None, fault=fault)


def history_block(use: Mapping[str, Json], call: Call) -> dict[str, Json]:
    """Returns a call as a request carries it; of `type` the API documents the provider's only."""
    made = {
        "toolUseId": call.id,
        "name": call.name,
        "input": remembered_input(call, use.get("input")),
    }
    if use.get("type") == SERVER_TOOL:
        made["type"] = SERVER_TOOL
    return {"toolUse": plain(made)}


def text_block(text: str) -> dict[str, Json]:
    return {"text": refusal_text(text)}  # blank text is a ValidationException in the next request


def memory(
    context: Context, content: list[Json], calls: Sequence[Call], refused: Mapping[int, str]
) -> RefusedResponse:
    """Makes the memory of a message of which some calls were refused.

    Args:
        context: of the answer.
        content: all blocks as they came, in the form of a request.
        calls: the client's calls, in order.
        refused: position in `calls` -> the text that stands in its place.
    """
    keys = [f"ref:{context.ref}"]
    keys += [f"call:{c.id}" for n, c in enumerate(calls) if n not in refused and c.id]
    return RefusedResponse(
        ref=context.ref,
        provider=context.provider,
        keys=tuple(dict.fromkeys(keys)),
        original={"role": "assistant", "content": _answerable(content)},
        refused=tuple(
            RefusedCall(calls[n].id, calls[n].name, calls[n].kind, refusal_text(text))
            for n, text in sorted(refused.items())
        ),
    )


def _answerable(content: Collection[Json]) -> list[Json]:
    """Leaves out calls without an id: no result could name them."""
    return [b for b in content if not ("toolUse" in b and not b["toolUse"].get("toolUseId"))]
