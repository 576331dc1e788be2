"""The reading of an interaction's request, and refused calls put back into it.

What belongs here: request body in, `ParsedRequest` out, and `restore`. A request goes on from an answer in two
ways. By `previous_interaction_id` the server has the call itself: only its failed result is added. Without, the
input repeats the answer's steps: the step with our text becomes the call again, and its result is added behind
the model's steps. `input` may be a text, one content, contents, turns, or steps.
Vendor page: https://ai.google.dev/gemini-api/docs/interactions (read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.model import Json, ToolDefinition, ToolResult
from proxy.wire.codec import REF_PATTERN, ParsedRequest, RefusedResponse
from proxy.wire.gemini.parts import get, key_of
from proxy.wire.interactions.steps import PROVIDER, Role, Step, args_digest, id_of, role_of
from proxy.wire.jsontext import decode_object, encode
from proxy.wire.limits import output_limit

_WHAT = "interactions: request"
_REF = re.compile(REF_PATTERN)
_MODEL_STEPS = frozenset({"thought", "model_output", "function_call"})


def parse_request(body: bytes) -> ParsedRequest:
    """Reads a request body.

    Raises:
        WireError: not JSON, or not of this API's shape.
    """
    document = decode_object(body, _WHAT)
    steps = steps_of(get(document, "input"))
    system = get(document, "systemInstruction")
    system = system if isinstance(system, str) else ""
    said = [t for s in steps if get(s, "type") == "user_input" and (t := _text(get(s, "content")))]
    hints: dict[str, str] = {}
    previous = get(document, "previousInteractionId")
    keys = [f"ref:{ref.decode()}" for ref in _REF.findall(body)]
    if isinstance(previous, str) and previous:
        hints["previous_response_id"] = previous
        keys.append(f"response:{previous}")
    keys += [f"call:{i}" for s in steps if role_of(s) is Role.CLIENT and (i := id_of(s))]
    model = get(document, "model") or get(document, "agent")
    config = get(document, "generationConfig")
    limits = {"limit": get(config, "maxOutputTokens")} if isinstance(config, dict) else {}
    return ParsedRequest(
        provider=PROVIDER,
        document=document,
        model=model if isinstance(model, str) else None,
        stream=get(document, "stream") is True,
        results=tuple(_results(steps)),
        tools=tuple(_tools(get(document, "tools"))),
        max_output_tokens=output_limit(limits, "limit"),
        system_text=system,
        user_text=said[-1] if said else "",
        opening="\n\n".join(part for part in (system, *said[:1]) if part),
        hints=hints,
        remembered_by=tuple(dict.fromkeys(keys)),
    )


def steps_of(value: Json) -> list[Step]:
    """Returns an input as steps, whatever form it has.

    Raises:
        WireError: it has none of the API's forms.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [_user([{"type": "text", "text": value}])]
    listed = [value] if isinstance(value, dict) else value
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise WireError(f"{_WHAT}: expected a text or objects - at input")
    steps: list[Step] = []
    for one in listed:
        role = get(one, "role")
        if role is not None and get(one, "type") is None:  # a turn, as the API once had them
            content = get(one, "content")
            contents = content if isinstance(content, list) else [{"type": "text", "text": content}]
            steps += [_step(c, role == "model") for c in contents if isinstance(c, dict)]
        else:
            steps.append(_step(one, False))
    return steps


def _step(one: Step, of_model: bool) -> Step:
    kind = get(one, "type")
    plain = kind in ("text", "image", "audio", "video", "document", "file")
    if not plain:
        return one
    return {"type": "model_output", "content": [one]} if of_model else _user([one])


def _user(content: list[Json]) -> Step:
    return {"type": "user_input", "content": content}


def _text(content: Json) -> str:
    if isinstance(content, str):
        return content
    listed = content if isinstance(content, list) else [content]
    texts = [get(one, "text") for one in listed if isinstance(one, dict)]
    return "\n".join(text for text in texts if isinstance(text, str) and text)


def _results(steps: list[Step]) -> Iterator[ToolResult]:
    calls: dict[str, Step] = {}
    for step in steps:
        name = id_of(step)
        if role_of(step) is Role.CLIENT and name is not None:
            calls[name] = step
        elif get(step, "type") == "function_result":
            call_id = get(step, "callId")
            if not isinstance(call_id, str):
                raise WireError(f"{_WHAT}: a function_result without call_id")
            asked = calls.get(call_id)
            value = get(step, "result")
            named = get(step, "name") or (get(asked, "name") if asked is not None else None)
            said = value if isinstance(value, str) else _text(value)
            if not said and value is not None and not isinstance(value, str):
                said = encode(value).decode("utf-8", "replace")
            yield ToolResult(
                call_id=call_id,
                name=named if isinstance(named, str) else None,
                text=said,
                is_error=get(step, "isError") is True,
                args_sha256=args_digest(asked) if asked is not None else None,
            )


def _tools(value: Json) -> Iterator[ToolDefinition]:
    listed = [] if value is None else value
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise WireError(f"{_WHAT}: expected objects - at tools")
    for n, tool in enumerate(listed):
        name = get(tool, "name") or get(tool, "type")
        try:
            yield ToolDefinition(name if isinstance(name, str) else "", digest(tool), tool)
        except (ValueError, RecursionError) as error:
            raise WireError(f"{_WHAT}: a tool without a canonical form - at tools[{n}]") from error


# --- restoring -----------------------------------------------------------------------------------


def restore(request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
    """Returns the body with refused calls and their results put back; None: nothing to put back."""
    document = request.document
    previous = request.hints.get("previous_response_id")
    before = get(document, "input")
    made = before
    for memory in memories:
        if memory.provider != PROVIDER:
            continue
        if previous is not None and f"response:{previous}" in memory.keys:
            made = _with_results(made, memory)
        else:
            made = _put_back(made, memory)
    if made == before:
        return None
    return encode(document | {str(key_of(document, "input") or "input"): made})


def _failures(memory: RefusedResponse, answered: set[Json]) -> list[Step]:
    return [
        {
            "type": "function_result",
            "call_id": refused.call_id,
            "name": refused.name,
            "is_error": True,
            "result": refused.text,
        }
        for refused in memory.refused
        if refused.call_id is not None and refused.call_id not in answered
    ]


def _with_results(value: Json, memory: RefusedResponse) -> Json:
    """Adds the failed results ahead of all else; the server has the calls."""
    contents = _listed(value)
    results = _failures(memory, {get(one, "callId") for one in contents})
    if not results:
        return value
    if memory.original["form"] == "outputs":
        return [*results, *contents]
    return [*results, *_as_steps(value)]


def _put_back(value: Json, memory: RefusedResponse) -> Json:
    """Turns the steps with our texts into the calls again, with their results behind them."""
    if not isinstance(value, list):
        return value
    calls: Sequence[Step] = memory.original["refused"]
    patterns = [
        re.compile(r"\s+".join(map(re.escape, refused.text.split()))) for refused in memory.refused
    ]
    steps: list[Json] = []
    left = list(range(len(patterns)))
    last = -1
    for one in value:
        texts = [_text(get(one, "content")), _text(one)] if isinstance(one, dict) else []
        whole = next((t for t in texts if memory.ref in t), "")
        rest, found = whole, []
        for n in list(left):
            if memory.ref in whole and patterns[n].search(rest):  # equal calls have equal texts
                left.remove(n)
                found.append(n)
                rest = patterns[n].sub("", rest, count=1)
        if not found:
            steps.append(one)
            continue
        if rest.strip():
            said = {"type": "text", "text": rest.strip()}
            steps.append(said if get(one, "type") == "text" else {**one, "content": [said]})
        steps += [calls[n] for n in found]
        last = len(steps)
    if last < 0:
        return value
    restored = {id_of(calls[n]) for n in range(len(calls)) if n not in left}
    answered = {get(one, "callId") for one in steps if isinstance(one, dict)}
    results = [r for r in _failures(memory, answered) if r["call_id"] in restored]
    while last < len(steps) and _is_model(steps[last]):
        last += 1
    return [*steps[:last], *results, *steps[last:]]


def _is_model(step: Json) -> bool:
    return isinstance(step, dict) and (
        get(step, "type") in _MODEL_STEPS or role_of(step) is not Role.NONE
    )


def _listed(value: Json) -> list[Mapping[str, Json]]:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    listed = [value] if isinstance(value, dict) else value or []
    return [one for one in listed if isinstance(one, dict)]


def _as_steps(value: Json) -> list[Json]:
    """Returns the input as steps; contents side by side become one step."""
    made: list[Json] = []
    for step in steps_of(value):
        last = made[-1] if made else None
        if last is not None and get(last, "type") == get(step, "type") == "user_input":
            made[-1] = _user([*get(last, "content"), *get(step, "content")])
        else:
            made.append(step)
    return made
