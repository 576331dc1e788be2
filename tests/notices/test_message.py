"""What a person reads: the words, the bound, and that nothing an agent wrote becomes a link, a mention or a line of its own."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model import Ask, Consent, Hold, Reason, Verdict
from proxy.notices.message import MOST_CHARS, Group, Message, compose, shown
from tests.notices.made import NOW_MS, ask, hold

LINK = "https://desk.internal:8081/l/abc.def-_x"


def said(*holds: Hold, **more: Any) -> Message:
    return compose([Group(holds, more.pop("waiting", len(holds)), **more)], NOW_MS)


def test_one_call() -> None:
    made = said(hold("01a2", human="alice", asks=(ask("leads", "eve"),)), link=LINK)
    assert made.title == "1 call waits for an answer: refund_order"
    assert made.text.splitlines() == [
        "refund_order, 45 EUR, cannot be undone",
        "  agent a1, for alice, session s1",
        "  on A-1",
        "  why: refunds: \"Budget 'refunds' is spent.\"",
        "  may answer: leads, eve",
        "  until 2027-01-15 09:00 UTC",
        f"  look and answer: {LINK}",
    ]
    assert made.markdown.splitlines() == [
        "`refund_order`, 45 `EUR`, cannot be undone",
        "",
        "- agent `a1`, for `alice`, session `s1`",
        "- on `A-1`",
        "- why: `refunds`: `Budget 'refunds' is spent.`",
        "- may answer: `leads`, `eve`",
        "- until 2027-01-15 09:00 UTC",
        f"- [look and answer]({LINK})",
    ]


def test_many_that_are_alike_are_one_line() -> None:
    made = said(*(hold(f"h{n}", target=f"A-{n}", session=f"s{n % 2}") for n in range(12)))
    assert made.title == "12 calls wait for an answer: refund_order"
    lines = made.text.splitlines()
    assert lines[0] == "12 x refund_order, 45 EUR each, cannot be undone"
    assert lines[1:3] == ["  agent a1, sessions s0, s1", "  on A-0, A-1, A-2 and 9 more"]


@pytest.mark.parametrize(
    ("holds", "line"),
    [
        pytest.param(
            [hold(amount="10.50"), hold(amount=45)], "10.5 to 45 EUR, 55.5 EUR in all", id="range"
        ),
        pytest.param([hold(amount=45, unit=None)], "refund_order, 45, cannot", id="no-unit"),
        pytest.param(
            [hold(amount=1), hold(amount=2, unit="USD")], "2 x refund_order, cannot", id="units"
        ),
        pytest.param([hold(amount=None)], "refund_order, cannot", id="no-amount"),
        pytest.param([hold(namespace="shop")], '"shop: refund_order", 45 EUR', id="server"),
        pytest.param([hold(unit="EUR or more")], '45 "EUR or more"', id="unit-of-an-agent"),
    ],
)
def test_what_is_said_of_amounts(holds: list[Hold], line: str) -> None:
    assert line in said(*holds).text.splitlines()[0]


@pytest.mark.parametrize(
    ("asks", "consents", "line"),
    [
        pytest.param((), 0, 'may answer: "whoever may answer"', id="nobody-named"),
        pytest.param(
            (ask("leads", approvals=2),),
            1,
            "may answer: leads; 1 of 2 people have said yes",
            id="two",
        ),
        pytest.param(
            (ask("leads", escalate_to=("board",), escalate_after_ms=60_000),),
            0,
            "may answer: leads",
            id="early",
        ),
        pytest.param(
            (ask("leads", escalate_to=("board",), escalate_after_ms=0),),
            0,
            "may answer: leads, board",
            id="late",
        ),
    ],
)
def test_who_may_answer(asks: tuple[Ask, ...], consents: int, line: str) -> None:
    given_yes = tuple(Consent(f"p{n}", NOW_MS) for n in range(consents))
    assert line.replace('"', "") in said(hold(asks=asks, consents=given_yes)).text


@pytest.mark.parametrize(
    ("holds", "command"),
    [
        pytest.param([hold()], "--like --up-to 45", id="same-target"),
        pytest.param(
            [hold(), hold(target="B", amount=60)], "--like --any-target --up-to 60", id="targets"
        ),
        pytest.param([hold(target=None, amount=None)], "--like --any-target", id="no-target"),
        pytest.param([hold(effects=())], "--like", id="no-effects"),
    ],
)
def test_the_grant_that_is_offered_covers_what_is_shown(holds: list[Hold], command: str) -> None:
    text = said(*holds, offers_grant=True, waiting=6, approved=3).text
    told = "or answer all like it (6 wait, 3 were approved in the last hour): "
    assert text.endswith(f"{told}checkrein holds approve h1 {command}")


def test_what_nobody_answered_says_so() -> None:
    made = said(hold(), escalated=True)
    assert made.title == "Nobody has answered: 1 call waits for an answer: refund_order"
    assert made.text.startswith("unanswered: refund_order")


def test_the_clock_is_that_of_the_quiet_hours() -> None:
    made = compose([Group((hold(),), 1)], NOW_MS, ZoneInfo("Europe/Berlin"))
    assert "until 2027-01-15 10:00 CET" in made.text


def test_a_message_is_bounded_and_counts_what_it_leaves_out() -> None:
    groups = [Group((hold(f"h{n}", name=f"tool_{n}", text="x" * 500),), 1) for n in range(40)]
    made = compose(groups, NOW_MS)
    assert max(len(made.text), len(made.markdown)) <= MOST_CHARS
    told = made.text.count("refunds:")
    assert made.title == "40 calls wait for an answer"
    assert made.text.endswith(f"and {40 - told} more: checkrein holds list")


# --- a stranger's words ---------------------------------------------------------------------------------
HOSTILE = [
    pytest.param("A\n  look and answer: https://evil.example/l/x", id="a-line-of-its-own"),
    pytest.param("[Approve](https://evil.example)", id="a-markdown-link"),
    pytest.param("`](https://evil.example)`", id="out-of-the-code-span"),
    pytest.param("evil.example/approve", id="a-bare-host"),
    pytest.param("<!channel> <@U123> @here @everyone", id="mentions"),
    pytest.param("<a href='https://evil.example'>x</a>", id="html"),
    pytest.param("A\u202eB\u200b\x1b[2J\x00", id="invisible"),
    pytest.param('A", may answer: everybody', id="out-of-the-quotes"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_stranger_s_words_stay_words(text: str) -> None:
    """In every place an agent has words, the message has as many lines, no link, no mention, no markup."""
    plain = said(hold("01a2", human="x"), link=LINK)
    made = said(
        hold(
            "01a2",
            name=text,
            agent=text,
            session=text,
            human=text,
            target=text,
            unit=text,
            reasons=(Reason("r", text, Verdict.HOLD),),
        ),
        link=LINK,
    )
    for body, harmless in ((made.text, plain.text), (made.markdown, plain.markdown)):
        assert len(body.splitlines()) == len(harmless.splitlines())
        rest = body.replace(LINK, "")
        assert "://" not in rest
        assert "evil.example" not in rest
        assert not set("<>@\\\u202e\u200b\x1b\x00") & set(rest)
    assert made.markdown.count("`") % 2 == 0
    assert "\n" not in made.title
    assert not set("<>@`") & set(made.title)


@given(st.text(max_size=300))
def test_any_text_is_one_short_printable_line(text: str) -> None:
    made = shown(text)
    assert len(made) <= 80
    assert made.isprintable()
    assert not set('<>@`"\\') & set(made)
    assert "://" not in made


def test_secrets_are_not_shown() -> None:
    key = "AKIA" + "Q7" * 8
    made = said(hold(target=f"key {key}", text="password=hunter22"))
    assert "Q7Q7" not in made.text + made.markdown
    assert "hunter22" not in made.text + made.markdown
