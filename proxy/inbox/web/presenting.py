"""Holds as people read them: one line, how old, how risky; all as plain text, which the templates escape.

What belongs here: wording. An agent wrote most of what is shown; control characters, and those that turn a line's direction around, are spelt out.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from proxy.approval import Approver, check_may_answer, needed
from proxy.canonical import number_text
from proxy.errors import HoldError
from proxy.inbox.views import shown
from proxy.model import Effect, Hold, Json, Reason, Reversibility

_LINE = 160
_RANK = {Reversibility.IRREVERSIBLE: 2, Reversibility.COMPENSABLE: 1, Reversibility.REVERSIBLE: 0}
_RISKS = ("can be undone", "can be made good", "cannot be undone")


@dataclass(frozen=True, slots=True)
class Risk:
    """How much a call can do; `level` is 0, 1 or 2."""

    level: int
    words: str
    amounts: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the inbox."""

    hold: Hold
    call: str
    age: str
    left: str
    risk: Risk
    why: str
    mine: bool  # whoever looks may answer it
    who: str  # who may, where that is said
    yes: str  # "1 of 2", where several people have to
    alike: tuple[Row, ...] = ()


def plain(text: object) -> str:
    """Returns a text in which nothing is hidden."""
    return "".join(c if _is_plain(c) else f"\\u{ord(c):04x}" for c in str(text))


def lines(text: object) -> str:
    """The same, with line breaks as they are."""
    return "\n".join(map(plain, str(text).split("\n")))


def _is_plain(char: str) -> bool:
    return char.isprintable() and unicodedata.category(char) not in ("Cf", "Cc", "Zl", "Zp", "Co")


def short(text: object, most: int = _LINE) -> str:
    made = plain(text)
    return made if len(made) <= most else f"{made[: most - 1]}…"


def span(ms: int) -> str:
    """Returns "3 min", "2 h 5 min", "12 s"."""
    seconds = max(0, ms) // 1000
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h"


def clock(at_ms: int | None) -> str:
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def amount_of(effect: Effect) -> str:
    if effect.amount is None:
        return ""
    return plain(f"{number_text(effect.amount)} {effect.unit or ''}".strip())


def call_line(hold: Hold, most: int = _LINE) -> str:
    """Returns "server: tool(a=1, b='x')"."""
    name = f"{hold.namespace}: {hold.name}" if hold.namespace else hold.name
    arguments = hold.arguments
    if isinstance(arguments, dict):
        told = ", ".join(f"{key}={_compact(value)}" for key, value in arguments.items())
    else:
        told = _compact(arguments)
    return short(f"{name}({told})", most)


def pretty(value: Json) -> str:
    """Returns arguments as indented JSON."""
    return lines(json.dumps(shown(value), indent=2, ensure_ascii=False, default=str))


def _compact(value: Json) -> str:
    return json.dumps(shown(value), ensure_ascii=False, default=str)


def risk_of(hold: Hold) -> Risk:
    level = max((_RANK[e.reversibility] for e in hold.effects), default=0)
    words = _RISKS[level] if hold.effects else "blast radius unclear"
    amounts = ", ".join(filter(None, (amount_of(e) for e in hold.effects)))
    return Risk(level if hold.effects else 1, words, amounts)


def why_of(hold: Hold) -> str:
    said = [reason.text for reason in hold.reasons if not reason.shadow]
    return short(" ".join(said), 240)


def place_of(reason: Reason) -> str:
    return place(reason.file, reason.line) if reason.file else ""


def place(file: str, line: int | None = None) -> str:
    """Returns a rule file's name with its folder's: enough to find it, and it fits on a line."""
    made = "/".join(Path(file).parts[-2:])
    return plain(made if line is None else f"{made}:{line}")


def row_of(hold: Hold, person: Approver, now_ms: int) -> Row:
    """Returns a hold as one line for a person."""
    try:
        check_may_answer(person, hold, now_ms)
        mine, who = True, ""
    except HoldError as error:
        mine, who = False, str(error)
    several = needed(hold) > 1
    mine = mine and all(consent.by != person.name for consent in hold.consents)
    return Row(
        hold,
        call_line(hold),
        span(now_ms - hold.created_at_ms),
        span(hold.expires_at_ms - now_ms),
        risk_of(hold),
        why_of(hold),
        mine,
        plain(who),
        f"{len(hold.consents)} of {needed(hold)}" if several else "",
    )


def grouped(rows: list[Row]) -> list[Row]:
    """Returns rows with those that are alike (agent, tool, rules) under the first of them."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        hold = row.hold
        rules = tuple(sorted({r.rule for r in hold.reasons if not r.shadow}))
        groups.setdefault(
            (row.mine, hold.agent, hold.name, hold.namespace, hold.side, rules), []
        ).append(row)
    made = [replace(first, alike=tuple(rest)) for first, *rest in groups.values()]
    return sorted(made, key=lambda row: not row.mine)


def limit_text(amount: Decimal, unit: str | None) -> str:
    return f"{number_text(amount)} {unit}" if unit else number_text(amount)
