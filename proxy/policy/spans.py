"""Time spans as rules write them."""

from __future__ import annotations


def span(ms: int) -> str:
    """Returns a span in its largest whole unit: 3600000 is 1h."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        if ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms // 1000}s"
