"""`checkrein holds`: what waits for a human, and the answers."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli import grants
from proxy.cli.admin import AdminClient, echo_json, plain, quoted, whoami
from proxy.cli.figures import figures
from proxy.cli.options import Duration, admin_option
from proxy.errors import ConfigurationError

_STATES = ["pending", "approved", "used", "denied", "expired", "abandoned"]


@click.group("holds")
def command() -> None:
    """List, show, approve and deny held calls."""


command.add_command(figures)


@command.command("list")
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True)
@click.option("--all", "everything", is_flag=True, help="Holds that have ended, too.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@admin_option
def list_(*, states: tuple[str, ...], everything: bool, as_json: bool, admin: Path | None) -> None:
    """List holds that wait (or, with --all, every one)."""
    wanted = [] if everything else list(states or ("pending", "approved"))
    holds = AdminClient(admin).get("/v1/holds", state=wanted)["holds"]
    if as_json:
        for hold in holds:
            echo_json(hold)
        return
    if not holds:
        click.echo("Nothing waits.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "state", "since", "session", "call", "why"):
        table.add_column(column, overflow="fold", no_wrap=column == "id")  # to be copied
    for hold in holds:
        why = " ".join(_told(reason) for reason in hold["reasons"])
        cells = (
            hold["id"],
            hold["state"],
            hold["created_at"],
            hold["session"],
            _call(hold),
            why,
        )
        table.add_row(*(Text(plain(cell)) for cell in cells))
    Console().print(table)


def _told(reason: dict[str, Any]) -> str:
    """A reason's text; one of a rule in shadow holds nothing, and says so."""
    if reason.get("mode") == "shadow":
        return f"(in shadow, would {reason['verdict']}) {reason['text']}"
    return str(reason["text"])


@command.command("show")
@click.argument("hold_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True)
@admin_option
def show(*, hold_id: str, as_json: bool, admin: Path | None) -> None:
    """Show one hold: the call, why it waits, the budgets, what the session did so far."""
    hold = AdminClient(admin).get(f"/v1/holds/{quoted(hold_id)}")
    if as_json:
        echo_json(hold)
        return
    click.echo(f"hold {hold['id']}  {hold['state']}  since {hold['created_at']}")
    click.echo(plain(f"session {hold['session']}   agent {hold['agent']}"))
    click.echo(f"call    {_call(hold)}")
    for reason in hold["reasons"]:
        at = f"  ({reason['file']}:{reason['line']})" if reason["file"] else ""
        click.echo(plain(f"why     {reason['rule']}: {_told(reason)}{at}"))
    for budget in hold["budgets"]:
        unit = f" {budget['unit']}" if budget["unit"] else ""
        line = f"{budget['before']} -> {budget['after']} of {budget['limit']}{unit}"
        click.echo(f"budget  {budget['name']}: {line}")
    for effect in hold["effects"]:
        amount = "" if effect["amount"] is None else f" {effect['amount']} {effect['unit'] or ''}"
        what = f"{effect['kind']}{amount} on {effect['target']} ({effect['reversibility']})"
        click.echo(plain(f"effect  {what}"))
    click.echo(plain(f"rules   {hold['rules']}"))
    click.echo("so far:")
    for entry in hold["timeline"]:
        amount = "" if entry["amount"] is None else f" {entry['amount']} {entry['unit'] or ''}"
        what = f"{entry['kind']}{amount} on {entry['target']} [{entry['state']}]"
        click.echo(plain(f"  {entry['time']} {entry['call']['name']}: {what}"))
    if hold["state"] == "pending":
        click.echo(f"expires {hold['expires_at']}; checkrein holds approve {hold['id']}")


@command.command("approve")
@click.argument("hold_id", metavar="ID")
@click.option("--reason", help="Kept with the answer.")
@click.option("--by", default=whoami, help="Who answers.")
@click.option("--like", is_flag=True, help="Calls like it as well: same tool, same target.")
@click.option("--any-target", is_flag=True, help="With --like: whatever their target.")
@click.option("--up-to", metavar="AMOUNT", help="With --like: at most so much, such as 100.")
@click.option("--session", "for_session", is_flag=True, help="This tool for the whole session.")
@click.option(
    "--agent", "for_agent", is_flag=True, help="With --like: in all of the agent's sessions."
)
@click.option("--top-up", metavar="TEXT", help="More of a budget: 'refunds +500 EUR until 17:00'.")
@click.option(
    "--for", "lasts_s", type=Duration(), help="How long a grant lasts (default: 1h, at most 7d)."
)
@click.option("--json", "as_json", is_flag=True)
@admin_option
def approve(
    *,
    hold_id: str,
    reason: str | None,
    by: str,
    like: bool,
    any_target: bool,
    up_to: str | None,
    for_session: bool,
    for_agent: bool,
    top_up: str | None,
    lasts_s: float | None,
    as_json: bool,
    admin: Path | None,
) -> None:
    """Let the held call pass, once; with a grant, calls like it or more of a budget, for a while."""
    if sum((like, for_session, top_up is not None)) > 1:
        raise ConfigurationError("--like, --session and --top-up do not go together: name one")
    if (any_target or up_to is not None or for_agent) and not like:
        raise ConfigurationError("--any-target, --up-to and --agent go with --like")
    now = datetime.now().astimezone()
    grant: dict[str, Any] | None = None
    if top_up is not None:
        grant = grants.top_up(top_up, now)
    elif for_session:
        grant = {"target": "any"}
    elif like:
        grant = {
            "target": "any" if any_target else "same",
            "per": "agent" if for_agent else "session",
        }
        if up_to is not None:
            grant["amount"] = grants.amount(up_to)
    if lasts_s is not None:
        if grant is None:
            raise ConfigurationError(
                "--for is how long a grant lasts: with --like, --session or --top-up"
            )
        grant.setdefault("expires_at_ms", grants.ends_at_ms(lasts_s, now))
    _answer(admin, hold_id, "approve", {"by": by, "reason": reason, "grant": grant}, as_json)


@command.command("deny")
@click.argument("hold_id", metavar="ID")
@click.option("--reason", help="The agent reads it.")
@click.option("--by", default=whoami, help="Who answers.")
@click.option("--json", "as_json", is_flag=True)
@admin_option
def deny(*, hold_id: str, reason: str | None, by: str, as_json: bool, admin: Path | None) -> None:
    """Refuse the held call; the agent is told why."""
    _answer(admin, hold_id, "deny", {"by": by, "reason": reason}, as_json)


def _answer(
    admin: Path | None, hold_id: str, verb: str, body: dict[str, Any], as_json: bool
) -> None:
    hold = AdminClient(admin).post(f"/v1/holds/{quoted(hold_id)}/{verb}", body)
    if as_json:
        echo_json(hold)
    else:
        click.echo(f"hold {hold['id']}: {hold['state']} by {hold['decided_by']} — {_call(hold)}")
        if hold.get("grant"):
            grant = hold["grant"]
            click.echo(
                plain(f"grant {grant['id']}: {grants.words(grant)} until {grant['expires_at']}")
            )
            for other in hold["also"]:
                click.echo(f"hold {other}: approved with it")


def _call(hold: dict[str, Any]) -> str:
    call = hold["call"]
    name = f"{call['namespace']}: {call['name']}" if call.get("namespace") else call["name"]
    arguments = call["args"]
    if isinstance(arguments, dict):
        shown = ", ".join(f"{k}={v!r}" for k, v in arguments.items())
        return plain(f"{name}({shown})")
    return plain(f"{name}({arguments!r})")
