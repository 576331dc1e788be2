"""`checkrein sessions`: who did what, and the switch that stops it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli.admin import AdminClient, answers_as, echo_json, plain, quoted, whoami
from proxy.cli.options import admin_option, token_option


@click.group("sessions")
def command() -> None:
    """List, show, freeze and thaw sessions."""


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
    columns = ("id", "agent", "trust", "calls", "held", "blocked", "last_seen", "frozen")
    for column in columns:
        table.add_column(column, overflow="fold")
    for session in sessions:
        shown = {**session, "frozen": "frozen" if session["frozen"] else ""}
        table.add_row(*(Text(plain(shown[column])) for column in columns))
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
    for signal in view["signals"]:
        until = f" until {signal['until']}" if signal["until"] else ""
        what = f"{', '.join(signal['do'])} ({signal['scope']}{until})"
        click.echo(plain(f"signal  {signal['name']}: {what}: {signal['why']}"))
    for budget in view["budgets"]:
        click.echo(f"budget  {budget['name']}: {budget['used']} used")
    for entry in view["entries"]:
        amount = "" if entry["amount"] is None else f" {entry['amount']} {entry['unit'] or ''}"
        what = f"{entry['kind']}{amount} on {entry['target']} [{entry['state']}]"
        click.echo(plain(f"{entry['time']} {entry['call']['name']}: {what}"))


@command.command("freeze")
@click.argument("session")
@click.option("--reason", help="Written to the log, and told to the agent.")
@admin_option
def freeze(*, session: str, reason: str | None, admin: Path | None) -> None:
    """Stop every call of a session and of its sub-sessions, at once."""
    body = {"by": whoami(), "reason": reason}
    AdminClient(admin).post(f"/v1/sessions/{quoted(session)}/freeze", body)
    click.echo(plain(f"{session} is frozen: no call of it runs until it is thawed."))


@command.command("thaw")
@click.argument("session")
@click.option("--reason", help="Written to the log.")
@token_option
@admin_option
def thaw(*, session: str, reason: str | None, admin: Path | None) -> None:
    """Let a session go on: ends its freeze, and all that signals have set in force for it."""
    body = {"by": answers_as(), "reason": reason}
    view = AdminClient(admin).post(f"/v1/sessions/{quoted(session)}/thaw", body)
    lifted = ", ".join(view["lifted"]) or "nothing was in force"
    click.echo(plain(f"{session} is thawed ({lifted})."))
    for signal in view["signals"]:
        what = f"{', '.join(signal['do'])} by {signal['name']} in {signal['scope']}"
        way = f"checkrein signals lift {shlex.quote(signal['scope'])}"
        click.echo(plain(f"still in force: {what}; `{way}` ends it."))


@command.command("undo")
@click.argument("session")
@click.option(
    "--run", is_flag=True, help="Make the calls, newest first; the first that fails ends it."
)
@click.option("--again", metavar="ID", multiple=True, help="With --run: one that was begun, too.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@token_option
@admin_option
def undo(
    *, session: str, run: bool, again: tuple[str, ...], as_json: bool, admin: Path | None
) -> None:
    """List the calls that make good what a session did, backwards; or make them."""
    from proxy.cli.undo import undo as undo_session

    undo_session(session, run=run, again=again, as_json=as_json, admin=admin)
