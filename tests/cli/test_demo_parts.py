"""The demo's actors among themselves, without a proxy: they must be right before it is judged by them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.cli.demo.agents import (
    Agent,
    AnthropicAgent,
    Api,
    ChatAgent,
    Places,
    ResponsesAgent,
    agent_for,
)
from proxy.cli.demo.billing import Billing
from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import Turn, ask
from proxy.cli.demo.story import PROMPT, refunds_script, run_story
from proxy.errors import ConfigurationError

APIS: list[Api] = ["chat", "responses", "anthropic"]
THREE = [("A-1001", Decimal(45)), ("A-1002", Decimal(45)), ("A-1003", Decimal(45))]


@pytest.fixture
def billing(tmp_path: Path) -> Iterator[Billing]:
    with Billing(tmp_path / "billing.sqlite") as running:
        yield running


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(refunds_script, seed="test") as running:
        yield running


@pytest.mark.parametrize("api", APIS)
def test_three_refunds_with_histories_the_model_accepts(
    api: Api, model: ScriptedModel, billing: Billing
) -> None:
    steps: list[tuple[str, str]] = []
    last = run_story(None, model, billing, api, lambda kind, text: steps.append((kind, text)))
    assert last == "All 3 orders are refunded: A-1001, A-1002, A-1003."
    assert billing.refunds() == THREE
    assert billing.total() == 135
    assert model.rejected == []
    assert [seen.history.turns for seen in model.requests] == [0, 1, 2, 3]
    assert [kind for kind, _ in steps] == ["text", "call", "result"] * 3 + ["text"]


def test_responses_with_the_history_at_the_provider(model: ScriptedModel, billing: Billing) -> None:
    agent = ResponsesAgent(Places(model.url, billing.url), _quiet, server_state=True)
    agent.say(PROMPT)
    agent.close()
    assert billing.refunds() == THREE
    assert [len(seen.body["input"]) for seen in model.requests] == [1, 1, 1, 1]


@pytest.mark.parametrize("api", APIS)
def test_a_refused_tool_request_ends_the_turn_and_is_tried_again_when_asked(
    api: Api, model: ScriptedModel, billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = True
    real = Agent._use

    def use(self: Agent, tool_use: Any) -> tuple[str, bool]:
        if refuse and tool_use.arguments["order_id"] == "A-1003":
            return "Held: the refunds budget is used up.", True
        return real(self, tool_use)

    monkeypatch.setattr(Agent, "_use", use)
    agent = agent_for(api, Places(model.url, billing.url), _quiet)
    assert agent.say(PROMPT) == "I refunded A-1001, A-1002. Not refunded: A-1003."
    refuse = False
    assert agent.say("It is approved, try again.").startswith("All 3 orders")
    agent.close()
    assert billing.refunds() == THREE
    assert model.rejected == []


@pytest.mark.parametrize("agent_class", [ChatAgent, ResponsesAgent, AnthropicAgent])
def test_a_missing_sdk_says_what_to_install(
    agent_class: type[Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("openai", "anthropic"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(ConfigurationError, match=r"pip install 'checkrein\[demo\]'"):
        agent_class(Places("http://127.0.0.1:1", "http://127.0.0.1:1"), _quiet)


def test_a_problem_document_is_the_tool_s_result(billing: Billing) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        problem = {"title": "Held", "detail": "refunds: 90 of 100 EUR used", "status": 403}
        return httpx.Response(403, json=problem, headers={"content-type": _PROBLEM})

    script = [Turn(calls=(ask("refund_order", order_id="A-1", amount=45),)), Turn("I see.")]
    with ScriptedModel(script) as model:
        agent = ChatAgent(Places(model.url, billing.url), _quiet)
        agent._http.close()
        agent._http = httpx.Client(transport=httpx.MockTransport(refuse))
        assert agent.say("go") == "I see."
        agent.close()
        assert model.requests[1].history.results == ("refunds: 90 of 100 EUR used",)
    assert billing.refunds() == []


_PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"amount": -1}',
        b'{"amount": 0}',
        b'{"amount": "x"}',
        b'{"amount": 1e999999999}',
        b"[",
    ],
    ids=["no amount", "negative", "zero", "text", "huge", "not JSON"],
)
def test_billing_takes_positive_amounts_only(billing: Billing, body: bytes) -> None:
    answer = httpx.post(f"{billing.url}/v1/refunds/A-1", content=body, trust_env=False)
    assert (answer.status_code, billing.refunds()) == (422, [])


def test_billing_lists_what_it_did(billing: Billing) -> None:
    with httpx.Client(base_url=billing.url, trust_env=False) as client:
        made = client.post("/v1/refunds/A-1", json={"amount": 45.5})
        assert made.status_code == 201
        assert made.json() == {"refunded": 45.5, "currency": "EUR", "order_id": "A-1"}
        listed = client.get("/v1/refunds").json()
    assert listed == {"refunds": [{"order_id": "A-1", "amount": 45.5}], "count": 1}


def _quiet(kind: str, text: str) -> None: ...


# --- the strict model -------------------------------------------------------------------------

U = {"role": "user", "content": "hi"}


def chat_asks(*ids: str) -> dict[str, Any]:
    function = {"name": "t", "arguments": "{}"}
    calls = [{"id": one, "type": "function", "function": function} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def chat_says(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "ok"}


def ant_asks(*ids: str) -> dict[str, Any]:
    blocks = [{"type": "tool_use", "id": one, "name": "t", "input": {}} for one in ids]
    return {"role": "assistant", "content": blocks}


def ant_says(*ids: str) -> dict[str, Any]:
    blocks = [{"type": "tool_result", "tool_use_id": one, "content": "ok"} for one in ids]
    return {"role": "user", "content": blocks}


def fc(call_id: str, **more: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "t", "arguments": "{}", **more}


def out(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "ok"}


THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "bm8="}
LATE = {"role": "user", "content": [{"type": "text", "text": "x"}, *ant_says("a")["content"]]}

BROKEN = {
    "chat: a call without a result": (
        "chat", [U, chat_asks("a", "b"), chat_says("a")],
        "The following tool_call_ids did not have response messages: b",
    ),
    "chat: a user message before the result": (
        "chat", [U, chat_asks("a"), U, chat_says("a")], "did not have response messages: a",
    ),
    "chat: a result nobody asked for": (
        "chat", [U, chat_asks("a"), chat_says("a"), chat_says("z")],
        "must be a response to a preceeding message with 'tool_calls'",
    ),
    "chat: two results for one call": (
        "chat", [U, chat_asks("a"), chat_says("a"), chat_says("a")],
        "must be a response to a preceeding message with 'tool_calls'",
    ),
    "chat: the result before its call": (
        "chat", [U, chat_says("a"), chat_asks("a")], "must be a response to a preceeding message",
    ),
    "chat: empty tool_calls": (
        "chat", [U, {"role": "assistant", "content": "x", "tool_calls": []}],
        "Invalid 'messages[1].tool_calls': empty array.",
    ),
    "chat: an assistant that says nothing": (
        "chat", [U, {"role": "assistant", "content": None}, U], "expected a string, got null",
    ),
    "chat: no messages": ("chat", [], "Invalid 'messages': empty array."),
    "anthropic: a call without a result": (
        "anthropic", [U, ant_asks("a", "b"), ant_says("a")],
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: b.",
    ),
    "anthropic: a call at the end": (
        "anthropic", [U, ant_asks("a")],
        "`tool_use` ids were found without `tool_result` blocks immediately after: a.",
    ),
    "anthropic: results over two messages": (
        "anthropic", [U, ant_asks("a", "b"), ant_says("a"), ant_says("b")],
        "without `tool_result` blocks immediately after: b.",
    ),
    "anthropic: text ahead of the result": (
        "anthropic", [U, ant_asks("a"), LATE], "blocks immediately after: a.",
    ),
    "anthropic: a result nobody asked for": (
        "anthropic", [U, ant_asks("a"), ant_says("a", "z")],
        "messages.2.content.1: unexpected `tool_use_id` found in `tool_result` blocks: z.",
    ),
    "anthropic: two results for one call": (
        "anthropic", [U, ant_asks("a"), ant_says("a", "a")],
        "each tool_use must have a single result. Found multiple `tool_result` blocks with id: a",
    ),
    "anthropic: a signature it never gave": (
        "anthropic", [U, {"role": "assistant", "content": [THOUGHT]}, U],
        "messages.1.content.0: Invalid `signature` in `thinking` block",
    ),
    "anthropic: empty text": (
        "anthropic", [{"role": "user", "content": [{"type": "text", "text": ""}]}],
        "text content blocks must be non-empty",
    ),
    "anthropic: an empty turn in the middle": (
        "anthropic", [U, {"role": "assistant", "content": []}, U], "must have non-empty content",
    ),
    "responses: a call without an output": (
        "responses", [U, fc("a"), fc("b"), out("a")], "No tool output found for function call b.",
    ),
    "responses: an output nobody asked for": (
        "responses", [U, out("z")], "No tool call found for function call output with call_id z.",
    ),
    "responses: two outputs for one call": (
        "responses", [U, fc("a"), out("a"), out("a")],
        "No tool call found for function call output with call_id a.",
    ),
    "responses: a wrong item id": (
        "responses", [U, fc("a", id="call_1"), out("a")],
        "Invalid 'input[1].id': 'call_1'. Expected an ID that begins with 'fc'.",
    ),
    "responses: an item twice": (
        "responses", [U, fc("a", id="fc_1"), fc("b", id="fc_1"), out("a"), out("b")],
        "Duplicate item found with id fc_1.",
    ),
    "responses: reasoning it never gave": (
        "responses", [U, {"type": "reasoning", "id": "rs_1", "summary": []}, fc("a"), out("a")],
        "Item with id 'rs_1' not found.",
    ),
}  # fmt: skip

PATHS = {"chat": "/v1/chat/completions", "anthropic": "/v1/messages", "responses": "/v1/responses"}


def request_body(api: str, history: Any, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "m", **more}
    body["input" if api == "responses" else "messages"] = history
    return body if api != "anthropic" else {**body, "max_tokens": 9}


@pytest.mark.parametrize(("api", "history", "text"), BROKEN.values(), ids=BROKEN)
def test_a_broken_history_is_refused_as_the_provider_does(
    api: str, history: list[Any], text: str, model: ScriptedModel
) -> None:
    answer = httpx.post(model.url + PATHS[api], json=request_body(api, history), trust_env=False)
    assert answer.status_code in (400, 404)
    assert text in answer.json()["error"]["message"]
    assert model.requests == []
    assert text in model.rejected[0].message


MEND = {
    "chat": [U, chat_asks("a", "b"), chat_says("b"), chat_says("a")],
    "anthropic": [U, ant_asks("a", "b"), ant_says("b", "a")],
    "responses": [U, fc("a"), fc("b"), out("b"), out("a")],
}


@pytest.mark.parametrize("api", MEND)
def test_a_whole_history_passes(api: str, model: ScriptedModel) -> None:
    answer = httpx.post(model.url + PATHS[api], json=request_body(api, MEND[api]), trust_env=False)
    assert answer.status_code == 200
    assert model.requests[0].history.results == ("ok", "ok")


class Talk:
    """One client of the model, without an SDK."""

    def __init__(self, model: ScriptedModel, api: str) -> None:
        self.url, self.api = model.url + PATHS[api], api

    def __call__(self, history: Any, status: int = 200, **more: Any) -> Any:
        body = request_body(self.api, history, **more)
        answer = httpx.post(self.url, json=body, trust_env=False)
        assert answer.status_code == status, answer.text
        return answer.json() if status == 200 else answer.json()["error"]["message"]


def test_anthropic_thinking_must_come_back_unchanged(model: ScriptedModel) -> None:
    talk = Talk(model, "anthropic")
    content = talk([U])["content"]
    assert [block["type"] for block in content] == ["thinking", "text", "tool_use"]
    results = ant_says(content[2]["id"])
    talk([U, {"role": "assistant", "content": content}, results])
    changed = [{**content[0], "thinking": "something else"}, *content[1:]]
    said = talk([U, {"role": "assistant", "content": changed}, results], 400)
    assert "blocks in the latest assistant message cannot be modified" in said
    thinking = {"type": "enabled", "budget_tokens": 1024}
    bare = [U, {"role": "assistant", "content": content[1:]}, results]
    assert "Expected `thinking` or `redacted_thinking`" in talk(bare, 400, thinking=thinking)


def test_responses_reasoning_and_its_item_belong_together(model: ScriptedModel) -> None:
    talk = Talk(model, "responses")
    include: dict[str, Any] = {"include": ["reasoning.encrypted_content"], "store": False}
    reasoning, message, call = talk([U], **include)["output"]
    output = out(call["call_id"])
    talk([U, reasoning, message, call, output], **include)
    alone = talk([U, reasoning, call, output], 400, **include)
    assert alone == (
        f"Item '{reasoning['id']}' of type 'reasoning' was provided without its required "
        "following item."
    )
    orphan = talk([U, message, call, output], 400, **include)
    assert f"without its required 'reasoning' item: '{reasoning['id']}'." in orphan
    forged = {**reasoning, "encrypted_content": "gAAAA"}
    assert "could not be verified" in talk([U, forged, message, call, output], 400, **include)


def test_responses_keeps_state_under_its_ids(model: ScriptedModel) -> None:
    talk = Talk(model, "responses")
    first = talk([U])
    call = first["output"][2]
    again = {"previous_response_id": first["id"]}
    assert talk([U], 400, **again) == f"No tool output found for function call {call['call_id']}."
    assert "Duplicate item found" in talk([call, out(call["call_id"])], 400, **again)
    talk([out(call["call_id"])], **again)
    talk([out(call["call_id"])], **again)  # a second branch from the same response
    assert talk([U], 400, previous_response_id="resp_x") == (
        "Previous response with id 'resp_x' not found."
    )
    unstored = talk([U], store=False)
    assert "not found" in talk([U], 400, previous_response_id=unstored["id"])


def test_responses_keeps_a_conversation(model: ScriptedModel) -> None:
    talk = Talk(model, "responses")
    made = httpx.post(f"{model.url}/v1/conversations", trust_env=False).json()["id"]
    call = talk([U], conversation=made)["output"][2]
    assert "No tool output found" in talk([U], 400, conversation={"id": made})
    talk([out(call["call_id"])], conversation={"id": made})
    assert "not found" in talk([U], 404, conversation="conv_x")


@pytest.mark.parametrize("api", PATHS)
def test_the_stream_builds_up_to_the_document(api: str) -> None:
    """The same turn, streamed and whole, holds the same text and arguments."""
    arguments = '{"order_id":"Ü-1","note":"a \\"b\\" \\n c","amount":45.50}'
    turn = Turn("Grüße, 1 234 €!\n", (ask("t"), ask("u", k=1)), "why not")
    turn = Turn(turn.text, (*turn.calls, type(turn.calls[0])("v", arguments)), turn.thinking)
    with ScriptedModel([turn]) as model, httpx.Client(trust_env=False) as client:
        url, body = model.url + PATHS[api], request_body(api, [U])
        whole = client.post(url, json=body).json()
        answer = client.post(url, json={**body, "stream": True})
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = _events(answer.text)
    assert _streamed(api, events) == (turn.text, ["{}", '{"k": 1}', arguments])
    shown = str(whole)
    assert "Grüße" in shown
    assert "Ü-1" in shown


def _events(text: str) -> list[dict[str, Any]]:
    import json

    lines = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def _streamed(api: str, events: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """Puts text and arguments together from the deltas alone."""
    text, calls = "", dict[int, str]()
    for event in events:
        if api == "chat":
            for choice in event["choices"]:
                text += choice["delta"].get("content") or ""
                for part in choice["delta"].get("tool_calls", ()):
                    calls[part["index"]] = (
                        calls.get(part["index"], "") + part["function"]["arguments"]
                    )
        elif api == "anthropic" and event["type"] == "content_block_delta":
            text += event["delta"].get("text", "")
            if "partial_json" in event["delta"]:
                at = event["index"]
                calls[at] = calls.get(at, "") + event["delta"]["partial_json"]
        elif event.get("type") == "response.output_text.delta":
            text += event["delta"]
        elif event.get("type") == "response.function_call_arguments.delta":
            at = event["output_index"]
            calls[at] = calls.get(at, "") + event["delta"]
    return text, [calls[at] for at in sorted(calls)]
