"""openai's client against the vendors that speak Chat in their own way, through a real proxy.

Each vendor, streamed and not, each verdict, and the turn after it: the upstreams take only the histories
that the real ones would, thoughts and signatures included.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest

from tests.e2e.conftest import Proxy
from tests.e2e.test_sdk_verdicts import make_proxy
from tests.upstreams.compatibles import ARGS, VENDORS, CompatibleModel

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("compatibles")]

TOOL = {"allow": "look_up", "block": "forbidden", "approve": "refund_order", "deny": "refund_order"}
ECHOED = ("reasoning_content", "reasoning_details")  # what good clients send back


@dataclass(frozen=True, slots=True)
class Line:
    proxy: Proxy
    model: CompatibleModel


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with CompatibleModel() as model:
        proxy = make_proxy(tmp_path_factory.mktemp("compatibles"), "--upstream", model.url).start()
        yield Line(proxy, model)
        proxy.stop()


def client_of(line: Line, vendor: str, session: str) -> openai.OpenAI:
    common: dict[str, Any] = {
        "api_key": "sk-none",
        "max_retries": 0,
        "timeout": 60,
        "default_headers": {"X-Checkrein-Session": session},
        "http_client": openai.DefaultHttpxClient(trust_env=False),
    }
    root = f"{line.proxy.url}/{vendor.replace(' ', '-')}"
    if vendor == "azure":
        return openai.AzureOpenAI(azure_endpoint=root, api_version="2025-03-01-preview", **common)
    path = VENDORS[vendor].path.removesuffix("/chat/completions")
    return openai.OpenAI(base_url=root + path, **common)


def say(client: openai.OpenAI, messages: list[Any], *, stream: bool) -> dict[str, Any]:
    """Returns the assistant's message as a good client would send it back."""
    if not stream:
        answer = client.chat.completions.create(model="gpt-5-mini", messages=messages)
        message = answer.choices[0].message.model_dump(exclude_none=True)
        return {k: v for k, v in message.items() if k in ("role", "content", "tool_calls", *ECHOED)}
    made: dict[str, Any] = {"role": "assistant", "content": ""}
    calls: dict[int, dict[str, Any]] = {}
    for chunk in client.chat.completions.create(model="gpt-5-mini", messages=messages, stream=True):
        for choice in chunk.choices:
            delta = choice.delta.model_dump(exclude_none=True)
            made["content"] += delta.get("content", "")
            for key in ECHOED:
                if delta.get(key):
                    made[key] = made[key] + delta[key] if key in made else delta[key]
            for one in delta.get("tool_calls", ()):
                call = calls.setdefault(one.get("index") or 0, {"type": "function", "function": {}})
                call |= {k: one[k] for k in ("id", "extra_content") if one.get(k)}
                for key, value in one["function"].items():
                    call["function"][key] = call["function"].get(key, "") + value
    if calls:
        made["tool_calls"] = list(calls.values())
    return made


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("case", TOOL)
@pytest.mark.parametrize("vendor", VENDORS)
def test_two_turns(line: Line, vendor: str, case: str, stream: bool) -> None:
    """The client gets the call exactly when it may, and its next turn is one the server takes."""
    session = f"{vendor.replace(' ', '-')}-{case}-{stream}"
    human = None
    if case in ("approve", "deny"):
        kwargs = {"reason": "Not this one." if case == "deny" else None}
        human = threading.Thread(target=line.proxy.answer, args=(case,), kwargs=kwargs)
        human.start()
    tool = TOOL[case]
    with client_of(line, vendor, session) as client:
        messages: list[Any] = [{"role": "user", "content": tool}]
        message = say(client, messages, stream=stream)
        if human is not None:
            human.join(20)
        asked = message.get("tool_calls", [])
        passed = case in ("allow", "approve")
        assert [one["function"]["name"] for one in asked] == ([tool] if passed else [])
        assert all(json.loads(one["function"]["arguments"]) == json.loads(ARGS) for one in asked)
        if passed:
            results = [{"role": "tool", "tool_call_id": c["id"], "content": "ok"} for c in asked]
            messages += [message, *results]
        else:
            # A client that sees a final answer keeps its text and nothing else.
            assert f"The call {tool} was refused" in message["content"]
            told = {"role": "assistant", "content": message["content"]}
            messages += [told, {"role": "user", "content": "And now?"}]
        assert say(client, messages, stream=stream)["content"] == "All done."
    assert line.model.rejected == []
    sent = line.model.histories[-1]
    (result,) = [m for m in sent if m["role"] == "tool"]
    assert sent[1]["tool_calls"][0]["function"]["name"] == tool
    if passed:
        assert result["content"] == "ok"
    else:
        assert {"block": "Nothing is deleted", "deny": "Not this one."}[case] in result["content"]
        assert "cr_" not in (sent[1].get("content") or "")
