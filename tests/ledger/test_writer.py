"""Group commit: what is resolved is durable in both places, and a failure fails what it must."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.decisionlog import DecisionLog
from proxy.errors import LedgerError, LogError
from proxy.ledger.sqlite import SqliteStore
from proxy.ledger.store import Store, Transaction
from proxy.ledger.writer import Emit, LedgerWriter, Record
from proxy.logtail import verify
from proxy.model import Json

type Job = Callable[[Transaction, Emit], str]


def link(key: str) -> Job:
    def job(tx: Transaction, emit: Emit) -> str:
        tx.link(key, "s", 1)
        emit({"type": "decision", "key": key})
        return key

    return job


def fail(tx: Transaction, emit: Emit) -> str:
    tx.link("failed", "s", 1)
    emit({"type": "decision", "key": "failed"})
    raise ZeroDivisionError


def linked(store: Store, key: str) -> bool:
    with store.transaction() as tx:
        return tx.linked_session(key) is not None


class Sink:
    """Keeps batches; can be held, and can fail."""

    def __init__(self) -> None:
        self.batches: list[list[Json]] = []
        self.failure: Exception | None = None

    def __call__(self, records: Sequence[Record]) -> None:
        if self.failure is not None:
            raise self.failure
        self.batches.append([record.get("key", record) for record in records])


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def writer(store: Store, sink: Sink) -> Iterator[LedgerWriter]:
    made = LedgerWriter(store, sink)
    yield made
    made.close()


@contextmanager
def paused(writer: LedgerWriter) -> Iterator[None]:
    """Keeps the thread busy, so that what is submitted meanwhile becomes one batch."""
    entered, go_on = threading.Event(), threading.Event()

    def wait(tx: Transaction, emit: Emit) -> None:
        entered.set()
        go_on.wait(10)

    first = writer.submit(wait)
    assert entered.wait(10)
    yield
    go_on.set()
    first.result(10)


def test_what_waits_becomes_one_batch(store: Store, writer: LedgerWriter, sink: Sink) -> None:
    with paused(writer):
        futures = [writer.submit(link(f"k{n}")) for n in range(10)]
    assert [f.result(10) for f in futures] == [f"k{n}" for n in range(10)]
    assert sink.batches == [[f"k{n}" for n in range(10)]]
    assert all(linked(store, f"k{n}") for n in range(10))


def test_a_batch_has_a_bound(store: Store, sink: Sink) -> None:
    writer = LedgerWriter(store, sink, max_batch=4)
    with paused(writer):
        futures = [writer.submit(link(f"k{n}")) for n in range(10)]
    for future in futures:
        future.result(10)
    assert [len(batch) for batch in sink.batches] == [4, 4, 2]
    writer.close()


def test_a_job_that_raises_is_undone_alone(store: Store, writer: LedgerWriter, sink: Sink) -> None:
    with paused(writer):
        futures = [writer.submit(job) for job in (link("a"), fail, link("b"))]
    assert futures[0].result(10) == "a"
    assert futures[2].result(10) == "b"
    with pytest.raises(ZeroDivisionError):
        futures[1].result(10)
    assert sink.batches == [["a", "b"]]
    assert not linked(store, "failed")
    assert linked(store, "b")


def test_a_lone_job_that_raises_is_undone(store: Store, writer: LedgerWriter, sink: Sink) -> None:
    with pytest.raises(ZeroDivisionError):
        writer.submit(fail).result(10)
    assert sink.batches == []
    assert not linked(store, "failed")
    assert writer.submit(link("a")).result(10) == "a"


@pytest.mark.parametrize(
    "failure",
    [LogError("disk full"), OSError(errno.ENOSPC, "No space left on device")],
    ids=["LogError", "OSError"],
)
def test_a_sink_that_fails_undoes_the_batch(
    store: Store, writer: LedgerWriter, sink: Sink, failure: Exception
) -> None:
    sink.failure = failure
    with paused(writer):
        futures = [writer.submit(link(f"k{n}")) for n in range(3)]
    for future in futures:
        with pytest.raises(LogError):
            future.result(10)
    sink.failure = None
    assert not linked(store, "k0")
    assert writer.submit(link("after")).result(10) == "after"


class CommitFails(SqliteStore):
    fails = True

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with super().transaction() as tx:
            yield tx
            if self.fails:
                raise LedgerError("disk full at commit")


def test_a_commit_that_fails_is_told_in_the_log(tmp_path: Path) -> None:
    store = CommitFails(tmp_path / "ledger.sqlite")
    log = DecisionLog(tmp_path / "log.jsonl")
    writer = LedgerWriter(store, log.append)
    with pytest.raises(LedgerError, match="disk full at commit"):
        writer.submit(link("a")).result(10)
    writer.close()
    log.close()
    assert verify([tmp_path / "log.jsonl"], expect_last=log.head).ok
    assert log.head[0] == 2
    assert b'"not_carried_out":[1,1]' in (tmp_path / "log.jsonl").read_bytes()
    store.fails = False
    assert not linked(store, "a")
    store.close()


def test_a_database_that_gives_up_inside_a_batch_fails_all_of_it(
    tmp_path: Path, sink: Sink
) -> None:
    """SQLite rolls the whole transaction back by itself on some errors, the jobs before too."""
    store = SqliteStore(tmp_path / "ledger.sqlite")
    writer = LedgerWriter(store, sink)

    def gives_up(tx: Transaction, emit: Emit) -> str:
        store._connection._db.execute("ROLLBACK")
        tx.link("x", "s", 1)
        return "x"

    def gives_up_after_noticing(tx: Transaction, emit: Emit) -> str:
        store._connection._db.execute("ROLLBACK")
        store._connection._lost = True
        raise LedgerError("disk full")

    with paused(writer):
        futures = [writer.submit(job) for job in (link("a"), gives_up_after_noticing, link("b"))]
    for future in futures:
        with pytest.raises(LedgerError):
            future.result(10)
    assert sink.batches == []
    assert not linked(store, "a")
    assert not linked(store, "b")
    writer.close()
    store.close()


def test_a_dead_thread_fails_closed(store: Store, sink: Sink) -> None:
    writer = LedgerWriter(store, sink)

    def die(tx: Transaction, emit: Emit) -> str:
        raise SystemExit

    with paused(writer):
        futures = [writer.submit(job) for job in (link("a"), die, link("b"))]
    for future in futures:
        with pytest.raises(LedgerError, match="has stopped"):
            future.result(10)
    with pytest.raises(LedgerError, match="has stopped"):
        writer.submit(link("c"))
    assert not linked(store, "a")


def test_close_carries_out_what_waits(store: Store, sink: Sink) -> None:
    writer = LedgerWriter(store, sink)
    with paused(writer):
        futures = [writer.submit(link(f"k{n}")) for n in range(600)]
        closer = threading.Thread(target=writer.close)
        closer.start()
    closer.join(10)
    assert all(future.done() and not future.exception() for future in futures)
    with pytest.raises(LedgerError, match="closed"):
        writer.submit(link("late"))


def test_a_cancelled_future_is_not_started(store: Store, writer: LedgerWriter) -> None:
    with paused(writer):
        future = writer.submit(link("a"))
        assert future.cancel()
    writer.submit(link("b")).result(10)
    assert not linked(store, "a")


async def test_run_from_a_loop(store: Store, writer: LedgerWriter) -> None:
    keys = [f"k{n}" for n in range(100)]
    assert await asyncio.gather(*(writer.run(link(key)) for key in keys)) == keys
    with pytest.raises(ZeroDivisionError):
        await writer.run(fail)


async def test_a_cancelled_waiter_leaves_the_job(store: Store, writer: LedgerWriter) -> None:
    with paused(writer):
        task = asyncio.ensure_future(writer.run(link("a")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await writer.run(link("b"))
    assert linked(store, "a")
