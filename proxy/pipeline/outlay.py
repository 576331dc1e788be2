"""One model request's cost: as a call with effects before it leaves, as amounts once it was answered.

What belongs here: the values and the arithmetic. What is done with them, and when, is `spending.py`'s.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import unquote

from proxy.canonical import digest
from proxy.model import Call, Effect, Identity, Json, Reason, Side, Verdict
from proxy.policy.model_prices import CURRENCY, ModelPrice
from proxy.policy.ruleset import RuleSet
from proxy.tokens.prices import list_prices
from proxy.wire.codec import ParsedRequest
from proxy.wire.usage import Usage

INPUT, OUTPUT, SPEND = "tokens.input", "tokens.output", "spend"
KIND = "model_request"
DEFAULT_OUTPUT_TOKENS = 4_096
"""Reserved for an answer whose request sets no limit; the real count settles it."""

# Azure names the model in the path: https://learn.microsoft.com/azure/ai-foundry/openai/reference
# (read 2026-11).
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")
# A run or an answer that is there already: cancelled or relabelled, not asked for.
_NO_ANSWER = re.compile(r"(?:.*/)?(?:cancel|chat/completions/[^/]+|threads/[^/]+/runs/[^/]+)/*")


@dataclass(frozen=True, slots=True)
class Asked:
    """One model request, as it is about to leave."""

    identity: Identity
    request: ParsedRequest
    body: bytes
    host: str
    path: str  # lower case, without the query
    ref: str  # of the exchange: two equal requests are two
    input_tokens: int | None = None  # where there is no body to count: what the last answer read

    @property
    def asks_nothing(self) -> bool:
        """Whether no answer is asked for. A path alone proves nothing: a lenient server may take one
        with a prompt for a request.
        """
        request = self.request
        has_prompt = bool(request.model or request.user_text or request.results)
        return not has_prompt and _NO_ANSWER.fullmatch(self.path) is not None

    @property
    def model(self) -> str:
        """The model's name, "" where neither body nor path says it."""
        found = _DEPLOYMENT.search(self.path)
        return self.request.model or (unquote(found[1]) if found else "")


@dataclass(slots=True, eq=False)
class Outlay:
    """What one request has reserved."""

    attempt: tuple[str, str, str]  # session, agent, digest of the body: a retry is known by it
    provider: str
    model: str
    host: str
    input_tokens: int
    output_tokens: int
    key: str = ""  # the ledger's
    is_priced: bool = False  # some budget is about money
    settled: bool = False
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    def call(self) -> Call:
        """Returns the request as a call.

        Its id is random and told to nobody: a result that an agent made up must not settle what only
        the answer can. Its arguments hold no estimate: a hold is found again by their digest, after a
        restart too.
        """
        arguments: dict[str, Json] = {
            "model": self.model,
            "max_output_tokens": self.output_tokens,
            "request_sha256": self.attempt[2],
        }
        return Call(
            id="model_" + secrets.token_hex(16),
            name=f"model:{self.model or 'unnamed'}",
            arguments=arguments,
            provider=self.provider,
            args_sha256=digest(arguments),
            side=Side.MODEL,
            kind=KIND,
        )

    def effects(self, rules: RuleSet) -> tuple[list[Effect], list[Reason]]:
        """Returns what the request does, and why a human must look where its cost is not known."""
        effects = [
            self._effect(INPUT, Decimal(self.input_tokens)),
            self._effect(OUTPUT, Decimal(self.output_tokens)),
        ]
        if SPEND not in rules.spending_kinds:
            return effects, []
        self.is_priced = True
        price = self._price(rules, self.model)
        if price is not None:
            most = price.most(self.input_tokens, self.output_tokens)
            return [*effects, self._effect(SPEND, most)], []
        if not self.model and self.provider == "openai.realtime":
            # A voice session's first answer; its model is told later, and its cost with its usage.
            return [*effects, self._effect(SPEND, Decimal(0))], []
        text = (
            f"the price of the model '{self.model or 'without a name'}' is not known, so what it will "
            "cost cannot be either: add it under 'model_prices:'"
        )
        shadow = SPEND not in rules.enforced_spending
        return effects, [Reason("model-price", text, Verdict.HOLD, shadow=shadow)]

    def amounts(self, rules: RuleSet, usage: Usage) -> dict[str, Decimal]:
        """Returns what an answer used, by effect kind."""
        amounts = {INPUT: Decimal(usage.input_tokens), OUTPUT: Decimal(usage.output_tokens)}
        if not self.is_priced:
            return amounts
        costs = [
            price.cost(
                usage.input_tokens,
                usage.output_tokens,
                cached_input_tokens=usage.cached_input_tokens,
                cache_write_tokens=usage.cache_write_tokens,
            )
            for model in dict.fromkeys((self.model, usage.model or self.model))
            if (price := self._price(rules, model)) is not None
        ]
        # Asked for by one name and answered under another: the dearer of the two.
        return {**amounts, SPEND: max(costs)} if costs else amounts

    def _price(self, rules: RuleSet, model: str) -> ModelPrice | None:
        own = rules.model_prices.find(model)
        if own is not None:
            return own
        return list_prices().find(model, host=self.host, provider=self.provider)

    def _effect(self, kind: str, amount: Decimal) -> Effect:
        unit = CURRENCY if kind == SPEND else "tokens"
        target = self.model or None
        return Effect(kind, amount=amount, unit=unit, target=target, rule=f"model-request#{kind}")
