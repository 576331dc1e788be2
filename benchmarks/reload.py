"""What an edited rule file costs the calls that come in meanwhile: 200 a second, with edits and without, in turn.

A tool API behind the forward proxy; a set of 500 rules of which a small file is edited every two seconds, so that one
gate blocks, then does not. `lost` are requests without an answer, `misjudged` are decisions that do not fit the
version in their record, or the client's answer. `ratio_p50`, `ratio_p99`: latency with edits to without, of
pairs of runs, medians.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

from benchmarks.deciding import quantile, rule_text
from benchmarks.proxies import Running, forward
from proxy.policy.ruleset import RuleSet

PER_S = 200
RULES = 500
EDIT_EVERY_S = 2.0
CONNECTIONS = 32
LIVE = """version: 1
pack: live
tools:
  - http: {method: POST, host: localhost, path: "/refunds/{order}"}
    effects: [{kind: money.refund, amount: body.amount, unit: EUR, target: path.order}]
budgets:
  - {name: live-refunds, of: money.refund, sum: EUR, limit: 100000000, per: session}
gates: [GATE]
"""
ALLOW = LIVE.replace("GATE", "")
BLOCK = LIVE.replace("GATE", "{name: none, when: effect.kind == 'money.refund', verdict: block}")


@dataclass(slots=True)
class _Seen:
    """What clients saw, and what was written when."""

    answers: dict[str, int] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    written: list[float] = field(default_factory=list)
    sent: int = 0


def measure(*, rounds: int, seconds: float) -> dict[str, float | int]:
    """Runs quiet and edited in turn."""
    compiling_s = _compiling_s(1000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rules = folder / "rules"
        rules.mkdir()
        (rules / "bench.yaml").write_text(rule_text(RULES))
        (rules / "live.yaml").write_text(ALLOW)
        with forward(rules, folder) as running:
            runs, seen = asyncio.run(_pairs(running, rules / "live.yaml", rounds, seconds))
        records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    ratios50 = [quantile(e, 0.5) / quantile(q, 0.5) for q, e in runs]
    ratios99 = [quantile(e, 0.99) / quantile(q, 0.99) for q, e in runs]
    return {
        "ratio_p50": round(median(ratios50), 3),
        "ratio_p50_min": round(min(ratios50), 3),
        "ratio_p50_max": round(max(ratios50), 3),
        "ratio_p99": round(median(ratios99), 3),
        "p50_ms_quiet": round(median(quantile(q, 0.5) for q, _ in runs) * 1000, 2),
        "p50_ms_edited": round(median(quantile(e, 0.5) for _, e in runs) * 1000, 2),
        "p99_ms_quiet": round(median(quantile(q, 0.99) for q, _ in runs) * 1000, 2),
        "p99_ms_edited": round(median(quantile(e, 0.99) for _, e in runs) * 1000, 2),
        "requests": seen.sent,
        "requests_per_s": PER_S,
        "lost": seen.sent - len(seen.answers),
        "misjudged": _misjudged(records, seen),
        "reloads": sum(r["type"] == "rules" and r["event"] == "reloaded" for r in records),
        "in_force_after_ms": round(median(_delays_s(records, seen)) * 1000, 1),
        "compile_ms_1000_rules": round(compiling_s * 1000, 1),
        "rules": RULES,
        "rounds": rounds,
    }


def _compiling_s(rules: int) -> float:
    text = rule_text(rules)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        RuleSet.load_text("bench.yaml", text)
        times.append(time.perf_counter() - began)
    return median(times)


async def _pairs(
    running: Running, live: Path, rounds: int, seconds: float
) -> tuple[list[tuple[list[float], list[float]]], _Seen]:
    seen = _Seen()
    made = []
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    to = server.sockets[0].getsockname()[1]
    async with server:
        client = await _Client.opened(running.port, to)
        await _load(client, 1.0, seen, "warm")
        for n in range(rounds):
            quiet = await _load(client, seconds, seen, f"q{n}")
            editing = asyncio.ensure_future(_edit(live, seen))
            edited = await _load(client, seconds, seen, f"e{n}")
            editing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await editing
            await asyncio.sleep(1.0)
            made.append((quiet, edited))
        client.close()
    return made, seen


class _Client:
    """Connections that are kept, by hand: a library's client would take more of the machine than the proxy does."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )

    @classmethod
    async def opened(cls, port: int, to: int) -> _Client:
        made = cls(to)
        for _ in range(CONNECTIONS):
            made._free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
        return made

    async def pay(self, order: str) -> int:
        """Returns the answer's status."""
        reader, writer = await self._free.get()
        url = f"http://localhost:{self._to}/refunds/{order}"
        writer.write(
            f"POST {url} HTTP/1.1\r\nhost: localhost:{self._to}\r\nx-checkrein-session: load\r\n"
            'content-type: application/json\r\ncontent-length: 12\r\n\r\n{"amount":1}'.encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(_length(head))
        self._free.put_nowait((reader, writer))
        return int(head[9:12])

    def close(self) -> None:
        while not self._free.empty():
            self._free.get_nowait()[1].close()


async def _load(client: _Client, seconds: float, seen: _Seen, name: str) -> list[float]:
    """Sends at a steady rate, whatever the answers take; returns how long each took."""

    async def pay(order: str, due_s: float) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            seen.answers[order] = await client.pay(order)
            seen.took_s[order] = time.perf_counter() - due_s

    began_s = time.perf_counter()
    orders = [f"{name}-{n}" for n in range(int(seconds * PER_S))]
    async with asyncio.TaskGroup() as group:
        for n, order in enumerate(orders):
            due_s = began_s + n / PER_S
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            seen.sent += 1
            group.create_task(pay(order, due_s))
    return [seen.took_s[order] for order in orders if order in seen.took_s]


async def _edit(live: Path, seen: _Seen) -> None:
    text = BLOCK
    while True:
        beside = live.with_suffix(".new")
        beside.write_text(text)
        beside.replace(live)
        seen.written.append(time.time())
        text = ALLOW if text is BLOCK else BLOCK
        await asyncio.sleep(EDIT_EVERY_S)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_length(head))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()
    writer.close()


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])


def _misjudged(records: list[dict[str, object]], seen: _Seen) -> int:
    """Decisions of another set than the one in force, or that the client did not see."""
    blocks: dict[object, set[object]] = {}
    wrong, in_force = 0, None
    for record in records:
        if record["type"] == "rules":
            in_force = record["rules"]
        elif record["type"] == "decision":
            blocks.setdefault(record["rules"], set()).add(record["verdict"])
            order = record["effects"][0]["target"]  # type: ignore[index]
            status = 200 if record["verdict"] == "allow" else 403
            wrong += record["rules"] != in_force or seen.answers.get(order) != status
    return wrong + sum(len(verdicts) - 1 for verdicts in blocks.values())


def _delays_s(records: list[dict[str, object]], seen: _Seen) -> list[float]:
    """From each edit that came into force to the record of it."""
    reloads = [
        datetime.fromisoformat(str(r["time"])).timestamp()
        for r in records
        if r["type"] == "rules" and r["event"] == "reloaded"
    ]
    return [at - max((w for w in seen.written if w <= at), default=at) for at in reloads] or [0.0]
