"""Who may answer a hold, and when enough people have said yes.

What belongs here: the questions, over values; `now_ms` comes in. How it works. Each rule that holds a call may ask something of the
answer (`Ask`): that it comes from a group, that several people give it. A person who answers is told apart by name. Nobody answers
what they asked for themselves, and who edits the rules does not answer what the rules hold. When nobody has answered for the time
that a rule says, a second group may, besides the first.

An `Approver` without `groups_are_known` is the operator at the admin socket of a proxy that was given no people file: the file system
says who that is, and no group can be asked for. With a people file there is no such one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from proxy.errors import HoldError
from proxy.model import Ask, Consent, Hold


class Right(StrEnum):
    """What a person may do at the desk, besides looking."""

    ANSWER = "answer"  # approve and deny holds, give and revoke grants
    FREEZE = "freeze"  # freeze and thaw sessions, agents and the fleet
    RULES = "rules"  # edit rule files, and have them read again
    UNDO = "undo"  # run compensating calls


@dataclass(frozen=True, slots=True)
class Approver:
    """A person at the desk."""

    name: str
    groups: frozenset[str] = frozenset()
    rights: frozenset[Right] = frozenset(Right)
    stands_for: frozenset[str] = frozenset()  # agents and humans whose requests are their own
    groups_are_known: bool = True

    def is_one_of(self, named: Iterable[str]) -> bool:
        """Whether they are named, or in a group that is."""
        wanted = set(named)
        return self.name in wanted or not wanted.isdisjoint(self.groups)


def operator(name: str) -> Approver:
    """Returns whoever holds the admin socket of a proxy without a people file."""
    return Approver(name, groups_are_known=False)


def person_of(by: Approver | str) -> Approver:
    """Returns who answers; a name alone is the operator's."""
    return operator(by) if isinstance(by, str) else by


def check_right(person: Approver, right: Right) -> None:
    """Raises HoldError where a person may not do this."""
    if right not in person.rights:
        raise HoldError(f"{person.name} may not do this: it needs the right '{right.value}'")


def check_may_answer(person: Approver, hold: Hold, now_ms: int) -> None:
    """Raises HoldError, with the reason, where a person may not answer a hold at all."""
    check_right(person, Right.ANSWER)
    if Right.RULES in person.rights and person.groups_are_known:
        raise HoldError(
            f"{person.name} edits the rules, and does not answer what they hold (hold {hold.id})"
        )
    mine = {person.name, *person.stands_for}
    if person.groups_are_known and not mine.isdisjoint({hold.agent, hold.human} - {None}):
        raise HoldError(f"hold {hold.id} is {person.name}'s own request; somebody else answers it")
    if not person.groups_are_known:
        return
    for ask in hold.asks:
        if not person.is_one_of(answering(ask, hold.created_at_ms, now_ms) or (person.name,)):
            raise HoldError(
                f"hold {hold.id}: rule '{ask.rule}' asks for an answer by "
                f"{_listed(answering(ask, hold.created_at_ms, now_ms))}; {person.name} is none of them"
            )


def answering(ask: Ask, since_ms: int, now_ms: int) -> tuple[str, ...]:
    """Returns the groups and people that may answer now; empty: whoever may answer at all."""
    if not ask.by or not is_escalated(ask, since_ms, now_ms):
        return ask.by
    return tuple(dict.fromkeys((*ask.by, *ask.escalate_to)))


def is_escalated(ask: Ask, since_ms: int, now_ms: int) -> bool:
    """Whether nobody has answered for so long that the second group is asked."""
    return ask.escalate_after_ms is not None and now_ms >= since_ms + ask.escalate_after_ms


def escalates_at_ms(hold: Hold) -> int | None:
    """Returns when a hold is next shown to others than before; None: never."""
    times = [
        hold.created_at_ms + ask.escalate_after_ms
        for ask in hold.asks
        if ask.escalate_after_ms is not None
    ]
    return min(times, default=None)


def needed(hold: Hold) -> int:
    """Returns how many people have to say yes."""
    return max((ask.approvals for ask in hold.asks), default=1)


def with_consent(
    hold: Hold, person: Approver, reason: str | None, now_ms: int
) -> tuple[Consent, ...]:
    """Returns a hold's consents with one more.

    Raises:
        HoldError: the person may not answer it, or has said yes already.
    """
    check_may_answer(person, hold, now_ms)
    if any(consent.by == person.name for consent in hold.consents):
        raise HoldError(
            f"hold {hold.id}: {person.name} has said yes already; it needs {needed(hold)} people"
        )
    return (*hold.consents, Consent(person.name, now_ms, tuple(sorted(person.groups)), reason))


def is_enough(hold: Hold, consents: tuple[Consent, ...]) -> bool:
    """Whether these consents, each of which was allowed when it was given, approve a hold."""
    return len({consent.by for consent in consents}) >= needed(hold)


def _listed(names: Iterable[str]) -> str:
    return " or ".join(names) or "somebody with the right 'answer'"
