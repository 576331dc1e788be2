"""A real MCP server and the real Python SDK with a checkrein in between."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from tests.e2e.conftest import Proxy, StartProxy, free_port

MODES = ("json", "sse", "stateless", "legacy")
RULES = """
version: 1
pack: e2e
tools:
  - name: refund_order
    effects:
      - kind: money.refund
        amount: args.amount
        unit: EUR
        target: args.order_id
        reversibility: irreversible
        settle: {ok: "!result.is_error"}
  - {name: [look_up, ask_user, ask_model, rename], effects: []}
  - {name: forbidden, effects: [{kind: record.delete, target: args.order_id, reversibility: irreversible}]}
gates:
  - {name: no-deletion, when: effect.kind == "record.delete", verdict: block, message: Nothing is deleted here.}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, window: 24h, on_exceed: hold}
unmapped: hold
"""


@dataclass
class Server:
    port: int
    out: Path
    mode: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def path(self) -> str:
        return "/sse" if self.mode == "legacy" else "/mcp"

    @property
    def ran(self) -> list[str]:
        return self.out.read_text().splitlines()


type StartServer = Callable[[str], Server]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts MCP servers by mode; they end with the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(mode: str) -> Server:
        port, out = free_port(), tmp_path / f"server-{len(processes)}.txt"
        script = Path(__file__).with_name("server.py")
        with out.open("w") as stdout:
            processes.append(
                subprocess.Popen([sys.executable, str(script), str(port), mode], stdout=stdout)
            )
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", port), 0.2),
            ):
                return Server(port, out, mode)
            time.sleep(0.05)
        raise RuntimeError("the MCP server did not start")

    yield start
    for process in processes:
        process.kill()
        process.wait(5)


@dataclass
class Scene:
    server: Server
    proxy: Proxy

    @asynccontextmanager
    async def client(self, *, mode: str = "legacy", **options: Any) -> AsyncIterator[Client]:
        url = self.proxy.url + self.server.path
        transport = sse_client(url) if self.server.mode == "legacy" else streamable_http_client(url)
        async with Client(transport, mode=mode, **options) as client:
            yield client


type MakeScene = Callable[..., Scene]


@pytest.fixture
def make_scene(start_server: StartServer, start_proxy: StartProxy) -> MakeScene:
    def make(mode: str, *, rules: str = RULES, hold_wait: str = "20s") -> Scene:
        server = start_server(mode)
        proxy = start_proxy("--upstream", server.url, rules=rules, hold_wait=hold_wait)
        return Scene(server, proxy)

    return make
