"""`checkrein rules check`: every mistake of rule files, at its place."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.policy.problems import RuleErrors
from proxy.policy.ruleset import RuleSet
from proxy.settings import packs_directory


@click.command("check")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True))
def command(*, paths: tuple[Path, ...]) -> None:
    """Check rule files or folders (all packs that came with checkrein when none is named)."""
    try:
        if paths:
            problems = [str(w) for w in RuleSet.load(paths).warnings]
        else:  # packs are alternatives: each is checked by itself
            packs = sorted(packs_directory().glob("*.yaml"))
            problems = [
                str(warning)
                for pack in packs
                if not pack.name.endswith(".cases.yaml")
                for warning in RuleSet.load([pack]).warnings
            ]
    except RuleErrors as errors:
        click.echo(str(errors))
        raise SystemExit(1) from None
    for problem in problems:
        click.echo(f"warning: {problem}")
    click.echo("rules are in order")
