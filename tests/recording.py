"""Cases played into a real decision log, with the story's own times."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from proxy.decisionlog import DecisionLog
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.casefile import Case
from proxy.rehearsal.rehearsal import START_MS, Rehearsal, RehearsalError
from proxy.rehearsal.steps import Stage
from proxy.settings import Settings

_SETTINGS = Settings(state=Path("none"), log=Path("none"), admin=Path("none"))


def recorded(case: Case, rules: RuleSet, log: Path, *, shadow: bool) -> None:
    """Plays a case into a log."""
    clock: list[Rehearsal] = []
    begun_ms = START_MS if case.at_ms is None else case.at_ms

    def now() -> datetime:
        return datetime.fromtimestamp((clock[0].now_ms if clock else begun_ms) / 1000, UTC)

    sink = DecisionLog(log, now=now)
    settings = replace(_SETTINGS, shadow=shadow)
    with Rehearsal(rules, sink=sink.append, settings=settings, started_at_ms=begun_ms) as played:
        clock.append(played)
        played.pipeline.start(())
        stage = Stage(played, case.who)
        try:
            for step in case.steps:
                step.play(stage)
        except RehearsalError:
            assert shadow, case.name  # there nothing is held, so that nothing can be approved
    sink.close()
