"""The life of a hold: one transition table, and the rules about time.

What belongs here: which event leads from which state to which, and who may still say yes when.
Storage and waking are elsewhere; `now_ms` comes in.

A hold starts pending. Humans approve it (as many as the rules ask for, `proxy/approval.py`; until
then each yes is a consent and the hold stays pending) or one denies it, its time runs out (which
denies), or its client goes away and does not come back (which abandons it: nobody is there to
receive the call). Where the rules have changed so that something speaks against the call that no
human was told, another hold takes its place (superseded). A call that has waited longer than the
connection may be kept is told so and the hold *stays pending*: that is no transition. An approval
has its own expiry and is used once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum

from proxy.errors import HoldError
from proxy.model import Hold, HoldState


class HoldEvent(StrEnum):
    """What can happen to a hold."""

    APPROVE = "approve"
    DENY = "deny"
    EXPIRE = "expire"
    ABANDON = "abandon"
    SUPERSEDE = "supersede"
    USE = "use"


TRANSITIONS: dict[tuple[HoldState, HoldEvent], HoldState] = {
    (HoldState.PENDING, HoldEvent.APPROVE): HoldState.APPROVED,
    (HoldState.PENDING, HoldEvent.DENY): HoldState.DENIED,
    (HoldState.PENDING, HoldEvent.EXPIRE): HoldState.EXPIRED,
    (HoldState.PENDING, HoldEvent.ABANDON): HoldState.ABANDONED,
    (HoldState.PENDING, HoldEvent.SUPERSEDE): HoldState.SUPERSEDED,
    (HoldState.APPROVED, HoldEvent.SUPERSEDE): HoldState.SUPERSEDED,
    (HoldState.APPROVED, HoldEvent.USE): HoldState.USED,
    (HoldState.APPROVED, HoldEvent.DENY): HoldState.DENIED,  # a human takes the yes back
    (HoldState.APPROVED, HoldEvent.EXPIRE): HoldState.EXPIRED,
}

ENDED = frozenset(HoldState) - {state for state, _ in TRANSITIONS}
"""States that nothing leads out of."""


def transition(
    hold: Hold,
    event: HoldEvent,
    *,
    now_ms: int,
    by: str | None = None,
    reason: str | None = None,
    expires_at_ms: int | None = None,
) -> Hold:
    """Returns the hold after an event.

    Args:
        by: who decided; needed to approve or deny.
        reason: the human's words; kept from before where there are none.
        expires_at_ms: when an approval lapses; needed to approve.

    Raises:
        HoldError: its state, or the time, does not allow the event.
    """
    following = TRANSITIONS.get((hold.state, event))
    if following is None:
        raise HoldError(f"hold {hold.id} is already {_state(hold)}; it cannot {event.value}")
    if event is HoldEvent.EXPIRE:
        if now_ms < hold.expires_at_ms:
            raise HoldError(
                f"hold {hold.id} is {hold.state.value} until {_clock(hold.expires_at_ms)}"
            )
        return replace(hold, state=following, decided_at_ms=hold.decided_at_ms or now_ms)
    if now_ms >= hold.expires_at_ms and event in (HoldEvent.APPROVE, HoldEvent.USE):
        # Not swept yet, but its time is over: expiry denies, and no late yes may pass.
        raise HoldError(f"hold {hold.id} expired at {_clock(hold.expires_at_ms)}")
    if event is HoldEvent.APPROVE or event is HoldEvent.DENY:
        if not by:
            raise HoldError(f"hold {hold.id}: an answer needs the name of who gave it")
        hold = replace(hold, decided_at_ms=now_ms, decided_by=by, reason=reason or hold.reason)
    elif event in (HoldEvent.ABANDON, HoldEvent.SUPERSEDE):
        hold = replace(hold, decided_at_ms=now_ms)
    if event is HoldEvent.APPROVE:
        if expires_at_ms is None or expires_at_ms <= now_ms:
            raise HoldError(f"hold {hold.id}: an approval needs an expiry that lies ahead")
        hold = replace(hold, expires_at_ms=expires_at_ms)
    return replace(hold, state=following)


def is_open(hold: Hold, now_ms: int) -> bool:
    """Tells whether a hold can still be answered or used."""
    return hold.state not in ENDED and now_ms < hold.expires_at_ms


def check_seen(hold: Hold, seen: str | None) -> None:
    """Raises HoldError where a hold is not in the state that an answer is about; None: whatever it is in."""
    if seen is not None and hold.state != seen:
        by = f" (by {hold.decided_by})" if hold.decided_by else ""
        raise HoldError(f"hold {hold.id} is already {hold.state.value}{by}; look again")


def is_waiting(hold: Hold, now_ms: int) -> bool:
    """Tells whether a hold waits for people's answer, and its time is not over."""
    return hold.state is HoldState.PENDING and now_ms < hold.expires_at_ms


def _state(hold: Hold) -> str:
    """Returns "denied (by ops, 12:03:04Z)", as far as it is known."""
    parts = []
    if hold.decided_by:
        parts.append(f"by {hold.decided_by}")
    if hold.decided_at_ms is not None:
        parts.append(_clock(hold.decided_at_ms))
    return f"{hold.state.value} ({', '.join(parts)})" if parts else hold.state.value


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%SZ")
