"""A ledger's writer that runs each job at once, in the caller's thread.

What belongs here: the stand-in for `LedgerWriter`. Jobs, transactions and their order are the
proxy's; what is left out is the queue and the thread. Records go to a sink where there is one, and are kept
until somebody takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future

from proxy.ledger.store import Store
from proxy.ledger.writer import Job, LedgerWriter, Record, Sink


class InstantWriter(LedgerWriter):
    """Runs jobs on a store, each in a transaction of its own."""

    def __init__(self, store: Store, sink: Sink | None = None) -> None:
        self._store = store
        self._sink = sink if sink is not None else _nowhere
        self._kept: list[Record] = []

    def submit[T](self, job: Job[T]) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(self._carry(job))
        except Exception as error:  # noqa: BLE001 - the caller gets it from the future, as ever
            future.set_exception(error)
        return future

    async def run[T](self, job: Job[T]) -> T:
        return self._carry(job)

    async def run_between[T](self, job: Job[T], then: Callable[[], None]) -> T:
        result = self._carry(job)
        then()
        return result

    def take_records(self) -> list[Record]:
        """Returns the records written since the last time, in order."""
        taken, self._kept = self._kept, []
        return taken

    def close(self) -> None:
        self._store.close()

    def _carry[T](self, job: Job[T]) -> T:
        records: list[Record] = []
        with self._store.transaction() as transaction:
            result = job(transaction, records.append)
            if records:
                self._sink(records)
        self._kept += records
        return result


def _nowhere(_: Sequence[Record]) -> None:
    return None
