"""The text of an answer that never told its tokens: once, in every framing."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from proxy.wire.bedrock.eventstream import event_frame
from proxy.wire.bedrock.framing import chunk_frame
from proxy.wire.said import said_in


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"<html>oops</html>", "", id="no-answer"),
        pytest.param(
            sse({"choices": [{"index": 0, "delta": {"content": "a b"}}]})
            + sse({"choices": [{"delta": {"tool_calls": [{"function": {"arguments": "{1"}}]}}]})
            + b"data: [DONE]\n\n",
            "a b{1",
            id="chat-stream",
        ),
        pytest.param(
            sse({"choices": [{"delta": {"content": "whole"}}]}) + b'data: {"choices":[{"del',
            "whole",
            id="cut-in-a-frame",
        ),
        pytest.param(
            sse(
                {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
                {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hi "}},
                {"type": "content_block_delta", "delta": {"type": "x", "partial_json": "{}"}},
                {"type": "content_block_stop"},
            ),
            "hi {}",
            id="anthropic-stream",
        ),
        pytest.param(
            sse(
                {"type": "response.output_text.delta", "delta": "one"},
                {"type": "response.output_text.done", "text": "one"},
                {"type": "response.output_item.done", "item": {"content": [{"text": "one"}]}},
            ),
            "one",
            id="responses-sums-up",
        ),
        pytest.param(
            b'[{"candidates":[{"content":{"parts":[{"text":"g1"}],"role":"model"}}]}\n,\n'
            b'{"candidates":[{"content":{"parts":[{"text":"g2"}]}}]}',
            "g1g2",
            id="gemini-array-cut",
        ),
        pytest.param(
            b'{"message":{"role":"assistant","content":"o1"}}\n{"response":"o2"}\n',
            "o1o2",
            id="ollama-lines",
        ),
        pytest.param(
            event_frame("contentBlockDelta", {"delta": {"text": "c1"}, "contentBlockIndex": 0}),
            "c1",
            id="converse-stream",
        ),
        pytest.param(
            chunk_frame(json.dumps({"generation": "l1"}).encode()), "l1", id="invoke-stream"
        ),
        pytest.param(b"\0\0\0\x10" + base64.b64decode("AAAA"), "", id="broken-frames"),
    ],
)
def test_said(body: bytes, text: str) -> None:
    """Roughly what the model wrote; marks such as types and roles are noise of a token or two."""
    found = said_in(body)
    assert text in found.replace("assistant", "").replace("text_delta", "").replace("model", "")
    assert len(found) <= len(text) + 24
