"""Real processes for the end-to-end tests: a checkrein that is started, asked, killed and started again.

`start_proxy` gives a `Proxy`; upstreams and billing are `proxy.cli.demo`'s strict stand-ins, or raw
byte servers. Everything listens on free loopback ports and ends with the test.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.warm import Warm, WarmProcess

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
  - {name: look_up, effects: []}
  - {name: forbidden, effects: [{kind: record.delete, target: args.order_id, reversibility: irreversible}]}
gates:
  - {name: no-deletion, when: effect.kind == "record.delete", verdict: block, message: Nothing is deleted here.}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, window: 24h, on_exceed: hold}
unmapped: hold
"""


@dataclass
class Proxy:
    """One checkrein process, and how a test asks it."""

    folder: Path
    argv: list[str]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | WarmProcess | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        return self.folder / "ca" / "mitmproxy-ca-cert.pem"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def admin(self) -> Path:
        return self.folder / "a.sock"

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr.txt").read_text()

    def start(self) -> Proxy:
        """Starts it, and returns when it takes connections."""
        self.process = self._started()
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            if self.process.poll() is not None:
                raise RuntimeError(f"checkrein ended: {self.stderr}")
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 0.2),
            ):
                if _answers(self.admin):
                    return self
            time.sleep(0.05)
        raise RuntimeError(f"checkrein did not start: {self.stderr}")

    def _started(self) -> subprocess.Popen[str] | WarmProcess:
        """A process of its own: forked from one that has imported all, or cold where it has an environment of its own."""
        path = self.folder / "stderr.txt"
        is_plain = self.argv[:3] == [sys.executable, "-m", "proxy"] and not self.environment
        if is_plain and sys.platform == "linux":
            path.touch()
            return Warm.running().start(self.argv[3:], path)
        with path.open("a") as stderr:
            return subprocess.Popen(
                self.argv,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                text=True,
                env={**os.environ, **self.environment},
            )

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Ends it and returns its exit code."""
        assert self.process is not None
        self.process.send_signal(signum)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
            raise

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def ask(
        self, path: str, body: dict[str, Any] | None = None, *, token: str | None = None
    ) -> dict[str, Any]:
        """Asks the admin side, as the command line does; `token` is of a person who answers."""
        transport = httpx.HTTPTransport(uds=str(self.admin))
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        with httpx.Client(
            transport=transport, timeout=10, trust_env=False, headers=headers
        ) as client:
            answer = (
                client.get("http://checkrein" + path)
                if body is None
                else client.post("http://checkrein" + path, json=body)
            )
        answer.raise_for_status()
        made: dict[str, Any] = answer.json()
        return made

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Returns the log's records, of one type or all."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        made = [json.loads(line) for line in lines]
        return [record for record in made if kind is None or record["type"] == kind]

    def wait_for_hold(self, *, state: str = "pending", count: int = 1) -> dict[str, Any]:
        """Returns the newest hold in a state, once there are so many."""
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            holds: list[dict[str, Any]] = self.ask(f"/v1/holds?state={state}")["holds"]
            if len(holds) >= count:
                return holds[0]
            time.sleep(0.05)
        raise AssertionError(f"no {state} hold; the log has {self.records('decision')}")

    def answer(self, verb: str, *, reason: str | None = None) -> dict[str, Any]:
        """Answers the newest pending hold."""
        hold = self.wait_for_hold()
        return self.ask(f"/v1/holds/{hold['id']}/{verb}", {"by": "tester", "reason": reason})

    def credential(self, session: str = "run", agent: str = "agent") -> str:
        """Returns a proxy URL with a minted credential in it."""
        token = self.ask("/v1/credentials", {"session": session, "agent": agent})["token"]
        return f"http://checkrein:{token}@127.0.0.1:{self.port}"


def _answers(path: Path) -> bool:
    """Whether somebody listens; asked by hand, httpcore leaves a socket open where nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


type StartProxy = Callable[..., Proxy]


@pytest.fixture
def start_proxy(tmp_path: Path) -> Iterator[StartProxy]:
    """Starts proxies: `start_proxy("--upstream", url, rules=TEXT)`; they end with the test."""
    made: list[Proxy] = []

    def start(
        *options: str,
        rules: str = RULES,
        name: str = "proxy",
        hold_wait: str = "20s",
        environment: Mapping[str, str] | None = None,
    ) -> Proxy:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "rules.yaml").write_text(rules)
        port = free_port()
        argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}"]
        argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
        argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "a.sock")]
        argv += ["--ca-dir", str(folder / "ca"), "--hold-wait", hold_wait, "--keepalive", "200ms"]
        if "--abandon-after" not in options:
            argv += ["--abandon-after", "0s"]
        argv += [*([] if "--inbox" in options else ["--no-inbox"]), *options]
        proxy = Proxy(folder, argv, port, environment or {})
        made.append(proxy)
        return proxy.start()

    yield start
    for proxy in made:
        if proxy.process is not None and proxy.process.poll() is None:
            proxy.stop()
