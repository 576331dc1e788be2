"""What an answer says of its tokens, in every API's words, has one meaning."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.chat.stream_gate import ChatStreamGate
from proxy.wire.detect import protocol_for
from proxy.wire.usage import AnswerMeter, Usage, usage_of_headers

CHAT = {
    "prompt_tokens": 20,
    "completion_tokens": 12,
    "total_tokens": 32,
    "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 8},
}
RESPONSES = {
    "input_tokens": 515,
    "input_tokens_details": {"cached_tokens": 512},
    "output_tokens": 60,
    "output_tokens_details": {"reasoning_tokens": 50},
    "total_tokens": 575,
}

# Documents as recorded in 2025 and 2026, cut to what counts.
CASES: list[Any] = [
    pytest.param([{"model": "gpt-5", "usage": CHAT}], (20, 12, 16, 0, 8), id="chat"),
    pytest.param(
        [{"model": "gpt-5", "usage": None}, {"choices": [], "usage": CHAT}],
        (20, 12, 16, 0, 8),
        id="chat-stream-last-chunk",
    ),
    pytest.param([{"x_groq": {"usage": CHAT}}], (20, 12, 16, 0, 8), id="groq-stream"),
    pytest.param(
        [{"usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}}],
        (9, 3, 4, 0, 0),
        id="deepseek",
    ),
    pytest.param(
        [{"usage": {"prompt_tokens": 110, "completion_tokens": 41, "num_cached_tokens": 64}}],
        (110, 41, 64, 0, 0),
        id="mistral",
    ),
    pytest.param([{"object": "response", "usage": RESPONSES}], (515, 60, 512, 0, 50), id="body"),
    pytest.param(
        [
            {"type": "response.created", "response": {"usage": None, "model": "gpt-5.5"}},
            {"type": "response.completed", "response": {"usage": RESPONSES}},
        ],
        (515, 60, 512, 0, 50),
        id="responses-stream",
    ),
    pytest.param(
        [
            {
                "type": "message_start",
                "message": {
                    "model": "claude-sonnet-4-5",
                    "usage": {
                        "input_tokens": 3,
                        "cache_creation_input_tokens": 100,
                        "cache_read_input_tokens": 1000,
                        "output_tokens": 1,
                    },
                },
            },
            {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 92}},
            {"type": "message_stop"},
        ],
        (1103, 92, 1000, 100, 0),
        id="anthropic-stream-cache-stands-apart",
    ),
    pytest.param(
        [
            {"type": "message_start", "message": {"usage": {"input_tokens": 5}}},
            {"type": "message_delta", "usage": {"output_tokens": 7}},
            {"type": "message_stop"},
            {"type": "message_start", "message": {"usage": {"input_tokens": 6}}},
            {"type": "message_delta", "usage": {"output_tokens": 8}},
        ],
        (11, 15, 0, 0, 0),
        id="two-messages-in-one-body",
    ),
    pytest.param(
        [
            {"type": "message_start", "message": {"usage": {"input_tokens": 5}}},
            {"type": "message_start", "message": {"usage": {"input_tokens": 5}}},
            {"type": "message_delta", "usage": {"output_tokens": 7}},
        ],
        (5, 7, 0, 0, 0),
        id="a-gateway-says-the-start-twice",
    ),
    pytest.param(
        [
            {"usageMetadata": {"trafficType": "ON_DEMAND"}},
            {
                "modelVersion": "gemini-2.5-flash",
                "usageMetadata": {
                    "promptTokenCount": 6,
                    "candidatesTokenCount": 1,
                    "thoughtsTokenCount": 23,
                    "toolUsePromptTokenCount": 2,
                    "cachedContentTokenCount": 4,
                    "totalTokenCount": 32,
                },
            },
        ],
        (8, 24, 4, 0, 23),
        id="gemini-thoughts-stand-apart",
    ),
    pytest.param(
        [{"response": {"usageMetadata": {"promptTokenCount": 6, "candidatesTokenCount": 1}}}],
        (6, 1, 0, 0, 0),
        id="cloud-code",
    ),
    pytest.param(
        [
            {
                "event_type": "interaction.complete",
                "interaction": {
                    "model": "gemini-3-pro",
                    "usage": {
                        "total_input_tokens": 7,
                        "total_output_tokens": 20,
                        "total_thought_tokens": 22,
                        "total_cached_tokens": 0,
                        "total_tool_use_tokens": 0,
                        "total_tokens": 49,
                    },
                },
            }
        ],
        (7, 42, 0, 0, 22),
        id="interactions",
    ),
    pytest.param(
        [
            {
                "metrics": {"latencyMs": 625},
                "usage": {
                    "inputTokens": 8,
                    "outputTokens": 10,
                    "totalTokens": 118,
                    "cacheReadInputTokens": 70,
                    "cacheWriteInputTokens": 30,
                },
            }
        ],
        (108, 10, 70, 30, 0),
        id="converse-cache-stands-apart",
    ),
    pytest.param(
        [{"generation": "", "prompt_token_count": 19, "generation_token_count": 56}],
        (19, 56, 0, 0, 0),
        id="llama-on-bedrock",
    ),
    pytest.param(
        [{"inputTextTokenCount": 5, "results": [{"tokenCount": 30, "outputText": "…"}]}],
        (5, 30, 0, 0, 0),
        id="titan",
    ),
    pytest.param(
        [
            {"outputText": "…", "inputTextTokenCount": None},
            {
                "type": "message_stop",
                "amazon-bedrock-invocationMetrics": {
                    "inputTokenCount": 19,
                    "outputTokenCount": 70,
                    "cacheReadInputTokenCount": 1,
                },
            },
        ],
        (20, 70, 1, 0, 0),
        id="invocation-metrics",
    ),
    pytest.param(
        [
            {
                "type": "message-end",
                "delta": {
                    "usage": {
                        "billed_units": {"input_tokens": 119, "output_tokens": 44},
                        "tokens": {"input_tokens": 1549, "output_tokens": 95},
                        "cached_tokens": 1504,
                    }
                },
            }
        ],
        (1549, 95, 1504, 0, 0),
        id="cohere-v2",
    ),
    pytest.param(
        [
            {
                "event_type": "stream-end",
                "response": {"meta": {"tokens": {"input_tokens": 135, "output_tokens": 16}}},
            }
        ],
        (135, 16, 0, 0, 0),
        id="cohere-v1-stream",
    ),
    pytest.param(
        [{"meta": {"billed_units": {"input_tokens": 69, "output_tokens": 16}, "tokens": {}}}],
        (69, 16, 0, 0, 0),
        id="cohere-billed-alone",
    ),
    pytest.param(
        [
            {"message": {"content": "a"}, "done": False},
            {"done": True, "prompt_eval_count": 19, "eval_count": 104},
        ],
        (19, 104, 0, 0, 0),
        id="ollama",
    ),
    pytest.param(
        [
            {"object": "thread.run.step", "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
            {"object": "thread.run", "usage": {"prompt_tokens": 123, "completion_tokens": 9}},
        ],
        (123, 9, 0, 0, 0),
        id="assistants-run-not-its-steps",
    ),
]


def metered(documents: list[dict[str, Any]]) -> AnswerMeter:
    meter = AnswerMeter()
    for document in documents:
        meter.read(document)
    return meter


@pytest.mark.parametrize(("documents", "counts"), CASES)
def test_usage(documents: list[dict[str, Any]], counts: tuple[int, ...]) -> None:
    """Totals hold the cache and the reasoning, wherever the API puts them."""
    used = metered(documents).usage
    assert used is not None
    assert (
        used.input_tokens,
        used.output_tokens,
        used.cached_input_tokens,
        used.cache_write_tokens,
        used.reasoning_tokens,
    ) == counts
    assert not used.estimated


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"usage": None}, id="null"),
        pytest.param({"usage": [1]}, id="a-list"),
        pytest.param({"usage": {"prompt_tokens": "12"}}, id="text"),
        pytest.param({"usage": {"prompt_tokens": True}}, id="a-boolean"),
        pytest.param({"usage": {"prompt_tokens": -5}}, id="negative"),
        pytest.param({"usage": {"prompt_tokens": float("nan")}}, id="nan"),
        pytest.param({"usage": {"prompt_tokens": 10**30}}, id="absurd"),
        pytest.param({"usage": {"prompt_tokens": {"a": 1}}}, id="an-object"),
    ],
)
def test_odd_counts_are_no_counts(document: dict[str, Any]) -> None:
    """What is no count is passed over: the caller estimates."""
    assert metered([document]).usage is None


def test_a_part_is_never_more_than_the_whole() -> None:
    """A cache that claims more than was read would make an answer cheaper than free."""
    used = metered([{"usage": {"prompt_tokens": 5, "prompt_cache_hit_tokens": 500}}]).usage
    assert used == Usage(5, 0, 5)


def test_headers_of_bedrock() -> None:
    """Models that say nothing in their body are counted in the head."""
    headers = {
        "x-amzn-bedrock-input-token-count": "21",
        "x-amzn-bedrock-output-token-count": "40",
    }
    assert usage_of_headers(headers, "m") == Usage(21, 40, model="m")
    assert usage_of_headers({"x-amzn-bedrock-input-token-count": "²"}) is None


def tokens(*logprobs: float | None) -> list[dict[str, Any]]:
    return [{"token": "a", "logprob": number} for number in logprobs]


HALF = math.log(0.5)


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        pytest.param(
            [{"choices": [{"logprobs": {"content": tokens(HALF, 0.0)}}]}], 0.5**0.5, id="chat"
        ),
        pytest.param(
            [
                {"choices": [{"logprobs": {"content": tokens(HALF)}}]},
                {"choices": [{"logprobs": None}]},
                {"choices": [{"logprobs": {"content": tokens(HALF)}}]},
            ],
            0.5,
            id="chat-stream",
        ),
        pytest.param([{"choices": [{"logprobs": {"token_logprobs": [HALF, None]}}]}], 0.5, id="to"),
        pytest.param(
            [{"output": [{"content": [{"type": "output_text", "logprobs": tokens(HALF)}]}]}],
            0.5,
            id="responses",
        ),
        pytest.param([{"type": "…delta", "logprobs": tokens(HALF)}], 0.5, id="responses-delta"),
        pytest.param([{"candidates": [{"avgLogprobs": HALF}]}], 0.5, id="gemini-mean"),
        pytest.param(
            [
                {
                    "candidates": [
                        {"logprobsResult": {"chosenCandidates": [{"logProbability": HALF}]}}
                    ]
                }
            ],
            0.5,
            id="gemini-tokens",
        ),
        pytest.param([{"logprobs": [{"logprobs": [HALF, HALF]}]}], 0.5, id="cohere-v2"),
        pytest.param([{"logprobs": tokens(HALF)}], 0.5, id="ollama"),
        pytest.param([{"choices": [{"logprobs": {"content": []}}]}], None, id="none-shown"),
        pytest.param([{"choices": [{"logprobs": {"content": tokens(3.0)}}]}], 1.0, id="above-one"),
        pytest.param([{"choices": [{"logprobs": "no"}]}], None, id="odd"),
    ],
)
def test_confidence(documents: list[dict[str, Any]], expected: float | None) -> None:
    """The geometric mean of the tokens' probabilities, where the answer shows them."""
    found = metered(documents).confidence
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_very_unlikely_token_leaves_a_number() -> None:
    """OpenAI writes -9999 for a token that was forced."""
    found = metered([{"choices": [{"logprobs": {"content": tokens(-9999.0)}}]}]).confidence
    assert found == pytest.approx(math.exp(-100))


def test_a_streams_gate_meters_and_leaves_the_bytes() -> None:
    """The gate reads what it reads anyway; bytes leave as they came."""
    frames = [
        {"id": "c", "choices": [{"index": 0, "delta": {"content": "hi"}, "logprobs": None}]},
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"id": "c", "model": "gpt-5", "choices": [], "usage": CHAT},
    ]
    body = b"".join(b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames)
    gate = ChatStreamGate(ref="cr_" + "0" * 32)
    before = gate.usage
    events = [*gate.feed(body), *gate.feed(b"")]
    assert before is None
    assert b"".join(getattr(event, "data", b"") for event in events) == body
    assert gate.usage == Usage(20, 12, 16, reasoning_tokens=8, model="gpt-5")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/chat/completions", {"messages": [], "max_tokens": 5}, (5, 1)),
        (
            "/v1/chat/completions",
            {"messages": [], "max_tokens": 5, "max_completion_tokens": 9, "n": 4},
            (9, 4),
        ),
        ("/v1/chat/completions", {"messages": [], "max_output_tokens": 1}, (None, 1)),
        ("/v1/chat/completions", {"messages": [], "max_tokens": -1, "n": "x"}, (None, 1)),
        ("/v1/responses", {"input": "hi", "max_output_tokens": 7}, (7, 1)),
        ("/v1/messages", {"messages": [], "max_tokens": 8}, (8, 1)),
        (
            "/v1beta/models/gemini-2.5-pro:generateContent",
            {"contents": [], "generation_config": {"max_output_tokens": 3, "candidateCount": 2}},
            (3, 2),
        ),
        (
            "/v1beta/interactions",
            {"input": "hi", "generation_config": {"max_output_tokens": 3}},
            (3, 1),
        ),
        ("/model/m/converse", {"messages": [], "inferenceConfig": {"maxTokens": 6}}, (6, 1)),
        ("/model/m/invoke", {"prompt": "hi", "max_gen_len": 6}, (6, 1)),
        (
            "/model/m/invoke",
            {"inputText": "hi", "textGenerationConfig": {"maxTokenCount": 6}},
            (6, 1),
        ),
        (
            "/model/m/invoke",
            {"anthropic_version": "bedrock-2023-05-31", "messages": [], "max_tokens": 6},
            (6, 1),
        ),
        ("/v2/chat", {"messages": [], "max_tokens": 4}, (4, 1)),
        ("/api/chat", {"messages": [], "options": {"num_predict": 4}}, (4, 1)),
        (
            "/v1/conversations",
            {"inputs": "hi", "completion_args": {"max_tokens": 4}},
            (4, 1),
        ),
        ("/v1/threads/t/runs", {"assistant_id": "a", "max_completion_tokens": 4}, (4, 1)),
    ],
)
def test_how_long_an_answer_may_get(
    path: str, body: dict[str, Any], expected: tuple[int | None, int]
) -> None:
    """The limit is read where this API reads it; a decoy of another API's does not count."""
    protocol = protocol_for("POST", path)
    assert protocol is not None
    parsed = protocol.parse_request(json.dumps(body).encode())
    assert (parsed.max_output_tokens, parsed.answers) == expected


KEYS = st.sampled_from(
    [
        "usage",
        "response",
        "message",
        "delta",
        "meta",
        "tokens",
        "choices",
        "logprobs",
        "content",
        "logprob",
        "token_logprobs",
        "candidates",
        "avgLogprobs",
        "logprobsResult",
        "output",
        "type",
        "chosenCandidates",
        "logProbability",
        "prompt_tokens",
        "results",
        "model",
        "completion_tokens",
        "prompt_cache_hit_tokens",
        "cache_read_input_tokens",
        "eval_count",
        "inputTextTokenCount",
        "usageMetadata",
        "thoughtsTokenCount",
        "promptTokenCount",
        "tokenCount",
        "x_groq",
        "object",
    ]
)
ODD: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(KEYS, ODD, max_size=6), max_size=4))
def test_no_document_is_too_odd(documents: list[dict[str, Any]]) -> None:
    """A meter reads along: whatever a provider sends, it neither raises nor counts below zero."""
    meter = metered(documents)
    used, sure = meter.usage, meter.confidence
    if used is not None:
        assert 0 <= used.cached_input_tokens + used.cache_write_tokens <= used.input_tokens
        assert 0 <= used.reasoning_tokens <= used.output_tokens
    assert sure is None or 0 <= sure <= 1
