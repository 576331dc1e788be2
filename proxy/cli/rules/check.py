"""`checkrein rules check`: every mistake of rule files and of their cases files, at its place.

What belongs here: which files are checked together, and how the command ends. How problems are shown is in
`report/`, what is warned about in `proxy/policy/lint/`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from proxy.cli.admin import echo_json
from proxy.cli.options import RulePath
from proxy.cli.rules.report import text
from proxy.cli.rules.report.finding import Finding, Sources
from proxy.cli.rules.report.github import as_command
from proxy.cli.rules.report.jsonlines import as_object
from proxy.cli.rules.report.sarif import as_log
from proxy.policy.load import load_paths
from proxy.policy.problems import Problem, RuleErrors, Severity
from proxy.rehearsal.casefile import ENDING, read_case_file
from proxy.settings import packs_directory

FORMATS = ("text", "concise", "json", "github", "sarif")


@click.command("check")
@click.argument("paths", nargs=-1, type=RulePath())
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    help="text: with the place in the file; concise: a line each; json: an object a line; github: "
    "annotations of a workflow; sarif: a SARIF 2.1.0 log.",
)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
def command(*, paths: tuple[Path, ...], form: str, strict: bool) -> None:
    """Check rule files or folders, as one set, and the cases files beside them.

    Without a path all packs that came with checkrein are checked, each by itself. Exit code 1 when there is an error.
    """
    sets = [list(paths)] if paths else [[pack] for pack in _packs()]
    problems: list[Problem] = []
    files = 0
    for named in sets:
        rules = [path for path in named if not path.name.endswith(ENDING)]
        if rules:
            problems += _of_rules(rules)
        cases = _cases_of(named)
        for path in cases:
            problems += _of_cases(path)
        files += len(cases) + sum(len(_rules_in(path)) for path in rules)
    if strict:
        problems = [replace(problem, severity=Severity.ERROR) for problem in problems]
    findings = Sources().findings(problems)
    failed = any(finding.problem.severity is Severity.ERROR for finding in findings)
    _show(findings, form, files, exit_code=int(failed))
    raise SystemExit(int(failed))


def _packs() -> Iterable[Path]:
    return _rules_in(packs_directory())


def _rules_in(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.glob("*.yaml") if not p.name.endswith(ENDING))


def _cases_of(paths: Iterable[Path]) -> list[Path]:
    """Returns the cases files that stand in the folders and beside the files, each once."""
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(path.glob(f"*{ENDING}"))
        elif path.name.endswith(ENDING):
            inside = [path]
        else:
            inside = [p for p in (path.with_name(path.stem + ENDING),) if p.is_file()]
        for file in inside:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _of_rules(paths: Sequence[Path]) -> Sequence[Problem]:
    try:
        return load_paths(paths).warnings
    except RuleErrors as errors:
        return errors.problems


def _of_cases(path: Path) -> Sequence[Problem]:
    try:
        read_case_file(path)
    except RuleErrors as errors:
        return errors.problems
    return ()


def _show(findings: Sequence[Finding], form: str, files: int, *, exit_code: int) -> None:
    if form == "json":
        for finding in findings:
            echo_json(as_object(finding))
    elif form == "github":
        for finding in findings:
            click.echo(as_command(finding))
    elif form == "sarif":
        echo_json(as_log(findings, exit_code))
    else:
        colour = _takes_colour()
        if form == "concise":
            lines = text.concise_lines(findings, colour=colour)
        else:
            lines = text.text_lines(findings, colour=colour)
        for line in lines:
            click.echo(line, color=colour)
        if findings and form == "text":
            click.echo()
        click.echo(text.summary(findings, files))


def _takes_colour() -> bool:
    """Whether a person looks at a terminal that shows colours, and wants them (https://no-color.org)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty()
