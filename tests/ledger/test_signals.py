"""Signals in the ledger: what is in force for whom and until when, what is counted, what is pinned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from proxy.ledger.sqlite import SqliteStore
from proxy.ledger.store import SignalRow, Store
from proxy.model import Identity


def row(
    name: str = "loop", scope: str = "session:s1", at_ms: int = 10, until_ms: int | None = None
) -> SignalRow:
    return SignalRow(scope, name, (("scale", "autonomy", "0.5"),), "Why.", "rules", at_ms, until_ms)


@pytest.mark.parametrize(
    ("rows", "scopes", "now_ms", "found"),
    [
        pytest.param([row()], ["session:s1", "fleet"], 10, ["loop"], id="in-force"),
        pytest.param([row()], ["session:s2", "agent:s1", "fleet"], 10, [], id="for-others"),
        pytest.param([row(until_ms=20)], ["session:s1"], 19, ["loop"], id="not-over"),
        pytest.param([row(until_ms=20)], ["session:s1"], 20, [], id="over"),
        pytest.param([row(), row(at_ms=11)], ["session:s1"], 11, ["loop"], id="replaced"),
        pytest.param(
            [row("b", at_ms=2), row("a", "fleet", at_ms=1)],
            ["session:s1", "fleet"],
            5,
            ["a", "b"],
            id="oldest-first",
        ),
    ],
)
def test_what_is_in_force(
    store: Store, rows: Sequence[SignalRow], scopes: Sequence[str], now_ms: int, found: list[str]
) -> None:
    with store.transaction() as tx:
        for one in rows:
            tx.put_signal(one)
    with store.transaction() as tx:
        got = tx.signals_in_force(scopes, now_ms)
    assert [one.name for one in got] == found
    assert all(one.actions == row().actions for one in got)


def test_a_signal_is_lifted_once(store: Store) -> None:
    with store.transaction() as tx:
        tx.put_signal(row())
        assert tx.lift_signal("session:s1", "loop")
        assert not tx.lift_signal("session:s1", "loop")
        assert tx.all_signals(10) == ()


@pytest.mark.parametrize(
    ("times", "count"),
    [
        pytest.param([1, 2, 3], 3, id="all-within"),
        pytest.param([1, 2, 101], 2, id="one-has-left"),
        pytest.param([1, 2, 500], 1, id="all-have-left"),
        pytest.param([1, 1, 1, 1, 1, 1, 1], 5, id="no-more-than-asked-for"),
    ],
)
def test_counting(store: Store, times: Sequence[int], count: int) -> None:
    got = other = 0
    for at_ms in times:
        with store.transaction() as tx:
            got = tx.count_signal("fleet", "loop", "k" * 5_000, at_ms, within_ms=100, most=5)
            other = tx.count_signal("fleet", "loop", f"other {at_ms}", at_ms, within_ms=1, most=5)
    assert got == count
    assert other >= 1


def test_counts_go_when_they_are_old(store: Store) -> None:
    """An agent that never calls twice alike leaves no heap of rows behind."""
    for at_ms in range(0, 3_000, 10):
        with store.transaction() as tx:
            tx.count_signal("session:s1", "loop", f"k{at_ms}", at_ms, within_ms=100, most=5)
    assert isinstance(store, SqliteStore)
    ((left,),) = store._connection.rows("SELECT count(*) FROM signal_counts")
    assert left <= 20


def test_counts_are_forgotten_a_scope(store: Store) -> None:
    with store.transaction() as tx:
        for scope in ("session:s1", "agent:a"):
            tx.count_signal(scope, "loop", "k", 1, within_ms=100, most=5)
        tx.forget_counts("session:s1")
        assert tx.count_signal("session:s1", "loop", "k", 2, within_ms=100, most=5) == 1
        assert tx.count_signal("agent:a", "loop", "k", 2, within_ms=100, most=5) == 2


def test_pins_of_conversations_are_bounded(store: Store) -> None:
    """The newest 256 conversations of a session; another agent's under its name are its own."""
    for n in range(300):
        with store.transaction() as tx:
            tx.pin_conversation("s1", "a1", f"c{n}", {"system": str(n)}, n)
    with store.transaction() as tx:
        assert tx.conversation_pin("s1", "a1", "c0") is None
        assert tx.conversation_pin("s1", "a1", "c299") == {"system": "299"}
        assert tx.conversation_pin("s1", "a2", "c299") is None
        tx.pin_conversation("s1", "a1", "c299", {"system": "new"}, 400)
        assert tx.conversation_pin("s1", "a1", "c299") == {"system": "new"}


def test_two_proxies_on_one_file_count_together(tmp_path: Path, who: Identity) -> None:
    """What one process sets in force, the other acts on."""
    first, second = (SqliteStore(tmp_path / "ledger.sqlite") for _ in range(2))
    count = 0
    try:
        for n in range(6):
            with (first, second)[n % 2].transaction() as tx:
                count = tx.count_signal("session:s1", "loop", "k", n, within_ms=100, most=10)
        assert count == 6
        with first.transaction() as tx:
            tx.put_signal(row())
        with second.transaction() as tx:
            assert [r.name for r in tx.signals_in_force([f"session:{who.session}"], 10)] == ["loop"]
    finally:
        first.close()
        second.close()
