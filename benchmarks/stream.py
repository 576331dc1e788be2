"""Time to the first text of a stream."""

from __future__ import annotations

import asyncio
from statistics import median

from benchmarks.client import chat_body, first_text_ms, request
from benchmarks.proxies import checkrein, mitmdump, upstream

STREAMS = 40


def measure(*, rounds: int, seconds: float) -> dict[str, float | int]:
    """Runs both proxies in turn, pair by pair."""
    del seconds
    body = chat_body(20_000, stream=True)
    path = "/v1/chat/completions?chunks=5&gap_ms=5"
    bare: list[float] = []
    ours: list[float] = []
    ratios = []
    with upstream() as model, mitmdump(model.port) as plain, checkrein(model.port) as gated:
        for running in (plain, gated):
            asyncio.run(first_text_ms(running.port, request(running.port, body, path), 10))
        for _ in range(rounds):
            a = asyncio.run(first_text_ms(plain.port, request(plain.port, body, path), STREAMS))
            b = asyncio.run(first_text_ms(gated.port, request(gated.port, body, path), STREAMS))
            bare += a
            ours += b
            ratios.append(median(b) / median(a))
    return {
        "ratio_to_mitmdump": round(median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "mitmdump_first_text_ms": round(median(bare), 2),
        "checkrein_first_text_ms": round(median(ours), 2),
        "streams": len(ours),
        "rounds": rounds,
    }
