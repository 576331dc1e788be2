"""Steps of Google's Interactions API: which of them are calls, what a call says, what answers it.

What belongs here: all knowledge of single steps, used by both gates and by the request side. A step is
a call that the *client* executes (`function_call`), one that the *provider* executes (it is seen and
accounted for), or no call. Unknown types that end in `_call` count as the client's. Before its revision
of 2026-05 the API had a flat list `outputs` of contents where it has `steps` now, and `content.*` events where
it has `step.*`; both forms are read. https://ai.google.dev/gemini-api/docs/interactions (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

from proxy.canonical import digest
from proxy.errors import UnjudgeableArguments, WireError
from proxy.model import Call, Json
from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.gemini.parts import fold, get
from proxy.wire.jsontext import Ambiguous, call_from_text, call_from_value, read_strict

PROVIDER = "google.interactions"

type Step = dict[str, Json]

# Run on Google's side; their results stand in the same interaction.
_PROVIDER_CALLS = frozenset(
    {
        "codeexecutioncall",
        "filesearchcall",
        "googlemapscall",
        "googlesearchcall",
        "mcpservertoolcall",
        "processingcall",
        "retrievalcall",
        "toolsearchcall",
        "urlcontextcall",
    }
)


class Role(Enum):
    """Who acts on a step."""

    CLIENT = "client"
    PROVIDER = "provider"
    NONE = "none"


def role_of(step: Json) -> Role:
    kind = get(step, "type") if isinstance(step, dict) else None
    if not isinstance(kind, str):
        return Role.NONE
    kind = fold(kind)
    if kind in _PROVIDER_CALLS:
        return Role.PROVIDER
    return Role.CLIENT if kind.endswith("call") else Role.NONE


def call_of(step: Step, response_id: str | None, *, fault: str | None = None) -> Call:
    """Makes the Call of a call step; `fault` is what else is known to be wrong with it."""
    kind, name = get(step, "type"), get(step, "name")
    call_id, server = id_of(step), get(step, "serverName")
    provider = role_of(step) is Role.PROVIDER
    named = isinstance(name, str) and name != ""
    fields: dict[str, Json] = {
        "id": call_id,
        "name": name if named else str(kind),
        "provider": PROVIDER,
        "kind": "function" if kind == "function_call" else str(kind),
        "response_id": response_id,
        "executor": "provider" if provider else "client",
        "namespace": server if isinstance(server, str) else None,
    }
    value = get(step, "arguments")
    if isinstance(value, str):
        call = call_from_text(value, **fields)
    else:
        call = call_from_value({} if value is None else value, **fields)
    if isinstance(step, Ambiguous):
        fault = "duplicate key in the call"
    elif kind == "function_call":
        if not named:
            fault = fault or "the call has no name"
        elif call.fault is None and not isinstance(call.arguments, dict):
            fault = fault or "the arguments are not an object"
    if fault is None:
        return call
    return Call(arguments=None, args_sha256=call.args_sha256, fault=fault, **fields)


def id_of(step: Mapping[str, Json]) -> str | None:
    for name in ("id", "callId"):
        found = get(step, name)
        if isinstance(found, str) and found:
            return found
    return None


def signature(call: Call) -> tuple[str | None, ...]:
    """Returns what must be the same wherever an answer shows this call."""
    return (call.kind, call.id, call.name, call.args_sha256, call.fault)


def args_digest(step: Mapping[str, Json]) -> str | None:
    value = get(step, "arguments")
    try:
        if isinstance(value, str):
            value = read_strict(value) if value.strip() else {}
        return digest({} if value is None else value)
    except (UnjudgeableArguments, ValueError, RecursionError):
        return None


def lists_of(interaction: Mapping[str, Json], what: str) -> Iterator[tuple[str, list[Json]]]:
    """Yields the lists in which an interaction's calls stand, with their names.

    Raises:
        WireError: something else than a list of objects stands there.
    """
    for name in ("steps", "outputs"):
        found = get(interaction, name)
        if found is None:
            continue
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise WireError(f"{what}: expected an array of objects - at {name}")
        for step in found:
            refuse_hidden(step, what)
        yield name, found


def refuse_hidden(step: Step, what: str) -> None:
    """Refuses a step that may be a call though it does not say so.

    Without a type, in this very spelling, google-genai takes any step or delta for the first of its kinds that comes
    to hand, a call among them; and a call
    may stand inside a step's content, where no client looks today and some may tomorrow.

    Raises:
        WireError: it is such a step.
    """
    if not isinstance(step.get("type"), str):
        raise WireError(f"{what}: a step without a type")
    content = get(step, "content")
    if isinstance(content, list) and any(role_of(one) is Role.CLIENT for one in content):
        raise WireError(f"{what}: a call inside of a step")


def text_step(text: str, form: str) -> Step:
    """Returns what stands in a refused call's place."""
    said = {"type": "text", "text": text}
    return said if form == "outputs" else {"type": "model_output", "content": [said]}


def settled_status(interaction: Mapping[str, Json], *, calls_left: bool) -> dict[str, Json]:
    """Returns the fields that change where a client has nothing left to do."""
    if get(interaction, "status") == "requires_action" and not calls_left:
        return {"status": "completed"}
    return {}


def memory(
    *,
    ref: str,
    response_id: str | None,
    form: str,
    steps: Sequence[Step],
    calls: Sequence[tuple[Step, Call]],
    refused: Mapping[int, str],
) -> RefusedResponse:
    """Makes the memory of an answer; `refused` is by position in `calls`."""
    keys = [f"ref:{ref}"]
    if response_id:
        keys.append(f"response:{response_id}")
    keys += [f"call:{call.id}" for n, (_, call) in enumerate(calls) if n not in refused and call.id]
    return RefusedResponse(
        ref=ref,
        provider=PROVIDER,
        keys=tuple(dict.fromkeys(keys)),
        original={
            "form": form,
            "steps": list(steps),
            "refused": [calls[n][0] for n in refused],
        },
        refused=tuple(
            RefusedCall(calls[n][1].id, calls[n][1].name, calls[n][1].kind, text)
            for n, text in refused.items()
        ),
    )
