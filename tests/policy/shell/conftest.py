"""The shell pack, asked as the proxy asks it: a line in, effects and the strictest word out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.model import Reason, Verdict
from proxy.policy.cel import Scope, Variables
from proxy.policy.gates import NO_EFFECT, Gate, effect_variables
from proxy.policy.load import load_paths
from proxy.policy.shell.commands import CommandTable, compile_commands

PACK = Path(__file__).parents[3] / "rules" / "shell.yaml"
CALL: Variables = {
    "args": {},
    "tool": "Bash",
    "server": "",
    "side": "model",
    "provider": "test",
    "session": "s",
    "agent": "a",
    "human": "",
    "identity.session_trust": "peer",
    "identity.agent_trust": "peer",
}


@dataclass(frozen=True)
class Answer:
    """What the pack says of one line."""

    effects: tuple[str, ...]
    verdict: str
    reasons: tuple[Reason, ...]
    labels: frozenset[str]


type Ask = Callable[[object], Answer]


@pytest.fixture(scope="session")
def ask() -> Ask:
    """Returns a function that judges a line by rules/shell.yaml alone."""
    loaded = load_paths([PACK])
    table = compile_commands(loaded.commands)
    assert [problem.text for _, site, _ in loaded.commands for problem in site.problems] == []
    return lambda text: judged(table, loaded.gates, text)


def judged(table: CommandTable, gates: list[Gate], text: object) -> Answer:
    reasons: list[Reason] = []
    base = Scope(CALL)
    produced = table.produce(text, base, reasons)
    scopes = [Scope(effect_variables(p.effect, amount_known=True), base) for p in produced]
    for gate in gates:
        answer = gate.judge(scopes or [Scope(NO_EFFECT, base)])
        if answer is not None:
            reasons.append(answer)
    strictest = max((reason.verdict for reason in reasons), default=Verdict.ALLOW)
    return Answer(
        tuple(f"{p.effect.kind} {p.effect.target}" for p in produced),
        strictest.label,
        tuple(reasons),
        frozenset(label for p in produced for label in p.effect.labels),
    )
