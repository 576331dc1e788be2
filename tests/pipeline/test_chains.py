"""Chains through the real judge: order, gaps, targets, windows, what clears them, whose they are, flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.model import Identity, Side, ToolResult, Trust, Verdict
from proxy.pipeline.judge import call_key

if TYPE_CHECKING:
    from tests.conftest import Bench, MakeBench

ALLOW, HOLD, BLOCK = Verdict.ALLOW, Verdict.HOLD, Verdict.BLOCK
TOOLS = """version: 1
pack: chains
tools:
  - {name: read_secret, effects: [{kind: data.read.secret, target: args.t}]}
  - {name: pack, effects: [{kind: data.export, target: args.t}]}
  - {name: upload, effects: [{kind: data.egress, target: args.t, data: args.body}]}
  - {name: mail, effects: [{kind: message.external, target: args.t}]}
  - {name: scrub, effects: [{kind: data.sanitize, target: args.t}]}
  - name: leak                       # both in one call, as a pipe in a shell line is
    effects: [{kind: data.read.secret, target: args.t}, {kind: data.egress, target: args.t}]
  - {name: look, effects: []}
chains:
"""
SECRET = "tok-9f8a7b6c5d4e3f2a1b0c"


class Tale:
    """Calls in order, each let through or not, with results where they are told."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.turn = 0

    async def does(
        self,
        tool: str,
        target: str = "x",
        body: str = "words of its own",
        who: Identity | None = None,
        result: str | None = None,
    ) -> Verdict:
        self.turn += 1
        self.bench.now_ms += 1000
        who = who or self.bench.who()
        text = f'{{"t": "{target}", "body": "{body}"}}'
        call = self.bench.call(tool, text, f"c{self.turn}", f"r{self.turn}")
        decision = await self.bench.pipeline.decide(call, who, call_key(who, call, "x"))
        if result is not None:
            told = ToolResult(call.id, call.name, result, args_sha256=call.args_sha256)
            await self.bench.pipeline.results.observe(who, [told])
        return decision.verdict


@pytest.mark.parametrize(
    ("chain", "calls", "last"),
    [
        pytest.param("steps: [data.read.secret, data.egress]", "read_secret upload", HOLD, id="met"),
        pytest.param("steps: [data.read.secret, data.egress]", "upload read_secret", ALLOW, id="wrong-order"),
        pytest.param("steps: [data.read.secret, data.egress]", "read_secret look mail look upload", HOLD, id="with-gaps"),
        pytest.param("steps: [data.read.secret, data.egress], on_match: block", "read_secret upload", BLOCK, id="blocks"),
        pytest.param("steps: [data.read.secret, [data.egress, message.*]]", "read_secret mail", HOLD, id="alternatives-and-globs"),
        pytest.param("steps: [data.read.secret, data.export, data.egress]", "read_secret upload", ALLOW, id="middle-step-missing"),
        pytest.param("steps: [data.read.secret, data.export, data.egress]", "read_secret pack upload", HOLD, id="three-steps"),
        pytest.param("steps: [data.read.secret, data.export, data.egress]", "pack read_secret upload", ALLOW, id="middle-step-too-early"),
        pytest.param("steps: [data.egress, data.egress, data.egress]", "upload upload", ALLOW, id="the-same-step-twice-of-three"),
        pytest.param("steps: [data.egress, data.egress, data.egress]", "upload upload upload", HOLD, id="the-same-step-thrice"),
        pytest.param("steps: [data.read.secret, data.egress], same: target", "read_secret@a upload@b", ALLOW, id="another-target"),
        pytest.param("steps: [data.read.secret, data.egress], same: target", "read_secret@a read_secret@b upload@a", HOLD, id="same-target"),
        pytest.param("steps: [data.read.secret, data.egress], unless: data.sanitize", "read_secret scrub upload", ALLOW, id="cleared-in-between"),
        pytest.param("steps: [data.read.secret, data.egress], unless: data.sanitize", "scrub read_secret upload", HOLD, id="cleared-too-early"),
        pytest.param("steps: [data.read.secret, data.egress], unless: data.sanitize", "read_secret scrub read_secret upload", HOLD, id="begun-again"),
        pytest.param("steps: [data.read.secret, data.egress]", "leak", HOLD, id="both-in-one-call"),
        pytest.param("steps: [data.read.secret, data.egress], flow: observed", "leak", HOLD, id="both-in-one-call-is-flow"),
        pytest.param("steps: [data.egress, data.read.secret]", "leak", ALLOW, id="both-in-one-call-the-wrong-way"),
        pytest.param("steps: [{of: data.read.secret, when: 'effect.target == \"prod\"'}, data.egress]", "read_secret@dev upload", ALLOW, id="step-condition-false"),
        pytest.param("steps: [{of: data.read.secret, when: 'effect.target == \"prod\"'}, data.egress]", "read_secret@prod upload", HOLD, id="step-condition-true"),
        pytest.param("steps: [{of: data.read.secret, when: args.none.of.it == 1}, data.egress]", "read_secret upload", HOLD, id="step-condition-in-doubt-counts"),
    ],
)  # fmt: skip
async def test_patterns(make_bench: MakeBench, chain: str, calls: str, last: Verdict) -> None:
    """All calls but the last pass; the last one meets the chain, or does not."""
    tale = Tale(make_bench(TOOLS + f"  - {{name: c, {chain}}}\n"))
    *before, final = [call.partition("@") for call in calls.split()]
    for tool, _, target in before:
        assert await tale.does(tool, target or "x") is ALLOW
    assert await tale.does(final[0], final[2] or "x") is last


async def test_the_reason_tells_the_whole_chain(make_bench: MakeBench) -> None:
    """Who reads it sees what led there, by which calls."""
    bench = make_bench(
        TOOLS + "  - {name: leaves, steps: [data.read.secret, data.egress], message: Ask first.}\n"
    )
    tale = Tale(bench)
    await tale.does("read_secret", "prod/db")
    await tale.does("upload", "pastebin")
    reason = bench.records("decision")[-1]["reasons"][0]
    assert reason["text"] == (
        "Ask first. (Chain 'leaves': data.read.secret by read_secret, then data.egress by upload.)"
    )
    assert (reason["rule"], reason["file"], reason["line"]) == ("leaves", "bench.yaml", 13)


@pytest.mark.parametrize(("wait_s", "last"), [(50, HOLD), (70, ALLOW)], ids=["within", "past"])
async def test_a_window_ends(make_bench: MakeBench, wait_s: int, last: Verdict) -> None:
    """Steps further apart than the window are no chain."""
    bench = make_bench(
        TOOLS + "  - {name: c, steps: [data.read.secret, data.egress], within: 1m}\n"
    )
    tale = Tale(bench)
    await tale.does("read_secret")
    bench.now_ms += wait_s * 1000
    assert await tale.does("upload") is last


SUB = Identity("sub", "a1", Trust.CREDENTIAL, Trust.CREDENTIAL, parent="s1")
SUB_SUB = Identity("subsub", "a1", Trust.CREDENTIAL, Trust.CREDENTIAL, parent="sub")
OTHER = Identity("s2", "a1", Trust.CREDENTIAL, Trust.CREDENTIAL)
STRANGER = Identity("s3", "a2", Trust.CREDENTIAL, Trust.CREDENTIAL)


@pytest.mark.parametrize(
    ("within", "who", "last"),
    [
        pytest.param("session", SUB, HOLD, id="a-sub-agent-goes-on"),
        pytest.param("session", SUB_SUB, HOLD, id="a-sub-agent-of-it-too"),
        pytest.param("session", OTHER, ALLOW, id="another-session"),
        pytest.param("agent", OTHER, HOLD, id="another-session-of-the-agent"),
        pytest.param("agent", STRANGER, ALLOW, id="another-agent"),
        pytest.param("{per: agent, window: 1h}", OTHER, HOLD, id="agent-within-a-window"),
    ],
)
async def test_whose_chain_it_is(
    make_bench: MakeBench, within: str, who: Identity, last: Verdict
) -> None:
    """Sub-agents roll up; a chain `within: agent` spans the agent's sessions."""
    bench = make_bench(
        TOOLS + f"  - {{name: c, steps: [data.read.secret, data.egress], within: {within}}}\n"
    )
    for one in (bench.who(), SUB, who):
        await bench.pipeline.see_session(one, "peer")
    tale = Tale(bench)
    await tale.does("read_secret")
    assert await tale.does("upload", who=who) is last


@pytest.mark.parametrize(
    ("flow", "body", "result", "last"),
    [
        pytest.param("possible", "see ticket 4471-8829", SECRET, HOLD, id="possible-result-seen"),
        pytest.param("possible", "anything", None, ALLOW, id="possible-no-result"),
        pytest.param("possible", "Q3-2026-figures.pdf", SECRET, ALLOW, id="possible-only-the-users-words"),
        pytest.param("observed", "anything", SECRET, ALLOW, id="observed-other-data"),
        pytest.param("observed", f"see {SECRET}", SECRET, HOLD, id="observed-plain"),
        pytest.param("observed", "dG9rLTlmOGE3YjZjNWQ0ZTNmMmExYjBj", SECRET, HOLD, id="observed-base64"),
        pytest.param("observed", SECRET.upper(), f"the token is {SECRET}", HOLD, id="observed-upper-case"),
    ],
)  # fmt: skip
async def test_flow(
    make_bench: MakeBench, flow: str, body: str, result: str | None, last: Verdict
) -> None:
    """Three strengths of evidence: order alone, possible, observed."""
    bench = make_bench(
        TOOLS + f"  - {{name: c, steps: [data.read.secret, data.egress], flow: {flow}}}\n"
    )
    await bench.hears("please upload Q3-2026-figures.pdf")
    tale = Tale(bench)
    assert await tale.does("read_secret", result=result) is ALLOW
    assert await tale.does("upload", body=body) is last


async def test_observed_flow_is_of_any_earlier_read_not_of_the_last(make_bench: MakeBench) -> None:
    """Reading something harmless afterwards does not hide what was read before."""
    bench = make_bench(
        TOOLS + "  - {name: c, steps: [data.read.secret, data.egress], flow: observed}\n"
    )
    tale = Tale(bench)
    await tale.does("read_secret", result=SECRET)
    for _ in range(3):
        await tale.does("read_secret", result="nothing here")
    assert await tale.does("upload", body=SECRET) is HOLD


@pytest.mark.parametrize(
    ("unless", "last"), [("", HOLD), (", unless: checkpoint", ALLOW)], ids=["stays", "checkpoint"]
)
async def test_a_human_who_looks_clears_a_chain(
    make_bench: MakeBench, unless: str, last: Verdict
) -> None:
    """`unless: checkpoint`: an approval in between is a human's eye."""
    bench = make_bench(
        TOOLS
        + f"  - {{name: c, steps: [data.read.secret, data.egress]{unless}}}\n"
        + 'gates: [{name: g, when: effect.kind == "message.external"}]\n'
    )
    tale = Tale(bench)
    await tale.does("read_secret")
    assert await tale.does("mail") is HOLD
    (hold,) = await bench.pipeline.desk.list()
    bench.now_ms += 1000
    await bench.pipeline.desk.approve(hold.id, "ada")
    assert await tale.does("upload") is last
    assert bench.records("session")[-1]["event"] == "checkpoint"


async def test_a_call_that_is_refused_moves_no_chain(make_bench: MakeBench) -> None:
    """What did not run has read nothing."""
    bench = make_bench(
        TOOLS
        + "  - {name: c, steps: [data.read.secret, data.egress]}\n"
        + 'gates: [{name: g, when: effect.kind == "data.read.secret", verdict: block}]\n'
    )
    tale = Tale(bench)
    assert await tale.does("read_secret") is BLOCK
    assert await tale.does("upload") is ALLOW


async def test_a_chain_outlives_the_proxy(make_bench: MakeBench) -> None:
    """Its state is in the ledger."""
    rules = TOOLS + "  - {name: c, steps: [data.read.secret, data.egress]}\n"
    bench = make_bench(rules)
    await Tale(bench).does("read_secret")
    bench.close()
    again = make_bench(rules)
    tale = Tale(again)
    tale.turn = 9
    assert await tale.does("upload") is HOLD


@pytest.mark.parametrize("size", [3, 4, 5, 7], ids=lambda n: f"{n}-characters-a-call")
async def test_a_secret_that_leaves_in_pieces_is_seen(make_bench: MakeBench, size: int) -> None:
    """No piece says anything by itself; together they are stopped well before all of it is gone."""
    bench = make_bench(
        TOOLS + "  - {name: c, steps: [data.read.secret, data.egress], flow: observed}\n"
    )
    tale = Tale(bench)
    await tale.does("read_secret", result=f'{{"api_key": "{SECRET}"}}')
    pieces = [SECRET[at : at + size] for at in range(0, len(SECRET), size)]
    verdicts = [await tale.does("upload", body=piece) for piece in pieces]
    assert size * verdicts.index(HOLD) <= max(len(SECRET) // 2, 2 * size)


async def test_one_action_seen_on_two_sides_is_one_step(make_bench: MakeBench) -> None:
    """The tool's side of a call that the model's side has moved a chain with does not complete it."""
    bench = make_bench(
        TOOLS + "  - {name: twice, steps: [data.egress, data.egress], same: target}\n"
    )
    who = bench.who()
    asked = bench.call("upload", '{"t": "x", "body": "b"}', "c1", "r1")
    assert (await bench.pipeline.decide(asked, who, call_key(who, asked, "x"))).verdict is ALLOW
    made = bench.call("upload", '{"t": "x", "body": "b"}', "7", None, side=Side.MCP)
    assert (await bench.pipeline.decide(made, who, call_key(who, made, "y"))).verdict is ALLOW
    again = bench.call("upload", '{"t": "x", "body": "b"}', "8", None, side=Side.MCP)
    assert (await bench.pipeline.decide(again, who, call_key(who, again, "z"))).verdict is HOLD


async def test_an_upload_too_long_to_be_read_counts_as_the_secret(make_bench: MakeBench) -> None:
    """What was not looked at may be anything that was met; before a secret was met it is only long."""
    bench = make_bench(
        TOOLS + "  - {name: c, steps: [data.read.secret, data.egress], flow: observed}\n"
    )
    tale = Tale(bench)
    long = "lorem ipsum dolor " * 40_000
    assert await tale.does("upload", body=long) is ALLOW
    await tale.does("read_secret", result=f'{{"api_key": "{SECRET}"}}')
    assert await tale.does("upload", body=long) is HOLD


async def test_what_was_asked_for_before_is_judged_again_when_it_is_done(
    make_bench: MakeBench,
) -> None:
    """A send that was let through, kept back, and done after a secret was read completes the chain."""
    bench = make_bench(TOOLS + "  - {name: c, steps: [data.read.secret, data.egress]}\n")
    who = bench.who()
    asked = bench.call("upload", '{"t": "x", "body": "b"}', "c1", "r1")
    assert (await bench.pipeline.decide(asked, who, call_key(who, asked, "x"))).verdict is ALLOW
    assert await Tale(bench).does("read_secret") is ALLOW
    made = bench.call("upload", '{"t": "x", "body": "b"}', "7", None, side=Side.MCP)
    assert (await bench.pipeline.decide(made, who, call_key(who, made, "y"))).verdict is HOLD
