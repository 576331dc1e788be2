"""What is read from Anthropic requests."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.model import ToolResult
from proxy.wire.anthropic.protocol import PROTOCOL
from proxy.wire.codec import ParsedRequest

REF = "cr_" + "34" * 16
T1 = {"type": "tool_use", "id": "t1", "name": "pay", "input": {"amount": 1.5}}


def parse(messages: list[Any], **more: Any) -> ParsedRequest:
    body = {"model": "claude", "max_tokens": 9, "messages": messages, **more}
    return PROTOCOL.parse_request(json.dumps(body).encode())


def turn(role: str, *blocks: Any) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def test_texts_and_opening() -> None:
    """Strings and blocks are the same; the opening stays while the conversation grows."""
    first = [{"role": "user", "content": "pay them"}]
    later = [
        *first,
        turn("assistant", {"type": "text", "text": "ok"}, T1),
        turn("user", {"type": "tool_result", "tool_use_id": "t1", "content": "done"}),
    ]
    last = [*later, turn("assistant"), turn("user", {"type": "text", "text": "thanks"})]
    system = [{"type": "text", "text": "be kind"}, {"type": "text", "text": "be brief"}]
    one, two = parse(first, system=system), parse(later, system="be kind\nbe brief")
    assert one.system_text == "be kind\nbe brief"
    assert one.opening == two.opening == "be kind\nbe brief\n\npay them"
    assert two.user_text == "pay them"
    assert parse(last).user_text == "thanks"
    assert (one.model, one.stream, parse(first, stream=True).stream) == ("claude", False, True)


def test_results() -> None:
    """Results carry the digest of the call they answer, as the answer's gate would compute it."""
    parsed = parse(
        [
            turn("assistant", T1),
            turn(
                "user",
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "a"},
                        {"type": "image", "source": {}},
                        {"type": "text", "text": "b"},
                        {"type": "search_result", "content": [{"type": "text", "text": "c"}]},
                    ],
                },
                {"type": "tool_result", "tool_use_id": "t9"},
            ),
        ]
    )
    assert parsed.results == (
        ToolResult("t1", "pay", "a\nb\nc", True, digest({"amount": Decimal("1.5")})),
        ToolResult("t9", None, "", False, None),
    )


def test_repeated_ids_answer_the_call_before_them() -> None:
    """Some providers use an id again: each result belongs to the latest call ahead of it."""
    other = T1 | {"input": {"amount": 2}}
    answer = {"type": "tool_result", "tool_use_id": "t1", "content": "x"}
    parsed = parse(
        [
            turn("assistant", T1),
            turn("user", answer),
            turn("assistant", other),
            turn("user", answer),
        ]
    )
    assert [r.args_sha256 for r in parsed.results] == [
        digest({"amount": Decimal("1.5")}),
        digest({"amount": 2}),
    ]


def test_tools() -> None:
    """Client tools, server tools and MCP servers are named; a moved cache breakpoint changes nothing."""
    tool = {"name": "pay", "description": "pays", "input_schema": {"type": "object"}}
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 1}
    toolset = {"type": "mcp_toolset", "mcp_server_name": "srv"}
    server = {"type": "url", "name": "srv", "url": "https://x.test", "authorization_token": "a"}
    plain = parse([], tools=[tool, search, toolset], mcp_servers=[server])
    assert [t.name for t in plain.tools] == ["pay", "web_search", "srv", "mcp:srv"]
    cached = tool | {"cache_control": {"type": "ephemeral"}}
    moved = parse(
        [], tools=[cached, search, toolset], mcp_servers=[server | {"authorization_token": "b"}]
    )
    assert moved.tools == plain.tools
    changed = parse([], tools=[tool | {"description": "pays twice"}])
    assert changed.tools[0].digest != plain.tools[0].digest


@pytest.mark.parametrize(
    ("more", "hints"),
    [
        pytest.param({}, {}, id="none"),
        pytest.param(
            {"metadata": {"user_id": '{"device_id": "d", "session_id": "s-1"}'}},
            {"session_id": "s-1"},
            id="claude-code",
        ),
        pytest.param(
            {"metadata": {"user_id": "user_ab_account__session_" + "0" * 36}},
            {"session_id": "0" * 36},
            id="older-claude-code",
        ),
        pytest.param({"metadata": {"user_id": "u-1"}}, {"user_id": "u-1"}, id="plain"),
        pytest.param({"metadata": {"user_id": "{oops"}}, {"user_id": "{oops"}, id="no-json"),
        pytest.param({"metadata": {"user_id": "x" * 600}}, {}, id="too-long"),
        pytest.param({"metadata": {"user_id": 7}}, {}, id="a-number"),
        pytest.param(
            {"thread": {"type": "continue", "previous_message_id": "msg_0"}},
            {"previous_response_id": "msg_0"},
            id="thread",
        ),
    ],
)
def test_hints(more: dict[str, Any], hints: dict[str, str]) -> None:
    """What the body says of its session."""
    assert parse([], **more).hints == hints


def test_remembered_by() -> None:
    """Every name by which a memory may be asked for, once each."""
    parsed = parse(
        [turn("assistant", {"type": "text", "text": f"no [{REF}] [{REF}]"}, T1)],
        thread={"type": "continue", "previous_message_id": "msg_0"},
    )
    assert parsed.remembered_by == (f"ref:{REF}", "response:msg_0", "call:t1")


def test_mid_conversation_system_messages() -> None:
    """A `system` role among the messages is read, and is no user."""
    added = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "x"}}
    parsed = parse([{"role": "user", "content": "hi"}, turn("system", added)])
    assert parsed.user_text == "hi"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        pytest.param(b"", "not valid JSON", id="empty"),
        pytest.param(b"[]", "expected an object", id="array"),
        pytest.param(b"{}", r"\$.messages", id="no-messages"),
        pytest.param(b'{"messages": [7]}', r"\$.messages\[0\]", id="number-as-message"),
        pytest.param(b'{"messages": [{"role": "user"}]}', r"\[0\].content", id="no-content"),
        pytest.param(
            b'{"messages": [{"role": "user", "content": [{"text": "x"}]}]}',
            r"\[0\].content\[0\]",
            id="block-without-type",
        ),
        pytest.param(
            b'{"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}',
            "tool_use_id",
            id="result-without-id",
        ),
        pytest.param(b'{"messages": [], "tools": {}}', r"\$.tools", id="tools"),
        pytest.param(b'{"messages": [], "mcp_servers": [1]}', r"mcp_servers\[0\]", id="servers"),
        pytest.param(b'{"messages": [], "system": 7}', r"\$.system", id="system"),
    ],
)
def test_unreadable_requests(body: bytes, where: str) -> None:
    """A shape the API does not have is refused, with its place."""
    with pytest.raises(WireError, match=where):
        PROTOCOL.parse_request(body)
