"""What is SQLite's own: the file, its schema version, its lock, two processes, a kill."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.errors import LedgerError
from proxy.ledger.schema import VERSION
from proxy.ledger.sqlite import SqliteStore
from proxy.model import Call, ChargedEffect, Identity

type Refund = Callable[..., ChargedEffect]

WRITER = """
import sys
from decimal import Decimal
from pathlib import Path
from proxy.ledger.sqlite import SqliteStore
from proxy.model import *
store = SqliteStore(Path(sys.argv[1]), busy_timeout_s=60)
name, rounds = sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for n in range(rounds):
    with store.transaction() as tx:
        made = tx.reserve(
            identity=Identity("s1", "a1", Trust.CREDENTIAL, Trust.CREDENTIAL),
            call=Call(f"{name}{n}", "refund", {}, "openai.chat"), call_key=f"{name}{n}",
            effects=[ChargedEffect(Effect("money.refund"), (Charge("refunds", "session:s1",
                Measure.SUM, Decimal(1), Decimal(sys.argv[4]), Verdict.HOLD),))],
            now_ms=1, settle_by_ms=2).made
    print(f"{name}{n} {int(made)}", flush=True)
"""


def _start(path: Path, name: str, rounds: int, limit: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(rounds), str(limit)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.sqlite"
    store = SqliteStore(path)
    with store.transaction() as tx:
        tx.link("k", "s", 1)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    store.close()


def test_many_open_a_new_file_at_once(tmp_path: Path) -> None:
    """The first switch to WAL is raced for; nobody is turned away."""
    for attempt in range(20):
        path = tmp_path / f"{attempt}.sqlite"
        start = threading.Barrier(4)
        opened: list[SqliteStore] = []

        def race(
            path: Path = path, start: threading.Barrier = start, opened: list[SqliteStore] = opened
        ) -> None:
            start.wait()
            opened.append(SqliteStore(path))

        threads = [threading.Thread(target=race) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(opened) == 4
        for store in opened:
            store.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    SqliteStore(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(
        LedgerError, match=rf"schema {VERSION + 1} is newer than .* knows \({VERSION}\)"
    ):
        SqliteStore(path)


def test_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database, and long enough to be one" * 100)
    with pytest.raises(LedgerError, match=r"ledger\.sqlite.*not a database"):
        SqliteStore(path)


def test_a_locked_database_is_an_error_in_time(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    store = SqliteStore(path, busy_timeout_s=0.1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(LedgerError, match="locked"), store.transaction():
        pass
    assert time.monotonic() - began < 5
    other.execute("ROLLBACK")
    with store.transaction() as tx:
        tx.link("k", "s", 1)
    other.close()
    store.close()


def test_transactions_do_not_nest(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.sqlite")
    with store.transaction() as tx:
        with pytest.raises(LedgerError, match="do not nest"), store.transaction():
            pass
        tx.link("k", "s", 1)
    with store.transaction() as tx:
        assert tx.linked_session("k") == "s"
    store.close()


def test_a_full_database_keeps_nothing_of_the_call(
    tmp_path: Path, refund: Refund, who: Identity, call: Call
) -> None:
    store = SqliteStore(tmp_path / "ledger.sqlite")
    limit = store._connection.rows("PRAGMA page_count")[0][0] + 1
    store._connection.rows(f"PRAGMA max_page_count = {limit}")

    def fill() -> None:
        with store.transaction() as tx:
            tx.reserve(identity=who, call=call, call_key="k", effects=[refund(45)], now_ms=1, settle_by_ms=2)  # fmt: skip
            tx.remember(ref="r", provider="p", keys=["a"], document=b"x" * 100_000, now_ms=1)

    with pytest.raises(LedgerError, match="full"):
        fill()
    with store.transaction() as tx:
        assert tx.entries_of_key("k") == ()
    store.close()


@pytest.mark.parametrize("shared", [True, False], ids=["one store", "two stores"])
def test_two_threads_race_for_the_last_of_a_budget(
    tmp_path: Path, refund: Refund, who: Identity, call: Call, shared: bool
) -> None:
    path = tmp_path / "ledger.sqlite"
    first = SqliteStore(path)
    stores = [first, first if shared else SqliteStore(path)]
    start = threading.Barrier(2)
    made: list[bool] = []

    def race(number: int) -> None:
        start.wait()
        with stores[number].transaction() as tx:
            made.append(tx.reserve(identity=who, call=call, call_key=f"k{number}", effects=[refund(60)],
                                   now_ms=1, settle_by_ms=2).made)  # fmt: skip

    threads = [threading.Thread(target=race, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False, True]
    for store in set(stores):
        store.close()


def test_two_processes_race_for_one_budget(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    racers = [_start(path, name, 20, 25) for name in "ab"]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdin is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = [racer.communicate(timeout=60)[0].split() for racer in racers]
    passed = sum(output.count("1") for output in outputs)
    assert passed == 25
    store = SqliteStore(path)
    with store.transaction() as tx:
        assert tx.session_budgets("s1", 1) == (("refunds", "session:s1", "25"),)
    store.close()


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    writer = _start(path, "a", 100_000, 10**9)
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "ready\n"
    for _ in range(50):
        writer.stdout.readline()
    writer.kill()
    rest = writer.communicate()[0].splitlines()
    acknowledged = 50 + len([line for line in rest if line.endswith(" 1")])
    store = SqliteStore(path)
    with store.transaction() as tx:
        entries = tx.session_entries("s1", 1_000_000)
        ((_, _, total),) = tx.session_budgets("s1", 1)
    assert len(entries) >= acknowledged
    assert int(total) == len(entries)
    store.close()


def test_a_commit_survives_a_power_cut(tmp_path: Path) -> None:
    """A kill cannot tell FULL from NORMAL; only a power cut can, so the settings are looked at."""
    store = SqliteStore(tmp_path / "ledger.sqlite")
    assert store._connection.rows("PRAGMA journal_mode") == [("wal",)]
    assert store._connection.rows("PRAGMA synchronous") == [(2,)]
    store.close()
