"""Cases files run: each case on an empty ledger, PASS, FAIL and ERROR apart.

What belongs here: loading a file's rules, playing its cases, and what came of them as values. A case ends
at its first step that is not as expected: what follows would only follow from it. FAIL is a call that was
decided otherwise; ERROR is a case that could not be played, or a file that could not be read.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from proxy.errors import CheckreinError
from proxy.model import Reason
from proxy.policy.load import Loaded, load_paths
from proxy.policy.modes import as_enforced
from proxy.policy.problems import RuleErrors
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.casefile import Case, CaseFile, read_case_file
from proxy.rehearsal.conversation import Judged
from proxy.rehearsal.coverage import Coverage, Covered
from proxy.rehearsal.rehearsal import Rehearsal
from proxy.rehearsal.steps import Stage, Step
from proxy.rehearsal.written import call_line

_MANY_CASES = 300
"""From here on a process more is sooner done; each loads the rules for itself."""
_PART_CASES = 50


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
    trace: tuple[tuple[int, str, tuple[str, ...]], ...] = ()  # line, title, what the calls did
    elapsed_s: float = 0.0


@dataclass(slots=True)
class FileOutcome:
    """What came of one file; `problems` when it, or its rules, could not be read."""

    path: Path
    cases: list[CaseOutcome] = field(default_factory=list)
    coverage: Coverage | None = None
    problems: tuple[str, ...] = ()
    read: tuple[Path, ...] = ()  # the cases file and all rule files, as far as they are known

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
            loaded = as_enforced(load_paths(list(paths)))  # the question is what rules do
            self._sets[name] = (loaded, RuleSet(loaded))
        return self._sets[name]


def try_files(paths: Iterable[Path], *, workers: int | None = None) -> Iterator[FileOutcome]:
    """Runs cases files, one after another; many cases on all cores.

    Args:
        paths: the files.
        workers: how many processes; by default one for a few cases, else as many as there are cores.
    """
    rules = Rules()
    opened = [_open(path, rules) for path in paths]
    total = sum(len(one.file.cases) for one in opened if one.file is not None)
    if workers is None:
        workers = (os.process_cpu_count() or 1) if total >= _MANY_CASES else 1
    if workers <= 1:
        for one in opened:
            yield _try_here(one)
        return
    context = multiprocessing.get_context("spawn")  # the rules hold what cannot be forked
    with ProcessPoolExecutor(workers, context) as pool:
        parts = [
            [pool.submit(_try_part, one.path, *part) for part in _parts(one)] for one in opened
        ]
        for one, futures in zip(opened, parts, strict=True):
            for future in futures:
                cases, times = future.result()
                one.outcome.cases += cases
                if one.outcome.coverage is not None:
                    one.outcome.coverage.add(times)
            yield one.outcome


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file that is read, or what is wrong with it."""

    path: Path
    outcome: FileOutcome
    file: CaseFile | None = None
    rules: RuleSet | None = None


def _open(path: Path, rules: Rules) -> _Opened:
    read: tuple[Path, ...] = (path,)
    try:
        file = read_case_file(path)
        read = (path, *file.rules)
        loaded, compiled = rules.load(file.rules)
    except RuleErrors as errors:
        return _Opened(
            path, FileOutcome(path, problems=tuple(map(str, errors.problems)), read=read)
        )
    read = tuple(dict.fromkeys((*read, *map(Path, loaded.files))))
    outcome = FileOutcome(path, coverage=Coverage(loaded, compiled), read=read)
    return _Opened(path, outcome, file, compiled)


def _try_here(one: _Opened) -> FileOutcome:
    if one.file is not None and one.rules is not None and one.outcome.coverage is not None:
        one.outcome.cases += _play(one.file.cases, one.path, one.rules, one.outcome.coverage)
    return one.outcome


def _parts(one: _Opened) -> Iterator[tuple[int, int]]:
    total = len(one.file.cases) if one.file is not None else 0
    for begin in range(0, total, _PART_CASES):
        yield begin, begin + _PART_CASES


_opened: dict[Path, tuple[CaseFile, Loaded, RuleSet]] = {}
"""What a worker process has read."""


def _try_part(path: Path, begin: int, end: int) -> tuple[list[CaseOutcome], dict[Covered, int]]:
    """Runs some of a file's cases in a worker."""
    if path not in _opened:
        file = read_case_file(path)
        _opened[path] = (file, *Rules().load(file.rules))
    file, loaded, rules = _opened[path]
    coverage = Coverage(loaded, rules)
    return _play(file.cases[begin:end], path, rules, coverage), coverage.times


def try_cases(file: CaseFile, loaded: Loaded, rules: RuleSet) -> FileOutcome:
    """Runs a file's cases under rules that are loaded."""
    coverage = Coverage(loaded, rules)
    return FileOutcome(file.path, _play(file.cases, file.path, rules, coverage), coverage)


def _play(
    cases: Sequence[Case], path: Path, rules: RuleSet, coverage: Coverage
) -> list[CaseOutcome]:
    made: list[CaseOutcome] = []
    with Rehearsal(rules) as rehearsal:
        for n, case in enumerate(cases):
            if n or case.at_ms is not None:
                rehearsal.reset(case.at_ms)
            made.append(_try_case(path, case, rehearsal, coverage))
    return made


def _try_case(path: Path, case: Case, rehearsal: Rehearsal, coverage: Coverage) -> CaseOutcome:
    started_s = time.perf_counter()
    stage = Stage(rehearsal, case.who)
    trace: list[tuple[int, str, tuple[str, ...]]] = []
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
        told = tuple(call_line(judged) for judged, _ in played.calls)
        trace.append((step.place[0], step.title, told))
        for judged, _ in played.calls:
            coverage.take(judged, rehearsal.effect_rules(judged))
        fault = _first_fault(step, number, played.calls)
        if fault is not None:
            outcome = Outcome.FAIL
            break
    coverage.take_signals(rehearsal.signals_met())
    elapsed_s = time.perf_counter() - started_s
    return CaseOutcome(path, case.name, case.place, outcome, fault, tuple(trace), elapsed_s)


def _first_fault(
    step: Step, number: int, calls: Sequence[tuple[Judged, tuple[str, ...]]]
) -> Fault | None:
    for judged, differences in calls:
        if differences:
            return Fault(step.place, number, step.title, differences, judged.reasons)
    return None
