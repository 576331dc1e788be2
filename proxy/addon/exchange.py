"""One request and its answer on the way through: the gate's driver.

The stream glue (`stream.py`) feeds bytes and sends what comes out; this class knows the gate, asks
the pipeline and waits for humans. `feed` is synchronous and is all that text ever costs. As soon as
something has to be decided, the glue yields a blocking hook and `step` runs: it takes the gate's
events in order, and returns bytes to send: what a decision set free, or a keep-alive.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import assert_never

from proxy.errors import CheckreinError, WireError
from proxy.model import Call, Hold, HoldState, Identity, Trust, Verdict
from proxy.pipeline import wait_tool
from proxy.pipeline.clients import ClientProfile
from proxy.pipeline.core import Pipeline
from proxy.pipeline.decision import Decision
from proxy.pipeline.judge import call_key
from proxy.pipeline.outlay import Outlay
from proxy.pipeline.spending import Spending
from proxy.pipeline.texts import refusal_text, upstream_error_text
from proxy.pipeline.waiting import Presence
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    ParsedRequest,
    Refuse,
    Release,
    Remember,
    ResponseGate,
    Ruling,
    WireProtocol,
)
from proxy.wire.encoding import ContentDecoder
from proxy.wire.usage import Usage, with_model

logger = logging.getLogger("checkrein")

MAX_SAID = 8 << 20
"""What is kept of an answer to count its tokens by, should it not say them."""


@dataclass(slots=True)
class _Waiting:
    decision: Decision
    hold: Hold
    key: str
    until_s: float  # loop time
    asks_only: bool = False  # a call of `wait_for_approval`: the hold is another call's


class Exchange:
    """Drives one gate."""

    def __init__(
        self,
        pipeline: Pipeline,
        protocol: WireProtocol,
        identity: Identity,
        request: ParsedRequest | None,
        *,
        ref: str,
        profile: ClientProfile,
    ) -> None:
        self.protocol = protocol
        self.identity = identity
        self.request = request
        self.ref = ref
        self.presence = Presence()
        self.gate: ResponseGate | None = None
        self.refusal: tuple[int, bytes] | None = None  # answer this instead of what comes
        self.failure: bytes | None = None  # the gate failed: these bytes end the body
        self.overflow = False  # too much came in behind a hold
        self.status = 200
        self.stepped: tuple[bytes, bool] | None = None  # what `step_in_hook` brought
        self.given_back: frozenset[str] = frozenset()  # names under which outputs were restored
        self.offers_wait = False  # the model was offered `wait_for_approval`
        self.outlay: tuple[Spending, Outlay] | None = None  # what was reserved for this request
        self.head_usage: Usage | None = None  # what the answer's head says
        self._said = bytearray()
        self._pipeline = pipeline
        self._profile = profile
        self._decoder = ContentDecoder(None)
        self._decoded_last = b""
        self._broken: Exception | None = None
        self._queue: deque[GateEvent] = deque()
        self._waiting: dict[int, _Waiting] = {}
        self._named: dict[str, int] = {}  # how often a call's key came up in this answer

    # --- called by the stream glue ---------------------------------------------------------------

    def open(self, *, content_type: str, content_encoding: str | None, status: int) -> None:
        """Makes the gate for the answer that begins.

        Raises:
            WireError: an answer that cannot be read safely.
        """
        self.status = status
        self._decoder = ContentDecoder(content_encoding)
        self.gate = self.protocol.gate(
            content_type=content_type, status=status, ref=self.ref, request=self.request
        )

    @property
    def busy(self) -> bool:
        """Whether `step` has something to do before more bytes are fed."""
        if self.failure is not None:
            return False
        return bool(self._queue or self._waiting) or self._broken is not None

    def feed(self, data: bytes, *, end: bool = False) -> bytes:
        """Takes the next bytes as they came; returns what may leave without a decision.

        Never raises: bytes that cannot be read safely make `step` close the exchange.
        """
        try:
            return self._feed(data, end)
        except Exception as error:
            if not isinstance(error, CheckreinError):
                logger.exception("exchange: closed after an unexpected error")
            self._broken = error
            return b""

    def _feed(self, data: bytes, end: bool) -> bytes:
        gate = self._opened
        decoded = self._decoder.feed(data) if data else b""
        self._decoded_last = decoded
        if self.outlay is not None and len(self._said) < MAX_SAID:
            self._said += decoded
        events = gate.feed(decoded) if decoded else []
        if end:
            self._decoder.finish()
            events = [*events, *gate.feed(b"")]
        if not self._queue and all(type(event) is Emit for event in events):
            return b"".join([event.data for event in events if type(event) is Emit])
        self._queue.extend(events)
        return b""

    async def step(self) -> tuple[bytes, bool]:
        """Works through what is queued; returns bytes to send, and whether they are a keep-alive.

        Never raises: a failure ends the body with an error that the client reads.
        """
        try:
            if self._broken is not None:
                raise self._broken
            return await self._step()
        except CheckreinError as error:
            await self._pipeline.note_error(self.identity, "exchange", str(error))
            await self.cut()
            return self.fail(error), False
        except Exception as error:
            logger.exception("exchange: closed after an unexpected error")
            await self._pipeline.note_error(self.identity, "exchange", type(error).__name__)
            await self.cut()
            return self.fail(type(error).__name__), False

    async def step_in_hook(self) -> None:
        """Takes the first step of a buffered answer in a hook that is running anyway."""
        if self.busy:
            self.stepped = await self.step()

    def unchanged(self, came: bytes, body: bytes) -> bool:
        """Whether a buffered body leaves as it came, so that its very bytes (encoded too) can."""
        return body == came if self._decoder.is_identity else body == self._decoded_last

    def fail(self, error: BaseException | str) -> bytes:
        """Gives up on this exchange; returns the bytes that end its body."""
        text = upstream_error_text(error)
        self._queue.clear()
        self._waiting.clear()
        self.failure = self.gate.fail(text) if self.gate is not None else b""
        return self.failure

    def error_body(self, status: int, text: str) -> bytes:
        """Returns an error in the API's own shape."""
        return self.protocol.error_body(status, text)

    @property
    def usage(self) -> Usage | None:
        """The tokens of this answer, as far as it has told them."""
        used = self.gate.usage if self.gate is not None else None
        used = used or self.head_usage
        asked = self.request.model if self.request is not None else None
        return None if used is None else with_model(used, asked)

    async def cut(self) -> None:
        """The answer ends here, whatever was still to come: what it cost is settled by what came.

        Never raises: an entry that is not settled now is committed when its time is up.
        """
        if self.outlay is None:
            return
        spending, outlay = self.outlay
        try:
            said = bytes(self._said) if self.gate is not None else None
            await spending.cut(outlay, self.usage, said)
        except CheckreinError as error:
            await self._pipeline.note_error(self.identity, "spending", str(error))

    async def _settle(self) -> None:
        if self.outlay is None:
            return
        spending, outlay = self.outlay
        if self.refusal is not None:
            await spending.commit_reserved(outlay, "unread")
        elif self.failure is not None:
            await self.cut()
        else:
            await spending.settle(outlay, self.status, self.usage, bytes(self._said))
        self._said.clear()

    async def conclude(self, status: int) -> None:
        """The answer has been given: link its id to the session, spend what was for one use."""
        await self._settle()
        response_id = self.gate.response_id if self.gate is not None else None
        if response_id and self.identity.session_trust <= Trust.CONTENT:
            await self._pipeline.link("response:" + response_id, self.identity.session)
        conversation = self.request.hints.get("conversation") if self.request is not None else None
        name = f"conversation:{conversation}"
        if 200 <= status < 300 and name in self.given_back:
            await self._pipeline.memory.forget(self.protocol.name, name)  # it has its outputs now

    # --- the steps -----------------------------------------------------------------------------------

    async def _step(self) -> tuple[bytes, bool]:
        out = bytearray()
        while True:
            await self._handle_all(out)
            if out or not self._waiting:
                return bytes(out), False
            if not await self._wait(out):
                return (b"", False) if self.presence.gone else (self._opened.keepalive(), True)

    async def _handle_all(self, out: bytearray) -> None:
        while self._queue:
            await self._handle(self._queue.popleft(), out)

    async def _handle(self, event: GateEvent, out: bytearray) -> None:
        match event:
            case Emit(data):
                out += data
            case CallFound(key, call):
                await self._judge(key, call)
            case CallSeen(call):
                await self._account(call)
            case Remember(response):
                await self._pipeline.memory.remember(response)
            case _:
                assert_never(event)

    async def _judge(self, key: int, call: Call) -> None:
        if self.offers_wait and call.name == wait_tool.NAME:
            await self._wait_for_approval(key, call)
            return
        sure = self._opened.confidence
        if sure is not None and call.confidence is None:
            call = replace(call, confidence=Decimal(f"{sure:.4f}"))
        name = call_key(self.identity, call, self.ref)
        nth = self._named[name] = self._named.get(name, 0) + 1
        if nth > 1:  # equal calls under one id, in one answer, are still so many calls
            name = f"{name}#{nth}"
        decision = await self._pipeline.decide(call, self.identity, name)
        hold = decision.hold
        if decision.verdict is Verdict.HOLD and hold is not None:
            wait_s = self._profile.wait_s_for(hold, self._pipeline.settings)
            if wait_s > 0:
                until_s = asyncio.get_running_loop().time() + wait_s
                self._waiting[key] = _Waiting(decision, hold, name, until_s)
                return
        self._rule(key, await self._ruling(decision))

    async def _ruling(self, decision: Decision) -> Ruling:
        if decision.verdict is Verdict.ALLOW:
            return Release()
        hold = decision.hold
        if hold is not None and hold.state is HoldState.PENDING:
            await self._pipeline.desk.parked(hold)
        return Refuse(refusal_text(decision, self.ref))

    def _rule(self, key: int, ruling: Ruling) -> None:
        # What the gate says now stands before everything that is still queued.
        self._queue.extendleft(reversed(self._opened.rule(key, ruling)))

    async def _wait_for_approval(self, key: int, call: Call) -> None:
        """Answers the tool that we have offered, at once or when its hold is answered."""
        hold = await wait_tool.hold_asked_for(self._pipeline, self.identity, call.arguments)
        if hold is None or hold.state is not HoldState.PENDING:
            text = wait_tool.UNKNOWN if hold is None else wait_tool.outcome(hold)
            self._rule(key, Refuse(text))
            return
        wait_s = self._profile.wait_s_for(hold, self._pipeline.settings)
        until_s = asyncio.get_running_loop().time() + wait_s
        decision = Decision(Verdict.HOLD, call, hold=hold)
        self._waiting[key] = _Waiting(decision, hold, "", until_s, asks_only=True)

    async def _account(self, call: Call) -> None:
        name = call_key(self.identity, call, self.ref)
        await self._pipeline.account(call, self.identity, name)

    async def _wait(self, out: bytearray) -> bool:
        """Waits for one keep-alive interval at most; True when there is something to go on with."""
        now_s = asyncio.get_running_loop().time()
        nearest_s = min(w.until_s for w in self._waiting.values()) - now_s
        keepalive_s = self._profile.keepalive_s_for(self._pipeline.settings)
        timeout_s = max(0.0, min(nearest_s, keepalive_s))
        holds = {w.hold.id: w.hold for w in self._waiting.values()}
        answered = await self._pipeline.wait_for(holds, self.presence, timeout_s)
        if self.presence.gone:
            for waiting in self._waiting.values():
                if not waiting.asks_only:
                    await self._pipeline.abandon(waiting.hold.id)
            self._waiting.clear()
            self._queue.clear()
            return False
        now_s = asyncio.get_running_loop().time()
        moved = False
        for key, waiting in list(self._waiting.items()):
            hold = answered.get(waiting.hold.id)
            if hold is None and now_s < waiting.until_s:
                continue
            ruling: Ruling
            if waiting.asks_only:
                ruling = Refuse(wait_tool.outcome(hold or waiting.hold))
            else:
                decision = waiting.decision
                if hold is not None:
                    call = decision.call
                    decision = await self._pipeline.decide(call, self.identity, waiting.key)
                if now_s < waiting.until_s and (other := decision.pending) is not None:
                    waiting.hold, waiting.decision = other, decision  # it stands for the call now
                    continue
                ruling = await self._ruling(decision)
            moved = True
            del self._waiting[key]
            self._rule(key, ruling)
            await self._handle_all(out)  # what the next ruling says stands behind this
        return moved

    @property
    def _opened(self) -> ResponseGate:
        if self.gate is None:
            raise WireError("an answer's body came before its head")
        return self.gate
