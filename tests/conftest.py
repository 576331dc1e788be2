"""A pipeline on a real ledger and a real log, with a clock that a test moves.

`make_bench(rules=TEXT, hold_expiry_s=…)` gives a `Bench`; it is closed with the test.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from proxy.decisionlog import DecisionLog
from proxy.ledger.sqlite import SqliteStore
from proxy.ledger.writer import LedgerWriter
from proxy.model import Call, HttpCall, Identity, Side, Trust
from proxy.pipeline.core import Pipeline
from proxy.pipeline.decision import Decision
from proxy.pipeline.judge import call_key
from proxy.policy.ruleset import RuleSet
from proxy.settings import Settings
from proxy.wire.codec import ParsedRequest
from proxy.wire.jsontext import call_from_text

BENCH_RULES = """
version: 1
pack: bench
tools:
  - name: refund
    effects:
      - kind: money.refund
        amount: args.amount
        unit: EUR
        target: args.order
        reversibility: irreversible
        settle: {ok: "!result.is_error"}
  - http: {method: POST, host: billing.internal, path: "/v1/refunds/{order}"}
    effects:
      - kind: money.refund
        amount: body.amount
        unit: EUR
        target: path.order
        reversibility: irreversible
        settle: {ok: "!result.is_error"}
  - {name: look_up, effects: []}
  - {name: delete, effects: [{kind: record.delete, target: args.order}]}
  - {name: deploy, effects: [{kind: deploy.production, target: args.order}]}
  - {name: pay, effects: [{kind: money.pay, amount: args.amount, unit: EUR, target: args.order}]}
gates:
  - {name: no-deletion, when: effect.kind == "record.delete", verdict: block, message: Nothing is deleted.}
  - {name: ask-deploy, when: effect.kind == "deploy.production", verdict: hold, message: Ask first.}
  - {name: no-mirror, when: 'side == "http" && "x-mirror" in headers', verdict: hold, message: Not the mirror.}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session, window: 24h, on_exceed: hold}
  - {name: agent-refunds, of: money.refund, sum: EUR, limit: 300, per: agent, window: 24h, on_exceed: hold}
  - {name: pays, of: money.pay, sum: EUR, limit: 100, per: session, window: 24h, on_exceed: block}
unmapped: hold
"""
START_MS = 1_800_000_000_000

# No deadline: a shared machine is slow now and then. In CI the same cases every time, so that what fails
# there fails here too; elsewhere new ones.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")


class Bench:
    """One pipeline without a wire."""

    def __init__(self, folder: Path, rules: str = BENCH_RULES, **settings: Any) -> None:
        self.now_ms = START_MS
        self.settings = replace(
            Settings(
                state=folder / "state.sqlite",
                log=folder / "log.jsonl",
                admin=folder / "a.sock",
                abandon_after_s=0.0,
            ),
            **settings,
        )
        self.log = DecisionLog(self.settings.log)
        self.store = SqliteStore(self.settings.state)
        self.writer = LedgerWriter(self.store, self.log.append)
        self.pipeline = Pipeline(
            RuleSet.load_text("bench.yaml", rules), self.writer, self.settings, lambda: self.now_ms
        )
        self.pipeline.start(("openai.chat", "openai.responses", "anthropic.messages"))

    def close(self) -> None:
        self.writer.close()
        self.store.close()
        self.log.close()

    @staticmethod
    def who(session: str = "s1", agent: str = "a1", parent: str | None = None) -> Identity:
        return Identity(session, agent, Trust.CREDENTIAL, Trust.CREDENTIAL, parent=parent)

    @staticmethod
    def call(
        name: str = "refund",
        text: str = '{"order": "o1", "amount": 45}',
        id: str | None = "c1",
        response: str | None = "r1",
        **more: Any,
    ) -> Call:
        return call_from_text(
            text, id=id, name=name, provider="openai.chat", response_id=response, **more
        )

    def tool_side(
        self, order: str = "o1", amount: object = 45, headers: tuple[tuple[str, str], ...] = ()
    ) -> tuple[Call, HttpCall]:
        """The same refund as the billing API sees it."""
        path, body = f"/v1/refunds/{order}", {"amount": amount}
        http = HttpCall("POST", "billing.internal", path, headers=headers, body=body)
        call = self.call(
            "POST billing.internal/v1/refunds/{order}",
            json.dumps({"path": path, "body": body}),
            None,
            None,
            side=Side.HTTP,
            kind="http",
        )
        return call, http

    async def decide(
        self,
        call: Call,
        who: Identity | None = None,
        http: HttpCall | None = None,
        origin: str = "x1",
    ) -> Decision:
        who = who or self.who()
        return await self.pipeline.decide(call, who, call_key(who, call, origin), http)

    async def hears(self, text: str, who: Identity | None = None) -> None:
        """The user says something."""
        request = ParsedRequest("openai.chat", {}, user_text=text, opening=text)
        await self.pipeline.observe(who or self.who(), request)

    async def used(self, session: str = "s1", budget: str = "refunds") -> str:
        """What a session has used of a budget, "0" if nothing."""
        _entries, budgets = await self.pipeline.session(session)
        return next((used for name, _scope, used in budgets if name == budget), "0")

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        made = [json.loads(line) for line in self.settings.log.read_text().splitlines()]
        return [record for record in made if kind is None or record["type"] == kind]


type MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[MakeBench]:
    made: list[Bench] = []

    def make(rules: str = BENCH_RULES, folder: str = "bench", **settings: Any) -> Bench:
        where = tmp_path / folder
        where.mkdir(exist_ok=True)
        made.append(Bench(where, rules, **settings))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()
