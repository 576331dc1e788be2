"""Where held calls wait: events that an answer, a timeout or a lost client sets.

The truth about a hold is in the ledger; this only wakes who waits in this process. A waiter that
wakes reads the ledger again, so a lost wake-up costs one keep-alive interval, not an answer.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection


class Presence:
    """Whether the client of one exchange is still there, and how its waiter is woken."""

    __slots__ = ("gone", "wake")

    def __init__(self) -> None:
        self.gone = False
        self.wake = asyncio.Event()

    def leave(self) -> None:
        """The client went away; whoever waits for it stops."""
        self.gone = True
        self.wake.set()


class WaitingRoom:
    """Wakes the exchanges that wait for holds."""

    def __init__(self) -> None:
        self._waiters: defaultdict[str, set[Presence]] = defaultdict(set)

    def wake(self, hold_id: str) -> None:
        """Wakes all that wait for this hold; loop thread only."""
        for presence in self._waiters.get(hold_id, ()):
            presence.wake.set()

    def is_awaited(self, hold_id: str) -> bool:
        """Whether somebody in this process waits for it."""
        return hold_id in self._waiters

    def count(self) -> int:
        """How many holds have somebody waiting in this process."""
        return len(self._waiters)

    async def wait(self, hold_ids: Collection[str], presence: Presence, timeout_s: float) -> None:
        """Returns when one of the holds changed, the client left, or the time is up."""
        for hold_id in hold_ids:
            self._waiters[hold_id].add(presence)
        try:
            async with asyncio.timeout(timeout_s):
                await presence.wake.wait()
        except TimeoutError:
            pass
        finally:
            if not presence.gone:
                presence.wake.clear()
            for hold_id in hold_ids:
                self._waiters[hold_id].discard(presence)
                if not self._waiters[hold_id]:
                    del self._waiters[hold_id]
