"""Outcomes of cases as people and programs read them: lines of text, JSON objects.

What belongs here: the words only; `cli/rules/test.py` prints them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proxy.model import Json
from proxy.rehearsal.coverage import Coverage
from proxy.rehearsal.trying import CaseOutcome, FileOutcome, Outcome
from proxy.rehearsal.written import reason_line


def file_lines(file: FileOutcome, *, verbose: bool) -> Iterator[str]:
    """Yields what a person reads of one file; without `verbose` only what went wrong."""
    for problem in file.problems:
        yield f"ERROR {problem}"
    for case in file.cases:
        if case.outcome is Outcome.PASS and not verbose:
            continue
        line, col = case.place
        yield f"{case.outcome.value.upper():5} {case.path}:{line}:{col}: {case.name}"
        if verbose:
            for at, title, calls in case.trace:
                yield f"        {at}: {title}"
                yield from (f"            {call}" for call in calls)
        yield from fault_lines(case)


def fault_lines(case: CaseOutcome) -> Iterator[str]:
    """Yields where a case went another way, and how; nothing where it did not."""
    fault = case.fault
    if fault is None:
        return
    line, col = fault.place
    yield f"      {case.path}:{line}:{col}: step {fault.step}: {fault.title}"
    yield from (f"        {text}" for text in fault.texts)
    for reason in fault.reasons:
        yield f"        because {reason_line(reason)}"


def summary_line(files: Sequence[FileOutcome], elapsed_s: float) -> str:
    """Returns the last line: how many cases went how."""
    passed, failed = (sum(f.count(o) for f in files) for o in (Outcome.PASS, Outcome.FAIL))
    errors = sum(f.count(Outcome.ERROR) for f in files)
    broken = sum(bool(f.problems) for f in files)
    text = f"{passed + failed + errors} cases: {passed} passed, {failed} failed, {errors} errors"
    more = f"; {broken} files could not be read" if broken else ""
    return f"{text}{more} in {elapsed_s:.2f} s"


def coverage_lines(files: Sequence[FileOutcome], *, in_full: bool) -> Iterator[str]:
    """Yields how much of each file's rules has decided something, and in full what never did."""
    for file in files:
        if file.coverage is None:
            continue
        yield f"coverage {file.path}: {_shares(file.coverage)}"
        if in_full:
            for entry in file.coverage.never:
                yield f"  never: {entry.file}:{entry.line}: {entry.section[:-1]} '{entry.name}'"


def _shares(coverage: Coverage) -> str:
    parts = [f"{met}/{total} {name}" for name, (met, total) in coverage.summary.items()]
    return ", ".join(parts) or "no rules"


def case_object(case: CaseOutcome) -> dict[str, Json]:
    """Returns a case's outcome as `--json` prints it."""
    fault = case.fault
    return {
        "id": f"{case.path}:{case.name}",
        "outcome": case.outcome.value,
        "case": case.name,
        "file": str(case.path),
        "line": case.place[0],
        "elapsed_ms": round(case.elapsed_s * 1000, 2),
        "fault": None
        if fault is None
        else {
            "file": str(case.path),
            "line": fault.place[0],
            "col": fault.place[1],
            "step": fault.step,
            "title": fault.title,
            "differences": list(fault.texts),
            "reasons": [
                {"rule": r.rule, "verdict": r.verdict.label, "text": r.text} for r in fault.reasons
            ],
        },
    }


def file_objects(file: FileOutcome, *, coverage: bool) -> Iterator[dict[str, Json]]:
    """Yields a file's lines of `--json`."""
    for problem in file.problems:
        yield {"id": str(file.path), "outcome": "error", "file": str(file.path), "problem": problem}
    yield from map(case_object, file.cases)
    if coverage and file.coverage is not None:
        yield {
            "id": f"{file.path}:coverage",
            "outcome": "coverage",
            "file": str(file.path),
            "covered": {n: {"met": m, "of": t} for n, (m, t) in file.coverage.summary.items()},
            "never": [
                {"section": e.section, "name": e.name, "file": e.file, "line": e.line}
                for e in file.coverage.never
            ],
        }


def exit_code(files: Sequence[FileOutcome]) -> int:
    """Returns 0 when all passed, 1 when a case failed, 2 when one could not be played or read."""
    if any(file.problems or file.count(Outcome.ERROR) for file in files):
        return 2
    return 1 if any(file.count(Outcome.FAIL) for file in files) else 0
