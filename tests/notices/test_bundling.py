"""What goes into a message and when: the first at once, digests, quiet hours, escalation, what was answered; and what is alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model import Hold, HoldState, Reason, Verdict
from proxy.notices.bundling import Item, Past, grouped, pattern_of, plan
from proxy.notices.targets import Notice, Quiet
from proxy.policy.hours import read_hours
from tests.notices.made import HOUR_MS, NOW_MS, ask, hold

MINUTE_MS = 60_000
DIGEST = Notice("n", ("json://x",), digest_ms=5 * MINUTE_MS)
ON_CALL = replace(DIGEST, groups=frozenset({"oncall"}))
NIGHT = Quiet(read_hours("07:30-08:30", "UTC"), frozenset({"oncall"}))  # NOW_MS is 08:00
ENDS_MS = NOW_MS + 30 * MINUTE_MS


def items(*holds: Hold, escalated: bool = False) -> list[Item]:
    return [Item(f"row-{n}", one, escalated) for n, one in enumerate(holds)]


@pytest.mark.parametrize(
    ("notice", "quiet", "sent_ago_ms", "escalated", "asked", "sends", "again_ms"),
    [
        pytest.param(DIGEST, None, None, False, (), True, None, id="first-at-once"),
        pytest.param(DIGEST, None, 1, False, (), False, NOW_MS + 5 * MINUTE_MS - 1, id="bundled"),
        pytest.param(DIGEST, None, 5 * MINUTE_MS, False, (), True, None, id="digest-over"),
        pytest.param(DIGEST, None, 1, True, (), True, None, id="unanswered-waits-for-no-digest"),
        pytest.param(DIGEST, NIGHT, None, False, (), False, ENDS_MS, id="quiet"),
        pytest.param(DIGEST, NIGHT, 1, False, (), False, ENDS_MS, id="quiet-outlasts-the-digest"),
        pytest.param(DIGEST, NIGHT, None, True, (), True, None, id="unanswered-in-quiet"),
        pytest.param(ON_CALL, NIGHT, None, False, (), True, None, id="on-call-in-quiet"),
        pytest.param(
            ON_CALL,
            NIGHT,
            1,
            False,
            (),
            False,
            NOW_MS + 5 * MINUTE_MS - 1,
            id="on-call-is-bundled-too",
        ),
        pytest.param(DIGEST, NIGHT, None, False, ("oncall",), True, None, id="asks-the-on-call"),
        pytest.param(DIGEST, NIGHT, None, False, ("leads",), False, ENDS_MS, id="asks-others"),
    ],
)
def test_when(
    notice: Notice,
    quiet: Quiet | None,
    sent_ago_ms: int | None,
    escalated: bool,
    asked: tuple[str, ...],
    sends: bool,
    again_ms: int | None,
) -> None:
    waiting = items(hold(asks=(ask(*asked),)), escalated=escalated)
    sent_at_ms = 0 if sent_ago_ms is None else NOW_MS - sent_ago_ms
    made = plan(notice, quiet, waiting, sent_at_ms, NOW_MS)
    assert (list(made.send) == waiting) is sends
    assert [at_ms for _item, at_ms in made.later] == ([] if again_ms is None else [again_ms])


def test_what_waits_goes_with_what_cannot_wait() -> None:
    """One message instead of two, but not in quiet hours."""
    both = [*items(hold("h1"), escalated=True), Item("row-9", hold("h2"))]
    assert plan(DIGEST, None, both, NOW_MS - 1, NOW_MS).send == tuple(both)
    assert plan(DIGEST, NIGHT, both, NOW_MS - 1, NOW_MS).send == (both[0],)


@pytest.mark.parametrize(
    "changes",
    [
        *({"state": state} for state in HoldState if state is not HoldState.PENDING),
        {"expires_at_ms": NOW_MS},
    ],
    ids=lambda changes: str(next(iter(changes.values()))),
)
@pytest.mark.parametrize("quiet", [None, NIGHT], ids=["day", "night"])
def test_what_was_answered_or_is_over_is_not_told(
    changes: dict[str, Any], quiet: Quiet | None
) -> None:
    over = items(hold(**changes))
    made = plan(DIGEST, quiet, over, NOW_MS - 1, NOW_MS)
    assert (made.send, list(made.drop), made.later) == ((), over, ())


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=8),
    st.sampled_from([None, NIGHT]),
    st.sampled_from([0, NOW_MS - 1, NOW_MS - HOUR_MS]),
)
def test_every_item_has_one_fate_and_none_waits_in_vain(
    kinds: list[tuple[bool, bool]], quiet: Quiet | None, sent_at_ms: int
) -> None:
    """Each is sent, dropped or looked at later; and later means later, so that no loop spins."""
    given_items = [
        Item(
            str(n), hold(str(n), state=HoldState.PENDING if waits else HoldState.DENIED), escalated
        )
        for n, (waits, escalated) in enumerate(kinds)
    ]
    made = plan(DIGEST, quiet, given_items, sent_at_ms, NOW_MS)
    fates = [*made.send, *made.drop, *(item for item, _at in made.later)]
    assert sorted(item.id for item in fates) == sorted(item.id for item in given_items)
    assert all(at_ms > NOW_MS for _item, at_ms in made.later)


@pytest.mark.parametrize(
    ("text", "zone", "at", "ends"),
    [
        pytest.param("Mon-Fri 22:00-07:00", "UTC", "Fri 23:15", "Sat 07:00", id="over-midnight"),
        pytest.param("Mon-Fri 22:00-07:00", "UTC", "Sat 12:00", None, id="weekend-is-no-night"),
        pytest.param(
            "Mon-Fri 22:00-07:00, Sat-Sun 00:00-24:00", "UTC", "Fri 22:00", "Mon 00:00", id="joined"
        ),
        pytest.param("Mon-Fri 22:00-07:00", "Europe/Berlin", "Fri 05:59", "Fri 06:00", id="zone"),
        pytest.param("Mon-Fri 22:00-07:00", "Europe/Berlin", "Fri 06:00", None, id="zone-after"),
    ],
)
def test_when_quiet_ends(text: str, zone: str, at: str, ends: str | None) -> None:
    """Days and times of the week of NOW_MS, in UTC."""
    ends_at_ms = Quiet(read_hours(text, zone)).ends_at_ms(_moment(at))
    assert ends_at_ms == (None if ends is None else _moment(ends, after_ms=_moment(at)))


def _moment(text: str, after_ms: int = NOW_MS - 5 * 24 * HOUR_MS) -> int:
    day, clock = text.split()
    hour, minute = map(int, clock.split(":"))
    midnight = NOW_MS - 8 * HOUR_MS  # a Friday's
    days = ("Fri", "Sat", "Sun", "Mon", "Tue", "Wed", "Thu").index(day)
    at_ms = midnight + (days - 7) * 24 * HOUR_MS + hour * HOUR_MS + minute * MINUTE_MS
    while at_ms < after_ms:
        at_ms += 7 * 24 * HOUR_MS
    return at_ms


# --- what is alike ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "is_alike"),
    [
        pytest.param(
            {"target": "B", "amount": 7, "session": "s2"}, True, id="target-amount-session"
        ),
        pytest.param({"agent": "a2"}, False, id="agent"),
        pytest.param({"name": "pay"}, False, id="tool"),
        pytest.param({"namespace": "shop"}, False, id="server"),
        pytest.param({"rule": "vip"}, False, id="rule"),
        pytest.param(
            {
                "reasons": (
                    Reason("refunds", "", Verdict.HOLD),
                    Reason("later", "", Verdict.HOLD, shadow=True),
                )
            },
            True,
            id="a-rule-in-shadow-holds-nothing",
        ),
    ],
)
def test_what_is_one_line(changes: dict[str, Any], is_alike: bool) -> None:
    groups = grouped(items(hold("h1"), hold("h2", **changes)), Past())
    assert [len(group.holds) for group in groups] == ([2] if is_alike else [1, 1])


def test_a_hold_that_is_told_twice_at_once_is_one() -> None:
    """Its first notice waited for the morning, and by then nobody had answered."""
    groups = grouped([Item("1", hold()), Item("2", hold(), escalated=True)], Past())
    assert [(len(group.holds), group.escalated) for group in groups] == [(1, True)]


def test_what_nobody_answered_comes_first() -> None:
    both = [Item("1", hold("h1", name="x")), Item("2", hold("h2"), escalated=True)]
    assert [group.holds[0].id for group in grouped(both, Past())] == ["h2", "h1"]


@pytest.mark.parametrize(
    ("waiting", "approved", "approvals", "offers"),
    [
        pytest.param(1, 0, 1, False, id="one"),
        pytest.param(4, 2, 1, False, id="not-yet"),
        pytest.param(5, 0, 1, True, id="five-wait"),
        pytest.param(1, 3, 1, True, id="three-were-approved"),
        pytest.param(5, 3, 2, False, id="two-people-must-agree"),
    ],
)
def test_when_a_grant_is_offered(waiting: int, approved: int, approvals: int, offers: bool) -> None:
    one = hold(asks=(ask("leads", approvals=approvals),))
    pattern = pattern_of(one)
    past = Past(Counter({pattern: waiting}), Counter({pattern: approved}))
    (group,) = grouped(items(one), past)
    assert group.offers_grant is offers
    assert group.waiting == waiting
