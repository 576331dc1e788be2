"""How long an MCP message waits for a human, and what ends the wait: an answer, the time, a client gone."""

from __future__ import annotations

import asyncio
from typing import Protocol

from proxy.pipeline.clients import ClientProfile
from proxy.pipeline.mcp import McpChannel, Turn
from proxy.pipeline.waiting import Presence
from proxy.settings import Settings


class Listener(Protocol):
    """A stream in which the client of a POST hears."""

    presence: Presence

    def inject(self, message: bytes) -> None: ...


class McpWaits:
    """The waits of one exchange; who asked is seen by `presence`."""

    def __init__(self, settings: Settings, profile: ClientProfile, presence: Presence) -> None:
        self._settings = settings
        self._profile = profile
        self._presence = presence

    def longest_s(self, turn: Turn) -> float:
        """How long this turn may wait: as long as the hold that may wait the least."""
        waits = [self._profile.wait_s_for(w.hold, self._settings) for w in turn.waiting]
        return min(waits, default=0.0)

    @property
    def keepalive_s(self) -> float:
        return self._profile.keepalive_s_for(self._settings)

    def until_s(self, turn: Turn) -> float:
        """When a wait that begins now is over, by the loop's clock."""
        return asyncio.get_running_loop().time() + self.longest_s(turn)

    async def out(self, channel: McpChannel, turn: Turn, listener: Listener | None = None) -> None:
        """Waits to the end; afterwards nothing of the turn waits any more.

        `listener`: where the client reads its answer, if not in this exchange's own response.
        """
        until_s = self.until_s(turn)
        while turn.waiting and not self._is_gone(listener):
            if until_s <= asyncio.get_running_loop().time():
                break
            await self._once(channel, turn, until_s)
            if listener is not None:
                for note in turn.progress():
                    listener.inject(note)
        if self._is_gone(listener):
            await channel.leave(turn)  # nobody would read the answer
        elif turn.waiting:
            await channel.park(turn)

    async def step(self, channel: McpChannel, turn: Turn, until_s: float) -> None:
        """Waits for a keep-alive interval at most, and to `until_s` at most; then `turn` is parked."""
        await self._once(channel, turn, until_s)
        if self._presence.gone:
            await channel.leave(turn)
        elif turn.waiting and until_s <= asyncio.get_running_loop().time():
            await channel.park(turn)

    async def _once(self, channel: McpChannel, turn: Turn, until_s: float) -> None:
        left_s = until_s - asyncio.get_running_loop().time()
        if left_s > 0:
            await channel.wait(turn, self._presence, min(left_s, self.keepalive_s))

    def _is_gone(self, listener: Listener | None) -> bool:
        return self._presence.gone or (listener is not None and listener.presence.gone)
