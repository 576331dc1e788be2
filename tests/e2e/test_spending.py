"""Budgets over the model itself, with the vendors' own SDKs: what is reserved, refused, settled.

Each case has a session of its own by a minted credential; the upstream is the strict scripted model, or a
server that fails as told. What an agent reads is what its SDK raises.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anthropic
import httpx
import openai
import pytest
from websockets.exceptions import ConnectionClosed

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import Turn
from proxy.pipeline.outlay import DEFAULT_OUTPUT_TOKENS
from tests.e2e.conftest import Proxy, StartProxy
from tests.upstreams.realtime import RealtimeUpstream

pytestmark = pytest.mark.e2e

LEAD = "The parcel is on its way and arrives tomorrow before noon."


def rules(budget: str, more: str = "") -> str:
    return f"version: 1\npack: cost\ntools: []\nbudgets:\n  - {budget}\n{more}unmapped: allow\n"


TOKENS = "{name: words, of: tokens.output, sum: tokens, limit: 100, per: session, on_exceed: block}"
HELD = "{name: words, of: tokens.output, sum: tokens, limit: 100, per: session, on_exceed: hold}"
MONEY = "{name: money, of: spend, sum: USD, limit: 0.01, per: session, on_exceed: block}"


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(lambda history: Turn(LEAD)) as running:
        yield running


def chat(proxy: Proxy, retries: int = 2) -> openai.OpenAI:
    return openai.OpenAI(base_url=proxy.url + "/v1", api_key="k", max_retries=retries)


def claude(proxy: Proxy) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=proxy.url, api_key="k")


def ask_chat(client: openai.OpenAI, word: str = "hi", **more: Any) -> Any:
    options: dict[str, Any] = {"model": "gpt-5", "max_completion_tokens": 40} | more
    return client.chat.completions.create(messages=[{"role": "user", "content": word}], **options)


def ask_claude(client: anthropic.Anthropic, word: str = "hi") -> Any:
    return client.messages.create(
        model="claude-haiku-4-5", max_tokens=40, messages=[{"role": "user", "content": word}]
    )


def settled(proxy: Proxy, count: int = 1) -> dict[str, Any]:
    """Returns (state, by what, amount) of the newest settlements, by kind, once there are so many."""
    give_up = time.monotonic() + 10
    while len(proxy.records("settlement")) < count and time.monotonic() < give_up:
        time.sleep(0.05)
    made: dict[str, Any] = {}
    for record in proxy.records("settlement"):
        for effect in record["effects"]:
            amount = Decimal(str(effect["amount"]))
            made[effect["kind"]] = (record["state"], record["by"], amount)
    assert len(proxy.records("settlement")) >= count, proxy.records()
    return made


def decisions(proxy: Proxy) -> list[str]:
    """Returns the verdicts on model requests, in order."""
    return [r["verdict"] for r in proxy.records("decision") if r["call"]["kind"] == "model_request"]


class Upstream(ThreadingHTTPServer):
    """Answers each POST by the next of its replies; what it was asked is counted."""

    def __init__(self, *replies: tuple[int, str, bytes, bool]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = list(replies)
        self.asked = 0
        self.go_on = threading.Event()  # a reply that is cut waits for it with its second half
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        status, kind, body, whole = self.server.replies[self.server.asked]
        self.server.asked += 1
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body) + (0 if whole else 100)))
        self.end_headers()
        self.wfile.write(body)
        if not whole:
            self.wfile.flush()
            self.server.go_on.wait(10)
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


ANSWER = json.dumps(
    {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-5",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }
).encode()
ERROR = json.dumps({"error": {"message": "no", "type": "server_error"}}).encode()
JSON, SSE = "application/json", "text/event-stream"


def chunks(*texts: str) -> bytes:
    made = b""
    for text in texts:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5"}
        made += b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"
    return made


# --- a budget stops --------------------------------------------------------------------------------


def test_a_budget_of_tokens_stops_the_openai_sdk_once(
    model: ScriptedModel, start_proxy: StartProxy
) -> None:
    """Real usage fills the budget; the request that could pass it raises once and reaches nobody."""
    proxy = start_proxy("--upstream", model.url, rules=rules(TOKENS))
    client = chat(proxy)
    used = [ask_chat(client).usage for _ in range(5)]
    real = sum(one.completion_tokens for one in used)
    assert real + 40 > 100 >= real - used[-1].completion_tokens + 40
    assert settled(proxy, 10)["tokens.output"] == ("committed", "usage", used[-1].completion_tokens)
    assert settled(proxy)["tokens.input"] == ("committed", "usage", used[-1].prompt_tokens)
    before = len(model.requests)
    with pytest.raises(openai.PermissionDeniedError) as raised:
        ask_chat(client)
    text = str(raised.value)
    assert f"Budget 'words' would reach {real + 40} of 100 tokens ({real} used)" in text
    assert len(model.requests) == before
    assert decisions(proxy) == ["allow"] * 5 + ["block"]  # the SDK did not try again


def test_a_budget_of_tokens_stops_the_anthropic_sdk_once(
    model: ScriptedModel, start_proxy: StartProxy
) -> None:
    """The same in Anthropic's words."""
    proxy = start_proxy("--upstream", model.url, rules=rules(TOKENS))
    client = claude(proxy)
    used = 0
    while used + 40 <= 100:
        used += ask_claude(client).usage.output_tokens
    with pytest.raises(anthropic.PermissionDeniedError, match="Budget 'words' would reach"):
        ask_claude(client)
    assert decisions(proxy)[-1] == "block"
    assert decisions(proxy).count("block") == 1


def test_many_answers_at_once_are_reserved_at_once(
    model: ScriptedModel, start_proxy: StartProxy
) -> None:
    """`n` answers of 40 tokens are 120, whatever each may be."""
    proxy = start_proxy("--upstream", model.url, rules=rules(TOKENS))
    before = len(model.requests)
    with pytest.raises(openai.PermissionDeniedError, match="would reach 120 of 100 tokens"):
        ask_chat(chat(proxy), n=3)
    assert len(model.requests) == before


def test_streams_settle_by_what_they_say_or_by_what_came(
    model: ScriptedModel, start_proxy: StartProxy
) -> None:
    """Chat says its usage where it is asked to, else the text is counted; Messages and Responses do."""
    proxy = start_proxy("--upstream", model.url, rules=rules(TOKENS.replace("100", "100000")))
    client = chat(proxy)
    stream = ask_chat(client, stream=True, stream_options={"include_usage": True})
    said = [chunk.usage for chunk in stream if chunk.usage]
    state = settled(proxy, 2)
    assert state["tokens.output"] == ("committed", "usage", said[0].completion_tokens)
    assert state["tokens.input"] == ("committed", "usage", said[0].prompt_tokens)

    assert LEAD in "".join(
        chunk.choices[0].delta.content or "" for chunk in ask_chat(client, stream=True)
    )
    state = settled(proxy, 4)
    assert state["tokens.output"][:2] == ("committed", "usage-estimated")
    assert abs(state["tokens.output"][2] - said[0].completion_tokens) <= 2
    assert proxy.records("settlement")[-1]["error"] == ("estimated, the provider gave no count")

    with claude(proxy).messages.stream(
        model="claude-haiku-4-5", max_tokens=40, messages=[{"role": "user", "content": "hi"}]
    ) as messages:
        final = messages.get_final_message()
    state = settled(proxy, 6)
    assert state["tokens.output"] == ("committed", "usage", final.usage.output_tokens)

    done: Any = list(client.responses.create(model="gpt-5", input="hi", stream=True))[-1]
    state = settled(proxy, 8)
    assert state["tokens.output"] == ("committed", "usage", done.response.usage.output_tokens)
    assert len(proxy.records("settlement")) == 8  # each once


def test_money_is_reserved_at_most_and_settled_exactly(
    model: ScriptedModel, start_proxy: StartProxy
) -> None:
    """A price for each token, as the table has it, in exact decimals."""
    proxy = start_proxy("--upstream", model.url, rules=rules(MONEY))
    usage = ask_chat(chat(proxy)).usage
    cost = (
        Decimal(usage.prompt_tokens) * Decimal("1.25")
        + Decimal(usage.completion_tokens) * Decimal(10)
    ) / 1_000_000
    assert settled(proxy, 3)["spend"] == ("committed", "usage", cost)
    (decided,) = proxy.records("decision")
    (spend,) = [e for e in decided["effects"] if e["kind"] == "spend"]
    assert (spend["unit"], Decimal(str(spend["amount"])) > cost) == ("USD", True)
    with pytest.raises(openai.PermissionDeniedError, match="Budget 'money' would reach"):
        ask_chat(chat(proxy), max_completion_tokens=100_000)


def test_a_model_without_a_price_is_held(model: ScriptedModel, start_proxy: StartProxy) -> None:
    """What it will cost cannot be known: a human looks, and may let it pass once."""
    proxy = start_proxy("--upstream", model.url, rules=rules(MONEY), hold_wait="1s")
    client = chat(proxy)
    with pytest.raises(openai.PermissionDeniedError, match="add it under 'model_prices:'") as held:
        ask_chat(client, model="nobody-knows-1")
    assert "waits for a human's approval" in str(held.value)
    proxy.answer("approve")
    assert ask_chat(client, model="nobody-knows-1").choices[0].message.content == LEAD
    with pytest.raises(openai.PermissionDeniedError):
        ask_chat(client, model="nobody-knows-1")


# --- held ------------------------------------------------------------------------------------------


def test_a_held_request_waits_and_passes_when_approved(
    model: ScriptedModel, start_proxy: StartProxy
) -> None:
    """The connection is kept while a human thinks; a yes lets this very request go on."""
    proxy = start_proxy("--upstream", model.url, rules=rules(HELD))
    client = chat(proxy)
    got: list[Any] = []
    thread = threading.Thread(
        target=lambda: got.append(ask_chat(client, max_completion_tokens=200))
    )
    thread.start()
    hold = proxy.wait_for_hold()
    assert hold["call"]["name"] == "model:gpt-5"
    before = len(model.requests)
    proxy.answer("approve")
    thread.join(10)
    assert got
    assert got[0].choices[0].message.content == LEAD
    assert len(model.requests) == before + 1
    assert settled(proxy, 2)["tokens.output"][1] == "usage"


def test_a_retry_joins_the_hold(model: ScriptedModel, start_proxy: StartProxy) -> None:
    """The same body again finds the hold that is there; one yes serves one request."""
    proxy = start_proxy("--upstream", model.url, rules=rules(HELD), hold_wait="500ms")
    client = chat(proxy)
    for _ in range(3):
        with pytest.raises(openai.PermissionDeniedError, match="pending"):
            ask_chat(client, max_completion_tokens=200)
    assert len(proxy.ask("/v1/holds?state=pending")["holds"]) == 1
    proxy.answer("approve")
    assert ask_chat(client, max_completion_tokens=200).choices
    with pytest.raises(openai.PermissionDeniedError, match="pending"):
        ask_chat(client, max_completion_tokens=200)


# --- answers that fail -----------------------------------------------------------------------------


def test_a_refusal_of_the_provider_costs_nothing(start_proxy: StartProxy) -> None:
    """A 400 releases what was reserved."""
    with Upstream((400, JSON, ERROR, True), (200, JSON, ANSWER, True)) as upstream:
        proxy = start_proxy("--upstream", upstream.url, rules=rules(TOKENS))
        with pytest.raises(openai.BadRequestError):
            ask_chat(chat(proxy), max_completion_tokens=90)
        assert settled(proxy, 2)["tokens.output"][:2] == ("released", "upstream-refused")
        assert ask_chat(chat(proxy), max_completion_tokens=90).choices


def test_the_sdks_own_retry_joins_a_failed_attempt(start_proxy: StartProxy) -> None:
    """A 500 and its retry are one request: one decision, settled by the answer that came."""
    replies = ((500, JSON, ERROR, True), (503, JSON, ERROR, True), (200, JSON, ANSWER, True))
    with Upstream(*replies) as upstream:
        proxy = start_proxy("--upstream", upstream.url, rules=rules(TOKENS))
        assert ask_chat(chat(proxy), max_completion_tokens=90).usage.completion_tokens == 7
        assert upstream.asked == 3
        assert settled(proxy, 2)["tokens.output"] == ("committed", "usage", 7)
        assert settled(proxy)["tokens.input"] == ("committed", "usage", 11)
        assert decisions(proxy) == ["allow"]


def test_equal_requests_that_succeed_are_each_counted(start_proxy: StartProxy) -> None:
    """The same body twice is no retry once it was answered."""
    with Upstream(*[(200, JSON, ANSWER, True)] * 2) as upstream:
        proxy = start_proxy("--upstream", upstream.url, rules=rules(TOKENS))
        for _ in range(2):
            ask_chat(chat(proxy))
        assert len(settled(proxy, 4)) == 2
        assert decisions(proxy) == ["allow", "allow"]


def test_a_stream_that_breaks_off_costs_what_came(start_proxy: StartProxy) -> None:
    """The upstream goes away in the middle: the text until then is counted."""
    with Upstream((200, SSE, chunks("one two three ", "four five six"), False)) as upstream:
        proxy = start_proxy("--upstream", upstream.url, rules=rules(TOKENS))
        upstream.go_on.set()
        with pytest.raises((openai.APIError, httpx.HTTPError)):
            list(ask_chat(chat(proxy, 0), stream=True))
        state, by, amount = settled(proxy, 2)["tokens.output"]
        assert (state, by) == ("committed", "cut")
        assert 5 <= amount <= 8


def test_a_client_that_leaves_pays_for_what_came(start_proxy: StartProxy) -> None:
    """An agent cannot hang up ahead of the usage and have read for nothing."""
    with Upstream((200, SSE, chunks("one two three ", "four five six"), False)) as upstream:
        proxy = start_proxy("--upstream", upstream.url, rules=rules(TOKENS))
        with ask_chat(chat(proxy, 0), stream=True) as stream:
            assert next(iter(stream)).choices[0].delta.content == "one two three "
        state, by, amount = settled(proxy, 2)["tokens.output"]
        assert (state, by) == ("committed", "cut")
        assert 3 <= amount <= 8


def test_without_such_a_budget_nothing_is_counted(
    model: ScriptedModel, start_proxy: StartProxy
) -> None:
    """No budget names the model's cost: no decision, no entry."""
    budget = "{name: refunds, of: money.refund, sum: EUR, limit: 1}"
    proxy = start_proxy("--upstream", model.url, rules=rules(budget))
    assert ask_chat(chat(proxy)).choices
    assert decisions(proxy) == []
    assert proxy.records("settlement") == []


# --- WebSockets ------------------------------------------------------------------------------------


async def test_a_socket_of_responses_goes_on_without_the_request_that_is_too_much(
    start_proxy: StartProxy,
) -> None:
    """Each response is reserved and settled; one too many is answered with an error in its place."""
    with RealtimeUpstream(lambda history: Turn(LEAD)) as upstream:
        proxy = start_proxy("--upstream", upstream.url, rules=rules(TOKENS.replace("100", "1000")))
        sdk = openai.AsyncOpenAI(api_key="k", base_url=f"{proxy.url}/v1", max_retries=0)
        async with sdk.responses.connect(max_retries=0) as connection, asyncio.timeout(30):

            async def ask(limit: int) -> dict[str, Any]:
                await connection.response.create(model="gpt-5", input="hi", max_output_tokens=limit)
                while True:
                    event: dict[str, Any] = json.loads(await connection.recv_bytes())
                    if event["type"] in ("response.completed", "error"):
                        return event

            first = await ask(90)
            used = first["response"]["usage"]["output_tokens"]
            refused = await ask(1000)
            assert refused["type"] == "error"
            assert f"would reach {1000 + used} of 1000 tokens" in refused["error"]["message"]
            last = await ask(20)
            assert last["type"] == "response.completed"
        assert len(upstream.connections[0].events("response.create")) == 2
        assert settled(proxy, 4)["tokens.output"] == (
            "committed",
            "usage",
            last["response"]["usage"]["output_tokens"],
        )
        assert decisions(proxy) == ["allow", "block", "allow"]


async def test_a_voice_session_ends_with_its_budget(start_proxy: StartProxy) -> None:
    """Its answers are asked for by sound: each is paid ahead, as large as the last one."""
    with RealtimeUpstream(lambda history: Turn(LEAD)) as upstream:
        budget = TOKENS.replace("100", str(DEFAULT_OUTPUT_TOKENS + 10))
        proxy = start_proxy("--upstream", upstream.url, rules=rules(budget))
        sdk = openai.AsyncOpenAI(api_key="k", base_url=f"{proxy.url}/v1", max_retries=0)
        async with sdk.realtime.connect(model="gpt-realtime", max_retries=0) as connection:
            await connection.response.create()
            async with asyncio.timeout(20):
                while json.loads(await connection.recv_bytes())["type"] != "response.done":
                    pass
        state = settled(proxy, 2)
        assert state["tokens.output"][0] == "committed"
        assert decisions(proxy)[0] == "allow"
        async with sdk.realtime.connect(model="gpt-realtime", max_retries=0) as connection:
            await connection.response.create()
            heard: list[dict[str, Any]] = []
            with contextlib.suppress(ConnectionClosed):
                async with asyncio.timeout(20):
                    while True:
                        heard.append(json.loads(await connection.recv_bytes()))
            assert any("Budget 'words'" in str(event.get("error")) for event in heard)
        assert len(upstream.connections[1].events("response.create")) == 0
