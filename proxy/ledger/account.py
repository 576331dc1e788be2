"""The account on SQLite: reserve, bind, settle.

How it works. A counter row holds the running total of one budget and scope. A reservation first
takes out of it what left its window, each charge once: the charge row is deleted with it. Then the
charges of all effects of the call are summed a budget and scope, compared with the limit, and
written: the entry, its charges, the new total. Distinct budgets count the members in use; a member
counts while at least one charge names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Context, Decimal
from typing import TYPE_CHECKING

import uuid_utils

from proxy.errors import LedgerError
from proxy.ledger.rows import (
    ENTRY_COLUMNS,
    EXACT,
    amount_text,
    entry_from,
    entry_row,
    member_text,
    real_amount,
)
from proxy.ledger.store import Reservation
from proxy.model import (
    BudgetState,
    Call,
    Charge,
    ChargedEffect,
    Effect,
    Entry,
    EntryState,
    Identity,
    Measure,
    Settlement,
    Verdict,
    derived_id,
)

if TYPE_CHECKING:
    from proxy.ledger.connection import Connection

PER_CALL = "call"
"""The scope of a budget that each call has for itself: nothing of it is kept."""

_ROUGH = Context(prec=60)
_SELECT_ENTRY = f"SELECT {ENTRY_COLUMNS} FROM entries"  # noqa: S608 - a constant list of columns
_INSERT_ENTRY = f"INSERT INTO entries ({ENTRY_COLUMNS}) VALUES ({', '.join('?' * 21)})"  # noqa: S608 - as above

type _Key = tuple[str, str, str, str]  # budget, scope, measure, unit


class _Sum:
    """What one call adds to one budget and scope."""

    __slots__ = ("added", "before", "charge", "limit", "members", "on_exceed", "shadow")

    def __init__(self, charge: Charge, before: Decimal) -> None:
        self.charge = charge
        self.before = before
        self.added = Decimal(0)
        self.limit = charge.limit
        self.on_exceed = charge.on_exceed
        self.shadow = charge.shadow
        self.members: set[str] = set()

    def state(self) -> BudgetState:
        charge = self.charge
        after = EXACT.add(self.before, self.added)
        warned = False
        if charge.warn_at is not None:
            warned = self.before < _ROUGH.multiply(charge.warn_at, self.limit) <= after
        return BudgetState(
            charge.budget,
            charge.scope,
            self.before,
            after,
            self.limit,
            self.on_exceed,
            charge.unit,
            warned,
            charge.file,
            charge.line,
            self.shadow,
        )


class SqliteAccount:
    """The part of a transaction that adds up."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def reserve(
        self,
        *,
        identity: Identity,
        call: Call,
        call_key: str,
        effects: Sequence[ChargedEffect],
        now_ms: int,
        settle_by_ms: int,
        approved: bool = False,
        unlimited: bool = False,
        dry: bool = False,
    ) -> Reservation:
        existing = self.entries_of_key(call_key)
        entries = [
            Entry(
                id=str(uuid_utils.uuid7()),
                session=identity.session,
                agent=identity.agent,
                call_key=call_key,
                call_id=call.id or derived_id(call.name, call.args_sha256),
                name=call.name,
                args_sha256=call.args_sha256,
                side=call.side,
                effect=charged.effect,
                state=EntryState.RESERVED,
                reserved_at_ms=now_ms,
                settle_by_ms=settle_by_ms,
            )
            for charged in effects
        ]
        sums: dict[_Key, _Sum] = {}
        rows: list[tuple[str | int | None, ...]] = []
        for entry, charged in zip(entries, effects, strict=True):
            for charge in charged.charges:
                key, sum_ = self._sum_for(sums, charge, now_ms)
                if not existing:
                    rows.append(self._charge_row(entry, charge, key, sum_, now_ms))
        states = tuple(sum_.state() for sum_ in sums.values())
        if existing:
            return Reservation(True, states, existing)
        if not unlimited and any(s.exceeded and _stops(s, approved) for s in states):
            return Reservation(False, states)
        if dry:
            return Reservation(True, states)
        for entry in entries:
            self._db.run(_INSERT_ENTRY, entry_row(entry))
        self._write(sums, states, rows)
        return Reservation(True, states, tuple(entries))

    def _sum_for(self, sums: dict[_Key, _Sum], charge: Charge, now_ms: int) -> tuple[_Key, _Sum]:
        key = (charge.budget, charge.scope, charge.measure.value, charge.unit or "")
        sum_ = sums.get(key)
        if sum_ is None:
            before = Decimal(0) if charge.scope == PER_CALL else self._total(key, now_ms)
            sum_ = sums[key] = _Sum(charge, before)
        else:  # one budget has one limit; if two rules' charges disagree, the stricter binds
            sum_.limit = min(sum_.limit, charge.limit)
            sum_.on_exceed = max(sum_.on_exceed, charge.on_exceed)
            sum_.shadow = sum_.shadow and charge.shadow
        return key, sum_

    def _charge_row(
        self, entry: Entry, charge: Charge, key: _Key, sum_: _Sum, now_ms: int
    ) -> tuple[str | int | None, ...]:
        """Adds a charge to its sum and returns its row."""
        text = amount_text(charge.amount, f"budget {charge.budget!r}")
        member: str | None = None
        if charge.measure is Measure.DISTINCT:
            # An effect without a target could be any target: it counts as one not seen before.
            member = f"?{entry.id}" if charge.member is None else member_text(charge.member)
            if member not in sum_.members:
                sum_.members.add(member)
                if charge.scope == PER_CALL or not self._is_member(key, member):
                    sum_.added = EXACT.add(sum_.added, Decimal(1))
        else:
            sum_.added = EXACT.add(sum_.added, charge.amount)
        expires = None if charge.window_ms is None else now_ms + charge.window_ms
        return (entry.id, *key, text, member, expires)

    def _is_member(self, key: _Key, member: str) -> bool:
        budget, scope, _, unit = key
        return bool(
            self._db.rows(
                "SELECT 1 FROM members WHERE budget = ? AND scope = ? AND unit = ? AND member = ?",
                (budget, scope, unit, member),
            )
        )

    def _write(
        self,
        sums: dict[_Key, _Sum],
        states: Sequence[BudgetState],
        rows: Sequence[tuple[str | int | None, ...]],
    ) -> None:
        for row in rows:
            if row[2] == PER_CALL:
                continue
            self._db.run(
                "INSERT INTO charges (entry, budget, scope, measure, unit, amount, member,"
                " expires_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            if row[6] is not None:
                self._db.run(
                    "INSERT INTO members VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE"
                    " SET uses = uses + 1",
                    (row[1], row[2], row[4], row[6]),
                )
        for key, state in zip(sums, states, strict=True):
            if key[1] != PER_CALL:
                self._put_total(key, state.after)

    # --- totals ------------------------------------------------------------------------------
    def _total(self, key: _Key, now_ms: int) -> Decimal:
        """Returns a counter after what left the window is taken out of it."""
        rows = self._db.rows(
            "SELECT total, EXISTS (SELECT 1 FROM charges c WHERE c.budget = counters.budget"
            " AND c.scope = counters.scope AND c.expires_at_ms <= ?)"
            " FROM counters WHERE budget = ? AND scope = ? AND measure = ? AND unit = ?",
            (now_ms, *key),
        )
        if not rows:
            return Decimal(0)
        if rows[0][1]:
            self._sweep(key[0], key[1], now_ms)
            return self._stored_total(key)
        return Decimal(rows[0][0])

    def _stored_total(self, key: _Key) -> Decimal:
        rows = self._db.rows(
            "SELECT total FROM counters WHERE budget = ? AND scope = ? AND measure = ?"
            " AND unit = ?",
            key,
        )
        return Decimal(rows[0][0]) if rows else Decimal(0)

    def _put_total(self, key: _Key, total: Decimal) -> None:
        if total < 0:
            raise LedgerError(f"budget {key[0]!r}: a total fell below zero; the ledger is damaged")
        self._db.run(
            "INSERT INTO counters VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET total = excluded.total",
            (*key, format(total, "f")),
        )

    def _sweep(self, budget: str, scope: str, now_ms: int) -> None:
        self._undo(
            self._db.rows(
                "SELECT seq, budget, scope, measure, unit, amount, member FROM charges"
                " WHERE budget = ? AND scope = ? AND expires_at_ms <= ?",
                (budget, scope, now_ms),
            )
        )

    def _undo(self, charges: Sequence[tuple[str, ...]]) -> None:
        """Takes charges out of their counters and deletes them."""
        if not charges:
            return
        less: dict[_Key, Decimal] = {}
        for seq, budget, scope, measure, unit, amount, member in charges:
            key = (budget, scope, measure, unit)
            part = Decimal(amount)
            if measure == Measure.DISTINCT:
                part = Decimal(self._leave(budget, scope, unit, member))
            less[key] = EXACT.add(less.get(key, Decimal(0)), part)
            self._db.run("DELETE FROM charges WHERE seq = ?", (seq,))
        for key, part in less.items():
            self._put_total(key, EXACT.subtract(self._stored_total(key), part))

    def _leave(self, budget: str, scope: str, unit: str, member: str) -> int:
        """Takes one use from a member; returns 1 when it was the last."""
        key = (budget, scope, unit, member)
        self._db.run(
            "UPDATE members SET uses = uses - 1"
            " WHERE budget = ? AND scope = ? AND unit = ? AND member = ?",
            key,
        )
        return self._db.run(
            "DELETE FROM members"
            " WHERE budget = ? AND scope = ? AND unit = ? AND member = ? AND uses <= 0",
            key,
        )

    # --- names -------------------------------------------------------------------------------
    def move_budget(self, was: str, name: str) -> bool:
        """Moves the account of a budget to another name; False where there is none."""
        rows = self._db.rows(
            "SELECT scope, measure, unit, total FROM counters WHERE budget = ?", (was,)
        )
        if not rows:
            return False
        self._db.run(
            "INSERT INTO members SELECT ?, scope, unit, member, uses FROM members WHERE budget = ?"
            " ON CONFLICT DO UPDATE SET uses = uses + excluded.uses",
            (name, was),
        )
        self._db.run("UPDATE charges SET budget = ? WHERE budget = ?", (name, was))
        for table in ("members", "counters"):
            self._db.run(f"DELETE FROM {table} WHERE budget = ?", (was,))  # noqa: S608 - one of two names
        for scope, measure, unit, total in rows:
            key = (name, scope, measure, unit)
            if measure == Measure.DISTINCT:
                self._put_total(key, Decimal(self._members_of(name, scope, unit)))
            else:
                self._put_total(key, EXACT.add(self._stored_total(key), Decimal(total)))
        return True

    def _members_of(self, budget: str, scope: str, unit: str) -> int:
        rows = self._db.rows(
            "SELECT COUNT(*) FROM members WHERE budget = ? AND scope = ? AND unit = ?",
            (budget, scope, unit),
        )
        return int(rows[0][0])

    # --- settling ----------------------------------------------------------------------------
    def settle(self, entry_id: str, settlement: Settlement, now_ms: int) -> Entry:
        rows = self._db.rows(f"{_SELECT_ENTRY} WHERE id = ?", (entry_id,))
        if not rows:
            raise LedgerError(f"entry {entry_id}: not in this ledger")
        entry = entry_from(rows[0])
        if entry.state is not EntryState.RESERVED:
            return entry
        charges = self._db.rows(
            "SELECT seq, budget, scope, measure, unit, amount, member FROM charges WHERE entry = ?",
            (entry_id,),
        )
        if settlement.ok is False:
            self._undo(charges)
            return self._settled(entry, EntryState.RELEASED, entry.effect, now_ms)
        effect = entry.effect
        real = real_amount(settlement.amount) if settlement.fault is None else None
        if real is not None and effect.amount is not None and real != effect.amount:
            self._correct(effect, real, charges)
            effect = replace(effect, amount=real)
        return self._settled(entry, EntryState.COMMITTED, effect, now_ms)

    def _correct(self, effect: Effect, real: Decimal, charges: Sequence[tuple[str, ...]]) -> None:
        """Charges the real amount where the reserved one was charged; points stay as they are."""
        for seq, budget, scope, measure, unit, amount, _ in charges:
            if measure != Measure.SUM or unit != (effect.unit or "") or effect.amount is None:
                continue
            if Decimal(amount) != effect.amount:
                continue
            key = (budget, scope, measure, unit)
            less = EXACT.subtract(self._stored_total(key), Decimal(amount))
            self._put_total(key, EXACT.add(less, real))
            self._db.run("UPDATE charges SET amount = ? WHERE seq = ?", (format(real, "f"), seq))

    def _settled(self, entry: Entry, state: EntryState, effect: Effect, now_ms: int) -> Entry:
        self._db.run(
            "UPDATE entries SET state = ?, amount = ?, settled_at_ms = ? WHERE id = ?",
            (
                state.value,
                None if effect.amount is None else str(effect.amount),
                now_ms,
                entry.id,
            ),
        )
        if state is EntryState.COMMITTED:  # final, and in no window: the counter alone remembers it
            self._db.run(
                "DELETE FROM charges WHERE entry = ? AND expires_at_ms IS NULL", (entry.id,)
            )
        return replace(entry, state=state, effect=effect, settled_at_ms=now_ms)

    def commit_due(self, now_ms: int, limit: int = 500) -> tuple[Entry, ...]:
        rows = self._db.rows(
            f"{_SELECT_ENTRY} WHERE state = 'reserved' AND settle_by_ms <= ?"
            " ORDER BY settle_by_ms, seq LIMIT ?",
            (now_ms, limit),
        )
        found = [entry_from(row) for row in rows]
        return tuple(self._settled(e, EntryState.COMMITTED, e.effect, now_ms) for e in found)

    # --- reading and binding -----------------------------------------------------------------
    def bind(
        self,
        *,
        session: str,
        effects: Sequence[Effect],
        call_key: str,
        since_ms: int,
        dry: bool = False,
    ) -> tuple[Entry, ...] | None:
        if not effects:
            return None
        first = effects[0]
        rows = self._db.rows(
            "SELECT call_key FROM entries WHERE session = ? AND kind = ? AND target IS ?"
            " AND reserved_at_ms >= ? AND bound_by IS NULL AND state <> 'released'"
            " AND side = 'model' ORDER BY seq",
            (session, first.kind, first.target, since_ms),
        )
        for candidate in dict.fromkeys(row[0] for row in rows):
            free = [
                e
                for e in self.entries_of_key(candidate)
                if e.bound_by is None
                and e.state is not EntryState.RELEASED
                and e.session == session
                and e.reserved_at_ms >= since_ms
            ]
            if (matched := _match(effects, free)) is not None:
                if dry:
                    return tuple(matched)
                for entry in matched:
                    self._db.run(
                        "UPDATE entries SET bound_by = ? WHERE id = ?", (call_key, entry.id)
                    )
                return tuple(replace(entry, bound_by=call_key) for entry in matched)
        return None

    def drifted_from(
        self, *, session: str, effects: Sequence[Effect], since_ms: int
    ) -> Entry | None:
        for by_target in (True, False):
            for effect in effects:
                rows = self._db.rows(
                    f"{_SELECT_ENTRY} WHERE session = ? AND kind = ? AND (? OR target IS ?)"
                    " AND reserved_at_ms >= ? AND bound_by IS NULL AND state <> 'released'"
                    " AND side = 'model' ORDER BY seq DESC LIMIT 1",
                    (session, effect.kind, not by_target, effect.target, since_ms),
                )
                for row in rows:
                    return entry_from(row)
        return None

    def entries_of_call(
        self, *, session: str, call_id: str, args_sha256: str | None = None
    ) -> tuple[Entry, ...]:
        rows = self._db.rows(
            f"{_SELECT_ENTRY} WHERE session = ? AND call_id = ? ORDER BY seq", (session, call_id)
        )
        found = tuple(map(entry_from, rows))
        if args_sha256 is None:
            return found
        return tuple(e for e in found if e.args_sha256 == args_sha256)

    def entries_of_key(self, call_key: str) -> tuple[Entry, ...]:
        rows = self._db.rows(
            f"{_SELECT_ENTRY} WHERE call_key = ? OR bound_by = ? ORDER BY seq", (call_key, call_key)
        )
        return tuple(map(entry_from, rows))

    def session_entries(self, session: str, limit: int = 1000) -> tuple[Entry, ...]:
        """The newest entries of a session, oldest of them first."""
        rows = self._db.rows(
            f"{_SELECT_ENTRY} WHERE session = ? ORDER BY seq DESC LIMIT ?", (session, limit)
        )
        return tuple(map(entry_from, reversed(rows)))

    def session_budgets(self, session: str, now_ms: int) -> tuple[tuple[str, str, str], ...]:
        scope = f"session:{session}"
        query = "SELECT budget, scope, total FROM counters WHERE scope = ? ORDER BY budget, unit"
        for budget, _, _ in self._db.rows(query, (scope,)):
            self._sweep(budget, scope, now_ms)
        return tuple((row[0], row[1], row[2]) for row in self._db.rows(query, (scope,)))


def _stops(state: BudgetState, approved: bool) -> bool:
    """Tells whether an exceeded budget stops the call: one in shadow never; a human's yes never passes
    one that blocks.
    """
    if state.shadow:
        return False
    if state.on_exceed is Verdict.HOLD:
        return not approved
    return state.on_exceed is Verdict.BLOCK


def _match(effects: Sequence[Effect], free: list[Entry]) -> list[Entry] | None:
    """Finds one free entry for each effect, each used once."""
    left = list(free)
    matched: list[Entry] = []
    for effect in effects:
        for entry in left:
            have = entry.effect
            if (have.kind, have.unit, have.amount, have.target) == (
                effect.kind,
                effect.unit,
                effect.amount,
                effect.target,
            ):
                left.remove(entry)
                matched.append(entry)
                break
        else:
            return None
    return matched
