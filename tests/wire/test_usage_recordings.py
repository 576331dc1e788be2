"""Recorded answers of every API: usage is read where they have it, and adds up to their own total."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import httpx
import pytest

from proxy.wire.detect import protocol_for
from tests.upstreams.driving import REF, Row, drive, recordings, release

FORMATS = (
    "anthropic.messages",
    "bedrock.converse",
    "bedrock.invoke",
    "cohere",
    "gemini",
    "mistral",
    "ollama",
    "openai.chat",
    "openai.responses",
)
ROWS = {name: row for kind in FORMATS for name, (row, _) in recordings(kind).items()}
ABSENT = pytest.param("absent", marks=pytest.mark.skip(reason="shared/data/wire is not here"))
each = pytest.mark.parametrize("name", list(ROWS) or [ABSENT])

_SAYS = re.compile(
    rb'"(?:usage|usageMetadata)"\s*:\s*\{[^{}]*"\w*[oO]utput_?[tT]okens|"\w*_tokens"\s*:\s*\d'
    rb'|"eval_count"|TokenCount"\s*:\s*\d|"outputTokens"|token_count"\s*:\s*\d'
)
_TOTAL = re.compile(rb'"(?:total_tokens|totalTokens|totalTokenCount)"\s*:\s*(\d+)')


def body_of(row: Row, key: str) -> bytes:
    body = row[key]
    if row.get(key + "_b64"):
        return base64.b64decode(body)
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def gate_of(row: Row) -> Any:
    url = httpx.URL(row["url"])
    path = url.raw_path.decode()
    protocol = protocol_for(row["method"], path)
    assert protocol is not None
    return protocol.gate(
        content_type=row["response_headers"]["content-type"],
        status=row["response_status"],
        ref=REF,
        request=protocol.parse_request(body_of(row, "request_body")),
    )


@each
def test_usage_is_read_where_it_is(name: str) -> None:
    """An answer that speaks of tokens has a usage, and it adds up."""
    row = ROWS[name]
    body = body_of(row, "response_body")
    gate = gate_of(row)
    assert drive(gate, [body], release).body == body
    if not _SAYS.search(body):
        return
    used = gate.usage
    assert used is not None
    assert used.output_tokens > 0 or b'"embedding' in body
    total = max((int(found) for found in _TOTAL.findall(body)), default=0)
    if total and row["provider_format"] != "bedrock.converse":
        assert used.input_tokens + used.output_tokens == total
