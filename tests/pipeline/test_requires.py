"""Preconditions through the real judge: evidence is an observed result, fresh, on the same target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.model import Side, ToolResult, Verdict
from proxy.pipeline.judge import call_key

if TYPE_CHECKING:
    from tests.conftest import Bench, MakeBench

ALLOW, HOLD, BLOCK = Verdict.ALLOW, Verdict.HOLD, Verdict.BLOCK
RULES = """version: 1
pack: rotation
tools:
  - {name: usage, effects: [{kind: credential.usage-check, target: args.key}]}
  - {name: revoke, effects: [{kind: credential.revoke, target: args.key, reversibility: irreversible}]}
requires:
  - name: unused
    for: credential.revoke
    evidence: credential.usage-check
    when: evidence.result.json.active_jobs == 0
    within: 15m
    otherwise: block
"""


async def step(bench: Bench, tool: str, key: str, result: str | None = None, *, error: bool = False) -> Verdict:  # fmt: skip
    bench.now_ms += 1000
    name = f"c{bench.now_ms}"
    call = bench.call(tool, f'{{"key": "{key}"}}', name, name)
    decision = await bench.pipeline.decide(call, bench.who(), call_key(bench.who(), call, "x"))
    if result is not None:
        told = ToolResult(call.id, tool, result, error, args_sha256=call.args_sha256)
        await bench.pipeline.results.observe(bench.who(), [told])
    return decision.verdict


@pytest.mark.parametrize(
    ("checks", "last"),
    [
        pytest.param([], BLOCK, id="never-checked"),
        pytest.param([("k1", '{"active_jobs": 0}', 0)], ALLOW, id="checked"),
        pytest.param([("k1", '{"active_jobs": 2}', 0)], BLOCK, id="in-use"),
        pytest.param([("k2", '{"active_jobs": 0}', 0)], BLOCK, id="another-credential"),
        pytest.param([("k1", None, 0)], BLOCK, id="asked-and-not-answered"),
        pytest.param([("k1", '{"active_jobs": 0}', 16 * 60)], BLOCK, id="too-old"),
        pytest.param([("k1", '{"active_jobs": 0}', 14 * 60)], ALLOW, id="just-fresh"),
        pytest.param([("k1", '{"active_jobs": 0}', 0), ("k1", '{"active_jobs": 1}', 0)], BLOCK, id="good-then-bad"),
        pytest.param([("k1", '{"active_jobs": 1}', 0), ("k1", '{"active_jobs": 0}', 0)], ALLOW, id="bad-then-good"),
        pytest.param([("k1", "no jobs at all, honest", 0)], BLOCK, id="prose-is-no-evidence"),
        pytest.param([("k1", '{"active_jobs": "0"}', 0)], BLOCK, id="text-is-no-number"),
        pytest.param([("k1", '{"active_jobs": 0, "active_jobs": 5}', 0)], BLOCK, id="two-readings"),
    ],
)  # fmt: skip
async def test_evidence(
    bench_of_rotation: Bench, checks: list[tuple[str, str | None, int]], last: Verdict
) -> None:
    """The revocation passes on a fresh good result for this very credential, and on nothing else."""
    for key, result, age_s in checks:
        assert await step(bench_of_rotation, "usage", key, result) is ALLOW
        bench_of_rotation.now_ms += age_s * 1000
    assert await step(bench_of_rotation, "revoke", "k1") is last


@pytest.fixture
def bench_of_rotation(make_bench: MakeBench) -> Bench:
    return make_bench(RULES)


async def test_a_missing_precondition_says_what_to_call_first(bench_of_rotation: Bench) -> None:
    """The agent can go on by itself."""
    await step(bench_of_rotation, "revoke", "k1")
    text = bench_of_rotation.records("decision")[-1]["reasons"][0]["text"]
    assert text == (
        "Requirement 'unused': there is no credential.usage-check for 'k1' yet. "
        "Call usage for 'k1' first."
    )


async def test_the_models_word_does_not_replace_a_tools_own(bench_of_rotation: Bench) -> None:
    """What the tool's side showed of a call stands, whatever the history says of the same call."""
    bench = bench_of_rotation
    who = bench.who()
    asked = bench.call("usage", '{"key": "k1"}', "c1", "r1")
    await bench.pipeline.decide(asked, who, call_key(who, asked, "x"))
    made = bench.call("usage", '{"key": "k1"}', "7", None, side=Side.MCP, kind="mcp_call")
    key = call_key(who, made, "y")
    bench.now_ms += 10
    assert (await bench.pipeline.decide(made, who, key)).bound is not None
    bench.now_ms += 10
    await bench.pipeline.results.observe_http(key, ToolResult(None, None, '{"active_jobs": 3}'))
    bench.now_ms += 10
    told = ToolResult("c1", "usage", '{"active_jobs": 0}', args_sha256=asked.args_sha256)
    await bench.pipeline.results.observe(who, [told])
    assert await step(bench, "revoke", "k1") is BLOCK
    assert await step(bench, "usage", "k1", '{"active_jobs": 0}') is ALLOW
    assert await step(bench, "revoke", "k1") is ALLOW
