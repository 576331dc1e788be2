"""What keys and news make of the screen: tables of what happens, and what is then asked of the proxy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from proxy.cli.watch.events import (
    Answered,
    Approve,
    Away,
    Command,
    Deny,
    Event,
    Freeze,
    Key,
    Listed,
    Quit,
    Refresh,
    Refused,
)
from proxy.cli.watch.state import Mode, State, step
from tests.cli.watch.holds import NOW, NOW_MS, budget, effect, hold

A, B, C = hold("A", age_s=30), hold("B", age_s=20), hold("C", age_s=10)
NAMES = ("enter", "esc", "up", "down", "home", "end", "backspace", "ctrl-u", "ctrl-w")


def keys(typed: str) -> list[Event]:
    """`d|no|enter` types d, then n and o, then enter."""
    made: list[Event] = []
    for part in typed.split("|"):
        made += [Key(part)] if part in NAMES else [Key(char, char) for char in part]
    return made


def run(events: Sequence[Event], state: State | None = None) -> tuple[State, list[Command]]:
    """Returns the last state, and the commands on the way."""
    now, commands = state or State(), []
    for event in events:
        now, command = step(now, event, NOW)
        if command is not None:
            commands.append(command)
    return now, commands


def screen(*holds: Any) -> State:
    return run([Listed(holds)])[0]


HOUR_MS = NOW_MS + 3_600_000


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        pytest.param("ay", Approve("A"), id="approve"),
        pytest.param("jay", Approve("B"), id="the-second"),
        pytest.param("down|down|up|ay", Approve("B"), id="arrows"),
        pytest.param("end|ay", Approve("C"), id="the-last"),
        pytest.param("jjjjjkay", Approve("B"), id="the-list-ends"),
        pytest.param("j|enter|ay", Approve("B"), id="in-full"),
        pytest.param("enter|jjay", Approve("A"), id="moving-in-full-scrolls"),
        pytest.param("enter|esc|jay", Approve("B"), id="back"),
        pytest.param("d|enter", Deny("A"), id="deny"),
        pytest.param("d|too much|enter", Deny("A", "too much"), id="deny-and-why"),
        pytest.param("d|day|enter", Deny("A", "day"), id="a-reason-is-no-key"),
        pytest.param("d|xy|backspace|z|enter", Deny("A", "xz"), id="backspace"),
        pytest.param("d|xy|ctrl-u|z|enter", Deny("A", "z"), id="all-of-it"),
        pytest.param("d|not now|ctrl-w|here|enter", Deny("A", "not here"), id="a-word"),
        pytest.param("D|stop|enter", Deny("A", "stop", "s"), id="deny-and-freeze"),
        pytest.param("fy", Freeze("s"), id="freeze"),
        pytest.param(
            "gy",
            Approve(
                "A",
                {"per": "session", "target": "same", "amount": "45", "expires_at_ms": HOUR_MS},
            ),
            id="grant-calls-like-it",
        ),
        pytest.param(
            "t+50 EUR for 1h|enter",
            Approve(
                "A",
                {"budget": "refunds", "extra": "50", "unit": "EUR", "expires_at_ms": HOUR_MS},
            ),
            id="top-up",
        ),
        pytest.param(
            "trefunds +50 until 13:00|enter",
            Approve("A", {"budget": "refunds", "extra": "50", "expires_at_ms": HOUR_MS}),
            id="top-up-by-name",
        ),
        pytest.param("r", Refresh(), id="look-again"),
        pytest.param("q", Quit(), id="quit"),
        pytest.param("?q:q", Quit(), id="help-and-quit"),
        pytest.param("?|esc|ay", Approve("A"), id="help-and-back"),
    ],
)
def test_keys_that_ask_for_something(typed: str, command: Command) -> None:
    """Each way to one command; on the way nothing else is asked for but to look."""
    _, commands = run(keys(typed), screen(C, A, B))
    assert [one for one in commands if not isinstance(one, Refresh) or one == command] == [command]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        pytest.param("an", "Not answered.", id="no"),
        pytest.param("a|enter", "Not answered.", id="enter-is-no-yes"),
        pytest.param("aY", "Not answered.", id="nor-is-Y"),
        pytest.param("aay", "Not answered.", id="a-again-is-no"),
        pytest.param("d|why|esc", "Not answered.", id="esc-in-a-reason"),
        pytest.param("fn", "Not answered.", id="no-freeze"),
        pytest.param("t500|enter", "'500': write 'BUDGET +500 EUR until 17:00'", id="no-top-up"),
        pytest.param("t+5 until 25:00|enter", "there is no 25:00", id="no-such-hour"),
        pytest.param("t+5 for 1.2.3h|enter", "is not a duration", id="no-such-time"),
        pytest.param("/zzz|enter|a", "Nothing waits here.", id="nothing-has-the-text"),
    ],
)
def test_keys_that_answer_nothing(typed: str, message: str) -> None:
    state, commands = run(keys(typed), screen(A))
    assert commands == []
    assert message in state.message


def test_what_is_pasted_answers_nothing() -> None:
    """A paste is text where text is asked for, and nothing elsewhere."""
    state, commands = run([Key("paste", "ay"), *keys("a"), Key("paste", "y")], screen(A))
    assert (state.mode, commands) == (Mode.CONFIRMING, [])
    _, commands = run([*keys("d"), Key("paste", "not now"), Key("enter")], screen(A))
    assert commands == [Deny("A", "not now")]


@pytest.mark.parametrize(
    ("before", "news", "typed", "command"),
    [
        pytest.param((A, B), (B,), "ay", None, id="the-selected-one-has-ended"),
        pytest.param((A, B), (B, C), "ay", None, id="and-another-came"),
        pytest.param((A, B), (B, C), "jay", Approve("B"), id="a-key-selects-the-next"),
        pytest.param((A, B, C), (A, B), "ay", Approve("A"), id="another-has-ended"),
        pytest.param((B, C), (A, B, C), "ay", Approve("B"), id="an-older-one-came"),
        pytest.param((B, C), (A, B, C), "kay", Approve("A"), id="and-is-above"),
        pytest.param((), (C, B), "ay", Approve("B"), id="the-first-ones"),
        pytest.param((A,), (), "ay", None, id="nothing-is-left"),
    ],
)
def test_news_moves_nothing_under_a_key(
    before: tuple[Any, ...], news: tuple[Any, ...], typed: str, command: Command | None
) -> None:
    """What is selected is kept by id; news alone selects only where nothing was shown."""
    _, commands = run([Listed(news), *keys(typed)], screen(*before))
    assert commands == ([] if command is None else [command])


@pytest.mark.parametrize("opened", ["", "enter|"], ids=["list", "detail"])
@pytest.mark.parametrize(
    ("asked", "answered", "command"),
    [
        ("a", "y", Approve("A")),
        ("d|no", "|enter", Deny("A", "no")),
        ("D", "x|enter", Deny("A", "x", "s")),
        ("f", "y", Freeze("s")),
    ],
    ids=["approve", "deny", "deny-and-freeze", "freeze"],
)
def test_an_answer_is_for_the_hold_that_was_asked_about(
    opened: str, asked: str, answered: str, command: Command
) -> None:
    """Whatever the list does between the key and the yes."""
    other = hold("B", age_s=20, session="other")
    state, _ = run(keys(opened + asked), screen(A, other))
    state, _ = run([Listed((other, C))], state)
    _, commands = run(keys(answered.removeprefix("|")), state)
    assert commands == [command]


def test_after_an_answer_the_next_is_selected() -> None:
    """At the key, not when the news comes; the one that was answered is not answered twice."""
    state, commands = run(keys("ayay"), screen(A, B, C))
    assert commands == [Approve("A"), Approve("B")]
    assert state.selected == "C"
    state, commands = run(keys("kay"), state)
    assert commands == []
    assert "on its way" in state.message


def test_in_full_a_hold_stays_when_it_has_ended() -> None:
    """It is asked for with its timeline; once it waits no more it says so, and answers go nowhere."""
    state, commands = run(keys("enter"), screen(A, B))
    assert commands == [Refresh("A")]
    state, _ = run([Listed((A, B), {**A, "timeline": []})], state)
    assert state.detail is not None
    assert state.detail["timeline"] == []
    state, commands = run([Listed((B,), {**A, "state": "denied"}), *keys("ay")], state)
    assert commands == []
    assert "waits no more" in state.message
    assert (state.mode, state.shown) == (Mode.DETAIL, "A")
    assert state.detail is not None
    assert state.detail["state"] == "denied"


def approved(**more: Any) -> Answered:
    return Answered(Approve("A"), {**A, "state": "approved", **more})


GRANTED = {
    "kind": "calls",
    "tool": "refund",
    "namespace": None,
    "target": "A-3",
    "amount": 45,
    "unit": "EUR",
    "scope": "session:s",
    "expires_at": "2026-11-24T13:00:00.000Z",
}


@pytest.mark.parametrize(
    ("event", "left", "message"),
    [
        pytest.param(approved(), "BC", "refund: approved.", id="approved"),
        pytest.param(
            approved(state="pending", consents=[{"by": "ops"}], approvals_needed=2),
            "ABC",
            "your yes is kept, 1 of 2",
            id="one-of-two",
        ),
        pytest.param(
            approved(grant=GRANTED, also=["B"]),
            "C",
            "refund on A-3 up to 45 EUR for session:s until 2026-11-24T13:00:00.000Z. 1 more",
            id="granted",
        ),
        pytest.param(
            Answered(Deny("A", freeze="s"), {**A, "state": "denied"}),
            "BC",
            "refund: denied; session s is frozen.",
            id="denied-and-frozen",
        ),
        pytest.param(
            Answered(Freeze("s t"), {}), "ABC", "until `checkrein sessions thaw 's t'`", id="frozen"
        ),
        pytest.param(
            Refused(Approve("A"), "hold A is already denied (by eva, 12:00:00Z)"),
            "ABC",
            "already denied (by eva",
            id="somebody-else-was-first",
        ),
    ],
)
def test_what_came_of_an_answer(event: Event, left: str, message: str) -> None:
    """It is told, the list is looked at again, and what has ended is gone at once."""
    state, commands = run([event], screen(A, B, C))
    assert message in state.message
    assert "".join(one["id"] for one in state.holds) == left
    assert commands == [Refresh()]
    assert state.is_error == isinstance(event, Refused)


def test_an_answer_that_was_refused_can_be_given_again() -> None:
    """The only hold there is: it is selected again."""
    state, _ = run([*keys("ay"), Refused(Approve("A"), "no")], screen(A))
    assert run(keys("ay"), state)[1] == [Approve("A")]


def test_a_proxy_that_goes_away() -> None:
    """Nothing is answered meanwhile; when it is back the same hold is selected."""
    state, commands = run([*keys("j"), Away("gone"), *keys("a")], screen(A, B))
    assert (state.away, state.mode, commands) == ("gone", Mode.LIST, [])
    state, commands = run([Listed((A, B)), *keys("ay")], state)
    assert (state.away, commands) == (None, [Approve("B")])


@pytest.mark.parametrize(
    ("typed", "ids"),
    [
        ("/o-2", ["B"]),
        ("/O-2|enter", ["B"]),
        ("/would reach", ["A", "B"]),
        ("/zzz|esc", ["A", "B"]),
        ("/o-2|enter|esc", ["A", "B"]),
        ("/o-2x|backspace", ["B"]),
    ],
    ids=["arguments", "case", "reasons", "esc", "esc-later", "backspace"],
)
def test_filter(typed: str, ids: list[str]) -> None:
    """What has the text; the first of it is selected where the selected one is not among it."""
    two = screen(hold("A", age_s=9, args={"o": "o-1"}), hold("B", age_s=5, args={"o": "o-2"}))
    state, _ = run(keys(typed), two)
    assert [one["id"] for one in state.visible] == ids
    assert state.selected in ids


@pytest.mark.parametrize(
    ("effects", "grant"),
    [
        ([effect()], {"target": "same", "amount": "45"}),
        ([effect(), effect(amount=50)], {"target": "same", "amount": "50"}),
        ([effect(), effect(target="B-1")], {"target": "any", "amount": "45"}),
        ([effect(), effect(amount=None)], {"target": "same"}),
        ([effect(), effect(unit="USD")], {"target": "same"}),
        ([effect(amount=None, target=None)], {"target": "any"}),
        ([effect(amount="0.10")], {"target": "same", "amount": "0.10"}),
        ([], {"target": "any"}),
    ],
    ids=["one", "two", "targets", "no-amount", "units", "nothing", "exact", "no-effect"],
)
def test_a_grant_is_no_wider_than_what_was_shown(
    effects: list[dict[str, Any]], grant: dict[str, Any]
) -> None:
    _, commands = run(keys("gy"), screen(hold("A", effects=effects)))
    assert commands == [Approve("A", {"per": "session", "expires_at_ms": HOUR_MS, **grant})]


@pytest.mark.parametrize(
    ("budgets", "typed", "grant"),
    [
        ([budget("a", 0, 5, 9)], "t", None),
        ([budget("a", 0, 10, 9, mode="shadow")], "t", None),
        (
            [budget("a", 0, 5, 9), budget("b", 0, "9.01", 9)],
            "t+5|enter",
            {"budget": "b", "extra": "5"},
        ),
        (
            [budget("a", 0, 10, 9), budget("b", 0, 10, 9)],
            "tb +5|enter",
            {"budget": "b", "extra": "5"},
        ),
        ([budget("a", 0, 10, 9), budget("b", 0, 10, 9)], "t+5|enter", None),
    ],
    ids=["none-exceeded", "shadow", "the-exceeded-one", "named", "which-one"],
)
def test_a_top_up_is_of_the_budget_that_holds(
    budgets: list[dict[str, Any]], typed: str, grant: dict[str, Any] | None
) -> None:
    _, commands = run(keys(typed), screen(hold("A", budgets=budgets)))
    assert commands == ([] if grant is None else [Approve("A", grant)])


def test_a_key_that_does_nothing_leaves_what_was_said() -> None:
    state, _ = run([Refused(Approve("A"), "no"), *keys("x")], screen(A))
    assert state.message == "no"
    state, _ = run(keys("j"), screen(A, B))
    assert state.message == ""
