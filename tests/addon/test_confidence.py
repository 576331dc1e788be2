"""How sure the model was comes with the call, where the answer shows log probabilities."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from mitmproxy import http

if TYPE_CHECKING:
    from tests.addon.conftest import MakeLine
    from tests.conftest import MakeBench

type MakeRequest = Callable[..., http.Request]

RULES = """
version: 1
pack: sure
tools:
  - {name: look_up, effects: []}
signals:
  - {on: low-confidence, below: 0.6, do: freeze}
"""
ASK = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()


def logprobs(sure: float | None) -> dict[str, Any] | None:
    return None if sure is None else {"content": [{"token": "x", "logprob": math.log(sure)}]}


def whole(sure: float | None) -> tuple[str, bytes]:
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    document = {"id": "r1", "choices": [choice | {"logprobs": logprobs(sure)}]}
    return "application/json", json.dumps(document).encode()


def streamed(sure: float | None) -> tuple[str, bytes]:
    call = {"index": 0, "id": "c1", "type": "function"}
    call["function"] = {"name": "look_up", "arguments": "{}"}
    frames = [
        {"index": 0, "delta": {"tool_calls": [call]}, "logprobs": logprobs(sure)},
        {"index": 0, "delta": {}, "finish_reason": "tool_calls"},
    ]
    made = [b"data: " + json.dumps({"id": "r1", "choices": [f]}).encode() for f in frames]
    return "text/event-stream", b"\n\n".join([*made, b"data: [DONE]", b""])


@pytest.mark.parametrize("form", [whole, streamed])
@pytest.mark.parametrize(
    ("sure", "fires"), [(0.4, True), (0.9, False), (None, False)], ids=["low", "high", "unsaid"]
)
async def test_a_call_carries_it(
    make_line: MakeLine,
    make_bench: MakeBench,
    make_request: MakeRequest,
    form: Callable[[float | None], tuple[str, bytes]],
    sure: float | None,
    fires: bool,
) -> None:
    """A rule about it fires on what the answer showed, and never where it showed nothing."""
    bench = make_bench(RULES, "sure")
    line = make_line(bench)
    content_type, body = form(sure)
    await line.ask(make_request(body=ASK))
    await line.begin(content_type)
    await line.data(body)
    told = [r["on"] for r in bench.records("signal")]
    assert told == (["low-confidence"] if fires else [])
