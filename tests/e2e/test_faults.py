"""Whatever breaks inside checkrein: no byte of a call leaks, the client reads why, the operator too.

One proxy runs all cases: `faulty.py` raises in the function that a case names, then a healthy call
on the same proxy must pass again.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from proxy.logtail import verify
from tests.e2e.conftest import RULES, Proxy, free_port

pytestmark = pytest.mark.e2e

FAULTY = Path(__file__).with_name("faulty.py")
ROOT = FAULTY.parents[2]
ORDER = "Zq7Wk3Vx9"  # the argument that must not leak
TOOL = {"type": "function", "function": {"name": "refund_order", "parameters": {}}}


def script(history: History) -> Turn:
    """Every answer asks for one refund, or for what the rules forbid."""
    if history.user == "FORBIDDEN":
        return Turn("Let me see.", (ask("forbidden", order_id=ORDER),))
    return Turn("Let me see.", (ask("refund_order", order_id=ORDER, amount=1),))


@dataclass(frozen=True)
class Heard:
    """What a client received: its raw bytes, and whether the connection broke."""

    status: int
    raw: bytes
    broken: bool

    @property
    def leaks(self) -> bool:
        """Whether a part of the call is in it; a stream cuts arguments into pieces."""
        return any(part in self.raw for part in (b"tool_calls", b"order_id", ORDER.encode()))


def talk(
    proxy: Proxy, session: str, *, stream: bool, messages: list[dict[str, Any]] | None = None
) -> Heard:
    """Asks the model through the proxy and keeps every byte that comes."""
    body: dict[str, Any] = {"model": "gpt-5-mini", "tools": [TOOL], "stream": stream}
    body["messages"] = messages or [{"role": "user", "content": "Refund me."}]
    status, raw, broken = 0, b"", False
    with httpx.Client(trust_env=False, timeout=60) as client:
        try:
            with client.stream(
                "POST",
                proxy.url + "/v1/chat/completions",
                json=body,
                headers={"x-checkrein-session": session},
            ) as answer:
                status = answer.status_code
                for chunk in answer.iter_raw():
                    raw += chunk
        except httpx.RemoteProtocolError:
            broken = True
    return Heard(status, raw, broken)


def error_of(heard: Heard) -> str:
    """Returns the error text an SDK of this API would raise, of a document or a stream's last event."""
    text = heard.raw.decode()
    if text.startswith("data:"):
        text = text.strip().rpartition("data: ")[2]
    document = json.loads(text)
    error = document.get("error")
    return str(error["message"] if isinstance(error, dict) else document.get("detail"))


def launch(folder: Path, *options: str, **environment: str) -> Proxy:
    """Makes a proxy whose program is `faulty.py`."""
    (folder / "rules.yaml").write_text(RULES)
    port = free_port()
    argv = [sys.executable, str(FAULTY), "run", "--listen", f"127.0.0.1:{port}"]
    argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
    argv += ["--admin", str(folder / "a.sock"), "--ca-dir", str(folder / "ca")]
    argv += ["--hold-wait", "20s", "--keepalive", "200ms", "--no-inbox", *options]
    if "--log" not in options:
        argv += ["--log", str(folder / "log.jsonl")]
    return Proxy(folder, argv, port, {"PYTHONPATH": str(ROOT), **environment})


GATEKEEPER = "proxy.addon.gatekeeper:"
FAULTS = {
    "requestheaders": ("proxy.wire.detect:protocol_for", "raise"),
    "requestheaders-credential": ("proxy.addon.credentials:Credentials.of_request", "raise"),
    "request-identity": ("proxy.addon.identification:identify", "raise"),
    "request-codec": ("proxy.wire.chat.protocol:ChatProtocol.parse_request", "raise"),
    "request-session": ("proxy.pipeline.core:Pipeline.see_session", "ledger"),
    "request-results": ("proxy.pipeline.results:Results.observe", "ledger"),
    "responseheaders": ("proxy.addon.exchange:Exchange.open", "raise"),
    "gate-made": ("proxy.wire.chat.protocol:ChatProtocol.gate", "raise"),
    "gate-step": ("proxy.addon.exchange:Exchange.step", "raise"),
    "gate-step-inside": ("proxy.addon.exchange:Exchange._handle", "raise"),
    "feed": ("proxy.addon.exchange:Exchange.feed", "raise"),
    "decode": ("proxy.wire.encoding:ContentDecoder.feed", "raise"),
    "stream-codec": ("proxy.wire.chat.stream_gate:ChatStreamGate.feed", "raise"),
    "stream-codec-ruled": ("proxy.wire.chat.stream_gate:ChatStreamGate.rule", "raise"),
    "json-codec": ("proxy.wire.json_gate:JsonGate.feed", "raise"),
    "json-codec-ruled": ("proxy.wire.json_gate:JsonGate.rule", "raise"),
    "rules": ("proxy.policy.ruleset:RuleSet.assess", "raise"),
    "reserve": ("proxy.ledger.account:SqliteAccount.reserve", "raise"),
    "reserve-disk": ("proxy.ledger.account:SqliteAccount.reserve", "oserror"),
    "ledger-begin": ("proxy.ledger.connection:Connection.begin", "ledger"),
    "ledger-commit": ("proxy.ledger.connection:Connection.commit", "ledger"),
    "log": ("proxy.decisionlog:DecisionLog.append", "log"),
    "log-disk": ("proxy.decisionlog:DecisionLog._sync", "oserror"),
    "log-bug": ("proxy.decisionlog:DecisionLog.append", "raise"),
}
BREAKS = {"feed"}
ONLY = {"stream-codec": True, "stream-codec-ruled": True}
ONLY |= {"json-codec": False, "json-codec-ruled": False}
CASES = [
    pytest.param(name, stream, id=f"{name}-{'stream' if stream else 'plain'}")
    for name in FAULTS
    for stream in (True, False)
    if ONLY.get(name, stream) == stream
]


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(script) as model:
        yield model


@pytest.fixture(scope="module")
def proxy(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("faults")
    names = dict.fromkeys(target for target, _ in FAULTS.values())
    names[RESTORE] = None
    proxy = launch(
        folder,
        "--upstream",
        model.url,
        FAULT=",".join(names),
        FAULT_SWITCH=str(folder / "switch"),
    )
    yield proxy.start()
    proxy.stop()
    assert verify([proxy.log]).ok


@pytest.fixture
def switch(proxy: Proxy) -> Iterator[Path]:
    path = proxy.folder / "switch"
    yield path
    path.unlink(missing_ok=True)


RESTORE = "proxy.wire.chat.protocol:ChatProtocol.restore"


def turn_on(switch: Path, target: str, kind: str) -> None:
    """Switches a fault on; the file is never seen half written."""
    made = switch.with_suffix(".new")
    made.write_text(f"{target} {kind}")
    made.replace(switch)


@pytest.mark.parametrize(("name", "stream"), CASES)
def test_fault_closes_the_exchange(name: str, stream: bool, proxy: Proxy, switch: Path) -> None:
    """No byte of the call, a readable error or a broken connection, a reason on stderr; then healthy."""
    session = f"{name}-{stream}"
    noted = len(proxy.stderr)
    turn_on(switch, *FAULTS[name])
    heard = talk(proxy, session, stream=stream)
    switch.unlink()
    assert not heard.leaks, heard.raw
    if name in BREAKS:
        assert heard.broken or heard.status >= 500
    else:
        assert not heard.broken
        assert "checkrein could not judge" in error_of(heard)
        assert heard.status >= 500 or stream
    assert "checkrein: ERROR" in proxy.stderr[noted:]
    assert ORDER not in proxy.stderr[noted:]
    well = talk(proxy, session, stream=stream)
    assert (well.status, well.broken, b"refund_order" in well.raw) == (200, False, True)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_a_history_that_cannot_be_made_whole_goes_nowhere(
    stream: bool, proxy: Proxy, switch: Path, model: ScriptedModel
) -> None:
    """When `restore` fails, the upstream gets no request at all and the client reads why."""
    session = f"restore-{stream}"
    user = {"role": "user", "content": "FORBIDDEN"}
    refused = talk(proxy, session, stream=False, messages=[user])
    text = json.loads(refused.raw)["choices"][0]["message"]["content"]
    assert "was refused" in text
    history = [user, {"role": "assistant", "content": text}, user]
    before = len(model.requests)
    turn_on(switch, RESTORE, "raise")
    heard = talk(proxy, session, stream=stream, messages=history)
    switch.unlink()
    assert (heard.status, heard.leaks, len(model.requests)) == (503, False, before)
    assert "checkrein could not judge" in error_of(heard)
    well = talk(proxy, session, stream=stream, messages=history)
    assert well.status == 200
    assert any("was refused" in result for result in model.requests[-1].history.results)


# --- files and disks ---------------------------------------------------------------------------------


def test_locked_ledger_refuses(proxy: Proxy) -> None:
    """Somebody else holds the database's write lock: no call passes until it is given back."""
    sessions = {"locked-stream": True, "locked-plain": False}
    noted = len(proxy.stderr)
    with (
        contextlib.closing(sqlite3.connect(proxy.folder / "state.sqlite")) as other,
        ThreadPoolExecutor() as pool,
    ):
        for session, stream in sessions.items():
            assert talk(proxy, session, stream=stream).status == 200  # the session is known
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        asked = [pool.submit(talk, proxy, s, stream=stream) for s, stream in sessions.items()]
        heard = [one.result() for one in asked]
        other.execute("ROLLBACK")
    for one in heard:
        assert not one.leaks
        assert "locked" in error_of(one)
    assert "locked" in proxy.stderr[noted:]
    for session, stream in sessions.items():
        assert b"refund_order" in talk(proxy, session, stream=stream).raw


def test_unwritable_log_stops_the_start(tmp_path: Path, model: ScriptedModel) -> None:
    """A log that cannot be written is found before the first connection: exit code 2, and why."""
    proxy = launch(tmp_path, "--upstream", model.url, "--log", "/dev/full")
    ended = subprocess.run(
        proxy.argv,
        env={**os.environ, **proxy.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "/dev/full: the decision log cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_full_disk_refuses_what_it_cannot_write(
    stream: bool, tmp_path: Path, model: ScriptedModel
) -> None:
    """Files stop growing while calls pass: from then on every call is refused, and the log is whole."""
    proxy = launch(tmp_path, "--upstream", model.url, FAULT_FILE_SIZE="1000000")
    proxy.start()
    try:
        heard = [talk(proxy, f"s{n}", stream=stream) for n in range(3)]
        assert all(b"refund_order" in one.raw for one in heard)
        for n in range(3, 400):
            heard.append(talk(proxy, f"s{n}", stream=stream))
            if b"refund_order" not in heard[-1].raw:
                break
        assert not heard[-1].leaks
        assert "checkrein could not judge" in error_of(heard[-1])
        assert not talk(proxy, "later", stream=stream).leaks
        assert "checkrein: ERROR" in proxy.stderr
    finally:
        proxy.stop()
    assert verify([proxy.log]).ok


# --- a bad upstream --------------------------------------------------------------------------------


def sse(*documents: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(d).encode() + b"\n\n" for d in documents)


def chunk(**delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }


def call_part(arguments: str, **head: Any) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": arguments}
    if head:
        function["name"] = "refund_order"
    return chunk(tool_calls=[{"index": 0, **head, "function": function}])


HALF_A_CALL = sse(
    chunk(role="assistant", content="Let me see."),
    call_part("", id="call_1", type="function"),
    call_part(f'{{"order_id": "{ORDER}",'),
)
WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {
                            "name": "refund_order",
                            "arguments": json.dumps({"order_id": ORDER, "amount": 1}),
                        },
                    }
                ],
            },
        }
    ],
}
PLAIN = json.dumps(WHOLE).encode()
OVERLOADED = b'{"error":  {"message": "overloaded", "type": "server_error"}}'


class RawUpstream:
    """Says one byte string to each connection that has sent a request, and closes it."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection, contextlib.suppress(OSError):
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        came = b""
        while b"\r\n\r\n" not in came:
            came += connection.recv(65536)
        head, _, body = came.partition(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        while len(body) < length:
            body += connection.recv(65536)
        connection.sendall(self._answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    def __enter__(self) -> RawUpstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(25)


def http(
    body: bytes, kind: str = "application/json", status: str = "200 OK", *, more: int = 0
) -> bytes:
    """An answer; `more` promises bytes that never come."""
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body) + more}\r\n\r\n"
    )
    return head.encode() + body


SSE = "text/event-stream"
BAD = {
    "dies-in-a-call": (http(HALF_A_CALL, SSE, more=99), True),
    "ends-in-a-call": (http(HALF_A_CALL, SSE), True),
    "dies-in-a-document": (http(PLAIN[:-9], more=9), False),
    "dies-before-its-head": (b"HTTP/1.1 200 OK\r\ncontent-type: appl", False),
    "garbage-document": (http(PLAIN[:-9]), False),
    "garbage-event": (http(HALF_A_CALL + b'data: {"choices": [{"del\n\n', SSE), True),
    "not-even-text": (http(b"\xff\xfe" + PLAIN), False),
    "html": (http(PLAIN, "text/html"), False),
    "html-to-a-stream": (http(HALF_A_CALL, "text/html"), True),
    "no-type": (http(PLAIN, ""), False),
    "unknown-encoding": (
        http(PLAIN).replace(b"\r\n\r\n", b"\r\ncontent-encoding: rot13\r\n\r\n", 1),
        False,
    ),
    "call-named-twice": (
        http(PLAIN.replace(b'"tool_calls": [', b'"tool_calls": [], "tool_calls": [')),
        False,
    ),
}


@pytest.fixture(scope="module")
def forward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A forward proxy, for as many upstreams as there are cases."""
    proxy = launch(tmp_path_factory.mktemp("forward"))
    yield proxy.start()
    proxy.stop()
    assert verify([proxy.log]).ok


def talk_to(
    upstream: str, proxy: Proxy, session: str, *, stream: bool, on_byte: Any = None
) -> Heard:
    """As `talk`, through a forward proxy."""
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Refund."}]}
    status, raw, broken = 0, b"", False
    with httpx.Client(proxy=proxy.url, trust_env=False, timeout=60) as client:
        try:
            with client.stream(
                "POST",
                upstream + "/v1/chat/completions",
                json=body,
                headers={"x-checkrein-session": session},
            ) as answer:
                status = answer.status_code
                for piece in answer.iter_raw():
                    raw += piece
        except httpx.RemoteProtocolError:
            broken = True
    return Heard(status, raw, broken)


@pytest.mark.parametrize(("answer", "stream"), BAD.values(), ids=BAD)
def test_bad_upstream(
    answer: bytes, stream: bool, request: pytest.FixtureRequest, forward: Proxy
) -> None:
    """An answer that is torn or cannot be read ends in an error or a broken connection, never in a call."""
    with RawUpstream(answer) as upstream:
        heard = talk_to(upstream.url, forward, request.node.name, stream=stream)
    assert not heard.leaks, heard.raw
    assert heard.broken or heard.status >= 500 or "checkrein" in error_of(heard)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_upstreams_own_error_passes_unchanged(stream: bool, forward: Proxy) -> None:
    """A provider's 500 is the provider's: same status, same bytes."""
    with RawUpstream(http(OVERLOADED, status="500 Internal Server Error")) as upstream:
        heard = talk_to(upstream.url, forward, f"500-{stream}", stream=stream)
    assert heard == Heard(500, OVERLOADED, broken=False)


def test_error_status_is_no_way_round(forward: Proxy) -> None:
    """A call inside a 500 is judged like any other."""
    body = PLAIN.replace(b"refund_order", b"forbidden")
    with RawUpstream(http(body, status="500 Internal Server Error")) as upstream:
        heard = talk_to(upstream.url, forward, "500-call", stream=False)
    assert ORDER.encode() not in heard.raw


def test_flood_behind_a_hold_ends_the_stream(forward: Proxy) -> None:
    """More than 4 MiB behind a held call: an error, and nothing of the call."""
    finish = {**chunk(), "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    held = sse(call_part(json.dumps({"order_id": ORDER, "amount": 150}), id="c", type="function"))
    flood = sse(chunk(content="x" * 60_000)) * 100
    with RawUpstream(http(held + sse(finish) + flood, SSE)) as upstream:
        heard = talk_to(upstream.url, forward, "flood", stream=True)
    assert not heard.leaks
    assert "too much arrived behind a held call" in error_of(heard)
