"""`checkrein rules reload`: a running proxy looks at its rule files now."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.cli.admin import AdminClient, echo_json
from proxy.cli.options import admin_option, token_option
from proxy.cli.rules.status import show


@click.command("reload")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@token_option
@admin_option
def command(*, as_json: bool, admin: Path | None) -> None:
    """Have a running proxy look at its rule files now, and wait for the outcome.

    It does so by itself when a file changes. Exit code 1 when the files cannot be taken over.
    """
    rules = AdminClient(admin).post("/v1/rules/reload", {})
    if as_json:
        echo_json(rules)
    else:
        said = {
            "same": "nothing has changed",
            "reloaded": "reloaded",
            "rejected": "not taken over; what was in force stays",
        }
        click.echo(said[rules["outcome"]])
        show(rules)
    raise SystemExit(0 if rules["rejected"] is None else 1)
