"""Which holds go into a message now, which wait, and which need none any more.

What belongs here: the decision, over values; `now_ms` comes in. How it works. A place is told of the first hold at once; what comes within
its digest time goes out together when that is over. In quiet hours only holds of the groups that are named there go out, the rest
waits for their end. What nobody has answered for so long that others may answer goes out at once, whatever the hour. A hold that was
answered meanwhile is dropped. Holds that are alike (same agent, tool and rules) are one line; where many of them wait, or were approved
of late, the line offers a grant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from proxy.approval import needed
from proxy.holds import is_waiting
from proxy.model import Hold
from proxy.notices.message import Group
from proxy.notices.targets import Notice, Quiet

OFFERED_AFTER_APPROVALS = 3
"""So many calls of a pattern approved in an hour: the next one is asked about with a grant."""
OFFERED_AT_WAITING = 5
"""So many alike that wait at once."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the outbox: a hold, as it is now, that a place is to be told of."""

    id: str
    hold: Hold
    escalated: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of each item."""

    send: tuple[Item, ...] = ()
    drop: tuple[Item, ...] = ()
    later: tuple[tuple[Item, int], ...] = ()  # each with the time at which it is looked at again


@dataclass(frozen=True, slots=True)
class Pattern:
    """What calls that are alike have in common."""

    agent: str
    namespace: str | None
    name: str
    rules: frozenset[str]


@dataclass(frozen=True, slots=True)
class Past:
    """How many of each pattern wait now, and were approved in the last hour."""

    waiting: Counter[Pattern] = field(default_factory=Counter)
    approved: Counter[Pattern] = field(default_factory=Counter)


def pattern_of(hold: Hold) -> Pattern:
    rules = frozenset(reason.rule for reason in hold.reasons if not reason.shadow)
    return Pattern(hold.agent, hold.namespace, hold.name, rules)


def plan(
    notice: Notice, quiet: Quiet | None, items: Sequence[Item], sent_at_ms: int, now_ms: int
) -> Plan:
    """Returns what goes out now to one place.

    Args:
        notice: the place.
        quiet: the quiet hours, if there are any.
        items: what it is to be told of, oldest first.
        sent_at_ms: when it was last sent a message; 0 for never.
    """
    waiting = [item for item in items if is_waiting(item.hold, now_ms)]
    drop = tuple(item for item in items if not is_waiting(item.hold, now_ms))
    quiet_until_ms = quiet.ends_at_ms(now_ms) if quiet is not None else None
    digest_until_ms = sent_at_ms + notice.digest_ms
    urgent = any(item.escalated for item in waiting)
    send: list[Item] = []
    later: list[tuple[Item, int]] = []
    for item in waiting:
        muted = quiet_until_ms is not None and not _is_on_call(notice, quiet, item.hold)
        if item.escalated or (not muted and (urgent or now_ms >= digest_until_ms)):
            send.append(item)
        else:
            until_ms = quiet_until_ms if muted and quiet_until_ms is not None else 0
            later.append((item, max(digest_until_ms, until_ms)))
    return Plan(tuple(send), drop, tuple(later))


def grouped(items: Iterable[Item], past: Past) -> tuple[Group, ...]:
    """Returns what a message says, line by line; what was not answered in time comes first."""
    late = {item.hold.id for item in items if item.escalated}
    found: dict[tuple[bool, Pattern], list[Hold]] = {}
    for hold in {item.hold.id: item.hold for item in items}.values():
        found.setdefault((hold.id in late, pattern_of(hold)), []).append(hold)
    made = [
        _group(tuple(holds), pattern, past, escalated=escalated)
        for (escalated, pattern), holds in found.items()
    ]
    return tuple(sorted(made, key=lambda group: not group.escalated))


def _group(holds: tuple[Hold, ...], pattern: Pattern, past: Past, *, escalated: bool) -> Group:
    waiting = max(past.waiting[pattern], len(holds))
    approved = past.approved[pattern]
    often = approved >= OFFERED_AFTER_APPROVALS or waiting >= OFFERED_AT_WAITING
    # Where several people must agree on each call, one line that asks for more is no help.
    offers = often and all(needed(hold) == 1 for hold in holds)
    return Group(holds, waiting, approved, offers, escalated)


def _is_on_call(notice: Notice, quiet: Quiet | None, hold: Hold) -> bool:
    """Whether a hold may break the quiet at this place: it is the on-call's, or it asks them."""
    if quiet is None:
        return True
    asked = notice.groups or {name for ask in hold.asks for name in ask.by}
    return not quiet.but.isdisjoint(asked)
