"""Ollama's own SDK through the proxy: sync and async, lines and whole, each verdict, the next turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ollama
import pytest

from tests.e2e.conftest import Proxy
from tests.e2e.test_sdk_verdicts import make_proxy
from tests.upstreams.ollama import OllamaUpstream
from tests.upstreams.verdicts import CASES, MODE_IDS, MODES, SCHEMA, TOOLS, Got, check, script

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("ollama")]


@dataclass(frozen=True, slots=True)
class Line:
    proxy: Proxy
    model: OllamaUpstream


@pytest.fixture(scope="module", params=[False, True], ids=["no-ids", "ids"])
def line(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Line]:
    with OllamaUpstream(script, ids=request.param) as model:
        proxy = make_proxy(tmp_path_factory.mktemp("ollama"), "--upstream", model.url).start()
        yield Line(proxy, model)
        proxy.stop()


class OllamaAgent:
    """Keeps its history as Ollama's tool example does."""

    def __init__(self, url: str, session: str, *, is_async: bool, stream: bool) -> None:
        options: Any = {"headers": {"X-Checkrein-Session": session}, "trust_env": False}
        self._client: Any = (ollama.AsyncClient if is_async else ollama.Client)(url, **options)
        self._is_async, self._stream = is_async, stream
        self._messages: list[Any] = []
        self._names: list[str] = []

    async def say(self, text: str) -> Got:
        self._messages.append({"role": "user", "content": text})
        return await self._ask()

    async def results(self, texts: Sequence[str]) -> Got:
        for name, text in zip(self._names, texts, strict=True):
            self._messages.append({"role": "tool", "tool_name": name, "content": text})
        return await self._ask()

    async def close(self) -> None:
        if self._is_async:
            await self._client.close()
        else:
            self._client.close()

    async def _ask(self) -> Got:
        functions = [{"name": n, "description": n, "parameters": SCHEMA} for n in TOOLS]
        tools = [{"type": "function", "function": one} for one in functions]
        asked = {"model": "m", "messages": self._messages, "tools": tools, "stream": self._stream}
        made = self._client.chat(**asked)
        made = await made if self._is_async else made
        parts: list[Any] = [made]
        if self._stream:
            parts = [part async for part in made] if self._is_async else list(made)
        text = "".join(part.message.content or "" for part in parts)
        calls = [call for part in parts for call in part.message.tool_calls or ()]
        self._names = [call.function.name for call in calls]
        # The documentation's loop: the text and the calls of all parts in one message.
        said = ollama.Message(role="assistant", content=text, tool_calls=calls or None)
        self._messages.append(said)
        return Got(text, [(c.function.name, dict(c.function.arguments)) for c in calls])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("is_async", "stream"), MODES, ids=MODE_IDS)
def test_verdicts(line: Line, case: str, is_async: bool, stream: bool) -> None:
    """The SDK gets the call exactly when the verdict lets it pass, and its next turn is accepted."""
    session = f"{case}-{is_async}-{stream}"
    agent = OllamaAgent(line.proxy.url, session, is_async=is_async, stream=stream)
    check(agent, case, session, line.proxy, line.model.kept)
