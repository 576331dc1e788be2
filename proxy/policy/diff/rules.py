"""What all named rules share when two sets are compared: which is which, and the mode.

What belongs here: pairing rules by name, and what is said of one that is new, gone, or in another mode. What a pair's fields
mean is said by the module of its kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from proxy.model import Verdict
from proxy.policy.diff.changes import Change, Direction

STRENGTH = {Verdict.ALLOW: "lets pass", Verdict.HOLD: "holds", Verdict.BLOCK: "blocks"}


class Rule(Protocol):
    """A compiled rule of any kind."""

    @property
    def name(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def shadow(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Field:
    """One difference of a pair."""

    direction: Direction
    text: str


def compare_rules[R: Rule](
    what: str,
    old: Sequence[R],
    new: Sequence[R],
    fields: Callable[[R, R], Iterable[Field]],
    words: Callable[[R], str],
    former: Callable[[R], Sequence[str]] = lambda _: (),
) -> Iterator[Change]:
    """Yields the changes of one kind of rules.

    Args:
        what: the kind's name, `gate`.
        fields: what differs in two rules of one name.
        words: what a rule says, in short.
        former: a rule's other names, under which the old set may have it.
    """
    before = {rule.name: rule for rule in old}
    left = dict(before)
    for rule in new:
        named = next((n for n in (rule.name, *former(rule)) if n in left), None)
        about, place = f"{what} '{rule.name}'", f"{rule.file}:{rule.line}"
        if named is None:
            direction = Direction.NEUTRAL if rule.shadow else Direction.STRICTER
            in_shadow = ", in shadow" if rule.shadow else ""
            yield Change(direction, about, f"is new{in_shadow}: {words(rule)}", place)
            continue
        other = left.pop(named)
        if named != rule.name:
            text = f"was called '{named}'; what was counted stays counted"
            yield Change(Direction.NEUTRAL, about, text, place)
        for found in _pair(other, rule, fields):
            yield Change(found.direction, about, found.text, place)
    for rule in left.values():
        direction = Direction.NEUTRAL if rule.shadow else Direction.LOOSER
        in_shadow = ", in shadow" if rule.shadow else ""
        place = f"{rule.file}:{rule.line}"
        yield Change(
            direction, f"{what} '{rule.name}'", f"is gone{in_shadow}: {words(rule)}", place
        )


def _pair[R: Rule](old: R, new: R, fields: Callable[[R, R], Iterable[Field]]) -> Iterator[Field]:
    if old.shadow and not new.shadow:
        yield Field(Direction.STRICTER, "is enforced, it was in shadow")
    elif new.shadow and not old.shadow:
        yield Field(Direction.LOOSER, "is in shadow, it was enforced")
    for found in fields(old, new):
        if old.shadow or new.shadow:  # on one side it stops nothing, whatever it says
            found = replace(found, direction=Direction.NEUTRAL)
        yield found


def verdict_field(old: Verdict, new: Verdict) -> Iterator[Field]:
    """Yields whether a rule that speaks against a call speaks louder."""
    if new is not old:
        direction = Direction.STRICTER if new > old else Direction.LOOSER
        yield Field(direction, f"{STRENGTH[new]}, it {_PAST[old]}")


_PAST = {Verdict.ALLOW: "let pass", Verdict.HOLD: "held", Verdict.BLOCK: "blocked"}


def message_field(old: str | None, new: str | None) -> Iterator[Field]:
    if old != new:
        yield Field(Direction.NEUTRAL, "tells the agent something else")


def any_of(patterns: Sequence[str]) -> str:
    """Returns a list of globs in words."""
    return "anything" if "*" in patterns else " or ".join(patterns)
