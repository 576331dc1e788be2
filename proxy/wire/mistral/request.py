"""What a request to a Mistral conversation says, and the results of refused calls put into it.

What belongs here: `inputs`, a text or a list of entries (`message.input`, `function.result`, …). The server
keeps the conversation, with the calls that were stripped from its answers, and wants a result for each: the
next request to that conversation gets the failed results, never the calls. With `store: false` the client
sends its own copy of the entries, in which our message stands for the call: there both are put back. A
user's word does not follow a result directly (Mistral: “Unexpected role 'user' after role 'tool'”), so the
refusal stands between them as the model's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from proxy.errors import WireError
from proxy.model import Json, ToolResult
from proxy.wire.codec import REF_PATTERN, ParsedRequest, RefusedCall, RefusedResponse
from proxy.wire.cohere.v2_request import definitions
from proxy.wire.jsontext import decode_object, encode
from proxy.wire.limits import output_limit
from proxy.wire.mistral.entries import CONFIRMATION, PROVIDER, Role, call_of, role_of
from proxy.wire.turns import text_of

_WHAT = "mistral.conversations request"
_REF = re.compile(REF_PATTERN)

type Entry = dict[str, Json]


def parse_request(body: bytes, conversation: str | None, *, restarts: bool) -> ParsedRequest:
    """Reads a request body.

    Raises:
        WireError: not JSON, or not of this API's shape.
    """
    document = decode_object(body, _WHAT)
    inputs = entries_of(document)
    users = [_text(e) for e in inputs if e.get("role") == "user"]
    instructions = document.get("instructions")
    system = instructions if isinstance(instructions, str) else ""
    model = document.get("model") or document.get("agent_id")
    keys = [f"ref:{ref.decode()}" for ref in _REF.findall(body)]
    if conversation:
        keys.append(f"conversation:{conversation}")
    # A restart begins another conversation: what the old one misses, it still misses.
    goes_on = conversation is not None and not restarts
    return ParsedRequest(
        provider=PROVIDER,
        document=document,
        model=model if isinstance(model, str) else None,
        stream=document.get("stream") is True,
        results=tuple(_results(inputs)),
        tools=definitions(document.get("tools"), _WHAT),
        max_output_tokens=output_limit(document, "completion_args.max_tokens", "max_tokens"),
        system_text=system,
        user_text=users[-1] if users else "",
        opening="\n".join(part for part in (system, *users[:1]) if part) if not goes_on else "",
        hints={"conversation": conversation} if goes_on and conversation else {},
        remembered_by=tuple(dict.fromkeys(keys)),
    )


def entries_of(document: Mapping[str, Json]) -> list[Entry]:
    """Returns `inputs` as entries; a text is the user's.

    Raises:
        WireError: neither a text nor a list of objects.
    """
    inputs = document.get("inputs")
    if inputs is None:
        return []
    if isinstance(inputs, str):
        return [_user(inputs)] if inputs else []
    if not isinstance(inputs, list) or not all(isinstance(e, dict) for e in inputs):
        raise WireError(f"{_WHAT}: $.inputs: expected a text or a list of objects")
    return inputs


def restore(
    request: ParsedRequest, memories: Sequence[RefusedResponse], conversation: str | None
) -> bytes | None:
    """Returns the body with what the memories hold put in; None when nothing changes."""
    document = dict(request.document)
    inputs = list(entries_of(document))
    changed = False
    for memory in memories:
        if conversation is not None and f"conversation:{conversation}" in memory.keys:
            if not _goes_on_after(document, memory):
                continue
            changed = _answer(document, inputs, memory) or changed
        else:
            changed = _put_back(inputs, memory) or changed
    return encode(document | {"inputs": inputs}) if changed else None


def _goes_on_after(document: Mapping[str, Json], memory: RefusedResponse) -> bool:
    """A restart goes on from an entry: of the refused answer, or of another one."""
    start = document.get("from_entry_id")
    return start is None or any(entry.get("id") == start for entry in memory.original)


def _answer(document: Entry, inputs: list[Entry], memory: RefusedResponse) -> bool:
    """Adds failed results for calls that the server has."""
    have = {e.get("tool_call_id") for e in inputs if e.get("type") == "function.result"}
    confirmed = list(document.get("tool_confirmations") or [])
    have |= {one.get("tool_call_id") for one in confirmed if isinstance(one, dict)}
    missing = [r for r in memory.refused if r.call_id not in have]
    if not missing:
        return False
    denied = [r for r in missing if r.kind == CONFIRMATION]
    if denied:
        document["tool_confirmations"] = confirmed + [
            {"tool_call_id": r.call_id, "confirmation": "deny"} for r in denied
        ]
    results = [_result(r) for r in missing if r.kind != CONFIRMATION]
    at = 0
    while at < len(inputs) and inputs[at].get("type") == "function.result":
        at += 1
    if results and at < len(inputs) and inputs[at].get("role") == "user":
        results.append(_models("\n\n".join(r.text for r in missing)))
    inputs[at:at] = results
    return True


def _put_back(inputs: list[Entry], memory: RefusedResponse) -> bool:
    """Puts call and result in the place of the message that stood for it, in the client's own copy."""
    changed = False
    for refused in memory.refused:
        call = next((e for e in memory.original if e.get("tool_call_id") == refused.call_id), None)
        at = next((n for n, e in enumerate(inputs) if refused.text in _text(e)), None)
        if call is None or at is None:
            continue
        inputs[at] = call
        end = at + 1
        while end < len(inputs) and inputs[end].get("type") in ("function.call", "message.output"):
            end += 1
        while end < len(inputs) and inputs[end].get("type") == "function.result":
            end += 1
        new = [_result(refused)]
        if end < len(inputs) and inputs[end].get("role") == "user":
            new.append(_models(refused.text))
        inputs[end:end] = new
        changed = True
    return changed


def _result(refused: RefusedCall) -> Entry:
    return {
        "object": "entry",
        "type": "function.result",
        "tool_call_id": refused.call_id,
        "result": refused.text,
    }


def _user(text: str) -> Entry:
    return {"object": "entry", "type": "message.input", "role": "user", "content": text}


def _models(text: str) -> Entry:
    return {"object": "entry", "type": "message.output", "role": "assistant", "content": text}


def _text(entry: Entry) -> str:
    return text_of(entry.get("content"))


def _results(inputs: Sequence[Entry]) -> Iterator[ToolResult]:
    asked: dict[str, tuple[str, str]] = {}
    for entry in inputs:
        if entry.get("type") == "function.call" and role_of(entry, _WHAT) is Role.CLIENT:
            call = call_of(entry, Role.CLIENT, _WHAT)
            asked[call.id or ""] = (call.name, call.args_sha256)
        if entry.get("type") == "function.result" or (
            entry.get("type") is None and "result" in entry and "tool_call_id" in entry
        ):
            own, text = entry.get("tool_call_id"), entry.get("result")
            name, args_sha256 = asked.get(str(own), (None, None))
            yield ToolResult(
                call_id=own if isinstance(own, str) else None,
                name=name,
                text=text if isinstance(text, str) else "",
                args_sha256=args_sha256,
            )
