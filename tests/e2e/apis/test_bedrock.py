"""boto3 and AnthropicBedrock through the proxy: each operation, each verdict, and the turn behind it.

Signed requests (SigV4) go through a forward proxy and leave as they came, so the refused call stays
out of the history; with a bearer token it is put back with a failed result. The upstream rejects what
Bedrock rejects.
"""

from __future__ import annotations

import itertools
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import boto3
import pytest
import trustme
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from tests.e2e.conftest import Proxy
from tests.e2e.test_sdk_verdicts import TlsRelay, make_proxy
from tests.upstreams.bedrock import LEAD, SECRET, Bedrock

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("bedrock")]

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
TOOLS = {"ALLOW": "look_up", "BLOCK": "forbidden", "HOLD": "refund_order"}
SCHEMA = {"type": "object", "properties": {"order_id": {"type": "string"}}}
OPERATIONS = ("converse", "converse_stream", "invoke_model", "invoke_model_with_response_stream")
_numbers = itertools.count()

type Connect = Callable[[str, str], Any]


def script(word: str) -> list[dict[str, Any]]:
    """Asks for the tools that the user's words stand for."""
    arguments = {"order_id": "A-1", "amount": 150}
    return [
        {
            "toolUse": {
                "toolUseId": f"tooluse_{next(_numbers)}_{n}",
                "name": TOOLS[one],
                "input": arguments,
            }
        }
        for n, one in enumerate(word.split())
    ]


@dataclass(frozen=True, slots=True)
class Line:
    proxy: Proxy
    upstream: Bedrock
    url: str


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    folder = Path(tmp_path_factory.mktemp("bedrock"))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "upstream-ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    port = int(urlsplit((upstream := Bedrock(script)).url).port or 0)
    with upstream, TlsRelay(port, context) as relay:
        proxy = make_proxy(folder, "--trust-ca", str(folder / "upstream-ca.pem")).start()
        yield Line(proxy, upstream, f"https://127.0.0.1:{relay.port}")
        proxy.stop()


@pytest.fixture
def connect(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Makes boto3 clients as agents do: by keys, or by a bearer token."""
    made: list[Any] = []

    def client(auth: str, session: str) -> Any:
        keys: dict[str, str] = {}
        if auth == "bearer":
            monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-dummy")
        else:
            monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
            keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": SECRET}
        made.append(
            boto3.client(
                "bedrock-runtime",
                region_name="us-east-1",
                endpoint_url=line.url,
                verify=str(line.proxy.ca),
                config=Config(
                    proxies={"https": line.proxy.credential(session)},
                    retries={"total_max_attempts": 1},
                    read_timeout=60,
                ),
                **keys,
            )
        )
        return made[-1]

    yield client
    for one in made:
        one.close()


def converse(client: Any, operation: str, messages: list[Any]) -> tuple[list[Any], str]:
    """One turn by Converse; returns the blocks and the stop reason."""
    specs = [{"toolSpec": {"name": n, "inputSchema": {"json": SCHEMA}}} for n in TOOLS.values()]
    asked = {"modelId": MODEL, "messages": messages, "toolConfig": {"tools": specs}}
    if operation == "converse":
        answer = client.converse(**asked)
        return answer["output"]["message"]["content"], answer["stopReason"]
    blocks: dict[int, Any] = {}
    stop = ""
    for event in client.converse_stream(**asked)["stream"]:
        if "contentBlockStart" in event:
            start = event["contentBlockStart"]
            use = {**start["start"]["toolUse"], "input": ""}
            blocks[start["contentBlockIndex"]] = {"toolUse": use}
        elif "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]["delta"]
            block = blocks.setdefault(event["contentBlockDelta"]["contentBlockIndex"], {})
            if "toolUse" in delta:
                block["toolUse"]["input"] += delta["toolUse"]["input"]
            else:
                block["text"] = block.get("text", "") + delta["text"]
        elif "messageStop" in event:
            stop = event["messageStop"]["stopReason"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return [blocks[n] for n in sorted(blocks)], stop


def invoke(client: Any, operation: str, messages: list[Any]) -> tuple[list[Any], str]:
    """One turn by InvokeModel, in Claude's own form."""
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": messages,
        "tools": [{"name": n, "input_schema": SCHEMA} for n in TOOLS.values()],
    }
    answer = getattr(client, operation)(modelId=MODEL, body=json.dumps(body))
    if operation == "invoke_model":
        document = json.loads(answer["body"].read())
        return document["content"], document["stop_reason"]
    blocks: list[Any] = []
    stop = ""
    for event in answer["body"]:
        chunk = json.loads(event["chunk"]["bytes"])
        if chunk["type"] == "content_block_start":
            blocks.append(chunk["content_block"] | {"json": ""})
        elif chunk["type"] == "content_block_delta":
            blocks[chunk["index"]]["json"] += chunk["delta"].get("partial_json", "")
            if "text" in chunk["delta"]:
                blocks[chunk["index"]]["text"] += chunk["delta"]["text"]
        elif chunk["type"] == "message_delta":
            stop = chunk["delta"]["stop_reason"]
    for block in blocks:
        text = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(text)
    return blocks, stop


def turn(client: Any, operation: str, messages: list[Any]) -> tuple[list[Any], str]:
    return (converse if "converse" in operation else invoke)(client, operation, messages)


def said(operation: str, text: str) -> dict[str, Any]:
    block = {"text": text} if "converse" in operation else {"type": "text", "text": text}
    return {"role": "user", "content": [block]}


def calls(blocks: list[Any]) -> list[tuple[str, str]]:
    """The calls that an agent finds, as (id, name)."""
    made = [(b["toolUse"]["toolUseId"], b["toolUse"]["name"]) for b in blocks if "toolUse" in b]
    return made + [(b["id"], b["name"]) for b in blocks if b.get("type") == "tool_use"]


def results(operation: str, blocks: list[Any]) -> list[dict[str, Any]]:
    if "converse" in operation:
        return [
            {"toolResult": {"toolUseId": call_id, "content": [{"json": {"ok": True}}]}}
            for call_id, _ in calls(blocks)
        ]
    return [
        {"type": "tool_result", "tool_use_id": call_id, "content": "ok"}
        for call_id, _ in calls(blocks)
    ]


def go_on(operation: str, messages: list[Any], blocks: list[Any]) -> list[Any]:
    """The history of the next turn, as an agent writes it: results, or a word where there are none."""
    content = results(operation, blocks) or said(operation, "Go on.")["content"]
    return [
        *messages,
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": content},
    ]


@pytest.mark.parametrize("auth", ["sigv4", "bearer"])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("case", ["allow", "block", "approve", "deny"])
def test_each_verdict_and_the_turn_behind_it(
    line: Line, connect: Connect, auth: str, operation: str, case: str
) -> None:
    client = connect(auth, f"{auth}-{operation}-{case}")
    word = {"allow": "ALLOW", "block": "BLOCK"}.get(case, "HOLD")
    messages = [said(operation, word)]
    before = len(line.upstream.rejections)
    human = None
    if word == "HOLD":
        verb = "approve" if case == "approve" else "deny"
        human = threading.Thread(target=line.proxy.answer, args=(verb,), kwargs={"reason": "no"})
        human.start()
    blocks, stop = turn(client, operation, messages)
    if human is not None:
        human.join(30)
    passes = case in ("allow", "approve")
    assert [name for _, name in calls(blocks)] == ([TOOLS[word]] if passes else [])
    assert stop == ("tool_use" if passes else "end_turn")
    assert blocks[0]["text"] == LEAD
    if not passes:
        assert "checkrein" in blocks[1]["text"]
    last, stop = turn(client, operation, go_on(operation, messages, blocks))
    assert (last[0]["text"], stop) == ("All done.", "end_turn")
    assert line.upstream.rejections[before:] == []
    history = json.dumps(line.upstream.bodies[-1]["messages"])
    put_back = auth == "bearer" and not passes
    assert (f'"name": "{TOOLS[word]}"' in history) == (passes or put_back)
    if put_back:
        assert '"status": "error"' in history or '"is_error": true' in history


@pytest.mark.parametrize("auth", ["sigv4", "bearer"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_of_two_is_refused(line: Line, connect: Connect, auth: str, operation: str) -> None:
    client = connect(auth, f"two-{auth}-{operation}")
    messages = [said(operation, "ALLOW BLOCK")]
    before = len(line.upstream.rejections)
    blocks, stop = turn(client, operation, messages)
    assert ([name for _, name in calls(blocks)], stop) == (["look_up"], "tool_use")
    last, _ = turn(client, operation, go_on(operation, messages, blocks))
    assert last[0]["text"] == "All done."
    assert line.upstream.rejections[before:] == []


@pytest.mark.parametrize("stream", [False, True], ids=["create", "stream"])
@pytest.mark.parametrize("word", ["ALLOW", "BLOCK", "ALLOW BLOCK"])
@pytest.mark.parametrize("auth", ["sigv4", "bearer"])
def test_anthropics_own_client(
    line: Line, monkeypatch: pytest.MonkeyPatch, auth: str, word: str, stream: bool
) -> None:
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    proxy = line.proxy.credential(f"anthropic-{auth}-{word}-{stream}")
    keys: dict[str, Any] = {"api_key": "bedrock-api-key-dummy"}
    if auth == "sigv4":
        keys = {"aws_access_key": "AKIDEXAMPLE", "aws_secret_key": SECRET}
    trusted = ssl.create_default_context(cafile=str(line.proxy.ca))
    http_client = anthropic.DefaultHttpxClient(
        trust_env=False, proxy=proxy, timeout=60, verify=trusted
    )
    with anthropic.AnthropicBedrock(
        aws_region="us-east-1",
        base_url=line.url,
        max_retries=0,
        http_client=http_client,
        **keys,
    ) as client:
        asked: Any = {
            "model": MODEL,
            "max_tokens": 100,
            "messages": [{"role": "user", "content": word}],
            "tools": [{"name": n, "input_schema": SCHEMA} for n in TOOLS.values()],
        }
        if stream:
            with client.messages.stream(**asked) as events:
                message = events.get_final_message()
        else:
            message = client.messages.create(**asked)
    uses = [block.name for block in message.content if block.type == "tool_use"]
    assert uses == (["look_up"] if "ALLOW" in word else [])
    assert message.stop_reason == ("tool_use" if uses else "end_turn")


def test_a_refused_request_is_raised_with_words(connect: Connect) -> None:
    """A refused request is a ClientError, with our text, from `__type` and `message`."""
    client = connect("bearer", "errors")
    with pytest.raises(ClientError) as caught:
        client.invoke_model(modelId=MODEL, body=b"[]")
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert "expected an object" in str(caught.value)


def test_a_stream_that_cannot_be_read_raises(
    line: Line, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame with a wrong checksum ends the stream in the error that boto3 raises."""
    client = connect("bearer", "damaged")
    monkeypatch.setattr(line.upstream, "damages", True)
    stream = client.converse_stream(modelId=MODEL, messages=[said("converse", "ALLOW")])["stream"]
    seen: list[Any] = []
    with pytest.raises(EventStreamError, match="ChecksumMismatch"):
        seen.extend(stream)
    stream.close()
    assert "toolUse" not in json.dumps(seen)
