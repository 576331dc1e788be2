"""`checkrein rules replay`: what was recorded, judged again."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.cli.admin import echo_json, plain
from proxy.errors import ConfigurationError
from proxy.settings import packs_directory


@click.command("replay")
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
def command(
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
