"""Newline-delimited JSON-RPC as bytes: lines in, lines out, with a bound on both.

What belongs here: reading a descriptor or a child's pipe line by line, and writing to a descriptor
without stopping the loop. Our own stdin and stdout are read and written in daemon threads: they may
be pipes, sockets, files or a terminal, and none of them must be switched to non-blocking (the other
end shares that switch) nor keep the process alive when the server has ended.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

LONGEST_LINE = 64 << 20
_CHUNK = 1 << 16


class TooLong(Exception):
    """A line went past the bound; what belongs to it is thrown away."""


async def lines_of(
    read: Callable[[], Awaitable[bytes]], longest: int = LONGEST_LINE
) -> AsyncIterator[bytes | TooLong]:
    """Yields each line without its newline; a last one that has no newline is not a message.

    `read` returns the next bytes, none at the end.
    """
    parts: list[bytes] = []
    size, skipping = 0, False
    while data := await read():
        *ended, rest = data.split(b"\n")
        for piece in ended:
            if skipping:
                skipping = False
            elif size + len(piece) > longest:
                yield TooLong()
            else:
                yield b"".join([*parts, piece])
            parts, size = [], 0
        if skipping or not rest:
            continue
        parts.append(rest)
        size += len(rest)
        if size > longest:
            parts, size, skipping = [], 0, True
            yield TooLong()


class Inlet:
    """A descriptor that is read in a thread of its own, one chunk ahead."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(1)
        threading.Thread(target=self._run, name="checkrein stdin", daemon=True).start()

    async def read(self) -> bytes:
        return await self._chunks.get()

    def _run(self) -> None:
        data = b"?"
        while data:
            try:
                data = os.read(self._fd, _CHUNK)
            except OSError:
                data = b""
            putting = self._chunks.put(data)
            try:
                asyncio.run_coroutine_threadsafe(putting, self._loop).result()
            except RuntimeError:  # the loop has ended
                putting.close()
                return
            except BaseException:  # noqa: BLE001  # cancelled with the loop: nobody reads any more
                return


class Outlet:
    """A descriptor that is written in a thread of its own, in the order of the writes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        self._broken = False
        threading.Thread(target=self._run, name="checkrein stdout", daemon=True).start()

    async def write(self, data: bytes) -> None:
        """Returns when the bytes are gone.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put((data, done))
        await done

    def _run(self) -> None:
        while True:
            data, done = self._jobs.get()
            error: OSError | None = BrokenPipeError() if self._broken else None
            if error is None:
                try:
                    left = memoryview(data)
                    while left:
                        left = left[os.write(self._fd, left) :]
                except OSError as failed:
                    self._broken, error = True, failed
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(_finish, done, error)


def _finish(done: asyncio.Future[None], error: OSError | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(BrokenPipeError(str(error)))
