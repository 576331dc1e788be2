"""A pipeline without a wire, for what measures decisions: real ledger and log, synced to disk.

What belongs here: rule sets of any size, the pipeline, and one session's calls in it. Half of a large set's
gates are about kinds of effects, a quarter about tools and a quarter ask where a value came from, as in
the packs; budgets and chains lie over the measured call.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from proxy.decisionlog import DecisionLog
from proxy.ledger.sqlite import SqliteStore
from proxy.ledger.writer import LedgerWriter
from proxy.model import Identity, ToolResult, Trust, Verdict
from proxy.pipeline.core import Pipeline
from proxy.pipeline.judge import call_key
from proxy.policy.ruleset import RuleSet
from proxy.settings import Settings
from proxy.wire.codec import ParsedRequest
from proxy.wire.jsontext import call_from_text

WHO = Identity("bench", "bench", Trust.CREDENTIAL, Trust.CREDENTIAL)


def rule_set(rules: int) -> RuleSet:
    """Returns a set of about so many rules."""
    return RuleSet.load_text("bench.yaml", rule_text(rules))


def rule_text(rules: int) -> str:
    """Returns a file of about so many rules: of ten, four are tools, four gates, one budget, one chain."""
    tools = [
        "  - {name: act, effects: [{kind: message.external, target: args.to, data: args.body}]}"
    ]
    tools += ["  - {name: read, effects: [{kind: data.read, target: args.to}]}"]
    gates, budgets, chains = [], [], []
    for i in range(rules // 10):
        for j in range(4):
            n = 4 * i + j
            tools.append(
                f"  - {{name: tool_{n}, effects: [{{kind: kind-{n}.act, target: args.to}}]}}"
            )
            when = (
                f'effect.kind == "kind-{n}.act" && args.amount > {n}',
                f'effect.kind.startsWith("kind-{n}.") && origin(args.to).untrusted',
                f'tool == "tool_{n}" && seen.untrusted',
                'effect.kind == "message.external" && origin(args.to).labels.exists(l, l == '
                f'"none-{n}")',
            )[j if j < 3 or i % 10 == 0 else 0]
            gates.append(f"  - {{name: gate-{n}, when: '{when}'}}")
        of = "message.*" if i % 10 == 0 else f"kind-{i}.*"
        budgets.append(f"  - {{name: budget-{i}, of: '{of}', count: true, limit: 1000000000}}")
        flow = ("order", "possible", "observed")[i % 3]
        last = "message.external" if i % 10 == 0 else f"kind-{i}.act"
        chains.append(f"  - {{name: chain-{i}, steps: [data.read.secret, {last}], flow: {flow}}}")
    return "\n".join(
        [
            "version: 1",
            "pack: bench",
            "tools:",
            *tools,
            "gates:",
            *gates,
            "budgets:",
            *budgets,
            "chains:",
            *chains,
            "unmapped: hold",
            "",
        ]
    )


class Deciding:
    """One pipeline and one session."""

    def __init__(self, folder: Path, rules: RuleSet) -> None:
        self._path = folder / "log.jsonl"
        self._log = DecisionLog(self._path)
        self._store = SqliteStore(folder / "state.sqlite")
        self._writer = LedgerWriter(self._store, self._log.append)
        settings = Settings(
            state=folder / "state.sqlite", log=folder / "log.jsonl", admin=folder / "a.sock"
        )
        self.pipeline = Pipeline(rules, self._writer, settings)
        self.pipeline.start(("openai.chat",))
        self._turn = 0

    async def begin(self) -> None:
        """The user says what is wanted."""
        text = "Please write to ada@example.com about invoice 4711-2026 and the parcel."
        await self.pipeline.observe(
            WHO, ParsedRequest("openai.chat", {}, user_text=text, opening=text)
        )

    async def call(self, name: str = "act", *, result: str | None = None) -> float:
        """Makes one allowed call; returns how long its decision took, in seconds."""
        self._turn += 1
        turn = self._turn
        to = "ada@example.com" if turn % 2 else f"customer-{turn % 50}@example.org"
        arguments = json.dumps(
            {"to": to, "body": f"Dear customer, invoice {turn}-2026 has been sent to you today."}
        )
        call = call_from_text(
            arguments, id=f"c{turn}", name=name, provider="openai.chat", response_id=f"r{turn}"
        )
        key = call_key(WHO, call, "x")
        began = time.perf_counter()
        decision = await self.pipeline.decide(call, WHO, key)
        took = time.perf_counter() - began
        if decision.verdict is not Verdict.ALLOW:
            raise RuntimeError(f"the measured call was not allowed: {decision.reasons}")
        if result is not None:
            told = ToolResult(call.id, name, result, args_sha256=call.args_sha256)
            await self.pipeline.results.observe(WHO, [told])
        return took

    def judging_ms(self, last: int) -> list[float]:
        """What the log says the newest decisions took from being asked to being written down."""
        lines = self._path.read_bytes().splitlines()
        records = (json.loads(line) for line in lines[-2 * last :])
        took = [r["elapsed_us"] / 1000 for r in records if r["type"] == "decision"]
        return took[-last:]

    def close(self) -> None:
        self._writer.close()
        self._store.close()
        self._log.close()


@contextlib.contextmanager
def deciding(rules: RuleSet) -> Iterator[Deciding]:
    """Opens a pipeline in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        made = Deciding(Path(folder), rules)
        try:
            yield made
        finally:
            made.close()


def quantile(values: list[float], share: float) -> float:
    """Returns the value that a share of them does not pass."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
