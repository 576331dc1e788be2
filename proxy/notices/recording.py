"""What happens, written into the outbox: `pipeline.happenings` of a proxy that tells somebody.

What belongs here: which lanes an event goes into. All is written in the transaction of the step itself. A notice's row names its hold only:
what is said of it is found when the message goes out. A webhook's row has its body. A hold that escalates leaves a row of its own that is
due at that time; when it is, and the hold still waits, `escalated` writes the rows of those who are told then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import uuid_utils

from proxy.approval import is_escalated
from proxy.ledger.store import OutboxRow, Transaction
from proxy.model import Grant, Hold
from proxy.notices.documents import event_body, freeze_document, grant_document, hold_document
from proxy.notices.targets import Notices, about

ESCALATION = "escalation"
"""The lane of what is looked at again at its time, and sent nowhere."""

_NAMED = {"approved": "answered", "denied": "answered"}
"""Steps of a hold that have another name as events."""


class Bell:
    """Tells the sender's loop, from the writer's thread, that there is something to do."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung = asyncio.Event()

    def listen(self) -> None:
        """Takes the running loop for the one that waits."""
        self._loop = asyncio.get_running_loop()

    def ring(self) -> None:
        """Wakes who waits; from any thread. What rang it may not be committed yet: a job that is queued now runs after it."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                self._loop.call_soon_threadsafe(self._rung.set)

    async def wait(self, most_s: float) -> None:
        """Waits until it is rung, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._rung.wait()
        self._rung.clear()


class Recorder:
    """Writes down what is to be told."""

    def __init__(self, notices: Notices, now_ms: Callable[[], int]) -> None:
        self._notices = notices
        self._now_ms = now_ms
        self.bell = Bell()

    def held(self, tx: Transaction, hold: Hold) -> None:
        """Tells those whom the hold asks, and when to tell more."""
        groups = [name for ask in hold.asks for name in ask.by]
        self._notify(tx, "held", hold, groups)
        self._tell_hold(tx, "held", hold)
        spans = {ask.escalate_after_ms for ask in hold.asks} - {None}
        for after_ms in sorted(span for span in spans if span is not None):
            at_ms = hold.created_at_ms + after_ms
            self._put(tx, ESCALATION, "escalated", hold.id, at_ms=at_ms)

    def escalated(self, tx: Transaction, hold: Hold) -> None:
        """Nobody has answered for so long that others may: they are told, and everybody who reads all."""
        now_ms = self._now_ms()
        asks = [ask for ask in hold.asks if is_escalated(ask, hold.created_at_ms, now_ms)]
        self._notify(tx, "escalated", hold, [name for ask in asks for name in ask.escalate_to])
        self._tell_hold(tx, "escalated", hold)

    def moved(self, tx: Transaction, hold: Hold, event: str) -> None:
        """Tells webhooks; a message that has not gone out yet leaves the hold out by itself."""
        self._tell_hold(tx, _NAMED.get(event, event), hold)

    def granted(self, tx: Transaction, grant: Grant, event: str) -> None:
        """Tells webhooks."""
        self._tell(tx, event, grant=grant_document(grant))

    def frozen(self, tx: Transaction, scope: str, by: str, reason: str | None) -> None:
        """Tells webhooks."""
        self._tell(tx, "frozen", freeze=freeze_document(scope, by, reason))

    def thawed(self, tx: Transaction, scope: str, by: str, reason: str | None) -> None:
        """Tells webhooks."""
        self._tell(tx, "thawed", freeze=freeze_document(scope, by, reason))

    def _notify(self, tx: Transaction, event: str, hold: Hold, groups: Sequence[str]) -> None:
        for notice in about(self._notices.notices, hold, groups):
            for lane in notice.lanes:
                self._put(tx, lane, event, hold.id)

    def _tell_hold(self, tx: Transaction, event: str, hold: Hold) -> None:
        if any(event in webhook.events for webhook in self._notices.webhooks):
            self._tell(tx, event, hold.id, hold=hold_document(hold))

    def _tell(
        self, tx: Transaction, event: str, hold_id: str | None = None, **about: dict[str, Any]
    ) -> None:
        for webhook in self._notices.webhooks:
            if event in webhook.events:
                delivery = str(uuid_utils.uuid7())
                body = event_body(delivery, event, self._now_ms(), **about)
                self._put(tx, webhook.lane, event, hold_id, delivery=delivery, body=body)

    def _put(
        self,
        tx: Transaction,
        lane: str,
        event: str,
        hold_id: str | None,
        *,
        delivery: str | None = None,
        body: bytes = b"",
        at_ms: int | None = None,
    ) -> None:
        now_ms = self._now_ms()
        tx.put_outbox(
            OutboxRow(
                id=delivery or str(uuid_utils.uuid7()),
                lane=lane,
                event=event,
                created_at_ms=now_ms,
                next_at_ms=now_ms if at_ms is None else at_ms,
                hold_id=hold_id,
                body=body,
            )
        )
        self.bell.ring()
