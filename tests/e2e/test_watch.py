"""`checkrein holds watch` in a real terminal, in front of a running proxy and an SDK agent that is held."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.speech import History, Turn, ask
from tests.e2e.conftest import Proxy

pytestmark = pytest.mark.e2e

RULES = """
version: 1
pack: watched
tools:
  - name: refund
    effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.id, reversibility: irreversible}]
gates:
  - {name: vip, when: 'effect.kind == "money.refund" && effect.target.startsWith("VIP")', message: A VIP needs a look.}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, window: 24h}
"""
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-Z\\-_])")
HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\u202eVIP[red]"


class Terminal:
    """A command in a pseudo-terminal: what it shows now, and keys for it."""

    def __init__(self, *arguments: str, columns: int = 120, rows: int = 30) -> None:
        self.screen, self.slave = pty.openpty()
        self.resize(columns, rows, tell=False)
        self.before = termios.tcgetattr(self.slave)
        environment = {
            name: v for name, v in os.environ.items() if name not in ("COLUMNS", "LINES")
        }
        root = str(Path(__file__).resolve().parents[2])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "proxy", *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**environment, "PYTHONPATH": root, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        self.output = ""

    def resize(self, columns: int, rows: int, *, tell: bool = True) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    @property
    def frame(self) -> str:
        """What the last whole drawing shows."""
        return ESCAPES.sub("", self.output.rsplit("\x1b[H", 1)[-1]).replace("\r\n", "\n")

    def wait_for(self, *texts: str, without: str | None = None) -> str:
        """Returns the frame that shows all of these; whitespace stands for any."""
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            shown = " ".join(self.frame.split())
            if all(text in shown for text in texts) and (without is None or without not in shown):
                return self.frame
            if select.select([self.screen], [], [], 0.1)[0]:
                self._read()
        raise AssertionError(f"{texts} not on the screen:\n{self.frame}")

    def _read(self) -> None:
        try:
            self.output += os.read(self.screen, 65536).decode("utf-8", "replace")
        except OSError:
            time.sleep(0.05)

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def ended(self) -> int:
        """Its exit code, once it has ended; what it still writes is read."""
        give_up = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < give_up:
            if select.select([self.screen], [], [], 0.05)[0]:
                self._read()
        code = self.process.wait(1)
        while select.select([self.screen], [], [], 0.05)[0]:
            self._read()
        return code

    @property
    def is_restored(self) -> bool:
        """Line mode as before, the usual screen, a cursor, no brackets around what is pasted."""
        left = self.output.rfind("\x1b[?1049l") > self.output.rfind("\x1b[?1049h")
        cursor = self.output.rfind("\x1b[?25h") > self.output.rfind("\x1b[?25l")
        pasting = self.output.rfind("\x1b[?2004l") > self.output.rfind("\x1b[?2004h")
        same = termios.tcgetattr(self.slave) == self.before
        return left and cursor and pasting and same

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        os.close(self.screen)
        os.close(self.slave)


class Call:
    """One refund that an SDK agent asks for, in a thread: it may be held."""

    def __init__(self, client: openai.OpenAI, session: str, target: str, amount: int) -> None:
        self._asked: tuple[Any, ...] = (client, session, target, amount)
        self.message: Any = None
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        client, session, target, amount = self._asked
        tool: Any = {"type": "function", "function": {"name": "refund", "parameters": {}}}
        answer = client.chat.completions.create(
            model="gpt-5-mini",
            messages=[{"role": "user", "content": f"{amount} {target}"}],
            tools=[tool],
            extra_headers={"X-Checkrein-Session": session},
        )
        self.message = answer.choices[0].message

    @property
    def came_through(self) -> bool:
        self._thread.join(30)
        return bool(self.message.tool_calls)


def script(history: History) -> Turn:
    """`AMOUNT TARGET` asks for a refund."""
    amount, target = history.user.split(" ", 1)
    return Turn("Let me see.", (ask("refund", id=target, amount=int(amount)),))


class Scene:
    def __init__(self, proxy: Proxy, client: openai.OpenAI) -> None:
        self.proxy = proxy
        self.client = client
        self.terminals: list[Terminal] = []

    def watch(self, *more: str, columns: int = 120, rows: int = 30) -> Terminal:
        arguments = (
            "holds",
            "watch",
            "--admin",
            str(self.proxy.admin),
            "--interval",
            "200ms",
            *more,
        )
        terminal = Terminal(*arguments, columns=columns, rows=rows)
        self.terminals.append(terminal)
        return terminal

    def refund(self, target: str, amount: int, session: str = "s") -> Call:
        return Call(self.client, session, target, amount)


@pytest.fixture
def scene(start_proxy: Any) -> Iterator[Scene]:
    with ScriptedModel(script) as model:
        proxy: Proxy = start_proxy("--upstream", model.url, rules=RULES, hold_wait="20s")
        with openai.OpenAI(
            api_key="sk-none",
            max_retries=0,
            base_url=f"{proxy.url}/v1",
            http_client=openai.DefaultHttpxClient(trust_env=False, timeout=60),
        ) as client:
            made = Scene(proxy, client)
            yield made
            for terminal in made.terminals:
                terminal.close()


def test_an_afternoon_at_the_desk(scene: Scene) -> None:
    """Approve once, deny with a reason, top up, freeze, a restart of the proxy, an answer that came too late; then quit."""
    desk = scene.watch("--by", "ops", columns=170)
    desk.wait_for("Nothing waits.")

    call = scene.refund("VIP-1", 10)
    desk.wait_for(
        "1 hold waits", "refund(id='VIP-1', amount=10)", "10 EUR", "irreversible", "A VIP needs"
    )
    desk.type("\r")
    desk.wait_for("money.refund 10 EUR on VIP-1 (irreversible)", "rules.yaml:8", "so far nothing")
    desk.type("a")
    desk.wait_for("Approve this call, once?", "10 EUR", "refund(id='VIP-1', amount=10)")
    desk.type("y")
    desk.wait_for("refund: approved.", "Nothing waits.")
    assert call.came_through

    denied = scene.refund(HOSTILE, 120)
    shown = desk.wait_for("\\x1b]52;c;ZXZpbA==\\x07\\x1b[2J\\u202eVIP[red]")
    assert "\u202e" not in desk.output
    assert "\x1b]52" not in desk.output
    assert "\x1b[2J" not in desk.output
    assert "120 EUR" in shown
    desk.type("d")
    desk.wait_for("The agent reads why:")
    desk.type("Not this ünit, ask")
    desk.type(" billing\r")
    desk.wait_for("refund: denied.", "Nothing waits.")
    assert not denied.came_through
    assert "Not this ünit, ask billing" in denied.message.content

    topped = scene.refund("A-1", 130)
    desk.wait_for("refund(id='A-1', amount=130)")
    desk.type("t+50")
    desk.wait_for("Top up refunds", "> +50")
    desk.type(" EUR for 1h\r")
    desk.wait_for("refunds +50 EUR for session:s until")
    assert topped.came_through

    scene.proxy.stop()
    desk.wait_for("no proxy", "no running proxy answers")
    scene.proxy.start()
    desk.wait_for("Nothing waits.")

    late = scene.refund("VIP-2", 5, "other")
    desk.wait_for("VIP-2")
    desk.type("a")
    desk.wait_for("Approve this call, once?")
    scene.proxy.answer("deny")
    desk.wait_for("It waits no more")
    desk.type("y")
    desk.wait_for("is already denied (by tester", "Nothing waits.")
    assert not late.came_through

    frozen = scene.refund("VIP-3", 5, "other")
    desk.wait_for("VIP-3")
    desk.type("D")
    desk.wait_for("Deny this call and freeze session other")
    desk.type("Stop.\r")
    desk.wait_for("session other is frozen")
    assert not frozen.came_through
    assert [
        one["frozen"] for one in scene.proxy.ask("/v1/sessions")["sessions"] if one["id"] == "other"
    ] == [True]

    desk.type("q")
    assert desk.ended() == 0
    assert desk.is_restored
    by = [(r["event"], r["by"]) for r in scene.proxy.records("hold") if r["by"] == "ops"]
    assert [event for event, _ in by if event != "used"] == [
        "approved",
        "denied",
        "approved",
        "denied",
    ]


def test_a_key_answers_what_was_shown(scene: Scene) -> None:
    """While a question stands, its hold is answered elsewhere and another comes: the other is not answered."""
    first = scene.refund("VIP-1", 1)
    desk = scene.watch(columns=60, rows=8)
    desk.wait_for("VIP-1")
    second = scene.refund("VIP-2", 2)
    desk.wait_for("2 holds wait")
    (oldest,) = [
        h
        for h in scene.proxy.ask("/v1/holds?state=pending")["holds"]
        if h["call"]["args"]["id"] == "VIP-1"
    ]
    scene.proxy.ask(f"/v1/holds/{oldest['id']}/deny", {"by": "somebody"})
    desk.wait_for("1 hold waits", "VIP-2")
    desk.type("ay")
    desk.wait_for("waits no more; j or k selects another")
    assert not first.came_through
    assert scene.proxy.wait_for_hold()["call"]["args"]["id"] == "VIP-2"
    desk.resize(150, 20)
    desk.wait_for("age left risk")
    desk.type("\x1b[B")
    desk.type("ayq")  # left at once: the answer is sent all the same
    assert desk.ended() == 0
    assert second.came_through


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0)],
    ids=["terminated", "hung-up", "interrupted"],
)
def test_the_terminal_is_put_back(tmp_path: Path, signum: signal.Signals, code: int) -> None:
    """Also where there is no proxy at all, a question is open, and somebody stops it."""
    desk = Terminal("holds", "watch", "--admin", str(tmp_path / "none.sock"))
    try:
        desk.wait_for("no running proxy answers")
        assert termios.tcgetattr(desk.slave) != desk.before
        desk.process.send_signal(signal.SIGTSTP)  # a stopped screen would leave no echo
        desk.type("/x")
        desk.wait_for("/x")
        desk.process.send_signal(signum)
        assert desk.ended() == code
        assert desk.is_restored
        assert "Traceback" not in desk.output
    finally:
        desk.close()
