"""The inbox's list: two thousand holds a page at a time, those alike together, and answers by forms alone."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit
from proxy.model import Hold, HoldState
from tests.inbox.web.conftest import Site

BIG = '{"order": "o1", "amount": 145}'


async def held(site: Site) -> Hold:
    decision = await site.bench.decide(site.bench.call(text=BIG))
    assert decision.hold is not None
    return decision.hold


async def add(site: Site, holds: list[Hold]) -> None:
    def put(tx: Transaction, _emit: Emit) -> None:
        for hold in holds:
            tx.add_hold(hold)

    await site.bench.pipeline.in_transaction(put)


async def test_two_thousand_holds(site: Site) -> None:
    """A page has a hundred at most, says how many there are, and leads to the rest."""
    hold = await held(site)
    others = [replace(hold, id=f"id-{n}", session=f"s-{n}", agent=f"a-{n}") for n in range(1_999)]
    await add(site, others)
    client = await site.signed_in()
    first = (await client.get("/")).text
    assert "2000 wait" in first
    assert len(re.findall(r'<a class="hold ', first)) == 100
    assert "page 1 of 20" in first
    last = (await client.get("/?page=20")).text
    assert 'id="h-id-1998"' in last
    assert len(last) < 300_000
    assert (await client.get("/?page=21")).status_code == 200


async def test_those_alike_are_one_line(site: Site) -> None:
    hold = await held(site)
    await add(site, [replace(hold, id=f"id-{n}") for n in range(11)])
    page = (await (await site.signed_in()).get("/waiting")).text
    assert "11 more alike" in page
    assert len(re.findall(r"<summary>", page)) == 1


@pytest.mark.parametrize(
    ("form", "status", "state"),
    [
        pytest.param({"answer": "approve"}, 303, "approved", id="approve"),
        pytest.param({"answer": "deny", "reason": "no"}, 303, "denied", id="deny"),
        pytest.param(
            {"answer": "grant", "amount": "200", "for": "15m"}, 303, "approved", id="grant"
        ),
        pytest.param(
            {"answer": "top-up", "budget": "refunds", "extra": "50"}, 303, "approved", id="top-up"
        ),
        pytest.param({}, 409, "pending", id="no-answer"),
        pytest.param({"answer": "grant", "amount": "-1"}, 409, "pending", id="less-than-nothing"),
        pytest.param({"answer": "grant", "amount": "NaN"}, 409, "pending", id="no-number"),
        pytest.param(
            {"answer": "top-up", "budget": "refunds"}, 409, "pending", id="top-up-of-nothing"
        ),
        pytest.param(
            {"answer": "top-up", "budget": "pays", "extra": "5"},
            409,
            "pending",
            id="another-budget",
        ),
    ],
)
async def test_a_form(site: Site, form: dict[str, str], status: int, state: str) -> None:
    hold = await held(site)
    client = await site.signed_in()
    answer = await client.post(f"/holds/{hold.id}/answer", data=form)
    assert answer.status_code == status
    assert (await site.bench.pipeline.desk.get(hold.id)).state == state


async def test_a_hold_is_found_by_its_whole_id_alone(site: Site) -> None:
    """At the command line a beginning will do; a link or a form names one hold."""
    hold = await held(site)
    client = await site.signed_in()
    for named in (hold.id[:8], hold.id[-8:], hold.id.upper(), "none"):
        assert (await client.get(f"/holds/{named}")).status_code == 404
        answer = await client.post(f"/holds/{named}/answer", data={"answer": "approve"})
        assert answer.status_code == 409
    assert (await site.bench.pipeline.desk.get(hold.id)).state is HoldState.PENDING


async def test_who_comes_second_is_told(site: Site) -> None:
    hold = await held(site)
    client = await site.signed_in()
    await site.bench.pipeline.desk.deny(hold.id, "bob", "too much")
    answer = await client.post(f"/holds/{hold.id}/answer", data={"answer": "approve"})
    assert answer.status_code == 409
    assert "already denied (by bob" in answer.text


async def test_a_no_from_an_old_page_takes_no_yes_back(site: Site) -> None:
    """It is about what the page showed; from a page that shows the approval it does."""
    hold = await held(site)
    client = await site.signed_in()
    await site.bench.pipeline.desk.approve(hold.id, "bob")
    answer = await client.post(f"/holds/{hold.id}/answer", data={"answer": "deny"})
    assert (answer.status_code, "already approved (by bob)" in answer.text) == (409, True)
    form = {"answer": "deny", "was": "approved"}
    assert (await client.post(f"/holds/{hold.id}/answer", data=form)).status_code == 303
