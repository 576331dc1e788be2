"""The moment before a call of a case: its steps are played as `rules test` plays them.

What belongs here: finding the case, the step, and of several calls in a step the one that is meant.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.errors import CheckreinError, ConfigurationError
from proxy.explain.given import Given
from proxy.explain.listening import ListeningRules
from proxy.explain.scene import HaltingRehearsal, Scene, scene_with
from proxy.model import Verdict
from proxy.rehearsal.casefile import Case, CaseFile
from proxy.rehearsal.rehearsal import Rehearsal
from proxy.rehearsal.steps import Stage, Step


def scene_of_case(
    rules: ListeningRules, file: CaseFile, name: str, step: int | None, given: Given | None
) -> Scene:
    """The moment before a call of a case.

    Args:
        rules: the rules.
        file: the cases file.
        name: the case's.
        step: which step, from 1; None: the first that is not as expected, else the last with a call.
        given: another call, to be explained after that step (by default after all).

    Raises:
        ConfigurationError: there is no such case or step, or no call in it.
    """
    case = _case(file, name)
    if step is not None and not 1 <= step <= len(case.steps):
        raise ConfigurationError(f"case '{name}' has {len(case.steps)} steps; there is no {step}")
    if given is not None:
        return _after_case(rules, file, case, step or len(case.steps), given)
    number, calls = _chosen(rules, case, step)
    rehearsal = HaltingRehearsal(rules)
    rehearsal.reset(case.at_ms)
    stage = Stage(rehearsal, case.who)
    _play(case.steps[: number - 1], stage, file)
    here = case.steps[number - 1]
    asking = rehearsal.halted(lambda: _play([here], stage, file), calls)
    if asking is None:  # a request that no route names is not judged
        raise ConfigurationError(_no_call(file, case, number))
    where = (
        f"{file.path}:{here.place[0]}:{here.place[1]}: case '{name}', step {number}: {here.title}"
    )
    return Scene(rehearsal, rules, asking, where)


def _case(file: CaseFile, name: str) -> Case:
    found = next((case for case in file.cases if case.name == name), None)
    if found is None:
        near = [case for case in file.cases if name.lower() in case.name.lower()]
        if len(near) == 1:
            return near[0]
        known = "; ".join(f"'{case.name}'" for case in (near or file.cases)[:5])
        raise ConfigurationError(f"{file.path}: no case '{name}'; there is {known}")
    return found


def _after_case(
    rules: ListeningRules, file: CaseFile, case: Case, steps: int, given: Given
) -> Scene:
    rehearsal = HaltingRehearsal(rules)
    rehearsal.reset(case.at_ms)
    stage = Stage(rehearsal, case.who)
    _play(case.steps[:steps], stage, file)
    where = f"{file.path}: case '{case.name}', after step {steps}"
    return scene_with(rehearsal, rules, stage.conversation(case.who), given, where)


def _chosen(rules: ListeningRules, case: Case, step: int | None) -> tuple[int, int]:
    """Returns which step, and how many calls of it come before the one that is meant."""
    with Rehearsal(rules) as rehearsal:
        rehearsal.reset(case.at_ms)
        stage = Stage(rehearsal, case.who)
        chosen: tuple[int, int] | None = None
        for number, here in enumerate(case.steps, 1):
            try:
                calls = here.play(stage).calls
            except CheckreinError as error:
                raise ConfigurationError(f"step {number}: {here.title}: {error}") from error
            wrong = next((i for i, (_, differences) in enumerate(calls) if differences), None)
            stopped = (i for i, (made, _) in enumerate(calls) if made.verdict > Verdict.ALLOW)
            which = wrong if wrong is not None else next(stopped, len(calls) - 1)
            if step in (None, number) and calls:
                chosen = (number, which)
            if number == step or (step is None and wrong is not None):
                break
    if chosen is None:
        at = f"step {step} of case" if step is not None else "case"
        raise ConfigurationError(f"{at} '{case.name}' makes no call")
    return chosen


def _play(steps: Iterable[Step], stage: Stage, file: CaseFile) -> None:
    for step in steps:
        try:
            step.play(stage)
        except CheckreinError as error:
            place = f"{file.path}:{step.place[0]}:{step.place[1]}"
            raise ConfigurationError(f"{place}: {step.title}: {error}") from error


def _no_call(file: CaseFile, case: Case, number: int) -> str:
    step = case.steps[number - 1]
    return f"{file.path}:{step.place[0]}:{step.place[1]}: no route names this request: it passes unjudged"
