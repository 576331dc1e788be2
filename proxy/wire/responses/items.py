"""Items of the OpenAI Responses API: which of them are calls, what a call says, what answers it.

What belongs here: all knowledge of single items, used by both gates and by the request side. An
item type is one of three things: a call that the *client* executes (it waits for a ruling), a call
that the *provider* executes (it is seen and accounted for), or no call. Unknown types that end in
`_call` count as the client's: a new client tool must not slip through because we are older than
it. Item shapes: https://platform.openai.com/docs/api-reference/responses/object (read 2026-11).
"""

from __future__ import annotations

from enum import Enum

from proxy.canonical import digest
from proxy.errors import UnjudgeableArguments
from proxy.model import Call, Json
from proxy.wire.codec import RefusedCall
from proxy.wire.jsontext import call_from_text, call_from_value, is_ambiguous, read_strict

PROVIDER = "openai.responses"

# Run on the vendor's side; their results stand in the same response. OpenAI's, then xAI's
# (https://docs.x.ai/docs/guides/tools/overview), which has one type per built-in tool.
_PROVIDER_CALLS = frozenset(
    {
        "mcp_call",
        "web_search_call",
        "web_search_preview_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "program",
        "x_search_call",
        "web_fetch_call",
        "browser_call",
        "code_execution_call",
        "collections_search_call",
        "document_search_call",
        "attachment_search_call",
        "view_image_call",
        "view_x_video_call",
    }
)
_CONTAINERS = frozenset({"container_reference", "container_auto"})
_UNFINISHED = frozenset({"incomplete", "failed", "cancelled"})

# The smallest picture there is: a refused computer action has no screenshot, and the API takes
# nothing else as the output of a computer call.
_NO_SCREENSHOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)


class Role(Enum):
    """Who acts on an item."""

    CLIENT = "client"
    PROVIDER = "provider"
    NONE = "none"


def role_of(item: Json) -> Role:
    """Tells who would execute this output item."""
    kind = item.get("type") if isinstance(item, dict) else None
    if not isinstance(kind, str):
        return Role.NONE
    if kind in _PROVIDER_CALLS:
        return Role.PROVIDER
    if kind == "mcp_approval_request":
        # The provider runs it, but only once the client approves: so it can be held here.
        return Role.CLIENT
    if kind == "shell_call":
        environment = item.get("environment")
        where = environment.get("type") if isinstance(environment, dict) else None
        return Role.PROVIDER if where in _CONTAINERS else Role.CLIENT
    if kind == "tool_search_call":
        return Role.CLIENT if item.get("execution") == "client" else Role.PROVIDER
    return Role.CLIENT if kind.endswith("_call") else Role.NONE


def call_of(item: dict[str, Json], response_id: str | None, *, fault: str | None = None) -> Call:
    """Makes the Call of a call item; `fault` is what else is known to be wrong with it."""
    kind = item["type"]
    executor = "client"
    if role_of(item) is Role.PROVIDER or kind == "mcp_approval_request":
        executor = "provider"
    call_id = item.get("call_id") or item.get("id")
    name = item.get("name")
    space = item.get("namespace", item.get("server_label"))
    fields: dict[str, Json] = {
        "id": call_id if isinstance(call_id, str) else None,
        "name": name if isinstance(name, str) and name else kind,
        "provider": PROVIDER,
        "kind": _KINDS.get(kind, kind),
        "response_id": response_id,
        "executor": executor,
        "namespace": space if isinstance(space, str) else None,
    }
    value = arguments_of(item)
    if isinstance(value, str) and kind != "custom_tool_call":
        call = call_from_text(value, **fields)
    else:
        call = call_from_value(value, **fields)
    if is_ambiguous(item):
        fault = "duplicate key in the call"
    elif kind in ("function_call", "custom_tool_call") and not (isinstance(name, str) and name):
        fault = "the call has no name"
    elif item.get("status") in _UNFINISHED and executor == "client":
        fault = fault or "the provider did not finish this call"
    if fault is None:
        return call
    return Call(arguments=None, args_sha256=call.args_sha256, fault=fault, **fields)


_KINDS = {"function_call": "function", "custom_tool_call": "custom"}


def arguments_of(item: dict[str, Json]) -> Json:
    """Returns what the call asks for: JSON text (functions), free text (custom), or a value."""
    match item.get("type"):
        case "custom_tool_call":
            return item.get("input", "")
        case "apply_patch_call":
            return item.get("operation")
        case "computer_call":
            if item.get("actions") is None:
                return item.get("action")
            # Both at once: the rules must see all that could be done.
            both = {"action": item["action"]} if item.get("action") is not None else {}
            return {**both, "actions": item["actions"]}
        case "program":
            return item.get("code", "")
    for key in ("arguments", "action", "operation", "input", "code", "queries"):
        if item.get(key) is not None:
            return item[key]
    return {}


def signature(call: Call) -> tuple[str | None, ...]:
    """Returns what must be the same wherever the response shows this call."""
    return (call.kind, call.id, call.name, call.namespace, call.executor, call.args_sha256)


def same_reading(one: Json, other: Json, *, text_is_json: bool) -> bool:
    """Tells whether two versions of a call's argument text can only be read the same way."""
    if one == other:
        return True
    if not text_is_json or not isinstance(one, str) or not isinstance(other, str):
        return False
    try:
        return digest(read_strict(one)) == digest(read_strict(other))
    except (UnjudgeableArguments, ValueError):
        return False


def message_item(ref: str, number: int, text: str) -> dict[str, Json]:
    """Returns the assistant message that stands in a refused call's place."""
    return {
        "id": message_id(ref, number),
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}],
    }


def message_id(ref: str, number: int) -> str:
    """Returns the id of the number-th (from 1) message that stands for a refused call."""
    return f"msg_{ref}" if number == 1 else f"msg_{ref}_{number}"


def output_items(item: dict[str, Json], refused: RefusedCall) -> list[dict[str, Json]]:
    """Returns the failed result of a refused call, in the form in which `input` carries it.

    A kind whose result cannot hold text (a screenshot, a list of tools) gets an empty one and a
    developer message behind it. A kind nobody knows gets `<type>_output` with the text, as every
    kind so far is named.
    """
    kind = item.get("type")
    text = refused.text
    base: dict[str, Json] = {"type": f"{kind}_output", "call_id": item.get("call_id")}
    if isinstance(item.get("caller"), dict):
        base["caller"] = item["caller"]
    told = {"type": "message", "role": "developer", "content": f"{refused.name} refused: {text}"}
    match kind:
        case "function_call" | "custom_tool_call" | "local_shell_call":
            return [{**base, "output": text}]
        case "shell_call":
            failed = {"stdout": "", "stderr": text, "outcome": {"type": "exit", "exit_code": 1}}
            action = item.get("action")
            limit = action.get("max_output_length") if isinstance(action, dict) else None
            # The guide asks that a call's max_output_length be handed back:
            # https://platform.openai.com/docs/guides/tools-shell (read 2026-11).
            extra = {} if limit is None else {"max_output_length": limit}
            return [{**base, "output": [failed], **extra}]
        case "apply_patch_call":
            return [{**base, "status": "failed", "output": text}]
        case "computer_call":
            shot: dict[str, Json] = {"type": "computer_screenshot", "image_url": _NO_SCREENSHOT}
            # Without its checks acknowledged the API refuses the whole turn; nothing was done.
            checks = item.get("pending_safety_checks")
            extra = {"acknowledged_safety_checks": checks} if checks else {}
            return [{**base, "output": shot, **extra}, told]
        case "tool_search_call":
            found = {"type": "tool_search_output", "call_id": item.get("call_id")}
            return [{**found, "execution": "client", "status": "completed", "tools": []}, told]
        case "mcp_approval_request":
            answer = {"type": "mcp_approval_response", "approval_request_id": item.get("id")}
            return [{**answer, "approve": False, "reason": text}]
    return [{**base, "output": text}]


def answer_key(item: Json) -> tuple[str, str] | None:
    """Returns (the answered call's type, its id) where the item is a result, else None."""
    if not isinstance(item, dict):
        return None
    kind = item.get("type")
    if kind == "mcp_approval_response":
        answered = item.get("approval_request_id")
        return ("mcp_approval_request", answered) if isinstance(answered, str) else None
    if isinstance(kind, str) and kind.endswith("_output"):
        stem = kind.removesuffix("_output")
        answered = item.get("call_id")
        if answered is None and kind == "local_shell_call_output":
            answered = item.get("id")  # the schema's name for it; the server takes call_id
        if isinstance(answered, str):
            return (stem if stem.endswith("_call") else f"{stem}_call", answered)
    return None


def call_key(item: Json) -> tuple[str, str] | None:
    """Returns (type, id) by which results name this call, or None where it is no call item."""
    if not isinstance(item, dict) or role_of(item) is Role.NONE:
        return None
    kind = item["type"]
    found = item.get("id") if kind == "mcp_approval_request" else item.get("call_id")
    return (kind, found) if isinstance(found, str) else None
