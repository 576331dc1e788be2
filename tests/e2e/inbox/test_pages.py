"""Every page as it is seen: no serious finding of axe-core in either scheme and width, nothing an agent wrote comes alive, and what is shown where there is nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from tests.e2e.inbox.conftest import AXE, Desk, Waiting

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("test_pages")]

HOSTILE = "<img/src=x/onerror=window.owned=1>"
PICTURES = Path(__file__).resolve().parents[3] / "docs" / "pictures"
PAGES = {
    "inbox": "/",
    "hold": "/holds/{hold}",
    "sessions": "/sessions",
    "session": "/session?id=s-1",
    "fleet": "/fleet",
    "grants": "/grants",
    "rules": "/rules",
    "log": "/log",
    "lost": "/holds/none",
}
MORE = bool(os.environ.get("PICTURES"))
"""Pictures are taken in each look; what is wrong shows in one of each scheme and width."""
LOOKS: dict[str, dict[str, Any]] = {
    "desktop-light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "desktop-dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone-light": {"viewport": {"width": 360, "height": 780}, "color_scheme": "light"},
    "phone-dark": {"viewport": {"width": 360, "height": 780}, "color_scheme": "dark"},
}
PHOTOGRAPHED = {("inbox", "desktop-light"), ("inbox", "phone-dark"), ("hold", "desktop-light")}
PHOTOGRAPHED |= {("hold", "desktop-dark"), ("hold", "phone-light"), ("session", "desktop-light")}
PHOTOGRAPHED |= {("rules", "desktop-light"), ("log", "desktop-dark"), ("login", "phone-light")}


@pytest.fixture
def busy(start_desk: Callable[..., Desk]) -> Iterator[tuple[Desk, str]]:
    """A desk in the middle of a day: effects, a grant, a chain about to be completed, several that wait."""
    desk = start_desk()
    agent = desk.agent()
    for text in ("refund_order order=o-4711 amount=45", "read_secret name=prod/stripe"):
        assert agent.call(text)
    granted = agent.held("refund_order order=o-9 amount=80")
    desk.approve(desk.hold(), reason="known", grant={"target": "same", "amount": "100"})
    assert granted.came()
    waiting = [agent.held("upload url=https://paste.example/new?from=o-4711")]
    hold = desk.hold()
    for n in range(3):
        other = desk.agent(f"s-{n + 2}")
        waiting.append(other.held(f"refund_order order=o-{n} amount={150 + n}"))
        desk.hold(n + 2)
    waiting.append(desk.agent("s-8").held("delete_user user=u-7"))
    desk.hold(5)
    yield desk, hold
    desk.proxy.ask("/v1/signals/freeze", {"scope": "fleet", "by": "test"})
    for one in waiting:
        one.came()


def findings(page: Page) -> list[str]:
    """Returns what axe-core finds that is serious."""
    if not AXE.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("axe-core is not installed: scripts/test sets up tests/e2e/node")
        pytest.skip("axe-core is not installed: tests/e2e/node, which scripts/test sets up")
    page.evaluate(AXE.read_text())  # by the debugger: the page itself may run no such script
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['impact']}: {one['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def photograph(page: Page, name: str, look: str) -> None:
    if os.environ.get("PICTURES") and (name, look) in PHOTOGRAPHED:
        PICTURES.mkdir(exist_ok=True)
        page.screenshot(path=PICTURES / f"inbox-{name}-{look}.png", full_page="desktop" in look)


def _errors_to(said: list[str]) -> Callable[[ConsoleMessage], None]:
    return lambda message: said.append(message.text) if message.type == "error" else None


def test_every_page_in_every_look(busy: tuple[Desk, str]) -> None:
    """No serious finding, no script of ours fails, and no page is wider than a phone."""
    desk, hold = busy
    wrong: dict[str, Any] = {}
    for look, options in LOOKS.items():
        if look in ("desktop-dark", "phone-light") and not MORE:
            continue
        page = desk.browse(None, **options)
        said: list[str] = []
        page.on("console", _errors_to(said))
        page.goto(f"{desk.url}/login")
        photograph(page, "login", look)
        wrong[f"login {look}"] = findings(page)
        desk.sign_in(page, "ada")
        for name, path in PAGES.items():
            said.clear()
            page.goto(desk.url + path.format(hold=hold))
            photograph(page, name, look)
            wrong[f"{name} {look}"] = [
                *findings(page),
                *(text for text in said if "404" not in text),
            ]
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > options["viewport"]["width"]:
                wrong[f"{name} {look}"].append(f"{width} px wide")
    assert {name: found for name, found in wrong.items() if found} == {}


def test_the_holds_page_shows_the_chain_and_where_data_came_from(busy: tuple[Desk, str]) -> None:
    desk, hold = busy
    page = desk.browse()
    page.goto(f"{desk.url}/holds/{hold}")
    expect(page.locator("svg polyline.chain title")).to_have_text("chain secret-leaves")
    expect(page.get_by_text("cannot be undone").first).to_be_visible()
    expect(page.locator(".reasons")).to_contain_text("secret-leaves")
    expect(page.locator(".reasons .place")).to_contain_text("rules.yaml:")


def test_alike_ones_are_one_line(busy: tuple[Desk, str]) -> None:
    desk, _ = busy
    page = desk.browse()
    page.goto(f"{desk.url}/")
    expect(page.get_by_text("2 more alike")).to_be_visible()
    page.get_by_text("2 more alike").click()
    expect(page.locator("a.hold:visible")).to_have_count(5)


def test_an_auditor_prints_a_session(busy: tuple[Desk, str], tmp_path: Path) -> None:
    """On paper there is no navigation, and everything that was decided with who decided it."""
    desk, _ = busy
    page = desk.browse()
    page.goto(f"{desk.url}/session?id=s-1")
    page.emulate_media(media="print")
    expect(page.locator("header.top")).to_be_hidden()
    expect(page.locator("#decisions ~ .wide table")).to_contain_text("hold approved by pager")
    assert page.pdf(path=tmp_path / "session.pdf").startswith(b"%PDF")


@pytest.mark.parametrize("where", ["argument", "tool", "session", "reason"])
def test_what_an_agent_wrote_does_not_come_alive(desk: Desk, where: str) -> None:
    """Markup in an argument, a tool's name, a session's name, a human's reason: shown as it is written on every page."""
    session = HOSTILE if where == "session" else "s-1"
    text = f"{HOSTILE} a=1" if where == "tool" else f"refund_order order={HOSTILE} amount=145"
    waiting: Waiting = desk.agent(session).held(text)
    hold = desk.hold()
    page = desk.browse()
    if where == "reason":
        desk.approve(hold, reason=HOSTILE, grant={"target": "any"})
        waiting.came()
    name = session.replace("/", "%2F").replace("=", "%3D").replace("<", "%3C").replace(">", "%3E")
    for path in ("/", f"/holds/{hold}", "/sessions", f"/session?id={name}", "/grants", "/log"):
        page.goto(desk.url + path)
        page.wait_for_timeout(30)
        assert page.evaluate("window.owned") is None, path
        assert page.locator("img").count() == 0, path
    page.goto(f"{desk.url}/log?text={name}")
    assert page.evaluate("window.owned") is None
    if where != "reason":
        desk.proxy.ask("/v1/signals/freeze", {"scope": "fleet", "by": "test"})
    waiting.came()


def test_pages_with_nothing_on_them(desk: Desk) -> None:
    page = desk.browse()
    empty = {
        "/": "Nothing waits.",
        "/sessions": "No session was seen yet.",
        "/grants": "Nothing is granted.",
        "/log?text=nothing-like-it": "Nothing found",
    }
    for path, text in empty.items():
        page.goto(desk.url + path)
        expect(page.locator("main")).to_contain_text(text)


def test_a_log_that_is_gone_is_said(desk: Desk) -> None:
    page = desk.browse()
    desk.proxy.log.unlink()
    page.goto(f"{desk.url}/log")
    expect(page.get_by_role("alert").first).to_contain_text("The decision log cannot be read")


def test_a_proxy_that_goes_away_is_said(desk: Desk) -> None:
    """What is on the page may be old: the page says so, and takes it back when the proxy is there again."""
    page = desk.browse()
    page.goto(f"{desk.url}/")
    desk.proxy.kill()
    expect(page.locator("#lost")).to_be_visible()


def test_the_log_is_searched(desk: Desk) -> None:
    agent = desk.agent()
    assert agent.call("refund_order order=o-77 amount=3")
    assert agent.call("refund_order order=o-78 amount=3")
    page = desk.browse()
    page.goto(f"{desk.url}/log")
    page.get_by_label("Text").fill("o-77")
    page.get_by_label("Type").select_option("decision")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".records li")).to_have_count(1)
    page.locator(".records summary").click()
    shown = page.locator(".records pre").inner_text()
    assert json.loads(shown)["call"]["args"]["order"] == "o-77"
