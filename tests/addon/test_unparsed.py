"""Traffic with models that no codec reads: found by host, path and body, and put before the rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from mitmproxy import http
from mitmproxy.connection import ConnectionState

from proxy.addon.exchange import Exchange
from proxy.addon.stream import MARK, PASS
from tests.conftest import BENCH_RULES

if TYPE_CHECKING:
    from tests.addon.conftest import MakeLine
    from tests.conftest import MakeBench

type MakeRequest = Callable[..., http.Request]

CHAT = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
OPENAI, ANTHROPIC = "https://api.openai.com", "https://api.anthropic.com"
GEMINI = "https://generativelanguage.googleapis.com"


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        pytest.param("POST", OPENAI + "/v1/threads/new/api", b"{}", id="unknown-endpoint"),
            pytest.param("GET", OPENAI + "/v1/files/file-1/content", b"", id="contents-of-a-file"),
        pytest.param("GET", OPENAI + "/v1/%6dodels", b"", id="encoded"),
        pytest.param("GET", OPENAI + "/v1/x/../models", b"", id="dots"),
        pytest.param("GET", OPENAI + "/v1/models/..%2Ffiles%2Ff%2Fcontent", b"", id="dots-encoded"),
        pytest.param("PUT", OPENAI + "/v1/models", b"{}", id="other-method"),
        pytest.param("BREW", OPENAI + "/v1/models", b"{}", id="unknown-method"),
        pytest.param("POST", OPENAI + "/v1/batches", b"{}", id="batch"),
        pytest.param("GET", ANTHROPIC + "/v1/messages/batches/b/results", b"", id="batch-results"),
        pytest.param("POST", "http://any.example/v1/batches", b"{}", id="batch-on-any-host"),
        pytest.param("POST", "https://API.OpenAI.com./v1/new", b"{}", id="hosts-spelling"),
        pytest.param("POST", "https://eu.api.openai.com/v1/new", b"{}", id="region"),
        pytest.param("GET", "https://bedrock-agent-runtime.eu-west-1.amazonaws.com/x", b"", id="bedrock"),
        pytest.param("POST", "https://bedrock-agent-runtime.eu-west-1.amazonaws.com/agents/A/agentAliases/B/sessions/C/text", b"{}", id="bedrock-agent"),
        pytest.param("POST", "https://router.huggingface.co/hf-inference/models/o/n", b"{}", id="hugging-face-model"),
        pytest.param("POST", "https://llm.corp/v1/new", b"{}", id="named-in-the-rules"),
        pytest.param("GET", "https://a.llm.corp/v1/new", b"", id="glob-in-the-rules"),
        pytest.param("POST", "http://any.example/x", b"\xef\xbb\xbf" + CHAT, id="bom"),
        pytest.param("POST", "http://any.example/x", CHAT.decode().encode("utf-16"), id="utf-16"),
        pytest.param("POST", "http://any.example/x", CHAT.decode().encode("utf-16-be"), id="utf-16-be"),
        pytest.param("POST", "http://any.example/x", CHAT.decode().encode("utf-32"), id="utf-32"),
        pytest.param("POST", "http://any.example/x", b"//\n" + CHAT, id="comment"),
        pytest.param("POST", "http://any.example/x", CHAT[:-1] + b",}", id="trailing-comma"),
        pytest.param("POST", "http://any.example/x", CHAT + b"\n{}", id="text-behind"),
        pytest.param("POST", "http://any.example/x", CHAT[:-1] + b', "messages": 1}', id="key-twice"),
        pytest.param("POST", "http://any.example/x", CHAT.replace(b'"m"', b"NaN"), id="nan"),
        pytest.param("POST", "http://any.example/x", CHAT[:-1].replace(b"model", b"\\u006dodel") + b",}", id="escaped"),
    ],
)  # fmt: skip
async def test_what_is_unparsed_is_refused(
    make_bench: MakeBench,
    make_line: MakeLine,
    make_request: MakeRequest,
    method: str,
    url: str,
    body: bytes,
) -> None:
    """It does not go up; the client reads why, and one record says what it was."""
    bench = make_bench(BENCH_RULES + "model_hosts: [llm.corp, '*.llm.corp']\n", folder="own")
    line = make_line(bench)
    await line.ask(make_request(method, url, body))
    assert not line.reached_server
    assert line.status == 403
    assert "unparsed" in json.dumps(json.loads(line.body))
    (record,) = bench.records("decision")
    assert (record["call"]["kind"], record["verdict"]) == ("unparsed", "block")
    assert record["call"]["name"].startswith(method + " ")
    assert [r["rule"] for r in record["reasons"]] == ["unparsed"]


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        pytest.param("GET", OPENAI + "/v1/models", b"", id="models"),
        pytest.param("GET", OPENAI + "/v1/models/ft:gpt:org::x", b"", id="a-model"),
        pytest.param("POST", OPENAI + "/v1/embeddings", b'{"model": "m", "input": "x"}', id="embeddings"),
        pytest.param("POST", OPENAI + "/v1/moderations", b'{"model": "m", "input": "x"}', id="moderations"),
        pytest.param("POST", OPENAI + "/v1/files", b"--x", id="upload"),
        pytest.param("POST", OPENAI + "/v1/images/generations", b"{}", id="images"),
        pytest.param("DELETE", OPENAI + "/v1/files/f", b"", id="delete"),
        pytest.param("OPTIONS", OPENAI + "/v1/new", b"", id="options"),
        pytest.param("GET", ANTHROPIC + "/v1/files/f/content", b"", id="anthropic-file"),
        pytest.param("POST", "https://x.openai.azure.com/openai/deployments/d/embeddings?api-version=1", b"{}", id="azure"),
        pytest.param("GET", "https://openrouter.ai/api/v1/models", b"", id="openrouter"),
        pytest.param("GET", "https://openrouter.ai/docs/x", b"", id="a-page-for-people"),
        pytest.param("POST", ANTHROPIC + "/v1/messages/count_tokens", b"{}", id="count-tokens"),
        pytest.param("POST", ANTHROPIC + "/api/event_logging/batch", b"{}", id="telemetry"),
        pytest.param("GET", ANTHROPIC + "/api/oauth/profile", b"", id="oauth"),
        pytest.param("POST", GEMINI + "/v1beta/models/g:countTokens", b"{}", id="gemini-tokens"),
        pytest.param("POST", GEMINI + "/upload/v1beta/files", b"{}", id="gemini-upload"),
        pytest.param("POST", GEMINI + "/v1beta/fileSearchStores", b"{}", id="gemini-store"),
        pytest.param("POST", GEMINI + "/upload/v1beta/fileSearchStores/s-1:uploadToFileSearchStore", b"x", id="gemini-store-upload"),
        pytest.param("GET", GEMINI + "/v1beta/fileSearchStores/s-1/upload/operations/o-1", b"", id="gemini-store-operation"),
        pytest.param("POST", "https://bedrock-agent-runtime.eu-west-1.amazonaws.com/knowledgebases/K/retrieve", b"{}", id="bedrock-passages"),
        pytest.param("POST", "https://api.cohere.com/v1/generate", b'{"model": "m", "prompt": "x"}', id="cohere-generate"),
        pytest.param("GET", "https://ollama.com/api/tags", b"", id="ollama-models"),
        pytest.param("POST", "https://router.huggingface.co/hf-inference/models/o/n/pipeline/feature-extraction", b"{}", id="hugging-face-task"),
        pytest.param("GET", "http://any.example/v1/new", b"", id="another-host"),
        pytest.param("POST", "http://any.example/x", b'{"model": "car", "tools": 3}', id="other-json"),
        pytest.param("POST", "http://any.example/x", b"model: messages", id="text"),
        pytest.param("POST", "http://notapi.openai.com.evil.example/x", b"{}", id="a-like-name"),
    ],
)  # fmt: skip
async def test_what_brings_no_call_passes(
    make_line: MakeLine,
    bench: object,
    make_request: MakeRequest,
    method: str,
    url: str,
    body: bytes,
) -> None:
    """Lists, numbers, pictures and the rest of the web."""
    line = make_line()
    await line.ask(make_request(method, url, body))
    assert line.reached_server
    assert line.stream.flow.metadata[MARK] == PASS


@pytest.mark.parametrize(
    "headers",
    [{"host": "api.openai.com"}, {"x-http-method-override": "POST", "host": "api.openai.com"}],
    ids=["host-header", "method-override"],
)
async def test_a_models_host_under_another_name(
    make_line: MakeLine, make_request: MakeRequest, headers: dict[str, str]
) -> None:
    """The Host header counts as well as the address that is connected to."""
    line = make_line()
    path = "/v1/new" if len(headers) == 1 else "/v1/models"
    await line.ask(make_request("GET", "http://10.0.0.1" + path, b"", headers))
    assert (line.status, line.reached_server) == (403, False)


async def test_a_models_body_on_an_unknown_path_is_gated(
    make_line: MakeLine, make_request: MakeRequest
) -> None:
    """What the sniffer reads is no unparsed traffic: its answer is judged."""
    line = make_line()
    await line.ask(make_request("POST", OPENAI + "/v9/new", CHAT))
    assert isinstance(line.stream.flow.metadata[MARK], Exchange)


@pytest.mark.parametrize(
    ("url", "shape"),
    [
        (OPENAI + "/v1/new", "openai"),
        (ANTHROPIC + "/v1/new", "anthropic"),
        ("http://any.example/v1/batches", "problem"),
    ],
)
async def test_the_refusal_is_in_the_apis_shape(
    make_line: MakeLine, make_request: MakeRequest, url: str, shape: str
) -> None:
    """An SDK raises it with the text; where the API is not known it is a problem document."""
    line = make_line()
    await line.ask(make_request("POST", url, b"{}"))
    body = json.loads(line.body)
    if shape == "problem":
        assert body["type"] == "urn:checkrein:problem:call-refused"
        assert body["checkrein"]["retry"] == "never"
    else:
        assert "unparsed" in body["error"]["message"]
        assert (body.get("type") == "error") is (shape == "anthropic")


async def test_allow_passes_and_is_on_record(
    make_bench: MakeBench, make_line: MakeLine, make_request: MakeRequest
) -> None:
    """The operator's word lets it pass; what it was stands in the log."""
    bench = make_bench(BENCH_RULES + "unparsed: allow\n", folder="own")
    line = make_line(bench)
    await line.ask(make_request("POST", OPENAI + "/v1/new", b"{}"))
    assert line.reached_server
    assert [r["verdict"] for r in bench.records("decision")] == ["allow"]


async def test_hold_asks_a_human_for_exactly_this(
    make_bench: MakeBench, make_line: MakeLine, make_request: MakeRequest
) -> None:
    """It waits; after the yes it goes up, and another body under the same path does not."""
    bench = make_bench(BENCH_RULES + "unparsed: hold\n", folder="own", hold_wait_s=0.0)
    first = make_line(bench)
    first.context.client.state = ConnectionState.OPEN
    await first.ask(make_request("POST", OPENAI + "/v1/new", b'{"a": 1}'))
    assert (first.status, first.reached_server) == (403, False)
    (hold,) = await bench.pipeline.desk.list()
    await bench.pipeline.desk.approve(hold.id, by="ops")
    for body, reached in ((b'{"a": 2}', False), (b'{"a": 1}', True), (b'{"a": 1}', False)):
        line = make_line(bench)
        line.context.client.state = ConnectionState.OPEN
        await line.ask(make_request("POST", OPENAI + "/v1/new", body))
        assert line.reached_server is reached


async def test_a_held_request_waits_for_its_answer(
    make_bench: MakeBench, make_line: MakeLine, make_request: MakeRequest
) -> None:
    """Within the wait the client is not told to come again: it is answered by the server."""
    bench = make_bench(BENCH_RULES + "unparsed: hold\n", folder="own", hold_wait_s=20.0)
    line = make_line(bench)
    line.context.client.state = ConnectionState.OPEN
    async with asyncio.TaskGroup() as group:
        group.create_task(line.ask(make_request("POST", OPENAI + "/v1/new", b"{}")))
        while bench.pipeline.room.count() == 0:  # noqa: ASYNC110  # the room tells nobody
            await asyncio.sleep(0)
        (hold,) = await bench.pipeline.desk.list()
        await bench.pipeline.desk.approve(hold.id, by="ops")
    assert line.reached_server


async def test_shadow_passes_and_tells(
    make_bench: MakeBench, make_line: MakeLine, make_request: MakeRequest
) -> None:
    """Shadow mode lets it pass and says what would have been."""
    bench = make_bench(folder="own", shadow=True)
    line = make_line(bench)
    await line.ask(make_request("POST", OPENAI + "/v1/new", b"{}"))
    assert line.reached_server
    assert [r["would"] for r in bench.records("decision")] == ["block"]
