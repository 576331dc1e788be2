"""A request that waits for a human with its connection open, from the hold to what becomes of it.

What belongs here: the wait of requests that can be told nothing meanwhile (a tool API's, one that no codec reads, one to a model
that a budget holds). Answers of models wait in `addon/exchange.py`, MCP in `addon/mcp_waits.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from proxy.pipeline.clients import ClientProfile
from proxy.pipeline.core import Pipeline
from proxy.pipeline.decision import Decision
from proxy.pipeline.waiting import Presence

_LOOK_S = 1.0
"""How often it is looked whether the client is there, and whether another process has answered."""


async def until_answered(
    pipeline: Pipeline,
    decision: Decision,
    profile: ClientProfile,
    presence: Presence,
    decide: Callable[[], Awaitable[Decision]],
    is_there: Callable[[], bool] = lambda: True,
) -> Decision | None:
    """Waits until a held request is answered, or has to be told that it is pending.

    Args:
        decision: what held it.
        decide: decides it again, once its hold has been answered.
        is_there: whether the client is, where `presence` alone does not tell.

    Returns:
        The decision that stands; None: the client has gone.
    """
    until_s: float | None = None
    now_s = asyncio.get_running_loop().time
    while (hold := decision.pending) is not None:
        until_s = until_s or now_s() + profile.wait_s_for(hold, pipeline.settings)
        left_s = until_s - now_s()
        if left_s <= 0:
            await pipeline.desk.parked(hold)
            return decision
        answered = await pipeline.wait_for({hold.id: hold}, presence, min(left_s, _LOOK_S))
        if presence.gone or not is_there():
            await pipeline.abandon(hold.id)
            return None
        if hold.id in answered:
            decision = await decide()
    return decision
