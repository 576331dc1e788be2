"""The processes that are measured: the upstream, bare mitmdump, checkrein."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RULES = """
version: 1
pack: bench
tools:
  - name: bench_refund
    effects:
      - {kind: money.refund, amount: args.amount, unit: EUR, target: args.order_id, reversibility: irreversible}
  - name: bench_held
    effects: [{kind: money.payout, target: args.order_id, reversibility: irreversible}]
gates:
  - {name: payouts, when: effect.kind == "money.payout", verdict: hold, message: A payout needs a person.}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100000000, per: session, window: 24h, on_exceed: hold}
  - {name: refund-count, of: money.refund, count: true, limit: 100000000, per: agent, on_exceed: hold}
unmapped: hold
"""


@dataclass(frozen=True)
class Running:
    port: int
    pid: int
    folder: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise RuntimeError("a server did not start")


@contextlib.contextmanager
def _run(argv: list[str], port: int, folder: Path) -> Iterator[Running]:
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        _wait(port, process)
        yield Running(port, process.pid, folder)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


@contextlib.contextmanager
def upstream() -> Iterator[Running]:
    """The scripted model API."""
    port = free_port()
    with _run([sys.executable, "-m", "benchmarks.upstream", str(port)], port, Path()) as running:
        yield running


@contextlib.contextmanager
def mitmdump(to: int) -> Iterator[Running]:
    """Bare mitmdump as a reverse proxy: streams passed through, nothing printed."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        argv = [str(Path(sys.executable).parent / "mitmdump"), "-q", "--set", f"confdir={folder}"]
        argv += ["--set", "stream_large_bodies=1m", "-s", str(Path(__file__).parent / "passing.py")]
        argv += ["--mode", f"reverse:http://127.0.0.1:{to}@127.0.0.1:{port}"]
        with _run(argv, port, Path(folder)) as running:
            yield running


@contextlib.contextmanager
def forward(rules: Path, folder: Path) -> Iterator[Running]:
    """checkrein as a forward proxy with rules of one's own, ledger and log durable in `folder`."""
    port = free_port()
    argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}"]
    argv += ["--rules", str(rules), "--state", str(folder / "state.sqlite")]
    argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "admin.sock")]
    with _run([*argv, "--no-inbox", "--ca-dir", str(folder)], port, folder) as running:
        yield running


@contextlib.contextmanager
def checkrein(to: int, *more: str, inbox: str | None = None) -> Iterator[Running]:
    """checkrein as a reverse proxy, ledger and log durable."""
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bench.yaml").write_text(RULES)
        argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}"]
        argv += ["--upstream", f"http://127.0.0.1:{to}", "--rules", str(folder / "bench.yaml")]
        argv += ["--state", str(folder / "state.sqlite"), "--log", str(folder / "log.jsonl")]
        argv += ["--admin", str(folder / "admin.sock"), "--ca-dir", name, *more]
        argv += ["--no-inbox"] if inbox is None else ["--inbox", inbox]
        with _run(argv, port, folder) as running:
            yield running
