"""`checkrein holds figures`: how much is asked of people, and how long their answers take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli.admin import AdminClient, echo_json, plain
from proxy.cli.options import admin_option


@click.command("figures")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@admin_option
def figures(*, as_json: bool, admin: Path | None) -> None:
    """Holds per 100 calls and the median time to an answer, in the last 24 hours and 7 days."""
    desk = AdminClient(admin).get("/v1/desk")
    if as_json:
        echo_json(
            {
                "id": "now",
                "pending": desk["pending"],
                "oldest_pending_s": desk["oldest_pending_s"],
            }
        )
        for line in desk["figures"]:
            echo_json(line)
        return
    oldest = desk["oldest_pending_s"]
    since = f", the oldest for {_span(oldest)}" if oldest is not None else ""
    click.echo(f"{desk['pending']} waiting{since}")
    table = Table(box=None, pad_edge=False)
    for column in ("window", "of", "calls", "holds", "per 100 calls", "answered", "median"):
        table.add_column(column, overflow="fold")
    for line in desk["figures"]:
        table.add_row(*(Text(plain(cell)) for cell in _cells(line)))
    Console().print(table)


def _cells(line: dict[str, Any]) -> tuple[str, ...]:
    of = "all"
    if line["rule"] is not None:
        of = f"rule {line['rule']}"
    elif line["agent"] is not None:
        of = f"agent {line['agent']}"
    rate, took = line["holds_per_100_calls"], line["median_answer_s"]
    return (
        line["window"],
        of,
        str(line["calls"]),
        str(line["holds"]),
        "" if rate is None else str(rate),
        str(line["answered"]),
        "" if took is None else _span(took),
    )


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
