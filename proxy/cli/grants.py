"""`checkrein grants`: what humans have allowed beyond one call; and how an approver writes it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli.admin import AdminClient, answers_as, echo_json, plain, quoted
from proxy.cli.options import Duration, admin_option, token_option
from proxy.errors import ConfigurationError

_TOP_UP = re.compile(
    r"(?P<budget>\S+)\s+\+\s*(?P<extra>[0-9]+(?:\.[0-9]+)?)(?:\s*(?P<unit>[A-Za-z][\w.]*))?"
    r"(?:\s+(?:until\s+(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})|for\s+(?P<span>[0-9.]+(?:ms|s|m|h|d))))?"
)
_AMOUNT = re.compile(r"(?P<amount>[0-9]+(?:\.[0-9]+)?)(?:\s*[A-Za-z][\w.]*)?")


def top_up(text: str, now: datetime) -> dict[str, Any]:
    """Reads `refunds +500 EUR until 17:00`, or `… for 2h`; `until` is today, or tomorrow where that is past.

    Raises:
        ConfigurationError: it is not written so.
    """
    found = _TOP_UP.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(
            f"--top-up {text!r}: write 'BUDGET +500 EUR until 17:00', or '… for 2h'"
        )
    made: dict[str, Any] = {"budget": found["budget"], "extra": found["extra"]}
    if found["unit"] and found["unit"] not in ("until", "for"):
        made["unit"] = found["unit"]
    if found["hour"] is not None:
        hour, minute = int(found["hour"]), int(found["minute"])
        if hour > 23 or minute > 59:
            raise ConfigurationError(
                f"--top-up {text!r}: there is no {found['hour']}:{found['minute']}"
            )
        until = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if until <= now:
            until += timedelta(days=1)
        made["expires_at_ms"] = int(until.timestamp() * 1000)
    elif found["span"] is not None:
        made["expires_at_ms"] = ends_at_ms(Duration().convert(found["span"], None, None), now)
    return made


def ends_at_ms(lasts_s: float, now: datetime) -> int:
    return int((now.timestamp() + lasts_s) * 1000)


def amount(text: str) -> str:
    """Reads `100`, or `100 EUR`; the unit is that of the held call.

    Raises:
        ConfigurationError: it is no amount.
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f"--up-to {text!r} is no amount, such as 100 or '100 EUR'")
    return found["amount"]


def words(grant: dict[str, Any]) -> str:
    """Returns a grant in words."""
    if grant["kind"] == "top-up":
        unit = f" {grant['unit']}" if grant["unit"] else ""
        return f"{grant['budget']} +{grant['extra']}{unit} for {grant['scope']}"
    target = f" on {grant['target']}" if grant["target"] is not None else " on any target"
    most = f" up to {grant['amount']} {grant['unit'] or ''}".rstrip() if grant["amount"] else ""
    at = f"{grant['namespace']}: " if grant["namespace"] else ""
    return f"{at}{grant['tool']}{target}{most} for {grant['scope']}"


@click.group("grants")
def command() -> None:
    """List what humans have allowed beyond one call, and take it back."""


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Grants that have ended, too.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@admin_option
def list_(*, everything: bool, as_json: bool, admin: Path | None) -> None:
    """List grants, the newest first."""
    found = AdminClient(admin).get("/v1/grants")["grants"]
    found = [grant for grant in found if everything or grant["state"] == "in-force"]
    if as_json:
        for grant in found:
            echo_json(grant)
        return
    if not found:
        click.echo("Nothing is granted.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "state", "what", "until", "uses", "by"):
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for grant in found:
        cells = (
            grant["id"],
            grant["state"],
            words(grant),
            grant["expires_at"],
            str(grant["uses"]),
            grant["by"],
        )
        table.add_row(*(Text(plain(cell)) for cell in cells))
    Console().print(table)


@command.command("revoke")
@click.argument("grant_id", metavar="ID")
@click.option("--by", default=answers_as, help="Who takes it back.")
@token_option
@admin_option
def revoke(*, grant_id: str, by: str | None, admin: Path | None) -> None:
    """Take a grant back, at once; an id may be shortened."""
    grant = AdminClient(admin).post(f"/v1/grants/{quoted(grant_id)}/revoke", {"by": by})
    click.echo(plain(f"grant {grant['id']}: revoked by {grant['revoked_by']} — {words(grant)}"))
