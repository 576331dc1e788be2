"""How calls stand among the entries of a Mistral conversation.

What belongs here: which entry is a call and whose. `function.call` (`tool_call_id`, `name`, `arguments` as
text or object) is the client's to run; with `confirmation_status: pending` it is the server's, but waits for
the client's yes (`tool_confirmations`), so it is held too; `tool.execution` has run on the server.
`mistralai` tries its models one after the other and takes an entry without a type that has the fields for
what these make it.

Source: https://docs.mistral.ai/api/#tag/beta.conversations (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.frame_gate import refuse_odd_case
from proxy.wire.jsontext import call_from_text, call_from_value

PROVIDER = "mistral.conversations"
CONFIRMATION = "confirmation"
"""`Call.kind` of a server's call that waits for the client's yes."""

_NAMES = frozenset({"type", "name", "tool_call_id", "arguments", "confirmation_status"})


class Role(Enum):
    CLIENT = "client"
    SERVER = "server"
    OTHER = "other"


def role_of(entry: Json, what: str) -> Role:
    """Tells what an entry is.

    Raises:
        WireError: it could be a call for one reader and none for another.
    """
    if not isinstance(entry, dict):
        raise WireError(f"{what}: an entry that is no object")
    refuse_odd_case(entry, _NAMES, what)
    kind = entry.get("type")
    if kind == "function.call" or (kind is None and "tool_call_id" in entry and "name" in entry):
        return Role.CLIENT
    if kind == "tool.execution" or (kind is None and "arguments" in entry):
        return Role.SERVER
    if "arguments" in entry:
        raise WireError(f"{what}: arguments in an entry of type {kind!r}")
    return Role.OTHER


def call_of(entry: Mapping[str, Json], role: Role, what: str) -> Call:
    """Makes the Call of an entry; `response_id` is the entry's own id, which it keeps in the history.

    Raises:
        WireError: without a name or an id.
    """
    name, entry_id = entry.get("name"), entry.get("id")
    call_id = entry.get("tool_call_id") if role is Role.CLIENT else entry_id
    if not isinstance(name, str) or (role is Role.CLIENT and not isinstance(call_id, str)):
        raise WireError(f"{what}: a call without a name or an id")
    pending = role is Role.CLIENT and entry.get("confirmation_status") is not None
    fields = {
        "id": call_id if isinstance(call_id, str) else None,
        "name": name,
        "provider": PROVIDER,
        "kind": CONFIRMATION if pending else "function",
        "response_id": entry_id if isinstance(entry_id, str) else None,
        "executor": "client" if role is Role.CLIENT else "provider",
    }
    arguments = entry.get("arguments")
    if arguments is None or isinstance(arguments, str):
        return call_from_text(arguments or "", **fields)
    return call_from_value(arguments, **fields)


def message_entry(ref: str, number: int, text: str) -> dict[str, Json]:
    """Returns the message that stands in a refused call's place."""
    return {
        "object": "entry",
        "type": "message.output",
        "id": message_id(ref, number),
        "role": "assistant",
        "content": text,
    }


def message_id(ref: str, number: int) -> str:
    return f"msg_{ref.removeprefix('cr_')}{number}"


def memory_of(
    ref: str,
    conversation: str | None,
    entries: Sequence[Json],
    calls: Sequence[Call],
    refused: Mapping[int, str],
) -> RefusedResponse:
    """Returns the memory of an answer: all its entries, and which of its calls were refused."""
    keys = [f"ref:{ref}", *([f"conversation:{conversation}"] if conversation else [])]
    keys += [f"call:{call.id}" for n, call in enumerate(calls) if n not in refused and call.id]
    return RefusedResponse(
        ref=ref,
        provider=PROVIDER,
        keys=tuple(dict.fromkeys(keys)),
        original=list(entries),
        refused=tuple(
            RefusedCall(calls[n].id, calls[n].name, calls[n].kind, text)
            for n, text in refused.items()
        ),
    )


def error_document(text: str) -> dict[str, Json]:
    """The error object of Mistral's API."""
    return {
        "object": "error",
        "message": text,
        "type": "checkrein_refused",
        "param": None,
        "code": "checkrein",
    }
