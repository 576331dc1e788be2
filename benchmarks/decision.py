"""What one decision costs with 1,000 rules, beside 10, with chains and origins on.

`judging` is from the question to the record, without the disk; `decision` is what a caller waits, until ledger
and log are synced.

Both sets are asked in turn, call by call, each in a ledger and log of its own that are synced to disk; the
session has read 200 results before.
"""

from __future__ import annotations

import asyncio
from statistics import median

from benchmarks.deciding import deciding, quantile, rule_set

CALLS_A_ROUND = 400
RESULTS = 200


def measure(*, rounds: int, seconds: float) -> dict[str, float | int]:
    """Runs the two rule sets in turn; `seconds` bounds nothing here, calls are counted."""
    del seconds
    return asyncio.run(_measure(rounds))


async def _measure(rounds: int) -> dict[str, float | int]:
    with deciding(rule_set(10)) as small, deciding(rule_set(1000)) as large:
        for one in (small, large):
            await one.begin()
            for i in range(RESULTS):
                await one.call("read", result=_page(i))
            for _ in range(50):
                await one.call()
        ratios, p50s, p99s, small_p99s = [], [], [], []
        judging: list[float] = []
        judging_p99s: list[float] = []
        for _ in range(rounds):
            few: list[float] = []
            many: list[float] = []
            for _ in range(CALLS_A_ROUND):
                few.append(await small.call())
                many.append(await large.call())
            less, more = small.judging_ms(CALLS_A_ROUND), large.judging_ms(CALLS_A_ROUND)
            judging.append(median(more) / median(less))
            judging_p99s.append(quantile(more, 0.99))
            ratios.append(median(many) / median(few))
            p50s.append(quantile(many, 0.5) * 1000)
            p99s.append(quantile(many, 0.99) * 1000)
            small_p99s.append(quantile(few, 0.99) * 1000)
    return {
        "ratio_1000_to_10_rules": round(median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "judging_ratio_1000_to_10_rules": round(median(judging), 3),
        "judging_p99_ms_1000_rules": round(median(judging_p99s), 3),
        "p50_ms_1000_rules": round(median(p50s), 3),
        "p99_ms_1000_rules": round(median(p99s), 3),
        "p99_ms_10_rules": round(median(small_p99s), 3),
        "calls": rounds * CALLS_A_ROUND,
        "rounds": rounds,
    }


def _page(number: int) -> str:
    return (
        f"Record {number}: customer-{number % 50}@example.org ordered item SKU-{number * 7919} for "
        f"{number}.50 EUR; the parcel {number * 104729} left on day {number % 28}. "
    ) * 4
