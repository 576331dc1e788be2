"""The bridge: a child process on one side, the MCP client on the other, a judge in between.

How it works. Each direction is one pump that takes a line at a time. The judge answers with steps:
bytes for the server, bytes for the client, or *waiting*, when a human has to decide. A line is done
with before the next is looked at, so messages keep their order; from *waiting* on the rest of its
steps are carried out beside the pump, so that nothing else waits for the human.

The end. The client closes our stdin: held calls are abandoned, the server's stdin is closed, and it
has a moment to end by itself before it is told to, then made to. The server ends: what it has said is
passed on, and its exit code becomes ours. Whatever fails in the judge is a closed line, not an open one.
"""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any, Protocol

from proxy.cli.mcp.lines import Inlet, Outlet, TooLong, lines_of
from proxy.inbox.mcp_steps import From, Step, To

_CHUNK = 1 << 16
# The SDKs' clients wait 2 s after closing stdin, then send SIGTERM, then 2 s later SIGKILL.
_GRACE_S = 1.5
_TERMINATE_S = 2.0
_LAST_WORDS_S = 1.0


class LineJudge(Protocol):
    """Says what becomes of each line; closed when it cannot tell."""

    def judge(self, origin: From, line: bytes) -> AsyncGenerator[Step]: ...


class Bridge:
    """One tool server behind the judge."""

    def __init__(self, judge: LineJudge, note: Callable[[str], None]) -> None:
        """`note` tells the operator (stderr)."""
        self._judge = judge
        self._note = note
        self._held: set[asyncio.Task[None]] = set()
        self._server_lock = asyncio.Lock()

    async def run(
        self, argv: Sequence[str], environment: dict[str, str], stdin: int = 0, stdout: int = 1
    ) -> int:
        """Runs the server until it or the client ends; returns its exit code.

        Raises:
            OSError: it cannot be started.
        """
        child = await asyncio.create_subprocess_exec(
            *argv, stdin=PIPE, stdout=PIPE, env=environment
        )
        inlet, self._out = Inlet(stdin), Outlet(stdout)
        self._child = child
        loop = asyncio.get_running_loop()
        ending = asyncio.Event()

        def pass_on(signum: int) -> None:
            with suppress(ProcessLookupError):
                child.send_signal(signum)
            ending.set()

        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(signum, pass_on, signum)
        async with asyncio.TaskGroup() as group:
            self._group = group
            from_client = group.create_task(self._pump(From.CLIENT, inlet.read))
            from_server = group.create_task(self._pump(From.SERVER, self._read_child))
            told = group.create_task(ending.wait())
            ended = group.create_task(child.wait())
            gone: set[asyncio.Task[Any]] = {from_client, from_server, told, ended}
            await asyncio.wait(gone, return_when=asyncio.FIRST_COMPLETED)
            for waiting in (*self._held, from_client):
                waiting.cancel()
            await self._end(child, ended, from_server)
            for left in (from_server, told, *self._held):
                left.cancel()
        code = await child.wait()
        return code if code >= 0 else 128 - code

    async def _end(
        self, child: Process, ended: asyncio.Task[int], from_server: asyncio.Task[None]
    ) -> None:
        assert child.stdin is not None  # noqa: S101  # asked for as a pipe
        child.stdin.close()
        for wait_s, send in ((_GRACE_S, child.terminate), (_TERMINATE_S, child.kill)):
            if (await asyncio.wait({ended}, timeout=wait_s))[0]:
                break
            with suppress(ProcessLookupError):
                send()
        await ended
        await asyncio.wait({from_server}, timeout=_LAST_WORDS_S)

    async def _read_child(self) -> bytes:
        assert self._child.stdout is not None  # noqa: S101  # asked for as a pipe
        return await self._child.stdout.read(_CHUNK)

    async def _pump(self, origin: From, read: Callable[[], Awaitable[bytes]]) -> None:
        async for line in lines_of(read):
            if isinstance(line, TooLong):
                self._note(f"a message of the {origin} was too long and was dropped")
                continue
            if not line.strip():
                continue
            steps = self._judge.judge(origin, line)
            if not await self._carry_out(origin, line, steps, until_waiting=True):
                task = self._group.create_task(self._rest(origin, line, steps))
                self._held.add(task)
                task.add_done_callback(self._held.discard)

    async def _rest(self, origin: From, line: bytes, steps: AsyncGenerator[Step]) -> None:
        async with aclosing(steps):
            await self._carry_out(origin, line, steps, until_waiting=False)

    async def _carry_out(
        self, origin: From, line: bytes, steps: AsyncGenerator[Step], *, until_waiting: bool
    ) -> bool:
        """Returns False when it stopped because the judge waits."""
        async for step in steps:
            if step.to is To.NOBODY:
                if step.note:
                    self._note(step.note)
                elif until_waiting:
                    return False
                continue
            data = (line if step.data is None else step.data) + b"\n"
            with suppress(BrokenPipeError, ConnectionResetError):  # its end ends us elsewhere
                if step.to is To.CLIENT:
                    await self._out.write(data)
                else:
                    await self._to_server(data)
        return True

    async def _to_server(self, data: bytes) -> None:
        assert self._child.stdin is not None  # noqa: S101  # asked for as a pipe
        async with self._server_lock:  # drain has one waiter at a time
            self._child.stdin.write(data)
            await self._child.stdin.drain()
