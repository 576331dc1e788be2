"""One thing that would have let a call pass, tried before it is told."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.model import Json


@dataclass(frozen=True, slots=True)
class Way:
    """What would have to be otherwise; for who writes the rules, never for the agent.

    `kind` is `argument`, `arguments` (several at once), `wait`, `limit`, `first` (another call before), `entry` (an entry
    of `tools:`), or `condition`, which names parts of a condition and is the one that cannot be tried.
    """

    kind: str
    text: str
    rule: str = ""  # that it clears; empty: all
    changes: tuple[
        tuple[str, Json], ...
    ] = ()  # an argument, as expressions name it, and its other value
    allows: bool = False  # with it the call passes
    remaining: tuple[str, ...] = ()  # rules that stop it all the same
    yaml: tuple[str, ...] = ()  # lines to add to a rule file
    tried: bool = True
