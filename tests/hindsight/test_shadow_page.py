"""docs/shadow.md does what it says: its rules, the decision it shows, the way from shadow to enforced."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.model import Verdict

if TYPE_CHECKING:
    from tests.conftest import MakeBench

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "shadow.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


async def test_the_pages_rules_write_the_pages_decision(make_bench: MakeBench) -> None:
    """The third refund passes, and its record has what the page shows."""
    bench = make_bench(block("yaml"))
    for n in range(3):
        call = bench.call("refund_order", '{"amount": 45, "order_id": "A-1"}', f"c{n}", f"r{n}")
        assert (await bench.decide(call)).verdict is Verdict.ALLOW
    record = bench.records("decision")[-1]
    shown = json.loads(block("json"))
    shown["reasons"][0]["file"] = "bench.yaml"
    assert {key: record[key] for key in shown} == shown
