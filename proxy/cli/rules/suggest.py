"""`checkrein rules suggest`: entries and budgets proposed from a decision log, as a rule file in shadow."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from proxy.cli.admin import echo_json, plain
from proxy.cli.options import RulePath
from proxy.errors import ConfigurationError
from proxy.settings import packs_directory


class _Share(click.ParamType[Decimal]):
    """A share from 0 to 1."""

    name = "share"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        try:
            made = Decimal(str(value))
        except InvalidOperation:
            made = Decimal(-1)
        if not made.is_finite() or not 0 <= made < 1:
            self.fail(
                f"{value!r} is no share of sessions; write for example 0.02 for 2 %", param, ctx
            )
        return made


@click.command("suggest")
@click.argument(
    "logs",
    nargs=-1,
    required=True,
    metavar="LOG…",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@click.option(
    "--rules",
    multiple=True,
    type=RulePath(),
    help="The rules that are there: a file, a folder or a pack, several times (default: the pack `default`).",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="One object a proposal, a line each.")
@click.option(
    "--touch",
    type=_Share(),
    default="0.02",
    show_default=True,
    help="The share of sessions that a proposed budget may touch.",
)
@click.option("--workers", type=click.IntRange(1, 250), help="How many processes (default: cores).")
def command(
    *,
    logs: tuple[Path, ...],
    rules: tuple[Path, ...],
    out: Path | None,
    force: bool,
    as_json: bool,
    touch: Decimal,
    workers: int | None,
) -> None:
    """Propose entries for tools that no rule names, and budgets from what sessions came to.

    LOG: decision logs, oldest first, also .gz and .zst, best recorded in shadow. The file is in shadow: read it, correct it, load it
    beside your rules. Nothing is switched on. Exit code 2 when a file is no decision log.
    """
    from proxy.rehearsal.recorded import RecordingError
    from proxy.suggest.suggesting import Suggesting
    from proxy.suggest.telling import summary

    if out is not None and out.exists() and not force:
        raise ConfigurationError(
            f"rules suggest: {out} is there already; name another one with --out, or write over it with --force"
        )
    known = rules or (packs_directory() / "default.yaml",)
    try:
        made = Suggesting(logs, known, touch, workers).suggest()
    except RecordingError as error:
        raise ConfigurationError(str(error)) from error
    if as_json:
        for proposal in made.as_json():
            echo_json(proposal)
    if made.text is not None and out is not None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(made.text, encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"rules suggest: {out}: cannot be written: {error.strerror}"
            ) from error
    elif made.text is not None and not as_json:
        click.echo(made.text, nl=False)
    for line in summary(made, out):
        click.echo(plain(line), err=True)
