"""Cases files: rules' own tests, beside the rules that they are about.

What belongs here: finding the files and reading one, with the place of every mistake. The steps
themselves are in `steps.py`, how they are written in `step_reading.py`, how a file is run in `trying.py`; docs/rules-testing.md has the format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.policy.packs import Library
from proxy.policy.problems import Problem, RuleErrors, did_you_mean
from proxy.policy.yamlnodes import read_yaml
from proxy.rehearsal.part import Part
from proxy.rehearsal.step_reading import STEPS, read_who
from proxy.rehearsal.steps import Step, Who

ENDING = ".cases.yaml"


@dataclass(frozen=True, slots=True)
class Case:
    """One story and what is expected in it."""

    name: str
    place: tuple[int, int]
    who: Who
    at_ms: int | None  # where the clock begins
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class CaseFile:
    """One file of cases."""

    path: Path
    rules: tuple[Path, ...]
    cases: tuple[Case, ...]


def find_case_files(paths: Iterable[Path]) -> list[Path]:
    """Returns the cases files that paths stand for: a folder's, a rule file's, or the file itself.

    Raises:
        ConfigurationError: a path stands for none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(path.glob(f"*{ENDING}"))
            if not inside:
                raise ConfigurationError(f"{path}: no *{ENDING} in this folder")
            found.update(dict.fromkeys(inside))
        elif path.name.endswith(ENDING):
            found[path] = None
        else:
            beside = path.with_name(path.stem + ENDING)
            if not beside.is_file():
                raise ConfigurationError(f"{path}: it has no cases file ({beside.name}) beside it")
            found[beside] = None
    return list(found)


def read_case_file(path: Path) -> CaseFile:
    """Reads one file.

    Raises:
        RuleErrors: with every mistake found.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        problem = Problem(str(path), 1, 1, f"not UTF-8: byte {error.start + 1}")
        raise RuleErrors([problem]) from error
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise RuleErrors([Problem(str(path), 1, 1, f"cannot be read: {what}")]) from error
    return read_cases(path, text)


def read_cases(path: Path, text: str) -> CaseFile:
    """Reads a file's text; `path` is where it stands, for its rules and for messages.

    Raises:
        RuleErrors: with every mistake found.
    """
    document = read_yaml(str(path), text)
    if document.value is None:
        raise RuleErrors(document.problems or [Problem(str(path), 1, 1, "the file is empty")])
    top = Part(document, (), "a cases file")
    if top.is_mapping and (type(top.take("version")) is not int or top.take("version") != 1):
        top.fault("version", "this version reads 'version: 1'")
    named = top.texts("rules")
    rules = [found for name in named if (found := _rule_file(top, path, name))] or [_beside(path)]
    cases: list[Case] = []
    if top.has("cases"):
        cases = [_case(part) for part in top.parts("cases", "case")]
    elif top.is_mapping:
        top.fault(None, "the key 'cases' is missing")
    top.end()
    _unique(cases, top)
    if document.problems:
        raise RuleErrors(document.problems)
    return CaseFile(path, tuple(rules), tuple(cases))


def _rule_file(top: Part, path: Path, name: str) -> Path | None:
    """Returns the file that `rules` names: one with an ending is relative, a bare name is a pack's."""
    if "/" in name or name.endswith(".yaml"):
        return path.parent / name
    try:
        return Library().path_of(name, path)
    except LookupError as error:
        top.fault("rules", str(error))
        return None


def _beside(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(ENDING) + ".yaml")


def _case(part: Part) -> Case:
    name = part.need_text("name")
    if name:
        part.what = f"case '{name}'"
    steps: list[Step] = []
    if part.has("steps"):
        for inner in part.parts("steps", f"{part.what}: step"):
            step = _step(inner)
            if step is not None:
                steps.append(step)
    else:
        part.fault(None, "the key 'steps' is missing")
    made = Case(name, part.place, read_who(part), part.moment_ms("at"), tuple(steps))
    part.end()
    return made


def _step(part: Part) -> Step | None:
    key = next((key for key in STEPS if key in part.value), None)
    if "call" in part.value or "http" in part.value:
        key = "call" if "call" in part.value else "http"  # a `result` in it is its own
    if key is None:
        if part.is_mapping:
            stated = next(iter(part.value), "")
            known = ", ".join(STEPS)
            part.fault(None, f"expected one of the keys {known}{did_you_mean(stated, STEPS)}")
        return None
    step = STEPS[key](part)
    part.end()
    return step


def _unique(cases: Sequence[Case], top: Part) -> None:
    first: dict[str, int] = {}
    for i, case in enumerate(cases):
        if case.name and case.name in first:
            line = cases[first[case.name]].place[0]
            path = ("cases", i, "name")
            text = f"the name '{case.name}' is taken by the case in line {line}"
            top.document.problems.append(top.document.problem(path, text))
        first.setdefault(case.name, i)
