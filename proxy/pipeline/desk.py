"""The human's side of holds: listed, shown, answered, expired; each step durable and logged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from proxy.errors import HoldError
from proxy.holds import HoldEvent, transition
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
}


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

    @property
    def happenings(self) -> Happenings:
        """Who is told of each step."""
        return self._in_force.happenings

    async def list(self, states: Sequence[HoldState] = ()) -> tuple[Hold, ...]:
        return await self._writer.run(lambda tx, _emit: tx.holds(states))

    async def get(self, hold_id: str) -> Hold:
        """Returns a hold by its id or an unambiguous beginning or end of it.

        Raises:
            HoldError: there is none, or more than one.
        """
        return await self._writer.run(lambda tx, _emit: _find(tx, hold_id))

    async def approve(self, hold_id: str, by: str, reason: str | None = None) -> Hold:
        """Lets the held call pass once, within the approval's time.

        A human has looked: that is a checkpoint for the session and the agent.
        """
        lapses_ms = self._now_ms() + int(self._settings.approval_expiry_s * 1000)
        return await self._step(hold_id, HoldEvent.APPROVE, by, reason, lapses_ms)

    async def deny(self, hold_id: str, by: str, reason: str | None = None) -> Hold:
        return await self._step(hold_id, HoldEvent.DENY, by, reason)

    async def abandon(self, hold_id: str) -> Hold | None:
        """Ends a hold whose client went away; None where it had ended already."""
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

    async def _step(
        self,
        hold_id: str,
        event: HoldEvent,
        by: str,
        reason: str | None,
        expires_at_ms: int | None = None,
    ) -> Hold:
        def step(tx: Transaction, emit: Emit) -> Hold:
            hold = self.find_in(tx, hold_id)
            return self._moved(tx, emit, hold, event, by, reason, expires_at_ms)

        hold = await self._writer.run(step)
        self._room.wake(hold.id)
        return hold

    # --- for whoever has a transaction open --------------------------------------------------------
    def find_in(self, tx: Transaction, hold_id: str) -> Hold:
        """Returns a hold as `get` does."""
        return _find(tx, hold_id)

    def approve_in(
        self, tx: Transaction, emit: Emit, hold: Hold, by: str, reason: str | None
    ) -> Hold:
        """Approves a hold; `wake` it when the transaction has ended."""
        lapses_ms = self._now_ms() + int(self._settings.approval_expiry_s * 1000)
        return self._moved(tx, emit, hold, HoldEvent.APPROVE, by, reason, lapses_ms)

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
