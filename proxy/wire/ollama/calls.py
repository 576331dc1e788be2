"""How calls stand in an Ollama message.

What belongs here: `message.tool_calls[]` of one answer or line, each whole:
`{"id"?, "function": {"index"?, "name", "arguments": {…}}}`. The arguments are an object; the id came with
0.12 and `ollama` for Python (0.6.3) drops it from a history, so that calls there go by name and arguments.

Source: https://github.com/ollama/ollama/blob/main/api/types.go (read 2026-11).
"""

from __future__ import annotations

from dataclasses import replace

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.frame_gate import refuse_odd_case
from proxy.wire.jsontext import call_from_text, call_from_value
from proxy.wire.unnamed import named

PROVIDER = "ollama.chat"

_OUTER = frozenset({"message", "tool_calls", "error"})
_MESSAGE = frozenset({"role", "content", "tool_calls"})
_ENTRY = frozenset({"id", "function", "name", "arguments"})


def entries_of(document: dict[str, Json], what: str) -> tuple[dict[str, Json], list[Json]]:
    """Returns an answer's message and the calls in it.

    Raises:
        WireError: calls stand where none belong, or cannot be read in one way only.
    """
    refuse_odd_case(document, _OUTER, what)
    if document.get("tool_calls"):
        raise WireError(f"{what}: $.tool_calls stands outside of a message")
    message = document.get("message")
    if message is None:
        return {}, []
    if not isinstance(message, dict):
        raise WireError(f"{what}: $.message: expected an object")
    refuse_odd_case(message, _MESSAGE, what)
    entries = message.get("tool_calls")
    if entries is None:
        return message, []
    if not isinstance(entries, list):
        raise WireError(f"{what}: $.message.tool_calls: expected a list")
    return message, entries


def call_of(entry: Json, what: str) -> Call:
    """Makes the Call of one entry; one without an id gets the derived one.

    Raises:
        WireError: not an object with a function that has a name.
    """
    if not isinstance(entry, dict):
        raise WireError(f"{what}: a tool call that is no object")
    function = entry.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise WireError(f"{what}: a tool call without a function's name")
    refuse_odd_case(entry, _ENTRY, what)
    refuse_odd_case(function, _ENTRY, what)
    call_id, arguments = entry.get("id"), function.get("arguments")
    if call_id is not None and not isinstance(call_id, str):
        raise WireError(f"{what}: a tool call whose id is no text")
    fields = {"id": call_id or None, "name": function["name"], "provider": PROVIDER}
    if arguments is None or isinstance(arguments, str):  # a gateway's own spelling
        return named(call_from_text(arguments or "", **fields))
    return named(call_from_value(arguments, **fields))


def arguments_of(entry: Json) -> Json:
    """Returns the arguments as they stand there: they are judged with their call."""
    function = entry.get("function") if isinstance(entry, dict) else None
    return function.get("arguments") if isinstance(function, dict) else None


def anonymous(call: Call) -> Call:
    """Returns the call as a history without ids shows it."""
    return named(replace(call, id=None))
