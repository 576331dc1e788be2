"""`checkrein mcp --` between the Python SDK's client and a tool server over stdio.

Each story is told twice: judged by a running proxy, and by the wrapper itself (`--embedded`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import ClientSession, MCPError, StdioServerParameters, stdio_client
from mcp_types import CreateMessageResult, TextContent

from tests.e2e.conftest import RULES, Proxy, StartProxy

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).parents[3]
SERVER = Path(__file__).with_name("stdio_server.py")
ASKED_RULES = RULES.replace("unmapped: hold", "unmapped: allow").replace(
    "gates:\n",
    """  - {name: sampling/createMessage, effects: [{kind: model.ask}]}
gates:
  - {name: no-asking, when: effect.kind == "model.ask", verdict: block, message: Not now.}
""",
)


@dataclass
class Wrapped:
    """A wrapper's command line, and where what it does can be seen."""

    folder: Path
    options: list[str]
    admin: Path
    log: Callable[[], list[dict[str, Any]]]
    environment: dict[str, str] = field(default_factory=dict)
    fault: str = ""

    @property
    def record(self) -> Path:
        return self.folder / "record"

    @property
    def stderr(self) -> str:
        return (self.folder / "wrapper.txt").read_text()

    @property
    def did(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []

    @property
    def argv(self) -> list[str]:
        server = [sys.executable, str(SERVER), str(self.record)]
        server += [self.fault] if self.fault else []
        return [
            sys.executable,
            "-m",
            "proxy",
            "mcp",
            "--server",
            "billing",
            *self.options,
            "--",
            *server,
        ]

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[ClientSession]:
        command, *args = self.argv
        parameters = StdioServerParameters(
            command=command, args=args, cwd=REPOSITORY, env=self.environment
        )
        with (self.folder / "wrapper.txt").open("a") as stderr:
            async with (
                stdio_client(parameters, errlog=stderr) as streams,
                ClientSession(*streams, **options) as session,
            ):
                await session.initialize()
                yield session

    def start(self) -> subprocess.Popen[bytes]:
        """Starts it for tests that speak the wire themselves."""
        with (self.folder / "wrapper.txt").open("a") as stderr:
            return subprocess.Popen(
                self.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=REPOSITORY,
                env={**os.environ, **self.environment},
            )

    async def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        transport = httpx.AsyncHTTPTransport(uds=str(self.admin))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://checkrein", trust_env=False
        ) as client:
            answer = await (client.get(path) if body is None else client.post(path, json=body))
        answer.raise_for_status()
        made: dict[str, Any] = answer.json()
        return made

    async def hold(self, state: str = "pending") -> dict[str, Any]:
        """Returns the newest hold in a state, once there is one."""
        for _ in range(400):
            if self.admin.is_socket():  # an embedded judge opens it as it starts
                answer = await self.ask(f"/v1/holds?state={state}")
                holds: list[dict[str, Any]] = answer["holds"]
                if holds:
                    return holds[0]
            await anyio.sleep(0.05)
        raise AssertionError(f"no {state} hold: {self.stderr}")

    async def answer(self, verb: str) -> None:
        hold = await self.hold()
        await self.ask(f"/v1/holds/{hold['id']}/{verb}", {"by": "tester", "reason": "so it is"})


type Wrap = Callable[..., Wrapped]


@pytest.fixture(params=["proxy", "embedded"])
def wrap(request: pytest.FixtureRequest, start_proxy: StartProxy, tmp_path: Path) -> Wrap:
    def make(*, rules: str = RULES, hold_wait: str = "20s", fault: str = "") -> Wrapped:
        if request.param == "proxy":
            return behind(start_proxy(rules=rules, hold_wait=hold_wait), fault=fault)
        folder = tmp_path / "own"
        folder.mkdir()
        (folder / "rules.yaml").write_text(rules)
        log, admin = folder / "log.jsonl", folder / "a.sock"
        options = ["--embedded", "--rules", str(folder / "rules.yaml"), "--log", str(log)]
        options += ["--state", str(folder / "state.sqlite"), "--admin", str(admin)]
        options += ["--hold-wait", hold_wait, "--keepalive", "200ms"]

        def records() -> list[dict[str, Any]]:
            return [json.loads(line) for line in log.read_text().splitlines()]

        return Wrapped(folder, options, admin, records, fault=fault)

    return make


def behind(proxy: Proxy, fault: str = "", name: str = "wrapper") -> Wrapped:
    """A wrapper whose calls the running proxy judges."""
    folder = proxy.folder / name
    folder.mkdir()
    return Wrapped(folder, ["--admin", str(proxy.admin)], proxy.admin, proxy.records, fault=fault)


def text_of(result: Any) -> str:
    return "\n".join(part.text for part in result.content)


def decisions(wrapped: Wrapped) -> list[tuple[str, str]]:
    return [(r["call"]["name"], r["verdict"]) for r in wrapped.log() if r["type"] == "decision"]


# --- the stories --------------------------------------------------------------------------------


async def test_an_allowed_call_runs_and_settles(wrap: Wrap) -> None:
    """The tool runs, its result comes back, the log has one decision and one settlement."""
    wrapped = wrap()
    async with wrapped.client() as session:
        assert "refund_order" in [tool.name for tool in (await session.list_tools()).tools]
        result = await session.call_tool("refund_order", {"order_id": "o1", "amount": 45})
        assert (text_of(result), result.is_error) == ("refunded 45", False)
    assert wrapped.did == ["refund o1 45"]
    assert decisions(wrapped) == [("refund_order", "allow")]
    (record,) = [r for r in wrapped.log() if r["type"] == "decision"]
    assert (record["side"], record["agent"]) == ("mcp", "mcp:billing")
    assert [r["type"] for r in wrapped.log()].count("settlement") == 1
    assert "the server's own stderr" in wrapped.stderr


async def test_a_blocked_call_fails_as_a_result(wrap: Wrap) -> None:
    """The client gets a failed result with the rule's message; the server sees nothing."""
    wrapped = wrap()
    async with wrapped.client() as session:
        result = await session.call_tool("forbidden", {"order_id": "o1"})
        assert result.is_error
        assert "Nothing is deleted here" in text_of(result)
        assert text_of(await session.call_tool("look_up", {"order_id": "o1"})) == "order o1"
    assert wrapped.did == ["look_up o1"]


@pytest.mark.parametrize(
    ("verb", "failed", "did"),
    [("approve", False, ["look_up o9", "refund o1 145"]), ("deny", True, ["look_up o9"])],
)
async def test_a_held_call_waits_and_others_do_not(
    wrap: Wrap, verb: str, failed: bool, did: list[str]
) -> None:
    """While a human is asked the client hears progress, and other calls go through."""
    wrapped = wrap()
    heard: list[str] = []
    heard_one = anyio.Event()

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")
        heard_one.set()

    async with wrapped.client() as session, anyio.create_task_group() as group:

        async def refund() -> None:
            arguments = {"order_id": "o1", "amount": 145}
            result = await session.call_tool("refund_order", arguments, progress_callback=progress)
            assert result.is_error is failed
            assert ("so it is" in text_of(result)) is failed

        group.start_soon(refund)
        hold = await wrapped.hold()
        assert text_of(await session.call_tool("look_up", {"order_id": "o9"})) == "order o9"
        await heard_one.wait()
        assert hold["id"] in heard[0]
        await wrapped.answer(verb)
    assert wrapped.did == did


async def test_past_the_wait_the_call_is_pending_and_passes_once_after_approval(wrap: Wrap) -> None:
    """The client's own timeout is not reached; the same call passes once, then is held again."""
    wrapped = wrap(hold_wait="500ms")
    arguments = {"order_id": "o1", "amount": 145}
    async with wrapped.client() as session:
        result = await session.call_tool("refund_order", arguments)
        assert result.is_error
        assert "pending" in text_of(result)
        await wrapped.answer("approve")
        result = await session.call_tool("refund_order", arguments)
        assert (text_of(result), result.is_error) == ("refunded 145", False)
        assert "pending" in text_of(await session.call_tool("refund_order", arguments))
    assert wrapped.did == ["refund o1 145"]


async def test_a_cancelled_request_abandons_its_hold(wrap: Wrap) -> None:
    """The client's notifications/cancelled ends the wait; nothing runs."""
    wrapped = wrap()
    child = wrapped.start()
    assert child.stdin is not None
    child.stdin.write(INITIALIZE + call(7, "refund_order", {"order_id": "o1", "amount": 145}))
    child.stdin.flush()
    await wrapped.hold()
    child.stdin.write(line({"method": "notifications/cancelled", "params": {"requestId": 7}}))
    child.stdin.flush()
    await wrapped.hold("abandoned")
    await anyio.to_thread.run_sync(child.communicate)
    assert wrapped.did == []


async def test_what_a_server_asks_is_judged(wrap: Wrap) -> None:
    """A rule that names sampling refuses the server; the client's model is never asked."""
    wrapped = wrap(rules=ASKED_RULES)
    asked: list[Any] = []

    async def sample(_context: Any, parameters: Any) -> CreateMessageResult:
        asked.append(parameters)
        return CreateMessageResult(
            role="assistant", content=TextContent(type="text", text="hi"), model="m"
        )

    async with wrapped.client(sampling_callback=sample) as session:
        with pytest.raises(MCPError, match="Not now"):  # the server gives the refusal back
            await session.call_tool("ask_model", {})
        assert not asked
    assert ("sampling/createMessage", "block") in decisions(wrapped)


# --- the wire -----------------------------------------------------------------------------------


def line(message: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def call(id_: int, name: str, arguments: dict[str, Any]) -> bytes:
    parameters = {"name": name, "arguments": arguments}
    return line({"id": id_, "method": "tools/call", "params": parameters})


INITIALIZE = line(
    {
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
) + line({"method": "notifications/initialized"})


def spoken(child: subprocess.Popen[bytes], data: bytes, answers: int) -> list[dict[str, Any]]:
    """Sends bytes and returns so many answers, besides the one to initialize."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(INITIALIZE + data)
    child.stdin.flush()
    made = [json.loads(child.stdout.readline()) for _ in range(answers + 1)]
    child.communicate(timeout=20)
    return [m for m in made if m.get("id") != 0]


HIDDEN = call(9, "forbidden", {"order_id": "o1"}).strip()


def test_a_line_with_two_readings_is_refused_and_the_session_goes_on(
    start_proxy: StartProxy,
) -> None:
    """The cases are in tests/inbox/test_mcp_lines.py; here real servers would have read them."""
    wrapped = behind(start_proxy())
    data = b'{"jsonrpc":"2.0","id":8,"method":"ping","params":{"x":\r' + HIDDEN + b"\r}}\n"
    data += HIDDEN.replace(b'"forbidden"', b'"look_up", "name": "forbidden"') + b"\n"
    data += HIDDEN + b" " + HIDDEN + b"\n"
    data += line({"id": 10, "method": "ping"}) + HIDDEN  # the last has no newline
    made = spoken(wrapped.start(), data, 3)
    assert [m["id"] for m in made] == [8, 9, 10]
    assert ["error" in m or m["result"].get("isError") for m in made[:2]] == [True, True]
    assert wrapped.did == []


def test_lines_of_the_server_that_are_no_messages_do_not_reach_the_client(
    start_proxy: StartProxy,
) -> None:
    """stdout is MCP's alone: noise is dropped and told on stderr."""
    wrapped = behind(start_proxy(), fault="noise")
    made = spoken(wrapped.start(), call(1, "look_up", {"order_id": "o1"}), 1)
    assert [m["id"] for m in made] == [1]
    assert wrapped.stderr.count("a line of the server was not passed on") == 2


ECHO = """
import sys
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
"""


def test_what_is_allowed_leaves_byte_for_byte(start_proxy: StartProxy) -> None:
    """Both ways: a server that says what it hears."""
    proxy = start_proxy()
    argv = [sys.executable, "-m", "proxy", "mcp", "--admin", str(proxy.admin), "--"]
    child = subprocess.Popen(
        [*argv, sys.executable, "-c", ECHO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    for raw in (
        b'{ "jsonrpc":"2.0" , "method":"notifications/x","params":{"a":1.50e0}}\n',
        '{"jsonrpc":"2.0","method":"notifications/ü","params":{}}\n'.encode(),
        b'{"jsonrpc":"2.0","method":"notifications/\\u00fc"}\r\n',
        b'{"jsonrpc":"2.0","method":"notifications/x","params":{"a":"'
        + b"x" * 3_000_000
        + b'"}}\n',
    ):
        child.stdin.write(raw)
        child.stdin.flush()
        assert child.stdout.readline() == raw
    child.communicate(timeout=20)
    assert child.returncode == 0


# --- the proxy goes, the server goes, the client goes ---------------------------------------------


async def test_a_proxy_that_is_gone_refuses_and_one_that_is_back_is_found(
    start_proxy: StartProxy,
) -> None:
    """Calls fail as results while nobody judges; nothing runs; a new proxy takes the session up."""
    proxy = start_proxy()
    wrapped = behind(proxy)
    async with wrapped.client() as session:
        await session.call_tool("look_up", {"order_id": "o1"})
        await anyio.to_thread.run_sync(proxy.kill)
        result = await session.call_tool("look_up", {"order_id": "o2"})
        assert result.is_error
        assert "does not answer" in text_of(result)
        await anyio.to_thread.run_sync(proxy.start)
        result = await session.call_tool("look_up", {"order_id": "o3"})
        assert text_of(result) == "order o3"
    assert wrapped.did == ["look_up o1", "look_up o3"]
    assert "was not passed on" in wrapped.stderr


async def test_a_proxy_that_dies_during_a_hold_fails_the_call(start_proxy: StartProxy) -> None:
    """The client has heard progress already, and still gets a result."""
    proxy = start_proxy()
    wrapped = behind(proxy)
    arguments = {"order_id": "o1", "amount": 145}
    results: list[Any] = []
    heard_one = anyio.Event()

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard_one.set()

    async with wrapped.client() as session, anyio.create_task_group() as group:

        async def refund() -> None:
            results.append(
                await session.call_tool("refund_order", arguments, progress_callback=progress)
            )

        group.start_soon(refund)
        await heard_one.wait()
        await anyio.to_thread.run_sync(proxy.kill)
    assert results[0].is_error
    assert wrapped.did == []


@pytest.mark.parametrize("how", ["end of input", "killed"])
async def test_a_client_that_leaves_abandons_its_hold(start_proxy: StartProxy, how: str) -> None:
    """stdin closes, or the wrapper is killed: the hold ends, and the server with it."""
    wrapped = behind(start_proxy())
    child = wrapped.start()
    assert child.stdin is not None
    order = {"order_id": "o1", "amount": 145}
    child.stdin.write(INITIALIZE + call(1, "refund_order", order))
    child.stdin.flush()
    await wrapped.hold()
    if how == "killed":
        child.kill()
    else:
        child.stdin.close()
        child.stdin = None
    await wrapped.hold("abandoned")
    await anyio.to_thread.run_sync(child.communicate)
    assert wrapped.did == []


def test_the_servers_exit_code_is_ours(start_proxy: StartProxy) -> None:
    """A server that ends by itself ends the wrapper, with its code."""
    wrapped = behind(start_proxy(rules=RULES.replace("unmapped: hold", "unmapped: allow")))
    child = wrapped.start()
    assert child.stdin is not None
    child.stdin.write(INITIALIZE + call(1, "leave", {}))
    child.stdin.flush()
    assert child.wait(20) == 7
    child.communicate()


def test_a_signal_is_passed_on(start_proxy: StartProxy) -> None:
    """SIGTERM ends the server too, and the code says so."""
    wrapped = behind(start_proxy())
    child = wrapped.start()
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(INITIALIZE)
    child.stdin.flush()
    child.stdout.readline()
    child.terminate()
    assert child.wait(20) == 128 + 15
    child.communicate()


# --- who is behind it -----------------------------------------------------------------------------


def test_two_servers_of_a_run_share_its_session(start_proxy: StartProxy) -> None:
    """The run's credential is found though the SDK passes no proxy variables on."""
    proxy = start_proxy()
    run = {"HTTPS_PROXY": proxy.credential("task-1", "agent-1")}
    amounts = []
    for name in ("one", "two"):
        wrapped = behind(proxy, name=name)
        child = subprocess.Popen(
            [sys.executable, "-c", PARENT, *wrapped.argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=REPOSITORY,
            env={**os.environ, **run},
        )
        order = {"order_id": name, "amount": 45}
        amounts += [
            m["result"]["isError"] for m in spoken(child, call(1, "refund_order", order), 1)
        ]
    assert amounts == [False, False]
    made = proxy.records("decision")
    assert {(r["session"], r["agent"], r["trust"]["session"]) for r in made} == {
        ("task-1", "agent-1", "credential")
    }
    assert made[1]["budgets"][0]["after"] == 90


PARENT = """
import os, subprocess, sys
bare = {"HOME": os.environ.get("HOME", "/"), "PATH": os.environ["PATH"]}
sys.exit(subprocess.run(sys.argv[1:], env=bare).returncode)
"""


def test_a_session_can_be_named(start_proxy: StartProxy) -> None:
    """`--session` is claimed, the agent is the wrapper's own."""
    proxy = start_proxy()
    wrapped = behind(proxy)
    wrapped.options += ["--session", "task-2"]
    spoken(wrapped.start(), call(1, "refund_order", {"order_id": "o1", "amount": 45}), 1)
    (record,) = proxy.records("decision")
    assert (record["session"], record["agent"]) == ("task-2", "mcp:billing")
    assert record["trust"] == {"session": "claimed", "agent": "listener"}
