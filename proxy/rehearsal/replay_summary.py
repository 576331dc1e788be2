"""What a replay comes to, for people who decide about a change of rules: what changed, by which rule, with examples.

What belongs here: adding up outcomes one by one, keeping a few examples, and the words. Each change is told by the rules
that make it: those that speak against a call now and did not, or did and do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from proxy.model import Json, Reason, Verdict
from proxy.rehearsal.sessions import CallOutcome, SessionOutcome

_EXAMPLES = 3
_VERDICTS = {verdict.label: verdict for verdict in Verdict}
_ALLOW, _HOLD, _BLOCK = Verdict.ALLOW, Verdict.HOLD, Verdict.BLOCK

CHANGES: dict[tuple[Verdict, Verdict], str] = {
    (_ALLOW, _HOLD): "newly held",
    (_ALLOW, _BLOCK): "newly blocked",
    (_HOLD, _BLOCK): "blocked, no longer held",
    (_BLOCK, _HOLD): "held, no longer blocked",
    (_HOLD, _ALLOW): "newly allowed, held before",
    (_BLOCK, _ALLOW): "newly allowed, blocked before",
}
"""(before, now) and what that is called, the stricter first."""


@dataclass(slots=True)
class _Tally:
    """Calls, and the sessions they are in."""

    file: str | None = None
    line: int | None = None
    calls: int = 0
    sessions: int = 0
    examples: list[tuple[str, CallOutcome, Reason]] = field(default_factory=list)

    def take(self, session: str, call: CallOutcome, reason: Reason) -> None:
        self.calls += 1
        self.file, self.line = reason.file or self.file, reason.line or self.line
        if len(self.examples) < _EXAMPLES:
            self.examples.append((session, call, reason))


class ReplaySummary:
    """Counts over all sessions."""

    def __init__(self, against: str | None = None) -> None:
        """`against`: what the outcomes are compared with, in words; None: nothing, or what a log says."""
        self.sessions = 0
        self.untouched = 0
        self.sessions_changed = 0
        self.verdicts: Counter[Verdict] = Counter()
        self.changed: Counter[tuple[Verdict, Verdict]] = Counter()
        self.uncertain = 0
        self.unknown: Counter[str] = Counter()
        self.torn: str | None = None
        self._against = against
        self._is_compared = False
        self._rules: dict[tuple[str, Verdict], _Tally] = {}
        self._by_change: dict[tuple[tuple[Verdict, Verdict], str], _Tally] = {}
        self._in_shadow: dict[tuple[str, Verdict], _Tally] = {}

    @property
    def calls_changed(self) -> int:
        return self.changed.total()

    def take(self, outcome: SessionOutcome) -> None:
        """Counts one session."""
        self.sessions += 1
        self.untouched += not outcome.stopped
        self.sessions_changed += any(call.changed for call in outcome.calls)
        spoke: dict[int, _Tally] = {}
        for call in outcome.calls:
            self.verdicts[call.verdict] += 1
            self.uncertain += bool(call.unknown)
            self.unknown.update(call.unknown)
            for tally, reason in self._tallies(call):
                tally.take(outcome.session, call, reason)
                spoke[id(tally)] = tally
        for tally in spoke.values():
            tally.sessions += 1

    def _tallies(self, call: CallOutcome) -> Iterator[tuple[_Tally, Reason]]:
        for reason in _once(call.reasons):
            yield self._rules.setdefault((reason.rule, reason.verdict), _Tally()), reason
        for reason in _once(call.shadow_reasons):
            yield self._in_shadow.setdefault((reason.rule, reason.verdict), _Tally()), reason
        if call.was is None:
            return
        self._is_compared = True
        if not call.changed:
            return
        change = (_VERDICTS[call.was], call.verdict)
        self.changed[change] += 1
        for reason in _making(call, change):
            yield self._by_change.setdefault((change, reason.rule), _Tally()), reason

    # --- for people ----------------------------------------------------------------------------------
    def lines(self) -> Iterator[str]:
        """Yields the summary."""
        changed = f"{self.sessions_changed} changed, " if self._is_compared else ""
        untouched = self._share(self.untouched, self.sessions)
        yield f"sessions  {self.sessions}, {changed}{untouched} run untouched"
        yield (
            f"calls     {self.verdicts.total()}: {self.verdicts[_ALLOW]} allowed, "
            f"{self.verdicts[_HOLD]} held, {self.verdicts[_BLOCK]} blocked"
        )
        if self._is_compared:
            yield from self._change_lines()
        if self.uncertain:
            yield f"uncertain {_number(self.uncertain, 'call')}: the log does not tell all that the rules ask for"
            for what, times in sorted(self.unknown.items(), key=_most_first):
                yield f"    {times}: {what}"
        if self.torn is not None:
            yield f"note      {self.torn}: the last line is not finished and was left out"
        for (rule, verdict), tally in _by_size(self._rules):
            yield f"{verdict.label} by {rule}: {_counted(tally)}"
            if not self._is_compared:
                yield from _examples(tally)
        for (rule, verdict), tally in _by_size(self._in_shadow):
            yield f"{_would(verdict)} by {rule}, in shadow: {_counted(tally)}"
            yield from _examples(tally)

    def _change_lines(self) -> Iterator[str]:
        against = self._against or "what the log says"
        if not self.changed:
            yield f"changed   0 calls, against {against}"
            return
        yield f"changed   {_number(self.calls_changed, 'call')}, against {against}"
        for change, word in CHANGES.items():
            if not self.changed[change]:
                continue
            yield f"  {self.changed[change]} {word}"
            mine = {key: t for key, t in self._by_change.items() if key[0] == change}
            for (_, rule), tally in _by_size(mine):
                by = f"no longer by {rule}" if change[1] < change[0] else f"by {rule}"
                yield f"    {by}{_place(tally)}: {_counted(tally)}"
                yield from _examples(tally, "      ")

    @staticmethod
    def _share(part: int, whole: int) -> str:
        return f"{part} ({100 * part / whole:.1f} %)" if whole else "0"

    # --- for programs --------------------------------------------------------------------------------
    def as_json(self) -> dict[str, Json]:
        """Returns the object that `rules replay --summary-json` prints."""
        changes = [
            {"was": change[0].label, "is": change[1].label, "rule": rule, **_object(tally)}
            for (change, rule), tally in _by_size(self._by_change)
        ]
        against = (self._against or "log") if self._is_compared else None
        return {
            "sessions": self.sessions,
            "sessions_changed": self.sessions_changed,
            "sessions_untouched": self.untouched,
            "calls": {verdict.label: self.verdicts[verdict] for verdict in Verdict},
            "against": against,
            "calls_changed": self.calls_changed,
            "changed": [
                {"was": was.label, "is": now.label, "calls": self.changed[was, now]}
                for was, now in CHANGES
                if self.changed[was, now]
            ],
            "changed_by": changes,
            "rules": [
                {"rule": rule, "verdict": verdict.label, **_object(tally)}
                for (rule, verdict), tally in _by_size(self._rules)
            ],
            "in_shadow": [
                {"rule": rule, "verdict": verdict.label, **_object(tally)}
                for (rule, verdict), tally in _by_size(self._in_shadow)
            ],
            "uncertain": {"calls": self.uncertain, "unknown": dict(sorted(self.unknown.items()))},
            "unfinished": self.torn,
        }


def _once(reasons: Iterable[Reason]) -> Iterable[Reason]:
    """A rule may speak of several effects of a call: it counts once."""
    return {reason.rule: reason for reason in reasons}.values()


def _making(call: CallOutcome, change: tuple[Verdict, Verdict]) -> Iterable[Reason]:
    """Returns the reasons that are new, or that are gone; all there are, where none is."""
    before, now = change
    here, there = (
        (call.reasons, call.was_reasons)
        if now > before
        else (
            call.was_reasons,
            call.reasons,
        )
    )
    known = {(reason.rule, reason.verdict) for reason in there}
    strict = [reason for reason in here if reason.verdict is max(before, now)]
    return _once([r for r in strict if (r.rule, r.verdict) not in known] or strict)


def _by_size[K](tallies: dict[K, _Tally]) -> list[tuple[K, _Tally]]:
    return sorted(tallies.items(), key=lambda item: (-item[1].calls, item[0]))


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return (-item[1], item[0])


def _examples(tally: _Tally, before: str = "") -> Iterator[str]:
    for session, call, reason in tally.examples:
        yield f"{before}    {session}: {call.name} ({call.id or 'without an id'}): {reason.text}"


def _counted(tally: _Tally) -> str:
    return f"{_number(tally.calls, 'call')} in {_number(tally.sessions, 'session')}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _place(tally: _Tally) -> str:
    return "" if tally.file is None else f" ({tally.file}:{tally.line})"


def _would(verdict: Verdict) -> str:
    return {_HOLD: "would hold", _BLOCK: "would block"}.get(verdict, verdict.label)


def _object(tally: _Tally) -> dict[str, Json]:
    return {
        "file": tally.file,
        "line": tally.line,
        "calls": tally.calls,
        "sessions": tally.sessions,
        "examples": [
            {"session": session, "call": call.id, "name": call.name, "text": reason.text}
            for session, call, reason in tally.examples
        ],
    }
