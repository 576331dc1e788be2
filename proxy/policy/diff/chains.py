"""Chains and signals of two sets.

How it works. A chain that is stricter in each part is stricter: more kinds in a step, weaker evidence of flow, a longer window, fewer kinds that
clear it. But a chain that asks for flow keeps the newest position a step, so that with more kinds in a step the one that
the data came from may be another: there, neither direction is sure.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.policy.chains import Chain, Step
from proxy.policy.diff import conditions, globs
from proxy.policy.diff.changes import Direction, Relation
from proxy.policy.diff.rules import STRENGTH, Field, any_of, message_field, verdict_field
from proxy.policy.signals import Signal
from proxy.policy.spans import span

_FLOWS = ("order", "possible", "observed")  # each asks for more than the one before


def chain_fields(old: Chain, new: Chain) -> Iterator[Field]:
    """Yields what differs in two chains of one name."""
    if len(old.steps) != len(new.steps):
        yield Field(Direction.UNSURE, f"{len(old.steps)} steps -> {len(new.steps)}")
    else:
        for number, (before, after) in enumerate(zip(old.steps, new.steps, strict=True), 1):
            yield from _step(number, before, after, new)
    if old.flow != new.flow:
        looser = _FLOWS.index(new.flow) > _FLOWS.index(old.flow)
        direction = Direction.LOOSER if looser else Direction.STRICTER
        yield Field(direction, f"flow {old.flow} -> {new.flow}")
    if old.window_ms != new.window_ms:
        longer = new.window_ms is None or (
            old.window_ms is not None and new.window_ms > old.window_ms
        )
        text = f"within {_window(old)} -> {_window(new)}"
        yield Field(Direction.STRICTER if longer else Direction.LOOSER, text)
    if old.per != new.per:
        yield Field(Direction.UNSURE, f"per {old.per} -> {new.per}")
    if set(old.unless) != set(new.unless):
        direction = globs.relation(old.unless, new.unless).direction(Direction.LOOSER)
        text = (
            f"is cleared by {any_of(old.unless) or 'nothing'} -> {any_of(new.unless) or 'nothing'}"
        )
        yield Field(direction, text)
    if old.same_target is not new.same_target:
        text = (
            "its steps are about one target" if new.same_target else "its steps may have any target"
        )
        yield Field(Direction.UNSURE, text)
    yield from verdict_field(old.verdict, new.verdict)
    yield from message_field(old.message, new.message)


def _step(number: int, old: Step, new: Step, chain: Chain) -> Iterator[Field]:
    kinds = globs.relation(old.kinds, new.kinds)
    labels = globs.relation(old.labels, new.labels)
    before, after = (s.when.text if s.when is not None else "true" for s in (old, new))
    when = Relation.SAME if before == after else conditions.relation(before, after)
    if old.when is None and new.when is not None:
        when = Relation.NARROWER
    elif new.when is None and old.when is not None:
        when = Relation.WIDER
    found = {kinds, labels, when} - {Relation.SAME}
    if not found:
        return
    direction = Direction.UNSURE
    if len(found) == 1 and chain.flow == "order":
        direction = found.pop().direction(Direction.STRICTER)
    yield Field(direction, f"step {number}: {_step_words(old)} -> {_step_words(new)}")


def chain_words(chain: Chain) -> str:
    steps = ", then ".join(map(_step_words, chain.steps))
    return f"{STRENGTH[chain.verdict]} {steps}"


def _step_words(step: Step) -> str:
    named = any_of(step.kinds) if step.kinds else f"a result labelled {any_of(step.labels)}"
    return named if step.when is None else f"{named} when {step.when.text}"


def _window(chain: Chain) -> str:
    return "any time" if chain.window_ms is None else span(chain.window_ms)


# --- signals ---------------------------------------------------------------------------------------------------
def signal_fields(old: Signal, new: Signal) -> Iterator[Field]:
    """Yields what differs in two signals of one name."""
    if old.count != new.count:
        direction = Direction.STRICTER if new.count < old.count else Direction.LOOSER
        yield Field(direction, f"after {old.count} -> {new.count}")
    if old.below != new.below:
        direction = Direction.STRICTER if new.below > old.below else Direction.LOOSER
        yield Field(direction, f"below {old.below} -> {new.below}")
    if set(map(str, old.actions)) != set(map(str, new.actions)):
        gone = [str(a) for a in old.actions if str(a) not in map(str, new.actions)]
        came = [str(a) for a in new.actions if str(a) not in map(str, old.actions)]
        direction = Direction.UNSURE if gone and came else Direction.STRICTER
        if gone and not came:
            direction = Direction.LOOSER
        yield Field(direction, f"does {_done(old)} -> {_done(new)}")
    if _rest(old) != _rest(new):
        yield Field(Direction.UNSURE, "comes about by other conditions")


def signal_words(signal: Signal) -> str:
    return f"on {signal.on}: {_done(signal)}"


def _done(signal: Signal) -> str:
    return ", ".join(map(str, signal.actions))


def _rest(signal: Signal) -> tuple[object, ...]:
    when = signal.when.text if signal.when is not None else None
    value = signal.value.text if signal.value is not None else None
    hours = str(signal.hours)
    return (signal.on, when, value, hours, signal.within_ms, signal.per, signal.for_ms)
