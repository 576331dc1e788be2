"""What the rules may ask of a session's past: the door behind which the ledger stands.

What belongs here: the questions (`Facts`), the values they are answered with, and `NO_FACTS`, the past
of a session that has none. All of it is kept a *family*: the session at the root, with its
sub-sessions, so that a sub-agent's reads and its parent's uploads are one story. Answers are read in the
transaction in which the call is decided, so that two calls at once cannot both be the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from proxy.model import Json, Origin, Side, Source, Verdict

FORGOTTEN = "secret.forgotten"
"""The label of a family that has read more than is kept, so that a secret had to make room."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a family of sessions has met so far: calls let through, results observed."""

    kinds: tuple[str, ...] = ()  # of effects, in the order of their first time
    tools: tuple[str, ...] = ()  # whose results were observed
    labels: tuple[str, ...] = ()  # of results
    untrusted: bool = False  # some result that the rules do not trust was observed
    user_text: str = ""  # what the user said, redacted, lower case; bounded
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """How far a chain has come: its steps up to `index` are met; `started_ms` is the newest start."""

    index: int
    started_ms: int
    at_ms: int
    via: tuple[str, ...] = ()  # what met each step, for people: "data.read.secret by read_secret"
    by: str = ""  # the key of the call that brought it here


@dataclass(frozen=True, slots=True)
class Evidence:
    """An observed result of a call that had an effect some rule requires."""

    kind: str
    target: str | None
    tool: str
    side: Side
    is_error: bool
    text: str
    document: Json
    at_ms: int


@dataclass(frozen=True, slots=True)
class Hints:
    """What an MCP server says of a tool of its own, where it says so; hints, for it may lie."""

    read_only: bool | None = None
    destructive: bool | None = None
    open_world: bool | None = None


@dataclass(frozen=True, slots=True)
class InForce:
    """What signals have set in force for this call: the strictest of each."""

    frozen: str | None = None  # why everything is stopped
    scales: dict[str, Decimal] = field(default_factory=dict)  # budget: factor, 0 to 1
    raised: frozenset[str] = frozenset()  # gates that are one verdict stricter
    holds: tuple[tuple[str, Verdict, str, str], ...] = ()  # (kind glob, verdict, why, signal)
    because: dict[str, str] = field(default_factory=dict)  # "budget:NAME" or "gate:NAME": why


NOTHING_IN_FORCE = InForce()


class Facts(Protocol):
    """The past of the family that a call belongs to."""

    @property
    def now_ms(self) -> int: ...

    @property
    def call_key(self) -> str:
        """The ledger's key of the call that is judged."""

    @property
    def besides(self) -> str | None:
        """The key of the same action's other side, whose steps are this call's own."""

    @property
    def seen(self) -> Seen: ...

    @property
    def in_force(self) -> InForce: ...

    @property
    def in_shadow(self) -> InForce:
        """What signals in shadow would have set in force."""

    def with_shadow(self) -> Facts:
        """The same past, with the effects that only files in shadow know of."""

    def origin(self, value: Json) -> Origin:
        """Tells where a value, or any part of it, was met before."""

    def trailing(self, tool: str, data: Json) -> Sequence[Source]:
        """The secrets of which this call sends one more piece: too short to be known by itself."""

    def is_new(self, kind: str, target: str) -> bool:
        """Whether this agent never had an effect of this kind on this target."""

    def positions(self, chain: str, *, per: str, key: str) -> Sequence[Position]:
        """How far a chain has come in this family (`per` session) or for this agent."""

    def checkpoint_ms(self, *, per: str) -> int:
        """When a human last looked; 0 when none has."""

    def result_of_ms(self, kind: str) -> int:
        """When a result of an effect of this kind was last observed; 0 for never."""

    def label_ms(self, label: str) -> int:
        """When a result with this label was last observed; 0 for never."""

    def evidence(self, kinds: Sequence[str], target: str | None) -> Evidence | None:
        """The newest result of an effect of one of these kinds on this target."""

    def hints(self, server: str, tool: str) -> Hints:
        """What the server's pinned definition of a tool says of it."""

    def told(self, question: str, answer: Callable[[], Json]) -> Json:
        """Answers out of what a decision log does not hold: texts, headers; the answer is noted there."""

    def reads_unlogged(self, text: str) -> None:
        """An expression reads such a thing for a value that is not noted."""


class NoFacts:
    """The past of a session that has none: tests of rules by themselves, and `rules check`."""

    now_ms = 0
    call_key = ""
    besides: str | None = None
    seen = Seen()
    in_force = NOTHING_IN_FORCE
    in_shadow = NOTHING_IN_FORCE

    def with_shadow(self) -> Facts:
        return self

    def origin(self, value: Json) -> Origin:
        return Origin(model=True)

    def trailing(self, tool: str, data: Json) -> Sequence[Source]:
        return ()

    def is_new(self, kind: str, target: str) -> bool:
        return True

    def positions(self, chain: str, *, per: str, key: str) -> Sequence[Position]:
        return ()

    def checkpoint_ms(self, *, per: str) -> int:
        return 0

    def result_of_ms(self, kind: str) -> int:
        return 0

    def label_ms(self, label: str) -> int:
        return 0

    def evidence(self, kinds: Sequence[str], target: str | None) -> Evidence | None:
        return None

    def hints(self, server: str, tool: str) -> Hints:
        return Hints()

    def told(self, question: str, answer: Callable[[], Json]) -> Json:
        return answer()

    def reads_unlogged(self, text: str) -> None:
        return None


NO_FACTS: Facts = NoFacts()
