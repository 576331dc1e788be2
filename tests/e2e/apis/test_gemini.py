"""google-genai through the proxy: sync and async, plain and streaming, each verdict, and the turn behind it.

One proxy takes all cases of a mode, each in a session of its own. The upstream refuses a history that the
real API would refuse, so that an accepted second turn shows that refused calls were put back.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import types

from tests.e2e.conftest import RULES, Proxy, free_port
from tests.upstreams.gemini import Part, ScriptedGemini, call

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("gemini"),
    # google-genai asks by aiohttp where that is installed, in a way that aiohttp warns of.
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

LEAD = "Let me see."
NAMES = {"ALLOW": "look_up", "BLOCK": "forbidden", "HOLD": "refund_order"}
VERDICTS = ("allow", "block", "approve", "deny")
WORDS = {"allow": "ALLOW", "block": "BLOCK", "approve": "HOLD", "deny": "HOLD"}


def script(contents: list[dict[str, Any]]) -> list[Part]:
    """Says some text, then asks for the tools that the user's words stand for; then tells what it read."""
    last = contents[-1]
    results = [p["functionResponse"] for p in last["parts"] if "functionResponse" in p]
    word = next((p["text"] for p in reversed(last["parts"]) if "text" in p), "")
    if any(one in NAMES for one in word.split()):
        asked = [call(NAMES[one], order_id="A-1", amount=150) for one in word.split()]
        return [{"text": LEAD + " "}, {"text": "Here."}, *asked]
    return [{"text": f"I have {len(results)} results: {json.dumps(results)}"}]


@dataclass(frozen=True)
class Line:
    """A proxy in front of a scripted model."""

    proxy: Proxy
    model: ScriptedGemini

    def client(self, session: str, *, base_url: str | None = None) -> genai.Client:
        headers = {"x-checkrein-session": session}
        return genai.Client(
            api_key="none",
            http_options=types.HttpOptions(
                base_url=base_url or self.proxy.url,
                headers=headers,
                client_args={"trust_env": False},
                async_client_args={"trust_env": False},
            ),
        )

    def answer(self, verdict: str) -> threading.Thread | None:
        """Answers the hold that is about to come, from another thread."""
        if verdict not in ("approve", "deny"):
            return None
        thread = threading.Thread(target=self.proxy.answer, args=(verdict,), daemon=True)
        thread.start()
        return thread


def make_line(folder: Path, model: ScriptedGemini) -> Line:
    (folder / "rules.yaml").write_text(RULES)
    port = free_port()
    argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}", "--no-inbox"]
    argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
    argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "a.sock")]
    argv += ["--ca-dir", str(folder / "ca"), "--hold-wait", "30s", "--keepalive", "200ms"]
    argv += ["--upstream", model.url]
    return Line(Proxy(folder, argv, port).start(), model)


@pytest.fixture(scope="module", params=[True, False], ids=["with ids", "without ids"])
def line(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    with ScriptedGemini(script, with_ids=request.param) as model:
        made = make_line(tmp_path_factory.mktemp("gemini"), model)
        yield made
        made.proxy.stop()


CONFIG = types.GenerateContentConfig(
    tools=[
        types.Tool(
            function_declarations=[
                types.FunctionDeclaration(name=name, description=name) for name in NAMES.values()
            ]
        )
    ],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


@dataclass
class Got:
    text: str
    calls: list[types.FunctionCall]


def got(answers: list[types.GenerateContentResponse]) -> Got:
    found = Got("", [])
    for one in answers:
        assert one.candidates
        content = one.candidates[0].content
        for part in (content.parts or ()) if content else ():
            found.text += part.text or ""
            found.calls += [part.function_call] if part.function_call else []
    return found


class Talk:
    """One chat, sync or async, plain or streaming."""

    def __init__(self, client: genai.Client, *, is_async: bool, stream: bool) -> None:
        made: Any = client.aio.chats if is_async else client.chats
        self._chat = made.create(model="gemini-3-flash", config=CONFIG)
        self._loop = asyncio.new_event_loop() if is_async else None
        self._stream = stream

    def say(self, message: Any) -> Got:
        if self._loop is not None:
            return self._loop.run_until_complete(self._say(message))
        if self._stream:
            return got(list(self._chat.send_message_stream(message)))
        return got([self._chat.send_message(message)])

    async def _say(self, message: Any) -> Got:
        if not self._stream:
            return got([await self._chat.send_message(message)])
        return got([one async for one in await self._chat.send_message_stream(message)])

    def close(self, client: genai.Client) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(client.aio.aclose())
            self._loop.close()
        client.close()


each_mode = pytest.mark.parametrize(
    ("is_async", "stream"),
    [(False, False), (False, True), (True, False), (True, True)],
    ids=["sync-plain", "sync-stream", "async-plain", "async-stream"],
)


@each_mode
@pytest.mark.parametrize("verdict", VERDICTS)
def test_verdict_and_next_turn(line: Line, is_async: bool, stream: bool, verdict: str) -> None:
    """The call comes through or its refusal does, and the next turn is one that the API accepts."""
    session = f"one-{verdict}-{is_async}-{stream}-{line.model.port}"
    client = line.client(session)
    talk = Talk(client, is_async=is_async, stream=stream)
    answering = line.answer(verdict)
    first = talk.say(WORDS[verdict])
    if answering is not None:
        answering.join(20)
    assert first.text.startswith(f"{LEAD} Here.")
    if verdict in ("allow", "approve"):
        assert [c.name for c in first.calls] == [NAMES[WORDS[verdict]]]
        assert first.calls[0].args == {"order_id": "A-1", "amount": 150}
        reply: Any = respond(first.calls)
    else:
        assert first.calls == []
        assert "checkrein cr_" in first.text
        reply = "Go on."
    second = talk.say(reply)
    assert "I have 1 results" in second.text
    assert ("did not run" in second.text) == (verdict in ("block", "deny"))
    assert line.model.rejected == []
    talk.close(client)


@each_mode
@pytest.mark.parametrize(
    "words", ["BLOCK ALLOW", "ALLOW BLOCK", "BLOCK ALLOW BLOCK", "ALLOW ALLOW BLOCK"]
)
def test_parallel_calls(line: Line, is_async: bool, stream: bool, words: str) -> None:
    """Of several calls, of which the first alone is signed, some are refused: all results, in order."""
    session = f"par-{words}-{is_async}-{stream}-{line.model.port}".replace(" ", "-")
    client = line.client(session)
    talk = Talk(client, is_async=is_async, stream=stream)
    first = talk.say(words)
    names = [NAMES[word] for word in words.split()]
    assert [c.name for c in first.calls] == [n for n in names if n != "forbidden"]
    second = talk.say(respond(first.calls))
    assert f"I have {len(names)} results" in second.text
    third = talk.say("And now?")
    assert "I have 0 results" in third.text
    assert line.model.rejected == []
    model_turn = next(c for c in line.model.requests[-1].contents if c["role"] == "model")
    assert [p["functionCall"]["name"] for p in model_turn["parts"] if "functionCall" in p] == names
    talk.close(client)


def respond(calls: list[types.FunctionCall]) -> list[types.Part]:
    return [
        types.Part(
            function_response=types.FunctionResponse(
                id=one.id, name=one.name, response={"output": "fine"}
            )
        )
        for one in calls
    ]


@pytest.mark.parametrize("words", ["ALLOW", "BLOCK"])
def test_array_stream_and_cloud_code(line: Line, words: str) -> None:
    """Without `alt=sse` an array streams; Cloud Code's wrapping is read and written."""
    for path, wraps in (
        ("/v1beta/models/m:streamGenerateContent", False),
        ("/v1beta/models/m%3AstreamGenerateContent", False),
        ("/v1internal:streamGenerateContent", True),
        ("/v1internal:generateContent", True),
    ):
        contents = [{"role": "user", "parts": [{"text": words}]}]
        body: dict[str, Any] = {"contents": contents}
        body = {"model": "m", "project": "p", "request": body} if wraps else body
        headers = {"x-checkrein-session": f"raw-{words}-{line.model.port}"}
        answer = httpx.post(line.proxy.url + path, json=body, headers=headers, trust_env=False)
        assert answer.status_code == 200
        chunks = answer.json() if "stream" in path else [answer.json()]
        chunks = [one["response"] if wraps else one for one in chunks]
        parts = [p for one in chunks for p in one["candidates"][0]["content"]["parts"]]
        names = [p["functionCall"]["name"] for p in parts if "functionCall" in p]
        assert names == (["look_up"] if words == "ALLOW" else [])
        if words == "BLOCK":
            assert any("checkrein cr_" in p.get("text", "") for p in parts)
            contents += [
                {"role": "model", "parts": parts},
                {"role": "user", "parts": [{"text": "?"}]},
            ]
            again = httpx.post(line.proxy.url + path, json=body, headers=headers, trust_env=False)
            assert again.status_code == 200
            assert "I have 1 results" in again.text
    assert line.model.rejected == []


def test_batches_are_refused(line: Line) -> None:
    url = line.proxy.url + "/v1beta/models/m:batchGenerateContent"
    answer = httpx.post(url, json={"batch": {}}, trust_env=False)
    assert answer.status_code == 400
    assert "single requests" in answer.json()["error"]["message"]


def test_upstream_errors_come_through(line: Line) -> None:
    """The API's own 400 reaches the SDK as it came."""
    client = line.client("errors")
    with pytest.raises(genai.errors.ClientError) as raised:
        client.models.generate_content(model="m", contents=types.Content(role="x", parts=[]))
    assert raised.value.code == 400
    line.model.rejected.clear()
    client.close()


@pytest.mark.parametrize("vertex", [False, True], ids=["developer", "vertex express"])
@pytest.mark.parametrize("version", [None, "v1alpha"], ids=["default", "v1alpha"])
def test_other_paths(line: Line, vertex: bool, version: str | None) -> None:
    """Other API versions, a gateway's prefix and Vertex's express mode are gated alike."""
    headers = {"x-checkrein-session": f"paths-{vertex}-{version}-{line.model.port}"}
    options = types.HttpOptions(
        base_url=line.proxy.url + "/gateway/google",
        api_version=version,
        headers=headers,
        client_args={"trust_env": False},
    )
    with genai.Client(api_key="none", vertexai=vertex, http_options=options) as client:
        chat = client.chats.create(model="gemini-3-flash", config=CONFIG)
        first = got(list(chat.send_message_stream("BLOCK ALLOW")))
        assert [c.name for c in first.calls] == ["look_up"]
        reply: Any = respond(first.calls)
        second = got([chat.send_message(reply)])
        assert "I have 2 results" in second.text
    assert "/gateway/google/" in line.model.requests[-1].path
    assert line.model.rejected == []


def test_called_functions_do_not_run(line: Line) -> None:
    """google-genai runs Python functions itself: a refused one is not run, an allowed one is."""
    ran: list[str] = []

    def look_up(order_id: str, amount: int) -> str:
        """Looks an order up."""
        ran.append(order_id)
        return "found"

    def forbidden(order_id: str, amount: int) -> str:
        """Deletes an order."""
        raise AssertionError("it ran")

    with line.client(f"afc-{line.model.port}") as client:
        chat = client.chats.create(model="m", config={"tools": [look_up, forbidden]})
        answer = chat.send_message("BLOCK ALLOW")
    assert ran == ["A-1"]
    assert "I have 2 results" in (answer.text or "")
    assert "did not run" in (answer.text or "")
    assert line.model.rejected == []
