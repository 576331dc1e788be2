"""Gates and requirements of two sets."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.policy.diff import conditions, globs
from proxy.policy.diff.changes import Direction
from proxy.policy.diff.rules import STRENGTH, Field, any_of, message_field, verdict_field
from proxy.policy.gates import Gate
from proxy.policy.requires import Require
from proxy.policy.spans import span


def gate_fields(old: Gate, new: Gate) -> Iterator[Field]:
    """Yields what differs in two gates of one name."""
    if old.when.text != new.when.text:
        related = conditions.relation(old.when.text, new.when.text)
        direction = related.direction(Direction.STRICTER)
        yield Field(direction, f"when {old.when.text} -> {new.when.text}")
    yield from verdict_field(old.verdict, new.verdict)
    yield from message_field(old.message, new.message)


def gate_words(gate: Gate) -> str:
    return f"{STRENGTH[gate.verdict]} when {gate.when.text}"


def require_fields(old: Require, new: Require) -> Iterator[Field]:
    """Yields what differs in two requirements of one name.

    Of evidence the newest counts, whatever kind it has: a kind more may bring a result that shows less, so that neither
    direction is sure.
    """
    if old.for_ != new.for_:
        direction = globs.relation(old.for_, new.for_).direction(Direction.STRICTER)
        yield Field(direction, f"is asked before {any_of(old.for_)} -> {any_of(new.for_)}")
    if set(old.evidence) != set(new.evidence):
        text = f"evidence {any_of(old.evidence)} -> {any_of(new.evidence)}"
        yield Field(Direction.UNSURE, text)
    if old.same_target is not new.same_target:
        text = (
            "evidence is about the same target" if new.same_target else "evidence is of any target"
        )
        yield Field(Direction.UNSURE, text)
    if old.within_ms != new.within_ms:
        longer = new.within_ms is None or (
            old.within_ms is not None and new.within_ms > old.within_ms
        )
        text = f"evidence may be {_age(old.within_ms)} old -> {_age(new.within_ms)}"
        yield Field(Direction.LOOSER if longer else Direction.STRICTER, text)
    before, after = (r.when.text if r.when is not None else None for r in (old, new))
    if before != after:
        direction = Direction.UNSURE
        if before is not None and after is not None:
            direction = conditions.relation(before, after).direction(Direction.LOOSER)
        shown = [text or "it did not fail" for text in (before, after)]
        yield Field(direction, f"evidence must show that {shown[0]} -> {shown[1]}")
    yield from verdict_field(old.verdict, new.verdict)
    yield from message_field(old.message, new.message)


def require_words(require: Require) -> str:
    asked = f"{any_of(require.for_)} needs {any_of(require.evidence)} first"
    return f"{asked}, else it {STRENGTH[require.verdict]}"


def _age(within_ms: int | None) -> str:
    return "any time" if within_ms is None else span(within_ms)
