"""Many agents at once on one async client: one pool of tunnels through the proxy, TLS on both sides.

Each agent has a session and a history of its own. While some are held, others go on; connections
that were held carry later requests. The strict model must accept every turn.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import trustme

from proxy.cli.demo.speech import History, Turn, ask
from proxy.logtail import verify
from tests.e2e.clients.conftest import Agent, Api, TlsModel
from tests.e2e.conftest import RULES, Proxy, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("async-agents")]  # one proxy serves them all

APIS: tuple[Api, ...] = ("chat", "responses", "anthropic")
TOOLS = {"allow": "look_up", "block": "forbidden"}  # any other word asks for the refund
SAID = {"block": "Nothing is deleted here.", "deny": "Not this one.", "park": "pending"}


def script(history: History) -> Turn:
    """`WORD NAME` asks for the word's tool until its result is there; anything else is noted."""
    word = history.user.split()[0]
    if history.fresh or word == "next":
        return Turn("Noted.", thinking="Nothing to do.")
    call = ask(TOOLS.get(word, "refund_order"), order_id="A-1", amount=150)
    return Turn("Let me see.", (call,), "The user wants this.")


@dataclass(frozen=True, slots=True)
class Line:
    proxy: Proxy
    model: TlsModel


def _serve(folder: Path, hold_wait: str) -> Iterator[Line]:
    (folder / "rules.yaml").write_text(RULES)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "upstream-ca.pem"))
    certificate = folder / "upstream.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    port = free_port()
    with TlsModel(script, certificate) as model:
        argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}"]
        argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
        argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "a.sock")]
        argv += ["--ca-dir", str(folder / "ca"), "--hold-wait", hold_wait, "--keepalive", "200ms"]
        argv += ["--no-inbox", "--trust-ca", str(folder / "upstream-ca.pem")]
        proxy = Proxy(folder, argv, port).start()
        yield Line(proxy, model)
        proxy.stop()


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A proxy that waits for its humans."""
    yield from _serve(tmp_path_factory.mktemp("waiting"), "60s")


@pytest.fixture(scope="module")
def parking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A proxy that soon tells the agent to come back."""
    yield from _serve(tmp_path_factory.mktemp("parking"), "500ms")


def client_for(api: Api, line: Line) -> Any:
    is_anthropic = api == "anthropic"
    vendor: Any = anthropic if is_anthropic else openai
    kind: Any = anthropic.AsyncAnthropic if is_anthropic else openai.AsyncOpenAI
    trusted = ssl.create_default_context(cafile=str(line.proxy.ca))
    return kind(
        api_key="sk-none",
        max_retries=0,
        base_url=line.model.url + ("" if is_anthropic else "/v1"),
        http_client=vendor.DefaultAsyncHttpxClient(
            proxy=line.proxy.url, verify=trusted, trust_env=False, timeout=60
        ),
    )


def check_seen(line: Line, agent: Agent, why: str) -> None:
    """The model accepted this agent's newest turn and read one refusal in it."""
    assert [one.message for one in line.model.rejected] == []
    mine = [seen for seen in line.model.requests if seen.history.user.endswith(f" {agent.name}")]
    failed = [text for text in mine[-1].history.results if "did not run" in text]
    assert len(failed) == 1
    assert why in failed[0]


async def answer_holds(proxy: Proxy, count: int) -> None:
    """Answers so many holds, each as its session's name says, when all of them wait."""
    await asyncio.to_thread(proxy.wait_for_hold, count=count)
    holds = (await asyncio.to_thread(proxy.ask, "/v1/holds?state=pending"))["holds"]
    for hold in holds:
        verb = hold["session"].rpartition("-")[2]
        reason = "Not this one." if verb == "deny" else None
        body = {"by": "tester", "reason": reason}
        await asyncio.to_thread(proxy.ask, f"/v1/holds/{hold['id']}/{verb}", body)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
@pytest.mark.parametrize("api", APIS)
async def test_many_agents_on_one_client(waiting: Line, api: Api, stream: bool) -> None:
    """Held, refused and allowed agents share a client: each gets its own answer and goes on."""
    waiting.model.rejected.clear()  # another test's
    async with client_for(api, waiting) as client:

        async def one(number: int, word: str) -> None:
            name = f"{api}-{stream}-{number}-{word}"
            agent = Agent(api, client, name, stream)
            text, calls = await agent.say(word)
            if word in ("allow", "approve"):
                assert [tool for _, tool in calls] == [TOOLS.get(word, "refund_order")]
                assert (await agent.give(calls[0][0], "All right."))[0] == "Noted."
                return
            assert not calls
            assert SAID[word] in text
            for _ in range(2):
                assert (await agent.say("next"))[0] == "Noted."
                check_seen(waiting, agent, SAID[word])

        words = ("allow", "block", "approve", "deny") * 2
        async with asyncio.TaskGroup() as group:
            for number, word in enumerate(words):
                group.create_task(one(number, word))
            group.create_task(answer_holds(waiting.proxy, 4))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
@pytest.mark.parametrize("api", APIS)
async def test_parked_passes_once(parking: Line, api: Api, stream: bool) -> None:
    """Told `pending`, the agent comes back after approval: its call passes once, then is held anew."""
    parking.model.rejected.clear()  # another test's
    async with client_for(api, parking) as client:
        agent = Agent(api, client, f"{api}-{stream}-approve", stream)
        text, calls = await agent.say("park")
        hold = await asyncio.to_thread(parking.proxy.wait_for_hold)
        assert not calls
        assert f"(hold {hold['id']}, pending)" in text
        assert (await agent.say("next"))[0] == "Noted."
        check_seen(parking, agent, hold["id"])

        await answer_holds(parking.proxy, 1)
        _, calls = await agent.say("park")
        assert [tool for _, tool in calls] == ["refund_order"]
        assert (await agent.give(calls[0][0], "Refunded."))[0] == "Noted."

        text, calls = await agent.say("park")
        other = await asyncio.to_thread(parking.proxy.wait_for_hold)
        assert not calls
        assert other["id"] != hold["id"]
        assert f"(hold {other['id']}, pending)" in text
        await asyncio.to_thread(parking.proxy.answer, "deny")  # none is left to the next test


@pytest.mark.parametrize("line", ["waiting", "parking"])
def test_the_log_holds_together(line: str, request: pytest.FixtureRequest) -> None:
    """After all of it the decision log verifies and the proxy has nothing to complain of."""
    proxy: Proxy = request.getfixturevalue(line).proxy
    assert proxy.records("decision")
    assert verify([proxy.log]).ok
    assert "Traceback" not in proxy.stderr
