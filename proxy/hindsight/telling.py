"""What a tally comes to, in words that people can decide from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from proxy.hindsight.tally import Count, Tally

_LISTED = 20
_SHORT = 5
CAVEAT = (
    "Each call is counted as it came. Once one is held or blocked, what follows in its session would be",
    "another: `checkrein rules replay LOG --enforce --rules PATH` plays whole sessions.",
)


def lines(tally: Tally, by: str) -> Iterator[str]:
    """Yields the report."""
    yield f"{_minute(tally.since)} to {_minute(tally.until)} UTC"
    verdicts = tally.verdicts
    yield f"calls     {tally.calls:,} in {len(tally.sessions):,} sessions"
    yield (
        f"enforced  {verdicts['allow']:,} allowed, {verdicts['hold']:,} held, "
        f"{verdicts['block']:,} blocked"
    )
    yield (
        f"would     {tally.would['hold']:,} more held, {tally.would['block']:,} more blocked: "
        f"{_share(tally.more, tally.calls)} of all calls"
    )
    if ran := tally.ran_already.total():
        yield f"          besides {ran:,} that the provider ran itself: nothing stops those"
    untouched = len(tally.sessions) - len(tally.stopped_sessions)
    yield (
        f"sessions  {len(tally.stopped_sessions):,} would have been stopped, "
        f"{untouched:,} ({_share(untouched, len(tally.sessions))}) not"
    )
    busiest = tally.busiest_hour()
    if busiest is not None:
        hour, most = busiest
        yield (
            f"humans    {tally.would['hold'] / tally.days():,.1f} more holds a day; "
            f"most of them, {most:,}, in the hour from {_minute(hour)}"
        )
    if not tally.more:
        yield "Nothing would have been stopped that was not."
        return
    yield ""
    yield from _table(tally, by)
    for other in ("agent", "tool"):
        if other != by:
            yield f"by {other:<6} {_in_short(tally.ranked(other))}"
    yield ""
    yield from CAVEAT


def _table(tally: Tally, by: str) -> Iterator[str]:
    ranked = tally.ranked(by)
    for count in ranked[:_LISTED]:
        parts = [f"{count.held:,} held"] if count.held else []
        parts += [f"{count.blocked:,} blocked"] if count.blocked else []
        where = f" ({count.file}:{count.line})" if count.file is not None else ""
        told = [f"{', '.join(parts)}"]
        if by != "session":
            told.append(f"in {_many(len(count.sessions), 'session')}")
        if by == "rule":
            told.append(f"{count.alone:,} by no other rule")
        told.append(f"{_day(count.first)} to {_day(count.last)}")
        yield f"{count.id}{where}: {', '.join(told)}"
        for one in count.examples:
            yield f"    {one.session}: {one.call} ({one.id or 'without an id'}): {one.text}"
    if len(ranked) > _LISTED:
        yield f"… and {len(ranked) - _LISTED:,} more; --json lists all"


def _in_short(ranked: list[Count]) -> str:
    listed = [f"{count.id} {count.calls:,}" for count in ranked[:_SHORT]]
    more = len(ranked) - _SHORT
    return ", ".join([*listed, *([f"{more:,} more"] if more > 0 else [])])


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _day(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"
