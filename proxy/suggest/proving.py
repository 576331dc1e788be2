"""What the proposed budgets would have touched: the log replayed under the very file, with the rules beside it.

What belongs here: the replay, and raising what touched more than it may. The numbers that are told come from here, not from the
distribution that the limits were made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.model import Verdict
from proxy.rehearsal.replay import Replay
from proxy.rehearsal.sessions import CallOutcome


@dataclass(slots=True)
class Touched:
    """The sessions that budgets would have held a call of."""

    sessions: int = 0  # in the log
    by: dict[str, int] = field(default_factory=dict)  # by budget
    any: int = 0  # by some of them


def touched_by(
    names: Sequence[str], logs: Sequence[Path], rules: Sequence[Path], workers: int | None
) -> Touched:
    """Replays logs; counts the sessions in which each budget speaks against some call.

    Args:
        names: the budgets.
        logs: the log's files, oldest first.
        rules: all rule files, the proposed one with them.
        workers: how many processes.

    Raises:
        RecordingError: a record cannot be played.
        RuleErrors: the rules do not load.
    """
    made = Touched(by=dict.fromkeys(names, 0))
    for session in Replay(logs, rules, workers=workers):
        said = {rule for call in session.calls for rule in _against(call)} & made.by.keys()
        made.sessions += 1
        made.any += bool(said)
        for name in said:
            made.by[name] += 1
    return made


def _against(call: CallOutcome) -> set[str]:
    return {r.rule for r in (*call.reasons, *call.shadow_reasons) if r.verdict > Verdict.ALLOW}
