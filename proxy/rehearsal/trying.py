"""Cases files run: each case on an empty ledger, PASS, FAIL and ERROR apart.

What belongs here: loading a file's rules, playing its cases, and what came of them as values. A case ends
at its first step that is not as expected: what follows would only follow from it. FAIL is a call that was
decided otherwise; ERROR is a case that could not be played, or a file that could not be read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from proxy.errors import CheckreinError
from proxy.model import Reason
from proxy.policy.load import Loaded, load_paths
from proxy.policy.problems import RuleErrors
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.casefile import Case, CaseFile, read_case_file
from proxy.rehearsal.coverage import Coverage
from proxy.rehearsal.rehearsal import Judged, Rehearsal
from proxy.rehearsal.steps import Stage, Step


class Outcome(StrEnum):
    PASS = "pass"  # noqa: S105 - a word, no password
    FAIL = "fail"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a case went another way, and how."""

    place: tuple[int, int]
    step: int  # from one
    title: str
    texts: tuple[str, ...]
    reasons: tuple[Reason, ...] = ()  # of the decision that was not expected


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """What came of one case."""

    path: Path
    name: str
    place: tuple[int, int]
    outcome: Outcome
    fault: Fault | None = None
    trace: tuple[tuple[int, str, tuple[Judged, ...]], ...] = ()  # line, title, calls
    elapsed_s: float = 0.0


@dataclass(slots=True)
class FileOutcome:
    """What came of one file; `problems` when it, or its rules, could not be read."""

    path: Path
    cases: list[CaseOutcome] = field(default_factory=list)
    coverage: Coverage | None = None
    problems: tuple[str, ...] = ()

    def count(self, outcome: Outcome) -> int:
        return sum(case.outcome is outcome for case in self.cases)


class Rules:
    """Rule sets by their files, loaded once."""

    def __init__(self) -> None:
        self._sets: dict[tuple[Path, ...], tuple[Loaded, RuleSet]] = {}

    def load(self, paths: Sequence[Path]) -> tuple[Loaded, RuleSet]:
        """Raises RuleErrors: with every mistake of every file."""
        name = tuple(path.resolve() for path in paths)
        if name not in self._sets:
            loaded = load_paths(list(paths))
            self._sets[name] = (loaded, RuleSet(loaded))
        return self._sets[name]


def try_files(paths: Iterable[Path]) -> Iterator[FileOutcome]:
    """Runs cases files, one after another."""
    rules = Rules()
    for path in paths:
        yield try_file(path, rules)


def try_file(path: Path, rules: Rules | None = None) -> FileOutcome:
    """Runs one cases file."""
    rules = rules or Rules()
    try:
        file = read_case_file(path)
        loaded, compiled = rules.load(file.rules)
    except RuleErrors as errors:
        return FileOutcome(path, problems=tuple(map(str, errors.problems)))
    return try_cases(file, loaded, compiled)


def try_cases(file: CaseFile, loaded: Loaded, rules: RuleSet) -> FileOutcome:
    """Runs a file's cases under rules that are loaded."""
    made = FileOutcome(file.path, coverage=Coverage(loaded, rules))
    with Rehearsal(rules) as rehearsal:
        for n, case in enumerate(file.cases):
            if n or case.at_ms is not None:
                rehearsal.reset(case.at_ms)
            made.cases.append(_try_case(file, case, rehearsal, made.coverage))
    return made


def _try_case(
    file: CaseFile, case: Case, rehearsal: Rehearsal, coverage: Coverage | None
) -> CaseOutcome:
    started_s = time.perf_counter()
    stage = Stage(rehearsal, case.who)
    trace: list[tuple[int, str, tuple[Judged, ...]]] = []
    outcome, fault = Outcome.PASS, None
    for number, step in enumerate(case.steps, 1):
        try:
            played = step.play(stage)
        except CheckreinError as error:
            outcome, fault = Outcome.ERROR, Fault(step.place, number, step.title, (str(error),))
            break
        except Exception as error:  # noqa: BLE001 - told with its place; the other cases are run
            texts = (f"{type(error).__name__}: {error}",)
            outcome, fault = Outcome.ERROR, Fault(step.place, number, step.title, texts)
            break
        trace.append((step.place[0], step.title, tuple(judged for judged, _ in played.calls)))
        for judged, _ in played.calls:
            if coverage is not None:
                coverage.take(judged)
        fault = _first_fault(step, number, played.calls)
        if fault is not None:
            outcome = Outcome.FAIL
            break
    if coverage is not None:
        coverage.take_signals(rehearsal.signals_met())
    elapsed_s = time.perf_counter() - started_s
    return CaseOutcome(file.path, case.name, case.place, outcome, fault, tuple(trace), elapsed_s)


def _first_fault(
    step: Step, number: int, calls: Sequence[tuple[Judged, tuple[str, ...]]]
) -> Fault | None:
    for judged, differences in calls:
        if differences:
            return Fault(step.place, number, step.title, differences, judged.reasons)
    return None
