"""What every API's agent has to see at each verdict, and on its next turn.

An `Agent` is a vendor's SDK with its history kept the way its documentation shows. A case has two turns:
the word that makes the model ask for a tool, then either the results or, where no call was left, another
word. The upstream is strict, so that the second turn proves the restored history.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tests.e2e.conftest import Proxy

LEAD = "Let me see."
DONE = "Done."
ARGUMENTS = {"order_id": "A-1", "amount": 150}
CASES = ("allow", "block", "approve", "deny", "both")
MODES = [(is_async, stream) for is_async in (False, True) for stream in (False, True)]
MODE_IDS = [f"{'async' if a else 'sync'}-{'stream' if s else 'plain'}" for a, s in MODES]
TOOLS = ("look_up", "forbidden", "refund_order")
SCHEMA = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}},
    "required": ["order_id", "amount"],
}

type Asked = tuple[str, dict[str, Any]]


def script(user: str) -> tuple[str, tuple[Asked, ...]]:
    """The model: what it says to a user's word."""
    tools = {
        "ALLOW": ["look_up"],
        "BLOCK": ["forbidden"],
        "HOLD": ["refund_order"],
        "BOTH": ["look_up", "forbidden", "look_up"],
    }.get(user)
    if tools is None:
        return DONE, ()
    return LEAD, tuple(
        (name, ARGUMENTS | {"order_id": f"A-{n}"}) for n, name in enumerate(tools, 1)
    )


@dataclass(frozen=True, slots=True)
class Got:
    """What an agent takes from an answer."""

    text: str
    calls: list[Asked]


class Agent(Protocol):
    async def say(self, text: str) -> Got:
        """Sends a user's word."""

    async def results(self, texts: Sequence[str]) -> Got:
        """Sends a result for each call of the last answer."""

    async def close(self) -> None:
        """Lets go of the connections."""


class Kept(Protocol):
    requests: list[dict[str, Any]]
    rejected: list[str]


def check(
    agent: Agent,
    case: str,
    session: str,
    proxy: Proxy,
    kept: Kept,
    *,
    server_keeps: bool = False,
) -> None:
    """Runs one case and looks at both turns; the calls come again unless the server keeps them."""
    answers: list[threading.Thread] = []
    if case in ("approve", "deny"):
        reason = {"reason": "Not this one." if case == "deny" else None}
        answers = [threading.Thread(target=proxy.answer, args=(case,), kwargs=reason)]
        answers[0].start()
    word = {"allow": "ALLOW", "block": "BLOCK", "both": "BOTH"}.get(case, "HOLD")
    first, second = asyncio.run(_turns(agent, word))
    for thread in answers:
        thread.join(20)
    asked = list(script(word)[1])
    refused = {"allow": [], "approve": [], "both": [asked[1 % len(asked)]]}.get(case, asked)
    assert first.calls == [one for one in asked if one not in refused]
    for name, _ in refused:
        says = "Not this one." if case == "deny" else "Nothing is deleted here."
        assert f"The call {name} was refused and did not run" in first.text
        assert says in first.text
    if not refused:
        assert "checkrein" not in first.text
    assert kept.rejected == []
    assert second == Got(DONE, [])
    sent = json.dumps(kept.requests[-1])
    for name, _ in asked:
        assert f'"{name}"' in sent or server_keeps
    assert sent.count("was refused and did not run") >= len(refused)
    decided = [r for r in proxy.records("decision") if r["session"].endswith(session)]
    first_verdicts = {"allow": "allow", "block": "block", "both": "allow"}
    assert decided[0]["verdict"] == first_verdicts.get(case, "hold")
    assert {r["call"]["name"] for r in decided} == {name for name, _ in asked}


async def _turns(agent: Agent, word: str) -> tuple[Got, Got]:
    try:
        first = await agent.say(word)
        if first.calls:
            return first, await agent.results([f"result {n}" for n, _ in enumerate(first.calls)])
        return first, await agent.say("NEXT")
    finally:
        await agent.close()
