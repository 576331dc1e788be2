"""Results settle what their call reserved: the right entry, once, and never released on doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.model import ToolResult
from proxy.pipeline.judge import call_key

if TYPE_CHECKING:
    from tests.conftest import Bench

OTHER = '{"order": "o1", "amount": 30}'


def result(
    bench: Bench, *, error: bool = True, id: str = "c1", text: str | None = None
) -> ToolResult:
    """A result as a history shows it, with the digest of the call that it answers."""
    call = bench.call(id=id) if text is None else bench.call(id=id, text=text)
    return ToolResult(id, "refund", "sorry" if error else "done", error, call.args_sha256)


async def states(bench: Bench, session: str = "s1") -> list[str]:
    entries, _ = await bench.pipeline.session(session)
    return [entry.state.value for entry in entries]


@pytest.mark.parametrize(
    ("error", "state", "used"),
    [
        pytest.param(False, "committed", "45", id="ok"),
        pytest.param(True, "released", "0", id="failed"),
    ],
)
async def test_a_result_settles_once(bench: Bench, error: bool, state: str, used: str) -> None:
    """The first result stands; told again at every turn, or told otherwise, nothing moves."""
    await bench.decide(bench.call())
    for said in (error, error, not error):
        await bench.pipeline.results.observe(bench.who(), [result(bench, error=said)])
    assert await states(bench) == [state]
    assert await bench.used() == used
    assert len(bench.records("settlement")) == 1


@pytest.mark.parametrize(
    ("session", "agent"),
    [
        pytest.param("s2", "a1", id="another-session"),
        pytest.param("s1", "a2", id="another-agent-that-claims-the-session"),
    ],
)
async def test_nobody_settles_anothers_call(bench: Bench, session: str, agent: str) -> None:
    """A made-up failure releases nothing of another's, and does not hide the true result."""
    await bench.decide(bench.call())
    await bench.pipeline.results.observe(bench.who(session, agent), [result(bench)])
    assert await states(bench) == ["reserved"]
    await bench.pipeline.results.observe(bench.who(), [result(bench, error=False)])
    assert await states(bench) == ["committed"]


async def test_a_repeated_id_with_other_arguments_is_another_call(bench: Bench) -> None:
    """The digest tells which of two calls with one id has failed."""
    await bench.decide(bench.call())
    await bench.decide(bench.call(text=OTHER, response="r2"))
    await bench.pipeline.results.observe(bench.who(), [result(bench, text=OTHER)])
    assert await states(bench) == ["reserved", "released"]


async def test_the_nth_result_belongs_to_the_nth_call(bench: Bench) -> None:
    """Equal calls under one id: the history's order tells them apart when it shows them all."""
    for n in range(2):
        await bench.decide(bench.call(response=f"r{n}"))
    both = [result(bench, error=False), result(bench, error=True)]
    await bench.pipeline.results.observe(bench.who(), both)
    assert await states(bench) == ["committed", "released"]


@pytest.mark.parametrize("digest_known", [True, False], ids=["with-digest", "without"])
async def test_a_short_history_releases_nothing(bench: Bench, digest_known: bool) -> None:
    """One failure for two equal ids: which one it was is open, so nothing is given back."""
    texts = [OTHER, OTHER] if digest_known else [OTHER, '{"order": "o1", "amount": 31}']
    for n, text in enumerate(texts):
        await bench.decide(bench.call(text=text, response=f"r{n}"))
    failed = result(bench, text=OTHER)
    if not digest_known:
        failed = ToolResult("c1", "refund", "sorry", True, None)
    await bench.pipeline.results.observe(bench.who(), [failed])
    assert "released" not in await states(bench)
    assert "doubt" in bench.records("settlement")[0]["error"]


async def test_more_results_than_calls(bench: Bench) -> None:
    """A history with a failure more than there were calls is not believed."""
    await bench.decide(bench.call())
    await bench.pipeline.results.observe(bench.who(), [result(bench), result(bench)])
    assert "released" not in await states(bench)


async def test_a_legacy_result_without_an_id_settles_nothing(bench: Bench) -> None:
    """A function result names no call; its entry is committed in time."""
    await bench.decide(bench.call(id=None))
    await bench.pipeline.results.observe(bench.who(), [ToolResult(None, "refund", "no", True)])
    assert await states(bench) == ["reserved"]
    bench.now_ms += 900_000
    assert await bench.pipeline.results.commit_due() == 1
    assert await states(bench) == ["committed"]


@pytest.mark.parametrize(
    ("error", "certain", "state"),
    [
        pytest.param(False, True, "committed", id="done"),
        pytest.param(True, True, "released", id="refused-by-the-api"),
        pytest.param(True, False, "committed", id="failed-in-the-middle"),
    ],
)
async def test_the_apis_own_answer(bench: Bench, error: bool, certain: bool, state: str) -> None:
    """The tool side's answer settles the entry it is bound to; a 500 gives nothing back."""
    await bench.decide(bench.call())
    call, http = bench.tool_side()
    await bench.decide(call, http=http)
    answer = ToolResult(None, None, "", error)
    key = call_key(bench.who(), call, "x1")
    await bench.pipeline.results.observe_http(key, answer, certain=certain)
    assert await states(bench) == [state]


async def test_a_failure_told_too_early_buys_nothing(bench: Bench) -> None:
    """The agent reports a failure, then acts on the tool side: that is charged as its own."""
    await bench.decide(bench.call())
    await bench.pipeline.results.observe(bench.who(), [result(bench)])
    assert await bench.used() == "0"
    call, http = bench.tool_side()
    await bench.decide(call, http=http)
    assert await bench.used() == "45"
