"""A pipeline that tells people and a webhook, with everything that is sent kept in lists, and a clock that a test moves."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.ledger.store import OutboxRow, Transaction
from proxy.model import Hold
from proxy.notices.lanes import Desk
from proxy.notices.message import Message
from proxy.notices.recording import Recorder
from proxy.notices.sending import Sender
from proxy.notices.targets import Notice, Notices, Webhook
from tests.conftest import Bench, MakeBench

SECRET = b"0123456789abcdef"
CHAT = Notice("chat", ("json://chat",))
SIEM_EVENTS = "held escalated consented answered used expired abandoned superseded granted revoked frozen thawed"
SIEM = Webhook("siem", "https://siem/", SECRET, frozenset(SIEM_EVENTS.split()))


@dataclass
class Scene:
    """One proxy that tells; `faults` is what the next attempts at a place come to."""

    bench: Bench
    notices: Notices
    messages: list[tuple[str, Message]] = field(default_factory=list)
    posts: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)
    surprises: dict[str, Exception] = field(default_factory=dict)
    attempts: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.recorder = Recorder(self.notices, lambda: self.bench.now_ms)
        self.bench.pipeline.happenings = self.recorder
        self.sender = self.another()

    def another(self, holder: str = "one") -> Sender:
        """Returns a sender; by another name, another process's."""
        desk = Desk(
            self.bench.pipeline.in_transaction,
            self.notices,
            lambda: self.bench.now_ms,
            self._post,
            self._notify,
            holder,
            chance=lambda: 0.0,
        )
        return Sender(desk, self.recorder)

    async def _post(
        self, webhook: Webhook, delivery: str, event: str, body: bytes, _now_ms: int
    ) -> str | None:
        self.posts.append((delivery, event, json.loads(body)))
        return self._fault(webhook.name)

    async def _notify(self, url: str, message: Message) -> str | None:
        self.messages.append((url, message))
        return self._fault(url)

    def _fault(self, whom: str) -> str | None:
        self.attempts.put_nowait(whom)
        if whom in self.surprises:
            raise self.surprises.pop(whom)
        waiting = self.faults.get(whom)
        return waiting.pop(0) if waiting else None

    async def send(self, sender: Sender | None = None) -> None:
        """Sends everything that is due now."""
        sender = sender or self.sender
        for lane in sorted(await sender.look()):
            while await sender.turn(lane):
                pass

    async def held(self, amount: int = 145, session: str = "s1", order: str = "o1") -> Hold:
        """A refund that is more than the budget."""
        call = self.bench.call(
            text=json.dumps({"order": order, "amount": amount}),
            response=f"r-{session}-{order}-{amount}",
        )
        decision = await self.bench.decide(call, self.bench.who(session))
        assert decision.hold is not None
        return decision.hold

    async def holds(self, hold: Hold) -> Hold:
        """Puts a hold into the ledger as the judge does."""

        def add(tx: Transaction, _emit: object) -> None:
            tx.add_hold(hold)
            self.recorder.held(tx, hold)

        await self.bench.pipeline.in_transaction(add)
        return hold

    async def rows(self, *states: str) -> list[OutboxRow]:
        """Returns the outbox, the oldest first."""
        wanted = states or ("waiting", "sent", "dropped", "failed")
        found = await self.bench.pipeline.in_transaction(lambda tx, _emit: tx.outbox(wanted))
        return list(reversed(found))

    @property
    def events(self) -> list[str]:
        """The events that the webhook was sent, each attempt."""
        return [event for _delivery, event, _body in self.posts]

    @property
    def titles(self) -> list[str]:
        return [message.title for _url, message in self.messages]

    def wait(self, seconds: float) -> None:
        self.bench.now_ms += int(seconds * 1000)


@pytest.fixture
def make_scene(make_bench: MakeBench) -> Any:
    """`make_scene(Notices(…), rules=TEXT)`."""

    def make(notices: Notices, **more: Any) -> Scene:
        return Scene(make_bench(**more), notices)

    return make


@pytest.fixture
def scene(make_scene: Any) -> Scene:
    made: Scene = make_scene(Notices((CHAT,), None, (SIEM,), "https://desk.internal"))
    return made
