"""What the model itself costs: reserved before a request is forwarded, settled by its answer.

How it works. Where a budget in force names `tokens.input`, `tokens.output` or `spend`, a model request is
decided like a call: a call of kind `model_request` named `model:NAME`, whose effects are the tokens it will
read (counted), the tokens it may write (its limit) and what both cost at most. Budgets, holds, grants,
shadow mode and the log work as for any call. The answer then settles the entries with what the provider
counted, or, where it said nothing, with what can be counted of it.

Nothing is lost: whatever is not settled here is committed in full when its time is up, as every entry is.
An attempt that brought no answer at all (a 5xx, a broken connection) keeps its reservation for a while: SDKs
send the same body again, and that joins it. Where nobody does, its input is committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict

from proxy.canonical import sha256_hex
from proxy.errors import CheckreinError
from proxy.model import Call, Verdict
from proxy.pipeline.asking import until_answered
from proxy.pipeline.clients import ClientProfile
from proxy.pipeline.core import Pipeline
from proxy.pipeline.decision import Decision
from proxy.pipeline.judge import call_key
from proxy.pipeline.outlay import DEFAULT_OUTPUT_TOKENS, Asked, Outlay
from proxy.pipeline.waiting import Presence
from proxy.tokens import encoding_for
from proxy.tokens.prices import list_prices
from proxy.tokens.request import count_request, count_text
from proxy.wire.said import is_unfinished, said_in
from proxy.wire.usage import Usage

logger = logging.getLogger("checkrein")

RETRY_S = 60.0
"""How long a failed attempt waits for the same body to come again; SDKs' back-off ends far below."""
_LARGE_BODY = 64 << 10  # counted in a thread: others must not wait for it
_MOST_OPEN = 4_096


class Spending:
    """Keeps the account of model requests."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._open: OrderedDict[tuple[str, str, str], Outlay] = OrderedDict()  # failed attempts
        self._tasks: set[asyncio.Task[None]] = set()
        if self.is_counted:  # tables are read before traffic, not in the middle of it
            encoding_for()
            list_prices()

    @property
    def is_counted(self) -> bool:
        """Whether any budget in force is about what models cost."""
        return bool(self._pipeline.rules.spending_kinds)

    async def reserve(
        self, asked: Asked, presence: Presence, profile: ClientProfile
    ) -> Outlay | Decision | None:
        """Reserves what a request will cost; a held one waits here for a human.

        Returns:
            The outlay to settle; the decision that stops the request; None: nothing is counted.

        Raises:
            LedgerError, LogError: it could not be made durable; the request must not leave.
        """
        if not self.is_counted or asked.asks_nothing:
            return None
        body_sha256 = sha256_hex(asked.body)
        attempt = (asked.identity.session, asked.identity.agent, body_sha256)
        again = self._open.pop(attempt, None)
        if again is not None and not again.settled:
            if again.timer is not None:
                again.timer.cancel()
            return again
        outlay, call = await self._outlay(asked, attempt)
        effects, reasons = outlay.effects(self._pipeline.rules)
        decision = await self._pipeline.decide(
            call, asked.identity, outlay.key, effects=effects, reasons=reasons
        )
        answered = await until_answered(
            self._pipeline,
            decision,
            profile,
            presence,
            lambda: self._pipeline.decide(
                call, asked.identity, outlay.key, effects=effects, reasons=reasons
            ),
        )
        if answered is None:
            return decision
        return outlay if answered.verdict is Verdict.ALLOW else answered

    # --- the answer --------------------------------------------------------------------------------

    async def settle(self, outlay: Outlay, status: int, usage: Usage | None, said: bytes) -> None:
        """Settles by a complete answer.

        Args:
            outlay: what `reserve` returned; a second settlement changes nothing.
            status: the HTTP status.
            usage: as the provider counted it.
            said: the decoded bytes of the answer, for when it did not.
        """
        if outlay.settled:
            return
        if usage is not None:
            await self._commit(outlay, usage, "usage")
        elif 400 <= status < 500:
            outlay.settled = True
            await self._pipeline.settle_amounts(outlay.key, None, "upstream-refused")
        elif status >= 500:
            self._keep(outlay)
        elif is_unfinished(said):  # what it comes to is told to whoever asks later
            await self.commit_reserved(outlay, "background")
        else:
            await self._commit(outlay, await self._estimate(outlay, said), "usage-estimated")

    async def cut(self, outlay: Outlay, usage: Usage | None, said: bytes | None) -> None:
        """Settles by an answer that broke off; `said` None: not even its head came."""
        if outlay.settled:
            return
        if said is None and usage is None:
            self._keep(outlay)
            return
        guess = await self._estimate(outlay, said or b"")
        if usage is not None:  # Anthropic tells the input at once, the output at the end
            guess = Usage(
                usage.input_tokens,
                max(guess.output_tokens, usage.output_tokens),
                usage.cached_input_tokens,
                usage.cache_write_tokens,
                usage.reasoning_tokens,
                usage.model,
                estimated=True,
            )
        await self._commit(outlay, guess, "cut")

    async def release(self, outlay: Outlay) -> None:
        """Gives back what was reserved for an answer that never began."""
        if not outlay.settled:
            outlay.settled = True
            await self._pipeline.settle_amounts(outlay.key, None, "not-asked")

    async def commit_reserved(self, outlay: Outlay, why: str) -> None:
        """Settles with what was reserved: the answer was not read."""
        if not outlay.settled:
            usage = Usage(outlay.input_tokens, outlay.output_tokens, estimated=True)
            await self._commit(outlay, usage, why)

    # --- parts -------------------------------------------------------------------------------------

    async def _outlay(self, asked: Asked, attempt: tuple[str, str, str]) -> tuple[Outlay, Call]:
        request = asked.request
        if asked.input_tokens is not None:
            tokens = asked.input_tokens
        elif len(asked.body) > _LARGE_BODY:
            tokens = await asyncio.to_thread(count_request, request, asked.body)
        else:
            tokens = count_request(request, asked.body)
        limit = request.max_output_tokens or DEFAULT_OUTPUT_TOKENS
        outlay = Outlay(
            attempt,
            request.provider,
            asked.model,
            asked.host,
            tokens,
            limit * max(1, request.answers),
        )
        call = outlay.call()
        outlay.key = call_key(asked.identity, call, asked.ref)
        return outlay, call

    async def _estimate(self, outlay: Outlay, said: bytes) -> Usage:
        def count() -> int:
            return count_text(said_in(said), outlay.model)

        large = len(said) > _LARGE_BODY
        tokens = await asyncio.to_thread(count) if large else count()
        return Usage(outlay.input_tokens, tokens, model=outlay.model, estimated=True)

    async def _commit(self, outlay: Outlay, usage: Usage, why: str) -> None:
        outlay.settled = True
        fault = "estimated, the provider gave no count" if usage.estimated else None
        amounts = outlay.amounts(self._pipeline.rules, usage)
        await self._pipeline.settle_amounts(outlay.key, amounts, why, fault)

    def _keep(self, outlay: Outlay) -> None:
        """Leaves a failed attempt open for the same body to come again."""
        self._open[outlay.attempt] = outlay
        loop = asyncio.get_running_loop()
        outlay.timer = loop.call_later(RETRY_S, self._give_up, loop, outlay)
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)  # its timer goes on

    def _give_up(self, loop: asyncio.AbstractEventLoop, outlay: Outlay) -> None:
        if self._open.get(outlay.attempt) is outlay:
            del self._open[outlay.attempt]
        if not self._pipeline.closing:
            task = loop.create_task(self._lapse(outlay))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _lapse(self, outlay: Outlay) -> None:
        if outlay.settled:
            return
        try:
            usage = Usage(outlay.input_tokens, 0, model=outlay.model, estimated=True)
            await self._commit(outlay, usage, "no-answer")
        except CheckreinError as error:
            logger.error("spending: a failed request is not settled yet: %s", error)
