"""`checkrein log`: is the log whole?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from proxy.cli.admin import AdminClient
from proxy.cli.options import admin_option
from proxy.cli.tail import log_of_running
from proxy.errors import ConfigurationError
from proxy.logtail import verify


@click.group("log")
def command() -> None:
    """Verify the decision log."""


@command.command("verify")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--log", "log", type=click.Path(path_type=Path, exists=True), help="The log file.")
@click.option(
    "--partial", is_flag=True, help="Older files are gone: the first record may have any number."
)
@click.option("--json", "as_json", is_flag=True)
@admin_option
def verify_(
    *,
    files: tuple[Path, ...],
    log: Path | None,
    partial: bool,
    as_json: bool,
    admin: Path | None,
) -> None:
    """Check the hash chain over the log's files, oldest first; exit code 1 if it does not hold."""
    paths = list(files) or [log or log_of_running(admin)]
    written = head_of_running(admin, paths[-1])  # asked first: the log may grow meanwhile
    report = verify(paths, expect_first=None if partial else 1)
    last = report.last_seq or 0
    if last < written:
        text = f"the tail is missing: the log ends at record {last}, the proxy wrote {written}"
        report = replace(report, problems=(*report.problems, (str(paths[-1]), 0, text)))
    if as_json:
        click.echo(
            json.dumps(
                {
                    "ok": report.ok,
                    "records": report.records,
                    "first_seq": report.first_seq,
                    "last_seq": report.last_seq,
                    "problems": [
                        {"file": file, "line": line, "text": text}
                        for file, line, text in report.problems
                    ],
                }
            )
        )
    else:
        for file, line, text in report.problems:
            click.echo(f"{file}:{line}: {text}")
        if report.ok:
            click.echo(
                f"the chain holds: {report.records} records, "
                f"{report.first_seq} to {report.last_seq}, last hash {report.last_hash}"
            )
    raise SystemExit(0 if report.ok else 1)


def head_of_running(admin: Path | None, log: Path) -> int:
    """Returns how many records the running proxy wrote to this log; 0 where none writes it.

    A chain that was cut off at its end is still a chain: only its writer knows what is missing.
    """
    try:
        status = AdminClient(admin).get("/v1/status")
    except ConfigurationError:
        return 0
    return int(status["head"]["seq"]) if Path(status["log"]).resolve() == log.resolve() else 0
