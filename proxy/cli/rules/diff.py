"""`checkrein rules diff`: what became stricter between two sets of rules, and what looser."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.cli.admin import echo_json, plain
from proxy.cli.options import RulePath

_DIRECTIONS = ("stricter", "looser", "unsure")


@click.command("diff")
@click.argument("old", type=RulePath())
@click.argument("new", type=RulePath())
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(_DIRECTIONS),
    help="Exit code 1 where a change goes this way; several times. For CI, `looser` and `unsure`.",
)
def command(*, old: Path, new: Path, as_json: bool, fail_on: tuple[str, ...]) -> None:
    """Say in words what is stricter in NEW than in OLD, and what looser.

    OLD and NEW are rule files, folders or packs. A change is called stricter or looser only where that follows from the rules,
    for every call; else `rules replay LOG --rules NEW --against OLD` tells.
    """
    from proxy.policy.diff import telling
    from proxy.policy.diff.comparing import compare
    from proxy.policy.load import load_paths

    changes = compare(load_paths([old]), load_paths([new]))
    if as_json:
        echo_json(telling.as_object(changes))
    else:
        for line in telling.lines(changes):
            click.echo(plain(line))
    raise SystemExit(int(any(str(change.direction) in fail_on for change in changes)))
