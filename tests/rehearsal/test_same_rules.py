"""A log replayed under the rules that it was recorded with: every verdict comes out as it is recorded.

The logs are those of all packs' stories (holds approved and denied, chains with observed flow, evidence, signals, both
sides of one action, sub-sessions), each recorded by the real pipeline into a real decision log; and of a running proxy
in `tests/e2e/test_replayed.py`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.decisionlog import DecisionLog
from proxy.policy.load import load_paths
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.casefile import Case, read_case_file
from proxy.rehearsal.rehearsal import START_MS, Rehearsal, RehearsalError
from proxy.rehearsal.replay import Replay
from proxy.rehearsal.sessions import SessionOutcome
from proxy.rehearsal.steps import Stage
from proxy.settings import Settings, packs_directory

SETTINGS = Settings(state=Path("none"), log=Path("none"), admin=Path("none"))
FILES = sorted(packs_directory().glob("*.cases.yaml"))


def recorded(case: Case, rules: RuleSet, log: Path, *, shadow: bool) -> None:
    """Plays a case into a log, with the story's own times."""
    clock: list[Rehearsal] = []
    begun_ms = START_MS if case.at_ms is None else case.at_ms

    def now() -> datetime:
        return datetime.fromtimestamp((clock[0].now_ms if clock else begun_ms) / 1000, UTC)

    sink = DecisionLog(log, now=now)
    settings = replace(SETTINGS, shadow=shadow)
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


def replayed(log: Path, rules: tuple[Path, ...]) -> list[SessionOutcome]:
    return list(Replay((log,), rules, workers=1))


@pytest.mark.parametrize("shadow", [False, True], ids=["enforced", "shadow-run"])
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name.removesuffix(".cases.yaml"))
def test_every_verdict_of_a_packs_stories_comes_out_again(
    path: Path, shadow: bool, tmp_path: Path
) -> None:
    file = read_case_file(path)
    rules = RuleSet(load_paths(list(file.rules)))
    calls = uncertain = 0
    for n, case in enumerate(file.cases):
        log = tmp_path / f"{n}.jsonl"
        recorded(case, rules, log, shadow=shadow)
        for outcome in replayed(log, file.rules):
            for call in outcome.calls:
                calls += 1
                uncertain += bool(call.unknown)
                assert call.was == call.verdict.label, f"{case.name}: {call.name} {call.reasons}"
    assert calls > len(file.cases)
    # What a log cannot tell is named; it is the exception.
    assert uncertain * 20 <= calls
