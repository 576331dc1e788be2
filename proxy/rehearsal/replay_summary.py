"""What a replay comes to, for people: counts, the rules that spoke, examples of each.

What belongs here: adding up outcomes one by one, keeping a few examples, and the words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from proxy.model import Reason, Verdict
from proxy.rehearsal.sessions import CallOutcome, SessionOutcome

_EXAMPLES = 3


class ReplaySummary:
    """Counts over a file."""

    def __init__(self) -> None:
        self.sessions = 0
        self.untouched = 0
        self.verdicts: Counter[Verdict] = Counter()
        self.changed = 0  # calls of a log that are decided otherwise now
        self.of_a_log = False
        self._rules: Counter[tuple[str, Verdict]] = Counter()
        self._sessions_of: Counter[str] = Counter()
        self._examples: dict[str, list[tuple[str, CallOutcome, Reason]]] = {}

    def take(self, outcome: SessionOutcome) -> None:
        """Counts one session."""
        self.sessions += 1
        self.untouched += not outcome.stopped
        spoke: set[str] = set()
        for call in outcome.calls:
            self.verdicts[call.verdict] += 1
            if call.was is not None:
                self.of_a_log = True
                self.changed += call.was != call.verdict.label
            for reason in {r.rule: r for r in call.reasons}.values():
                self._rules[reason.rule, reason.verdict] += 1
                spoke.add(reason.rule)
                examples = self._examples.setdefault(reason.rule, [])
                if len(examples) < _EXAMPLES:
                    examples.append((outcome.session, call, reason))
        self._sessions_of.update(spoke)

    def lines(self) -> Iterator[str]:
        """Yields the summary."""
        calls = self.verdicts.total()
        yield f"sessions  {self.sessions}, {self._share(self.untouched, self.sessions)} run untouched"
        yield (
            f"calls     {calls}: {self.verdicts[Verdict.ALLOW]} allowed, "
            f"{self.verdicts[Verdict.HOLD]} held, {self.verdicts[Verdict.BLOCK]} blocked"
        )
        if self.of_a_log:
            yield f"changed   {self.changed} calls are decided otherwise than the log says"
        for (rule, verdict), times in sorted(
            self._rules.items(), key=lambda item: (-item[1], item[0])
        ):
            sessions = self._sessions_of[rule]
            yield f"{verdict.label} by {rule}: {times} calls in {sessions} sessions"
            for session, call, reason in self._examples[rule]:
                if reason.verdict is verdict:
                    yield f"    {session}: {call.name} ({call.id}): {reason.text}"

    @staticmethod
    def _share(part: int, whole: int) -> str:
        return f"{part} ({100 * part / whole:.1f} %)" if whole else "0"
