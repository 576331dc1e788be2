"""One suite for every store: reserve, settle, bind, holds, memories, sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from proxy.errors import LedgerError
from proxy.ledger.store import Credential, Reservation, Store, Transaction
from proxy.model import (
    BudgetState,
    Call,
    ChargedEffect,
    Effect,
    EntryState,
    Hold,
    HoldState,
    Identity,
    Measure,
    Reason,
    Settlement,
    Side,
    Trust,
    Verdict,
)

type Refund = Callable[..., ChargedEffect]

WHO = Identity("s1", "a1", Trust.CREDENTIAL, Trust.CREDENTIAL)
CALL = Call("c1", "refund", {}, "openai.chat", "0" * 64)
COUNT: dict[str, Any] = {"measure": Measure.COUNT, "unit": None, "limit": Decimal(2)}
DISTINCT: dict[str, Any] = {"measure": Measure.DISTINCT, "unit": None, "limit": Decimal(2)}


def reserve(
    tx: Transaction, key: str, *effects: ChargedEffect, now_ms: int = 1000, **more: Any
) -> Reservation:
    return tx.reserve(
        identity=WHO,
        call=replace(CALL, id=key, side=more.pop("side", Side.MODEL)),
        call_key=key,
        effects=effects,
        now_ms=now_ms,
        settle_by_ms=now_ms + 900_000,
        **more,
    )


def spans(made: Reservation) -> list[tuple[str, str]]:
    return [(str(s.before), str(s.after)) for s in made.states]


def total(tx: Transaction, now_ms: int = 1000) -> str:
    rows = [row[2] for row in tx.session_budgets("s1", now_ms)]
    return rows[0] if rows else "0"


def test_adds_up_to_the_limit_and_not_past_it(store: Store, refund: Refund) -> None:
    with store.transaction() as tx:
        assert spans(reserve(tx, "k1", refund(45))) == [("0", "45")]
        assert spans(reserve(tx, "k2", refund(45))) == [("45", "90")]
        third = reserve(tx, "k3", refund("10.01"))
        assert not third.made
        assert third.entries == ()
        assert spans(third) == [("90", "100.01")]
        assert reserve(tx, "k4", refund(10)).made
        assert total(tx) == "100"


def test_effects_of_one_call_are_summed(store: Store, refund: Refund) -> None:
    with store.transaction() as tx:
        both = reserve(tx, "k1", refund(60), refund(60))
        assert not both.made
        assert spans(both) == [("0", "120")]
        assert tx.entries_of_key("k1") == ()


@pytest.mark.parametrize(
    ("on_exceed", "how", "made"),
    [
        pytest.param(Verdict.HOLD, {}, False, id="hold stops"),
        pytest.param(Verdict.HOLD, {"approved": True}, True, id="a human passes hold"),
        pytest.param(Verdict.BLOCK, {"approved": True}, False, id="a human never passes block"),
        pytest.param(Verdict.BLOCK, {"unlimited": True}, True, id="shadow passes all"),
        pytest.param(Verdict.ALLOW, {}, True, id="a budget that only warns"),
    ],
)
def test_who_passes_an_exceeded_budget(
    store: Store, refund: Refund, on_exceed: Verdict, how: dict[str, bool], made: bool
) -> None:
    with store.transaction() as tx:
        assert reserve(tx, "k1", refund(101, on_exceed=on_exceed), **how).made is made
        assert total(tx) == ("101" if made else "0")


def test_dry_writes_nothing(store: Store, refund: Refund) -> None:
    with store.transaction() as tx:
        assert spans(reserve(tx, "k1", refund(45), dry=True)) == [("0", "45")]
        assert spans(reserve(tx, "k1", refund(45))) == [("0", "45")]


def test_the_same_key_charges_once(store: Store, refund: Refund) -> None:
    with store.transaction() as tx:
        first = reserve(tx, "k1", refund(45))
        again = reserve(tx, "k1", refund(45))
        assert again.made
        assert again.entries == first.entries
        assert spans(again) == [("45", "45")]
        assert total(tx) == "45"


def test_per_call_budgets_do_not_add_up(store: Store, refund: Refund) -> None:
    with store.transaction() as tx:
        for key in ("k1", "k2"):
            assert spans(reserve(tx, key, refund(60, scope="call"))) == [("0", "60")]
        assert not reserve(tx, "k3", refund(60, scope="call"), refund(60, scope="call")).made


def test_warns_once_when_the_share_is_crossed(store: Store, refund: Refund) -> None:
    with store.transaction() as tx:
        crossed = [
            reserve(tx, f"k{n}", refund(20, warn_at=Decimal("0.8"))).states[0].warned
            for n in range(5)
        ]
    assert crossed == [False, False, False, True, False]


def test_distinct_counts_members_once(store: Store, refund: Refund) -> None:
    with store.transaction() as tx:
        for key, member, span in [("k1", "a", ("0", "1")), ("k2", "a", ("1", "1")), ("k3", "b", ("1", "2"))]:  # fmt: skip
            made = reserve(tx, key, refund(1, member=member, **DISTINCT))
            assert (made.made, spans(made)) == (True, [span])
        assert not reserve(tx, "k4", refund(1, member="c", **DISTINCT)).made
        assert not reserve(tx, "k5", refund(1, member=None, **DISTINCT)).made


def test_a_member_leaves_with_its_last_charge(store: Store, refund: Refund) -> None:
    with store.transaction() as tx:
        one = reserve(tx, "k1", refund(1, member="a", **DISTINCT))
        two = reserve(tx, "k2", refund(1, member="a", **DISTINCT))
        for made, left in ((one, "1"), (two, "0")):
            tx.settle(made.entries[0].id, Settlement(ok=False), 2000)
            assert total(tx) == left


def test_long_members_and_their_digests_stay_apart(store: Store, refund: Refund) -> None:
    from proxy.ledger.rows import member_text

    long = "x" * 500
    with store.transaction() as tx:
        reserve(tx, "k1", refund(1, member=long, **DISTINCT))
        made = reserve(tx, "k2", refund(1, member=member_text(long), **DISTINCT))
        assert spans(made) == [("1", "2")]


def test_a_window_ends_and_each_charge_leaves_once(store: Store, refund: Refund) -> None:
    with store.transaction() as tx:
        early = reserve(tx, "k1", refund(60, window_ms=500), now_ms=1000)
        reserve(tx, "k2", refund(30, window_ms=500), now_ms=1400)
        assert not reserve(tx, "k3", refund(60, window_ms=500), now_ms=1499).made
        assert spans(reserve(tx, "k3", refund(60, window_ms=500), now_ms=1500)) == [("30", "90")]
        # Released after it expired: nothing is given back a second time.
        assert tx.settle(early.entries[0].id, Settlement(ok=False), 1600).state == "released"
        assert total(tx, 1600) == "90"
        assert total(tx, 10_000) == "0"


@pytest.mark.parametrize(
    ("settlement", "state", "left"),
    [
        pytest.param(Settlement(True), "committed", "45", id="ok"),
        pytest.param(Settlement(None), "committed", "45", id="unknown is committed"),
        pytest.param(Settlement(False), "released", "0", id="failed"),
        pytest.param(Settlement(True, Decimal("12.50")), "committed", "12.50", id="less"),
        pytest.param(Settlement(True, Decimal(80)), "committed", "80", id="more"),
        pytest.param(Settlement(True, Decimal(-500)), "committed", "45", id="negative is nonsense"),
        pytest.param(Settlement(True, Decimal("NaN")), "committed", "45", id="NaN is nonsense"),
        pytest.param(Settlement(True, Decimal("1e999999")), "committed", str(10**30), id="clamped"),
        pytest.param(Settlement(True, Decimal(1), fault="x"), "committed", "45", id="fault"),
    ],
)
@pytest.mark.parametrize("window_ms", [None, 10_000], ids=["no window", "window"])
def test_settle(
    store: Store,
    refund: Refund,
    settlement: Settlement,
    state: str,
    left: str,
    window_ms: int | None,
) -> None:
    with store.transaction() as tx:
        entry = reserve(tx, "k1", refund(45, window_ms=window_ms)).entries[0]
        settled = tx.settle(entry.id, settlement, 2000)
        assert (settled.state.value, settled.settled_at_ms) == (state, 2000)
        assert total(tx) == left
        # The first settlement stands.
        assert tx.settle(entry.id, Settlement(False), 3000) == settled
        assert tx.settle(entry.id, Settlement(True, Decimal(1)), 3000) == settled
        assert total(tx) == left
        assert tx.entries_of_key("k1") == (settled,)


def test_points_are_not_corrected_by_the_real_amount(store: Store, refund: Refund) -> None:
    points = refund(5, budget="autonomy", unit="points").charges
    with store.transaction() as tx:
        entry = reserve(tx, "k1", replace(refund(45), charges=(*refund(45).charges, *points))).entries[0]  # fmt: skip
        tx.settle(entry.id, Settlement(True, Decimal(10)), 2000)
        assert tx.session_budgets("s1", 2000) == (
            ("autonomy", "session:s1", "5"),
            ("refunds", "session:s1", "10"),
        )


@pytest.mark.parametrize("amount", ["-1", "NaN", "Infinity", "1e31", "1e-21"])
def test_a_charge_that_cannot_be_added_is_refused(
    store: Store, refund: Refund, amount: str
) -> None:
    with pytest.raises(LedgerError, match="budget 'refunds'"), store.transaction() as tx:
        reserve(tx, "k1", refund(amount))


def test_small_change_adds_exactly(store: Store, refund: Refund) -> None:
    with store.transaction() as tx:
        for n in range(10):
            reserve(tx, f"k{n}", refund("0.1"))
        assert total(tx) == "1.0"


def test_commit_due(store: Store, refund: Refund) -> None:
    with store.transaction() as tx:
        first = reserve(tx, "k1", refund(1), now_ms=0).entries[0]
        reserve(tx, "k2", refund(1), now_ms=5)
        assert tx.commit_due(899_999) == ()
        assert [e.id for e in tx.commit_due(900_000)] == [first.id]
        assert tx.commit_due(900_000) == ()
        assert tx.entries_of_key("k1")[0].state is EntryState.COMMITTED
        assert tx.settle(first.id, Settlement(False), 1_000_000).state is EntryState.COMMITTED
        assert total(tx) == "2"


def test_entries_are_found_by_call_and_digest(store: Store, refund: Refund) -> None:
    with store.transaction() as tx:
        made = reserve(tx, "k1", refund(1), refund(2)).entries
        assert tx.entries_of_call(session="s1", call_id="k1") == made
        assert tx.entries_of_call(session="s2", call_id="k1") == ()
        assert tx.entries_of_call(session="s1", call_id="k1", args_sha256="other") == ()
        assert tx.session_entries("s1", 1) == made[1:]


def _effect(amount: str = "45", **changes: Any) -> Effect:
    fields: dict[str, Any] = {"kind": "money.refund", "amount": Decimal(amount), "unit": "EUR", "target": "order-1"}  # fmt: skip
    return Effect(**{**fields, **changes})


@pytest.mark.parametrize(
    ("effects", "since_ms", "binds"),
    [
        pytest.param((_effect(),), 0, True, id="the same"),
        pytest.param((_effect("45.00", points=Decimal(9)),), 0, True, id="equal in value"),
        pytest.param((_effect("45.01"),), 0, False, id="another amount is drift"),
        pytest.param((_effect(target="order-2"),), 0, False, id="another target"),
        pytest.param((_effect(unit="USD"),), 0, False, id="another unit"),
        pytest.param((_effect(kind="money.payout"),), 0, False, id="another kind"),
        pytest.param((_effect(), _effect()), 0, False, id="one entry is used once"),
        pytest.param((_effect(),), 1001, False, id="reserved too long ago"),
        pytest.param((), 0, False, id="no effects"),
    ],
)
def test_bind(
    store: Store, refund: Refund, effects: tuple[Effect, ...], since_ms: int, binds: bool
) -> None:
    with store.transaction() as tx:
        entry = reserve(tx, "k1", refund(45)).entries[0]
        bound = tx.bind(session="s1", effects=effects, call_key="h1", since_ms=since_ms)
        assert (bound is not None) is binds
        assert tx.entries_of_key("k1")[0].bound_by == ("h1" if binds else None)
        if binds:
            assert bound == (replace(entry, bound_by="h1"),)
            assert tx.bind(session="s1", effects=effects, call_key="h2", since_ms=0) is None


def test_bind_takes_the_oldest_of_one_call_and_never_what_is_free_again(
    store: Store, refund: Refund
) -> None:
    with store.transaction() as tx:
        released = reserve(tx, "k0", refund(5)).entries[0]
        tx.settle(released.id, Settlement(False), 1500)
        reserve(tx, "http", refund(5), side=Side.HTTP)
        reserve(tx, "k1", refund(5))
        reserve(tx, "k2", refund(5))
        for expected in ("k1", "k2", None):
            bound = tx.bind(session="s1", effects=(_effect("5"),), call_key="h", since_ms=0)
            assert (bound[0].call_key if bound else None) == expected
        assert tx.bind(session="s2", effects=(_effect("5"),), call_key="h", since_ms=0) is None


def test_decisions_count_once_a_key(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.past_decision("k1") is None
        for verdict in (Verdict.HOLD, Verdict.HOLD, Verdict.ALLOW):
            tx.record_decision("k1", WHO, verdict, "h1", 1000, before=tx.past_decision("k1"))
        tx.record_decision("k2", WHO, Verdict.BLOCK, None, 2000, before=None)
        past = tx.past_decision("k1")
        assert past is not None
        assert (past.verdict, past.hold_id) == (Verdict.ALLOW, "h1")
        (session,) = tx.sessions()
        assert (session.calls, session.held, session.blocked) == (2, 1, 1)
        assert (session.first_seen_ms, session.last_seen_ms) == (1000, 2000)


HOLD = Hold(
    id="h1",
    state=HoldState.PENDING,
    session="s1",
    agent="a1",
    name="refund",
    args_sha256="0" * 64,
    provider="openai.chat",
    side=Side.MODEL,
    call_id="c1",
    arguments={"amount": Decimal("45.10"), "n": [1, None, "é"]},
    reasons=(Reason("refunds", "too much", Verdict.HOLD, "a.yaml", 3),),
    budgets=(BudgetState("refunds", "session:s1", Decimal("0.10"), Decimal(101), Decimal(100), Verdict.HOLD, "EUR"),),
    effects=(_effect(labels=("pii",)),),
    rules_digest="r",
    created_at_ms=0,
    expires_at_ms=5000,
)  # fmt: skip


def test_a_hold_reads_back_as_it_was(store: Store) -> None:
    with store.transaction() as tx:
        tx.add_hold(HOLD)
        assert tx.hold("h1") == HOLD
        assert tx.hold("h2") is None
        later = replace(HOLD, state=HoldState.APPROVED, decided_by="ops", expires_at_ms=9000)
        tx.put_hold(later)
        assert tx.hold("h1") == later
        assert tx.holds([HoldState.PENDING]) == ()
        assert tx.holds() == (later,)
        with pytest.raises(LedgerError, match="not in this ledger"):
            tx.put_hold(replace(HOLD, id="h9"))
    with pytest.raises(LedgerError), store.transaction() as tx:
        tx.add_hold(HOLD)  # an id is used once


def test_the_open_hold_of_a_call(store: Store) -> None:
    def find(now_ms: int = 1000, **changes: str) -> str | None:
        fields = {"session": "s1", "name": "refund", "args_sha256": "0" * 64, **changes}
        found = tx.open_hold_for(**fields, now_ms=now_ms)
        return found.id if found else None

    with store.transaction() as tx:
        tx.add_hold(HOLD)
        assert find() == "h1"
        tx.add_hold(replace(HOLD, id="h2", state=HoldState.APPROVED))
        tx.add_hold(replace(HOLD, id="h3"))
        tx.add_hold(replace(HOLD, id="h4", state=HoldState.USED))
        assert find() == "h2"
        assert find(now_ms=5000) is None
        assert find(session="s2") is None
        assert find(name="other") is None
        assert find(args_sha256="1" * 64) is None
        assert {h.id for h in tx.due_holds(5000)} == {"h1", "h2", "h3"}
        assert tx.due_holds(4999) == ()


def test_memories(store: Store) -> None:
    with store.transaction() as tx:
        tx.remember(ref="r1", provider="p", keys=["a", "b"], document=b"1", now_ms=1)
        tx.remember(ref="r2", provider="p", keys=["b"], document=b"2", now_ms=2)
        assert tx.recall("p", ["b", "a", "b", "z"]) == (("r1", b"1"), ("r2", b"2"))
        assert tx.recall("other", ["a"]) == ()
        assert tx.recall("p", []) == ()
        assert tx.recall("p", [str(n) for n in range(3000)] + ["a"]) == (("r1", b"1"),)
        assert tx.memory_keys("p") == {"a", "b"}
        tx.forget_key("p", "b")
        assert tx.recall("p", ["a", "b"]) == (("r1", b"1"),)


def test_sessions_links_and_credentials(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.see_session(WHO, 1)
        assert not tx.see_session(WHO, 5)
        assert tx.see_session(replace(WHO, session="s2", parent="s1"), 3)
        assert [(s.id, s.parent) for s in tx.sessions()] == [("s1", None), ("s2", "s1")]
        tx.link("response:r", "s1", 1)
        tx.link("response:r", "s2", 2)
        assert tx.linked_session("response:r") == "s1"  # not taken over by another
        assert tx.linked_session("response:x") is None
        tx.add_credential(Credential("d", "s1", "a1", 0, 100))
        assert tx.credential("d", 99) is not None
        assert tx.credential("d", 100) is None
        assert tx.credential("e", 0) is None


def test_a_failed_transaction_leaves_nothing(store: Store, refund: Refund) -> None:
    def fail(tx: Transaction, key: str) -> None:
        reserve(tx, key, refund(45))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), store.transaction() as tx:
        fail(tx, "k1")
    with store.transaction() as tx:
        assert total(tx) == "0"
        reserve(tx, "k2", refund(1))
        with pytest.raises(ZeroDivisionError), store.savepoint():
            fail(tx, "k3")
        assert total(tx) == "1"


def test_values_from_the_wire_cannot_break_out(store: Store, refund: Refund) -> None:
    odd = "'; DROP TABLE entries; --\x00"
    with store.transaction() as tx:
        made = reserve(tx, odd, refund(1, target=odd, member=odd, **DISTINCT))
        assert tx.entries_of_key(odd) == made.entries
    with pytest.raises(LedgerError, match="cannot be stored"), store.transaction() as tx:
        tx.link("\ud800", "s1", 1)
