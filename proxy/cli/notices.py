"""`checkrein notices`: whether those who are to be told can be, and what they have not been told yet."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli.admin import AdminClient, echo_json, plain
from proxy.cli.options import admin_option


@click.group("notices")
def command() -> None:
    """Test notices and webhooks, and see what waits to be sent."""


@command.command("test")
@click.option(
    "--people",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Those of this file, sent from here; without it, those of the running proxy.",
)
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@admin_option
def test(*, people: Path | None, as_json: bool, admin: Path | None) -> None:
    """Send a test to each notice and webhook."""
    tried = _here(people) if people is not None else AdminClient(admin).post("/v1/notices/test", {})
    for one in tried["tried"]:
        if as_json:
            echo_json(one)
        else:
            click.echo(plain(f"{one['id']}: {one['error'] or 'sent'}"))
    if not tried["tried"] and not as_json:
        click.echo("Nobody is told of anything: there are no 'notices' and no 'webhooks'.")
    if any(one["error"] for one in tried["tried"]):
        sys.exit(1)


def _here(people: Path) -> dict[str, Any]:
    import asyncio

    from proxy.notices.reading import notices_in
    from proxy.notices.trying import try_all
    from proxy.pipeline.core import wall_clock_ms

    notices = notices_in(people, os.environ)
    tried = asyncio.run(try_all(notices, wall_clock_ms()))
    return {"tried": [{"id": who, "error": fault} for who, fault in tried]}


@command.command("outbox")
@click.option(
    "--all", "everything", is_flag=True, help="What was sent, or needed no more sending, too."
)
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@admin_option
def outbox(*, everything: bool, as_json: bool, admin: Path | None) -> None:
    """List what waits to be sent, and what was given up."""
    states = ["waiting", "failed", *(("sent", "dropped") if everything else ())]
    rows = AdminClient(admin).get("/v1/outbox", state=states)["outbox"]
    if as_json:
        for row in rows:
            echo_json(row)
        return
    if not rows:
        click.echo("Nothing waits to be sent.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("to", "event", "state", "since", "again", "attempts", "error"):
        table.add_column(column, overflow="fold")
    for row in rows:
        cells = (
            row["to"],
            row["event"],
            row["state"],
            row["created_at"],
            row["next_at"] or "",
            str(row["attempts"]),
            row["error"] or "",
        )
        table.add_row(*(Text(plain(cell)) for cell in cells))
    Console().print(table)
