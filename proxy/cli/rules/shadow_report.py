"""`checkrein rules report`: what enforcing would have done, out of the decision log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from proxy.cli.admin import echo_json, plain
from proxy.cli.options import admin_option
from proxy.errors import ConfigurationError, LogError


class _Moment(click.ParamType[datetime]):
    """A day or a time; without a zone it is UTC."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            made = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-11-20 or 2026-11-20T14:00:00Z")
        return made.replace(tzinfo=UTC) if made.tzinfo is None else made.astimezone(UTC)


@click.command("report")
@click.argument(
    "logs",
    metavar="[LOG]...",
    nargs=-1,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@click.option(
    "--days",
    type=click.FloatRange(0, 36_500, min_open=True),
    help="The last so many days (7 without --since).",
)
@click.option("--since", type=_Moment(), help="From this day or time on (UTC), instead of --days.")
@click.option("--until", type=_Moment(), help="Up to this day or time (default: now).")
@click.option(
    "--by",
    type=click.Choice(["rule", "session", "tool", "agent"]),
    default="rule",
    help="What is listed (default: rule).",
)
@click.option("--json", "as_json", is_flag=True, help="One object a rule (or what --by says).")
@admin_option
def command(
    *,
    logs: tuple[Path, ...],
    days: float | None,
    since: datetime | None,
    until: datetime | None,
    by: str,
    as_json: bool,
    admin: Path | None,
) -> None:
    """Report what rules in shadow would have held and blocked.

    LOG: decision logs, also .gz (default: that of the running proxy, with those it was rotated to).
    Exit code 2 when a file is no decision log.
    """
    from proxy.cli.tail import log_of_running
    from proxy.hindsight.records import Reading, decisions, with_rotated
    from proxy.hindsight.tally import Tally
    from proxy.hindsight.telling import lines

    if days is not None and since is not None:
        raise click.UsageError("--days and --since say the same; give one of them")
    end = until or datetime.now(UTC)
    try:
        start = since or end - timedelta(days=7 if days is None else days)
    except OverflowError:
        start = datetime.min.replace(tzinfo=UTC)
    if start >= end:
        raise click.UsageError(
            f"nothing is between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M}"
        )
    paths = list(logs) or with_rotated(log_of_running(admin))
    tally, reading = Tally(start, end), Reading()
    try:
        for decided in decisions(paths, reading):
            tally.take(decided)
    except LogError as error:
        raise ConfigurationError(str(error)) from error
    if reading.unread_lines:
        more = f" and {reading.unread_lines - 1:,} more" if reading.unread_lines > 1 else ""
        click.echo(plain(f"{reading.unread}{more}: no record, passed over"), err=True)
    if not tally.calls and reading.newest is not None:
        newest = f"{reading.newest.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        click.echo(
            f"No decision is within these days; the newest record is of {newest} "
            "(--days, --since and --until say which).",
            err=True,
        )
    if as_json:
        for count in tally.ranked(by):
            echo_json(count.as_json())
        return
    for line in lines(tally, by):
        click.echo(plain(line))
