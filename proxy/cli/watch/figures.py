"""Small figures of a hold: how old, how long it still has, how much, how risky, how full a budget is.

What belongs here: one value in, a few words or a bar out; nothing knows how large the screen is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.text import Text

from proxy.cli import hold_words
from proxy.cli.admin import plain
from proxy.cli.watch.events import Hold

_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def span(ms: int) -> str:
    """Returns a time as its two largest units: `3m 12s`."""
    left = max(0, ms) // 1000
    for at, (seconds, unit) in enumerate(_UNITS):
        if left >= seconds and unit != "s":
            below, smaller = _UNITS[at + 1]
            return f"{left // seconds}{unit} {left % seconds // below}{smaller}"
    return f"{left}s"


def at_ms(time: str) -> int:
    """Returns an RFC 3339 time in milliseconds."""
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def age(hold: Hold, now_ms: int) -> str:
    return span(now_ms - at_ms(hold["created_at"]))


def left(hold: Hold, now_ms: int) -> str:
    """Returns how long a hold can still be answered."""
    ms = at_ms(hold["expires_at"]) - now_ms
    return span(ms) if ms > 0 else "over"


def is_short(hold: Hold, now_ms: int) -> bool:
    """Whether less than a minute is left."""
    return at_ms(hold["expires_at"]) - now_ms < 60_000


def enforced(hold: Hold) -> list[Mapping[str, Any]]:
    """Returns a call's effects, irreversible ones first, without those that rules in shadow alone know of."""
    order = {"irreversible": 0, "compensable": 1}
    found = [effect for effect in hold["effects"] if effect.get("mode") != "shadow"]
    return sorted(found, key=lambda effect: order.get(effect["reversibility"], 2))


def amounts(hold: Hold) -> str:
    """Returns how much a call is about, an amount for each effect that has one."""
    found = [hold_words.amount(effect) for effect in enforced(hold)]
    return plain(", ".join(dict.fromkeys(amount for amount in found if amount)))


def risk(hold: Hold) -> Text:
    """Returns how bad a call may be: what cannot be undone first, then its points."""
    effects = enforced(hold)
    if not effects:
        return Text("no effect known", "yellow")
    worst = str(effects[0]["reversibility"])
    count = sum(effect["reversibility"] == worst for effect in effects)
    style = {"irreversible": "bold red", "compensable": "yellow"}.get(worst, "green")
    said = Text(plain(worst if count == 1 else f"{count} {worst}"), style)
    points = [Decimal(str(effect.get("points") or 0)) for effect in effects]
    if any(points):
        said.append(f", {_total(points)} points", "bold")
    return said


def bar(budget: Mapping[str, Any], width: int) -> Text:
    """Returns a budget as a bar: what was used, what this call adds, where the limit is."""
    before, after, limit = (
        max(Decimal(0), Decimal(str(budget[name]))) for name in ("before", "after", "limit")
    )
    most = max(after, limit, before)
    used, reached, allowed = (_cells(value, most, width) for value in (before, after, limit))
    made = Text()
    for cell in range(width):
        char, style = ("░", "dim")
        if cell < used:
            char, style = "█", "cyan"
        elif cell < reached:
            char, style = "▒", "yellow" if cell < allowed else "bold red"
        if cell == allowed and after > limit:
            char, style = "│", "bold red"
        made.append(char, style)
    return made


def _cells(value: Decimal, most: Decimal, width: int) -> int:
    if not most:
        return 0
    try:
        return round(float(value / most) * width)
    except ArithmeticError:  # 1e99999999 is a Decimal
        return width


def _total(points: list[Decimal]) -> str:
    try:
        total = sum(points, Decimal(0))
    except ArithmeticError:
        return "very many"
    return f"{total.normalize():f}" if total < 10**12 else str(total)
