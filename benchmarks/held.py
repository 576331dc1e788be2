"""500 streams held in the middle: memory a stream, and how other requests fare meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median

from benchmarks.client import chat_body, load, request
from benchmarks.proxies import checkrein, mitmdump, upstream

STREAMS = 500


def _rss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("no VmRSS: this benchmark needs Linux")


async def _hold(port: int, data: bytes) -> list[asyncio.StreamWriter]:
    async def one() -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        seen = b""
        while b": checkrein" not in seen and b'"delta":{}' not in seen:
            more = await reader.read(65536)
            if not more:
                raise RuntimeError("a held stream ended")
            seen += more
        return writer

    writers: list[asyncio.StreamWriter] = []
    for _ in range(STREAMS // 50):
        writers += await asyncio.gather(*(one() for _ in range(50)))
    return writers


async def _measure(port: int, pid: int, seconds: float) -> tuple[float, list[float], list[float]]:
    body = chat_body(20_000)
    plain = request(port, body)
    await load(port, plain, connections=4, seconds=1.0)
    _, before = await load(port, plain, connections=1, seconds=seconds)
    empty_kib = _rss_kib(pid)
    held = request(
        port, chat_body(2_000, stream=True), "/v1/chat/completions?chunks=2&gap_ms=1&hold=1"
    )
    writers = await _hold(port, held)
    full_kib = _rss_kib(pid)
    _, during = await load(port, plain, connections=1, seconds=seconds)
    for writer in writers:
        writer.close()
    return (full_kib - empty_kib) / STREAMS, before, during


def measure(*, rounds: int, seconds: float) -> dict[str, float | int]:
    """Holds the streams, then measures memory and a plain request beside them."""
    del rounds
    with upstream() as model, mitmdump(model.port) as bare:
        request_bytes = request(bare.port, chat_body(20_000))
        _, plain = asyncio.run(load(bare.port, request_bytes, connections=1, seconds=seconds))
        with checkrein(model.port, "--hold-wait", "10m", "--keepalive", "2s") as gated:
            kib, before, during = asyncio.run(_measure(gated.port, gated.pid, seconds))
    return {
        "held_streams": STREAMS,
        "kib_per_held_stream": round(kib, 1),
        "mitmdump_p50_ms": round(median(plain), 2),
        "p50_ms_before": round(median(before), 2),
        "p50_ms_during": round(median(during), 2),
        "p99_ms_during": round(during[int(len(during) * 0.99)], 2),
    }
