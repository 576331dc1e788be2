"""An agent that wants out, on the real pipeline.

`make_rogue(RULES)` gives a `Rogue`: it asks for calls, tells results, opens sessions and rewrites what it
told. Each test says what it gets; `test_known_limit_…` shows a way out that docs/threat-model.md lists.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from proxy.model import Call, Hold, HoldState, Identity, Json, ToolResult, Trust, Verdict
from proxy.pipeline.judge import call_key
from proxy.wire.codec import ParsedRequest
from proxy.wire.jsontext import call_from_text

if TYPE_CHECKING:
    from tests.conftest import Bench, MakeBench

ALLOW, HOLD, BLOCK = Verdict.ALLOW, Verdict.HOLD, Verdict.BLOCK
KEY = "q7Xw2PbT9sKd4LmZ8nVc"
KEY_FILE = json.dumps({"api_key": KEY})


def who(
    session: str = "s1", agent: str = "a1", parent: str | None = None, *, claimed: bool = False
) -> Identity:
    """An identity; `claimed`: the session is a name that the agent gave itself."""
    return Identity(
        session, agent, Trust.CLAIMED if claimed else Trust.CREDENTIAL, Trust.CREDENTIAL, parent=parent
    )  # fmt: skip


class Rogue:
    """One agent's program and its model, both under somebody else's influence."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.turn = 0
        self.last: Call | None = None

    async def asks(
        self,
        tool: str,
        arguments: Json,
        *,
        identity: Identity | None = None,
        result: str | None = None,
        error: bool = False,
        **more: Any,
    ) -> Verdict:
        """Asks for a call in a response of its own; tells its result where it passes."""
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        self.turn += 1
        self.bench.now_ms += 1000
        identity = identity or who()
        call = call_from_text(
            text,
            id=f"c{self.turn}",
            name=tool,
            provider="openai.chat",
            response_id=f"r{self.turn}",
            **more,
        )
        self.last = call
        await self.bench.pipeline.see_session(identity, "peer")
        decision = await self.bench.pipeline.decide(
            call, identity, call_key(identity, call, "x"), None
        )
        if result is not None and decision.verdict is ALLOW:
            await self.tells(call, result, identity=identity, error=error)
        return decision.verdict

    async def tells(
        self,
        call: Call | None,
        text: str,
        *,
        identity: Identity | None = None,
        error: bool = False,
        name: str | None = None,
        forget_call: bool = False,
    ) -> None:
        """Tells a result of a call; `forget_call`: without the turn that asked for it."""
        assert call is not None
        told = ToolResult(
            call.id, name or call.name, text, error, None if forget_call else call.args_sha256
        )
        await self.bench.pipeline.results.observe(identity or who(), [told])

    async def hears(self, text: str, identity: Identity | None = None) -> None:
        """Sends a message in the user's name."""
        identity = identity or who()
        await self.bench.pipeline.see_session(identity, "peer")
        request = ParsedRequest("openai.chat", {}, user_text=text, opening=text)
        await self.bench.pipeline.observe(identity, request)

    async def approved(self) -> Hold:
        """A human says yes to what waits."""
        (hold,) = await self.bench.pipeline.desk.list((HoldState.PENDING,))
        self.bench.now_ms += 1000
        return await self.bench.pipeline.desk.approve(hold.id, "ada")


type MakeRogue = Callable[[str], Rogue]


@pytest.fixture
def make_rogue(make_bench: MakeBench) -> MakeRogue:
    return lambda rules: Rogue(make_bench("version: 1\npack: evasion\n" + rules))
