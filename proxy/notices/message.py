"""What a person reads: a title and a body, as plain text and as Markdown.

What belongs here: the words, and how a stranger's words are put among them. Names, targets and reasons may be an agent's choice, and a
message lands where a click is near: each is shown on one line, cut, with what chat programs and mail readers would make a link, a mention
or a format of replaced by a character that looks like it (a wide `@`, a dot that is no full stop). In Markdown they stand in code spans
besides. A message is bounded; what finds no room is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

from proxy.approval import answering, needed
from proxy.canonical import number_text
from proxy.model import Hold, Reversibility
from proxy.redact import redact_text

MOST_CHARS = 1_800
"""Of a body: below what Discord takes (2000), and Telegram (4096)."""

_LOOKALIKES = str.maketrans(
    {"<": "\u2039", ">": "\u203a", "`": "'", '"': "'", "@": "\uff20", "\\": "\u2216"}
)
_SLASH, _LEADER = "\u2215", "\u2024"  # they look like a slash and a full stop
_DOT = re.compile(r"(?<=\w)\.(?=[^\W\d_])")
_MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Message:
    title: str
    text: str
    markdown: str


@dataclass(frozen=True, slots=True)
class Group:
    """Holds that are alike: one line of a message."""

    holds: tuple[Hold, ...]  # at least one, oldest first
    waiting: int  # how many like them wait in all
    approved: int = 0  # how many like them were approved of late
    offers_grant: bool = False
    escalated: bool = False
    link: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Said:
    """A stranger's words; in plain text those with a space stand in quotes, so that they end where they end."""

    text: str

    @property
    def quoted(self) -> str:
        return f'"{self.text}"' if " " in self.text or not self.text else self.text


@dataclass(frozen=True, slots=True)
class _Command:
    """What can be typed."""

    text: str


@dataclass(frozen=True, slots=True)
class _Link:
    label: str
    url: str


type _Part = str | _Said | _Command | _Link


def shown(value: str, most: int = 80) -> str:
    """Returns a stranger's text for a message: one line, cut, and nothing that becomes a link or a mention."""
    text = "".join(c if c.isprintable() else _escaped(c) for c in redact_text(value))
    text = text.translate(_LOOKALIKES).replace("://", f":{_SLASH}{_SLASH}")
    text = _DOT.sub(_LEADER, text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def compose(groups: Sequence[Group], now_ms: int, zone: tzinfo = UTC) -> Message:
    """Returns the message that tells of these groups."""
    count = sum(len(group.holds) for group in groups)
    calls = "1 call waits" if count == 1 else f"{count} calls wait"
    late = "Nobody has answered: " if any(group.escalated for group in groups) else ""
    name = f": {_Said(shown(groups[0].holds[0].name, 60)).quoted}" if len(groups) == 1 else ""
    texts: list[str] = []
    marked: list[str] = []
    told = 0
    for group in groups:
        lead, *rest = _lines(group, now_ms, zone)
        text = "\n".join([_as_text(lead), *(f"  {_as_text(line)}" for line in rest)])
        mark = "\n".join([_as_markdown(lead), "", *(f"- {_as_markdown(line)}" for line in rest)])
        if texts and len("\n\n".join((*marked, mark))) > MOST_CHARS - 120:
            break
        texts.append(text)
        marked.append(mark)
        told += len(group.holds)
    if told < count:
        texts.append(f"and {count - told} more: checkrein holds list")
        marked.append(f"and {count - told} more: `checkrein holds list`")
    title = f"{late}{calls} for an answer{name}"
    return Message(title, "\n\n".join(texts), "\n\n".join(marked))


def trial(name: str) -> Message:
    """Returns what `checkrein notices test` sends."""
    text = f"This is a test of the notice {name}. Held calls will be told of here."
    return Message("checkrein: a test", text, text)


def _lines(group: Group, now_ms: int, zone: tzinfo) -> list[tuple[_Part, ...]]:
    first = group.holds[0]
    lines = [_lead(group), _whose(group.holds)]
    targets = _targets(group.holds)
    if targets:
        lines.append(("on ", *_listed(targets)))
    lines += [
        ("why: ", _Said(shown(r.rule)), ": ", _Said(shown(r.text, 160)))
        for r in first.reasons[:_MOST_NAMES]
        if not r.shadow
    ]
    lines.append(_answerers(first, now_ms))
    lines.append((f"until {_clock(min(h.expires_at_ms for h in group.holds), zone)}",))
    if group.link is not None:
        lines.append((_Link("look and answer", group.link),))
    else:
        lines.append(("look and answer: ", _Command(f"checkrein holds show {first.id}")))
    if group.offers_grant:
        told = f"{group.waiting} wait" if group.waiting > 1 else "1 waits"
        if group.approved:
            told = f"{told}, {group.approved} were approved in the last hour"
        lines.append((f"or answer all like it ({told}): ", _Command(_grant_command(group.holds))))
    return lines


def _lead(group: Group) -> tuple[_Part, ...]:
    first = group.holds[0]
    name = first.name if first.namespace is None else f"{first.namespace}: {first.name}"
    parts: list[_Part] = []
    if group.escalated:
        parts.append("unanswered: ")
    if len(group.holds) > 1:
        parts.append(f"{len(group.holds)} x ")
    parts.append(_Said(shown(name)))
    parts += _amounts(group.holds)
    if any(e.reversibility is Reversibility.IRREVERSIBLE for h in group.holds for e in h.effects):
        parts.append(", cannot be undone")
    return tuple(parts)


def _whose(holds: Sequence[Hold]) -> tuple[_Part, ...]:
    parts: list[_Part] = ["agent ", _Said(shown(holds[0].agent))]
    humans = _distinct(hold.human for hold in holds)
    if humans:
        parts += [", for ", *_listed(humans)]
    sessions = _distinct(hold.session for hold in holds)
    parts += [", session " if len(sessions) == 1 else ", sessions ", *_listed(sessions)]
    return tuple(parts)


def _answerers(hold: Hold, now_ms: int) -> tuple[_Part, ...]:
    names = _distinct(n for ask in hold.asks for n in answering(ask, hold.created_at_ms, now_ms))
    parts: list[_Part] = ["may answer: ", *(_listed(names) if names else ("whoever may answer",))]
    if needed(hold) > 1:
        parts.append(f"; {len(hold.consents)} of {needed(hold)} people have said yes")
    return tuple(parts)


def _amounts(holds: Sequence[Hold]) -> list[_Part]:
    """Returns ", 45 EUR each", ", 10 to 45 EUR, 80 EUR in all"; nothing where they have no amount in one unit."""
    effects = [effect for hold in holds for effect in hold.effects if effect.amount is not None]
    amounts = [effect.amount for effect in effects if effect.amount is not None]
    if not amounts or len({effect.unit for effect in effects}) != 1:
        return []
    unit: list[_Part] = [" ", _Said(shown(effects[0].unit, 20))] if effects[0].unit else []
    least, most = min(amounts), max(amounts)
    if least == most:
        each = " each" if len(amounts) > 1 else ""
        return [f", {number_text(most)}", *unit, each]
    total = number_text(sum(amounts, Decimal(0)))
    return [f", {number_text(least)} to {number_text(most)}", *unit, f", {total}", *unit, " in all"]


def _grant_command(holds: Sequence[Hold]) -> str:
    """Returns the line that approves a hold, and the calls like it that these are."""
    first = holds[0]
    words = ["checkrein holds approve", first.id, "--like"]
    effects = [effect for hold in holds for effect in hold.effects]
    targets = {effect.target for effect in effects}
    if effects and (len(targets) > 1 or None in targets):
        words.append("--any-target")
    amounts = [effect.amount for effect in effects if effect.amount is not None]
    if len(amounts) == len(effects) > 0 and len({effect.unit for effect in effects}) == 1:
        words += ["--up-to", number_text(max(amounts))]
    return " ".join(words)


def _targets(holds: Sequence[Hold]) -> list[str]:
    return _distinct(effect.target for hold in holds for effect in hold.effects)


def _distinct(values: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))


def _listed(values: Sequence[str]) -> list[_Part]:
    parts: list[_Part] = []
    for value in values[:_MOST_NAMES]:
        parts += [", ", _Said(shown(value, 60))]
    if len(values) > _MOST_NAMES:
        parts.append(f" and {len(values) - _MOST_NAMES} more")
    return parts[1:]


def _clock(at_ms: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone):%Y-%m-%d %H:%M %Z}"


def _escaped(char: str) -> str:
    return " " if char.isspace() else char.encode("unicode_escape").decode()


def _as_text(line: Sequence[_Part]) -> str:
    made: list[str] = []
    for part in line:
        if isinstance(part, _Said):
            made.append(part.quoted)
        elif isinstance(part, _Command):
            made.append(part.text)
        elif isinstance(part, _Link):
            made.append(f"{part.label}: {part.url}")
        else:
            made.append(part)
    return "".join(made)


def _as_markdown(line: Sequence[_Part]) -> str:
    made: list[str] = []
    for part in line:
        if isinstance(part, _Said | _Command):
            made.append(f"`{part.text or ' '}`")
        elif isinstance(part, _Link):
            made.append(f"[{part.label}]({part.url})")
        else:
            made.append(part)
    return "".join(made)
