"""The human's side of holds: listed, shown, answered, expired; each step durable and logged.

How it works. A yes is a consent; the last one that the rules ask for approves the hold, in the same transaction. Who answers is an
`Approver`; a plain name is the operator's. A client that goes away is not gone for good: its SDK sends the request again, and that
joins the hold. So its hold is abandoned only when nobody has come back for a while (`Settings.abandon_after_s`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from proxy.approval import Approver, check_may_answer, is_enough, person_of, with_consent
from proxy.errors import HoldError
from proxy.holds import HoldEvent, check_seen, transition
from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit, LedgerWriter
from proxy.model import Hold, HoldState
from proxy.pipeline.happenings import Happenings
from proxy.pipeline.judge import RulesInForce
from proxy.pipeline.records import checkpoint_record, hold_record
from proxy.pipeline.standing import reviewed
from proxy.pipeline.waiting import WaitingRoom
from proxy.settings import Settings

_PAST = {
    HoldEvent.APPROVE: "approved",
    HoldEvent.DENY: "denied",
    HoldEvent.EXPIRE: "expired",
    HoldEvent.ABANDON: "abandoned",
    HoldEvent.USE: "used",
    HoldEvent.SUPERSEDE: "superseded",
}
_OPEN = (HoldState.PENDING, HoldState.APPROVED)
_ALL = 1_000_000

type Freeze = Callable[[Transaction, Emit, str, str, str | None], tuple[Hold, ...]]
"""Freezes a session in a transaction: (tx, emit, session, by, reason); returns the holds that ended."""


class HoldDesk:
    """Answers holds."""

    def __init__(
        self,
        writer: LedgerWriter,
        room: WaitingRoom,
        settings: Settings,
        in_force: RulesInForce,
        now_ms: Callable[[], int],
    ) -> None:
        self._writer = writer
        self._in_force = in_force
        self._room = room
        self._settings = settings
        self._now_ms = now_ms
        self._left: dict[str, int] = {}  # holds whose client went away, and when that is for good
        self.freeze: Freeze | None = None  # the signal desk's

    @property
    def happenings(self) -> Happenings:
        """Who is told of each step."""
        return self._in_force.happenings

    def run_as(self, settings: Settings) -> None:
        """Takes other settings, as a replay of a recorded run does."""
        self._settings = settings

    async def list(
        self, states: Sequence[HoldState] = (), *, limit: int = 1000
    ) -> tuple[Hold, ...]:
        """Returns holds in these states (all when empty), the newest first."""
        return await self._writer.run(lambda tx, _emit: tx.holds(states, limit))

    async def waiting(self, *, limit: int, skip: int = 0) -> tuple[tuple[Hold, ...], int]:
        """Returns holds that wait, the oldest first, and how many there are in all."""
        return await self._writer.run(lambda tx, _emit: tx.waiting_holds(limit=limit, skip=skip))

    async def with_former(self, hold_id: str) -> tuple[Hold, Hold | None]:
        """Returns a hold by its whole id, and the last one before it of the same agent and tool.

        Raises:
            HoldError: there is none.
        """

        def read(tx: Transaction, _emit: Emit) -> tuple[Hold, Hold | None]:
            hold = tx.hold(hold_id)
            if hold is None:
                raise HoldError(f"hold {hold_id!r}: there is none")
            return hold, tx.hold_before(hold)

        return await self._writer.run(read)

    async def get(self, hold_id: str) -> Hold:
        """Returns a hold by its id or an unambiguous beginning or end of it.

        Raises:
            HoldError: there is none, or more than one.
        """
        return await self._writer.run(lambda tx, _emit: _find(tx, hold_id))

    async def approve(
        self,
        hold_id: str,
        by: Approver | str,
        reason: str | None = None,
        *,
        seen: str | None = None,
    ) -> Hold:
        """Says yes to the held call: it passes once, within the approval's time.

        Where the rules ask for more people the hold stays pending, with this one's consent. A human
        has looked: that is a checkpoint for the session and the agent.

        Args:
            seen: the state that the human saw it in.

        Raises:
            HoldError: it has ended, is not as it was seen, or this person may not answer it.
        """

        def step(tx: Transaction, emit: Emit) -> Hold:
            hold = self.find_in(tx, hold_id)
            check_seen(hold, seen)
            return self.approve_in(tx, emit, hold, by, reason)

        hold = await self._writer.run(step)
        self.wake(hold)
        return hold

    async def deny(
        self,
        hold_id: str,
        by: Approver | str,
        reason: str | None = None,
        *,
        freeze: bool = False,
        seen: str | None = None,
    ) -> Hold:
        """Refuses the held call; the agent reads the reason. `freeze` stops its whole session, too.

        Args:
            seen: the state that the human saw it in: a no to what waits does not take back another's yes.

        Raises:
            HoldError: it has ended, is not as it was seen, or this person may not answer it.
        """
        person = person_of(by)

        def step(tx: Transaction, emit: Emit) -> tuple[Hold, tuple[Hold, ...]]:
            hold = self.find_in(tx, hold_id)
            check_seen(hold, seen)
            check_may_answer(person, hold, self._now_ms())
            hold = self._moved(tx, emit, hold, HoldEvent.DENY, person.name, reason, None)
            ended: tuple[Hold, ...] = ()
            if freeze and self.freeze is not None:
                ended = self.freeze(tx, emit, hold.session, person.name, reason)
            return hold, ended

        hold, ended = await self._writer.run(step)
        self.wake(hold, *ended)
        return hold

    def leave(self, hold_id: str) -> None:
        """Notes that a client that waited has gone; its hold is abandoned unless somebody comes back."""
        self._left[hold_id] = self._now_ms() + int(self._settings.abandon_after_s * 1000)

    async def abandon_left(self) -> int:
        """Ends the holds whose clients have not come back; returns how many."""
        now_ms = self._now_ms()
        due = [hold_id for hold_id, at_ms in self._left.items() if at_ms <= now_ms]
        count = 0
        for hold_id in due:
            del self._left[hold_id]
            if not self._room.is_awaited(hold_id) and await self.abandon(hold_id) is not None:
                count += 1
        return count

    async def abandon(self, hold_id: str) -> Hold | None:
        """Ends a hold whose client is gone for good; None where it had ended already."""
        try:
            return await self._step(hold_id, HoldEvent.ABANDON, "client", "the client went away")
        except HoldError:
            return None

    async def parked(self, hold: Hold) -> None:
        """Notes that the agent was told `pending` and its connection was let go."""
        await self._writer.run(lambda _tx, emit: emit(hold_record(hold, "parked")))

    async def expire_due(self) -> int:
        """Ends the holds whose time has run out; returns how many."""

        def sweep(tx: Transaction, emit: Emit) -> list[str]:
            ended = []
            for hold in tx.due_holds(self._now_ms()):
                expired = transition(hold, HoldEvent.EXPIRE, now_ms=self._now_ms())
                tx.put_hold(expired)
                emit(hold_record(expired, "expired"))
                self.happenings.moved(tx, expired, "expired")
                ended.append(hold.id)
            return ended

        ended = await self._writer.run(sweep)
        for hold_id in ended:
            self._room.wake(hold_id)
        return len(ended)

    async def _step(self, hold_id: str, event: HoldEvent, by: str, reason: str | None) -> Hold:
        def step(tx: Transaction, emit: Emit) -> Hold:
            return self._moved(tx, emit, self.find_in(tx, hold_id), event, by, reason, None)

        hold = await self._writer.run(step)
        self._room.wake(hold.id)
        return hold

    # --- for whoever has a transaction open --------------------------------------------------------
    def find_in(self, tx: Transaction, hold_id: str) -> Hold:
        """Returns a hold as `get` does."""
        return _find(tx, hold_id)

    def approve_in(
        self, tx: Transaction, emit: Emit, hold: Hold, by: Approver | str, reason: str | None
    ) -> Hold:
        """Adds a yes to a hold, which approves it if it is the last; `wake` it when the transaction has ended."""
        person, now_ms = person_of(by), self._now_ms()
        if hold.state is not HoldState.PENDING or now_ms >= hold.expires_at_ms:
            # Says in which state it is, and who answered.
            transition(
                hold, HoldEvent.APPROVE, now_ms=now_ms, by=person.name, expires_at_ms=now_ms + 1
            )
        consents = with_consent(hold, person, reason, now_ms)
        hold = replace(hold, consents=consents)
        if not is_enough(hold, consents):
            tx.put_hold(hold)
            emit(hold_record(hold, "consented", by=person.name, reason=reason))
            self.happenings.moved(tx, hold, "consented")
            return hold
        lapses_ms = now_ms + int(self._settings.approval_expiry_s * 1000)
        return self._moved(tx, emit, hold, HoldEvent.APPROVE, person.name, reason, lapses_ms)

    def end_in(
        self,
        tx: Transaction,
        emit: Emit,
        is_meant: Callable[[Hold], bool],
        by: str,
        reason: str | None,
    ) -> tuple[Hold, ...]:
        """Denies every open hold that is meant, those that are approved and not used too; `wake` them after."""
        ended = []
        for hold in tx.holds(_OPEN, limit=_ALL):
            if is_meant(hold):
                ended.append(self._moved(tx, emit, hold, HoldEvent.DENY, by, reason, None))
        return tuple(ended)

    def wake(self, *holds: Hold) -> None:
        """Tells those who wait for holds that they have been answered."""
        for hold in holds:
            self._room.wake(hold.id)

    def _moved(
        self,
        tx: Transaction,
        emit: Emit,
        hold: Hold,
        event: HoldEvent,
        by: str,
        reason: str | None,
        expires_at_ms: int | None,
    ) -> Hold:
        hold = transition(
            hold, event, now_ms=self._now_ms(), by=by, reason=reason, expires_at_ms=expires_at_ms
        )
        tx.put_hold(hold)
        emit(hold_record(hold, _PAST[event]))
        self.happenings.moved(tx, hold, _PAST[event])
        if event is HoldEvent.APPROVE:
            self._checkpoint(tx, emit, hold, by)
        return hold

    def _checkpoint(self, tx: Transaction, emit: Emit, hold: Hold, by: str) -> None:
        above = tx.ancestors_of(hold.session, None)
        sessions = (*reversed(above), hold.session)
        scopes = dict.fromkeys(
            (*(f"session:{session}" for session in sessions), f"agent:{hold.agent}")
        )
        for scope in scopes:
            tx.checkpoint(
                scope, by, self._now_ms(), sorted(self._in_force.rules.checkpoint_budgets)
            )
        reviewed(tx, tuple(scopes), self._now_ms())
        emit(checkpoint_record(hold, tuple(scopes), by))


def _find(tx: Transaction, hold_id: str) -> Hold:
    exact = tx.hold(hold_id)
    if exact is not None:
        return exact
    if len(hold_id) >= 4:
        close = [h for h in tx.holds() if h.id.startswith(hold_id) or h.id.endswith(hold_id)]
        if len(close) == 1:
            return close[0]
        if close:
            raise HoldError(f"hold {hold_id!r}: {len(close)} holds match; give more of the id")
    raise HoldError(f"hold {hold_id!r}: there is none; `checkrein holds list` shows all")
