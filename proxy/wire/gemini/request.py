"""The reading of a generateContent request: history, tools, and what it says of its session.

What belongs here: request body in, `ParsedRequest` out. Cloud Code's endpoints wrap the request in
`request` and name model and session beside it. A result (`functionResponse`) belongs to the call with its id
in the model turn before it, else to the first unanswered call of its name there: ids are optional in
this API, and where a call has none, its result has `call_id` None as the call has.
Vendor page: https://ai.google.dev/api/generate-content (read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.model import Json, ToolDefinition, ToolResult
from proxy.wire.codec import REF_PATTERN, ParsedRequest
from proxy.wire.gemini.parts import (
    PROVIDER,
    Part,
    args_digest,
    function_call,
    get,
    key_of,
    names_of,
    objects,
)
from proxy.wire.jsontext import decode_object, encode
from proxy.wire.limits import answers_wanted, output_limit

_WHAT = "gemini: request"
_REF = re.compile(REF_PATTERN)
_HINT_LIMIT = 512  # a session's name longer than this is no name


def parse_request(body: bytes, *, model: str | None, stream: bool) -> ParsedRequest:
    """Reads a request body; the path says model and method.

    Raises:
        WireError: not JSON, or not of this API's shape; the message says where.
    """
    document = decode_object(body, _WHAT)
    root = root_of(document)
    contents = [
        (get(content, "role"), objects(get(content, "parts"), f"contents[{n}].parts"))
        for n, content in enumerate(objects(get(root, "contents"), "contents"))
    ]
    instruction = get(root, "systemInstruction")
    system = _text(
        objects(get(instruction, "parts"), "systemInstruction.parts")
        if isinstance(instruction, dict)
        else []
    )
    user_texts = [t for role, parts in contents if role != "model" and (t := _text(parts))]
    keys = [f"ref:{ref.decode()}" for ref in _REF.findall(body)]
    for _, parts in contents:
        for part in parts:
            keys += names_of(part)
    named = get(document, "model")
    config = get(root, "generationConfig")
    config = config if isinstance(config, dict) else {}
    limits = {name: get(config, name) for name in ("maxOutputTokens", "candidateCount")}
    return ParsedRequest(
        provider=PROVIDER,
        document=document,
        model=named if isinstance(named, str) and named else model,
        stream=stream,
        results=tuple(_results(contents)),
        tools=tuple(_tools(root)),
        max_output_tokens=output_limit(limits, "maxOutputTokens"),
        answers=answers_wanted(limits, "candidateCount"),
        system_text=system,
        user_text=user_texts[-1] if user_texts else "",
        opening="\n\n".join(part for part in (system, *user_texts[:1]) if part),
        hints=_hints(document, root),
        remembered_by=tuple(dict.fromkeys(keys)),
    )


def root_of(document: dict[str, Json]) -> dict[str, Json]:
    """Returns the object that has the contents: the body, or what Cloud Code's body wraps."""
    wrapped = get(document, "request")
    if isinstance(wrapped, dict) and key_of(document, "contents") is None:
        return wrapped
    return document


def response_text(response: Mapping[str, Json]) -> tuple[str, bool]:
    """Returns what the model reads as a result, and whether it says that it failed.

    By the API's convention `output` has the result and `error` what went wrong; else the whole object
    is the result. google-genai and MCP bridges write `result`.
    """
    value = get(response, "response")
    if not isinstance(value, dict):
        return ("" if value is None else _shown(value)), False
    failed = value.get("error") is not None
    said = value["error"] if failed and len(value) == 1 else value
    if not failed and len(value) == 1:
        said = value.get("output", value.get("result", value))
    return _shown(said), failed


def _shown(value: Json) -> str:
    return value if isinstance(value, str) else encode(value).decode("utf-8", "replace")


def _text(parts: list[Part]) -> str:
    texts = [get(part, "text") for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str) and text)


def _results(contents: list[tuple[Json, list[Part]]]) -> Iterator[ToolResult]:
    """Yields the tool results in order, each with the digest of the call before it that it answers."""
    waiting: list[Mapping[str, Json]] = []
    answering = False
    for _role, parts in contents:
        for part in parts:
            call = function_call(part)
            if call is not None:
                if answering:
                    waiting, answering = [], False  # a new turn: the one before has its results
                waiting.append(call)
                continue
            response = get(part, "functionResponse")
            if response is None:
                continue
            if not isinstance(response, dict):
                raise WireError(f"{_WHAT}: expected an object - at functionResponse")
            answering = True
            found = answered_call(response, waiting)
            if found is not None:
                waiting.remove(found)
            call_id = get(response, "id")
            if (not isinstance(call_id, str) or not call_id) and found is not None:
                call_id = get(found, "id")
            name = get(response, "name")
            text, failed = response_text(response)
            yield ToolResult(
                call_id=call_id if isinstance(call_id, str) and call_id else None,
                name=name if isinstance(name, str) else None,
                text=text,
                is_error=failed,
                args_sha256=args_digest(found) if found is not None else None,
            )


def answered_call[C: Mapping[str, Json]](
    response: Mapping[str, Json], waiting: list[C]
) -> C | None:
    """Returns the call that a `functionResponse` answers: by id, else the first of its name."""
    call_id, name = get(response, "id"), get(response, "name")
    for call in waiting:
        if call_id and get(call, "id") == call_id:
            return call
    for call in waiting:
        # A client may make up ids for its own history: they are no contradiction to none.
        if get(call, "name") == name and not (call_id and get(call, "id")):
            return call
    return None


def _tools(root: Mapping[str, Json]) -> Iterator[ToolDefinition]:
    """Yields one definition a function, and one for each tool that is built in."""
    for n, tool in enumerate(objects(get(root, "tools"), "tools")):
        for key, value in tool.items():
            if key_of({key: None}, "functionDeclarations") is None:
                if value is not None:
                    yield _definition(key, {key: value}, n)
                continue
            for function in objects(value, f"tools[{n}].functionDeclarations"):
                yield _definition(get(function, "name"), function, n)


def _definition(name: Json, value: dict[str, Json], n: int) -> ToolDefinition:
    try:
        return ToolDefinition(name if isinstance(name, str) else "", digest(value), value)
    except (ValueError, RecursionError) as error:
        raise WireError(f"{_WHAT}: a tool that has no canonical form - at tools[{n}]") from error


def _hints(document: Mapping[str, Json], root: Mapping[str, Json]) -> dict[str, str]:
    """Gemini CLI names its session in Cloud Code's `request.session_id`."""
    session = get(root, "sessionId") if root is not document else None
    if isinstance(session, str) and 0 < len(session) <= _HINT_LIMIT:
        return {"session_id": session}
    return {}
