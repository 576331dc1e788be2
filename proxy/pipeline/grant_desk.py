"""The human's side of grants: given on a hold, listed, taken back; each step durable and logged.

How it works. A grant is given together with the answer to the hold it is given on, in one transaction; other calls that wait and that it
covers are approved with it, each by its own record. Taking one back ends it for the next call; calls that it let pass stay passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import uuid_utils

from proxy import grants
from proxy.approval import (
    Approver,
    Right,
    check_may_answer,
    check_right,
    needed,
    person_of,
)
from proxy.errors import HoldError
from proxy.holds import check_seen
from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit, LedgerWriter
from proxy.model import Grant, Hold, HoldState
from proxy.pipeline.desk import HoldDesk
from proxy.pipeline.records import grant_record

DEFAULT_MS = 3_600_000
"""How long a grant lasts where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What an approver wants to grant; `budget` makes it a top-up."""

    expires_at_ms: int | None = None
    per: str = "session"
    same_target: bool = True
    amount: Decimal | None = None
    budget: str | None = None
    extra: Decimal | None = None
    unit: str | None = None


class GrantDesk:
    """Gives grants and takes them back."""

    def __init__(self, writer: LedgerWriter, desk: HoldDesk, now_ms: Callable[[], int]) -> None:
        self._writer = writer
        self._desk = desk
        self._now_ms = now_ms

    async def give(
        self,
        hold_id: str,
        asking: Asking,
        by: Approver | str,
        reason: str | None = None,
        *,
        seen: str | None = None,
    ) -> tuple[Hold, Grant, tuple[Hold, ...]]:
        """Approves a hold, and grants more; returns both and the other holds that are approved with it.

        Where several people have to say yes, the last of them may grant. Other holds that the grant covers are approved with it
        if this person alone may approve them.

        Raises:
            HoldError: there is no such hold, it has ended, is not as it was seen, this person may not answer it, or the grant does not fit it.
        """
        person = person_of(by)

        def step(tx: Transaction, emit: Emit) -> tuple[Hold, Grant, tuple[Hold, ...]]:
            hold = self._desk.find_in(tx, hold_id)
            check_seen(hold, seen)
            if hold.state not in (HoldState.PENDING, HoldState.APPROVED):
                raise HoldError(f"hold {hold.id} has ended; nothing can be granted on it")
            check_may_answer(person, hold, self._now_ms())
            said_yes = {consent.by for consent in hold.consents} | {person.name}
            if len(said_yes) < needed(hold):
                raise HoldError(
                    f"hold {hold.id} needs {needed(hold)} people: say yes to it first; the last of them may grant"
                )
            grant = self._made(hold, asking, person.name, reason)
            tx.put_grant(grant)
            emit(grant_record(grant, "granted", person.name))
            self._desk.happenings.granted(tx, grant, "granted")
            if hold.state is HoldState.PENDING:
                hold = self._desk.approve_in(tx, emit, hold, person, reason)
            alike = [
                other
                for other in tx.holds([HoldState.PENDING])
                if other.id != hold.id
                and other.expires_at_ms > self._now_ms()
                and grants.covers_hold(grant, other)
                and self._may_alone(person, other)
            ]
            said = f"by grant {grant.id}"
            return (
                hold,
                grant,
                tuple(self._desk.approve_in(tx, emit, other, person, said) for other in alike),
            )

        hold, grant, others = await self._writer.run(step)
        self._desk.wake(hold, *others)
        return hold, grant, others

    def _may_alone(self, person: Approver, hold: Hold) -> bool:
        try:
            check_may_answer(person, hold, self._now_ms())
        except HoldError:
            return False
        return len({consent.by for consent in hold.consents} | {person.name}) >= needed(hold)

    def _made(self, hold: Hold, asking: Asking, by: str, reason: str | None) -> Grant:
        now_ms = self._now_ms()
        common = {
            "id": str(uuid_utils.uuid7()),
            "by": by,
            "reason": reason,
            "now_ms": now_ms,
            "expires_at_ms": asking.expires_at_ms or now_ms + DEFAULT_MS,
        }
        if asking.budget is not None:
            return grants.for_budget(
                hold,
                **common,  # type: ignore[arg-type]
                budget=asking.budget,
                extra=asking.extra or Decimal(0),
                unit=asking.unit,
            )
        return grants.for_calls(
            hold,
            **common,  # type: ignore[arg-type]
            per=asking.per,
            same_target=asking.same_target,
            amount=asking.amount,
        )

    async def list(self) -> tuple[Grant, ...]:
        return await self._writer.run(lambda tx, _emit: tx.grants())

    async def revoke(self, grant_id: str, by: Approver | str) -> Grant:
        """Takes a grant back, at once.

        Raises:
            HoldError: there is none, it has ended, or this person may not answer holds.
        """
        person = person_of(by)
        check_right(person, Right.ANSWER)

        def step(tx: Transaction, emit: Emit) -> Grant:
            grant = grants.revoked(_find(tx, grant_id), person.name, self._now_ms())
            tx.put_grant(grant)
            emit(grant_record(grant, "revoked", person.name))
            self._desk.happenings.granted(tx, grant, "revoked")
            return grant

        return await self._writer.run(step)


def _find(tx: Transaction, grant_id: str) -> Grant:
    exact = tx.grant(grant_id)
    if exact is not None:
        return exact
    close = [g for g in tx.grants() if g.id.startswith(grant_id) or g.id.endswith(grant_id)]
    if len(grant_id) >= 4 and len(close) == 1:
        return close[0]
    if len(grant_id) >= 4 and close:
        raise HoldError(f"grant {grant_id!r}: {len(close)} grants match; give more of the id")
    raise HoldError(f"grant {grant_id!r}: there is none; `checkrein grants list` shows all")
