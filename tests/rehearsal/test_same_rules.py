"""A log replayed under the rules that it was recorded with: every verdict comes out as it is recorded.

The logs are those of all packs' stories (holds approved and denied, chains with observed flow, evidence, signals, both
sides of one action, sub-sessions), each recorded by the real pipeline into a real decision log; and of a running proxy
by `tests/e2e/scenarios/conftest.py`, after each of its tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.policy.load import load_paths
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.casefile import read_case_file
from proxy.rehearsal.replay import Replay
from proxy.rehearsal.sessions import SessionOutcome
from proxy.settings import packs_directory
from tests.recording import recorded

FILES = sorted(packs_directory().glob("*.cases.yaml"))


def replayed(log: Path, rules: tuple[Path, ...]) -> list[SessionOutcome]:
    return list(Replay((log,), rules, workers=1))


SETTINGS = (
    "support-desk",
    "ci-cd",
    "incident-remediation",
    "research-assistant",
    "secrets-rotation",
)
RUNS = [
    *(
        pytest.param(path, False, id=f"{path.stem.removesuffix('.cases')}-enforced")
        for path in FILES
    ),
    *(
        pytest.param(path, True, id=f"{path.stem.removesuffix('.cases')}-shadow-run")
        for path in FILES
        if path.stem.removesuffix(".cases") in SETTINGS
    ),
]


@pytest.mark.parametrize(("path", "shadow"), RUNS)
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
