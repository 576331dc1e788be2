"""Working hours as people write them: `Mon-Fri 08:00-18:00, Sat 10:00-14:00`, in a time zone.

What belongs here: reading such a text and telling whether a moment lies in it. A span that ends before it
begins runs over midnight and belongs to the day on which it begins; `24:00` is the end of a day. A day
has the length that the zone gives it: the clock on the wall counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_PART = re.compile(
    r"(?:([a-z]{3})(?:-([a-z]{3}))? +)?(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})", re.IGNORECASE
)
_DAY_MINUTES = 24 * 60


class HoursFault(ValueError):
    """A text that names no hours; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Spans of minutes a day of the week, Monday first."""

    text: str
    zone: tzinfo
    spans: tuple[tuple[tuple[int, int], ...], ...]

    def contain(self, at_ms: int) -> bool:
        """Whether a moment lies within the hours."""
        at = self._local(at_ms)
        minute = at.hour * 60 + at.minute
        today, yesterday = at.weekday(), (at - timedelta(days=1)).weekday()
        return any(start <= minute < end for start, end in self.spans[today]) or any(
            minute < end - _DAY_MINUTES for _, end in self.spans[yesterday]
        )

    def day(self, at_ms: int) -> date:
        """The day that a moment belongs to where the hours are kept."""
        return self._local(at_ms).date()

    def _local(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self.zone)


def read_hours(text: str, zone: str) -> Hours:
    """Reads hours.

    Raises:
        HoursFault: they cannot be read, or there is no such zone.
    """
    try:
        found = UTC if zone == "UTC" else ZoneInfo(zone)
    except (KeyError, OSError, ValueError) as error:  # no such zone, a path, no zones here at all
        raise HoursFault(
            f"zone: unknown time zone '{zone}'; write one such as Europe/Berlin or UTC"
        ) from error
    days: list[list[tuple[int, int]]] = [[] for _ in _DAYS]
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise HoursFault(f"hours: '{part.strip()}' is not such as 'Mon-Fri 08:00-18:00'")
        span = _span(match)
        for day in _listed(match):
            days[day].append(span)
    return Hours(text, found, tuple(map(tuple, days)))


def _span(match: re.Match[str]) -> tuple[int, int]:
    hours = (int(match[3]), int(match[5]))
    minutes = (int(match[4]), int(match[6]))
    start, end = (hour * 60 + minute for hour, minute in zip(hours, minutes, strict=True))
    if max(minutes) > 59 or start >= _DAY_MINUTES or end > _DAY_MINUTES or start == end:
        raise HoursFault(f"hours: '{match[3]}:{match[4]}-{match[5]}:{match[6]}' is no span of time")
    return start, end if end > start else end + _DAY_MINUTES


def _listed(match: re.Match[str]) -> list[int]:
    if match[1] is None:
        return list(range(7))
    first, last = _day(match[1]), _day(match[2] or match[1])
    return [(first + step) % 7 for step in range((last - first) % 7 + 1)]


def _day(word: str) -> int:
    try:
        return _DAYS.index(word.lower())
    except ValueError:
        raise HoursFault(
            f"hours: '{word}' is no day; write Mon, Tue, Wed, Thu, Fri, Sat, Sun"
        ) from None
