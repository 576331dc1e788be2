"""Bedrock's requests: what is read of them, and refused calls put back where a bearer token allows it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.wire.codec import ParsedRequest, RefusedCall, RefusedResponse
from proxy.wire.detect import protocol_for
from tests.upstreams.bedrock import check_history

REF = "cr_" + "ab" * 16
TEXT = f"[checkrein {REF}] The call was refused and did not run."
USE = {"toolUse": {"toolUseId": "t1", "name": "pay", "input": {"a": 1}}}
KEPT = {"toolUse": {"toolUseId": "t2", "name": "look", "input": {}}}
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "sig"}}}
POINT = {"cachePoint": {"type": "default"}}


def parse(document: dict[str, Any], method: str = "converse") -> ParsedRequest:
    protocol = protocol_for("POST", f"/model/m/{method}")
    assert protocol is not None
    return protocol.parse_request(json.dumps(document).encode())


def restore(
    document: dict[str, Any], memory: RefusedResponse, method: str = "converse"
) -> dict[str, Any] | None:
    protocol = protocol_for("POST", f"/model/m/{method}")
    assert protocol is not None
    made = protocol.restore(parse(document, method), [memory])
    return None if made is None else json.loads(made)


def memory(*content: Any, provider: str = "bedrock.converse") -> RefusedResponse:
    return RefusedResponse(
        ref=REF,
        provider=provider,
        keys=(f"ref:{REF}",),
        original={"role": "assistant", "content": list(content)},
        refused=(RefusedCall("t1", "pay", "function", TEXT),),
    )


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def model(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def result(call_id: str, **more: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": call_id, "content": [{"text": "ok"}], **more}}


FAILED = {"toolResult": {"toolUseId": "t1", "content": [{"text": TEXT}], "status": "error"}}
CONTENT = [{"text": "one"}, {"json": {"b": 2.5}}, {"image": {"format": "png"}}]


def test_results_tools_texts_and_keys() -> None:
    read = parse(
        {
            "system": [{"text": "Be kind."}, POINT],
            "messages": [
                user({"text": "Pay it."}, POINT),
                model({"text": TEXT}, USE),
                user(result("t1", content=CONTENT, status="error"), {"text": "And?"}),
            ],
            "toolConfig": {"tools": [{"toolSpec": {"name": "pay"}}, POINT]},
        }
    )
    (one,) = read.results
    assert (one.call_id, one.name, one.is_error) == ("t1", "pay", True)
    assert one.text == 'one\n{"b":2.5}'
    assert one.args_sha256 == digest({"a": 1})
    assert [tool.name for tool in read.tools] == ["pay"]
    assert (read.system_text, read.user_text, read.model) == ("Be kind.", "And?", "m")
    assert read.opening == "Be kind.\n\nPay it."
    assert read.remembered_by == (f"ref:{REF}", "call:t1")


RESTORED: dict[str, tuple[list[Any], RefusedResponse, list[Any]]] = {
    "the only call": (
        [user({"text": "x"}), model({"text": "Lead."}, {"text": TEXT}), user({"text": "go on"})],
        memory({"text": "Lead."}, USE),
        [user({"text": "x"}), model({"text": "Lead."}, USE), user(FAILED, {"text": "go on"})],
    ),
    "one of two": (
        [user({"text": "x"}), model({"text": TEXT}, KEPT), user(result("t2"))],
        memory(USE, KEPT),
        [user({"text": "x"}), model(USE, KEPT), user(result("t2"), FAILED)],
    ),
    "a turn with reasoning comes back whole": (
        [user({"text": "x"}), model(THOUGHT, {"text": TEXT}), user({"text": "go on"})],
        memory(THOUGHT, USE),
        [user({"text": "x"}), model(THOUGHT, USE), user(FAILED, {"text": "go on"})],
    ),
    "a cache point stays": (
        [user({"text": "x"}, POINT), model({"text": TEXT}), user({"text": "go on"}, POINT)],
        memory(USE),
        [user({"text": "x"}, POINT), model(USE), user(FAILED, {"text": "go on"}, POINT)],
    ),
}


@pytest.mark.parametrize("name", RESTORED)
def test_a_refused_call_is_put_back_with_a_failed_result(name: str) -> None:
    """And is not put back twice; the history is one that Bedrock takes."""
    came, remembered, expected = RESTORED[name]
    config = {"tools": [{"toolSpec": {"name": "pay"}}]}
    made = restore({"messages": came, "toolConfig": config}, remembered)
    assert made == {"messages": expected, "toolConfig": config}
    assert restore(made, remembered) is None
    if name not in ("a turn with reasoning comes back whole", "a cache point stays"):
        check_history(expected)


def test_a_history_without_the_turn_is_left_alone() -> None:
    assert restore({"messages": [user({"text": "x"})]}, memory(USE)) is None


def test_invoke_restores_by_family() -> None:
    """A memory of Claude's own form goes to that codec; another family's is passed over."""
    call = {"type": "tool_use", "id": "t1", "name": "pay", "input": {}}
    document = {
        "anthropic_version": "bedrock-2023-05-31",
        "messages": [
            user({"type": "text", "text": "x"}),
            model({"type": "text", "text": TEXT}),
            user({"type": "text", "text": "go on"}),
        ],
    }
    turn = {"role": "assistant", "content": [call]}
    kept = memory(provider="bedrock.invoke")
    of = {
        family: RefusedResponse(
            kept.ref, kept.provider, kept.keys, {"family": family, "turn": turn}, kept.refused
        )
        for family in ("anthropic", "nova")
    }
    made = restore(document, of["anthropic"], "invoke")
    assert made is not None
    assert made["messages"][1]["content"] == [call]
    assert made["messages"][2]["content"][0]["is_error"] is True
    assert restore(document, of["nova"], "invoke") is None


INVOKED: dict[str, tuple[dict[str, Any], list[str | None], str]] = {
    "nova": (
        {"schemaVersion": "messages-v1", "messages": [user({"text": "hi"})]},
        [],
        "hi",
    ),
    "chat": (
        {"messages": [{"role": "user", "content": "hi"}, {"role": "tool", "tool_call_id": "c"}]},
        ["c"],
        "hi",
    ),
    "cohere": (
        {
            "message": "hi",
            "tool_results": [{"call": {"name": "pay", "parameters": {}}, "outputs": [{"ok": 1}]}],
        },
        ["pay:44136fa355b3678a"],
        "hi",
    ),
    "llama": ({"prompt": "hi"}, [], "hi"),
    "embedding": ({"inputText": "hi"}, [], "hi"),
    "image": ({"taskType": "TEXT_IMAGE"}, [], ""),
}


@pytest.mark.parametrize("name", INVOKED)
def test_bodies_of_other_models_are_read(name: str) -> None:
    document, ids, text = INVOKED[name]
    read = parse(document, "invoke")
    assert ([r.call_id for r in read.results], read.user_text) == (ids, text)
    assert read.provider == "bedrock.invoke"


@pytest.mark.parametrize(
    "document",
    [
        {"messages": {}},
        {"messages": ["x"]},
        {"messages": [{"content": []}]},
        {"messages": [user("x")]},
        {"messages": [user({"toolResult": {"content": []}})]},
        {"toolConfig": []},
    ],
    ids=str,
)
def test_what_is_no_request_of_this_api_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        parse(document)
