"""`checkrein rules replay`: what was recorded, judged again, beside what was said or what other rules say."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.admin import echo_json, plain
from proxy.cli.options import RulePath
from proxy.errors import ConfigurationError
from proxy.settings import packs_directory

if TYPE_CHECKING:
    from proxy.rehearsal.replay import Replay
    from proxy.rehearsal.replay_summary import ReplaySummary

_LOG = "log"


class _Against(RulePath):
    """Rules, or the word `log`."""

    name = "rules|log"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        return Path(_LOG) if value == _LOG else super().convert(value, param, ctx)


@click.command("replay")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE…",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@click.option(
    "--rules",
    multiple=True,
    type=RulePath(),
    help="A rule file, a folder or a pack, several times (default: the pack `default`).",
)
@click.option(
    "--against",
    multiple=True,
    type=_Against(),
    help="Other rules to compare with, or `log`: what the log says, as without it.",
)
@click.option("--json", "as_json", is_flag=True, help="One object a session, a line each.")
@click.option("--summary-json", is_flag=True, help="The summary as one object.")
@click.option("--fail-on-change", is_flag=True, help="Exit code 1 when a verdict is another one.")
@click.option(
    "--agent-field", help="The field of a line that names its agent; agents share budgets."
)
@click.option("--one-agent", is_flag=True, help="All sessions are one agent's, and share budgets.")
@click.option("--approve", is_flag=True, help="A human says yes to all that is held.")
@click.option("--enforce", is_flag=True, help="As if nothing of the rules were in shadow.")
@click.option("--workers", type=click.IntRange(1, 250), help="How many processes (default: cores).")
@click.option(
    "--progress/--no-progress",
    default=None,
    help="A bar on stderr (default: where that is a terminal).",
)
def command(
    *,
    files: tuple[Path, ...],
    rules: tuple[Path, ...],
    against: tuple[Path, ...],
    as_json: bool,
    summary_json: bool,
    fail_on_change: bool,
    agent_field: str | None,
    one_agent: bool,
    approve: bool,
    enforce: bool,
    workers: int | None,
    progress: bool | None,
) -> None:
    """Judge recorded sessions, or the calls of a decision log, again.

    Several FILEs are read as one, in this order; `.gz` and `.zst` are unpacked. Exit code 2 when a line cannot be read, or
    rules do not load.
    """
    from proxy.rehearsal.recorded import RecordingError
    from proxy.rehearsal.replay import Replay
    from proxy.rehearsal.replay_summary import ReplaySummary
    from proxy.rehearsal.sessions import Ledgers, Manner

    if as_json and summary_json:
        raise click.UsageError(
            "--json prints a line a session, --summary-json one in all: take one"
        )
    shared = one_agent or agent_field is not None
    others = None if not against or Path(_LOG) in against else against
    if others is None and len(against) > 1:
        raise click.UsageError("--against is either rules, or `log`")
    replay = Replay(
        files,
        rules or (packs_directory() / "default.yaml",),
        others,
        Manner(
            Ledgers.ONE if shared else Ledgers.EACH,
            agent_field=agent_field,
            approve=approve,
            enforced=enforce,
        ),
        workers,
    )
    summary = ReplaySummary(None if others is None else ", ".join(map(str, others)))
    is_shown = sys.stderr.isatty() if progress is None else progress
    try:
        with _bar(is_shown) as replay.told:
            _play(replay, summary, as_json=as_json)
    except RecordingError as error:
        raise ConfigurationError(str(error)) from error
    if against and others is None and replay.is_log is False:
        raise ConfigurationError(
            "--against log: recorded sessions have no verdicts to compare with"
        )
    if summary_json:
        echo_json(summary.as_json())
    elif not as_json:
        for line in summary.lines():
            click.echo(plain(line))
    elif summary.torn is not None:
        click.echo(plain(f"{summary.torn}: the last line is not finished, left out"), err=True)
    if fail_on_change and summary.calls_changed:
        raise SystemExit(1)


def _play(replay: Replay, summary: ReplaySummary, *, as_json: bool) -> None:
    for outcome in replay:
        summary.take(outcome)
        if as_json:
            echo_json(outcome.as_json())
    summary.torn = replay.torn


@contextmanager
def _bar(is_shown: bool) -> Iterator[Callable[[float], None]]:
    """Shows on stderr how far it is; nothing where nobody looks."""
    if not is_shown:
        yield lambda share: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("replay"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replay", total=1.0)
        yield lambda share: bar.update(task, completed=share)
