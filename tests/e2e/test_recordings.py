"""Every recorded exchange through a running proxy: from a server's bytes to a vendor's own SDK.

Each answer is sent plain and compressed, streams cut at random. With `unmapped: allow` the client
must get the recorded bytes and the log the calls that an independent reading of the recording found;
with `unmapped: block` the vendor's SDK must find no call in what the client got, and must be able to
read it. The recordings are not part of the project (`../shared/data`): without them this is skipped.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Proxy
from tests.e2e.test_encodings import RawReply, RawUpstream, make_proxy
from tests.fuzz.sdk_readers import READERS, Answer, read_whole

pytestmark = pytest.mark.e2e

WIRE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "wire"


def _rows(name: str) -> list[dict[str, Any]]:
    path = WIRE / name
    if not path.exists():
        return []
    return [json.loads(one) for one in path.read_text(encoding="utf-8").splitlines()]


ORACLE = {row["id"]: row for row in _rows("wire_dev.oracle.jsonl")}
ROWS = _rows("wire_dev.jsonl")
PARAMS: list[Any] = [pytest.param(row, id=row["id"]) for row in ROWS] or [
    pytest.param(None, id="absent", marks=pytest.mark.skip(reason="shared/data/wire is not here"))
]
each_recording = pytest.mark.parametrize("row", PARAMS)
each_encoding = pytest.mark.parametrize("encoding", ["plain", "gzip"])
# The raw upstream frames the bodies itself.
LEFT_OUT = {"connection", "content-length", "transfer-encoding", "content-encoding", "date"}


def body_of(row: dict[str, Any], side: str) -> bytes:
    text: str = row[f"{side}_body"] or ""
    return base64.b64decode(text) if row[f"{side}_body_b64"] else text.encode()


def api_of(row: dict[str, Any]) -> str:
    known: str = row["subformat"] if row["subformat"] in READERS else row["provider_format"]
    return known


def reply_of(row: dict[str, Any], encoding: str) -> RawReply:
    """Returns the recorded answer, streams cut at random positions, the same at every run."""
    body = body_of(row, "response")
    headers = {k: v for k, v in row["response_headers"].items() if k.lower() not in LEFT_OUT}
    if encoding == "gzip":
        body = gzip.compress(body, mtime=0)
        headers["content-encoding"] = "gzip"
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
    replies = {
        f"{row['id']}-{encoding}": reply_of(row, encoding)
        for row in ROWS
        for encoding in ("plain", "gzip")
    }
    with RawUpstream(replies) as upstream:
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


def _decided(proxy: Proxy, row: dict[str, Any], encoding: str) -> list[dict[str, Any]]:
    name = f"{row['id']}-{encoding}"
    return [r for r in proxy.records("decision") if r["session"].endswith(name)]


def _ask(proxy: Proxy, row: dict[str, Any], encoding: str) -> httpx.Response:
    name = f"{row['id']}-{encoding}"
    url = httpx.URL(row["url"].partition("#")[0])
    headers = {"x-checkrein-session": name, "x-exchange": name, "content-type": "application/json"}
    with httpx.Client(base_url=proxy.url, trust_env=False, timeout=30) as client:
        path, content = url.raw_path.decode(), body_of(row, "request")
        return client.request(row["method"], path, content=content, headers=headers)


@each_encoding
@each_recording
def test_allowed(allowing: Proxy, row: dict[str, Any], encoding: str) -> None:
    """The recorded request gets the recorded bytes; the log has the calls the oracle lists."""
    answer = _ask(allowing, row, encoding)
    assert answer.status_code == row["response_status"]
    assert answer.content == body_of(row, "response")
    oracle, decided = ORACLE[row["id"]], _decided(allowing, row, encoding)
    mine = [r["call"] for r in decided if r["call"]["executor"] == "client"]
    # An approval request is the client's to answer, though the provider would run the call.
    approvals = [c for c in mine if c["kind"] == "mcp_approval_request"]
    seen = [(c["id"], c["name"], c["args"]) for c in mine if c not in approvals]
    expected = [(c["id"], c["name"], c["arguments"] or {}) for c in oracle["calls"]]
    if any(call_id is None for call_id, _, _ in expected):  # no ids on this wire: ours are derived
        seen = [(None, *rest) for _, *rest in seen]
    assert seen == expected
    theirs = [r["call"] for r in decided if r["call"]["executor"] == "provider"] + approvals
    assert [c["name"] for c in theirs] == [c["name"] for c in oracle["server_calls"]]
    for call, listed in zip(theirs, oracle["server_calls"], strict=True):
        assert call["id"] == listed["id"]
        if listed["arguments_raw"] is not None:
            assert call["args"] == json.loads(listed["arguments_raw"])


@each_encoding
@each_recording
def test_blocked(blocking: Proxy, row: dict[str, Any], encoding: str) -> None:
    """The vendor's SDK reads what is left of the answer and finds no call; the log blocks each."""
    answer = _ask(blocking, row, encoding)
    left = Answer(
        answer.content,
        answer.headers.get("content-type", ""),
        row["streaming"],
        answer.status_code,
    )
    came = Answer(body_of(row, "response"), left.content_type, left.stream, row["response_status"])
    if api_of(row) in READERS:
        served = {c["name"] for c in ORACLE[row["id"]]["server_calls"]}
        calls, error = read_whole(api_of(row), left)
        assert not [name for name in calls if name not in served]
        assert error == read_whole(api_of(row), came)[1]  # an SDK may fail on the recording itself
    decided = _decided(blocking, row, encoding)
    blocked = [r["call"]["name"] for r in decided if r["verdict"] == "block"]
    for listed in ORACLE[row["id"]]["calls"]:
        assert listed["name"] in blocked
