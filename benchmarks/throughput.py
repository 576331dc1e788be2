"""Requests per second on a 20 KB chat request whose 2 KB answer has one allowed tool call."""

from __future__ import annotations

import asyncio
from statistics import median

from benchmarks.client import chat_body, load, request
from benchmarks.proxies import checkrein, mitmdump, upstream

CONNECTIONS = 32


def measure(*, rounds: int, seconds: float) -> dict[str, float | int]:
    """Runs both proxies in turn, pair by pair."""
    body = chat_body(20_000)
    ratios, bare, ours, bare_p50, our_p50 = [], [], [], [], []
    with upstream() as model, mitmdump(model.port) as plain, checkrein(model.port) as gated:
        for running in (plain, gated):  # warm up
            asyncio.run(load(running.port, request(running.port, body), connections=8, seconds=1.0))
        for _ in range(rounds):
            rate, latencies = asyncio.run(
                load(
                    plain.port, request(plain.port, body), connections=CONNECTIONS, seconds=seconds
                )
            )
            our_rate, our_latencies = asyncio.run(
                load(
                    gated.port, request(gated.port, body), connections=CONNECTIONS, seconds=seconds
                )
            )
            bare.append(rate)
            ours.append(our_rate)
            ratios.append(our_rate / rate)
            bare_p50.append(median(latencies))
            our_p50.append(median(our_latencies))
    return {
        "ratio_to_mitmdump": round(median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "mitmdump_per_s": round(median(bare)),
        "checkrein_per_s": round(median(ours)),
        "mitmdump_p50_ms": round(median(bare_p50), 2),
        "checkrein_p50_ms": round(median(our_p50), 2),
        "request_bytes": len(body),
        "connections": CONNECTIONS,
        "rounds": rounds,
    }
