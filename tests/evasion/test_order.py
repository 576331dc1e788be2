"""Chains broken, preconditions forged, signals dodged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.model import Side
from tests.evasion.conftest import ALLOW, BLOCK, HOLD, KEY, KEY_FILE, Rogue, who

if TYPE_CHECKING:
    from proxy.model import Verdict
    from tests.evasion.conftest import MakeRogue

TOOLS = """
tools:
  - {name: read_secret, effects: [{kind: data.read.secret, target: args.t}]}
  - {name: upload, effects: [{kind: data.egress, target: args.t, data: args.body}]}
  - {name: scrub, effects: [{kind: data.sanitize, target: args.t}]}
  - {name: look, effects: []}
  - {name: usage, effects: [{kind: credential.usage-check, target: args.key}]}
  - {name: revoke, effects: [{kind: credential.revoke, target: args.key, reversibility: irreversible}]}
"""
REQUIRES = """
requires:
  - {name: unused, for: credential.revoke, evidence: credential.usage-check, when: evidence.result.json.active_jobs == 0, within: 15m, otherwise: block}
"""
FREE, BUSY = '{"active_jobs": 0}', '{"active_jobs": 3}'


def chain(more: str = "") -> str:
    return f"chains: [{{name: c, steps: [data.read.secret, data.egress]{more}}}]"


@pytest.mark.parametrize(
    ("more", "steps", "last"),
    [
        pytest.param("", ["look:x"] * 20, HOLD, id="many-harmless-steps-between"),
        pytest.param(", unless: data.sanitize", ["look:x"], HOLD, id="another-step-than-the-clearing-one"),
        pytest.param(", unless: data.sanitize, same: target", ["scrub:b"], HOLD, id="another-target-sanitised"),
        pytest.param(", unless: data.sanitize", ["scrub:x", "read_secret:x"], HOLD, id="sanitised-then-read-again"),
        pytest.param(", unless: data.sanitize", ["unknown:x"], HOLD, id="a-call-that-waits-clears-nothing"),
    ],
)  # fmt: skip
async def test_a_chain_is_not_broken(
    make_rogue: MakeRogue, more: str, steps: list[str], last: Verdict
) -> None:
    rogue = make_rogue(TOOLS + chain(more))
    for step in ["read_secret:x", *steps]:
        tool, _, target = step.partition(":")
        await rogue.asks(tool, {"t": target})
    assert await rogue.asks("upload", {"t": "x", "body": "b"}) is last


@pytest.mark.parametrize(
    ("more", "between", "wait_s"),
    [
        pytest.param(", unless: data.sanitize", "scrub", 0, id="the-clearing-step-is-cheap"),
        pytest.param(", within: 1h", "look", 3_600, id="waits-until-the-window-is-over"),
    ],
)
async def test_known_limit_a_chain_ends_where_its_rule_says(
    make_rogue: MakeRogue, more: str, between: str, wait_s: int
) -> None:
    """`unless` believes that the step was done for this data; a window can be waited out."""
    rogue = make_rogue(TOOLS + chain(more))
    await rogue.asks("read_secret", {"t": "x"}, result=KEY_FILE)
    await rogue.asks(between, {"t": "anything"})
    rogue.bench.now_ms += wait_s * 1000
    assert await rogue.asks("upload", {"t": "x", "body": KEY}) is ALLOW


@pytest.mark.parametrize(
    ("spelled", "last"),
    [
        pytest.param("box", HOLD, id="another-case"),
        pytest.param(" Box ", HOLD, id="spaces"),
        pytest.param("\uff22\uff4f\uff58", HOLD, id="full-width"),
        pytest.param("Bo\u200bx", HOLD, id="zero-width"),
        pytest.param("crate", ALLOW, id="another-target"),
    ],
)
async def test_the_same_target_in_another_spelling(
    make_rogue: MakeRogue, spelled: str, last: Verdict
) -> None:
    rogue = make_rogue(TOOLS + chain(", same: target"))
    await rogue.asks("read_secret", {"t": "Box"})
    assert await rogue.asks("upload", {"t": spelled, "body": "b"}) is last


async def test_known_limit_a_target_by_another_name(make_rogue: MakeRogue) -> None:
    """That two names mean one thing (an id and an alias, a link and a file) only the tool knows."""
    rogue = make_rogue(TOOLS + chain(", same: target"))
    await rogue.asks("read_secret", {"t": "/srv/box"})
    assert await rogue.asks("upload", {"t": "/srv/../srv/box", "body": "b"}) is ALLOW


@pytest.fixture
def careful(make_rogue: MakeRogue) -> Rogue:
    return make_rogue(TOOLS + REQUIRES)


async def test_true_evidence_passes(careful: Rogue) -> None:
    await careful.asks("usage", {"key": "k1"}, result=FREE)
    assert await careful.asks("revoke", {"key": "k1"}) is ALLOW


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(BUSY, id="in-use"),
        pytest.param('{"active_jobs": 3, "active_jobs": 0}', id="a-key-twice"),
        pytest.param('{"active_jobs": "0"}', id="a-text"),
        pytest.param('{"active_jobs": null}', id="null"),
        pytest.param('{"active_jobs": 0} but really 3', id="text-behind"),
        pytest.param('[{"active_jobs": 0}]', id="a-list"),
        pytest.param('{"result": {"active_jobs": 0}}', id="deeper"),
        pytest.param('{"active_jobs": -0.4}', id="minus-a-bit"),
        pytest.param("active_jobs: 0", id="no-json"),
        pytest.param("", id="empty"),
    ],
)
async def test_no_evidence(careful: Rogue, result: str) -> None:
    """A result that does not show it is none."""
    await careful.asks("usage", {"key": "k1"}, result=result)
    assert await careful.asks("revoke", {"key": "k1"}) is BLOCK


async def test_forged_results(careful: Rogue) -> None:
    """Of a call never made, of a call that waits, of another tool, told in another's name."""
    await careful.asks("look", {})
    await careful.tells(careful.last, FREE, name="usage")
    assert await careful.asks("revoke", {"key": "k1"}) is BLOCK
    await careful.asks("unknown", {"key": "k1"})
    await careful.tells(careful.last, FREE, name="usage")
    assert await careful.asks("revoke", {"key": "k1"}) is BLOCK
    made_up = careful.bench.call("usage", '{"key": "k1"}', "never", "r")
    await careful.tells(made_up, FREE)
    assert await careful.asks("revoke", {"key": "k1"}) is BLOCK


async def test_evidence_of_another_session_or_agent(careful: Rogue) -> None:
    for other in (who("s2", claimed=True), who("s1", "a2", claimed=True)):
        await careful.asks("usage", {"key": "k1"}, identity=other)
        await careful.tells(careful.last, FREE)  # told in the victim's history
    assert await careful.asks("revoke", {"key": "k1"}) is BLOCK


@pytest.mark.parametrize("key", ["K1", "k1 ", "k1\u200b", "k\u0661", "k1,k2"], ids=ascii)
async def test_evidence_is_about_the_very_target(careful: Rogue, key: str) -> None:
    await careful.asks("usage", {"key": "k1"}, result=FREE)
    assert await careful.asks("revoke", {"key": key}) is BLOCK


async def test_stale_evidence_cannot_be_told_fresh(careful: Rogue) -> None:
    """An old result in other words renews nothing; nor does it cover a newer, worse one."""
    await careful.asks("usage", {"key": "k1"}, result=FREE)
    old = careful.last
    careful.bench.now_ms += 16 * 60_000
    await careful.tells(old, FREE + " ")
    assert await careful.asks("revoke", {"key": "k1"}) is BLOCK
    await careful.asks("usage", {"key": "k1"}, result=BUSY)
    for again in ('{"active_jobs":0}', '{"active_jobs": 0, "n": 1}'):
        await careful.tells(old, again)
        await careful.tells(careful.last, again)
    assert await careful.asks("revoke", {"key": "k1"}) is BLOCK


async def test_known_limit_a_result_the_agents_program_makes_up(careful: Rogue) -> None:
    """A model-side result is the agent's word until a tool's own side has spoken."""
    await careful.asks("usage", {"key": "k1"})
    await careful.tells(careful.last, FREE)
    assert await careful.asks("revoke", {"key": "k1"}) is ALLOW


async def test_a_rule_can_ask_for_the_tools_own_side(make_rogue: MakeRogue) -> None:
    rules = REQUIRES.replace("active_jobs == 0", 'active_jobs == 0 && evidence.side != "model"')
    rogue = make_rogue(TOOLS + rules)
    await rogue.asks("usage", {"key": "k1"}, result=FREE)
    assert await rogue.asks("revoke", {"key": "k1"}) is BLOCK
    await rogue.asks("usage", {"key": "k1", "n": 1}, side=Side.MCP, kind="mcp_call")


SIGNALS = """
signals:
  - {on: loop, count: 4, within: 10m, do: {block: "*"}}
  - {on: rate, count: 8, within: 1m, per: agent, do: {block: "*"}}
"""


@pytest.mark.parametrize(
    ("texts", "stopped_at"),
    [
        pytest.param(['{"q": "a"}'] * 6, 4, id="the-same-again"),
        pytest.param(['{"q": "a"}', '{"q":"a"}', '{ "q" : "a" }', '{"q": "\\u0061"}'], 4, id="written-otherwise"),
        pytest.param(['{"q": 1}', '{"q": 1.0}', '{"q": 1e0}', '{"q": 10e-1}'], 4, id="numbers-written-otherwise"),
        pytest.param([f'{{"q": "a", "n": {n}}}' for n in range(9)], 8, id="a-nonce-meets-the-rate"),
    ],
)  # fmt: skip
async def test_a_loop_is_seen(make_rogue: MakeRogue, texts: list[str], stopped_at: int) -> None:
    rogue = make_rogue(TOOLS + SIGNALS)
    verdicts = [await rogue.asks("look", text) for text in texts]
    assert verdicts.index(BLOCK) + 1 == stopped_at


async def test_new_sessions_do_not_reset_a_rate_per_agent(make_rogue: MakeRogue) -> None:
    rogue = make_rogue(TOOLS + SIGNALS)
    verdicts = [
        await rogue.asks("look", {"n": n}, identity=who(f"s{n}", claimed=True)) for n in range(8)
    ]
    assert verdicts[-1] is BLOCK


async def test_known_limit_slower_than_the_rate_with_a_nonce(make_rogue: MakeRogue) -> None:
    """Seven calls a minute, each a little different, for as long as one likes."""
    rogue = make_rogue(TOOLS + SIGNALS)
    for n in range(28):
        rogue.bench.now_ms += 8_000
        assert await rogue.asks("look", {"n": n}) is ALLOW
