"""One lane's turn: what is due is read, sent, and marked.

What belongs here: the three steps of each kind of lane, and what becomes of a row. Reading and marking are transactions, sending is not: a
row is marked when it was taken at the other end, and who dies in between sends it again, under the same id. A lane is taken for
`LEASE_MS`, so that of several proxies on one ledger one sends; it is given back when its row is marked.

What failed is tried again after 1 s, 2 s … 1 h, each up to half shorter by chance. After 24 hours it is given up, and the decision log
says so. A webhook's deliveries keep their order: behind one that waits, all wait.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Protocol

from proxy.ledger.store import OutboxRow, Transaction
from proxy.ledger.writer import Emit, Job
from proxy.model import HoldState
from proxy.notices.bundling import Item, Past, Pattern, grouped, pattern_of, plan
from proxy.notices.message import Group, Message, compose
from proxy.notices.targets import Notice, Notices, Webhook
from proxy.pipeline.links import Links
from proxy.pipeline.records import error_record

LEASE_MS = 30_000
"""Longer than a send may take (`chat.TIMEOUT_S`, `posting.TIMEOUT_S`)."""
GIVEN_UP_MS = 24 * 3_600_000
AT_ONCE = 500
_HOUR_MS = 3_600_000
_MOST_HOLDS = 1_000
_chance = secrets.SystemRandom().random


class Runs(Protocol):
    """Who runs jobs on the ledger (`Pipeline.in_transaction`)."""

    async def __call__[T](self, job: Job[T]) -> T: ...


type Post = Callable[[Webhook, str, str, bytes, int], Awaitable[str | None]]
type Notify = Callable[[str, Message], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Desk:
    """What every lane works with."""

    run: Runs
    notices: Notices
    now_ms: Callable[[], int]
    post: Post
    notify: Notify
    holder: str  # this process's name among those that share the ledger
    chance: Callable[[], float] = _chance
    lease_ms: int = LEASE_MS

    def take(self, lane: str, tx: Transaction) -> int | None:
        now_ms = self.now_ms()
        return tx.take_lane(lane, self.holder, now_ms, now_ms + self.lease_ms)

    def conclude(
        self, rows: Sequence[OutboxRow], fault: str | None, tx: Transaction, emit: Emit
    ) -> None:
        """Marks rows of one lane after an attempt, and gives the lane back."""
        now_ms = self.now_ms()
        for row in rows:
            if fault is None:
                tx.mark_outbox(row.id, "sent", now_ms)
            elif now_ms - row.created_at_ms >= GIVEN_UP_MS:
                give_up(row, fault, tx, emit, now_ms)
            else:
                again_ms = now_ms + backoff_ms(row.attempts, self.chance())
                tx.mark_outbox(row.id, "waiting", again_ms, fault)
        tx.leave_lane(rows[0].lane, self.holder, now_ms if fault is None else None)


def backoff_ms(attempts: int, chance: float) -> int:
    """Returns how long to wait after so many attempts that failed before this one; `chance` is from 0 to 1."""
    full_ms = min(_HOUR_MS, 1_000 * 2 ** min(attempts, 12))
    return int(full_ms * (1 - chance / 2))


def give_up(row: OutboxRow, fault: str, tx: Transaction, emit: Emit, now_ms: int) -> None:
    """Ends a row that could not be sent; the log says so."""
    tx.mark_outbox(row.id, "failed", now_ms, fault)
    about = "" if row.hold_id is None else f" of hold {row.hold_id}"
    text = f"{row.lane}: '{row.event}'{about} was given up after 24 h: {fault} (delivery {row.id})"
    emit(error_record(None, "notices", text))


class WebhookLane:
    """One system's deliveries, one after the other."""

    def __init__(self, desk: Desk, webhook: Webhook) -> None:
        self._desk = desk
        self._webhook = webhook

    async def turn(self) -> bool:
        """Sends the next delivery; False where none is due."""
        row = await self._desk.run(self._next)
        if row is None:
            return False
        now_ms = self._desk.now_ms()
        fault = await self._desk.post(self._webhook, row.id, row.event, row.body, now_ms)
        await self._desk.run(lambda tx, emit: self._desk.conclude((row,), fault, tx, emit))
        return True

    def _next(self, tx: Transaction, _emit: Emit) -> OutboxRow | None:
        lane = self._webhook.lane
        rows = tx.due_outbox(lane, self._desk.now_ms(), 1, in_order=True)
        return rows[0] if rows and self._desk.take(lane, tx) is not None else None


@dataclass(frozen=True, slots=True)
class _Letter:
    """A message that is about to go out, and the rows that it is for."""

    rows: tuple[OutboxRow, ...]
    groups: tuple[Group, ...]
    links: Links | None


class NoticeLane:
    """One place that people read."""

    def __init__(self, desk: Desk, notice: Notice, lane: str, url: str) -> None:
        self._desk = desk
        self._notice = notice
        self._lane = lane
        self._url = url

    async def turn(self) -> bool:
        """Sends a message of what is due; False where there is nothing to say now."""
        letter = await self._desk.run(self._next)
        if letter is None:
            return False
        now_ms, quiet = self._desk.now_ms(), self._desk.notices.quiet
        zone = quiet.hours.zone if quiet is not None else UTC
        groups = [self._linked(group, letter.links, now_ms) for group in letter.groups]
        fault = await self._desk.notify(self._url, compose(groups, now_ms, zone))
        await self._desk.run(lambda tx, emit: self._desk.conclude(letter.rows, fault, tx, emit))
        return True

    def _next(self, tx: Transaction, _emit: Emit) -> _Letter | None:
        now_ms = self._desk.now_ms()
        rows = tx.due_outbox(self._lane, now_ms, AT_ONCE)
        sent_at_ms = self._desk.take(self._lane, tx) if rows else None
        if sent_at_ms is None:
            return None
        items: list[Item] = []
        for row in rows:
            hold = tx.hold(row.hold_id) if row.hold_id is not None else None
            if hold is None:
                tx.mark_outbox(row.id, "dropped", now_ms, tried=False)
            else:
                items.append(Item(row.id, hold, row.event == "escalated"))
        made = plan(self._notice, self._desk.notices.quiet, items, sent_at_ms, now_ms)
        for item in made.drop:
            tx.mark_outbox(item.id, "dropped", now_ms, tried=False)
        for item, at_ms in made.later:
            tx.mark_outbox(item.id, "waiting", at_ms, tried=False)
        if not made.send:
            tx.leave_lane(self._lane, self._desk.holder)
            return None
        going = {item.id for item in made.send}
        url = self._desk.notices.url
        return _Letter(
            tuple(row for row in rows if row.id in going),
            grouped(made.send, _past(tx, now_ms)),
            Links(tx.state_key("links"), url) if url is not None else None,
        )

    def _linked(self, group: Group, links: Links | None, now_ms: int) -> Group:
        if links is None:
            return group
        return replace(group, link=links.make(group.holds[0].id, self._notice.name, now_ms))


def _past(tx: Transaction, now_ms: int) -> Past:
    since_ms = now_ms - _HOUR_MS
    waiting = Counter(pattern_of(hold) for hold in tx.holds([HoldState.PENDING], _MOST_HOLDS))
    approved = Counter(
        Pattern(facts.agent, facts.namespace, facts.name, frozenset(facts.rules))
        for facts in tx.hold_facts(since_ms, _MOST_HOLDS)
        if facts.is_approved and (facts.decided_at_ms or 0) >= since_ms
    )
    return Past(waiting, approved)
