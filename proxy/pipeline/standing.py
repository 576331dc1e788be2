"""What signals have set in force: for whom it is, as the ledger keeps it, and how a human ends it.

What belongs here: the values that both sides of signals work with, the judge's (`signals.py`) and the
operator's (`signal_desk.py`): whom a signal is about, its row in the ledger, and the text of a freeze.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from proxy.ledger.store import FROZEN_BY_HAND, Released, SignalRow, Transaction
from proxy.model import SHADOW, Identity, Json
from proxy.pipeline.records import Standing, standing_record
from proxy.policy.signals import FREEZE, Acting, Action, Signal


@dataclass(frozen=True, slots=True)
class Who:
    """For whom a signal is: all the names under which an agent's work is known."""

    session: str
    family: str
    agent: str
    human: str | None = None

    @classmethod
    def of(cls, tx: Transaction, identity: Identity) -> Who:
        family = tx.family_of(identity.session, identity.parent)
        return cls(identity.session, family, identity.agent, identity.human)

    @classmethod
    def of_released(cls, released: Released) -> Who:
        return cls(released.session, released.family, released.agent)

    def scope(self, per: str) -> str:
        """Returns the key of whom a rule `per` this is about; an agent stands for a human unknown."""
        if per == "session":
            return f"session:{self.family}"
        if per == "human" and self.human is not None:
            return f"human:{self.human}"
        return "fleet" if per == "fleet" else f"agent:{self.agent}"

    def scopes(self) -> tuple[str, ...]:
        named = (self.scope(per) for per in ("session", "agent", "human", "fleet"))
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that rules may act on: its name, and what `signal` is in their conditions."""

    on: str
    text: str  # "look_up was called 5 times in 10m with the same arguments"
    fields: Mapping[str, Json]


def row_of(signal: Signal, happened: Happened, scope: str, now_ms: int, by: str) -> SignalRow:
    """Returns what a signal sets in force; of one in shadow, what it would have."""
    mark = SHADOW if signal.shadow else ""
    return SignalRow(
        scope=scope,
        name=row_name(signal),
        actions=tuple((mark + a.verb, a.name, str(a.by)) for a in signal.actions),
        why=why_of(signal, happened),
        by=by,
        at_ms=now_ms,
        until_ms=None if signal.for_ms is None else now_ms + signal.for_ms,
    )


def row_name(signal: Signal) -> str:
    """Returns the name under which a signal's row stands; in shadow it has one of its own, so that it
    never stands in the way of the same signal once that is enforced.
    """
    return SHADOW + signal.name if signal.shadow else signal.name


def why_of(signal: Signal, happened: Happened) -> str:
    return f"Signal '{signal.name}': {happened.text}."


def acting_of(row: SignalRow) -> Acting:
    """Returns a row as the rules act on it; a freeze says who can end it, and how."""
    plain = ((verb.removeprefix(SHADOW), name, by) for verb, name, by in row.actions)
    actions = tuple(Action(verb, name, Decimal(by)) for verb, name, by in plain)
    why = row.why
    if row.name.startswith(SHADOW):
        return Acting(row.name.removeprefix(SHADOW), actions, why, shadow=True)
    if row.freezes:
        what, _, name = row.scope.partition(":")
        # A session's name may be the agent's choice, and the line is made to be copied.
        way = f"checkrein signals lift {shlex.quote(row.scope)}"
        if what == "session":
            way = f"checkrein sessions thaw {shlex.quote(name)}"
        frozen = {"session": "This session is", "fleet": "All agents are"}.get(
            what, f"This {what} is"
        )
        why = f"{why} {frozen} frozen: no call runs until a human ends it (`{way}`)."
        if row.until_ms is not None:
            why = f"{why[:-1]} or its time is up."
    return Acting(row.name, actions, why)


def reviewed(tx: Transaction, scopes: Sequence[str], now_ms: int) -> None:
    """A human has looked: what waits for that is lifted in these scopes, all but a freeze."""
    for row in tx.signals_in_force(scopes, now_ms):
        if row.until_ms is not None:
            continue
        tx.lift_signal(row.scope, row.name)
        if row.freezes:
            tx.put_signal(replace(row, actions=((FREEZE, "", "1"),)))
    for scope in scopes:
        tx.forget_counts(scope)


def frozen_row(scope: str, by: str, reason: str | None, now_ms: int) -> SignalRow:
    """Returns a human's freeze."""
    why = f"Frozen by {by}{f': {reason}' if reason else ''}."
    return SignalRow(scope, FROZEN_BY_HAND, ((FREEZE, "", "1"),), why, by, now_ms)


def standing_of(row: SignalRow) -> Json:
    """Returns a row as people see it."""
    acting = acting_of(row)
    name = "freeze" if row.name == FROZEN_BY_HAND else acting.name
    actions = tuple(map(str, acting.actions))
    made = standing_record(Standing(name, actions, row.scope, row.until_ms, acting.shadow))
    return {**made, "why": row.why, "by": row.by}
