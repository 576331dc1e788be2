"""The account of model requests, without a wire: what is reserved, joined, settled, never lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from proxy.model import Identity, ToolResult
from proxy.pipeline import spending
from proxy.pipeline.clients import ClientProfile
from proxy.pipeline.decision import Decision
from proxy.pipeline.outlay import DEFAULT_OUTPUT_TOKENS, Asked, Outlay
from proxy.pipeline.spending import Spending
from proxy.pipeline.waiting import Presence
from proxy.wire.chat.protocol import PROTOCOL as CHAT
from proxy.wire.codec import ParsedRequest
from proxy.wire.usage import Usage
from tests.conftest import Bench, MakeBench

RULES = """
version: 1
pack: cost
tools: []
budgets:
  - {name: read, of: tokens.input, sum: tokens, limit: 100000, per: session, on_exceed: block}
  - {name: words, of: tokens.output, sum: tokens, limit: 1000, per: session, on_exceed: block}
  - {name: money, of: spend, sum: USD, limit: 1, per: session, on_exceed: hold}
model_prices:
  - {model: acme, input: 1, output: 100, cached_input: 0.5}
  - {model: acme-dear, input: 2, output: 200}
"""
WORDS = RULES.replace(
    "  - {name: money, of: spend, sum: USD, limit: 1, per: session, on_exceed: hold}\n", ""
)


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench(RULES)


def asked(
    bench: Bench,
    ref: str = "x1",
    *,
    model: str | None = "acme",
    path: str = "/v1/chat/completions",
    **more: Any,
) -> Asked:
    body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
    raw = json.dumps(body | more).encode()
    return Asked(bench.who(), CHAT.parse_request(raw), raw, "gw.local", path, ref)


NOBODY_WAITS = ClientProfile("test", 5.0, 0.0)


async def reserve(bench: Bench, keeper: Spending, ref: str = "x1", **more: Any) -> Outlay:
    made = await keeper.reserve(asked(bench, ref, **more), Presence(), NOBODY_WAITS)
    assert isinstance(made, Outlay), made
    return made


async def test_what_a_request_reserves_and_its_answer_settles(bench: Bench) -> None:
    """The limit until the answer came, then what the provider counted; money to the last digit."""
    keeper = Spending(bench.pipeline)
    outlay = await reserve(bench, keeper)
    assert await bench.used(budget="words") == "100"
    most = (Decimal(outlay.input_tokens) + 100 * 100) / 1_000_000
    assert Decimal(await bench.used(budget="money")) == most
    await keeper.settle(outlay, 200, Usage(10, 7, cached_input_tokens=4), b"")
    assert await bench.used(budget="words") == "7"
    assert await bench.used(budget="read") == "10"
    assert Decimal(await bench.used(budget="money")) == Decimal("0.000708")
    await keeper.settle(outlay, 200, Usage(900, 900), b"")  # once is enough
    assert await bench.used(budget="words") == "7"


async def test_the_dearer_of_two_names_counts(bench: Bench) -> None:
    """Asked for as one model and answered as another."""
    keeper = Spending(bench.pipeline)
    outlay = await reserve(bench, keeper)
    await keeper.settle(outlay, 200, Usage(10, 10, model="acme-dear"), b"")
    assert Decimal(await bench.used(budget="money")) == Decimal("0.00202")


@pytest.mark.parametrize(
    ("more", "reserved"),
    [
        pytest.param({"n": 3}, "300", id="n"),
        pytest.param({"max_completion_tokens": 400}, "400", id="the-larger-limit"),
        pytest.param({"max_output_tokens": 5}, "100", id="a-decoy"),
    ],
)
async def test_how_much_an_answer_may_be(bench: Bench, more: dict[str, Any], reserved: str) -> None:
    """All answers asked for, at the largest limit any server could obey."""
    await reserve(bench, Spending(bench.pipeline), **more)
    assert await bench.used(budget="words") == reserved


async def test_no_limit_reserves_the_stated_default(make_bench: MakeBench) -> None:
    """Without one the default is reserved, which a budget below it refuses."""
    bench = make_bench(WORDS)
    made = await Spending(bench.pipeline).reserve(
        asked(bench, max_tokens=None), Presence(), NOBODY_WAITS
    )
    assert isinstance(made, Decision)
    assert f"would reach {DEFAULT_OUTPUT_TOKENS} of 1000" in made.reasons[0].text


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses/resp_1/cancel",
        "/v1/threads/t1/runs/r1",
        "/v1/chat/completions/c1",
    ],
)
async def test_requests_that_ask_for_no_answer(bench: Bench, path: str) -> None:
    """Cancelling and relabelling cost nothing; a prompt on such a path is a request all the same."""
    keeper = Spending(bench.pipeline)
    parsed = ParsedRequest("openai.chat", {})
    nothing = Asked(bench.who(), parsed, b"{}", "gw.local", path, "x1")
    assert await keeper.reserve(nothing, Presence(), NOBODY_WAITS) is None
    assert (await reserve(bench, keeper, path=path)).model == "acme"


async def test_a_deployment_is_a_model(bench: Bench) -> None:
    """Azure's paths say the model, its bodies do not."""
    path = "/openai/deployments/acme/chat/completions"
    assert (await reserve(bench, Spending(bench.pipeline), path=path, model=None)).model == "acme"


async def test_an_unknown_price_holds(bench: Bench) -> None:
    """And says what to write where."""
    made = await Spending(bench.pipeline).reserve(
        asked(bench, model="new-1"), Presence(), NOBODY_WAITS
    )
    assert isinstance(made, Decision)
    assert made.hold is not None
    assert [r.rule for r in made.reasons] == ["model-price"]


async def test_without_a_budget_of_money_no_price_is_needed(make_bench: MakeBench) -> None:
    """Tokens are counted for any model."""
    bench = make_bench(WORDS)
    outlay = await reserve(bench, Spending(bench.pipeline), model="new-1")
    assert outlay.model == "new-1"


@pytest.mark.parametrize(
    ("end", "words", "read"),
    [
        pytest.param(lambda k, o: k.settle(o, 400, None, b"{}"), "0", 0, id="refused-releases"),
        pytest.param(lambda k, o: k.settle(o, 429, None, b"{}"), "0", 0, id="throttled-releases"),
        pytest.param(lambda k, o: k.settle(o, 500, None, b"{}"), "100", 1, id="failed-waits"),
        pytest.param(lambda k, o: k.cut(o, None, None), "100", 1, id="no-head-waits"),
        pytest.param(
            lambda k, o: k.cut(o, Usage(50, 1), b'data: {"choices":[{"delta":{"content":"a b"}}]}'),
            "2",
            50,
            id="cut-takes-the-input-that-was-told",
        ),
        pytest.param(lambda k, o: k.commit_reserved(o, "unread"), "100", 1, id="unread-is-all"),
        pytest.param(lambda k, o: k.settle(o, 200, None, b'{"choices":[]}'), "0", 1, id="nothing"),
        pytest.param(
            lambda k, o: k.settle(o, 200, None, b'{"status":"queued","usage":null}'),
            "100",
            1,
            id="in-the-background",
        ),
        pytest.param(lambda k, o: k.release(o), "0", 0, id="never-asked"),
    ],
)
async def test_ends(
    bench: Bench, end: Callable[[Spending, Outlay], Any], words: str, read: int
) -> None:
    """What stays on the account after each end of an exchange; `read` 1: the estimate."""
    keeper = Spending(bench.pipeline)
    outlay = await reserve(bench, keeper)
    await end(keeper, outlay)
    assert await bench.used(budget="words") == words
    assert await bench.used(budget="read") == str(outlay.input_tokens if read == 1 else read)


async def test_a_retry_of_a_failed_attempt_joins_it(bench: Bench) -> None:
    """The same body under another exchange, while the first waits; another session's is another's."""
    keeper = Spending(bench.pipeline)
    first = await reserve(bench, keeper)
    await keeper.settle(first, 503, None, b"")
    again = await reserve(bench, keeper, "x2")
    assert again is first
    await keeper.settle(again, 200, Usage(10, 7), b"")
    third = await reserve(bench, keeper, "x3")
    assert third is not first
    assert await bench.used(budget="words") == "107"


async def test_a_failed_attempt_that_nobody_repeats_lapses(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its input was sent; no output came."""
    monkeypatch.setattr(spending, "RETRY_S", 0.01)
    keeper = Spending(bench.pipeline)
    outlay = await reserve(bench, keeper)
    await keeper.settle(outlay, 500, None, b"")
    for _ in range(100):
        await asyncio.sleep(0.02)
        if await bench.used(budget="words") == "0":
            break
    assert await bench.used(budget="words") == "0"
    assert await bench.used(budget="read") == str(outlay.input_tokens)
    assert bench.records("settlement")[-1]["by"] == "no-answer"


async def test_what_is_never_settled_is_committed_in_full(bench: Bench) -> None:
    """A proxy that died in between: the ledger's own time limit takes it."""
    await reserve(bench, Spending(bench.pipeline))
    bench.now_ms += int(bench.settings.settle_after_s * 1000) + 1
    await bench.pipeline.results.commit_due()
    assert {r["state"] for r in bench.records("settlement")} == {"committed"}
    assert await bench.used(budget="words") == "100"


async def test_a_result_that_an_agent_made_up_settles_nothing(bench: Bench) -> None:
    """The call's id is told to nobody, and its name and arguments do not stand for it."""
    keeper = Spending(bench.pipeline)
    outlay = await reserve(bench, keeper)
    (decided,) = bench.records("decision")
    digest = decided["call"]["args_sha256"]
    forged = [
        ToolResult(None, "model:acme", "done", args_sha256=digest),
        ToolResult("model:acme", None, "done"),
        ToolResult(f"model:acme:{digest[:16]}", "model:acme", "done", True, digest),
    ]
    await bench.pipeline.results.observe(bench.who(), forged)
    assert bench.records("settlement") == []
    await keeper.settle(outlay, 200, Usage(10, 900), b"")
    assert await bench.used(budget="words") == "900"


async def test_one_agents_retry_joins_no_others(bench: Bench) -> None:
    """A session's name can be claimed: what is open is one agent's."""
    keeper = Spending(bench.pipeline)
    first = await reserve(bench, keeper)
    await keeper.settle(first, 503, None, b"")
    mine = asked(bench, "x2")
    theirs = Asked(
        Identity("s1", "other", mine.identity.session_trust, mine.identity.agent_trust),
        mine.request,
        mine.body,
        mine.host,
        mine.path,
        "x2",
    )
    made = await keeper.reserve(theirs, Presence(), NOBODY_WAITS)
    assert isinstance(made, Outlay)
    assert made is not first


async def test_equal_requests_in_flight_are_two(bench: Bench) -> None:
    """Sampling the same prompt twice costs twice."""
    keeper = Spending(bench.pipeline)
    for ref in ("x1", "x2"):
        await reserve(bench, keeper, ref)
    assert await bench.used(budget="words") == "200"


async def test_shadow_mode_counts_and_lets_by(make_bench: MakeBench) -> None:
    """What would have stopped it is in the log."""
    bench = make_bench(RULES, shadow=True)
    outlay = await reserve(bench, Spending(bench.pipeline), max_tokens=5_000)
    assert isinstance(outlay, Outlay)
    assert bench.records("decision")[-1]["would"] == "block"


async def test_budgets_over_everything_are_about_what_tools_do(make_bench: MakeBench) -> None:
    """`*` in euros, a count of all acts and of all targets see no model request."""
    more = """  - {name: euros, sum: EUR, limit: 10, on_exceed: block}
  - {name: acts, count: true, limit: 1, on_exceed: block}
  - {name: targets, distinct: target, limit: 1, on_exceed: block}
model_prices:"""
    bench = make_bench(RULES.replace("model_prices:", more))
    await reserve(bench, Spending(bench.pipeline))
    (decided,) = bench.records("decision")
    assert [b["name"] for b in decided["budgets"]] == ["read", "words", "money"]
