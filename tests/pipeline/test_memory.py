"""Refused responses are found again by every name, after a restart too."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from proxy.wire.codec import RefusedCall, RefusedResponse

if TYPE_CHECKING:
    from tests.conftest import Bench, MakeBench

CHAT = "openai.chat"


def refused(ref: str = "cr_1", *keys: str, original: object = None) -> RefusedResponse:
    call = RefusedCall("c1", "refund", "function", "[checkrein] refused")
    return RefusedResponse(ref, CHAT, (f"ref:{ref}", *keys), original or {"a": 1}, (call,))


@pytest.mark.parametrize(
    ("names", "refs"),
    [
        pytest.param(["ref:cr_1"], ["cr_1"], id="by-ref"),
        pytest.param(["call:c7", "ref:cr_1"], ["cr_1"], id="by-two-names-once"),
        pytest.param(["call:c8", "call:c7"], ["cr_1", "cr_2"], id="oldest-first"),
        pytest.param(["ref:cr_9"], [], id="unknown"),
        pytest.param([], [], id="no-name"),
    ],
)
async def test_recall(bench: Bench, names: list[str], refs: list[str]) -> None:
    """A request's names bring back what was refused under them."""
    await bench.pipeline.memory.remember(refused("cr_1", "call:c7"))
    await bench.pipeline.memory.remember(refused("cr_2", "call:c8"))
    assert [r.ref for r in await bench.pipeline.memory.recall(CHAT, names)] == refs


async def test_another_api_does_not_see_it(bench: Bench) -> None:
    """A name belongs to one API."""
    await bench.pipeline.memory.remember(refused())
    assert await bench.pipeline.memory.recall("anthropic.messages", ["ref:cr_1"]) == []


@pytest.mark.parametrize(
    "original",
    [
        pytest.param({"n": 1.5, "s": "ü\u2028", "deep": [{"x": None}]}, id="plain"),
        pytest.param({"n": Decimal("45.10")}, id="decimal"),
    ],
)
async def test_it_outlives_the_proxy(make_bench: MakeBench, original: dict[str, object]) -> None:
    """A new process on the same ledger finds it, and finds it equal."""
    first = make_bench()
    await first.pipeline.memory.remember(refused("cr_1", original=original))
    first.writer.close()
    first.log.close()
    second = make_bench(log=first.settings.log.with_name("second.jsonl"))
    (found,) = await second.pipeline.memory.recall(CHAT, ["ref:cr_1"])
    assert found.refused == refused().refused
    assert {k: float(v) if k == "n" else v for k, v in found.original.items()} == {
        k: float(v) if isinstance(v, Decimal) else v for k, v in original.items()
    }


async def test_a_name_is_spent(make_bench: MakeBench) -> None:
    """A conversation that has its outputs forgets that name alone, for good."""
    first = make_bench()
    await first.pipeline.memory.remember(refused("cr_1", "conversation:v"))
    await first.pipeline.memory.forget(CHAT, "conversation:v")
    first.writer.close()
    first.log.close()
    second = make_bench(log=first.settings.log.with_name("second.jsonl"))
    assert await second.pipeline.memory.recall(CHAT, ["conversation:v"]) == []
    assert len(await second.pipeline.memory.recall(CHAT, ["ref:cr_1"])) == 1
