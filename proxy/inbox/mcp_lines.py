"""Lines of a stdio tool server, judged: `pipeline.mcp` for newline-delimited JSON-RPC.

How it works. A `Conversation` takes one line of one side and answers with steps: what goes to the
server, what goes to the client, `To.NOBODY` while a human is asked (the bridge then lets other
lines pass), and notes for the operator. `data` None is the line as it came. Who stops reading the
steps (a bridge that ends) abandons the holds.

Servers split their input differently: Python's text streams end a line at a lone carriage return
too, so that the middle of one message could be a message of its own there. No JSON needs one; a line
that has one anywhere but at its end is refused. What has no single reading is closed by `closed`:
a request is answered under its id, so that its sender does not wait for ever, the rest is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import anyio

from proxy.errors import WireError
from proxy.inbox.mcp_steps import From, Step, To, closed
from proxy.model import Identity, Trust
from proxy.pipeline.clients import ClientProfile
from proxy.pipeline.core import Pipeline
from proxy.pipeline.mcp import McpChannel, Turn
from proxy.pipeline.waiting import Presence

LONGEST_WAIT_S = 50.0
"""The TypeScript SDK gives a request 60 s, and progress does not make it longer."""


_CLIENT = ClientProfile("mcp-stdio", 10.0, LONGEST_WAIT_S)
_SILENCE_S = 10.0  # the bridge takes a longer one for the end of the proxy


class Conversation:
    """One client and one server, seen line by line."""

    def __init__(self, pipeline: Pipeline, channel: McpChannel) -> None:
        self._pipeline = pipeline
        self._channel = channel

    async def judge(self, origin: From, line: bytes) -> AsyncGenerator[Step]:
        """Yields what becomes of a line.

        Raises:
            LedgerError, LogError: the decision could not be made durable; the caller closes the line.
        """
        try:
            turn = await self._read(origin, line)
        except WireError as error:
            for step in closed(origin, line, f"checkrein refused an unreadable message: {error}"):
                yield step
            return
        try:
            if turn.waiting:
                async for step in self._wait(turn):
                    yield step
        finally:
            if turn.waiting:  # nobody reads on: the client went away
                with anyio.CancelScope(shield=True):
                    await self._channel.leave(turn)
        try:
            forward, answer = turn.forward, turn.answer
        except ValueError as error:  # what is left of it has no JSON form (a lone surrogate)
            for step in closed(origin, line, f"checkrein refused it ({type(error).__name__})"):
                yield step
            return
        there, back = (To.SERVER, To.CLIENT) if turn.by_client else (To.CLIENT, To.SERVER)
        if forward is not None:
            yield Step(there, None if forward is turn.payload.raw else forward)
        if answer is not None:
            yield Step(back, answer)

    async def _read(self, origin: From, line: bytes) -> Turn:
        body = line.removesuffix(b"\r")
        if b"\r" in body:
            raise WireError("MCP: a carriage return inside a line")
        if origin is From.CLIENT:
            return await self._channel.from_client(line)
        return await self._channel.from_server(line)

    async def _wait(self, turn: Turn) -> AsyncGenerator[Step]:
        loop, settings = asyncio.get_running_loop(), self._pipeline.settings
        waits = [_CLIENT.wait_s_for(waiting.hold, settings) for waiting in turn.waiting]
        until_s = loop.time() + min(waits, default=0.0)
        presence = Presence()
        while turn.waiting and (left_s := until_s - loop.time()) > 0:
            yield Step(To.NOBODY)
            if turn.by_client:
                for note in turn.progress():
                    yield Step(To.CLIENT, note, passing=True)
            await self._channel.wait(turn, presence, min(left_s, settings.keepalive_s, _SILENCE_S))
        if turn.waiting:
            await self._channel.park(turn)


def stdio_identity(
    server: str,
    *,
    credential: tuple[str, str] | None = None,
    session: str | None = None,
    human: str | None = None,
) -> Identity:
    """Returns who is behind a wrapper.

    A run's credential says it best. Else the wrapper is a listener of its own: its agent is named
    after the server by whoever configured it, and that agent has one session unless one is named.
    """
    if credential is not None:
        return Identity(*credential, Trust.CREDENTIAL, Trust.CREDENTIAL, human=human)
    agent = "mcp:" + server
    if session is not None:
        return Identity(session, agent, Trust.CLAIMED, Trust.LISTENER)
    return Identity("agent:" + agent, agent, Trust.PEER, Trust.LISTENER)
