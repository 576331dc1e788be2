"""The outbox, lanes, used links and counts, on every store; and a file that an older version wrote."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.ledger import schema
from proxy.ledger.rows import hold_documents
from proxy.ledger.sqlite import SqliteStore
from proxy.ledger.store import OutboxRow, Store
from proxy.model import HoldState
from tests.notices.made import HOUR_MS, NOW_MS, hold

ROW = OutboxRow("1", "webhook:siem", "held", NOW_MS, NOW_MS, "h1", b"body")


def test_what_is_due_comes_in_order_and_not_from_behind_what_waits(store: Store) -> None:
    with store.transaction() as tx:
        for id, next_ms in (("1", NOW_MS), ("2", NOW_MS + 5), ("3", NOW_MS)):
            tx.put_outbox(replace(ROW, id=id, next_at_ms=next_ms))
        tx.put_outbox(replace(ROW, id="4", lane="notice:chat"))
    with store.transaction() as tx:
        assert tx.due_lanes(NOW_MS) == {"webhook:siem", "notice:chat"}
        assert tx.due_lanes(NOW_MS - 1) == frozenset()
        assert tx.due_outbox("notice:chat", NOW_MS, 9) == (
            replace(ROW, id="4", lane="notice:chat"),
        )
        ids = [row.id for row in tx.due_outbox("webhook:siem", NOW_MS, 9)]
        assert ids == ["1", "3"]
        ordered = [row.id for row in tx.due_outbox("webhook:siem", NOW_MS, 9, in_order=True)]
        assert ordered == ["1"]
        assert [row.id for row in tx.due_outbox("webhook:siem", NOW_MS + 5, 2)] == ["1", "2"]


@pytest.mark.parametrize(
    ("marks", "state", "attempts", "error", "next_ms", "done_ms"),
    [
        pytest.param([("sent", None, True)], "sent", 1, None, NOW_MS, NOW_MS + 1, id="sent"),
        pytest.param(
            [("waiting", "no", True), ("sent", None, True)],
            "sent",
            2,
            "no",
            NOW_MS + 1,
            NOW_MS + 2,
            id="retried",
        ),
        pytest.param(
            [("waiting", None, False)], "waiting", 0, None, NOW_MS + 1, None, id="put-off"
        ),
        pytest.param(
            [("dropped", None, False), ("waiting", None, True)],
            "dropped",
            0,
            None,
            NOW_MS,
            NOW_MS + 1,
            id="ended",
        ),
    ],
)
def test_what_becomes_of_a_row(
    store: Store,
    marks: list[tuple[str, str | None, bool]],
    state: str,
    attempts: int,
    error: str | None,
    next_ms: int,
    done_ms: int | None,
) -> None:
    with store.transaction() as tx:
        tx.put_outbox(ROW)
        for n, (mark, fault, tried) in enumerate(marks, 1):
            tx.mark_outbox("1", mark, NOW_MS + n, fault, tried=tried)
        (row,) = tx.outbox(["waiting", "sent", "dropped"])
    assert (row.state, row.attempts, row.error) == (state, attempts, error)
    assert (row.next_at_ms, row.done_at_ms) == (next_ms, done_ms)


def test_what_has_ended_is_forgotten_and_what_waits_is_not(store: Store) -> None:
    with store.transaction() as tx:
        for id in "12":
            tx.put_outbox(replace(ROW, id=id))
        tx.mark_outbox("1", "sent", NOW_MS)
        tx.forget_outbox(NOW_MS)
        assert len(tx.outbox(["sent", "waiting"])) == 2
        tx.forget_outbox(NOW_MS + 1)
        assert [row.id for row in tx.outbox(["sent", "waiting"])] == ["2"]


def test_a_lane_has_one_holder_at_a_time(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.take_lane("l", "one", NOW_MS, NOW_MS + 10) == 0
        assert tx.take_lane("l", "one", NOW_MS + 1, NOW_MS + 11) == 0  # again
        assert tx.take_lane("l", "two", NOW_MS + 10, NOW_MS + 20) is None
        tx.leave_lane("l", "two", NOW_MS)  # not its to leave
        assert tx.take_lane("l", "two", NOW_MS + 11, NOW_MS + 20) == 0  # the time is over
        tx.leave_lane("l", "two", NOW_MS + 12)
        assert tx.take_lane("l", "one", NOW_MS + 12, NOW_MS + 20) == NOW_MS + 12


def test_a_link_is_used_once_and_remembered_for_longer_than_any_lasts(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.use_link("a", NOW_MS)
        assert not tx.use_link("a", NOW_MS + 29 * 24 * HOUR_MS)
        assert tx.use_link("b", NOW_MS)


def test_calls_are_counted_by_hour_and_agent_and_forgotten_after_nine_days(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.counted_since() is None
        for agent, at_ms in (
            ("a", NOW_MS),
            ("a", NOW_MS + HOUR_MS - 1),
            ("a", NOW_MS + HOUR_MS),
            ("b", NOW_MS),
        ):
            tx.count_call(agent, at_ms)
        assert tx.counted_since() == NOW_MS
        assert tx.calls_since(NOW_MS) == {"a": 3, "b": 1}
        assert tx.calls_since(NOW_MS + HOUR_MS) == {"a": 1}
        tx.count_call("a", NOW_MS + 9 * 24 * HOUR_MS)
        assert tx.calls_since(0) == {"a": 4, "b": 1}
        tx.count_call("a", NOW_MS + 10 * 24 * HOUR_MS)
        assert tx.calls_since(0) == {"a": 2}


def test_facts_of_holds(store: Store) -> None:
    """Those made or decided since; pending ones are counted while they can be answered."""
    yes = {"state": HoldState.USED, "decided_by": "eve", "decided_at_ms": NOW_MS + 9}
    with store.transaction() as tx:
        tx.add_hold(hold("old", created_at_ms=NOW_MS - 10, expires_at_ms=NOW_MS - 1))
        tx.add_hold(hold("answered", created_at_ms=NOW_MS - 10, **yes))
        tx.add_hold(hold("new"))
        found = tx.hold_facts(NOW_MS)
        assert [facts.is_approved for facts in found] == [False, True]
        assert found[1].rules == ("refunds",)
        assert tx.pending_holds(NOW_MS) == (1, NOW_MS)
        assert tx.pending_holds(NOW_MS + HOUR_MS) == (0, None)


def test_holds_of_an_older_file_are_found_by_time(tmp_path: Path) -> None:
    """The columns are computed of documents that were written before there were any."""
    path = tmp_path / "ledger.sqlite"
    before = next(n for n, step in enumerate(schema.STEPS) if any("call_counts" in s for s in step))
    db = sqlite3.connect(path)
    for step in schema.STEPS[:before]:
        for statement in step:
            db.execute(statement)
    old = hold("old")
    db.execute(
        "INSERT INTO holds (id, state, session, name, args_sha256, expires_at_ms, document, arguments)"
        " VALUES ('old', 'pending', 's1', 'refund_order', '0', ?, ?, ?)",
        (old.expires_at_ms, *hold_documents(old)),
    )
    db.execute(f"PRAGMA user_version = {before}")
    db.commit()
    db.close()
    store = SqliteStore(path)
    with store.transaction() as tx:
        assert [facts.created_at_ms for facts in tx.hold_facts(NOW_MS)] == [NOW_MS]
        assert tx.pending_holds(NOW_MS) == (1, NOW_MS)
    store.close()
