"""A human's yes, used for something else: again, later, elsewhere, for more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.errors import HoldError
from proxy.model import HoldState
from tests.evasion.conftest import ALLOW, BLOCK, HOLD, KEY, KEY_FILE, Rogue, who

if TYPE_CHECKING:
    from proxy.model import Identity, Json
    from tests.evasion.conftest import MakeRogue

RULES = """
tools:
  - {name: deploy, effects: [{kind: deploy.production, target: args.app}]}
  - {name: [send, send2], effects: [{kind: message.external, target: args.to}]}
  - {name: read_secret, effects: [{kind: data.read.secret, target: args.name}]}
  - {name: sum_up, effects: [{kind: data.read.web, target: args.t, points: 4}]}
  - {name: upload, effects: [{kind: data.egress, target: args.t, data: args.body, points: 0}]}
  - {name: refund, effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.order, points: 0}]}
gates:
  - {name: ask, when: 'effect.kind == "deploy.production" || effect.kind == "message.external"', verdict: hold}
  - {name: ask-prod, when: 'server == "prod" && effect.kind == "message.external"', verdict: hold}
  - {name: ask-upload, when: 'effect.kind == "data.egress" && effect.target == "new.example"', verdict: hold}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session}
  - {name: autonomy, of: data.read.web, sum: points, limit: 10, per: session, since: checkpoint}
chains:
  - {name: leaves, steps: [data.read.secret, data.egress], unless: checkpoint, on_match: hold}
  - {name: leaves-whatever, steps: [data.read.secret, data.egress], flow: observed, on_match: hold}
"""
DEPLOY = {"app": "shop", "replicas": 3}


@pytest.fixture
async def rogue(make_rogue: MakeRogue) -> Rogue:
    """One whose deployment of the shop a human has just approved."""
    made = make_rogue(RULES)
    assert await made.asks("deploy", DEPLOY) is HOLD
    await made.approved()
    return made


@pytest.mark.parametrize(
    ("tool", "arguments", "identity"),
    [
        pytest.param("deploy", {"app": "shop", "replicas": 4}, who(), id="another-argument"),
        pytest.param("deploy", {**DEPLOY, "force": True}, who(), id="one-argument-more"),
        pytest.param("deploy", {"app": "shop", "replicas": "3"}, who(), id="a-text-for-a-number"),
        pytest.param("deploy", {"app": "shop ", "replicas": 3}, who(), id="a-space-more"),
        pytest.param("deploy", {"app": "Shop", "replicas": 3}, who(), id="another-case"),
        pytest.param("send", DEPLOY | {"to": "x"}, who(), id="another-tool"),
        pytest.param("deploy", DEPLOY, who("s2", claimed=True), id="another-session"),
        pytest.param("deploy", DEPLOY, who("s1", "a2", claimed=True), id="another-agent-that-claims-the-session"),
        pytest.param("deploy", DEPLOY, who("sub", parent="s1", claimed=True), id="a-sub-session"),
    ],
)  # fmt: skip
async def test_it_is_for_this_call_alone(
    rogue: Rogue, tool: str, arguments: Json, identity: Identity
) -> None:
    assert await rogue.asks(tool, arguments, identity=identity) is HOLD


async def test_it_is_used_once(rogue: Rogue) -> None:
    verdicts = [await rogue.asks("deploy", DEPLOY) for _ in range(3)]
    assert verdicts == [ALLOW, HOLD, HOLD]


@pytest.mark.parametrize(
    "text", ['{"replicas": 3, "app": "shop"}', '{ "app":"shop","replicas":3.0 }']
)
async def test_another_spelling_of_the_same_arguments_uses_it_too(rogue: Rogue, text: str) -> None:
    """Order, spaces and 3.0 are no other call; and the yes is then used up."""
    assert await rogue.asks("deploy", text) is ALLOW
    assert await rogue.asks("deploy", DEPLOY) is HOLD


async def test_numbers_that_a_double_cannot_tell_apart_are_two_calls(make_rogue: MakeRogue) -> None:
    rogue = make_rogue(RULES)
    await rogue.asks("deploy", '{"app": "shop", "id": 9007199254740993}')
    await rogue.approved()
    assert await rogue.asks("deploy", '{"app": "shop", "id": 9007199254740992}') is HOLD


async def test_it_lapses(rogue: Rogue) -> None:
    rogue.bench.now_ms += int(rogue.bench.settings.approval_expiry_s * 1000)
    assert await rogue.asks("deploy", DEPLOY) is HOLD


@pytest.mark.parametrize("end", ["denied", "expired"])
async def test_a_hold_that_has_ended_cannot_be_approved(make_rogue: MakeRogue, end: str) -> None:
    """Nor does asking again find a way round a no."""
    rogue = make_rogue(RULES)
    await rogue.asks("deploy", DEPLOY)
    desk = rogue.bench.pipeline.desk
    (hold,) = await desk.list((HoldState.PENDING,))
    if end == "denied":
        await desk.deny(hold.id, "ada")
    else:
        rogue.bench.now_ms += int(rogue.bench.settings.hold_expiry_s * 1000)
        await desk.expire_due()
    with pytest.raises(HoldError):
        await desk.approve(hold.id, "eve")
    assert await rogue.asks("deploy", DEPLOY) is HOLD


async def test_two_at_once_cannot_both_use_it(rogue: Rogue) -> None:
    """The same call twice in one answer."""
    verdicts = {n: await rogue.asks("deploy", DEPLOY) for n in ("first", "second")}
    assert list(verdicts.values()) == [ALLOW, HOLD]


async def test_a_yes_for_one_server_is_none_for_another(make_rogue: MakeRogue) -> None:
    """Two MCP servers have a tool of one name; the human saw one of them."""
    rogue = make_rogue(RULES)
    await rogue.asks("send", {"to": "x"}, namespace="staging")
    await rogue.approved()
    assert await rogue.asks("send", {"to": "x"}, namespace="prod") is HOLD


async def test_a_yes_covers_what_the_human_was_shown(make_rogue: MakeRogue) -> None:
    """Approved before the secret was read; sent after: the chain was not on the table."""
    rogue = make_rogue(RULES)
    upload = {"t": "new.example", "body": KEY}
    assert await rogue.asks("upload", upload) is HOLD
    await rogue.approved()
    await rogue.asks("read_secret", {"name": "prod"}, result=KEY_FILE)
    assert await rogue.asks("upload", upload) is HOLD
    (hold,) = await rogue.bench.pipeline.desk.list((HoldState.PENDING,))
    assert {"leaves-whatever", "ask-upload"} <= {reason.rule for reason in hold.reasons}


async def test_a_yes_never_passes_a_block(make_rogue: MakeRogue) -> None:
    rogue = make_rogue(
        RULES.replace("flow: observed, on_match: hold", "flow: observed, on_match: block")
    )
    upload = {"t": "new.example", "body": KEY}
    await rogue.asks("upload", upload)
    await rogue.approved()
    await rogue.asks("read_secret", {"name": "prod"}, result=KEY_FILE)
    assert await rogue.asks("upload", upload) is BLOCK


async def test_a_small_approval_opens_no_budget(make_rogue: MakeRogue) -> None:
    """Only `since: checkpoint` refills; a sum over a window or a session stays spent."""
    rogue = make_rogue(RULES)
    await rogue.asks("refund", {"order": "o1", "amount": 90}, result="done")
    assert await rogue.asks("refund", {"order": "o2", "amount": 11}) is HOLD
    await rogue.approved()
    assert await rogue.asks("refund", {"order": "o2", "amount": 11}) is ALLOW
    assert await rogue.asks("refund", {"order": "o3", "amount": 1}) is HOLD


async def test_known_limit_a_harmless_approval_is_a_checkpoint(make_rogue: MakeRogue) -> None:
    """Any yes refills `since: checkpoint` and clears `unless: checkpoint`: the human was shown all of it."""
    rogue = make_rogue(RULES)
    await rogue.asks("read_secret", {"name": "prod"})
    assert [await rogue.asks("sum_up", {"t": n}) for n in "abc"] == [ALLOW, ALLOW, HOLD]
    await rogue.bench.pipeline.desk.deny((await rogue.bench.pipeline.desk.list())[0].id, "ada")
    await rogue.asks("send", {"to": "harmless"})
    await rogue.approved()
    assert await rogue.asks("sum_up", {"t": "d"}) is ALLOW
    assert await rogue.asks("upload", {"t": "x", "body": "nothing of it"}) is ALLOW
