"""`checkrein rules`: check rule files, test them by their cases, replay what was recorded."""

from __future__ import annotations

import time
from pathlib import Path

import click

from proxy.cli.admin import echo_json, plain
from proxy.errors import ConfigurationError
from proxy.policy.problems import RuleErrors
from proxy.policy.ruleset import RuleSet
from proxy.settings import packs_directory


@click.group("rules")
def command() -> None:
    """Check, test and replay rule files."""


@command.command("check")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True))
def check(*, paths: tuple[Path, ...]) -> None:
    """Check rule files or folders (all packs that came with checkrein when none is named)."""
    try:
        if paths:
            problems = [str(w) for w in RuleSet.load(paths).warnings]
        else:  # packs are alternatives: each is checked by itself
            packs = sorted(packs_directory().glob("*.yaml"))
            problems = [
                str(warning)
                for pack in packs
                if not pack.name.endswith(".cases.yaml")
                for warning in RuleSet.load([pack]).warnings
            ]
    except RuleErrors as errors:
        click.echo(str(errors))
        raise SystemExit(1) from None
    for problem in problems:
        click.echo(f"warning: {problem}")
    click.echo("rules are in order")


@command.command("test")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="One object a case, a line each.")
@click.option("--verbose", "-v", is_flag=True, help="Show every case and what each call did.")
@click.option("--coverage", "in_full", is_flag=True, help="Name the rules that decided nothing.")
def test(*, paths: tuple[Path, ...], as_json: bool, verbose: bool, in_full: bool) -> None:
    """Run cases files, of folders or rule files (of all packs when none is named).

    Exit code 1 when a case fails, 2 when one cannot be played or a file cannot be read.
    """
    from proxy.rehearsal import telling, trying
    from proxy.rehearsal.casefile import find_case_files

    started_s = time.perf_counter()
    done: list[trying.FileOutcome] = []
    for file in trying.try_files(find_case_files(paths or (packs_directory(),))):
        done.append(file)
        if as_json:
            for made in telling.file_objects(file, coverage=in_full):
                echo_json(made)
        else:
            for line in telling.file_lines(file, verbose=verbose):
                click.echo(plain(line))
    if not as_json:
        for line in telling.coverage_lines(done, in_full=in_full):
            click.echo(plain(line))
        click.echo(telling.summary_line(done, time.perf_counter() - started_s))
    raise SystemExit(telling.exit_code(done))


@command.command("replay")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--rules",
    "rules",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="A rule file or a folder, several times (default: the pack `default`).",
)
@click.option("--json", "as_json", is_flag=True, help="One object a session, a line each.")
@click.option(
    "--agent-field", help="The field of a line that names its agent; agents share budgets."
)
@click.option("--one-agent", is_flag=True, help="All sessions are one agent's, and share budgets.")
@click.option("--approve", is_flag=True, help="A human says yes to all that is held.")
@click.option("--workers", type=click.IntRange(1, 256), help="How many processes (default: cores).")
def replay(
    *,
    file: Path,
    rules: tuple[Path, ...],
    as_json: bool,
    agent_field: str | None,
    one_agent: bool,
    approve: bool,
    workers: int | None,
) -> None:
    """Judge recorded sessions, or the calls of a decision log, again.

    Exit code 2 when a line cannot be read, or the rules do not load.
    """
    from proxy.rehearsal.recorded import RecordingError
    from proxy.rehearsal.replay import replay_file
    from proxy.rehearsal.replay_summary import ReplaySummary
    from proxy.rehearsal.sessions import Ledgers, Manner

    shared = one_agent or agent_field is not None
    manner = Manner(
        Ledgers.ONE if shared else Ledgers.EACH, agent_field=agent_field, approve=approve
    )
    paths = rules or (packs_directory() / "default.yaml",)
    summary = ReplaySummary()
    try:
        for outcome in replay_file(file, paths, manner, workers=workers):
            summary.take(outcome)
            if as_json:
                echo_json(outcome.as_json())
    except RecordingError as error:
        raise ConfigurationError(str(error)) from error
    if not as_json:
        for line in summary.lines():
            click.echo(plain(line))
