"""`checkrein rules test`: rules held against their cases files."""

from __future__ import annotations

import time
from pathlib import Path

import click

from proxy.cli.admin import echo_json, plain
from proxy.settings import packs_directory


@click.command("test")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="One object a case, a line each.")
@click.option("--verbose", "-v", is_flag=True, help="Show every case and what each call did.")
@click.option("--coverage", "in_full", is_flag=True, help="Name the rules that decided nothing.")
def command(*, paths: tuple[Path, ...], as_json: bool, verbose: bool, in_full: bool) -> None:
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
