"""One WebSocket on the way through: the gate's driver, for both directions.

`take` is synchronous and is all that a message without a call costs. What has to be decided is queued
and worked on by a task of its own direction, so that no hook and no connection waits: pings and the
other direction go on. What may leave stands in `outbox`; `wake` tells the layer to look there.

Closed by construction: an exception ends the connection with an error the client reads, a binary
message on a model's socket ends it, and so does more than 4 MiB behind a held call.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from proxy.errors import CheckreinError, WireError
from proxy.model import Call, Hold, HoldState, Identity, Trust, Verdict
from proxy.pipeline.clients import ClientProfile
from proxy.pipeline.core import Pipeline
from proxy.pipeline.decision import Decision
from proxy.pipeline.judge import call_key
from proxy.pipeline.outlay import Asked as Spent
from proxy.pipeline.outlay import Outlay
from proxy.pipeline.spending import Spending
from proxy.pipeline.texts import refusal_text, upstream_error_text
from proxy.pipeline.waiting import Presence
from proxy.wire.codec import ParsedRequest, Refuse, Release, Remember, Ruling
from proxy.wire.socket import (
    Answered,
    Asked,
    Found,
    Ran,
    Results,
    SocketEvent,
    SocketGate,
    ToClient,
    ToServer,
    looks_like_model,
)
from proxy.wire.usage import Usage

logger = logging.getLogger("checkrein")

MAX_BEHIND_HOLD = 4 << 20
MAX_IN_A_CALL = 64 << 20
"""What may come of calls that are not complete yet, and behind them."""
MAX_FROM_CLIENT = 64 << 20
"""What the client may have sent while its results are settled: one message may hold pictures."""
POLICY, TOO_MUCH, BROKEN = 1008, 1011, 1011

type Identify = Callable[[ParsedRequest | None], Awaitable[Identity]]
type Spawn = Callable[[Coroutine[Any, Any, None]], object]


@dataclass(frozen=True, slots=True)
class Out:
    """A message to send."""

    to_client: bool
    data: bytes
    is_text: bool = True


@dataclass(frozen=True, slots=True)
class Close:
    code: int
    reason: str


@dataclass(slots=True)
class _Waiting:
    decision: Decision
    hold: Hold
    name: str
    lane: str
    until_s: float  # loop time


class PlainSocket:
    """A socket on a path that is no model's: messages pass, until one looks like a model's."""

    def __init__(self) -> None:
        self.outbox: deque[Out | Close] = deque()
        self.busy = False

    def take(self, data: bytes, *, from_client: bool, is_text: bool) -> None:
        if looks_like_model(data):
            self.outbox.append(Close(POLICY, "checkrein: a model's API on a path it cannot judge"))
        else:
            self.outbox.append(Out(not from_client, data, is_text))

    def leave(self) -> None:
        """One side went away."""

    def stop(self) -> None:
        """The connection is over."""


class SocketExchange:
    """Drives one gate."""

    def __init__(
        self,
        pipeline: Pipeline,
        gate: SocketGate,
        identity: Identity,
        identify: Identify,
        *,
        profile: ClientProfile,
        spawn: Spawn,
        wake: Callable[[], None],
    ) -> None:
        self.outbox: deque[Out | Close] = deque()
        self._pipeline = pipeline
        self._gate = gate
        self._identity = identity
        self._identify = identify
        self._profile = profile
        self._spawn = spawn
        self._wake = wake
        self._lanes: dict[str, Identity] = {}
        self._given_back: dict[str, frozenset[str]] = {}  # by lane
        self._conversations: dict[str, str] = {}
        self._presence = Presence()
        self._closed = False
        self._up: deque[SocketEvent] = deque()
        self._up_bytes = 0
        self._down: deque[SocketEvent] = deque()
        self._climbing = self._judging = self._working = False
        self._waiting: dict[int, _Waiting] = {}
        self._named: dict[str, int] = {}
        self._spending = Spending(pipeline)
        self._outlays: dict[str, deque[Outlay]] = {}  # by lane, oldest first
        self._ahead: Outlay | None = None  # for the next answer of a voice session
        # Its answers are asked for by sound: each is paid ahead, the first with the first message.
        self._is_voice = gate.provider == "openai.realtime"
        self._unpaid = self._is_voice and self._spending.is_counted
        self._last: Usage | None = None  # what the last answer used
        self._paying = asyncio.Lock()
        self._requests = 0

    @property
    def busy(self) -> bool:
        """Whether something that came has not been decided yet."""
        return not self._closed and (self._working or self._climbing)

    # --- called by the layer -------------------------------------------------------------------
    def take(self, data: bytes, *, from_client: bool, is_text: bool) -> None:
        """Takes the next message as it came. Never raises: what cannot be read closes."""
        if self._closed:
            return
        try:
            if not is_text:
                raise WireError("a binary message, which this API does not use")
            if from_client:
                self._take_up(self._gate.from_client(data))
            else:
                self._take_down(self._gate.from_server(data))
        except Exception as error:
            if not isinstance(error, CheckreinError):
                logger.exception("socket: closed after an unexpected error")
            self._fail(error)
            self._spawn(self._note(error))

    def leave(self) -> None:
        """One side went away: who waits for a human is not waited for any more."""
        self._presence.leave()

    def stop(self) -> None:
        """The connection is over: nothing more is decided."""
        self._closed = True
        self._up.clear()
        self._down.clear()
        self.leave()
        if self._ahead is not None or any(self._outlays.values()):
            self._spawn(self._settle_rest())

    # --- the client's messages -----------------------------------------------------------------
    def _take_up(self, events: list[SocketEvent]) -> None:
        quick = not self._climbing and not self._unpaid
        if quick and all(type(e) in (ToClient, ToServer) for e in events):
            self._send(events)
            return
        self._up.extend(events)
        self._up_bytes += sum(len(e.data) for e in events if isinstance(e, ToServer | Asked))
        if self._up_bytes > MAX_FROM_CLIENT:
            raise WireError("too much arrived behind a message that is being judged")
        if not self._climbing:
            self._climbing = True
            self._spawn(self._guarded(self._climb))

    async def _climb(self) -> None:
        try:
            while self._up and not self._closed:
                await self._pay_ahead()
                if self._closed:
                    return
                event = self._up.popleft()
                if isinstance(event, ToServer | Asked):
                    self._up_bytes -= len(event.data)
                match event:
                    case Asked():
                        await self._ask(event)
                    case Results(results, lane):
                        await self._pipeline.results.observe(self._who(lane), results)
                    case _:
                        self._send([event])
        finally:
            self._climbing = False

    async def _ask(self, event: Asked) -> None:
        identity = self._lanes[event.lane] = await self._identify(event.request)
        await self._pipeline.observe(identity, event.request)
        recall = self._pipeline.memory.recall
        if not await self._reserve(event, identity):
            return
        memories = await recall(self._gate.provider, event.request.remembered_by)
        restored = self._gate.restored(event.request, memories) if memories else None
        given = memories if restored is not None else []
        self._given_back[event.lane] = frozenset(key for m in given for key in m.keys)
        self._conversations[event.lane] = event.request.hints.get("conversation", "")
        self._send([ToServer(event.data if restored is None else restored)])

    # --- what the model costs ------------------------------------------------------------------
    async def _reserve(self, event: Asked, identity: Identity) -> bool:
        """Reserves what a request will cost; False: it was answered with the budget that stops it."""
        spent = self._spent(identity, event.request, event.data)
        made = await self._spending.reserve(spent, self._presence, self._profile)
        if isinstance(made, Decision):
            text = refusal_text(made, None)
            self._send([ToClient(self._gate.refused(text, event.lane))])
            return False
        if made is not None:
            self._outlays.setdefault(event.lane, deque()).append(made)
        return True

    async def _pay_ahead(self) -> None:
        """Reserves a voice session's next answer, as large as its last; else the session ends."""
        async with self._paying:
            if self._unpaid and not self._closed:
                await self._pay(self._last)
                self._unpaid = False

    async def _pay(self, last: Usage | None) -> None:
        request = ParsedRequest(
            self._gate.provider,
            {},
            model=last.model if last is not None else None,
            max_output_tokens=last.output_tokens if last is not None else None,
        )
        read = last.input_tokens if last is not None else 0
        spent = self._spent(self._who(""), request, b"", read)
        made = await self._spending.reserve(spent, self._presence, self._profile)
        if isinstance(made, Decision):
            self.outbox.append(Out(True, self._gate.refused(refusal_text(made, None), "")))
            self._close(POLICY, "a budget ends this session")
            self.stop()
        else:
            self._ahead = made

    def _spent(
        self, identity: Identity, request: ParsedRequest, body: bytes, tokens: int | None = None
    ) -> Spent:
        self._requests += 1
        ref = f"{self._gate.ref}:{self._requests}"
        return Spent(identity, request, body, "", "", ref, tokens)

    async def _settle(self, event: Answered) -> None:
        lane = self._outlays.get(event.lane)
        if self._is_voice:
            outlay, self._ahead = self._ahead, None
            # What the client says next waits for it; the answer itself leaves first.
            self._unpaid, self._last = self._spending.is_counted, event.usage or self._last
        else:
            outlay = lane.popleft() if lane else None
        if outlay is None:
            return
        if event.usage is not None:
            await self._spending.settle(outlay, 200, event.usage, b"")
        elif event.ok:
            await self._spending.commit_reserved(outlay, "no-usage")
        else:
            await self._spending.cut(outlay, None, b"")

    async def _settle_rest(self) -> None:
        """The connection is over: what was asked for may have been answered, unseen."""
        try:
            for outlay in [one for lane in self._outlays.values() for one in lane]:
                await self._spending.commit_reserved(outlay, "cut")
            if self._ahead is not None and self._gate.is_answering:
                await self._spending.commit_reserved(self._ahead, "cut")
            elif self._ahead is not None:
                await self._spending.release(self._ahead)
        except CheckreinError as error:
            await self._note(error)

    # --- the server's messages -----------------------------------------------------------------
    def _take_down(self, events: list[SocketEvent]) -> None:
        quick = not self._judging and all(type(e) in (ToClient, ToServer) for e in events)
        if quick and not self._down:
            self._send(events)
        else:
            self._down.extend(events)
            if self._working:
                self._presence.wake.set()
            else:
                self._working = True
                self._spawn(self._guarded(self._work))
        most = MAX_BEHIND_HOLD if self._waiting else MAX_IN_A_CALL
        if self._gate.waiting_bytes > most:
            self._close(TOO_MUCH, "too much arrived behind a call")
            self.stop()

    async def _work(self) -> None:
        try:
            while not self._closed:
                self._judging = True
                await self._handle_all()
                self._judging = False
                self._wake()
                if not self._waiting:
                    await self._pay_ahead()
                    if not self._down:
                        return
                    continue
                await self._wait()
        finally:
            self._judging = self._working = False
            for waiting in self._waiting.values():
                await self._pipeline.abandon(waiting.hold.id)
            self._waiting.clear()

    async def _handle_all(self) -> None:
        while self._down and not self._closed:
            await self._handle(self._down.popleft())

    async def _handle(self, event: SocketEvent) -> None:
        match event:
            case Found(key, call, lane):
                await self._judge(key, call, lane)
            case Ran(call, lane):
                identity = self._who(lane)
                await self._pipeline.account(
                    call, identity, call_key(identity, call, self._gate.ref)
                )
            case Remember(response):
                await self._pipeline.memory.remember(response)
            case Answered():
                await self._answered(event)
            case _:
                self._send([event])

    async def _judge(self, key: int, call: Call, lane: str) -> None:
        identity = self._who(lane)
        name = call_key(identity, call, self._gate.ref_of(key))
        nth = self._named[name] = self._named.get(name, 0) + 1
        if nth > 1:  # equal calls under one id, in one answer, are still so many calls
            name = f"{name}#{nth}"
        decision = await self._pipeline.decide(call, identity, name)
        hold = decision.hold
        if decision.verdict is Verdict.HOLD and hold is not None:
            wait_s = self._profile.wait_s_for(hold, self._pipeline.settings)
            if wait_s > 0:
                until_s = asyncio.get_running_loop().time() + wait_s
                self._waiting[key] = _Waiting(decision, hold, name, lane, until_s)
                return
        await self._rule(key, decision)

    async def _rule(self, key: int, decision: Decision) -> None:
        ruling: Ruling = Release()
        if decision.verdict is not Verdict.ALLOW:
            hold = decision.hold
            if hold is not None and hold.state is HoldState.PENDING:
                await self._pipeline.desk.parked(hold)
            ruling = Refuse(refusal_text(decision, self._gate.ref_of(key)))
        # What the gate says now stands before everything that is still queued.
        self._down.extendleft(reversed(self._gate.rule(key, ruling)))

    async def _answered(self, event: Answered) -> None:
        await self._settle(event)
        identity = self._who(event.lane)
        if identity.session_trust <= Trust.CONTENT:
            await self._pipeline.link("response:" + event.response_id, identity.session)
        name = f"conversation:{self._conversations.get(event.lane, '')}"
        if event.ok and name in self._given_back.get(event.lane, ()):
            await self._pipeline.memory.forget(self._gate.provider, name)

    async def _wait(self) -> None:
        """Waits for an answer, for more messages, or until a wait's end."""
        now_s = asyncio.get_running_loop().time()
        nearest_s = min(w.until_s for w in self._waiting.values()) - now_s
        keepalive_s = self._profile.keepalive_s_for(self._pipeline.settings)
        timeout_s = max(0.0, min(nearest_s, keepalive_s))
        holds = {w.hold.id: w.hold for w in self._waiting.values()}
        answered = await self._pipeline.wait_for(holds, self._presence, timeout_s)
        if self._presence.gone:
            self._closed = True
            self._wake()
            return
        self._judging = True
        now_s = asyncio.get_running_loop().time()
        if not answered and not self._down:
            self._keep_alive({waiting.lane for waiting in self._waiting.values()})
        for key, waiting in list(self._waiting.items()):
            hold = answered.get(waiting.hold.id)
            if hold is None and now_s < waiting.until_s:
                continue
            decision = waiting.decision
            if hold is not None:
                who = self._who(waiting.lane)
                decision = await self._pipeline.decide(decision.call, who, waiting.name)
            if now_s < waiting.until_s and (other := decision.pending) is not None:
                waiting.hold, waiting.decision = other, decision  # it stands for the call now
                continue
            del self._waiting[key]
            await self._rule(key, decision)
            await self._handle_all()  # the next call's messages stand behind these

    def _keep_alive(self, lanes: set[str]) -> None:
        for lane in lanes:
            message = self._gate.keepalive(lane)
            if message is not None:
                self._send([ToClient(message)])

    # --- parts ---------------------------------------------------------------------------------
    def _who(self, lane: str) -> Identity:
        return self._lanes.get(lane, self._identity)

    def _send(self, events: list[SocketEvent]) -> None:
        for event in events:
            if isinstance(event, ToClient | ToServer):
                self.outbox.append(Out(isinstance(event, ToClient), event.data))
        if self._working or self._climbing:
            self._wake()

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as error:
            if not isinstance(error, CheckreinError):
                logger.exception("socket: closed after an unexpected error")
            self._fail(error)
            await self._note(error)
        finally:
            self._wake()

    async def _note(self, error: Exception) -> None:
        known = isinstance(error, CheckreinError)
        text = str(error) if known else type(error).__name__
        await self._pipeline.note_error(self._identity, "socket", text)

    def _fail(self, error: Exception) -> None:
        """Gives up on this connection; the client reads why."""
        known = isinstance(error, CheckreinError)
        text = upstream_error_text(error if known else type(error).__name__)
        self.outbox.append(Out(True, self._gate.fail(text)))
        self._close(POLICY if known else BROKEN, "not judged, nothing was let through")
        self.stop()

    def _close(self, code: int, reason: str) -> None:
        self.outbox.append(Close(code, f"checkrein: {reason}"))
