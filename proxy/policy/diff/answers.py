"""What two sets ask of humans' answers, and how long they keep clients."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.policy.answers import Approval
from proxy.policy.diff import globs
from proxy.policy.diff.changes import Change, Direction
from proxy.policy.diff.rules import Field, any_of
from proxy.policy.load import Loaded
from proxy.policy.spans import span


def approval_fields(old: Approval, new: Approval) -> Iterator[Field]:
    """Yields what differs in two entries of one name."""
    if old.for_ != new.for_:
        direction = globs.relation(old.for_, new.for_).direction(Direction.STRICTER)
        yield Field(direction, f"is about {any_of(old.for_)} -> {any_of(new.for_)}")
    if old.approvals != new.approvals:
        direction = Direction.STRICTER if new.approvals > old.approvals else Direction.LOOSER
        yield Field(direction, f"{old.approvals} -> {new.approvals} people have to say yes")
    if set(old.by) != set(new.by):
        yield Field(_of_people(set(old.by), set(new.by)), f"{_people(old.by)} -> {_people(new.by)}")
    if (old.escalate_to, old.escalate_after_ms) != (new.escalate_to, new.escalate_after_ms):
        yield Field(Direction.UNSURE, f"escalation {_escalation(old)} -> {_escalation(new)}")
    if old.any_session is not new.any_session:
        direction = Direction.LOOSER if new.any_session else Direction.STRICTER
        serves = "serves a new session too" if new.any_session else "serves its own session alone"
        yield Field(direction, f"an approval {serves}")
    if old.wait_ms != new.wait_ms:
        yield Field(Direction.NEUTRAL, "keeps clients waiting for another time")


def approval_words(approval: Approval) -> str:
    count = "" if approval.approvals == 1 else f", {approval.approvals} of them"
    return f"what {any_of(approval.for_)} holds is answered by {_people(approval.by)}{count}"


def compare_waiting(old: Loaded, new: Loaded) -> Iterator[Change]:
    """Yields whether clients are kept for other times."""
    times = [[(w.client, w.wait_s, w.keepalive_s) for w in one.waiting] for one in (old, new)]
    if times[0] != times[1]:
        yield Change(Direction.NEUTRAL, "'waiting'", "clients are kept for other times")
    if old.wait_tool is not new.wait_tool:
        text = (
            "agents are offered wait_for_approval" if new.wait_tool else "is not offered any more"
        )
        yield Change(Direction.NEUTRAL, "'wait_tool'", text)


def _of_people(old: set[str], new: set[str]) -> Direction:
    if not old:
        return Direction.STRICTER
    if not new or new > old:
        return Direction.LOOSER
    return Direction.STRICTER if new < old else Direction.UNSURE


def _people(named: tuple[str, ...]) -> str:
    return " or ".join(named) or "anybody who may answer"


def _escalation(approval: Approval) -> str:
    if approval.escalate_after_ms is None:
        return "none"
    return f"to {_people(approval.escalate_to)} after {span(approval.escalate_after_ms)}"
