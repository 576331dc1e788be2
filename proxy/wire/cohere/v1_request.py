"""What a request of Cohere's v1 says, and refused calls put back into it.

What belongs here: `message` (the newest user text), `chat_history` (USER, CHATBOT, SYSTEM, TOOL), and
`tool_results`: `{"call", "outputs"}`, which name their call by repeating it, in the request for the newest
turn, in TOOL messages for older ones. A refused call goes back into its CHATBOT message and its result
to the others of that turn, in the order of the calls; where the agent took the refusal for the answer,
a TOOL message follows, and the refusal as the model's word on it.
A `conversation_id` keeps the history on the server: what was stripped stays stripped there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from proxy.errors import WireError
from proxy.model import Call, Json, ToolResult
from proxy.wire.codec import REF_PATTERN, ParsedRequest, RefusedCall, RefusedResponse
from proxy.wire.cohere.v1_calls import PROVIDER, call_of
from proxy.wire.cohere.v2_request import definitions
from proxy.wire.jsontext import decode_object, encode
from proxy.wire.limits import answers_wanted, output_limit
from proxy.wire.turns import without

_WHAT = "cohere.v1 request"
_REF = re.compile(REF_PATTERN)


def parse_request(body: bytes) -> ParsedRequest:
    """Reads a request body.

    Raises:
        WireError: not JSON, or not of this API's shape.
    """
    document = decode_object(body, _WHAT)
    history = document.get("chat_history")
    if history is None:
        history = []
    if not isinstance(history, list) or not all(isinstance(m, dict) for m in history):
        raise WireError(f"{_WHAT}: $.chat_history: expected a list of objects")
    users = [_said(m) for m in history if _role(m) == "USER"]
    systems = [_said(m) for m in history if _role(m) == "SYSTEM"]
    if isinstance(preamble := document.get("preamble"), str) and preamble:
        systems.insert(0, preamble)
    if isinstance(message := document.get("message"), str) and message:
        users.append(message)
    model, conversation = document.get("model"), document.get("conversation_id")
    groups = [*(m.get("tool_results") for m in history), document.get("tool_results")]
    return ParsedRequest(
        provider=PROVIDER,
        document=document,
        model=model if isinstance(model, str) else None,
        stream=document.get("stream") is True,
        results=tuple(result for group in groups for result in _results(group)),
        tools=definitions(document.get("tools"), _WHAT),
        max_output_tokens=output_limit(document, "max_tokens"),
        answers=answers_wanted(document, "num_generations"),
        system_text="\n".join(systems),
        user_text=users[-1] if users else "",
        opening="\n".join([*systems[:1], *users[:1]]),
        hints={"conversation": conversation} if isinstance(conversation, str) else {},
        remembered_by=tuple(dict.fromkeys(f"ref:{ref.decode()}" for ref in _REF.findall(body))),
    )


def restore(request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
    """Returns the body with what the memories hold put back; None when nothing changes."""
    document = dict(request.document)
    changed = [_put_back(document, memory) for memory in memories]
    return encode(document) if any(changed) else None


def _put_back(document: dict[str, Json], memory: RefusedResponse) -> bool:
    history: list[Json] = list(document.get("chat_history") or [])
    texts = [one.text for one in memory.refused]
    given = [r for m in history for r in (isinstance(m, dict) and m.get("tool_results")) or []]
    errors = [output.get("error") for r in given for output in _outputs(r)]
    if all(text in errors for text in texts):
        return False  # they are back already: the server hands out the history it was given
    at = [n for n, m in enumerate(history) if _role(m) == "CHATBOT" and memory.ref in _said(m)]
    n = next((k for k in at if any(t in _said(history[k]) for t in texts)), at[0] if at else None)
    if n is None:
        return False
    original = memory.original
    merged, refused = _merged(history[n], original, memory.refused)
    text = without(_said(history[n]), texts, memory.ref) or original["message"]
    history[n] = history[n] | {"message": text, "tool_calls": merged}
    last = n + 1 == len(history)
    if not last and _role(history[n + 1]) == "TOOL":
        came = history[n + 1].get("tool_results") or []
        history[n + 1] = history[n + 1] | {"tool_results": _ordered(merged, came, refused)}
    elif last and document.get("tool_results"):
        document["tool_results"] = _ordered(merged, document["tool_results"], refused)
    else:
        results = _ordered(merged, [], refused)
        said = {"role": "CHATBOT", "message": "\n\n".join(texts)}
        history[n + 1 : n + 1] = [{"role": "TOOL", "tool_results": results}, said]
    document["chat_history"] = history
    return True


def _merged(
    message: dict[str, Json], original: dict[str, Json], refused: Sequence[RefusedCall]
) -> tuple[list[Json], list[tuple[Json, RefusedCall]]]:
    """The refused calls among those the client kept, in the model's order; and the refused ones."""
    left = list(message.get("tool_calls") or [])
    open_refusals = list(refused)
    merged: list[Json] = []
    gone: list[tuple[Json, RefusedCall]] = []
    for entry in original["tool_calls"]:
        mine = next((r for r in open_refusals if r.call_id == _id(entry)), None)
        kept = next((e for e in left if _id(e) == _id(entry)), None)
        if mine is not None:
            open_refusals.remove(mine)
            gone.append((entry, mine))
            merged.append(entry)
        elif kept is not None:
            left.remove(kept)
            merged.append(kept)
    return merged + left, gone


def _ordered(
    calls: Sequence[Json], came: Sequence[Json], refused: Sequence[tuple[Json, RefusedCall]]
) -> list[Json]:
    """A result a call, in the order of the calls; a call may have several results of its own."""
    left = list(came)
    made: list[Json] = []
    for entry in calls:
        mine = next((r for e, r in refused if e is entry), None)
        if mine is not None:
            made.append({"call": entry, "outputs": [{"error": mine.text}]})
            continue
        own = [r for r in left if isinstance(r, dict) and _id(r.get("call")) == _id(entry)]
        made += own
        left = [r for r in left if not any(r is o for o in own)]
    return made + left


def _results(group: Json) -> Iterator[ToolResult]:
    for one in group if isinstance(group, list) else []:
        call = _call(one.get("call")) if isinstance(one, dict) else None
        if call is None:
            continue
        outputs = one.get("outputs")
        text = outputs if isinstance(outputs, str) else encode(outputs).decode()
        yield ToolResult(call_id=call.id, name=call.name, text=text, args_sha256=call.args_sha256)


def _outputs(result: Json) -> list[dict[str, Json]]:
    outputs = result.get("outputs") if isinstance(result, dict) else None
    return [one for one in outputs if isinstance(one, dict)] if isinstance(outputs, list) else []


def _call(entry: Json) -> Call | None:
    try:
        return call_of(entry, None, _WHAT)
    except WireError:
        return None


def _id(entry: Json) -> str | None:
    call = _call(entry)
    return call.id if call else None


def _role(message: Json) -> str:
    role = message.get("role") if isinstance(message, dict) else None
    return role.upper() if isinstance(role, str) else ""


def _said(message: Json) -> str:
    said = message.get("message")
    return said if isinstance(said, str) else ""
