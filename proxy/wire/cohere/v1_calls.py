"""How calls stand in an answer of Cohere's v1.

What belongs here: `tool_calls[]` of `{"name", "parameters": {…}}`, without ids, in a whole answer: beside its
`text`, and once more in the last message of the `chat_history` that it carries.

Source: https://docs.cohere.com/v1/reference/chat (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.frame_gate import refuse_odd_case
from proxy.wire.jsontext import call_from_text, call_from_value
from proxy.wire.unnamed import named

PROVIDER = "cohere.v1"

ENTRY = frozenset({"name", "parameters", "index"})
ANSWER = frozenset({"text", "tool_calls", "chat_history", "finish_reason"})


def call_of(entry: Json, response_id: str | None, what: str) -> Call:
    """Makes the Call of one entry.

    Raises:
        WireError: not an object with a name.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise WireError(f"{what}: a tool call without a name")
    refuse_odd_case(entry, ENTRY, what)
    parameters = entry.get("parameters")
    fields = {"id": None, "name": entry["name"], "provider": PROVIDER, "response_id": response_id}
    if parameters is None or isinstance(parameters, str):
        return named(call_from_text(parameters or "", **fields))
    return named(call_from_value(parameters, **fields))


def entries_of(holder: Mapping[str, Json], what: str) -> list[Json]:
    """Returns `tool_calls`.

    Raises:
        WireError: something else than a list stands there.
    """
    entries = holder.get("tool_calls")
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise WireError(f"{what}: tool_calls: expected a list")
    return entries


def last_said(answer: Mapping[str, Json]) -> dict[str, Json] | None:
    """Returns the history's last message, if it is the model's: this very answer."""
    history = answer.get("chat_history")
    last = history[-1] if isinstance(history, list) and history else None
    is_models = isinstance(last, dict) and str(last.get("role")).upper() == "CHATBOT"
    return last if is_models else None


def calls_of(answer: dict[str, Json], response_id: str | None, what: str) -> list[Call]:
    """Returns the calls of a whole answer.

    Raises:
        WireError: its history says something else.
    """
    refuse_odd_case(answer, ANSWER, what)
    calls = [call_of(entry, response_id, what) for entry in entries_of(answer, what)]
    said = last_said(answer)
    if said is not None:
        refuse_odd_case(said, ANSWER, what)
        repeated = [call_of(entry, response_id, what) for entry in entries_of(said, what)]
        if repeated and repeated != calls:
            raise WireError(f"{what}: chat_history has other calls than the answer")
    return calls


def take_out(answer: dict[str, Json], refused: Mapping[int, str]) -> None:
    """Takes calls out of a whole answer, and says why in its texts."""
    said = last_said(answer)
    for holder, key in ((answer, "text"), (said, "message")):
        if holder is None:
            continue
        entries = holder.get("tool_calls") or []
        left = [entry for n, entry in enumerate(entries) if n not in refused]
        if left:
            holder["tool_calls"] = left
        else:
            holder.pop("tool_calls", None)
        text = holder.get(key)
        holder[key] = "\n\n".join([text, *refused.values()] if text else refused.values())
    if not answer.get("tool_calls") and answer.get("finish_reason") == "TOOL_CALL":
        answer["finish_reason"] = "COMPLETE"


def memory_of(
    ref: str, text: str, entries: Sequence[Json], refused: Sequence[RefusedCall]
) -> RefusedResponse:
    """Returns the memory of an answer, as the message of a `chat_history`."""
    original = {"role": "CHATBOT", "message": text, "tool_calls": list(entries)}
    return RefusedResponse(
        ref=ref,
        provider=PROVIDER,
        keys=(f"ref:{ref}",),
        original=original,
        refused=tuple(refused),
    )
