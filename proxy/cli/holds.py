"""`checkrein holds`: what waits for a human, and the answers."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli import grants, hold_words
from proxy.cli.admin import AdminClient, answers_as, echo_json, plain, quoted
from proxy.cli.figures import figures
from proxy.cli.options import Duration, admin_option, token_option
from proxy.errors import ConfigurationError

_STATES = ["pending", "approved", "used", "denied", "expired", "abandoned", "superseded"]


@click.group("holds")
def command() -> None:
    """List, show, watch, approve and deny held calls."""


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
        why = " ".join(hold_words.reason(reason) for reason in hold["reasons"])
        cells = (
            hold["id"],
            hold["state"],
            hold["created_at"],
            hold["session"],
            hold_words.call(hold),
            why,
        )
        table.add_row(*(Text(plain(cell)) for cell in cells))
    Console().print(table)


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
    click.echo(plain(f"call    {hold_words.call(hold)}"))
    for reason in hold["reasons"]:
        click.echo(plain(f"why     {hold_words.reason_with_place(reason)}"))
    for budget in hold["budgets"]:
        click.echo(plain(f"budget  {budget['name']}: {hold_words.budget(budget)}"))
    for effect in hold["effects"]:
        click.echo(plain(f"effect  {hold_words.effect(effect)}"))
    for ask in hold["asks"]:
        who = " or ".join(ask["by"]) or "anybody who may answer"
        click.echo(plain(f"asks    {ask['rule']}: {ask['approvals']} of {who}"))
    for consent in hold["consents"]:
        click.echo(plain(f"yes     {consent['by']} at {consent['at']}"))
    click.echo(plain(f"rules   {hold['rules']}"))
    click.echo("so far:")
    for entry in hold["timeline"]:
        click.echo(plain(f"  {entry['time']} {hold_words.entry(entry)}"))
    if hold["state"] == "pending":
        click.echo(f"expires {hold['expires_at']}; checkrein holds approve {hold['id']}")


@command.command("watch")
@click.option("--by", default=answers_as, help="Who answers.")
@click.option(
    "--interval", "interval_s", type=Duration(), default="1s", help="How often it is looked."
)
@token_option
@admin_option
def watch(*, by: str | None, interval_s: float, admin: Path | None) -> None:
    """Show what waits, live in this terminal, and answer it with keys; `?` lists them."""
    from proxy.cli.watch import command as terminal  # termios: not on every system

    terminal.watch(admin, by, interval_s)


@command.command("approve")
@click.argument("hold_id", metavar="ID")
@click.option("--reason", help="Kept with the answer.")
@click.option("--by", default=answers_as, help="Who answers.")
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
@token_option
@admin_option
def approve(
    *,
    hold_id: str,
    reason: str | None,
    by: str | None,
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
@click.option("--by", default=answers_as, help="Who answers.")
@click.option("--freeze", is_flag=True, help="Stop the whole session with it.")
@click.option("--json", "as_json", is_flag=True)
@token_option
@admin_option
def deny(
    *,
    hold_id: str,
    reason: str | None,
    by: str | None,
    freeze: bool,
    as_json: bool,
    admin: Path | None,
) -> None:
    """Refuse the held call; the agent is told why."""
    body = {"by": by, "reason": reason, "freeze": freeze}
    _answer(admin, hold_id, "deny", body, as_json)


def _answer(
    admin: Path | None, hold_id: str, verb: str, body: dict[str, Any], as_json: bool
) -> None:
    hold = AdminClient(admin).post(f"/v1/holds/{quoted(hold_id)}/{verb}", body)
    if as_json:
        echo_json(hold)
    else:
        by = hold["decided_by"] or hold["consents"][-1]["by"]
        said = f"hold {hold['id']}: {hold['state']} by {by}"
        click.echo(plain(f"{said} — {hold_words.call(hold)}"))
        if hold["state"] == "pending":
            yes, needed = len(hold["consents"]), hold["approvals_needed"]
            click.echo(f"{yes} of {needed} people have said yes; it waits for the rest")
        if hold.get("grant"):
            grant = hold["grant"]
            click.echo(
                plain(f"grant {grant['id']}: {grants.words(grant)} until {grant['expires_at']}")
            )
            for other in hold["also"]:
                click.echo(f"hold {other}: approved with it")
