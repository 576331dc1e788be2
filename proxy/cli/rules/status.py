"""`checkrein rules status`: the rules of a running proxy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from proxy.cli.admin import AdminClient, echo_json, plain
from proxy.cli.options import admin_option


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@admin_option
def command(*, as_json: bool, admin: Path | None) -> None:
    """Show which rules are in force, since when, and what became of the last edit.

    Exit code 1 when the files say something that could not be taken over.
    """
    rules = AdminClient(admin).get("/v1/rules")
    if as_json:
        echo_json(rules)
    else:
        show(rules)
    raise SystemExit(0 if rules["rejected"] is None else 1)


def show(rules: dict[str, Any]) -> None:
    """Prints what the admin side tells of the rules."""
    click.echo(plain(f"rules {rules['rules']} in force since {rules['since']}"))
    for file in rules["files"]:
        click.echo(plain(f"  {file}"))
    rejected = rules["rejected"]
    if rejected is None:
        return
    click.echo(f"an edit was not taken over at {rejected['at']}:")
    for problem in rejected["problems"]:
        click.echo(plain(f"  {problem}"))
    more = rejected["count"] - len(rejected["problems"])
    if more:
        click.echo(f"  and {more} more; `checkrein rules check` shows all")
