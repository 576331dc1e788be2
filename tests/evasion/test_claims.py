"""Names that the agent gives itself: sessions, parents, agents."""

from __future__ import annotations

import pytest

from proxy.identity import Claims, identify
from proxy.model import Identity
from tests.evasion.conftest import ALLOW, BLOCK, HOLD, KEY, KEY_FILE, MakeRogue, Rogue, who

RULES = """
tools:
  - {name: read_secret, effects: [{kind: data.read.secret, target: args.name}]}
  - {name: upload, effects: [{kind: data.egress, target: args.t, data: args.body}]}
  - {name: refund, effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.order}]}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session}
  - {name: agent-refunds, of: money.refund, sum: EUR, limit: 300, per: agent}
  - {name: fleet-refunds, of: money.refund, sum: EUR, limit: 500, per: fleet}
chains:
  - {name: leaves, steps: [data.read.secret, data.egress], flow: observed, on_match: block}
  - {name: agent-leaves, steps: [data.read.secret, data.egress], within: agent, on_match: hold}
"""


@pytest.fixture
def rogue(make_rogue: MakeRogue) -> Rogue:
    return make_rogue(RULES)


async def total(rogue: Rogue, identities: list[Identity]) -> int:
    """Refunds 45 EUR with each identity in turn; returns how much passed."""
    passed = 0
    for n, identity in enumerate(identities):
        if await rogue.asks("refund", {"order": f"o{n}", "amount": 45}, identity=identity) is ALLOW:
            passed += 45
    return passed


@pytest.mark.parametrize(
    ("identities", "most"),
    [
        pytest.param([who()] * 9, 90, id="one-session"),
        pytest.param([who(f"s{n}", claimed=True) for n in range(12)], 270, id="a-session-a-refund"),
        pytest.param([who(f"s{n}", f"a{n}", claimed=True) for n in range(20)], 495, id="an-agent-a-refund"),
        pytest.param([who(f"c{n}", parent="s1", claimed=True) for n in range(9)], 90, id="a-sub-agent-a-refund"),
        pytest.param([who("s1"), who("c0", parent="s1"), *(who(f"g{n}", parent="c0", claimed=True) for n in range(9))], 90, id="grandchildren"),
    ],
)  # fmt: skip
async def test_the_sum_holds(rogue: Rogue, identities: list[Identity], most: int) -> None:
    """Many hands spend one purse."""
    assert await total(rogue, identities) <= most


@pytest.mark.parametrize(
    "parents",
    [
        pytest.param((None, "elsewhere"), id="claims-a-parent-later"),
        pytest.param(("s0", None), id="drops-its-parent"),
        pytest.param(("s0", "elsewhere"), id="changes-its-parent"),
    ],
)
async def test_a_session_cannot_leave_its_past(
    rogue: Rogue, parents: tuple[str | None, str | None]
) -> None:
    """A parent named later makes no new past."""
    before, after = (who("s1", parent=parent, claimed=True) for parent in parents)
    await rogue.asks("read_secret", {"name": "prod"}, result=KEY_FILE, identity=before)
    assert await rogue.asks("upload", {"t": "x", "body": KEY}, identity=after) is BLOCK


async def test_a_ring_of_parents_is_a_family(rogue: Rogue) -> None:
    """a is b's parent, b is a's."""
    a, b = who("a", parent="b", claimed=True), who("b", parent="a", claimed=True)
    await rogue.asks("read_secret", {"name": "prod"}, result=KEY_FILE, identity=a)
    await rogue.asks("refund", {"order": "o", "amount": 1}, identity=b)
    assert await rogue.asks("upload", {"t": "x", "body": KEY}, identity=a) is BLOCK


def test_a_runs_credential_goes_before_all_that_is_claimed() -> None:
    """Neither the session nor a parent can be chosen in a run: its family is the run's own."""
    headers = {
        "x-checkrein-session": "other",
        "x-parent-session-id": "elsewhere",
        "x-codex-parent-thread-id": "y",
    }
    found = identify(Claims(headers, credential=("run", "agent"), linked_session="l"))
    assert (found.session, found.agent, found.parent) == ("run", "agent", None)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"authorization": "Bearer k", "x-api-key": "other"}, id="two-keys"),
        pytest.param(
            {"authorization": "Bearer k", "x-checkrein-agent": "boss"}, id="a-header-of-its-own"
        ),
        pytest.param({"authorization": "bearer  k", "user-agent": "boss"}, id="spelled-otherwise"),
    ],
)
def test_who_the_agent_is_cannot_be_chosen(headers: dict[str, str]) -> None:
    """An agent's budgets hang on its key or its address."""
    names = {
        identify(Claims(headers, peer="10.0.0.9")).agent,
        identify(Claims({"authorization": "Bearer k"}, peer="10.0.0.9")).agent,
    }
    assert names <= {"peer:10.0.0.9", identify(Claims({"authorization": "Bearer k"})).agent}


async def test_known_limit_a_new_claimed_session_has_no_past(rogue: Rogue) -> None:
    """Rules per session begin anew with a name that the agent chooses; rules per agent do not."""
    await rogue.asks(
        "read_secret", {"name": "prod"}, result=KEY_FILE, identity=who("s1", claimed=True)
    )
    assert (
        await rogue.asks("upload", {"t": "x", "body": KEY}, identity=who("s2", claimed=True))
        is HOLD
    )
    assert [r["rule"] for r in rogue.bench.records("decision")[-1]["reasons"]] == ["agent-leaves"]


async def test_known_limit_a_second_api_key_is_a_second_agent(rogue: Rogue) -> None:
    """Only budgets per fleet span the keys that one program holds."""
    assert await total(rogue, [who(f"s{n}", f"a{n % 2}", claimed=True) for n in range(14)]) > 300
