"""MCP messages: what is read, what is refused because two peers could read it differently."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.errors import WireError
from proxy.wire.mcp import detect, messages
from proxy.wire.mcp.messages import Kind, read_payload

CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":1}}}'


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param(CALL, Kind.REQUEST, id="call"),
        pytest.param('{"jsonrpc":"2.0","id":"x","method":"ping"}', Kind.REQUEST, id="no-params"),
        pytest.param(
            '{"jsonrpc":"2.0","method":"notifications/initialized"}', Kind.NOTIFICATION, id="note"
        ),
        pytest.param('{"jsonrpc":"2.0","id":1,"result":{}}', Kind.ANSWER, id="result"),
        pytest.param(
            '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}', Kind.ANSWER, id="error"
        ),
    ],
)
def test_kinds(text: str, kind: Kind) -> None:
    """Every form of message is told apart, and its bytes are kept."""
    payload = read_payload(text.encode())
    assert (payload.messages[0].kind, payload.raw) == (kind, text.encode())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="empty-batch"),
        pytest.param("[1]", id="batch-of-numbers"),
        pytest.param(CALL + CALL, id="two-values"),
        pytest.param(CALL + " x", id="trailing"),
        pytest.param("\ufeff" + CALL, id="bom"),
        pytest.param(CALL.replace('"id":1', '"id":1,"id":2'), id="id-twice"),
        pytest.param(CALL.replace('"method"', '"Method"'), id="key-case"),
        pytest.param(CALL.replace('"params"', '"param\u017f"'), id="key-long-s"),
        pytest.param(CALL.replace("tools/call", "Tools/Call"), id="method-case"),
        pytest.param(CALL.replace("tools/call", "tools/call "), id="method-blank"),
        pytest.param(CALL.replace("tools/call", "/tools/call"), id="method-slash"),
        pytest.param(CALL.replace('"name":"t"', '"name":"t","Name":"u"'), id="name-case"),
        pytest.param(CALL.replace('"name":"t"', '"name":"t","name":"u"'), id="name-twice"),
        pytest.param(CALL.replace('"name":"t"', '"name":7'), id="name-number"),
        pytest.param(CALL.replace('"name":"t",', ""), id="no-name"),
        pytest.param(CALL.replace('"id":1', '"id":null'), id="null-id"),
        pytest.param(CALL.replace('"id":1', '"id":1.5'), id="fraction-id"),
        pytest.param(CALL.replace('"id":1', '"id":true'), id="bool-id"),
        pytest.param(CALL.replace('"id":1', r'"id":"\ud800"'), id="surrogate-id"),
        pytest.param(CALL.replace('"id":1', '"id":1,"result":{}'), id="request-and-answer"),
        pytest.param(CALL.replace('"2.0"', '"1.0"'), id="other-version"),
        pytest.param(CALL.replace('{"a":1}', '{"a":NaN}'), id="nan"),
        pytest.param('{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', id="list-params"),
        pytest.param('{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}', id="result-key-twice"),
        pytest.param('{"jsonrpc":"2.0","id":1}', id="nothing"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param(
            '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":\r' + CALL + "\r}}",
            id="call-on-a-line-of-its-own",
        ),
    ],
)
def test_refused(text: str) -> None:
    """What two peers might read differently is refused as a whole."""
    with pytest.raises(WireError):
        read_payload(text.encode())


@pytest.mark.parametrize("end", ["\r", "\r\n", ""], ids=["cr", "crlf", "none"])
def test_line_ends_around_a_message_pass(end: str) -> None:
    """A line's own end, and pretty-printed bodies whose lines end in CRLF."""
    assert read_payload((CALL + end).encode()).messages
    assert read_payload(CALL.replace(",", ",\r\n").encode()).messages


def test_a_key_twice_in_arguments_keeps_its_id() -> None:
    """The message is read, so that the refusal has an id; the arguments are a fault of the call."""
    text = CALL.replace('{"a":1}', '{"a":1,"a":2}')
    assert read_payload(text.encode()).messages[0].id == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(CALL.encode(), id="plain"),
        pytest.param(f"[{CALL}]".encode(), id="batch"),
        pytest.param(b"\xef\xbb\xbf" + CALL.encode(), id="bom"),
        pytest.param(CALL.replace('"method"', '"method":"x","method"').encode(), id="twice-last"),
        pytest.param(
            CALL.replace('"params"', '"METHOD":"x","method":"y","params"').encode(),
            id="twice-first",
        ),
        pytest.param(CALL.encode("utf-16"), id="utf-16"),
        pytest.param(CALL.encode("utf-16-le"), id="utf-16-le"),
        pytest.param(CALL.encode("utf-32-be"), id="utf-32"),
        pytest.param(CALL.replace("method", "M\\u0065thod").encode(), id="escaped-key"),
        pytest.param(CALL.replace("tools/call", "tools\\/call").encode(), id="escaped-slash"),
        pytest.param(CALL.replace("tools/call", "TOOLS/CALL").encode(), id="upper"),
        pytest.param((CALL + "\n" + CALL).encode(), id="two-lines"),
        pytest.param((CALL[:-1] + ",}").encode(), id="trailing-comma"),
        pytest.param(("{/* x */" + CALL[1:]).encode(), id="comment"),
        pytest.param(CALL.replace('"jsonrpc":"2.0",', "").encode(), id="no-version"),
        pytest.param(b'{"jsonrpc":"2.0","method":"notifications/cancelled"}', id="note"),
    ],
)
def test_looks_like_mcp(body: bytes) -> None:
    """What some lenient server reads as a message is seen as one."""
    assert detect.looks_like(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[]}', id="other-rpc"),
        pytest.param(b'{"method":"card","amount":3}', id="form"),
        pytest.param(b'{"text":"say \\"method\\": \\"tools/call\\""}', id="in-a-string"),
        pytest.param(b"tools/call is a method", id="prose"),
        pytest.param(b"\x00\x01method", id="binary"),
    ],
)
def test_looks_like_something_else(body: bytes) -> None:
    """Other traffic is left alone."""
    assert not detect.looks_like(body)


@pytest.mark.parametrize(
    ("headers", "agrees"),
    [
        pytest.param([], True, id="none"),
        pytest.param([("Mcp-Method", "tools/call"), ("Mcp-Name", "t")], True, id="both"),
        pytest.param([("mcp-name", "=?base64?dA==?=")], True, id="base64"),
        pytest.param([("mcp-method", "tools/list")], False, id="other-method"),
        pytest.param([("mcp-method", "tools/call"), ("mcp-name", "u")], False, id="other-name"),
        pytest.param([("mcp-name", "t"), ("Mcp-Name", "t")], False, id="twice"),
        pytest.param([("mcp-name", "=?base64?x?=")], False, id="broken-base64"),
    ],
)
def test_routing_headers(headers: list[tuple[str, str]], agrees: bool) -> None:
    """A gateway routes by the headers, so they must say what the body says."""
    payload = read_payload(CALL.encode())
    if agrees:
        detect.check_headers(payload, headers)
    else:
        with pytest.raises(WireError):
            detect.check_headers(payload, headers)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param({}, None, id="old"),
        pytest.param({"_meta": {messages.VERSION_KEY: "2025-11-25"}}, None, id="handshake"),
        pytest.param({"_meta": {messages.VERSION_KEY: "2026-07-28"}}, "complete", id="modern"),
    ],
)
def test_refused_result(params: dict[str, Any], expected: str | None) -> None:
    """A refusal is a failed result in the shape of the revision that asked."""
    document = json.loads(CALL)
    document["params"] |= params
    message = read_payload(json.dumps(document).encode()).messages[0]
    made = json.loads(messages.refused_result(message, "no"))
    assert made["id"] == 1
    assert made["result"]["isError"] is True
    assert made["result"]["content"] == [{"type": "text", "text": "no"}]
    assert made["result"].get("resultType") == expected
