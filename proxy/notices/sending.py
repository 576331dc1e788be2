"""The sender: sends what is due in the outbox, for as long as the proxy runs.

What belongs here: the tasks. A dispatcher looks at the outbox each second, and when something was put there; each lane has a task of its
own (`lanes.py`), so that one that hangs keeps no other waiting. What nobody has answered in time is found here, and what no lane of ours
is for any more.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Protocol

from proxy.errors import CheckreinError
from proxy.holds import is_waiting
from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit
from proxy.notices import chat
from proxy.notices.lanes import AT_ONCE, GIVEN_UP_MS, Desk, NoticeLane, WebhookLane, give_up
from proxy.notices.posting import Poster
from proxy.notices.recording import ESCALATION, Recorder
from proxy.notices.targets import Notices
from proxy.pipeline.core import Pipeline

logger = logging.getLogger("checkrein")

KEPT_MS = 7 * 86_400_000
"""How long rows stay that were sent, or given up, for people to look at."""
_POLL_S = 1.0
_HOUR_MS = 3_600_000


def attach(pipeline: Pipeline, notices: Notices) -> Sender:
    """Has a pipeline write down what is to be told, and returns who sends it; before the first connection."""
    recorder = Recorder(notices, pipeline.now_ms)
    pipeline.happenings = recorder
    poster = Poster(pipeline.settings.trust_ca)
    desk = Desk(
        run=pipeline.in_transaction,
        notices=notices,
        now_ms=pipeline.now_ms,
        post=poster.post,
        notify=chat.send,
        # The same after a restart, and another's is another: no two proxies have one admin socket.
        holder=f"{socket.gethostname()}:{pipeline.settings.admin.absolute()}",
    )
    return Sender(desk, recorder)


class _Lane(Protocol):
    async def turn(self) -> bool: ...


class Sender:
    """Sends what is due."""

    def __init__(self, desk: Desk, recorder: Recorder) -> None:
        self._desk = desk
        self._recorder = recorder
        self._tidied_ms = 0
        self._lanes: dict[str, _Lane] = {}
        for notice in desk.notices.notices:
            for lane, url in zip(notice.lanes, notice.urls, strict=True):
                self._lanes[lane] = NoticeLane(desk, notice, lane, url)
        for webhook in desk.notices.webhooks:
            self._lanes[webhook.lane] = WebhookLane(desk, webhook)

    async def serve(self) -> None:
        """Sends for ever."""
        bell = self._recorder.bell
        bell.listen()
        due = {lane: asyncio.Event() for lane in self._lanes}
        async with asyncio.TaskGroup() as group:
            for lane, event in due.items():
                group.create_task(self._work(lane, event))
            while True:
                try:
                    for lane in await self.look():
                        due[lane].set()
                except Exception as error:  # noqa: BLE001 - who ends here sends nothing any more
                    _log("outbox", error)
                await bell.wait(_POLL_S)

    async def turn(self, lane: str) -> bool:
        """Sends what is due next in a lane; False where that is nothing."""
        return await self._lanes[lane].turn()

    async def look(self) -> frozenset[str]:
        """Returns the lanes with something due, after those who are told late have been written down."""
        now_ms = self._desk.now_ms()
        tidies = now_ms - self._tidied_ms > _HOUR_MS

        def look(tx: Transaction, emit: Emit) -> frozenset[str]:
            self._escalate(tx, now_ms)
            lanes = tx.due_lanes(now_ms)
            for lane in lanes - self._lanes.keys() - {ESCALATION}:
                # Another proxy's, or one that the people file named before.
                for row in tx.due_outbox(lane, now_ms, AT_ONCE):
                    if now_ms - row.created_at_ms >= GIVEN_UP_MS:
                        give_up(row, "the people file names it no more", tx, emit, now_ms)
            if tidies:
                tx.forget_outbox(now_ms - KEPT_MS)
            return lanes & self._lanes.keys()

        found = await self._desk.run(look)
        if tidies:
            self._tidied_ms = now_ms
        return found

    def _escalate(self, tx: Transaction, now_ms: int) -> None:
        for row in tx.due_outbox(ESCALATION, now_ms, AT_ONCE):
            hold = tx.hold(row.hold_id) if row.hold_id is not None else None
            if hold is not None and is_waiting(hold, now_ms):
                self._recorder.escalated(tx, hold)
                tx.mark_outbox(row.id, "sent", now_ms)
            else:
                tx.mark_outbox(row.id, "dropped", now_ms, tried=False)

    async def _work(self, lane: str, due: asyncio.Event) -> None:
        while True:
            await due.wait()
            due.clear()
            try:
                while await self.turn(lane):
                    pass
            except Exception as error:  # noqa: BLE001 - a lane that ends tells nobody that it did
                _log(lane, error)  # the rows stay, and are sent again
                await asyncio.sleep(_POLL_S)


def _log(where: str, error: Exception) -> None:
    """Not a stranger's text: it may name a URL."""
    what = str(error) if isinstance(error, CheckreinError) else type(error).__name__
    logger.error("notices: %s: %s", where, what)
