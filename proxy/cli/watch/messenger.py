"""Carries commands to the proxy, one after the other, in a thread; what comes of each is put into a queue.

How it works. The screen must not wait for the proxy, so commands go into a queue and events come out of another; `wake` is
called for each. An answer that was given is sent even where the screen is left at once: `finish` waits for it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path

from proxy.cli.admin import AdminClient, answer_token, quoted
from proxy.cli.watch.events import (
    Answer,
    Answered,
    Approve,
    Away,
    Deny,
    Event,
    Freeze,
    Hold,
    Listed,
    Refresh,
    Refused,
)
from proxy.errors import CheckreinError, ConfigurationError


class Messenger:
    """One thread between the screen and the proxy.

    Args:
        admin: the admin socket, as named on the command line.
        by: who answers.
        wake: is called when an event is there to be taken.
    """

    def __init__(self, admin: Path | None, by: str | None, wake: Callable[[], None]) -> None:
        self._admin = admin
        self._by = by
        self._token = answer_token()  # here: the thread has no command line
        self._wake = wake
        self._commands: queue.SimpleQueue[Answer | Refresh | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self.looks = 0  # Refreshes that are on their way
        self.answers = 0  # answers that are

    def start(self) -> None:
        self._thread.start()

    def send(self, command: Answer | Refresh) -> None:
        if isinstance(command, Refresh):
            self.looks += 1
        else:
            self.answers += 1
        self._commands.put(command)

    def take(self) -> list[Event]:
        """Returns the events that have come."""
        made: list[Event] = []
        while not self._events.empty():
            event = self._events.get()
            if isinstance(event, Answered | Refused):
                self.answers -= 1
            else:
                self.looks -= 1
            made.append(event)
        return made

    def finish(self, within_s: float) -> list[Event]:
        """Returns what came of the answers that are on their way, waiting for them."""
        self._commands.put(None)
        if self.answers:
            self._thread.join(within_s)
        return self.take()

    def _carry(self) -> None:
        while (command := self._commands.get()) is not None:
            self._events.put(self._done(command))
            self._wake()

    def _done(self, command: Answer | Refresh) -> Event:
        try:
            client = AdminClient(
                self._admin, token=self._token
            )  # looks for the socket again: a proxy comes and goes
            if isinstance(command, Refresh):
                return _looked(client, command)
            return self._answered(client, command)
        except CheckreinError as error:
            text = str(error)
        except Exception as error:  # noqa: BLE001  # an answer that is no proxy's; the screen goes on
            text = f"the proxy answered what is not understood: {error!r}"
        return Away(text) if isinstance(command, Refresh) else Refused(command, text)

    def _answered(self, client: AdminClient, answer: Answer) -> Event:
        match answer:
            case Approve(hold_id, grant):
                body = {"by": self._by, "grant": None if grant is None else dict(grant)}
                return Answered(answer, client.post(f"/v1/holds/{quoted(hold_id)}/approve", body))
            case Freeze(session):
                return Answered(answer, _freeze(client, session, self._by, None))
            case Deny(hold_id, reason, session):
                # Frozen first: once it is denied the agent goes on, with another call.
                if session is not None:
                    _freeze(client, session, self._by, reason)
                # What is shown waits: a no to it takes back no yes that came meanwhile.
                body = {"by": self._by, "reason": reason, "seen": "pending"}
                try:
                    view = client.post(f"/v1/holds/{quoted(hold_id)}/deny", body)
                except CheckreinError as error:
                    frozen = "" if session is None else f"session {session} is frozen; "
                    return Refused(answer, f"{frozen}{error}")
                return Answered(answer, view)


def _freeze(client: AdminClient, session: str, by: str | None, reason: str | None) -> Hold:
    body = {"by": by, "reason": reason}
    return client.post(f"/v1/sessions/{quoted(session)}/freeze", body)


def _looked(client: AdminClient, command: Refresh) -> Event:
    holds = client.get("/v1/holds", state=["pending"])["holds"]
    shown = None
    if command.show is not None:
        try:
            shown = client.get(f"/v1/holds/{quoted(command.show)}")
        except ConfigurationError:
            raise
        except CheckreinError:
            shown = None  # it is gone: the list says so
    return Listed(tuple(holds), shown)
