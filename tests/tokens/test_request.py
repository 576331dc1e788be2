"""Counting a request before it leaves: near the provider's own count, above it, and quick."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from proxy.tokens import count_tokens
from proxy.tokens.request import EXACT_CHARS, count_request, count_text
from proxy.wire.detect import protocol_for
from tests.upstreams.driving import drive, recordings, release
from tests.wire.test_usage_recordings import FORMATS, body_of, gate_of

PROSE = "The quick brown fox jumps over the lazy dog and thinks about refunds. " * 30


def count(body: dict[str, Any], path: str = "/v1/chat/completions") -> int:
    protocol = protocol_for("POST", path)
    assert protocol is not None
    raw = json.dumps(body).encode()
    return count_request(protocol.parse_request(raw), raw)


def chat(content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-5", "messages": [{"role": "user", "content": content}], **more}


def test_a_text_is_counted_with_the_models_vocabulary() -> None:
    """A few tokens for what frames the message, five per cent to be safe."""
    real = count_tokens(PROSE, "gpt-5")
    assert real < count(chat(PROSE)) <= real * 1.06 + 20


@pytest.mark.parametrize(
    "part",
    [
        pytest.param({"type": "image_url", "image_url": {"url": "https://x/y.png"}}, id="by-url"),
        pytest.param(
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}},
            id="inline",
        ),
        pytest.param({"type": "input_image", "image_url": "data:image/png;base64,AAAA"}, id="resp"),
    ],
)
def test_a_picture_is_no_text(part: dict[str, Any]) -> None:
    """A megabyte of base64 is a picture's price, not a megabyte of tokens."""
    assert 1_500 < count(chat([part])) < 2_500


def test_text_that_looks_like_a_file_is_text() -> None:
    """Where text stands it is counted as text: base64 by another name costs what it costs."""
    assert count(chat("QUJD" * 5_000)) > 5_000


def test_tools_are_counted() -> None:
    """Definitions are read with every request."""
    schema = {"type": "object", "properties": {"order": {"type": "string", "description": PROSE}}}
    tool = {"type": "function", "function": {"name": "refund", "parameters": schema}}
    assert count(chat("hi", tools=[tool])) > count_tokens(PROSE, "gpt-5")


def test_new_text_is_bounded_and_old_text_is_remembered() -> None:
    """A megabyte takes milliseconds, the first time and the next; the estimate stays an upper one."""
    large = " ".join(f"{n} {PROSE}" for n in range(500))
    assert len(large) > 1_000_000 > EXACT_CHARS
    body = chat(large)
    count(chat("warm"))
    started = time.perf_counter()
    first = count(body)
    assert time.perf_counter() - started < 1.0  # some 10 ms on an idle machine
    assert count(body) == first
    real = count_tokens(large, "gpt-5")
    assert real <= first <= real * 1.5


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("a" * 300_000, id="one-long-word"),
        pytest.param("<|endoftext|>" * 100, id="special-tokens"),
        pytest.param([{"x": {"y": [[[]]]}}], id="odd-shapes"),
    ],
)
def test_odd_content_has_a_count(content: Any) -> None:
    """Nothing that a codec passes is too odd to be counted."""
    assert count(chat(content)) > 0


def test_an_answers_text() -> None:
    """What a model wrote is counted without the factor."""
    assert count_text(PROSE, "gpt-5") == count_tokens(PROSE, "gpt-5")


def test_recorded_requests() -> None:
    """Of recorded requests nine in ten are estimated at or above the provider's own count."""
    rows = [row for kind in FORMATS for row, _ in recordings(kind).values()]
    ratios: list[float] = []
    for row in rows:
        gate = gate_of(row)
        drive(gate, [body_of(row, "response_body")], release)
        used, raw = gate.usage, body_of(row, "request_body")
        if row["synthetic_request"] or used is None or not used.input_tokens:
            continue
        protocol = protocol_for(row["method"], row["url"].split("/", 3)[3].join(("/", "")))
        if protocol is not None:
            ratios.append(count_request(protocol.parse_request(raw), raw) / used.input_tokens)
    assert not rows or sum(ratio >= 1 for ratio in ratios) >= 0.88 * len(ratios) > 0
