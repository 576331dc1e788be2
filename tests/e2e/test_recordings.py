"""Every recorded exchange through a running proxy: from a server's bytes to a vendor's own SDK.

The recordings are not part of the project (`../shared/data`): without them this file is skipped.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.e2e.conftest import Proxy
from tests.e2e.test_encodings import RawReply, RawUpstream, make_proxy

pytestmark = pytest.mark.e2e

WIRE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "wire"
FORMATS = ("openai.chat", "openai.responses", "anthropic.messages")
CALLS = {"tool_use", "function_call", "custom_tool_call", "local_shell_call", "computer_call"}


def _rows(name: str) -> list[dict[str, Any]]:
    path = WIRE / name
    if not path.exists():
        return []
    return [json.loads(one) for one in path.read_text(encoding="utf-8").splitlines()]


ORACLE = {row["id"]: row for row in _rows("wire_dev.oracle.jsonl")}
ROWS = [row for row in _rows("wire_dev.jsonl") if row["provider_format"] in FORMATS]
PARAMS: list[Any] = [pytest.param(row, id=row["id"]) for row in ROWS] or [
    pytest.param(None, id="absent", marks=pytest.mark.skip(reason="shared/data/wire is not here"))
]
each_recording = pytest.mark.parametrize("row", PARAMS)
# The raw upstream frames the bodies itself, and sends them plain.
LEFT_OUT = {"connection", "content-length", "transfer-encoding", "content-encoding", "date"}


def reply_of(row: dict[str, Any]) -> RawReply:
    """Returns the recorded answer, streams cut at random positions, the same at every run."""
    body = row["response_body"].encode()
    headers = {k: v for k, v in row["response_headers"].items() if k.lower() not in LEFT_OUT}
    if not row["streaming"]:
        return RawReply(headers, [body], chunked=False, status=row["response_status"])
    chance = random.Random(row["id"])  # noqa: S311 - the same splits at every run
    pieces, at = [], 0
    while at < len(body):
        size = chance.randint(1, 300)
        pieces.append(body[at : at + size])
        at += size
    return RawReply(headers, pieces, chunked=True, status=row["response_status"])


def _running(folder: Path, unmapped: str) -> Iterator[Proxy]:
    with RawUpstream({row["id"]: reply_of(row) for row in ROWS}) as upstream:
        rules = f"version: 1\npack: all\nunmapped: {unmapped}\n"
        proxy = make_proxy(folder, rules, "--upstream", upstream.url).start()
        yield proxy
        proxy.stop()


@pytest.fixture(scope="module")
def allowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    yield from _running(tmp_path_factory.mktemp("allowing"), "allow")


@pytest.fixture(scope="module")
def blocking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    yield from _running(tmp_path_factory.mktemp("blocking"), "block")


def _headers(row: dict[str, Any]) -> dict[str, str]:
    return {"x-checkrein-session": row["id"], "x-exchange": row["id"]}


def _decided(proxy: Proxy, row: dict[str, Any]) -> list[dict[str, Any]]:
    return [r for r in proxy.records("decision") if r["session"].endswith(row["id"])]


@each_recording
def test_allowed(allowing: Proxy, row: dict[str, Any]) -> None:
    """The recorded request gets the recorded bytes; the log has the calls the oracle lists."""
    url = httpx.URL(row["url"].partition("#")[0])
    headers = _headers(row) | {"content-type": "application/json"}
    with httpx.Client(base_url=allowing.url, trust_env=False, timeout=30) as client:
        path, content = url.raw_path.decode(), row["request_body"].encode()
        answer = client.request(row["method"], path, content=content, headers=headers)
    assert answer.status_code == row["response_status"]
    assert answer.content == row["response_body"].encode()
    oracle, decided = ORACLE[row["id"]], _decided(allowing, row)
    mine = [r["call"] for r in decided if r["call"]["executor"] == "client"]
    # An approval request is the client's to answer, though the provider would run the call.
    approvals = [c for c in mine if c["kind"] == "mcp_approval_request"]
    seen = [(c["id"], c["name"], c["args"]) for c in mine if c not in approvals]
    assert seen == [(c["id"], c["name"], c["arguments"] or {}) for c in oracle["calls"]]
    theirs = [r["call"] for r in decided if r["call"]["executor"] == "provider"] + approvals
    assert [c["name"] for c in theirs] == [c["name"] for c in oracle["server_calls"]]
    for call, listed in zip(theirs, oracle["server_calls"], strict=True):
        assert call["id"] == listed["id"]
        if listed["arguments_raw"] is not None:
            assert call["args"] == json.loads(listed["arguments_raw"])


@each_recording
def test_blocked(blocking: Proxy, row: dict[str, Any]) -> None:
    """The vendor's SDK reads the answer, and finds none of its calls; the log blocks each."""
    kinds, calls = _ask_by_sdk(blocking, row)
    assert not kinds & CALLS
    assert calls == 0
    decided = _decided(blocking, row)
    blocked = [r["call"]["id"] for r in decided if r["verdict"] == "block"]
    for listed in ORACLE[row["id"]]["calls"]:
        assert listed["id"] in blocked


def _ask_by_sdk(proxy: Proxy, row: dict[str, Any]) -> tuple[set[str], int]:
    """Returns the kinds of items or blocks an SDK shows, and how many Chat calls."""
    made: dict[str, Any] = {"api_key": "none", "max_retries": 0, "default_headers": _headers(row)}
    stream = row["streaming"]
    options: dict[str, Any] = {"trust_env": False, "timeout": 30}
    kinds: set[str] = set()
    calls = 0
    if row["provider_format"] == "anthropic.messages":
        http = anthropic.DefaultHttpxClient(**options)
        with anthropic.Anthropic(**made, base_url=proxy.url, http_client=http) as claude:
            api: Any = claude.messages
            asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
            if not stream:
                return {block.type for block in api.create(**asked).content}, 0
            with api.create(**asked, stream=True) as events:
                for event in events:
                    if event.type == "content_block_start":
                        kinds.add(event.content_block.type)
            return kinds, 0
    http = openai.DefaultHttpxClient(**options)
    with openai.OpenAI(**made, base_url=proxy.url + "/v1", http_client=http) as client:
        if row["provider_format"] == "openai.responses":
            api = client.responses
            if not stream:
                return {item.type for item in api.create(model="m", input="x").output}, 0
            with api.create(model="m", input="x", stream=True) as events:
                for event in events:
                    items = [event.item] if hasattr(event, "item") else []
                    items += event.response.output if hasattr(event, "response") else []
                    kinds |= {item.type for item in items}
            return kinds, 0
        api = client.chat.completions
        said = [{"role": "user", "content": "x"}]
        if not stream:
            parts = [choice.message for choice in api.create(model="m", messages=said).choices]
        else:
            with api.create(model="m", messages=said, stream=True) as events:
                parts = [choice.delta for chunk in events for choice in chunk.choices]
        calls = sum(len(part.tool_calls or ()) + bool(part.function_call) for part in parts)
        return kinds, calls
