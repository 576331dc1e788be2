"""Hypothesis tries to overspend, against a model that adds everything up from scratch."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.ledger.sqlite import SqliteStore
from proxy.model import (
    Call,
    Charge,
    ChargedEffect,
    Effect,
    EntryState,
    Identity,
    Measure,
    Settlement,
    Trust,
    Verdict,
)

LIMITS = {"sum": Decimal(10), "windowed": Decimal(8), "customers": Decimal(3), "agent": Decimal(15)}
WINDOWS = {"windowed": 50, "customers": 80}
AMOUNTS = st.decimals(min_value=0, max_value=7, places=2)


@dataclass
class Spent:
    """One entry as the model knows it."""

    id: str
    key: str
    at: int
    amount: Decimal
    member: str
    released: bool = False
    settled: bool = False


class Overspend(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = SqliteStore(Path(self.folder.name) / "ledger.sqlite")
        self.now = 0
        self.spent: list[Spent] = []
        self.keys = 0
        self.real_went_up = False

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def expected(self, budget: str) -> Decimal:
        live = [
            s
            for s in self.spent
            if not s.released and (budget not in WINDOWS or s.at + WINDOWS[budget] > self.now)
        ]
        if budget == "customers":
            return Decimal(len({s.member for s in live}))
        return sum((s.amount for s in live), Decimal(0))

    def charged(self, amount: Decimal, member: str) -> ChargedEffect:
        def charge(budget: str, measure: Measure, unit: str | None) -> Charge:
            return Charge(
                budget, "session:s", measure, amount, LIMITS[budget], Verdict.BLOCK, unit,
                member if measure is Measure.DISTINCT else None, WINDOWS.get(budget),
            )  # fmt: skip

        return ChargedEffect(
            Effect("money.refund", amount=amount, unit="EUR", target=member),
            (
                charge("sum", Measure.SUM, "EUR"),
                charge("windowed", Measure.SUM, "EUR"),
                charge("customers", Measure.DISTINCT, None),
                charge("agent", Measure.SUM, "EUR"),
            ),
        )

    @rule(effects=st.lists(st.tuples(AMOUNTS, st.sampled_from("abcde")), min_size=1, max_size=3),
          again=st.booleans())  # fmt: skip
    def reserve(self, effects: list[tuple[Decimal, str]], again: bool) -> None:
        repeat = again and bool(self.spent)
        if repeat:
            key = self.spent[-1].key
        else:
            self.keys += 1
            key = f"k{self.keys}"
        before = {budget: self.expected(budget) for budget in LIMITS}
        with self.store.transaction() as tx:
            made = tx.reserve(
                identity=Identity("s", "a", Trust.CREDENTIAL, Trust.CREDENTIAL),
                call=Call(key, "refund", {}, "p"),
                call_key=key,
                effects=[self.charged(*effect) for effect in effects],
                now_ms=self.now,
                settle_by_ms=self.now + 100,
            )
        assert {s.name: s.before for s in made.states} == before
        if repeat:
            assert made.made
            assert {s.name: s.after for s in made.states} == before
            return
        new = [
            Spent(entry.id, key, self.now, amount, member)
            for entry, (amount, member) in zip(made.entries, effects, strict=False)
        ]
        trial = self.spent
        self.spent = trial + [
            Spent("", key, self.now, amount, member) for amount, member in effects
        ]
        after = {budget: self.expected(budget) for budget in LIMITS}
        self.spent = trial + new
        assert {s.name: s.after for s in made.states} == after
        assert made.made is all(after[b] <= LIMITS[b] for b in LIMITS)
        assert len(made.entries) == (len(effects) if made.made else 0)

    @precondition(lambda self: bool(self.spent))
    @rule(data=st.data(), ok=st.sampled_from([True, False, None]), real=st.none() | AMOUNTS)
    def settle(self, data: st.DataObject, ok: bool | None, real: Decimal | None) -> None:
        spent = data.draw(st.sampled_from(self.spent))
        with self.store.transaction() as tx:
            entry = tx.settle(spent.id, Settlement(ok, real), self.now)
        if not spent.settled:
            spent.settled = True
            spent.released = ok is False
            if ok is not False and real is not None:
                self.real_went_up |= real > spent.amount
                spent.amount = real
        assert entry.state is (EntryState.RELEASED if spent.released else EntryState.COMMITTED)
        assert entry.effect.amount == spent.amount

    @rule()
    def commit_due(self) -> None:
        with self.store.transaction() as tx:
            done = {entry.id for entry in tx.commit_due(self.now)}
        assert done == {s.id for s in self.spent if not s.settled and s.at + 100 <= self.now}
        for spent in self.spent:
            spent.settled |= spent.id in done

    @rule(by=st.integers(1, 60))
    def time_passes(self, by: int) -> None:
        self.now += by

    @invariant()
    def totals_are_what_adding_up_gives(self) -> None:
        with self.store.transaction() as tx:
            totals = {b: Decimal(t) for b, _, t in tx.session_budgets("s", self.now)}
        for budget, limit in LIMITS.items():
            total = totals.get(budget, Decimal(0))
            assert total == self.expected(budget), budget
            assert self.real_went_up or total <= limit, budget


Overspend.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestOverspend = Overspend.TestCase
