"""The screen in many sizes, and with what a hostile agent may write into it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live

from proxy.cli.watch import figures
from proxy.cli.watch.events import Away, Event, Key, Listed
from proxy.cli.watch.rendering import screen, text_of
from proxy.cli.watch.state import State
from tests.cli.watch.holds import NOW_MS, budget, effect, hold
from tests.cli.watch.test_state import keys, run

HOSTILE = {
    "escape": "\x1b[2J\x1b[1Hpay 1 EUR",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\bank\x1b]8;;\x1b\\",
    "return": "pay 1000\rpay 1",
    "newline": "a\n> approved",
    "c1": "\x9b2J\x9d52;c;x\x9c",
    "bidi": "\u202etxt\u202c \u2066x\u2069 \u200f\u200e\u061c",
    "zero-width": "pay\u200b1\u200c0\u200d0\u2060\ufeff",
    "unseen": "a\u3164b\u115f\u034f\ufe0f\U000e0100\U000e0041",
    "markup": "[bold red]x[/bold red] [link=http://evil.example]y[/link] :smile:",
    "surrogate": "\ud800",
    "wide": "金額" * 40,
    "long": "x" * 3000,
    "spaces": "pay 1 EUR" + " " * 3000 + "to eve",
}


def hostile(text: str) -> dict[str, Any]:
    """A hold in which an agent wrote this wherever it can."""
    return hold(
        "A",
        name=text,
        args={text: text, "list": [text, {"deep": text}]},
        session=text,
        agent=text,
        human=text,
        effects=[effect(target=text, unit=text)],
        reasons=[{"rule": "r", "file": None, "line": None, "text": text, "verdict": "hold"}],
        budgets=[budget("b", 0, 10, 9, unit=text)],
        consents=[{"by": text}],
        approvals_needed=2,
        timeline=[
            {
                **effect(target=text),
                "time": "2026-11-24T11:00:00.000Z",
                "call": {"name": text},
                "state": "committed",
            }
        ],
    )


SIZES = [(200, 50), (140, 8), (120, 20), (60, 30), (60, 8), (29, 5), (10, 3), (1, 1)]
MODES = {
    "list": "",
    "detail": "enter",
    "scrolled": "enter|end",
    "approve": "a",
    "grant": "g",
    "top-up": "t",
    "top-up-typed": "t+500 EUR until 17:00",
    "top-up-wrong": "tx|enter",
    "deny": "dnot now",
    "deny-in-detail": "enter|Dnot now",
    "freeze": "f",
    "filter": "/pay",
    "filtered": "/zzz|enter",
    "help": "?",
}


def drawn(state: State, width: int, height: int) -> list[str]:
    return [line.plain for line in screen(state, NOW_MS, width, height).lines]


def opened(*holds: Any, typed: str = "") -> State:
    """A screen on which keys were typed, and each hold's timeline has come."""
    first = min(holds, key=lambda one: one["created_at"]) if holds else None
    events: list[Event] = [Listed(holds), *keys(typed)]
    return run([*events, Listed(holds, first)])[0]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("typed", MODES.values(), ids=MODES)
def test_it_fits(size: tuple[int, int], typed: str) -> None:
    """As many lines as the screen has, none wider, whatever is shown."""
    width, height = size
    for count in (0, 1, 40):
        holds = [
            hold(f"h{n}", age_s=n, args={"note": "金額 " * 50}, budgets=[budget("b", 0, 10, 9)])
            for n in range(count)
        ]
        state = opened(*holds, typed=typed)
        lines = screen(state, NOW_MS, width, height).lines
        assert len(lines) == height
        assert max(line.cell_len for line in lines) <= width


@pytest.mark.parametrize("size", [(200, 50), (60, 8), (20, 8)], ids=["200", "60", "20"])
@pytest.mark.parametrize("typed", ["", "enter", "a", "g", "t", "d", "f"], ids=str)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_an_agent_wrote_reaches_the_terminal(
    size: tuple[int, int], typed: str, text: str
) -> None:
    """On a real console: only its own sequences, no link, no style from markup; each line printable."""
    state = opened(hostile(text), typed=typed)
    lines = screen(state, NOW_MS, *size).lines
    assert all(line.plain.isprintable() for line in lines)
    assert max(line.cell_len for line in lines) <= size[0]
    out = io.StringIO()
    console = Console(
        file=out, width=size[0], height=size[1], force_terminal=True, color_system="truecolor",
        highlight=False, markup=False, emoji=False,
    )  # fmt: skip
    with Live(console=console, screen=True, auto_refresh=False) as live:
        live.update(text_of(lines), refresh=True)
    written = out.getvalue()
    for sequence in ("\x1b]", "\x1b[2J", "\x9b", "\x07", "\r", "\u202e", "\u200b", "\u3164", "😄"):
        assert sequence not in written
    assert sum(line.plain.count("\n") for line in lines) == 0


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hold_in_full_leaves_nothing_out(text: str) -> None:
    """All of the arguments can be scrolled to, escaped; the pieces make the whole."""
    state = opened(hostile(text), typed="enter")
    lines = drawn(state, 60, 2000)
    shown = "".join(line[8:].rstrip() for line in lines).replace(" ", "")
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    escaped = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in written
    )
    if text is not HOSTILE["unseen"]:  # some of these Python holds for printable
        assert shown.count(escaped.replace(" ", "")) >= 4


def test_the_list_in_a_wide_terminal() -> None:
    """Oldest first, a line each: age, time left, risk, amount, session, call, why."""
    two = opened(hold("B", age_s=5, session="t"), hold("A", age_s=192))
    head, names, first, second, *_ = drawn(two, 200, 10)
    assert head == "checkrein  2 holds wait, the oldest 3m 12s  as operator"
    assert names.split() == ["age", "left", "risk", "amount", "session", "call", "why"]
    assert first.startswith("> 3m 12s  56m 48s  irreversible, 12 points  45 EUR  s ")
    assert "refund(id='A-3', amount=45)" in first
    assert "Budget 'refunds' would reach 135 of 100 EUR (90 used)." in first
    assert second.split()[0] == "5s"


def test_the_list_in_60_columns() -> None:
    """Three lines each: how long, how much and how bad; the call; why. The selected one is among those that fit."""
    lines = drawn(opened(hold("A", age_s=192)), 60, 8)
    assert lines[1:4] == [
        "> 3m 12s  56m 48s left  45 EUR  irreversible, 12 points  s  ",
        "  refund(id='A-3', amount=45)",
        "  Budget 'refunds' would reach 135 of 100 EUR (90 used).",
    ]
    many = opened(
        *(hold(f"h{n}", age_s=100 - n, target=f"T-{n}") for n in range(30)), typed="j" * 20
    )
    assert any("T-20" in line for line in drawn(many, 60, 8))


def test_a_hold_in_full() -> None:
    """What decides comes ahead of the arguments: effects, reasons with their place, budgets, consents; then what was so far."""
    timeline = [
        {
            **effect(target="A-1"),
            "time": "2026-11-24T11:58:00.000Z",
            "call": {"name": "refund"},
            "state": "committed",
        }
    ]
    one = hold(
        "A", timeline=timeline, consents=[{"by": "eva"}], approvals_needed=2, human="kim",
        args={"id": "A-3", "lines": ["a", "b"]},
    )  # fmt: skip
    lines = [line.rstrip() for line in drawn(opened(one, typed="enter"), 100, 30)]
    assert lines[1:] == [
        "hold    A  waits 3m 12s, 56m 48s left",
        "call    refund",
        "session s   agent a   for kim",
        "risk    irreversible, 12 points",
        "effect  money.refund 45 EUR on A-3 (irreversible) 12 points",
        "why     refunds: Budget 'refunds' would reach 135 of 100 EUR (90 used).  (rules.yaml:8)",
        "budget  █████████████████▒▒│▒▒▒▒▒ refunds 90 -> 135 of 100 EUR",
        "yes     1 of 2: eva",
        "args    {",
        '          "id": "A-3",',
        '          "lines": [',
        '            "a",',
        '            "b"',
        "          ]",
        "        }",
        "rules   4ff6e378d11c368d",
        "so far  11:58:00 refund: money.refund 45 EUR on A-1 [committed]",
        *[""] * 11,
        lines[-1],
    ]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("a", ["Approve this call, once?", "45 EUR", "refund(id='A-3', amount=45)", "y yes"]),
        ("g", ["for an hour, in this session, every refund of up to 45 EUR on A-3?", "y yes"]),
        ("t", ["Top up refunds, and approve.", "+500 EUR until 17:00"]),
        ("tx|enter", ["'x': write 'BUDGET", "> x"]),
        ("dno", ["The agent reads why:", "> no", "refund(id='A-3', amount=45)"]),
        ("D", ["Deny this call and freeze session s.", "45 EUR"]),
        ("f", ["Freeze session s?", "y yes"]),
        ("/A-3", ["/A-3"]),
    ],
)
@pytest.mark.parametrize("size", [(200, 30), (60, 8)], ids=["200x30", "60x8"])
def test_what_is_asked(typed: str, shown: list[str], size: tuple[int, int]) -> None:
    """The question says which call, how much, and what the answer would do; also where there is little room."""
    said = " ".join(" ".join(drawn(opened(hold("A"), typed=typed), *size)).split())
    assert [text for text in shown if text not in said] == []


def test_a_call_that_is_too_long_to_ask_about_says_so() -> None:
    """The question keeps its amount and its keys, and tells that lines are missing."""
    said = drawn(opened(hold("A", args={"id": "x" * 4000, "amount": 45}), typed="a"), 60, 8)
    assert "more lines of the call" in " ".join(said)
    assert "45 EUR" in " ".join(said)
    assert said[-1] == "y yes  any other key: no"


@pytest.mark.parametrize("typed", ["a", "g", "t", "d", "D", "f"])
def test_what_is_long_hides_no_question(typed: str) -> None:
    """Names and targets of thousands of characters leave the question, the amount's beginning and the keys on the screen."""
    lines = drawn(opened(hostile(HOSTILE["long"]), typed=typed), 60, 10)
    said = " ".join(" ".join(lines).split())
    assert "(3000 long)" in said or typed in "atd"
    assert "45 x" in said
    assert lines[-1].startswith("y yes" if typed in "agf" else "enter sends")
    assert {"a": "once?", "g": "of up to 45", "t": "Top up b", "d": "reads why:"}.get(
        typed, ""
    ) in said


def test_a_hold_that_ended_while_it_is_asked_about() -> None:
    state, _ = run([Listed(())], opened(hold("A"), typed="a"))
    assert "It waits no more" in " ".join(drawn(state, 100, 12))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_proxy_that_is_away(size: tuple[int, int]) -> None:
    """One line of it, whatever was shown before."""
    for typed in MODES.values():
        state, _ = run([Away("no running proxy answers on /x")], opened(hold("A"), typed=typed))
        assert len(screen(state, NOW_MS, *size).lines) == size[1]
    state, _ = run([Away("no running proxy answers on /x")], opened(hold("A")))
    assert "no running proxy answers on /x" in " ".join(drawn(state, 100, 8))


def test_scrolling_ends_with_the_last_line() -> None:
    state = opened(hold("A", args=list(range(100))), typed="enter|end")
    made = screen(state, NOW_MS, 80, 10)
    assert "so far" in made.lines[-2].plain
    assert 0 < made.most_scroll < 200


@pytest.mark.parametrize(
    ("ms", "said"),
    [(0, "0s"), (59_999, "59s"), (60_000, "1m 0s"), (192_000, "3m 12s"), (3_600_000, "1h 0m"),
     (90_061_000, "1d 1h"), (-5, "0s")],
)  # fmt: skip
def test_spans(ms: int, said: str) -> None:
    assert figures.span(ms) == said


@pytest.mark.parametrize(
    ("effects", "said"),
    [
        ([], "no effect known"),
        ([effect(points=0)], "irreversible"),
        (
            [effect(reversibility="reversible", points=1), effect(points="2.50")],
            "irreversible, 3.5 points",
        ),
        ([effect(points=0), effect(points=0)], "2 irreversible"),
        ([effect(reversibility="compensable", points=0)], "compensable"),
        ([effect(mode="shadow")], "no effect known"),
        ([effect(points="1e99999999")], "irreversible, very many points"),
    ],
    ids=["none", "one", "points", "two", "compensable", "shadow", "vast"],
)
def test_risk(effects: list[dict[str, Any]], said: str) -> None:
    """The worst effect first, then the points of all."""
    assert figures.risk(hold("A", effects=effects)).plain == said


@pytest.mark.parametrize(
    ("before", "after", "limit", "shown"),
    [
        (0, 0, 0, "░░░░░░░░░░"),
        (50, 80, 100, "█████▒▒▒░░"),
        (100, 200, 100, "█████│▒▒▒▒"),
        (0, 5, 0, "│▒▒▒▒▒▒▒▒▒"),
        ("1e99999999", "2e99999999", 1, "│████▒▒▒▒▒"),
        (-5, 10, 10, "▒▒▒▒▒▒▒▒▒▒"),
    ],
    ids=["nothing", "within", "over", "no-limit", "vast", "negative"],
)
def test_a_budget_as_a_bar(before: Any, after: Any, limit: Any, shown: str) -> None:
    """What was used, what the call adds, and the limit where it is exceeded."""
    assert figures.bar(budget("b", before, after, limit), 10).plain == shown


def test_keys_are_no_text(  # a key without a text types nothing
) -> None:
    state, _ = run([*keys("d"), Key("up"), Key("ctrl-l")], opened(hold("A")))
    assert state.question is not None
    assert state.question.text == ""
