"""`checkrein signals`: what is in force, lifted, posted and frozen by hand."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli.admin import AdminClient, answers_as, echo_json, plain, whoami
from proxy.cli.options import admin_option, token_option


@click.group("signals")
def command() -> None:
    """List, lift and post signals, freeze agents."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@admin_option
def list_(*, as_json: bool, admin: Path | None) -> None:
    """List what is in force, the newest first."""
    signals = AdminClient(admin).get("/v1/signals")["signals"]
    if as_json:
        for signal in signals:
            echo_json(signal)
        return
    if not signals:
        click.echo("No signal is in force.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "scope", "do", "until", "why"):
        table.add_column(column, overflow="fold")
    for signal in signals:
        cells = (signal["name"], signal["scope"], ", ".join(signal["do"]), signal["until"] or "")
        table.add_row(*(Text(plain(cell)) for cell in (*cells, signal["why"])))
    Console().print(table)


@command.command("lift")
@click.argument("scope")
@click.option("--name", help="This signal alone; without it, all that is in force there.")
@token_option
@admin_option
def lift(*, scope: str, name: str | None, admin: Path | None) -> None:
    """End what is in force in a SCOPE: session:S, agent:A, human:H or fleet."""
    body = {"scope": scope, "name": name, "by": answers_as()}
    lifted = AdminClient(admin).post("/v1/signals/lift", body)["lifted"]
    click.echo(plain(f"lifted in {scope}: {', '.join(lifted)}"))


@command.command("freeze")
@click.argument("scope")
@click.option("--reason", help="Written to the log, and told to the agent.")
@admin_option
def freeze(*, scope: str, reason: str | None, admin: Path | None) -> None:
    """Stop every call in a SCOPE at once: agent:A, human:H, fleet or session:S."""
    body = {"scope": scope, "by": whoami(), "reason": reason}
    view = AdminClient(admin).post("/v1/signals/freeze", body)
    scope = view["scope"]
    click.echo(plain(f"{scope} is frozen until `checkrein signals lift {shlex.quote(scope)}`."))


@command.command("post")
@click.argument("name")
@click.option("--session", help="Whom it is about.")
@click.option("--agent", help="Whom it is about.")
@click.option("--human", help="Whom it is about.")
@click.option("--fleet", is_flag=True, help="It is about all agents.")
@click.option("--field", "fields", multiple=True, metavar="KEY=VALUE", help="JSON, or else text.")
@admin_option
def post(
    *,
    name: str,
    session: str | None,
    agent: str | None,
    human: str | None,
    fleet: bool,
    fields: tuple[str, ...],
    admin: Path | None,
) -> None:
    """Post the signal NAME, as a SIEM does; CHECKREIN_SIGNALS_TOKEN is sent where it is set."""
    body: dict[str, Any] = {"name": name}
    for field in fields:
        key, sign, value = field.partition("=")
        if not sign or not key or key in ("name", "session", "agent", "human", "fleet"):
            raise click.BadParameter(f"--field {field}: write KEY=VALUE")
        body[key] = _value(value)
    stated = {"session": session, "agent": agent, "human": human, "fleet": fleet or None}
    body |= {key: value for key, value in stated.items() if value is not None}
    answer = AdminClient(admin, token=os.environ.get("CHECKREIN_SIGNALS_TOKEN")).post(
        "/v1/signals", body
    )
    if not answer["in_force"]:
        click.echo("Noted; no rule acts on it.")
    for signal in answer["in_force"]:
        until = f" until {signal['until']}" if signal["until"] else ""
        click.echo(
            plain(f"{signal['name']}: {', '.join(signal['do'])} in {signal['scope']}{until}")
        )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
