"""One hold in full: all that `holds show` tells, as lines of a given width.

What belongs here: what stands in which line. What decides comes first (what the call does, why it waits, which budget it would
exceed), arguments after: an agent writes them, and can make them as long as it likes. All text goes through `plain`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from proxy.cli import hold_words
from proxy.cli.admin import plain
from proxy.cli.watch import asking, figures
from proxy.cli.watch.events import Hold

_UNASKED = Console(width=80)  # `Text.wrap` wants one for other alignments than this
_LABEL = 8
_MOST_SHOWN = 50_000
_MOST_ENTRIES = 500


def lines(hold: Hold, now_ms: int, width: int) -> list[Text]:
    """Returns a hold's lines; none is wider than `width` cells."""
    made: list[Text] = []
    for label, content in _rows(hold, now_ms, width):
        made += _block(label, content, width)
    return made


def folded(text: Text | str, width: int) -> list[Text]:
    """Returns a text in pieces of at most `width` cells; no character of it is left out."""
    whole = Text(text) if isinstance(text, str) else text
    if whole.cell_len <= width:
        return [whole]
    offsets, at = [], 0
    for piece in chop_cells(whole.plain, max(2, width)):
        at += len(piece)
        offsets.append(at)
    return list(whole.divide(offsets[:-1]))


def worded(text: Text, width: int) -> list[Text]:
    """Returns a sentence in lines that end between words, where they can."""
    return list(text.wrap(_UNASKED, max(2, width), overflow="fold"))


def _rows(hold: Hold, now_ms: int, width: int) -> Iterator[tuple[str, Text]]:
    yield "hold", _head(hold, now_ms)
    yield "call", Text(plain(hold_words.name(hold)), "bold")
    who = f"{hold['session']}   agent {hold['agent']}"
    if hold.get("human"):
        who += f"   for {hold['human']}"
    yield "session", _text(who, "cyan")
    yield "risk", figures.risk(hold)
    for effect in hold["effects"]:
        yield "effect", _effect(effect)
    for reason in hold["reasons"]:
        yield "why", _text(hold_words.reason_with_place(reason), "yellow")
    for budget in hold["budgets"]:
        yield "budget", _budget(budget, width)
    said, need = asking.consents(hold)
    if need > 1 or said:
        yield "yes", _consents(hold, said, need)
    yield from _labelled("args", (Text(line) for line in _arguments(hold["call"]["args"])))
    yield "rules", _text(hold["rules"], "dim")
    yield from _labelled("so far", _timeline(hold))


def _labelled(label: str, content: Iterable[Text]) -> Iterator[tuple[str, Text]]:
    """Rows of one kind; the first has the label."""
    for line in content:
        yield label, line
        label = ""


def _head(hold: Hold, now_ms: int) -> Text:
    if hold["state"] == "pending":
        waits = f"waits {figures.age(hold, now_ms)}, {figures.left(hold, now_ms)} left"
        return _text(f"{hold['id']}  {waits}")
    by = f" by {hold['decided_by']}" if hold.get("decided_by") else ""
    why = f": {hold['reason']}" if hold.get("reason") else ""
    return _text(f"{hold['id']}  {hold['state']}{by}{why}", "bold")


def _effect(effect: Any) -> Text:
    shadow = "(in shadow) " if effect.get("mode") == "shadow" else ""
    style = "bold red" if effect["reversibility"] == "irreversible" and not shadow else ""
    made = _text(shadow + hold_words.effect(effect), style)
    if effect.get("points"):
        made.append(plain(f" {effect['points']} points"))
    return made


def _budget(budget: Any, width: int) -> Text:
    shadow = "(in shadow) " if budget.get("mode") == "shadow" else ""
    said = f"{shadow}{budget['name']} {hold_words.budget(budget)}"
    return Text.assemble(figures.bar(budget, min(30, max(6, width // 4))), " ", plain(said))


def _consents(hold: Hold, said: int, need: int) -> Text:
    names = [
        str(consent.get("by", consent)) if isinstance(consent, dict) else str(consent)
        for consent in hold.get("consents") or ()
    ]
    return _text(f"{said} of {need}{': ' if names else ''}{', '.join(names)}", "bold")


def _arguments(arguments: Any) -> list[str]:
    written = json.dumps(arguments, ensure_ascii=False, indent=2)
    more = len(written) - _MOST_SHOWN
    made = [plain(line) for line in written[:_MOST_SHOWN].split("\n")]
    if more > 0:
        made.append(f"… {more} more characters, which are not shown: see `checkrein holds show`")
    return made


def _timeline(hold: Hold) -> Iterator[Text]:
    entries = hold.get("timeline")
    if entries is None:
        yield Text("…", "dim")
        return
    if not entries:
        yield Text("nothing", "dim")
    if len(entries) > _MOST_ENTRIES:
        yield Text(f"… {len(entries) - _MOST_ENTRIES} earlier", "dim")
    for entry in entries[-_MOST_ENTRIES:]:
        yield _text(f"{str(entry['time'])[11:19]} {hold_words.entry(entry)}")


def _text(value: object, style: str = "") -> Text:
    return Text(plain(value), style)


def _block(label: str, content: Text, width: int) -> list[Text]:
    """A label, and its content beside it; below 30 columns under it."""
    beside = width >= 30
    inside = max(2, width - _LABEL) if beside else width
    pieces = folded(content, inside)
    if not beside:
        return [*([Text(label[:width], "dim")] if label else []), *pieces]
    made = []
    for piece in pieces:
        pad = " " * (_LABEL - cell_len(label))
        made.append(Text.assemble((label, "dim"), pad, piece))
        label = ""
    return made
