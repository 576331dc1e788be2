"""A hold's life: every state with every event, and what time does not allow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.errors import HoldError
from proxy.holds import ENDED, TRANSITIONS, HoldEvent, is_open, transition
from proxy.model import Hold, HoldState, Side

NOON = 1_700_049_600_000  # 2023-11-15T12:00:00Z
PENDING = Hold(
    id="0193",
    state=HoldState.PENDING,
    session="s",
    agent="a",
    name="refund",
    args_sha256="0" * 64,
    provider="openai.chat",
    side=Side.MODEL,
    call_id="c1",
    arguments={},
    reasons=(),
    budgets=(),
    effects=(),
    rules_digest="r",
    created_at_ms=NOON,
    expires_at_ms=NOON + 60_000,
)

LEADS_TO = {
    ("pending", "approve"): "approved",
    ("pending", "deny"): "denied",
    ("pending", "expire"): "expired",
    ("pending", "abandon"): "abandoned",
    ("pending", "supersede"): "superseded",
    ("approved", "supersede"): "superseded",
    ("approved", "use"): "used",
    ("approved", "deny"): "denied",
    ("approved", "expire"): "expired",
}


@pytest.mark.parametrize("event", HoldEvent)
@pytest.mark.parametrize("state", HoldState)
def test_every_state_with_every_event(state: HoldState, event: HoldEvent) -> None:
    hold = replace(PENDING, state=state)
    now = hold.expires_at_ms if event is HoldEvent.EXPIRE else NOON + 1
    following = LEADS_TO.get((state.value, event.value))
    if following is None:
        with pytest.raises(HoldError, match=f"already {state.value}"):
            transition(hold, event, now_ms=now, by="ops", expires_at_ms=now + 1)
    else:
        after = transition(hold, event, now_ms=now, by="ops", expires_at_ms=now + 1)
        assert after.state == following
        assert after.id == hold.id


def test_the_table_has_no_more_than_that() -> None:
    assert {(s.value, e.value): n.value for (s, e), n in TRANSITIONS.items()} == LEADS_TO
    assert {state.value for state in ENDED} == {
        "used",
        "denied",
        "expired",
        "abandoned",
        "superseded",
    }


def test_an_approval_has_its_own_expiry_and_names_who() -> None:
    hold = transition(
        PENDING,
        HoldEvent.APPROVE,
        now_ms=NOON + 5,
        by="ops",
        reason="fine",
        expires_at_ms=NOON + 900_000,
    )
    assert (hold.expires_at_ms, hold.decided_at_ms, hold.decided_by, hold.reason) == (
        NOON + 900_000,
        NOON + 5,
        "ops",
        "fine",
    )
    used = transition(hold, HoldEvent.USE, now_ms=NOON + 6)
    assert used.decided_by == "ops"


@pytest.mark.parametrize(
    ("hold", "event", "now_ms", "message"),
    [
        pytest.param(
            PENDING, HoldEvent.APPROVE, NOON + 60_000, "hold 0193 expired at 12:01:00Z",
            id="expired, not swept yet: no late yes",
        ),
        pytest.param(
            replace(PENDING, state=HoldState.APPROVED), HoldEvent.USE, NOON + 60_000,
            "hold 0193 expired at 12:01:00Z", id="a lapsed approval is not used",
        ),
        pytest.param(
            PENDING, HoldEvent.EXPIRE, NOON, "hold 0193 is pending until 12:01:00Z",
            id="nothing expires before its time",
        ),
        pytest.param(
            replace(PENDING, state=HoldState.DENIED, decided_by="ops", decided_at_ms=NOON + 184_000),
            HoldEvent.APPROVE, NOON, "hold 0193 is already denied (by ops, 12:03:04Z); it cannot approve",
            id="the message says who and when",
        ),
    ],
)  # fmt: skip
def test_refused(hold: Hold, event: HoldEvent, now_ms: int, message: str) -> None:
    with pytest.raises(HoldError) as caught:
        transition(hold, event, now_ms=now_ms, by="eve", expires_at_ms=now_ms + 1)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("by", "expires_at_ms"), [(None, NOON + 9), ("ops", None), ("ops", NOON)], ids=str
)
def test_an_approval_needs_a_name_and_an_expiry_ahead(
    by: str | None, expires_at_ms: int | None
) -> None:
    with pytest.raises(HoldError):
        transition(PENDING, HoldEvent.APPROVE, now_ms=NOON, by=by, expires_at_ms=expires_at_ms)


def test_open_means_it_can_still_be_answered_or_used() -> None:
    assert is_open(PENDING, NOON)
    assert not is_open(PENDING, PENDING.expires_at_ms)
    assert not is_open(replace(PENDING, state=HoldState.USED), NOON)
