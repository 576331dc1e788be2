"""A proxy with people and a web inbox, an SDK agent that is held, and a real Chromium in which people answer.

The browser is the system's (Debian's `chromium`); playwright drives it and brings none. Where there is none the tests are skipped by name, under CI=true that is a failure.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from proxy.people.people import hashed, new_token
from tests.e2e.conftest import Proxy

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser")) if p), None)
AXE = Path(__file__).resolve().parents[1] / "node" / "node_modules" / "axe-core" / "axe.min.js"
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "correct horse"
HASH = hashed(PASSWORD)
TOKEN, TOKEN_DIGEST = new_token()

RULES = """
version: 1
pack: desk
tools:
  - name: refund_order
    effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.order, reversibility: irreversible}]
  - {name: read_secret, effects: [{kind: data.read.secret, target: args.name}]}
  - {name: upload, effects: [{kind: data.egress, target: args.url, reversibility: irreversible}]}
  - {name: delete_user, effects: [{kind: record.delete, target: args.user, reversibility: compensable}]}
gates:
  - {name: deletions, when: effect.kind == "record.delete", message: A user would be gone.}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, window: 24h, warn_at: 0.8}
chains:
  - {name: secret-leaves, steps: [data.read.secret, data.egress], on_match: hold, message: A secret was read before.}
approvals:
  - {name: two-for-users, for: deletions, by: [leads], approvals: 2}
unmapped: hold
"""
PEOPLE = f"""
version: 1
people:
  - {{name: ada, password: "{HASH}", groups: [leads]}}
  - {{name: bob, password: "{HASH}", groups: [leads]}}
  - {{name: eve, password: "{HASH}", groups: [guests], may: [freeze]}}
  - {{name: pager, token: "{TOKEN_DIGEST}", groups: [leads]}}
"""


def script(history: History) -> Turn:
    """`TOOL key=value …` asks for that call."""
    if history.fresh:
        return Turn("Noted.")
    tool, *given = history.user.split(" ")
    arguments: dict[str, Any] = dict(part.split("=", 1) for part in given)
    if "amount" in arguments:
        arguments["amount"] = int(arguments["amount"])
    return Turn("Let me see.", (ask(tool, **arguments),))


@dataclass
class Agent:
    """An agent over Chat Completions; each call waits in a thread of its own."""

    base_url: str
    session: str
    messages: list[Any] = field(default_factory=list)
    proxy: str | None = None  # a forward proxy on the way
    said: str = ""

    def call(self, text: str) -> bool:
        """Asks for a call; returns whether it came through."""
        with openai.OpenAI(
            api_key="sk-none",
            max_retries=0,
            base_url=self.base_url,
            default_headers={"X-Checkrein-Session": self.session},
            http_client=openai.DefaultHttpxClient(trust_env=False, timeout=60, proxy=self.proxy),
        ) as client:
            self.messages.append({"role": "user", "content": text})
            made: Any = client.chat.completions.create(
                model="gpt-5-mini", messages=self.messages, tools=[_tool(text.split(" ")[0])]
            )
        message = made.choices[0].message
        self.messages.append(message)
        for call in message.tool_calls or ():
            self.messages.append({"role": "tool", "tool_call_id": call.id, "content": "Done."})
        self.said = message.content or ""
        return bool(message.tool_calls)

    def held(self, text: str) -> Waiting:
        """Asks for a call that is held."""
        return Waiting(self, text)


class Waiting:
    """A call on its way."""

    def __init__(self, agent: Agent, text: str) -> None:
        self._came: list[bool] = []
        self._thread = threading.Thread(target=lambda: self._came.append(agent.call(text)))
        self._thread.start()

    def came(self) -> bool:
        """Returns whether it came through, once it has an answer."""
        self._thread.join(40)
        return self._came[0]


def _tool(name: str) -> Any:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


@dataclass
class Desk:
    """Everything of one test."""

    proxy: Proxy
    url: str
    open_browser: Callable[..., BrowserContext]

    def agent(self, session: str = "s-1") -> Agent:
        return Agent(f"{self.proxy.url}/v1", session)

    def hold(self, count: int = 1) -> str:
        return str(self.proxy.wait_for_hold(count=count)["id"])

    def approve(self, hold: str, **body: Any) -> None:
        """Approves by the API token of `pager`."""
        self.proxy.ask(f"/v1/holds/{hold}/approve", body, token=TOKEN)

    def browse(self, name: str | None = "ada", **options: Any) -> Page:
        """Returns a page of somebody who has signed in; None: of nobody."""
        page = self.open_browser(**options).new_page()
        page.set_default_timeout(15_000)
        if name is not None:
            self.sign_in(page, name)
        return page

    def sign_in(self, page: Page, name: str, password: str = PASSWORD, to: str = "/login") -> None:
        page.goto(self.url + to)
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(password)
        with page.expect_navigation():
            page.get_by_role("button", name="Sign in").click()


@pytest.fixture(scope="module")  # its loop runs while it is there: no other module may use one then
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed: scripts/test installs it on Debian")
        pytest.skip("chromium is not installed: on Debian 'apt-get install chromium'")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        yield made
        made.close()


@pytest.fixture
def start_desk(start_proxy: Any, tmp_path: Path, browser: Browser) -> Iterator[Callable[..., Desk]]:
    contexts: list[BrowserContext] = []

    def open_browser(**options: Any) -> BrowserContext:
        contexts.append(browser.new_context(**options))
        return contexts[-1]

    with ScriptedModel(script) as model:

        def start(*options: str, rules: str = RULES, people: str = PEOPLE) -> Desk:
            file = tmp_path / "people.yaml"
            file.write_text(people)
            file.chmod(0o600)
            given = ("--people", str(file), "--inbox", "127.0.0.1:0", "--upstream", model.url)
            proxy: Proxy = start_proxy(*given, *options, rules=rules)
            return Desk(proxy, f"http://{proxy.ask('/v1/status')['inbox']}", open_browser)

        yield start
        for context in contexts:
            context.close()


@pytest.fixture
def desk(start_desk: Callable[..., Desk]) -> Desk:
    return start_desk()
