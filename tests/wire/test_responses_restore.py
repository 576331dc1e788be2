"""Refused calls put back into the next request: each way in which clients carry a conversation.

`check` is what the real API checks of a history, written apart from the code under test: every call
has exactly one output, no output is without its call, each reasoning item is followed by an item of
its own turn.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.codec import CallFound, Refuse, RefusedResponse, Release, Remember
from proxy.wire.responses.protocol import PROTOCOL

REF = "cr_" + "b" * 32
TEXT = f"refused: budget refunds ({REF})"

type Json = Any

USER = {"role": "user", "content": "go"}
NEXT = {"role": "user", "content": "and now?"}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}


def fn(call_id: str) -> Json:
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": "refund",
        "arguments": json.dumps({"of": call_id}),
        "status": "completed",
    }


def out(call_id: str, text: str = "done") -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def message(number: int = 1, **change: Json) -> Json:
    return {
        "type": "message",
        "id": f"msg_{REF}" if number == 1 else f"msg_{REF}_{number}",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": TEXT, "annotations": []}],
        **change,
    }


def refuse(output: list[Json], refused: set[str], **response: Json) -> tuple[RefusedResponse, Json]:
    """Runs a JSON answer through the gate; returns the memory and what the client gets."""
    body = {"id": "resp_1", "object": "response", "output": output, **response}
    gate = PROTOCOL.gate(content_type="application/json", status=200, ref=REF, request=None)
    assert gate.feed(json.dumps(body).encode()) == []
    events = gate.feed(b"")
    for event in list(events):
        if isinstance(event, CallFound):
            events += gate.rule(event.key, Refuse(TEXT) if event.call.id in refused else Release())
    (memory,) = [event.response for event in events if isinstance(event, Remember)]
    return memory, json.loads(events[-1].data)["output"]  # type: ignore[union-attr]


def restored(memory: RefusedResponse, given: Json, **fields: Json) -> Json:
    body = json.dumps({"model": "m", "input": given, **fields}).encode()
    request = PROTOCOL.parse_request(body)
    memories = [memory] if set(request.remembered_by) & set(memory.keys) else []
    made = PROTOCOL.restore(request, memories)
    document = json.loads(made if made is not None else body)
    # What is put back once is not put back again.
    if made is not None and "previous_response_id" not in fields and "conversation" not in fields:
        assert PROTOCOL.restore(PROTOCOL.parse_request(made), [memory]) is None
    return document["input"]


def check(history: list[Json]) -> None:
    """Raises as the API would."""
    calls: dict[str, int] = {}
    for at, item in enumerate(history):
        kind = item.get("type", "message")
        if kind == "reasoning":
            following = history[at + 1] if at + 1 < len(history) else {}
            own = following.get("type", "message")
            assert (
                own.endswith("_call")
                or own == "mcp_approval_request"
                or (own == "message" and following.get("role") == "assistant")
            ), "reasoning was provided without its required following item"
        elif kind.endswith("_call"):
            assert item["call_id"] not in calls
            calls[item["call_id"]] = 0
        elif kind == "mcp_approval_request":
            calls[item["id"]] = 0
        elif kind.endswith("_output") or kind == "mcp_approval_response":
            answered = item.get("call_id") or item["approval_request_id"]
            assert answered in calls, f"No tool call found for {answered}"
            calls[answered] += 1
        assert not str(item.get("id", "")).startswith("msg_cr_")
    assert all(count == 1 for count in calls.values()), f"No tool output found: {calls}"


def plain(items: list[Json]) -> list[str]:
    return [
        f"{item.get('type', item.get('role'))}:{item.get('call_id', '')}".rstrip(":")
        for item in items
    ]


A = ["function_call:a", "function_call_output:a"]
B = ["function_call:b", "function_call_output:b"]


@pytest.mark.parametrize(
    ("output", "refused", "given", "expected"),
    [
        pytest.param(
            [REASONING, fn("a")],
            {"a"},
            [USER, REASONING, message(), NEXT],
            ["user", "reasoning", *A, "user"],
            id="id-echoed",
        ),
        pytest.param(
            [REASONING, fn("a")],
            {"a"},
            [USER, REASONING, {"role": "assistant", "content": TEXT}, NEXT],
            ["user", "reasoning", *A, "user"],
            id="id-dropped-text-as-string",
        ),
        pytest.param(
            [REASONING, fn("a")],
            {"a"},
            [USER, {**REASONING, "id": None}, NEXT],
            ["user", "reasoning:", "user"],
            id="nothing-names-it",
        ),
        pytest.param(
            [REASONING, fn("a")],
            {"a"},
            [USER, REASONING, NEXT],
            ["user", "reasoning", *A, "user"],
            id="text-missing-reasoning-there",
        ),
        pytest.param(
            [REASONING, fn("a")],
            {"a"},
            [USER, message(), {k: v for k, v in REASONING.items() if k != "id"}, NEXT],
            ["user", "reasoning", *A, "user"],
            id="text-moved-before-a-reasoning-without-id",
        ),
        pytest.param(
            [fn("a")],
            {"a"},
            [USER, {"type": "item_reference", "id": f"msg_{REF}"}, NEXT],
            ["user", *A, "user"],
            id="item-reference",
        ),
        pytest.param(
            [REASONING, fn("a"), fn("b")],
            {"a"},
            [USER, REASONING, message(), fn("b"), out("b")],
            ["user", "reasoning", *A, *B],
            id="first-of-two",
        ),
        pytest.param(
            [REASONING, fn("a"), fn("b")],
            {"b"},
            [USER, REASONING, fn("a"), message(), out("a")],
            ["user", "reasoning", A[0], *B, A[1]],
            id="second-of-two",
        ),
        pytest.param(
            [fn("a"), fn("b")],
            {"b"},
            [USER, fn("a"), out("a")],
            ["user", A[0], *B, A[1]],
            id="text-missing-sibling-there",
        ),
        pytest.param(
            [fn("a"), fn("b")],
            {"a"},
            [USER, fn("b"), out("b")],
            ["user", *A, *B],
            id="text-missing-next-sibling-there",
        ),
        pytest.param(
            [REASONING, fn("a"), fn("b")],
            {"a", "b"},
            [USER, REASONING, message(), message(2), NEXT],
            ["user", "reasoning", *A, *B, "user"],
            id="both",
        ),
        pytest.param(
            [REASONING, fn("a"), fn("b")],
            {"a", "b"},
            [USER, REASONING, {"role": "assistant", "content": f"{TEXT}\n{TEXT}"}, NEXT],
            ["user", "reasoning", *A, *B, "user"],
            id="both-merged-into-one-text",
        ),
        pytest.param(
            [fn("a")],
            {"a"},
            [USER, {"role": "assistant", "content": f"I will refund. {TEXT}"}, NEXT],
            ["user", "assistant", *A, "user"],
            id="merged-with-the-models-text",
        ),
        pytest.param(
            [fn("a")],
            {"a"},
            [USER, fn("a"), out("a", "x"), message(), NEXT],
            ["user", *A, "user"],
            id="call-and-output-there-already",
        ),
        pytest.param(
            [fn("a")], {"a"}, [{"role": "user", "content": TEXT}], ["user"], id="user-quotes-it"
        ),
    ],
)
def test_client_keeps_the_history(
    output: list[Json], refused: set[str], given: list[Json], expected: list[str]
) -> None:
    memory, _ = refuse(output, refused)
    history = restored(memory, given)
    assert [one.rstrip(":") for one in plain(history)] == [one.rstrip(":") for one in expected]
    if "nothing" not in str(expected) and not any(i.get("id", "") is None for i in given):
        check(history)
    for item in history:
        if item.get("role") == "assistant":
            assert item["content"] == "I will refund."
        if item.get("call_id") in refused and item["type"] == "function_call":
            assert item == fn(item["call_id"])


def test_what_the_client_got_comes_back_whole() -> None:
    memory, got = refuse([REASONING, fn("a"), fn("b")], {"a"})
    check(restored(memory, [USER, *got, out("b"), NEXT]))


SERVER = [
    pytest.param({"previous_response_id": "resp_1"}, id="previous-response"),
    pytest.param({"conversation": "conv_1"}, id="conversation"),
    pytest.param({"conversation": {"id": "conv_1"}}, id="conversation-object"),
]


@pytest.mark.parametrize("fields", SERVER)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("hello", ["function_call_output:a", "user"], id="text-input"),
        pytest.param([NEXT], ["function_call_output:a", "user"], id="items"),
        pytest.param(
            [out("b"), NEXT],
            ["function_call_output:a", "function_call_output:b", "user"],
            id="with-a-siblings-output",
        ),
        pytest.param([message(), NEXT], ["function_call_output:a", "user"], id="echoes-our-text"),
        pytest.param([out("a"), NEXT], ["function_call_output:a", "user"], id="has-it-already"),
    ],
)
def test_server_keeps_the_history(fields: Json, given: Json, expected: list[str]) -> None:
    memory, _ = refuse([REASONING, fn("a"), fn("b")], {"a"}, conversation={"id": "conv_1"})
    for _branch in range(2):
        history = restored(memory, given, **fields)
        assert plain(history) == expected
        check(
            [
                REASONING,
                fn("a"),
                fn("b"),
                *history,
                *([] if isinstance(given, list) and out("b") in given else [out("b")]),
            ]
        )


def test_another_response_id_is_left_alone() -> None:
    memory, _ = refuse([fn("a")], {"a"})
    request = PROTOCOL.parse_request(b'{"input":"x","previous_response_id":"resp_2"}')
    assert PROTOCOL.restore(request, [memory]) is None


KINDS = [
    pytest.param({"type": "custom_tool_call", "name": "py", "input": "1"}, "output", id="custom"),
    pytest.param({"type": "local_shell_call", "action": {"command": []}}, "output", id="local"),
    pytest.param({"type": "shell_call", "action": {"commands": ["x"]}}, "stderr", id="shell"),
    pytest.param(
        {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}},
        "output",
        id="patch",
    ),
    pytest.param(
        {"type": "computer_call", "action": {"type": "wait"}, "pending_safety_checks": []},
        "content",
        id="computer",
    ),
    pytest.param(
        {"type": "tool_search_call", "execution": "client", "arguments": {}},
        "content",
        id="tool-search",
    ),
    pytest.param(
        {"type": "mcp_approval_request", "name": "n", "arguments": "{}", "server_label": "s"},
        "reason",
        id="approval",
    ),
]


@pytest.mark.parametrize(("item", "field"), KINDS)
def test_every_kind_gets_its_own_form_of_result(item: Json, field: str) -> None:
    """The text is where the model reads it, and the item came back as it was."""
    approval = item["type"] == "mcp_approval_request"
    item = {"id": "k", **item, **({} if approval else {"call_id": "k"})}
    memory, got = refuse([REASONING, item], {"k"})
    history = restored(memory, [USER, *got, NEXT])
    assert history[:3] == [USER, REASONING, item]
    # tool_search_output answers a tool_search_call: same stem, checked by id.
    check(history)
    texts = json.dumps([{k: v for k, v in one.items() if k == field} for one in history[3:]])
    told = TEXT in texts or any(TEXT in json.dumps(one.get("output")) for one in history[3:])
    assert told
    results = PROTOCOL.parse_request(json.dumps({"input": history}).encode()).results
    assert [result.call_id for result in results] == ["k"]


def test_program_caller_is_kept() -> None:
    caller = {"type": "program", "caller_id": "p1"}
    memory, got = refuse([{**fn("a"), "caller": caller}], {"a"})
    history = restored(memory, [USER, *got])
    assert history[-1]["caller"] == caller
