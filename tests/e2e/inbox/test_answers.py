"""People answer in a real browser while a real SDK waits: each answer, several people, live pages, and who is not let in."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import time

import pytest
from playwright.sync_api import expect

from proxy.pipeline.links import Links
from tests.e2e.inbox.conftest import TOKEN, Desk

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("test_answers")]


def test_approve_once(desk: Desk) -> None:
    """The held agent's call passes on its open connection; the page says who answered."""
    waiting = desk.agent().held("refund_order order=o-1 amount=145")
    hold = desk.hold()
    page = desk.browse()
    page.goto(f"{desk.url}/")
    page.get_by_role("link", name="refund_order").first.click()
    expect(page.locator("pre").first).to_contain_text('"amount": 145')
    expect(page.get_by_text("0 → 145 of 100 EUR")).to_be_visible()
    page.get_by_label("Note").first.fill("checked the invoice")
    page.get_by_role("button", name="Approve once").click()
    assert waiting.came()
    expect(page.get_by_text("Answered: approved.")).to_be_visible()
    page.goto(f"{desk.url}/holds/{hold}")
    expect(page.locator("#standing")).to_contain_text("Used by ada")
    events = [(r["event"], r["by"], r["reason"]) for r in desk.proxy.records("hold")]
    assert events[0] == ("approved", "ada", "checked the invoice")


def test_deny_with_a_reason_that_the_agent_reads(desk: Desk) -> None:
    agent = desk.agent()
    waiting = agent.held("refund_order order=o-1 amount=145")
    page = desk.browse()
    page.goto(f"{desk.url}/holds/{desk.hold()}")
    page.locator("#deny").get_by_label("Reason").fill("ask for the receipt first")
    page.get_by_role("button", name="Deny").click()
    assert not waiting.came()
    assert "ask for the receipt first" in agent.said


def test_deny_and_freeze(desk: Desk) -> None:
    """Nothing of the session runs any more, and the session's page says so; thawed, it runs again."""
    agent = desk.agent()
    waiting = agent.held("refund_order order=o-1 amount=145")
    page = desk.browse()
    page.goto(f"{desk.url}/holds/{desk.hold()}")
    page.get_by_label("freeze the whole session").check()
    page.get_by_role("button", name="Deny").click()
    assert not waiting.came()
    assert not agent.call("refund_order order=o-2 amount=1")
    page.goto(f"{desk.url}/session?id=s-1")
    expect(page.locator(".meta .over-word")).to_have_text("frozen")
    page.get_by_role("button", name="Thaw this session").click()
    expect(page.get_by_role("button", name="Freeze this session")).to_be_visible()
    assert agent.call("refund_order order=o-3 amount=1")


def test_a_grant_for_calls_like_it(desk: Desk) -> None:
    agent = desk.agent()
    waiting = agent.held("refund_order order=o-1 amount=145")
    page = desk.browse()
    page.goto(f"{desk.url}/holds/{desk.hold()}")
    page.get_by_text("Approve calls like it").click()
    page.get_by_label("At most").fill("150")
    page.get_by_role("button", name="Approve and grant").click()
    assert waiting.came()
    assert agent.call("refund_order order=o-1 amount=146")
    page.goto(f"{desk.url}/grants")
    expect(page.locator("tbody tr")).to_contain_text("refund_order on o-1, at most 150 EUR")
    page.get_by_role("button", name="Revoke").click()
    expect(page.locator("tbody tr")).to_contain_text("revoked")


def test_a_top_up(desk: Desk) -> None:
    agent = desk.agent()
    waiting = agent.held("refund_order order=o-1 amount=145")
    page = desk.browse()
    page.goto(f"{desk.url}/holds/{desk.hold()}")
    page.get_by_text("Top up a budget").click()
    page.get_by_label("How much more").fill("500")
    page.get_by_role("button", name="Approve and top up").click()
    assert waiting.came()
    assert agent.call("refund_order order=o-2 amount=200")


def test_two_people_and_a_live_page(desk: Desk) -> None:
    """One yes is not enough; the other's page says so without being loaded again, and theirs ends the wait."""
    waiting = desk.agent().held("delete_user user=u-7")
    hold = desk.hold()
    ada, bob = desk.browse("ada"), desk.browse("bob")
    bob.goto(f"{desk.url}/holds/{hold}")
    bob.evaluate("window.sameDocument = true")
    ada.goto(f"{desk.url}/holds/{hold}")
    ada.get_by_role("button", name="Approve once").click()
    expect(bob.get_by_text("1 of 2 people have said yes: ada")).to_be_visible()
    ada.goto(f"{desk.url}/holds/{hold}")
    expect(ada.get_by_text("You have said yes.")).to_be_visible()
    expect(ada.get_by_role("button", name="Approve once")).to_have_count(0)
    assert bob.evaluate("window.sameDocument") is True
    bob.get_by_role("button", name="Approve once").click()
    assert waiting.came()


def test_the_list_lives(desk: Desk) -> None:
    """A new hold appears, an answered one goes, and the keyboard's place stays, without a reload."""
    page = desk.browse()
    page.goto(f"{desk.url}/")
    expect(page.get_by_text("Nothing waits.")).to_be_visible()
    page.evaluate("window.sameDocument = true")
    first = desk.agent("s-1").held("refund_order order=o-1 amount=145")
    expect(page.locator(".count")).to_have_text("1 waits")
    page.keyboard.press("j")
    focused = page.evaluate("document.activeElement.id")
    assert focused.startswith("h-")
    second = desk.agent("s-2").held("unknown_tool a=1")
    expect(page.locator(".count")).to_have_text("2 wait")
    assert page.evaluate("document.activeElement.id") == focused
    for hold in desk.proxy.ask("/v1/holds?state=pending")["holds"]:
        desk.proxy.ask(f"/v1/sessions/{hold['session']}/freeze", {"by": "ops"})
    expect(page.get_by_text("Nothing waits.")).to_be_visible()
    assert page.evaluate("window.sameDocument") is True
    assert not first.came()
    assert not second.came()


def test_the_second_of_two_is_told_who_answered(desk: Desk) -> None:
    waiting = desk.agent().held("refund_order order=o-1 amount=145")
    hold = desk.hold()
    ada, bob = desk.browse("ada", java_script_enabled=False), desk.browse("bob")
    for page in (ada, bob):
        page.goto(f"{desk.url}/holds/{hold}")
    bob.locator("#deny").get_by_role("button", name="Deny").click()
    assert not waiting.came()
    ada.get_by_role("button", name="Approve once").click()
    expect(ada.locator("main")).to_contain_text(re.compile("already denied \\(by bob"))


def test_the_whole_fleet(desk: Desk) -> None:
    waiting = desk.agent().held("refund_order order=o-1 amount=145")
    desk.hold()
    page = desk.browse("eve")
    page.goto(f"{desk.url}/sessions")
    page.get_by_role("link", name="Stop everything").click()
    page.get_by_label("Reason").fill("drill")
    page.get_by_role("button", name="Freeze the fleet").click()
    expect(page.get_by_role("heading", name="All agents are frozen")).to_be_visible()
    assert not waiting.came()
    page.get_by_role("button", name="Thaw the fleet").click()
    assert desk.agent("s-9").call("refund_order order=o-1 amount=5")


def test_keys_alone(desk: Desk) -> None:
    """From the inbox to an approval without a pointer."""
    waiting = desk.agent().held("refund_order order=o-1 amount=145")
    desk.hold()
    page = desk.browse()
    page.goto(f"{desk.url}/")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/holds/*")
    page.keyboard.press("a")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert waiting.came()


def test_who_may_not_answer_sees_why(desk: Desk) -> None:
    waiting = desk.agent().held("refund_order order=o-1 amount=145")
    hold = desk.hold()
    page = desk.browse("eve")
    page.goto(f"{desk.url}/holds/{hold}")
    expect(page.get_by_text("needs the right 'answer'")).to_be_visible()
    expect(page.get_by_role("button", name="Approve once")).to_have_count(0)
    desk.proxy.ask("/v1/sessions/s-1/freeze", {"by": "ops"})
    assert not waiting.came()


def test_signing_in_that_fails(desk: Desk) -> None:
    """One answer for a wrong password and an unknown name; after a few, none is looked at."""
    page = desk.browse(None)
    page.goto(f"{desk.url}/holds/0193")
    expect(page).to_have_url(re.compile(r"/login\?next="))
    said = []
    for name in ("ada", "nobody"):
        desk.sign_in(page, name, "wrong")
        said.append(page.locator("#problem").inner_text())
    assert said == ["Name or password is wrong."] * 2
    for _ in range(12):  # a slow machine takes as long for a try as the first waits are
        desk.sign_in(page, "ada", "wrong")
        if "Too many tries" in page.locator("#problem").inner_text():
            break
    else:
        pytest.fail("ada's name was tried a dozen times")
    desk.sign_in(page, "bob")
    expect(page.get_by_role("heading", name="Waiting")).to_be_visible()


def test_a_bad_edit_of_the_rules_is_shown(desk: Desk) -> None:
    page = desk.browse()
    page.goto(f"{desk.url}/")
    (desk.proxy.folder / "rules.yaml").write_text("version: 1\nbudgts: []\n")
    expect(page.get_by_text("The last edit of the rules was not taken over")).to_be_visible()
    page.get_by_text("1 mistake").click()
    expect(page.get_by_text("did you mean 'budgets'?")).to_be_visible()


def make_link(desk: Desk, hold: str, *, hours_ago: int = 0) -> str:
    """A link as a notice has it, made with the ledger's own key."""
    with sqlite3.connect(desk.proxy.folder / "state.sqlite") as db:
        db.execute("INSERT OR IGNORE INTO state_keys VALUES ('links', randomblob(32))")
        rows = db.execute("SELECT key FROM state_keys WHERE name = 'links'").fetchall()
    db.close()
    (key,) = (row[0] for row in rows)
    return Links(key, desk.url).make(hold, "slack", int((time.time() - hours_ago * 3600) * 1000))


def test_a_link_from_a_notice(desk: Desk) -> None:
    """It leads to the hold's page, after signing in, once; expired, forged or used it says so, and it never answers."""
    waiting = desk.agent().held("refund_order order=o-1 amount=145")
    hold = desk.hold()
    page = desk.browse(None)
    desk.sign_in(page, "ada", to="/login?next=/l/none")
    expect(page.get_by_role("heading", name="This link leads nowhere")).to_be_visible()
    expect(page.locator("main")).to_contain_text("this link was not made here")
    link = make_link(desk, hold)
    page.goto(link)
    expect(page).to_have_url(f"{desk.url}/holds/{hold}")
    for spent, why in (
        (link, "this link has been used"),
        (make_link(desk, hold, hours_ago=25), "this link has expired"),
        (link[:-2] + "xx", "this link was not made here"),
    ):
        page.goto(spent)
        expect(page.locator("main")).to_contain_text(why)
    assert desk.proxy.ask(f"/v1/holds/{hold}")["state"] == "pending"
    other = desk.browse(None)
    other.goto(make_link(desk, hold))
    expect(other).to_have_url(re.compile(r"/login\?next=%2Fl%2F"))
    desk.sign_in(other, "bob", to=other.url.removeprefix(desk.url))
    expect(other).to_have_url(f"{desk.url}/holds/{hold}")
    desk.proxy.ask("/v1/signals/freeze", {"scope": "fleet", "by": "test"})
    assert not waiting.came()


def test_an_api_token_at_the_command_line(desk: Desk) -> None:
    """With people, an answer over the socket is by a token's owner; a name alone is refused."""
    waiting = desk.agent().held("refund_order order=o-1 amount=145")
    hold = desk.hold()

    def typed(*options: str, **more: str) -> str:
        argv = [sys.executable, "-m", "proxy", "holds", "approve", hold]
        argv += ["--admin", str(desk.proxy.admin), *options]
        environment = {**os.environ, **more}
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout + done.stderr

    assert "an answer needs an API token; set CHECKREIN_TOKEN" in typed()
    assert "this API token is nobody's" in typed(CHECKREIN_TOKEN="crt_guess")
    file = desk.proxy.admin.parent / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o640)
    assert "others may read it" in typed("--token-file", str(file))
    file.chmod(0o600)
    assert "approved by pager" in typed("--token-file", str(file), CHECKREIN_TOKEN="crt_guess")
    assert waiting.came()
