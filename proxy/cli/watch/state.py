"""The state of the screen as a value, and what keys and news make of it.

How it works. `step(state, event, now)` returns the next state and a command, or None. The hold that is selected is kept by its id.
News never selects another: where the selected hold has ended, none is selected until a key chooses one, so that a key
that is on its way answers nothing that was not shown. After one's own answer the next hold is selected, at that key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from proxy.cli import hold_words
from proxy.cli.watch import asking
from proxy.cli.watch.asking import TYPED, Question, Verb
from proxy.cli.watch.events import (
    Answer,
    Answered,
    Approve,
    Away,
    Command,
    Deny,
    Event,
    Hold,
    Key,
    Listed,
    Quit,
    Refresh,
    Refused,
)
from proxy.errors import ConfigurationError

_MOST_TYPED = 1000
_PAGE = 10


class Mode(StrEnum):
    """What the keys mean."""

    LIST = "list"
    DETAIL = "detail"
    TYPING = "typing"
    CONFIRMING = "confirming"
    FILTERING = "filtering"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class State:
    """All that the screen shows."""

    by: str = "operator"
    holds: tuple[Hold, ...] = ()  # that wait, oldest first
    is_loaded: bool = False
    selected: str | None = None  # an id; its hold may have ended
    at: int = 0  # where it stood in the list
    mode: Mode = Mode.LIST
    under: Mode = Mode.LIST  # to go back to
    question: Question | None = None
    detail: Hold | None = None  # shown in full, with its timeline once that is known
    scroll: int = 0  # lines, of the detail or the help
    filter: str = ""
    sent: frozenset[str] = frozenset()  # holds whose answer is on its way
    message: str = ""
    is_error: bool = False
    away: str | None = None  # why the proxy does not say what waits

    @property
    def visible(self) -> tuple[Hold, ...]:
        """The holds that the filter leaves."""
        if not self.filter:
            return self.holds
        wanted = self.filter.casefold()
        return tuple(hold for hold in self.holds if wanted in _searched(hold))

    @property
    def target(self) -> Hold | None:
        """The hold that a key answers."""
        among = self.holds if self.mode is Mode.DETAIL else self.visible
        return next((hold for hold in among if hold["id"] == self.selected), None)

    @property
    def shown(self) -> str | None:
        """The id of the hold that is shown in full."""
        return None if self.detail is None else str(self.detail["id"])


type Step = tuple[State, Command | None]


def step(state: State, event: Event, now: datetime) -> Step:
    """Returns what an event makes of the screen, and what is to be done.

    Args:
        now: the operator's time, with their zone: `until 17:00` is read in it.
    """
    match event:
        case Key():
            unsaid = replace(state, message="", is_error=False)
            made, command = _KEYS[state.mode](unsaid, event, now)
            if made == unsaid and command is None:
                return state, None  # a key that does nothing: what was said stays
            return made, command
        case Listed(holds, shown):
            return _listed(state, holds, shown), None
        case Answered(answer):
            state = _arrived(state, answer)
            if isinstance(answer, Approve | Deny) and event.view["state"] != "pending":
                over = {answer.id, *(event.view.get("also") or ())}
                state = replace(state, holds=tuple(h for h in state.holds if h["id"] not in over))
            return replace(state, message=asking.told(event), is_error=False), Refresh(state.shown)
        case Refused(answer, text):
            state = _arrived(state, answer)
            if isinstance(answer, Approve | Deny) and state.selected is None:
                state = _select(state, answer.id)
            return replace(state, message=text, is_error=True), Refresh(state.shown)
        case Away(text):
            return replace(state, away=text), None


# --- news -----------------------------------------------------------------------------------------
def _listed(state: State, holds: Sequence[Hold], shown: Hold | None) -> State:
    had_none = not state.holds
    ordered = tuple(sorted(holds, key=lambda hold: (hold["created_at"], hold["id"])))
    state = replace(state, holds=ordered, is_loaded=True, away=None)
    if shown is not None and shown["id"] == state.shown:
        state = replace(state, detail=shown)
    visible = state.visible
    is_there = any(hold["id"] == state.selected for hold in visible)
    if is_there:
        return _select(state, state.selected)
    if had_none and state.shown is None and state.question is None and visible:
        return _select(state, visible[0]["id"])  # nothing was shown that a key could mean
    return state


def _arrived(state: State, answer: Answer) -> State:
    if isinstance(answer, Approve | Deny):
        return replace(state, sent=state.sent - {answer.id})
    return state


def _select(state: State, hold_id: str | None) -> State:
    ids = [hold["id"] for hold in state.visible]
    at = ids.index(hold_id) if hold_id in ids else state.at
    return replace(state, selected=hold_id, at=at)


def _searched(hold: Hold) -> str:
    said = " ".join(hold_words.reason_with_place(reason) for reason in hold["reasons"])
    return (
        f"{hold['id']} {hold['session']} {hold['agent']} {hold_words.call(hold)} {said}".casefold()
    )


# --- keys -----------------------------------------------------------------------------------------
_VERBS = {
    "a": Verb.APPROVE,
    "g": Verb.GRANT,
    "t": Verb.TOP_UP,
    "d": Verb.DENY,
    "D": Verb.DENY_AND_FREEZE,
    "f": Verb.FREEZE,
}
_MOVES = {
    "j": 1,
    "down": 1,
    "k": -1,
    "up": -1,
    "pagedown": _PAGE,
    "pageup": -_PAGE,
    "home": -1_000_000,
    "end": 1_000_000,
}


def _in_list(state: State, key: Key, _now: datetime) -> Step:
    if key.name in _MOVES:
        return _moved(state, _MOVES[key.name]), None
    if key.name == "enter":
        hold = state.target
        if hold is None:
            return _said(state, _none_selected(state)), None
        return replace(state, mode=Mode.DETAIL, detail=hold, scroll=0), Refresh(hold["id"])
    if key.name == "/":
        return replace(state, mode=Mode.FILTERING), None
    if key.name == "esc":
        return _filtered(state, ""), None
    return _anywhere(state, key)


def _in_detail(state: State, key: Key, _now: datetime) -> Step:
    if key.name in _MOVES:
        return _scrolled(state, _MOVES[key.name]), None
    if key.name == "esc":
        return replace(state, mode=Mode.LIST, detail=None, scroll=0), None
    return _anywhere(state, key)


def _anywhere(state: State, key: Key) -> Step:
    if key.name in _VERBS:
        return _asked(state, _VERBS[key.name]), None
    if key.name == "?":
        return replace(state, mode=Mode.HELP, under=state.mode, scroll=0), None
    if key.name == "q":
        return state, Quit()
    if key.name in ("r", "ctrl-l"):
        return state, Refresh(state.shown)
    return state, None


def _asked(state: State, verb: Verb) -> State:
    hold = state.target
    if state.away is not None:
        return _said(state, "No proxy answers; what waits can be answered when it is back.")
    if hold is None:
        return _said(state, _none_selected(state))
    if hold["id"] in state.sent:
        return _said(state, "Your answer to this hold is on its way.")
    reason = asking.why_not(verb, hold)
    if reason is not None:
        return _said(state, reason)
    mode = Mode.TYPING if verb in TYPED else Mode.CONFIRMING
    return replace(state, mode=mode, under=state.mode, question=Question(verb, hold))


def _in_confirm(state: State, key: Key, now: datetime) -> Step:
    """A `y`, or another key: no. What is no key of a person's (a paste, an arrow) says neither."""
    is_said = key.text or key.name in ("esc", "enter", "backspace")
    if not is_said or key.name == "paste":
        return state, None
    if key.name != "y" or state.question is None:
        return _said(_back(state), "Not answered."), None
    return _given(state, asking.answer(state.question, now))


def _in_typing(state: State, key: Key, now: datetime) -> Step:
    question = state.question
    if key.name == "esc" or question is None:
        return _said(_back(state), "Not answered."), None
    if key.name == "enter":
        try:
            return _given(state, asking.answer(question, now))
        except ConfigurationError as error:
            return _said(state, str(error), is_error=True), None
    return replace(state, question=replace(question, text=_typed(question.text, key))), None


def _in_filter(state: State, key: Key, _now: datetime) -> Step:
    if key.name == "esc":
        return _filtered(replace(state, mode=Mode.LIST), ""), None
    if key.name == "enter":
        return replace(state, mode=Mode.LIST), None
    return _filtered(state, _typed(state.filter, key)), None


def _in_help(state: State, key: Key, _now: datetime) -> Step:
    if key.name in _MOVES:
        return _scrolled(state, _MOVES[key.name]), None
    if key.name in ("esc", "?", "q", "enter"):
        return replace(state, mode=state.under, scroll=0), None
    return state, None


_KEYS = {
    Mode.LIST: _in_list,
    Mode.DETAIL: _in_detail,
    Mode.TYPING: _in_typing,
    Mode.CONFIRMING: _in_confirm,
    Mode.FILTERING: _in_filter,
    Mode.HELP: _in_help,
}


def _given(state: State, answer: Answer) -> Step:
    """An answer leaves; the next hold is selected, as if a key had done so."""
    state = _back(state)
    if not isinstance(answer, Approve | Deny):
        return state, answer
    state = replace(state, mode=Mode.LIST, detail=None, scroll=0, sent=state.sent | {answer.id})
    if state.selected == answer.id:
        rest = [hold["id"] for hold in state.visible if hold["id"] not in state.sent]
        behind = [hold["id"] for hold in state.visible[state.at :] if hold["id"] in rest]
        state = _select(state, behind[0] if behind else rest[-1] if rest else None)
    return state, answer


def _back(state: State) -> State:
    return replace(state, mode=state.under, question=None)


def _moved(state: State, by: int) -> State:
    visible = state.visible
    if not visible:
        return state
    if state.target is None:  # the one that stood here has ended: the next has its place
        by = max(0, by - 1) if by > 0 else by
    at = min(max(state.at + by, 0), len(visible) - 1)
    return replace(state, selected=visible[at]["id"], at=at)


def _scrolled(state: State, by: int) -> State:
    return replace(state, scroll=max(0, state.scroll + by))


def _filtered(state: State, text: str) -> State:
    state = replace(state, filter=text)
    if state.target is None and state.visible:
        return _select(state, state.visible[0]["id"])
    return _select(state, state.selected)


def _typed(text: str, key: Key) -> str:
    if key.name == "backspace":
        return text[:-1]
    if key.name == "ctrl-u":
        return ""
    if key.name == "ctrl-w":
        return text.rstrip()[: text.rstrip().rfind(" ") + 1]
    return (text + key.text)[:_MOST_TYPED]


def _said(state: State, message: str, *, is_error: bool = False) -> State:
    return replace(state, message=message, is_error=is_error)


def _none_selected(state: State) -> str:
    if state.mode is Mode.DETAIL:
        return "This hold waits no more; esc goes back."
    if not state.visible:
        return "Nothing waits here."
    return "The hold that was selected waits no more; j or k selects another."
