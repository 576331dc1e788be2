"""What a guess says of one effect, beside the effect itself."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.policy.guess.arguments import Target
from proxy.policy.guess.verbs import Named


@dataclass(frozen=True, slots=True)
class Aim:
    """The act behind an effect, and the one element that it is aimed at."""

    named: Named
    element: str = ""  # as it stands in the arguments; "" where the call names nobody
    place: int | None = None
    beside: tuple[Target, ...] = ()  # all that the call is aimed at
    fetches: bool = False
    outbound: bool = False
