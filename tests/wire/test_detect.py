"""Which protocol a path or a body speaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from proxy.wire.detect import PROTOCOLS, is_batch, protocol_for, sniff

CHAT, RESPONSES, ANTHROPIC = "openai.chat", "openai.responses", "anthropic.messages"
WIRE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "wire" / "wire_dev.jsonl"


def name_of(protocol: object) -> str | None:
    return getattr(protocol, "name", None)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/chat/completions", CHAT),
        ("POST", "/api/v1/chat/completions", CHAT),
        ("POST", "/openai/deployments/x/chat/completions?api-version=1", CHAT),
        ("GET", "/v1/chat/completions/chatcmpl-1", CHAT),
        ("GET", "/v1/chat/completions", CHAT),
        ("POST", "/v1/completions", None),
        ("POST", "/v1/responses", RESPONSES),
        ("POST", "/responses", RESPONSES),
        ("POST", "/openai/v1/responses?x=/v1/messages", RESPONSES),
        ("GET", "/v1/responses/resp_1", RESPONSES),
        ("GET", "/v1/responses/resp_1?stream=true", RESPONSES),
        ("POST", "/v1/responses/resp_1/cancel", RESPONSES),
        ("POST", "/v1/responses/compact", RESPONSES),
        ("POST", "/v1/responses/input_tokens", None),
        ("GET", "/v1/responses/resp_1/input_items", None),
        ("DELETE", "/v1/responses/resp_1", None),
        ("GET", "/v1/responses", None),
        ("POST", "/v1/messages", ANTHROPIC),
        ("POST", "/anthropic/v1/messages?beta=true", ANTHROPIC),
        ("post", "/v1/messages", ANTHROPIC),
        ("POST", "/V1/Messages/", ANTHROPIC),
        ("POST", "//v1//messages//", ANTHROPIC),
        ("POST", "/v1/%6Dessages", ANTHROPIC),
        ("POST", "/v1/%256Dessages", ANTHROPIC),
        ("POST", "/v1/./x/../messages", ANTHROPIC),
        ("POST", "/v1%2Fmessages", ANTHROPIC),
        ("POST", "/v1/messages%3Fx=1", ANTHROPIC),
        ("POST", "/v1/messages;x=1", ANTHROPIC),
        ("POST", "/a;b/v1/messages", ANTHROPIC),
        ("POST", "/v1\\messages", ANTHROPIC),
        ("POST", "/v1/messages%20", ANTHROPIC),
        ("POST", "/v1/messages/count_tokens", None),
        ("POST", "/v1/messages/batches", None),
        ("GET", "/v1/messages", None),
        ("OPTIONS", "/v1/messages", None),
        ("POST", "/v1/embeddings", None),
        ("POST", "/x?y=/v1/messages", None),
        ("POST", "/v1/threads/t1/messages", None),
        ("GET", "/", None),
    ],
)
def test_paths(method: str, path: str, expected: str | None) -> None:
    """Another spelling of a gated path is gated too; a look-alike is not."""
    assert name_of(protocol_for(method, path)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"model": "palmyra", "messages": []}', CHAT, id="writer"),
        pytest.param(b'{"model": "command-r", "message": "hi"}', "cohere.v1", id="cohere"),
        pytest.param(None, "cohere.v1", id="unknown"),
        pytest.param(b"oops", "cohere.v1", id="no-json"),
    ],
)
def test_a_path_that_needs_the_body(body: bytes | None, expected: str | None) -> None:
    """Two vendors use /v1/chat; until the body is there, a protocol that tells by it stands in."""
    assert name_of(protocol_for("POST", "/v1/chat", body)) == expected


USER = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"messages": USER}, CHAT, id="chat"),
        pytest.param({"messages": USER, "max_tokens": 9}, CHAT, id="chat-max-tokens"),
        pytest.param({"messages": USER, "max_tokens": 9, "system": "x"}, ANTHROPIC, id="system"),
        pytest.param(
            {"messages": USER, "tools": [{"name": "pay", "input_schema": {}}]},
            ANTHROPIC,
            id="anthropic-tools",
        ),
        pytest.param(
            {"messages": USER, "tools": [{"type": "function", "function": {"name": "pay"}}]},
            CHAT,
            id="chat-tools",
        ),
        pytest.param(
            {
                "messages": [
                    *USER,
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
                ]
            },
            ANTHROPIC,
            id="anthropic-blocks",
        ),
        pytest.param({"messages": [{"role": "system", "content": "x"}]}, CHAT, id="system-role"),
        pytest.param({"input": USER}, RESPONSES, id="responses-items"),
        pytest.param({"input": "hi", "instructions": "x"}, RESPONSES, id="responses-text"),
        pytest.param({"input": "hi"}, None, id="embeddings"),
        pytest.param({"messages": [7]}, None, id="other"),
        pytest.param({"messages": []}, None, id="no-messages"),
        pytest.param({"prompt": "hi"}, None, id="completions"),
    ],
)
def test_sniff(body: dict[str, Any], expected: str | None) -> None:
    """On unknown paths the shape of the body decides; doubt is None."""
    assert name_of(sniff(json.dumps({"model": "m", **body}).encode())) == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": [{"role": "user"}]}'])
def test_sniff_needs_an_object_with_a_model(body: bytes) -> None:
    """Anything else is not a model request."""
    assert sniff(body) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/messages/batches", True),
        ("/v1/messages/batches/b1/results", True),
        ("/v1/batches", True),
        ("/v1/messages", False),
    ],
)
def test_batches(path: str, expected: bool) -> None:
    """Batches carry calls that no gate sees: they are recognised, so that they can be refused."""
    assert is_batch(path) is expected


def test_protocols_by_name() -> None:
    """Memories and log records name protocols."""
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
    assert {CHAT, RESPONSES, ANTHROPIC} < set(PROTOCOLS)


@pytest.mark.skipif(not WIRE.exists(), reason="shared/data/wire is not here")
def test_recordings() -> None:
    """Every recorded exchange is known by its path, but for those that carry no call (embeddings)."""
    for line in WIRE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        body = (row["request_body"] or "").encode()
        found = name_of(protocol_for(row["method"], urlsplit(row["url"]).path, body))
        wanted = row["subformat"]
        names = {"mistral": CHAT, "gemini": "google.gemini", "ollama.generate": "ollama.chat"}
        assert found == names.get(wanted, wanted), row["url"]
