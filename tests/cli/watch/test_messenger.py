"""What the messenger asks of the proxy, in which order, and what it makes of odd answers."""

from __future__ import annotations

import json
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.watch.events import (
    Answer,
    Answered,
    Approve,
    Away,
    Deny,
    Event,
    Freeze,
    Listed,
    Refresh,
    Refused,
)
from proxy.cli.watch.messenger import Messenger

HOLD = {"id": "h 1", "state": "denied"}


class Desk:
    """A proxy's admin socket that says what a test wants."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}

    def carry(self, *commands: Answer | Refresh) -> list[Event]:
        """Returns what came of commands, once all of them have been carried."""
        woken = threading.Event()
        messenger = Messenger(self.path, "ops", woken.set)
        messenger.start()
        made: list[Event] = []
        for command in commands:
            messenger.send(command)
        while len(made) < len(commands):
            assert woken.wait(20)
            woken.clear()
            made += messenger.take()
        messenger.finish(1)
        assert (messenger.looks, messenger.answers) == (0, 0)
        return made


@pytest.fixture
def desk() -> Iterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="cr-") as folder:
        made = Desk(Path(folder) / "a.sock")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                made.asked.append((self.path, json.loads(body) if body else None))
                status, answer = made.answers.get(self.path, (200, b"{}"))
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        with socketserver.UnixStreamServer(str(made.path), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            yield made
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (Approve("h 1"), [("/v1/holds/h%201/approve", {"by": "ops", "grant": None})]),
        (
            Approve("h", {"target": "any"}),
            [("/v1/holds/h/approve", {"by": "ops", "grant": {"target": "any"}})],
        ),
        (Deny("h", "no"), [("/v1/holds/h/deny", {"by": "ops", "reason": "no", "seen": "pending"})]),
        (Freeze("a/b"), [("/v1/sessions/a%2Fb/freeze", {"by": "ops", "reason": None})]),
        (
            Deny("h", "no", "s"),
            [
                ("/v1/sessions/s/freeze", {"by": "ops", "reason": "no"}),
                ("/v1/holds/h/deny", {"by": "ops", "reason": "no", "seen": "pending"}),
            ],
        ),
    ],
    ids=["approve", "grant", "deny", "freeze", "deny-and-freeze"],
)
def test_what_is_asked(desk: Desk, command: Answer, asked: list[tuple[str, Any]]) -> None:
    """A session is frozen before its call is denied: the agent goes on at once."""
    assert desk.carry(command) == [Answered(command, {})]
    assert desk.asked == asked


def test_the_list_and_one_in_full(desk: Desk) -> None:
    desk.answers["/v1/holds?state=pending"] = (200, json.dumps({"holds": [HOLD]}).encode())
    desk.answers["/v1/holds/h"] = (200, json.dumps(HOLD).encode())
    desk.answers["/v1/holds/gone"] = (409, b'{"error": "there is none"}')
    events = desk.carry(Refresh(), Refresh("h"), Refresh("gone"))
    assert events == [Listed((HOLD,)), Listed((HOLD,), HOLD), Listed((HOLD,))]


def test_a_refusal_says_what_was_done(desk: Desk) -> None:
    """Denied by somebody else already: the session is frozen all the same, and the words say both."""
    desk.answers["/v1/holds/h/deny"] = (409, b'{"error": "hold h is already denied (by eva)"}')
    command = Deny("h", None, "s")
    said = "session s is frozen; hold h is already denied (by eva)"
    assert desk.carry(command) == [Refused(command, said)]


@pytest.mark.parametrize(
    "answer",
    [(200, b"no json"), (200, b"[]"), (200, b"{}"), (502, b"<html>"), (503, b'{"error": "full"}')],
    ids=["text", "list", "empty", "gateway", "no-ledger"],
)
def test_an_odd_answer_ends_nothing(desk: Desk, answer: tuple[int, bytes]) -> None:
    """It is told, and the next question is asked."""
    desk.answers["/v1/holds?state=pending"] = answer
    first, second = desk.carry(Refresh(), Freeze("s"))
    assert isinstance(first, Away)
    assert isinstance(second, Answered)


def test_no_proxy(tmp_path: Path) -> None:
    looked, answered = Desk(tmp_path / "none").carry(Refresh(), Approve("h"))
    assert isinstance(looked, Away)
    assert "no running proxy answers" in looked.text
    assert isinstance(answered, Refused)
