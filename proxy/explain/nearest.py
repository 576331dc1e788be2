"""The nearest number with which something is true: doubled and halved away from a value, then cut in half.

What belongs here: the search alone. What is asked of a number may cost a judgement, so each is asked once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

_DOUBLINGS = 12
_HALVINGS = 20


def nearest(
    value: Decimal,
    holds: Callable[[Decimal], bool],
    step: Decimal,
    hints: Iterable[Decimal] = (),
) -> Decimal | None:
    """Returns the number nearest to `value` that holds; None where none was found.

    A number that was found by cutting in half is the last one that holds: one `step` nearer none does.

    Args:
        value: where the search begins; it does not hold.
        holds: what is asked.
        step: the smallest difference that counts, over 0.
        hints: numbers that are worth asking before: where conditions change their minds.
    """
    found: list[Decimal] = []
    near = {hint + move for hint in hints for move in (-step, Decimal(0), step)}
    for hint in sorted(near, key=lambda one: abs(one - value)):
        if hint != value and hint >= 0 and holds(hint):
            found.append(hint)
            break
    for tried in (_downwards(value, step), _upwards(value, step)):
        out = value
        for one in tried:
            if found and abs(one - value) > abs(found[0] - value):
                one = found[0] if (found[0] - value) * (one - value) > 0 else one
            if holds(one):
                found.append(_between(out, one, holds, step))
                break
            out = one
    return min(found, key=lambda one: abs(one - value), default=None)


def _downwards(value: Decimal, step: Decimal) -> Iterable[Decimal]:
    at = value
    while at > step:
        half = (at / 2).quantize(step)
        at = half if half < at else at - step
        yield at


def _upwards(value: Decimal, step: Decimal) -> Iterable[Decimal]:
    at = max(abs(value), step)
    for n in range(_DOUBLINGS):
        yield value + (at * 2**n).quantize(step)


def _between(
    out: Decimal, inside: Decimal, holds: Callable[[Decimal], bool], step: Decimal
) -> Decimal:
    """Moves `inside`, which holds, towards `out`, which does not."""
    for _ in range(_HALVINGS):
        if abs(inside - out) <= step:
            break
        middle = ((inside + out) / 2).quantize(step)
        if middle in (inside, out):
            break
        if holds(middle):
            inside = middle
        else:
            out = middle
    return inside
