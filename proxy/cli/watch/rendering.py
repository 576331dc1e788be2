"""The screen as lines: what stands where, in any width and height.

How it works. `screen(state, …)` returns exactly as many lines as the screen has, none wider than it: a head, the body (list, one hold, or
help), then what is asked or said, and the keys. Where there is little room the body gives way first, the question last. Everything that
an agent wrote goes through `plain` and into `Text`, which reads no markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from proxy.cli import hold_words
from proxy.cli.admin import plain
from proxy.cli.watch import asking, detail, figures
from proxy.cli.watch.asking import TYPED, Question
from proxy.cli.watch.events import Hold
from proxy.cli.watch.state import Mode, State

_WIDE = 140
_KEYS = (
    "j/k move  enter detail  a approve  g grant like it  t top up  d deny  D deny+freeze  "
    "f freeze  / filter  ? help  q quit"
)
_DETAIL_KEYS = "esc back  j/k scroll  a approve  g grant  t top up  d deny  D deny+freeze  f freeze  ? help  q quit"
_HELP = (
    ("j k, arrows", "move, or scroll; page keys, home and end too"),
    ("enter, esc", "show one hold in full, go back"),
    ("a", "approve this call, once"),
    ("g", "approve it, and calls like it for the session, for an hour"),
    ("t", "approve it, and top up the budget that holds it: +500 EUR until 17:00"),
    ("d", "deny it; the agent reads the reason that you type"),
    ("D", "deny it, and freeze its session"),
    ("f", "freeze its session: no call of it runs until it is thawed"),
    ("/", "show only holds with a text in session, agent, call or reason; esc shows all"),
    ("r", "look again now; it is looked every interval anyway"),
    ("q", "quit; what waits goes on waiting"),
    ("", "Each answer is for the hold that was shown when its key was pressed."),
)


@dataclass(frozen=True, slots=True)
class Screen:
    """Lines, and how far the body can be scrolled."""

    lines: tuple[Text, ...]
    most_scroll: int = 0


def screen(state: State, now_ms: int, width: int, height: int) -> Screen:
    """Returns what is on a screen of this size."""
    width, height = max(1, width), max(1, height)
    foot = _foot(state, now_ms, width, height)
    head = [_head(state, now_ms)] if height > len(foot) + 1 else []
    room = height - len(foot) - len(head)
    body, scroll, most = _body(state, now_ms, width, room), 0, 0
    if _is_scrolled(state):
        most = max(0, len(body) - room)
        scroll = min(state.scroll, most)
    body = body[scroll : scroll + room]
    body += [Text("")] * (room - len(body))
    lines = [*head, *body, *foot][:height]
    return Screen(tuple(_cut(line, width) for line in lines), most)


def _is_scrolled(state: State) -> bool:
    return state.mode is Mode.HELP or state.detail is not None


# --- head and foot --------------------------------------------------------------------------------
def _head(state: State, now_ms: int) -> Text:
    made = Text("checkrein", "bold")
    if state.away is not None:
        return made.append("  no proxy", "bold red")
    if not state.is_loaded:
        return made
    waiting, count = len(state.holds), len(state.visible)
    made.append(f"  {waiting} hold{'' if waiting == 1 else 's'} wait{'s' if waiting == 1 else ''}")
    if state.holds:
        made.append(f", the oldest {figures.age(state.holds[0], now_ms)}")
    made.append(plain(f"  as {state.by}"), "dim")
    if state.filter and state.mode is not Mode.FILTERING:
        made.append(plain(f"  /{state.filter} ({count} shown)"), "cyan")
    return made


def _foot(state: State, now_ms: int, width: int, height: int) -> list[Text]:
    """The last lines: what is asked, or said, and the keys; at most the screen but one line."""
    room = max(1, height - 1)
    if state.question is not None and state.mode in (Mode.TYPING, Mode.CONFIRMING):
        return _question(state, state.question, now_ms, width, min(room, max(7, height // 2)))
    said: list[Text] = []
    if state.message:
        style = "bold red" if state.is_error else "bold"
        said = detail.worded(Text(plain(state.message), style), width)[: max(1, height // 3)]
    if state.mode is Mode.FILTERING:
        return [*said, _input("/", state.filter, width)][-room:]
    keys = {Mode.DETAIL: _DETAIL_KEYS, Mode.HELP: "esc back  j/k scroll"}.get(state.mode, _KEYS)
    return [*said, Text(keys, "dim")][-room:]


def _question(state: State, question: Question, now_ms: int, width: int, room: int) -> list[Text]:
    """What is asked, what was typed, then the call as far as there is room, its amounts first."""
    hold = question.hold
    ask = detail.worded(Text(plain(asking.heading(question)), "bold"), width)
    if question.verb in TYPED:
        last = [_input("> ", question.text, width), Text("enter sends  esc: no", "dim")]
        hint = asking.example(question)
        if hint and not question.text:
            last[0].append(plain(hint), "dim")
    else:
        last = [Text("y yes  any other key: no", "bold")]
    if state.message:
        last.insert(0, Text(plain(state.message), "bold red"))
    if all(one["id"] != hold["id"] for one in state.holds) and state.away is None:
        last.insert(
            0, Text("It waits no more: somebody has answered it, or it expired.", "bold red")
        )
    last = last[-room:]
    what = Text.assemble(figures.amounts(hold), "  " if figures.amounts(hold) else "")
    what.append_text(figures.risk(hold))
    what.append(plain(f"  session {hold['session']}  waits {figures.age(hold, now_ms)}"), "cyan")
    call = detail.folded(Text(plain(hold_words.call(hold))), width)
    above = [*ask, what, *call]
    fits = room - len(last)
    if len(above) > fits > 0:
        rest = len(above) - fits
        above = above[:fits]
        if fits > len(ask) + 1:
            above[-1] = Text(f"… {rest + 1} more lines of the call: esc, enter", "bold yellow")
    return [*above[: max(0, fits)], *last]


def _input(prompt: str, text: str, width: int) -> Text:
    """What was typed, its end where it is longer than the line."""
    shown = Text(plain(text))
    while shown.cell_len > max(1, width - len(prompt) - 1):
        shown = shown[1:]
    return Text.assemble((prompt, "bold"), shown, ("▏", "bold"))


# --- body -----------------------------------------------------------------------------------------
def _body(state: State, now_ms: int, width: int, room: int) -> list[Text]:
    if state.mode is Mode.HELP:
        return _help(width)
    if state.away is not None:
        text = f"{state.away} It is asked again every moment; what waits goes on waiting."
        return detail.worded(Text(plain(text), "red"), width)
    if state.detail is not None:
        return _detail(state, state.detail, now_ms, width)
    if not state.is_loaded:
        return [Text("Asking the proxy …", "dim")]
    if not state.visible:
        return [Text("Nothing waits." if not state.holds else "No hold has this text.", "dim")]
    return _list(state, now_ms, width, room)


def _help(width: int) -> list[Text]:
    made: list[Text] = []
    for keys, text in _HELP:
        for line in detail.worded(Text(text), width - 13 if width >= 40 else width):
            made.append(Text.assemble((f"{keys:<13}", "bold"), line))
            keys = ""
    return made


def _detail(state: State, hold: Hold, now_ms: int, width: int) -> list[Text]:
    made = detail.lines(hold, now_ms, width)
    if all(waiting["id"] != hold["id"] for waiting in state.holds):
        made.insert(0, Text("This hold waits no more.", "bold red"))
    return made


def _list(state: State, now_ms: int, width: int, room: int) -> list[Text]:
    """As many holds as there is room for, the selected one among them."""
    is_wide = width >= _WIDE
    has_names = is_wide and room > 3
    each = 1 if is_wide else 3
    count = max(1, (room - has_names) // each)
    visible = state.visible
    at = min(state.at, len(visible) - 1)
    first = min(max(0, at - count // 2), max(0, len(visible) - count))
    holds = visible[first : first + count]
    blocks = _rows(holds, now_ms, width) if is_wide else [_three_lines(h, now_ms) for h in holds]
    made = [blocks[0][0]] if has_names else []
    for hold, lines in zip(holds, blocks[1:] if is_wide else blocks, strict=True):
        if hold["id"] in state.sent:
            for line in lines:
                line.stylize("dim")
        if hold["id"] == state.selected:
            lines = [_selected(lines[0], width), *lines[1:]]
        made += lines
    return made


def _selected(line: Text, width: int) -> Text:
    marked = Text.assemble("> ", line[2:], style="reverse")
    marked.truncate(width, pad=True)
    return marked


_NAMES = ("age", "left", "risk", "amount", "session", "call", "why")
_MOST_WIDE = (9, 9, 30, 18, 20)  # the first columns; call and why share the rest


def _rows(holds: Sequence[Hold], now_ms: int, width: int) -> list[list[Text]]:
    """A line of columns' names, and one for each hold."""
    table = [[Text(name, "dim") for name in _NAMES]]
    table += [_cells(hold, now_ms) for hold in holds]
    sizes = [
        min(most, max(row[column].cell_len for row in table)) + 2
        for column, most in enumerate(_MOST_WIDE)
    ]
    rest = max(0, width - 2 - sum(sizes))
    sizes += [rest * 3 // 5, rest - rest * 3 // 5]
    return [
        [Text.assemble("  ", *(_fit(c, n) for c, n in zip(row, sizes, strict=True)))]
        for row in table
    ]


def _cells(hold: Hold, now_ms: int) -> list[Text]:
    return [
        Text(figures.age(hold, now_ms)),
        _left(hold, now_ms),
        _risk(hold),
        Text(figures.amounts(hold), "bold"),
        Text(plain(hold["session"]), "cyan"),
        Text(plain(hold_words.call(hold))),
        _why(hold),
    ]


def _three_lines(hold: Hold, now_ms: int) -> list[Text]:
    first = Text.assemble("  ", figures.age(hold, now_ms), "  ", _left(hold, now_ms), " left  ")
    amounts = figures.amounts(hold)
    if amounts:
        first.append(f"{amounts}  ", "bold")
    first.append_text(_risk(hold))
    first.append(plain(f"  {hold['session']}"), "cyan")
    call = Text(f"  {plain(hold_words.call(hold))}")
    return [first, call, Text.assemble("  ", _why(hold))]


def _left(hold: Hold, now_ms: int) -> Text:
    style = "bold red" if figures.is_short(hold, now_ms) else ""
    return Text(figures.left(hold, now_ms), style)


def _risk(hold: Hold) -> Text:
    """How risky, and how many have said yes where it takes several."""
    said, need = asking.consents(hold)
    risk = figures.risk(hold)
    return risk if need < 2 else Text.assemble((f"{said} of {need}", "bold"), " ", risk)


def _why(hold: Hold) -> Text:
    return Text(plain(" ".join(hold_words.reason(r) for r in hold["reasons"])), "yellow")


def _fit(cell: Text, size: int) -> Text:
    """A cell of exactly this size, its last column empty."""
    made = _cut(cell, max(0, size - 1))
    made.truncate(size, pad=True)
    return made


def _cut(line: Text, width: int) -> Text:
    made = line.copy()
    made.truncate(width, overflow="ellipsis")
    return made


def text_of(lines: Sequence[Text]) -> Text:
    """Returns lines as one text, for a terminal that is as wide as they are."""
    made = Text("\n", no_wrap=True, overflow="crop", end="").join(lines)
    made.no_wrap, made.overflow, made.end = True, "crop", ""
    return made
