"""Changes in words that a reviewer can decide from, and as one object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proxy.model import Json
from proxy.policy.diff.changes import Change, Direction

_HEADS = {
    Direction.STRICTER: "stricter",
    Direction.LOOSER: "looser",
    Direction.UNSURE: "cannot be told from the rules (a replay of what was recorded tells)",
    Direction.NEUTRAL: "no verdict depends on it",
}
_SHORT = {
    Direction.STRICTER: "stricter",
    Direction.LOOSER: "looser",
    Direction.UNSURE: "that cannot be told",
    Direction.NEUTRAL: "without a verdict",
}


def lines(changes: Sequence[Change]) -> Iterator[str]:
    """Yields the comparison, a section a direction."""
    if not changes:
        yield "the rules are the same"
        return
    for direction, head in _HEADS.items():
        found = [change for change in changes if change.direction is direction]
        if not found:
            continue
        yield head
        for change in found:
            place = f"  ({change.place})" if change.place else ""
            yield f"  {change.about}: {change.text}{place}"
    counts = ((sum(c.direction is d for c in changes), word) for d, word in _SHORT.items())
    yield ""
    yield ", ".join(f"{count} {word}" for count, word in counts)


def as_object(changes: Sequence[Change]) -> dict[str, Json]:
    """Returns the comparison: `changes` in order, and how many go which way."""
    return {
        "counts": {str(d): sum(c.direction is d for c in changes) for d in Direction},
        "changes": [
            {
                "direction": str(change.direction),
                "about": change.about,
                "text": change.text,
                "place": change.place or None,
            }
            for change in changes
        ],
    }
