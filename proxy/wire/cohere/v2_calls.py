"""How calls stand in a message of Cohere's v2.

What belongs here: `tool_calls[]` of `{"id", "type": "function", "function": {"name", "arguments"}}` with the
arguments as JSON text, the model's `tool_plan` beside them, and the finish reasons around them.

Source: https://docs.cohere.com/reference/chat (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.frame_gate import refuse_odd_case
from proxy.wire.jsontext import call_from_text, call_from_value
from proxy.wire.unnamed import named

PROVIDER = "cohere.v2"

ENTRY = frozenset({"id", "type", "function", "name", "arguments"})
MESSAGE = frozenset({"role", "content", "tool_calls", "tool_plan"})


def call_of(entry: Json, response_id: str | None, what: str) -> Call:
    """Makes the Call of one entry.

    Raises:
        WireError: not an object with a function that has a name.
    """
    if not isinstance(entry, dict):
        raise WireError(f"{what}: a tool call that is no object")
    function = entry.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise WireError(f"{what}: a tool call without a function's name")
    refuse_odd_case(entry, ENTRY, what)
    refuse_odd_case(function, ENTRY, what)
    call_id, arguments = entry.get("id"), function.get("arguments")
    if call_id is not None and not isinstance(call_id, str):
        raise WireError(f"{what}: a tool call whose id is no text")
    fields = {
        "id": call_id or None,
        "name": function["name"],
        "provider": PROVIDER,
        "response_id": response_id,
    }
    if arguments is None or isinstance(arguments, str):
        return named(call_from_text(arguments or "", **fields))
    return named(call_from_value(arguments, **fields))


def finish_without_calls(holder: dict[str, Json]) -> None:
    """Makes an answer say that it is complete: no call of it is left for the client to run."""
    if holder.get("finish_reason") == "TOOL_CALL":
        holder["finish_reason"] = "COMPLETE"


def memory_of(
    ref: str,
    message: dict[str, Json],
    entries: Sequence[Json],
    refused: Sequence[RefusedCall],
    kept_ids: Sequence[str | None],
) -> RefusedResponse:
    """Returns the memory of a message as a request carries it."""
    original: dict[str, Json] = {"role": "assistant"}
    original |= {key: message[key] for key in ("content", "tool_plan") if message.get(key)}
    original["tool_calls"] = list(entries)
    keys = [f"ref:{ref}", *(f"call:{call_id}" for call_id in kept_ids if call_id)]
    return RefusedResponse(
        ref=ref,
        provider=PROVIDER,
        keys=tuple(dict.fromkeys(keys)),
        original=original,
        refused=tuple(refused),
    )
