"""One change between two sets of rules, as a value.

What belongs here: the words for its direction, and how two of them come together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which way a change goes, for every call and in every state."""

    STRICTER = "stricter"
    LOOSER = "looser"
    UNSURE = "unsure"  # one or the other, by what calls come; or it cannot be told
    NEUTRAL = "neutral"  # no verdict depends on it

    @property
    def turned(self) -> Direction:
        """The direction of the change back."""
        return _TURNED.get(self, self)


_TURNED = {Direction.STRICTER: Direction.LOOSER, Direction.LOOSER: Direction.STRICTER}


class Relation(StrEnum):
    """How much a new condition or list of kinds says, beside the old one."""

    SAME = "same"
    WIDER = "wider"  # all of the old, and more
    NARROWER = "narrower"
    OTHER = "other"

    def direction(self, wider: Direction) -> Direction:
        """Returns the direction of a rule's change, where saying more makes it `wider`."""
        if self is Relation.SAME:
            return Direction.NEUTRAL
        if self is Relation.OTHER:
            return Direction.UNSURE
        return wider if self is Relation.WIDER else wider.turned


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    `about` names the rule, `text` says what is otherwise, `place` is where it stands (`file:line`): in the new set, or in the
    old one where it is gone.
    """

    direction: Direction
    about: str
    text: str
    place: str = ""
