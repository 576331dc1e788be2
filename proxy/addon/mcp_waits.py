"""How long an MCP message waits for a human, and what ends the wait: an answer, the time, a client gone."""

from __future__ import annotations

import asyncio
from typing import Protocol

from proxy.addon.clients import ClientProfile
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

    @property
    def longest_s(self) -> float:
        return min(self._settings.hold_wait_s, self._profile.longest_wait_s)

    @property
    def keepalive_s(self) -> float:
        return min(self._profile.keepalive_s, self._settings.keepalive_s)

    def until_s(self) -> float:
        """When a wait that begins now is over, by the loop's clock."""
        return asyncio.get_running_loop().time() + self.longest_s

    async def out(self, channel: McpChannel, turn: Turn, listener: Listener | None = None) -> None:
        """Waits to the end; afterwards nothing of the turn waits any more.

        `listener`: where the client reads its answer, if not in this exchange's own response.
        """
        until_s = self.until_s()
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
