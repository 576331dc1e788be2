"""Content blocks of the Anthropic Messages API: which are calls, and what is kept of them.

What belongs here: what the stream and the JSON gate share. A block whose type ends in `tool_use` is
a call. `server_tool_use` and `mcp_tool_use` are run by the provider; every other one, known or not,
is taken as a call that the client runs and so has to wait.
Vendor pages: https://docs.claude.com/en/api/messages and
https://docs.claude.com/en/docs/build-with-claude/streaming; the block types are those of the
vendor's Python SDK 2.12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.jsontext import call_from_text, call_from_value

PROVIDER = "anthropic.messages"

_RUN_BY_PROVIDER = frozenset({"server_tool_use", "mcp_tool_use"})
_NO_TEXT = "checkrein refused this call."


def block_type(block: Json, what: str) -> str:
    """Returns a block's type.

    Raises:
        WireError: it is not an object with a type, so nobody can say that it is no call.
    """
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str):
        raise WireError(f"{what}: expected a content block with a type")
    return kind


def is_call(kind: str) -> bool:
    # Case is ignored on purpose: a lenient client may do so too.
    return kind.lower().endswith("tool_use")


def is_client_call(kind: str) -> bool:
    return is_call(kind) and kind not in _RUN_BY_PROVIDER


def call_of(
    block: Mapping[str, Json], fragments: str | None, response_id: str | None, fault: str | None
) -> Call:
    """Makes the Call of a complete block.

    Args:
        block: as it stood in `content` or in `content_block_start`.
        fragments: the joined `input_json_delta`s; None where the block came whole.
        response_id: the message's id.
        fault: what is wrong with the block already.
    """
    kind, name, call_id = str(block["type"]), block.get("name"), block.get("id")
    namespace = block.get("server_name")
    fields: dict[str, Any] = {
        "id": call_id if isinstance(call_id, str) and call_id else None,
        "name": name if isinstance(name, str) else "",
        "provider": PROVIDER,
        "kind": "function" if kind == "tool_use" else kind,
        "response_id": response_id,
        "executor": "client" if is_client_call(kind) else "provider",
        "namespace": namespace if isinstance(namespace, str) else None,
    }
    given = block.get("input")
    if not fragments:
        call = call_from_value({} if given is None else given, **fields)
    else:
        call = call_from_text(fragments, **fields)
        # Real streams open a block with an empty `input`. A full one and fragments that say something
        # else would be read one way by a client that folds deltas and another by one that does not.
        if given and call_from_value(given, **fields).args_sha256 != call.args_sha256:
            fault = fault or "the block's input and its fragments differ"
    if call.fault is None and not isinstance(call.arguments, dict):
        fault = fault or "input is not an object"
    if not fields["name"]:
        fault = fault or "the call has no name"
    return call if fault is None else replace(call, arguments=None, fault=fault)


def refusal_text(text: str) -> str:
    # The API answers 400 when a client echoes blank text: anthropics/claude-code#23369 (2026-02).
    return text if text.strip() else _NO_TEXT


def text_block(text: str) -> dict[str, Json]:
    return {"type": "text", "text": refusal_text(text)}


def stop_reason_after(stop_reason: Json, *, client_calls_left: bool) -> Json:
    """`tool_use` without a tool to use makes agent loops wait for results that cannot come."""
    return "end_turn" if stop_reason == "tool_use" and not client_calls_left else stop_reason


def join_text(parts: Sequence[str]) -> str:
    """Joins fragments; a surrogate pair that was cut between two of them becomes one character."""
    text = "".join(parts)
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def plain(value: Json) -> Json:
    """Returns the value as a client would send it again: plain numbers, text that UTF-8 can carry."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, Decimal):
        number = float(value)
        return str(value) if number in (float("inf"), float("-inf")) else number
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def remembered_input(call: Call, given: Json) -> dict[str, Json]:
    """Returns the `input` to put back into history; the API takes objects only."""
    for value in (call.arguments, given):
        if isinstance(value, dict):
            restored = plain(value)
            assert isinstance(restored, dict)  # noqa: S101 - for the type checker
            return restored
    return {}


def memory(
    *,
    ref: str,
    response_id: str | None,
    content: list[Json],
    calls: Sequence[Call],
    refused: Mapping[int, str],
) -> RefusedResponse:
    """Makes the memory of a message of which some calls were refused.

    Args:
        content: all blocks as they came; calls without an id cannot be answered and are left out.
        calls: the client's calls, in order.
        refused: position in `calls` -> the text that stands in its place.
    """
    keys = [f"ref:{ref}"]
    if response_id:
        keys.append(f"response:{response_id}")
    keys += [f"call:{c.id}" for position, c in enumerate(calls) if position not in refused and c.id]
    kept = [b for b in content if not (is_client_call(str(b["type"])) and not b.get("id"))]
    return RefusedResponse(
        ref=ref,
        provider=PROVIDER,
        keys=tuple(keys),
        original={"role": "assistant", "content": kept},
        refused=tuple(
            RefusedCall(
                call_id=calls[position].id,
                name=calls[position].name,
                kind=calls[position].kind,
                text=refusal_text(text),
            )
            for position, text in sorted(refused.items())
        ),
    )
