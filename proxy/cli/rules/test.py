"""`checkrein rules test`: rules held against their cases files, once or whenever one of them changes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.admin import echo_json, plain
from proxy.cli.options import RulePath
from proxy.errors import ConfigurationError
from proxy.settings import packs_directory

if TYPE_CHECKING:
    from proxy.rehearsal.trying import FileOutcome

_LOOK_EVERY_MS = 1000


@click.command("test")
@click.argument("paths", nargs=-1, type=RulePath())
@click.option("--json", "as_json", is_flag=True, help="One object a case, a line each.")
@click.option("--verbose", "-v", is_flag=True, help="Show every case and what each call did.")
@click.option("--coverage", "in_full", is_flag=True, help="Name the rules that decided nothing.")
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write JUnit XML to this file as well.",
)
@click.option("--watch", is_flag=True, help="Run again what a changed file is about, until Ctrl-C.")
def command(
    *,
    paths: tuple[Path, ...],
    as_json: bool,
    verbose: bool,
    in_full: bool,
    junit: Path | None,
    watch: bool,
) -> None:
    """Run cases files, of folders, rule files or packs (of all packs when none is named).

    Rules in shadow are tested as if they were enforced. Exit code 1 when a case fails, 2 when one cannot be played or a
    file cannot be read.
    """
    from proxy.rehearsal.casefile import find_case_files
    from proxy.rehearsal.telling import exit_code

    run = _Run(as_json=as_json, verbose=verbose, in_full=in_full, junit=junit)
    done = run.of(find_case_files(paths or (packs_directory(),)))
    if watch:
        try:
            for changed in _changes(done):
                if sys.stdout.isatty():
                    click.clear()
                click.echo(f"--- {datetime.now().astimezone():%H:%M:%S}")
                new = {file.path: file for file in run.of(changed)}
                done[:] = [new.get(file.path, file) for file in done]
        except KeyboardInterrupt:
            click.echo()
    raise SystemExit(exit_code(done))


class _Run:
    """How outcomes are shown."""

    def __init__(self, *, as_json: bool, verbose: bool, in_full: bool, junit: Path | None) -> None:
        self._as_json = as_json
        self._verbose = verbose
        self._in_full = in_full
        self._junit = junit

    def of(self, files: Sequence[Path]) -> list[FileOutcome]:
        """Runs cases files and shows what came of them."""
        from proxy.rehearsal import telling
        from proxy.rehearsal.trying import try_files

        started_s = time.perf_counter()
        done: list[FileOutcome] = []
        for file in try_files(files):
            done.append(file)
            if self._as_json:
                for made in telling.file_objects(file, coverage=self._in_full):
                    echo_json(made)
            else:
                for line in telling.file_lines(file, verbose=self._verbose):
                    click.echo(plain(line))
        elapsed_s = time.perf_counter() - started_s
        if not self._as_json:
            for line in telling.coverage_lines(done, in_full=self._in_full):
                click.echo(plain(line))
            click.echo(telling.summary_line(done, elapsed_s))
        if self._junit is not None:
            self._write(self._junit, done, elapsed_s)
        return done

    @staticmethod
    def _write(path: Path, done: Sequence[FileOutcome], elapsed_s: float) -> None:
        from proxy.rehearsal.junit import as_junit

        try:
            path.write_bytes(as_junit(done, elapsed_s))
        except OSError as error:
            raise ConfigurationError(f"--junit {path}: {error.strerror}") from error


def _changes(done: Sequence[FileOutcome]) -> Iterator[list[Path]]:
    """Yields the cases files that a change is about: it was in them, or in a file that their rules were read from.

    What counts is what the files look like, not that a notice of a change came: an edit made before the watch began is
    seen as well.
    """
    import watchfiles

    seen: dict[Path, _Look] = {}
    while True:
        read = {path.resolve() for file in done for path in file.read}
        seen = {path: seen.get(path) or _look(path) for path in read}
        folders = sorted({path.parent for path in read if path.parent.is_dir()})
        click.echo(f"watching {len(read)} files; Ctrl-C ends")
        for _ in watchfiles.watch(
            *folders,
            recursive=False,
            debounce=200,
            rust_timeout=_LOOK_EVERY_MS,
            yield_on_timeout=True,
            raise_interrupt=True,
        ):
            looks = {path: _look(path) for path in read}
            changed = {path for path in read if looks[path] != seen[path]}
            seen = looks
            about = [f.path for f in done if any(p.resolve() in changed for p in f.read)]
            if about:
                yield about
                break


type _Look = tuple[int, int, int] | None


def _look(path: Path) -> _Look:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
