"""What people look at has changed: told to those who have a page open.

What belongs here: counting changes, and waking who waits for one. The decision log's records tell (`note` stands behind the log in the writer's
sink), so that no step of a hold can be forgotten. Who is woken reads the ledger again; what is told is only that there is something to read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from proxy.model import Json

_ALWAYS = frozenset({"hold", "grant", "rules"})


class Changes:
    """A number that grows with each change."""

    def __init__(self) -> None:
        self.version = 0
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def note(self, records: Sequence[dict[str, Json]]) -> None:
        """Takes in what was logged; any thread."""
        if any(map(_is_seen, records)):
            self.version += 1
            for loop, event in list(self._waiting):
                loop.call_soon_threadsafe(event.set)

    async def after(self, version: int, timeout_s: float) -> int:
        """Returns the version when it is another, or when the time is up."""
        event = asyncio.Event()
        waiting = (asyncio.get_running_loop(), event)
        self._waiting.add(waiting)
        try:
            if self.version == version:
                async with asyncio.timeout(timeout_s):
                    await event.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(waiting)
        return self.version


def _is_seen(record: dict[str, Json]) -> bool:
    kind = record["type"]
    if kind == "decision":
        return bool(record["verdict"] == "hold")
    return kind in _ALWAYS or (kind == "session" and record["event"] != "seen")
