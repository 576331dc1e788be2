"""What a call costs late in a session: after 10,000 earlier calls, beside after 10.

Chains, origins and budgets lie over the call. Two sessions are asked in turn, each in its own ledger and log.
"""

from __future__ import annotations

import asyncio
from statistics import median

from benchmarks.deciding import deciding, quantile, rule_set

EARLIER = (10, 10_000)
CALLS_A_ROUND = 300


def measure(*, rounds: int, seconds: float) -> dict[str, float | int]:
    """Fills both sessions, then measures them in turn."""
    del seconds
    return asyncio.run(_measure(rounds))


async def _measure(rounds: int) -> dict[str, float | int]:
    rules = rule_set(100)
    with deciding(rules) as short, deciding(rules) as long:
        for one, earlier in ((short, EARLIER[0]), (long, EARLIER[1])):
            await one.begin()
            for i in range(earlier):
                name = "act" if i % 2 else "read"
                await one.call(name, result=f"Order {i} of customer-{i}@example.net is on its way.")
        ratios, p50s, p99s = [], [], []
        for _ in range(rounds):
            early: list[float] = []
            late: list[float] = []
            for _ in range(CALLS_A_ROUND):
                early.append(await short.call())
                late.append(await long.call())
            ratios.append(median(late) / median(early))
            p50s.append(quantile(late, 0.5) * 1000)
            p99s.append(quantile(late, 0.99) * 1000)
    return {
        "ratio_late_to_early": round(median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "p50_ms_late": round(median(p50s), 3),
        "p99_ms_late": round(median(p99s), 3),
        "earlier_calls": EARLIER[1],
        "rounds": rounds,
    }
