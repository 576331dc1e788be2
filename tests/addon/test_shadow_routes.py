"""Routes that only files in shadow name: judged and told, never in the way of anything, nor a way round."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from mitmproxy import http

from proxy.addon.exchange import Exchange
from proxy.addon.stream import MARK
from proxy.policy.load import load_texts
from proxy.policy.ruleset import RuleSet

if TYPE_CHECKING:
    from tests.addon.conftest import MakeLine
    from tests.conftest import Bench, MakeBench

type MakeRequest = Callable[..., http.Request]

JSON = {"content-type": "application/json"}
BASE = """version: 1
pack: base
tools:
  - {http: {method: [POST, PUT], host: pay.internal, path: /refund}, effects: [{kind: money.refund, amount: body.n, unit: EUR}]}
budgets: [{name: refunds, of: money.refund, sum: EUR, limit: 10, per: call, on_exceed: block}]
"""
SHADOW = """version: 1
pack: tried
mode: shadow
tools:
  - {http: {method: "*", host: "*", path: "/{any}"}, effects: [{kind: any.call, target: path.any}]}
  - {http: {method: "*", host: "*", path: "/v1/chat/completions"}, effects: []}
gates: [{name: tried, when: 'effect.kind == "any.call"', verdict: block}]
"""


def under(bench: Bench, *files: str) -> None:
    named = [(f"{i}.yaml", text) for i, text in enumerate(files)]
    bench.pipeline.rulebook.rules = RuleSet(load_texts(named))


@pytest.mark.parametrize(
    ("method", "body", "logged"),
    [
        pytest.param("POST", b'{"n": 99}', "decision", id="judged"),
        pytest.param("GET", b"", "decision", id="get"),
        pytest.param("POST", b'{"n": 1, "n": 2}', "error", id="two-readings"),
        pytest.param("POST", b"_method=DELETE", None, id="method-field"),
    ],
)
async def test_what_only_shadow_names_passes(
    make_bench: MakeBench,
    make_line: MakeLine,
    make_request: MakeRequest,
    method: str,
    body: bytes,
    logged: str | None,
) -> None:
    """It reaches the server as it came; the log says what would have been, or why it was not read."""
    bench = make_bench(folder="routes")
    under(bench, SHADOW.replace('host: "*"', "host: new.internal"), BASE)
    line = make_line(bench)
    kind = {"content-type": "application/x-www-form-urlencoded"} if body[:1] == b"_" else JSON
    await line.ask(make_request(method, "http://new.internal/pay", body, kind))
    assert line.reached_server
    assert line.status is None
    if logged is not None:
        told = bench.records(logged)[-1]
        assert told.get("would", "block") == "block"
        assert "shadow" in json.dumps(told)


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        pytest.param("POST", "http://pay.internal/refund", {}, id="the-same-path"),
        pytest.param("POST", "http://10.1.2.3/refund", {"host": "pay.internal"}, id="by-address"),
        pytest.param("GET", "http://pay.internal/refund", {"x-http-method": "PUT"}, id="override"),
    ],
)
async def test_no_route_in_shadow_leads_round_one_in_force(
    make_bench: MakeBench,
    make_line: MakeLine,
    make_request: MakeRequest,
    method: str,
    url: str,
    headers: dict[str, str],
) -> None:
    """A route that would claim the request first, under another name of its host, takes nothing away."""
    bench = make_bench(folder="routes")
    under(bench, SHADOW.replace('host: "*"', "host: 10.1.2.3").replace('"*", host', "[GET], host"), BASE)  # fmt: skip
    line = make_line(bench)
    asked = make_request(method, url, b'{"n": 99}', JSON)
    for name, value in headers.items():
        asked.headers[name] = value
    await line.ask(asked)
    assert not line.reached_server
    assert line.status in (400, 403)


async def test_a_models_path_stays_a_models_path(
    make_bench: MakeBench, make_line: MakeLine, make_request: MakeRequest
) -> None:
    """A route in shadow on it does not take the answer out of the gate."""
    bench = make_bench(folder="routes")
    under(bench, SHADOW, "version: 1\npack: base\ngates: [{name: g, when: 'false'}]\n")
    line = make_line(bench)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
    await line.ask(make_request("POST", "http://any.host/v1/chat/completions", body, JSON))
    assert isinstance(line.stream.flow.metadata[MARK], Exchange)


@pytest.mark.parametrize("files", [1, 2], ids=["all-in-shadow", "one-in-shadow"])
async def test_unparsed_traffic(
    make_bench: MakeBench, make_line: MakeLine, make_request: MakeRequest, files: int
) -> None:
    """Where every file is in shadow it passes and is told; beside one that is not, it is refused."""
    bench = make_bench(folder="routes")
    under(bench, *(SHADOW, BASE)[:files])
    line = make_line(bench)
    asked = make_request("POST", "http://api.openai.com/v1/new-thing", b"{}", JSON)
    await line.ask(asked)
    assert line.reached_server is (files == 1)
    (record,) = bench.records("decision")
    assert (record["call"]["kind"], record["would"]) == (
        "unparsed",
        "block" if files == 1 else None,
    )
