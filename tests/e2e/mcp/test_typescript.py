"""The TypeScript SDK's client, whose requests end after 60 s whatever progress it hears: over HTTP and stdio."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Proxy, StartProxy
from tests.e2e.mcp.conftest import RULES, StartServer
from tests.e2e.mcp.node import FOLDER, NODE, needs_node

pytestmark = [pytest.mark.e2e, needs_node]

REPOSITORY = Path(__file__).parents[3]
STDIO_SERVER = Path(__file__).with_name("stdio_server.py")
BIG = {"order_id": "o1", "amount": 145}


@dataclass
class Client:
    """The client's process, and what it has printed."""

    process: subprocess.Popen[str]

    def said(self) -> dict[str, Any]:
        """The next thing the client tells."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the client ended"
        made: dict[str, Any] = json.loads(line)
        return made

    def result(self) -> tuple[bool, str]:
        """Whether the next result is an error, and its text; progress is passed over."""
        while "result" not in (said := self.said()):
            assert "progress" in said, said
        result = said["result"]
        return bool(result.get("isError")), "\n".join(part["text"] for part in result["content"])


@dataclass
class Setting:
    """A proxy, and how a client reaches the server through it."""

    proxy: Proxy
    arguments: Callable[[str], list[str]]
    ran: Callable[[], list[str]]

    @contextmanager
    def calling(self, *calls: dict[str, Any]) -> Iterator[Client]:
        with subprocess.Popen(
            [NODE, FOLDER / "client.mjs", *self.arguments(json.dumps(calls))],
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "TEST_SESSION": "task-1"},
        ) as process:
            client = Client(process)
            try:
                assert "refund_order" in client.said()["tools"]
                yield client
            finally:
                process.stdout.close() if process.stdout else None
                process.wait(20)


type Set = Callable[..., Setting]


@pytest.fixture(params=["json", "sse", "stdio"])
def set_up(
    request: pytest.FixtureRequest,
    start_proxy: StartProxy,
    start_server: StartServer,
    tmp_path: Path,
) -> Set:
    def make(hold_wait: str = "20s") -> Setting:
        if request.param != "stdio":
            server = start_server(request.param)
            proxy = start_proxy("--upstream", server.url, rules=RULES, hold_wait=hold_wait)
            return Setting(
                proxy,
                lambda calls: ["http", proxy.url + server.path, calls],
                lambda: [line for line in server.ran if line != "up"],
            )
        proxy = start_proxy(rules=RULES, hold_wait=hold_wait)
        record = tmp_path / "record"
        wrapper = [sys.executable, "-m", "proxy", "mcp", "--admin", str(proxy.admin), "--"]
        return Setting(
            proxy,
            lambda calls: [
                "stdio",
                calls,
                *wrapper,
                sys.executable,
                str(STDIO_SERVER),
                str(record),
            ],
            lambda: record.read_text().splitlines() if record.exists() else [],
        )

    return make


def call(name: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments, **more}


def test_allowed_and_blocked(set_up: Set) -> None:
    """One runs, one comes back as a failed result with the rule's message."""
    setting = set_up()
    with setting.calling(
        call("refund_order", {"order_id": "o1", "amount": 45}),
        call("forbidden", {"order_id": "o1"}),
    ) as client:
        assert client.result()[0] is False
        failed, text = client.result()
        assert failed
        assert "Nothing is deleted here" in text
    assert len(setting.ran()) == 1
    assert [r["verdict"] for r in setting.proxy.records("decision")] == ["allow", "block"]


@pytest.mark.parametrize(("verb", "failed"), [("approve", False), ("deny", True)])
def test_held_with_progress(set_up: Set, verb: str, failed: bool) -> None:
    """`onprogress` is called while the human thinks; the answer decides."""
    setting = set_up()
    with setting.calling(call("refund_order", BIG, progress=True)) as client:
        hold = setting.proxy.wait_for_hold()
        assert hold["id"] in client.said()["progress"]["message"]
        setting.proxy.answer(verb)
        assert client.result()[0] is failed
    assert len(setting.ran()) == (0 if failed else 1)


def test_past_the_wait_pending_then_once(set_up: Set) -> None:
    """The result comes before the client's own limit; after approval the same call passes once."""
    setting = set_up(hold_wait="1s")
    with setting.calling(call("refund_order", BIG, timeout_ms=15_000)) as client:
        failed, text = client.result()
        assert failed
        assert "pending" in text
    setting.proxy.answer("approve")
    again = call("refund_order", BIG)
    with setting.calling(again, again) as client:
        assert client.result()[0] is False
        assert "pending" in client.result()[1]
    assert len(setting.ran()) == 1
