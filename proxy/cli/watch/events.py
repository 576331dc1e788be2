"""What comes to the screen, and what it asks for: keys, the proxy's answers, commands.

What belongs here: values alone. `Hold` is the admin API's view, as it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

type Hold = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `up`, `enter`, `esc`, `paste`, `ctrl-u` …, or the character itself; `text` is what it types."""

    name: str
    text: str = ""


# --- what is asked for ----------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Approve:
    """Let a held call pass; `grant` is what is allowed besides, as the admin API reads it."""

    id: str
    grant: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """Refuse a held call; `freeze` names the session that is stopped first."""

    id: str
    reason: str | None = None
    freeze: str | None = None


@dataclass(frozen=True, slots=True)
class Freeze:
    """Stop every call of a session."""

    session: str


@dataclass(frozen=True, slots=True)
class Refresh:
    """Look what waits; `show` is the hold that is shown in full."""

    show: str | None = None


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave the screen."""


type Answer = Approve | Deny | Freeze
type Command = Answer | Refresh | Quit


# --- what comes back ------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Listed:
    """What waits now; `shown` is the hold that was asked for in full."""

    holds: tuple[Hold, ...]
    shown: Hold | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer was taken; `view` is what the proxy said."""

    answer: Answer
    view: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer was not taken."""

    answer: Answer
    text: str


@dataclass(frozen=True, slots=True)
class Away:
    """The proxy does not say what waits."""

    text: str


type Event = Key | Listed | Answered | Refused | Away
