"""What is remembered of refused calls of a run, and the outputs that are added for them.

The server holds a run's calls and waits for the outputs of *all* of them ("Expected tool outputs for
call_ids …", the API's own 400, read 2026-11). The client knows only of those that were let through,
so `submit_tool_outputs` gets the failed outputs of the others.

A run may ask several times. Which round a request answers is told by the ids in it: of a memory with
one of these ids the rest is added. A client that was left with nothing submits an empty list: that is
the newest round of which nothing was let through. What the client answers itself is never added twice
(a hold may have been approved between two polls).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from proxy.model import Call, Json
from proxy.wire.assistants.calls import PROVIDER
from proxy.wire.codec import ParsedRequest, RefusedCall, RefusedResponse
from proxy.wire.jsontext import encode

type Judged = tuple[Call, str | None]  # the text is None where it was let through


def memory_of(ref: str, judged: Iterable[Judged]) -> RefusedResponse | None:
    """Returns the memory of the calls that runs asked for; None where all were let through."""
    runs: dict[str, dict[str, Json]] = {}
    refused: list[RefusedCall] = []
    released: list[str] = []
    for call, text in judged:
        run = runs.setdefault(call.response_id or "", {"released": [], "refused": []})
        if text is None:
            run["released"].append(call.id)
            released.append(f"call:{call.id}")
        else:
            run["refused"].append(call.id)
            refused.append(RefusedCall(call.id, call.name, call.kind, text))
    if not refused:
        return None
    keys = [f"ref:{ref}", *(f"response:{run_id}" for run_id in runs if run_id), *released]
    return RefusedResponse(
        ref=ref,
        provider=PROVIDER,
        keys=tuple(dict.fromkeys(keys)),
        original={"runs": runs},
        refused=tuple(refused),
    )


def restore(
    request: ParsedRequest, memories: Sequence[RefusedResponse], run_id: str
) -> bytes | None:
    """Returns the body with the failed outputs of refused calls; None when nothing changes."""
    document = request.document
    given = _list(document.get("tool_outputs")) + _list(document.get("tool_approvals"))
    answered = {one.get("tool_call_id") for one in given if isinstance(one, dict)}
    rounds = [(_round(memory, run_id), memory) for memory in memories]
    rounds = [(one, memory) for one, memory in rounds if one is not None]
    if answered:
        rounds = [
            (one, memory)
            for one, memory in rounds
            if one is not None and answered & {*one["released"], *one["refused"]}
        ]
    else:
        rounds = [(one, memory) for one, memory in rounds[-1:] if one and not one["released"]]
    outputs: list[Json] = []
    approvals: list[Json] = []
    for one, memory in rounds:
        for refused in memory.refused:
            if one is None or refused.call_id not in one["refused"]:
                continue
            if refused.call_id in answered:
                continue
            answered.add(refused.call_id)
            if refused.kind == "function":
                outputs.append({"tool_call_id": refused.call_id, "output": refused.text})
            else:
                approvals.append({"tool_call_id": refused.call_id, "approve": False})
    if not outputs and not approvals:
        return None
    made = dict(document)
    if outputs or "tool_outputs" in made:
        made["tool_outputs"] = [*_list(made.get("tool_outputs")), *outputs]
    if approvals:
        made["tool_approvals"] = [*_list(made.get("tool_approvals")), *approvals]
    return encode(made)


def _round(memory: RefusedResponse, run_id: str) -> dict[str, Json] | None:
    runs = memory.original.get("runs") if isinstance(memory.original, dict) else None
    found = runs.get(run_id) if isinstance(runs, dict) else None
    return found if isinstance(found, dict) else None


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
