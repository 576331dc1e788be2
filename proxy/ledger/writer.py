"""The one thread that writes: group commit of ledger and decision log.

How it works. Jobs are queued; the thread takes what is queued at that moment as one batch, begins,
runs the jobs (a failing one is undone alone: then all run again, each in a savepoint; so a job may run
twice and does nothing but read, write and emit), hands all their log records to the sink, which makes them durable, and only then commits and resolves the futures. So a
caller that has its answer knows that both its ledger entries and its log record survive a power
cut. A crash between sink and commit leaves a logged decision that was never carried out: its call
never left, which is the safe side; when the commit itself fails, an `error` record says so.

If the thread dies, everything that waits and every later submit gets a `LedgerError`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from proxy.errors import CheckreinError, LedgerError, LogError
from proxy.ledger.store import Store, Transaction
from proxy.model import Json

type Record = dict[str, Json]
type Emit = Callable[[Record], None]
type Job[T] = Callable[[Transaction, Emit], T]
type Sink = Callable[[Sequence[Record]], tuple[int, int] | None]
"""Makes records durable; may return the first and last sequence number it gave them."""


class _Item:
    """One job on its way, and where its answer goes."""

    __slots__ = ("error", "future", "job", "loop", "records", "result", "then")

    def __init__(
        self,
        job: Job[Any],
        future: Future[Any] | asyncio.Future[Any],
        loop: asyncio.AbstractEventLoop | None,
        then: Callable[[], None] | None = None,
    ) -> None:
        self.then = then
        self.job = job
        self.future = future
        self.loop = loop
        self.records: list[Record] = []
        self.result: Any = None
        self.error: BaseException | None = None


class LedgerWriter:
    """Runs jobs on a store, many to a commit."""

    def __init__(self, store: Store, sink: Sink, *, max_batch: int = 256) -> None:
        self._store = store
        self._sink = sink
        self._max_batch = max_batch
        self._queue: deque[_Item] = deque()
        self._turn: list[_Item] = []  # one loop's; `run` is for one event loop
        self._wake = threading.Condition()
        self._closed = False
        self._dead: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="ledger-writer", daemon=True)
        self._thread.start()

    def submit[T](self, job: Job[T]) -> Future[T]:
        """Queues a job; its future resolves when all it did is durable.

        Raises:
            LedgerError: the writer is closed, or its thread died.
        """
        future: Future[T] = Future()
        self._put(_Item(job, future, None))
        return future

    async def run[T](self, job: Job[T]) -> T:
        """Queues a job and waits for it. The job runs even if the waiting is cancelled.

        Raises:
            LedgerError: nothing of the job was kept.
            LogError: its records could not be made durable; nothing of it was kept.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        item = _Item(job, future, loop)
        if not self._turn:
            # What this turn of the loop still brings is handed over together: a thread that is woken
            # for each job alone takes the interpreter's lock from the loop each time.
            loop.call_soon(self._put_turn)
        self._turn.append(item)
        return await future

    async def run_between[T](self, job: Job[T], then: Callable[[], None]) -> T:
        """Runs a job in a transaction of its own, and `then` once it is durable, between two other jobs.

        Raises:
            LedgerError, LogError: nothing of the job was kept, `then` was not run.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Item(job, future, loop, then))
        return await future

    def close(self) -> None:
        """Carries out what is queued, then ends the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _put_turn(self) -> None:
        turn, self._turn = self._turn, []
        try:
            self._put(*turn)
        except LedgerError as error:
            for item in turn:
                item.error = error
            _answer_all(turn)

    def _put(self, *items: _Item) -> None:
        with self._wake:
            if self._dead is not None:
                raise LedgerError(
                    "the ledger writer has stopped; restart checkrein"
                ) from self._dead
            if self._closed:
                raise LedgerError("the ledger writer is closed")
            idle = not self._queue
            self._queue.extend(items)
            if idle:  # else the thread is awake, or on its way
                self._wake.notify()

    # --- the thread --------------------------------------------------------------------------
    def _main(self) -> None:
        batch: list[_Item] = []
        try:
            while batch := self._take():
                self._carry_out(batch)
                for item in batch:
                    if item.then is not None and item.error is None:
                        item.then()
                _resolve(batch)
        except BaseException as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            with self._wake:
                self._dead = error
                batch = [*batch, *self._queue]
                self._queue.clear()
            for item in batch:
                item.error = LedgerError("the ledger writer has stopped; restart checkrein")
            _resolve(batch)

    def _take(self) -> list[_Item]:
        """Returns what is queued now; waits when that is nothing; an empty list is the end."""
        with self._wake:
            while not self._queue and not self._closed:
                self._wake.wait()
            batch: list[_Item] = []
            while self._queue and len(batch) < self._max_batch:
                if batch and (batch[0].then or self._queue[0].then):
                    break  # it has a batch of its own
                batch.append(self._queue.popleft())
        return batch

    def _carry_out(self, batch: list[_Item]) -> None:
        live = [i for i in batch if _starts(i)]
        if not live:
            return
        if not self._commit(live, apart=False):
            self._commit(live, apart=True)

    def _commit(self, live: list[_Item], *, apart: bool) -> bool:
        """Runs jobs in one transaction; False when one of several failed and all was undone.

        Savepoints cost each job two statements and failures are rare: the jobs run without them
        first, and again, each in its own (`apart`), when one has failed.
        """
        alone = len(live) == 1
        written: tuple[int, int] | None = None
        logged = False
        records: list[Record] = []
        try:
            with self._store.transaction() as transaction:
                for item in live:
                    self._run(item, transaction, apart=apart)
                if apart and any(item.error is not None for item in live):
                    with self._store.savepoint():
                        pass  # raises where the failure took the whole transaction with it
                records = [r for item in live for r in item.records]
                if records:
                    written = self._log(records)
                    logged = True
        except _Undone:
            if alone:
                return True  # its error is set, nothing was kept
            for item in live:
                item.error, item.result, item.records = None, None, []
            return False
        except CheckreinError as error:
            for item in live:
                item.error = error
            if logged:
                self._tell(written, len(records), error)
        return True

    def _run(self, item: _Item, transaction: Transaction, *, apart: bool) -> None:
        try:
            if apart:
                with self._store.savepoint():
                    item.result = item.job(transaction, item.records.append)
            else:
                item.result = item.job(transaction, item.records.append)
        except Exception as error:
            item.error = error
            item.records = []
            if not apart:
                raise _Undone from error

    def _log(self, records: Sequence[Record]) -> tuple[int, int] | None:
        try:
            return self._sink(records)
        except LogError:
            raise
        except Exception as error:
            raise LogError(f"the decision log failed: {type(error).__name__}") from error

    def _tell(self, written: tuple[int, int] | None, count: int, error: CheckreinError) -> None:
        """Notes in the log which decisions of it never happened."""
        which = (
            f"records {written[0]} to {written[1]}" if written else f"the {count} records before"
        )
        with suppress(LogError):  # best effort: the log may be on the same full disk
            self._log(
                [
                    {
                        "type": "error",
                        "where": "ledger",
                        "error": f"{which} were not carried out: {error}",
                        "not_carried_out": list(written) if written else None,
                    }
                ]
            )


class _Undone(Exception):
    """A job raised outside a savepoint: leave the transaction without a commit."""


def _starts(item: _Item) -> bool:
    """Tells whether a job is still wanted. Cancelled futures of other threads are not started."""
    if isinstance(item.future, Future):
        return item.future.set_running_or_notify_cancel()
    return True


def _resolve(batch: Sequence[_Item]) -> None:
    """Answers all; one wake-up per event loop, because each costs a system call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
    for item in batch:
        if item.loop is not None:
            by_loop.setdefault(item.loop, []).append(item)
        else:
            _answer(item)
    for loop, items in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(_answer_all, items)


def _answer_all(items: Sequence[_Item]) -> None:
    for item in items:
        _answer(item)


def _answer(item: _Item) -> None:
    if item.future.done():
        return
    if item.error is not None:
        item.future.set_exception(item.error)
    else:
        item.future.set_result(item.result)
