"""`checkrein sessions`: who did what."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli.admin import AdminClient, echo_json, plain, quoted
from proxy.cli.options import admin_option


@click.group("sessions")
def command() -> None:
    """List and show sessions."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@admin_option
def list_(*, as_json: bool, admin: Path | None) -> None:
    """List sessions, the most recent first."""
    sessions = AdminClient(admin).get("/v1/sessions")["sessions"]
    if as_json:
        for session in sessions:
            echo_json(session)
        return
    if not sessions:
        click.echo("No session was seen yet.")
        return
    table = Table(box=None, pad_edge=False)
    columns = ("id", "agent", "trust", "calls", "held", "blocked", "last_seen")
    for column in columns:
        table.add_column(column, overflow="fold")
    for session in sessions:
        table.add_row(*(Text(plain(session[column])) for column in columns))
    Console().print(table)


@command.command("show")
@click.argument("session")
@click.option("--json", "as_json", is_flag=True)
@admin_option
def show(*, session: str, as_json: bool, admin: Path | None) -> None:
    """Show a session's budgets and effects."""
    view = AdminClient(admin).get(f"/v1/sessions/{quoted(session)}")
    if as_json:
        echo_json(view)
        return
    click.echo(plain(f"session {view['id']}   agent {view.get('agent', '?')}"))
    for budget in view["budgets"]:
        click.echo(f"budget  {budget['name']}: {budget['used']} used")
    for entry in view["entries"]:
        amount = "" if entry["amount"] is None else f" {entry['amount']} {entry['unit'] or ''}"
        what = f"{entry['kind']}{amount} on {entry['target']} [{entry['state']}]"
        click.echo(plain(f"{entry['time']} {entry['call']['name']}: {what}"))
