"""A session's effects as a picture: lanes by kind, one column a call, the chain that a call would complete drawn through them.

What belongs here: from entries to coordinates; the template draws. A column stands for a call, in order, not for a length of time: what matters is what
came before what. The last column is the call that waits. A chain's line goes back from it, to the newest effect that fits each step before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from proxy.inbox.web.presenting import amount_of, clock, plain, short
from proxy.model import Effect, Entry, EntryState, Hold, Json
from proxy.policy.chains import Chain

_COLUMNS = 40
_LEFT, _STEP_X, _STEP_Y, _TOP = 130, 26, 34, 26


@dataclass(frozen=True, slots=True)
class Mark:
    """One effect."""

    x: int
    y: int
    state: str  # reserved, committed, released, or held: the call that waits
    tool: str
    kind: str
    amount: str
    target: str
    at: str
    key: str = ""

    @property
    def title(self) -> str:
        parts = (
            self.tool,
            self.kind,
            self.amount,
            self.target and f"on {self.target}",
            self.at,
            self.state,
        )
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Line:
    """A chain, or a value's way, as points of the picture."""

    name: str
    points: str
    kind: str  # chain, data


@dataclass(frozen=True, slots=True)
class Timeline:
    """A picture; `earlier`: how many calls are left out."""

    width: int
    height: int
    lanes: tuple[tuple[str, int], ...]  # (name, y)
    marks: tuple[Mark, ...]
    lines: tuple[Line, ...] = ()
    earlier: int = 0
    rows: tuple[Mark, ...] = field(default=())


def timeline(
    entries: Sequence[Entry], hold: Hold | None = None, chains: Sequence[Chain] = ()
) -> Timeline:
    """Returns the picture of a session, and of a call of it that waits."""
    calls: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.bound_by is None or entry.side.value == "model":
            calls.setdefault(entry.call_key, []).append(entry)
    shown = list(calls.values())[-_COLUMNS:]
    held = hold.effects if hold is not None else ()
    kinds = [e.effect.kind for call in shown for e in call] + [e.kind for e in held]
    lanes = {lane: _TOP + i * _STEP_Y for i, lane in enumerate(dict.fromkeys(map(_lane, kinds)))}
    marks = [
        _mark(
            entry.effect,
            entry.state,
            entry.name,
            entry.reserved_at_ms,
            column,
            lanes,
            entry.call_key,
        )
        for column, call in enumerate(shown)
        for entry in call
    ]
    if hold is not None:
        marks += [
            _mark(effect, "held", hold.name, hold.created_at_ms, len(shown), lanes)
            for effect in held
        ]
    columns = len(shown) + (1 if held else 0)
    return Timeline(
        width=_LEFT + max(1, columns) * _STEP_X + 20,
        height=_TOP + max(1, len(lanes)) * _STEP_Y,
        lanes=tuple((plain(lane), y) for lane, y in lanes.items()),
        marks=tuple(marks),
        lines=tuple(_lines(marks, hold, chains)),
        earlier=max(0, len(calls) - len(shown)),
        rows=tuple(reversed(marks)),
    )


def _lane(kind: str) -> str:
    return kind.partition(".")[0]


def _mark(
    effect: Effect,
    state: EntryState | str,
    tool: str,
    at_ms: int,
    column: int,
    lanes: dict[str, int],
    key: str = "",
) -> Mark:
    return Mark(
        _LEFT + column * _STEP_X,
        lanes[_lane(effect.kind)],
        str(state),
        short(tool, 60),
        plain(effect.kind),
        amount_of(effect),
        short(effect.target or "", 80),
        clock(at_ms),
        key,
    )


def _lines(marks: Sequence[Mark], hold: Hold | None, chains: Sequence[Chain]) -> list[Line]:
    if hold is None:
        return []
    made = []
    named = {reason.rule for reason in hold.reasons}
    for chain in chains:
        if chain.name in named and (points := _through(marks, chain)):
            made.append(Line(chain.name, " ".join(points), "chain"))
    for source in _sources(hold.asked):
        target = next((m for m in reversed(marks) if m.state == "held"), None)
        origin = next((m for m in reversed(marks) if m.state != "held" and m.tool == source), None)
        if target is not None and origin is not None:
            made.append(Line(source, f"{origin.x},{origin.y} {target.x},{target.y}", "data"))
    return made


def _through(marks: Sequence[Mark], chain: Chain) -> list[str]:
    points: list[str] = []
    left = [step for step in chain.steps if step.kinds]
    for mark in reversed(marks):
        if not left:
            break
        if any(fnmatchcase(mark.kind, pattern) for pattern in left[-1].kinds):
            points.insert(0, f"{mark.x},{mark.y}")
            left.pop()
    return points if len(points) > 1 else []


def _sources(asked: Json) -> list[str]:
    """Returns the tools whose results a held call's arguments came from."""
    tools: dict[str, None] = {}
    for question, answer in (asked or {}).items():
        if question.startswith(("origin:", "trailing:")):
            stated = answer.get("from", []) if isinstance(answer, dict) else answer
            for one in stated if isinstance(stated, list) else ():
                if isinstance(one, dict) and one.get("tool"):
                    tools[short(one["tool"], 60)] = None
    return list(tools)
