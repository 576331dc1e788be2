"""The vendors' own SDKs through the proxy: each API, sync and async, streaming and not, each verdict.

One proxy takes all cases of a mode, each in a session of its own, so that no case spends another's
budget. The streams are read by the SDKs' accumulators, which raise at a frame that does not fit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anthropic
import openai
import pytest
import trustme

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from proxy.logtail import verify
from tests.e2e.conftest import RULES, Proxy, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("sdk-verdicts")]  # the last test reads all

type Api = Literal["chat", "responses", "anthropic"]

APIS: tuple[Api, ...] = ("chat", "responses", "anthropic")
CASES = ("allow", "block", "approve", "deny")
LEAD = "Let me see."
SCHEMA = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}},
    "required": ["order_id", "amount"],
    "additionalProperties": False,
}
NAMES = ("look_up", "forbidden", "refund_order")


def script(history: History) -> Turn:
    """Says some text, then asks for the tool that the user's word stands for."""
    tool = {"ALLOW": "look_up", "BLOCK": "forbidden", "HOLD": "refund_order"}[history.user]
    return Turn(LEAD, (ask(tool, order_id="A-1", amount=150),))


@dataclass(frozen=True, slots=True)
class Got:
    """What an agent takes from an answer."""

    text: str
    calls: list[tuple[str, dict[str, Any]]]
    stop: str | None


class TlsRelay:
    """Ends TLS in front of a plain server: an upstream as real ones are, with a certificate."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._to, self._context = port, context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> TlsRelay:
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        self.port = started.result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> int:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0, ssl=self._context)
        return int(self._server.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # transports close in the next turns of the loop

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._to)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()


def make_proxy(folder: Path, *options: str) -> Proxy:
    (folder / "rules.yaml").write_text(RULES)
    port = free_port()
    argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}", "--no-inbox"]
    argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
    argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "a.sock")]
    argv += ["--ca-dir", str(folder / "ca"), "--hold-wait", "30s", "--keepalive", "200ms"]
    return Proxy(folder, [*argv, *options], port)


@dataclass(frozen=True, slots=True)
class Line:
    """A proxy in front of a model, and the SDK arguments that lead through it."""

    proxy: Proxy
    model: ScriptedModel
    base_url: str
    forward: bool

    def arguments(self, vendor: Any, session: str, *, is_async: bool) -> dict[str, Any]:
        kind = vendor.DefaultAsyncHttpxClient if is_async else vendor.DefaultHttpxClient
        options: dict[str, Any] = {"trust_env": False, "timeout": 60}
        made: dict[str, Any] = {"api_key": "sk-none", "max_retries": 0}
        if self.forward:
            options["proxy"] = self.proxy.credential(session)
            options["verify"] = ssl.create_default_context(cafile=str(self.proxy.ca))
        else:
            made["default_headers"] = {"X-Checkrein-Session": session}
        suffix = "" if vendor is anthropic else "/v1"
        return {**made, "base_url": self.base_url + suffix, "http_client": kind(**options)}


@pytest.fixture(scope="module")
def reverse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with ScriptedModel(script) as model:
        proxy = make_proxy(tmp_path_factory.mktemp("reverse"), "--upstream", model.url).start()
        yield Line(proxy, model, proxy.url, forward=False)
        proxy.stop()


@pytest.fixture(scope="module")
def forward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("forward")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "upstream-ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    with ScriptedModel(script) as model, TlsRelay(model.port, context) as relay:
        proxy = make_proxy(folder, "--trust-ca", str(folder / "upstream-ca.pem")).start()
        yield Line(proxy, model, f"https://127.0.0.1:{relay.port}", forward=True)
        proxy.stop()


def request_for(api: Api, word: str) -> dict[str, Any]:
    """Returns an SDK call's arguments: one user message, three tools."""
    match api:
        case "chat":
            functions = [{"name": n, "strict": True, "parameters": SCHEMA} for n in NAMES]
            return {
                "model": "gpt-5-mini",
                "messages": [{"role": "user", "content": word}],
                "tools": [{"type": "function", "function": one} for one in functions],
            }
        case "responses":
            return {
                "model": "gpt-5-mini",
                "input": [{"role": "user", "content": word}],
                "store": False,
                "tools": [
                    {"type": "function", "name": n, "strict": True, "parameters": SCHEMA}
                    for n in NAMES
                ],
            }
        case "anthropic":
            return {
                "model": "claude-sonnet-5",
                "max_tokens": 1024,
                "messages": [{"role": "user", "content": word}],
                "tools": [{"name": n, "input_schema": SCHEMA} for n in NAMES],
            }


def got(api: Api, answer: Any) -> Got:
    """Reads the SDK's own object."""
    match api:
        case "chat":
            message, stop = answer.choices[0].message, answer.choices[0].finish_reason
            made = [c.function for c in message.tool_calls or ()]
            return Got(
                message.content or "", [(f.name, json.loads(f.arguments)) for f in made], stop
            )
        case "responses":
            calls = [o for o in answer.output if o.type == "function_call"]
            asked = [(o.name, json.loads(o.arguments)) for o in calls]
            return Got(answer.output_text, asked, answer.status)
        case "anthropic":
            text = "".join(b.text for b in answer.content if b.type == "text")
            used = [(b.name, b.input) for b in answer.content if b.type == "tool_use"]
            return Got(text, used, answer.stop_reason)


def say_sync(line: Line, api: Api, word: str, session: str, *, stream: bool) -> Got:
    vendor: Any = anthropic if api == "anthropic" else openai
    arguments = line.arguments(vendor, session, is_async=False)
    request = request_for(api, word)
    with (anthropic.Anthropic if api == "anthropic" else openai.OpenAI)(**arguments) as made:
        client: Any = made
        endpoint, final = _endpoint(client, api)
        if not stream:
            return got(api, endpoint.create(**request))
        with endpoint.stream(**request) as events:
            for _ in events:
                pass
            return got(api, getattr(events, final)())


async def say_async(line: Line, api: Api, word: str, session: str, *, stream: bool) -> Got:
    vendor: Any = anthropic if api == "anthropic" else openai
    arguments = line.arguments(vendor, session, is_async=True)
    request = request_for(api, word)
    kind: Any = anthropic.AsyncAnthropic if api == "anthropic" else openai.AsyncOpenAI
    async with kind(**arguments) as client:
        endpoint, final = _endpoint(client, api)
        if not stream:
            return got(api, await endpoint.create(**request))
        async with endpoint.stream(**request) as events:
            iterator: AsyncIterator[Any] = aiter(events)
            async for _ in iterator:
                pass
            return got(api, await getattr(events, final)())


def _endpoint(client: Any, api: Api) -> tuple[Any, str]:
    """Returns the resource, and the stream's method for its last state."""
    match api:
        case "chat":
            return client.chat.completions, "get_final_completion"
        case "responses":
            return client.responses, "get_final_response"
        case "anthropic":
            return client.messages, "get_final_message"


def check(line: Line, api: Api, case: str, session: str, say: Callable[[str], Got]) -> None:
    """Says the case's word, answers what is held, and compares with what the case demands."""
    answers: list[threading.Thread] = []
    if case in ("approve", "deny"):
        reason = "Not this one." if case == "deny" else None
        answers.append(
            threading.Thread(target=line.proxy.answer, args=(case,), kwargs={"reason": reason})
        )
        answers[0].start()
    said = say({"allow": "ALLOW", "block": "BLOCK"}.get(case, "HOLD"))
    for thread in answers:
        thread.join(20)
    passed = case in ("allow", "approve")
    tool = {"allow": "look_up", "block": "forbidden"}.get(case, "refund_order")
    assert said.calls == ([(tool, {"order_id": "A-1", "amount": 150})] if passed else [])
    assert said.text.startswith(LEAD)
    if passed:
        assert said.text == LEAD
    else:
        assert f"The call {tool} was refused and did not run" in said.text
        says = {"block": "Nothing is deleted here.", "deny": "Not this one."}[case]
        assert says in said.text
    stops = {"chat": ("tool_calls", "stop"), "anthropic": ("tool_use", "end_turn")}
    assert said.stop == stops.get(api, ("completed", "completed"))[0 if passed else 1]
    decided = [r for r in line.proxy.records("decision") if r["session"].endswith(session)]
    first = {"allow": "allow", "block": "block"}.get(case, "hold")
    assert decided[0]["verdict"] == first
    assert {record["call"]["name"] for record in decided} == {tool}
    assert not line.model.rejected


MODES = [(is_async, stream) for is_async in (False, True) for stream in (False, True)]


def _name(is_async: bool, stream: bool) -> str:
    return f"{'async' if is_async else 'sync'}-{'stream' if stream else 'plain'}"


def _run(line: Line, api: Api, case: str, is_async: bool, stream: bool) -> None:
    session = f"{api}-{_name(is_async, stream)}-{case}"

    def say(word: str) -> Got:
        if is_async:
            return asyncio.run(say_async(line, api, word, session, stream=stream))
        return say_sync(line, api, word, session, stream=stream)

    check(line, api, case, session, say)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("is_async", "stream"), MODES, ids=[_name(*mode) for mode in MODES])
def test_reverse(reverse: Line, api: Api, case: str, is_async: bool, stream: bool) -> None:
    """As a base URL: the SDK gets the call exactly when the verdict lets it pass."""
    _run(reverse, api, case, is_async, stream)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("is_async", "stream"), MODES, ids=[_name(*mode) for mode in MODES])
def test_forward_tls(forward: Line, api: Api, case: str, is_async: bool, stream: bool) -> None:
    """As an HTTPS proxy with a credential and its own CA: the same, with TLS on both sides."""
    _run(forward, api, case, is_async, stream)


@pytest.mark.parametrize("line", ["reverse", "forward"])
def test_the_log_holds_together(line: str, request: pytest.FixtureRequest) -> None:
    """After all of a mode's cases its decision log still verifies."""
    proxy: Proxy = request.getfixturevalue(line).proxy
    assert verify([proxy.log]).ok
