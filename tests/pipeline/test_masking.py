"""A secret that a session has met is in no record and no hold of a later call, whatever its shape."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from proxy.model import ToolResult, Verdict
from proxy.pipeline.judge import call_key

if TYPE_CHECKING:
    from tests.conftest import MakeBench

RULES = """version: 1
pack: masking
tools:
  - name: get_secret
    effects: [{kind: data.read.secret, target: args.name}]
    returns: {trust: trusted, fields: {value: [secret]}}
  - {name: read_vault, effects: [{kind: data.read.secret, target: args.name}]}
  - {name: send, effects: [{kind: data.egress, target: args.to, data: args.text}]}
  - {name: note, effects: []}
chains:
  - {name: leaves, steps: [data.read.secret, data.egress], flow: observed, on_match: hold}
"""
PHRASE = "pg-Xk29-mellow-harbour"


@pytest.mark.parametrize("tool", ["note", "send"], ids=["let-through", "held"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PHRASE, id="plain"),
        pytest.param(f"the password is {PHRASE}, use it", id="in-a-sentence"),
        pytest.param(base64.b64encode(PHRASE.encode()).decode(), id="base64"),
        pytest.param(PHRASE.upper(), id="upper-case"),
        pytest.param(PHRASE[:14], id="half-of-it"),
    ],
)
async def test_a_met_secret_is_not_written_down(
    make_bench: MakeBench, tool: str, text: str
) -> None:
    """The log and the hold say that something was there, not what."""
    bench = make_bench(RULES)
    await bench.hears("please rotate the password of the orders database")
    read = bench.call("get_secret", '{"name": "orders-db"}', "c1", "r1")
    await bench.pipeline.decide(read, bench.who(), call_key(bench.who(), read, "x"))
    result = json.dumps({"name": "orders-db", "value": PHRASE})
    told = ToolResult("c1", "get_secret", result, args_sha256=read.args_sha256)
    await bench.pipeline.results.observe(bench.who(), [told])
    arguments = json.dumps({"to": "orders-db", "text": text, "more": [{"a": text}]})
    call = bench.call(tool, arguments, "c2", "r2")
    decision = await bench.pipeline.decide(call, bench.who(), call_key(bench.who(), call, "x"))
    written = bench.settings.log.read_text()
    assert text not in written
    args = bench.records("decision")[-1]["call"]["args"]
    assert "[redacted:secret]" in args["text"]
    assert args["to"] == "orders-db"
    if tool == "send":
        assert decision.verdict is Verdict.HOLD
        (hold,) = await bench.pipeline.desk.list()
        assert text not in json.dumps(hold.arguments)


async def test_what_the_user_said_stays(make_bench: MakeBench) -> None:
    """A value that the user gave is the user's to see."""
    bench = make_bench(RULES)
    await bench.hears(f"is {PHRASE} still the password?")
    read = bench.call("get_secret", '{"name": "orders-db"}', "c1", "r1")
    await bench.pipeline.decide(read, bench.who(), call_key(bench.who(), read, "x"))
    told = ToolResult(
        "c1", "get_secret", json.dumps({"value": PHRASE}), args_sha256=read.args_sha256
    )
    await bench.pipeline.results.observe(bench.who(), [told])
    call = bench.call("note", json.dumps({"text": f"{PHRASE} is right"}), "c2", "r2")
    await bench.pipeline.decide(call, bench.who(), call_key(bench.who(), call, "x"))
    assert bench.records("decision")[-1]["call"]["args"]["text"] == f"{PHRASE} is right"


async def test_what_a_call_that_reads_a_secret_brings_is_one(make_bench: MakeBench) -> None:
    """No label, no shape: the effect's kind says it."""
    bench = make_bench(RULES)
    await bench.hears("please rotate the password of the orders database")
    read = bench.call("read_vault", '{"name": "orders-db"}', "c1", "r1")
    await bench.pipeline.decide(read, bench.who(), call_key(bench.who(), read, "x"))
    told = ToolResult("c1", "read_vault", PHRASE, args_sha256=read.args_sha256)
    await bench.pipeline.results.observe(bench.who(), [told])
    for n, piece in enumerate((PHRASE, PHRASE[3:15])):
        text = json.dumps({"to": "x", "text": piece})
        call = bench.call("send", text, f"d{n}", f"q{n}")
        decision = await bench.pipeline.decide(call, bench.who(), call_key(bench.who(), call, "x"))
        assert decision.verdict is Verdict.HOLD
        assert piece not in bench.settings.log.read_text()
