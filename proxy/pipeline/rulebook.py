"""The rules in force, and those that were in force just before.

How it works. A set is swapped between two jobs of the ledger's writer, so that every call is judged by one set
from beginning to end, and each after the record of the swap by the new one. What was reserved under a former set
is settled by that set's own expressions: an effect is known by its place in a file, and in the new file another may
stand there. Former sets go when nothing that was reserved under them can be open any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from proxy.model import Json
from proxy.policy.ruleset import RuleSet

_MOST_FORMER = 64
"""Sets that are kept for settling; with more, the oldest goes, and what it reserved is committed as reserved."""
_MOST_PROBLEMS = 20
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Rejected:
    """An edit that was not taken over."""

    problems: tuple[str, ...]
    at_ms: int

    def as_json(self) -> dict[str, Json]:
        shown = [problem[:_LONGEST] for problem in self.problems[:_MOST_PROBLEMS]]
        return {"problems": shown, "count": len(self.problems), "at_ms": self.at_ms}


class Rulebook:
    """Which set is in force, since when, and what became of the last edit."""

    def __init__(self, rules: RuleSet, now_ms: int, kept_ms: int) -> None:
        """`kept_ms`: how long a reservation may be open."""
        self.rules = rules
        self.since_ms = now_ms
        self.rejected: Rejected | None = None
        self._kept_ms = kept_ms
        self._former: deque[tuple[int, RuleSet]] = deque(maxlen=_MOST_FORMER)  # until when

    def put(self, rules: RuleSet, now_ms: int) -> None:
        """Puts a set in force."""
        while self._former and self._former[0][0] + self._kept_ms < now_ms:
            self._former.popleft()
        if rules.digest != self.rules.digest:
            self._former.append((now_ms, self.rules))
        self.rules, self.since_ms, self.rejected = rules, now_ms, None

    def at(self, reserved_at_ms: int) -> RuleSet:
        """Returns the set that was in force at a time, or the oldest that is still known."""
        for until_ms, rules in self._former:
            if reserved_at_ms <= until_ms:
                return rules
        return self.rules

    def status(self) -> Mapping[str, Json]:
        """Returns what the admin side tells."""
        return {
            "rules": self.rules.digest[:16],
            "files": [str(path) for path in self.rules.files],
            "since_ms": self.since_ms,
            "rejected": self.rejected.as_json() if self.rejected is not None else None,
        }
