"""How calls stand in a Chat Completions message, in an answer's and in a history's alike.

What belongs here: the three spellings of a call and the finish reasons around them.

- `tool_calls[]` of type `function`: `{"id", "type", "function": {"name", "arguments"}}`; `arguments`
  is JSON text, with some vendors the object itself.
- `tool_calls[]` of type `custom`: `{"id", "type", "custom": {"name", "input"}}`; `input` is free text.
- `function_call`: `{"name", "arguments"}`, the legacy form, without an id.

What the provider ran itself stands in none of these (`executed_calls`).

Source: https://platform.openai.com/docs/api-reference/chat/object (read 2026-11).
"""

from __future__ import annotations

from dataclasses import replace

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.jsontext import call_from_text, call_from_value

PROVIDER = "openai.chat"

CUT_OFF = frozenset({"length", "content_filter", "error", "max_tokens", "model_length"})
"""Finish reasons after which a call may be a part of one, even where its JSON happens to be whole.

`length` and `content_filter` are OpenAI's, `error` OpenRouter's, the others are of vendors that pass
their own word on."""

_ASKS_FOR_CALLS = frozenset({"tool_calls", "function_call", "tool_use"})

ERROR_TYPE = "checkrein_refused"


def cut_off_text(name: str, reason: str) -> str:
    """Returns what stands in the place of a call that the provider did not finish."""
    return (
        f"[checkrein] The call {name} did not run: the answer was cut off inside it "
        f"(finish_reason {reason}). Make the call again, shorter."
    )


def function_kind(entry: dict[str, Json], where: str) -> str | None:
    """Returns "function" or "custom" for one entry of `tool_calls`; None where it does not say.

    A type of a vendor's own (Moonshot's `builtin_function`) with a `function` body is a function: that
    is what a client reads.

    Raises:
        WireError: two clients could read it as two different calls.
    """
    custom, function, declared = entry.get("custom"), entry.get("function"), entry.get("type")
    if custom is not None and function is not None:
        raise WireError(f"{where}: one call carries both `function` and `custom`")
    if (custom is not None and declared == "function") or (
        function is not None and declared == "custom"
    ):
        raise WireError(f"{where}: a call of type {declared} carries the body of another type")
    if custom is not None or (function is None and declared == "custom"):
        return "custom"
    return "function" if function is not None or declared else None


def make_call(
    arguments: Json, *, kind: str, call_id: str | None, name: str, response_id: str | None
) -> Call:
    """Makes the Call from arguments as they stand on the wire."""
    fields = {
        "id": call_id,
        "name": name,
        "provider": PROVIDER,
        "kind": kind,
        "response_id": response_id,
    }
    if kind == "custom":
        return call_from_value("" if arguments is None else arguments, **fields)
    if arguments is None or isinstance(arguments, str):
        return call_from_text(arguments or "", **fields)
    return call_from_value(arguments, **fields)


def executed_calls(
    message: dict[str, Json], response_id: str | None, where: str
) -> list[tuple[Json, Call]]:
    """Returns what the provider ran itself, each with its index.

    Groq's compound systems and built-in tools say so in `executed_tools`:
    https://console.groq.com/docs/tool-use/built-in-tools (read 2026-11).
    """
    made: list[tuple[Json, Call]] = []
    ran = list_or_empty(message.get("executed_tools"), f"{where}.executed_tools")
    for n, entry in enumerate(ran):
        if not isinstance(entry, dict):
            continue
        name = entry.get("name") or entry.get("type")
        call = make_call(
            entry.get("arguments"),
            kind="executed_tool",
            call_id=entry["id"] if isinstance(entry.get("id"), str) else None,
            name=name if isinstance(name, str) else "executed_tool",
            response_id=response_id,
        )
        made.append((entry.get("index", n), replace(call, executor="provider")))
    return made


def text_or_none(value: Json, where: str) -> str | None:
    """Returns a text, None for null.

    Raises:
        WireError: it is neither.
    """
    if value is None or isinstance(value, str):
        return value
    raise WireError(f"{where}: expected text, got {type(value).__name__}")


def object_or_none(value: Json, where: str) -> dict[str, Json] | None:
    """Returns an object, None for null.

    Raises:
        WireError: it is neither.
    """
    if value is None or isinstance(value, dict):
        return value
    raise WireError(f"{where}: expected an object, got {type(value).__name__}")


def list_or_empty(value: Json, where: str) -> list[Json]:
    """Returns a list, an empty one for null.

    Raises:
        WireError: it is neither.
    """
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise WireError(f"{where}: expected a list, got {type(value).__name__}")


def finish_without_calls(choice: dict[str, Json]) -> None:
    """Makes a choice say that it stopped: no call of it is left for the client to run."""
    for key in ("finish_reason", "native_finish_reason"):  # the second is OpenRouter's
        if choice.get(key) in _ASKS_FOR_CALLS:
            choice[key] = "stop"


def history_message(
    fields: dict[str, Json], entries: list[Json], legacy: Json = None
) -> dict[str, Json]:
    """Returns an assistant message as requests carry it.

    Args:
        fields: what the answer's message held besides its calls.
        entries: all its `tool_calls`, as they came, without the stream's `index`.
        legacy: its `function_call`.
    """
    message: dict[str, Json] = {"role": "assistant", "content": fields.get("content")}
    message |= {k: v for k, v in fields.items() if v is not None and k not in _NOT_IN_HISTORY}
    if entries:
        message["tool_calls"] = entries
    if legacy is not None:
        message["function_call"] = legacy
    return message


# What an answer holds and a request may not, or what is set apart.
_NOT_IN_HISTORY = frozenset(
    {"role", "content", "tool_calls", "function_call", "annotations", "audio", "refusal"}
)


def error_document(text: str) -> dict[str, Json]:
    """The error object that every Chat SDK raises with its message."""
    return {"error": {"message": text, "type": ERROR_TYPE, "param": None, "code": "checkrein"}}
