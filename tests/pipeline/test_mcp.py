"""MCP without a transport: what goes on, what is answered, what settles, what is pinned."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from proxy.errors import WireError
from proxy.pipeline.mcp import Mcp, McpChannel
from proxy.pipeline.waiting import Presence

if TYPE_CHECKING:
    from tests.conftest import Bench, MakeBench


def message(**fields: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **fields}).encode()


def call(
    id: Any = 1, name: str = "refund", order: str = "o1", amount: object = 45, **params: Any
) -> bytes:
    arguments = {"order": order, "amount": amount}
    return message(
        id=id, method="tools/call", params={"name": name, "arguments": arguments, **params}
    )


def result(id: Any = 1, **fields: Any) -> bytes:
    value = {"content": [{"type": "text", "text": "done"}], **fields}
    return message(id=id, result=value)


def said(turn: Any) -> dict[str, Any]:
    (answer,) = turn.answers
    made: dict[str, Any] = json.loads(answer)
    return made


@pytest.fixture
def channel(bench: Bench) -> McpChannel:
    return Mcp(bench.pipeline).channel(bench.who(), "billing", "m1")


async def test_allowed_leaves_as_it_came(channel: McpChannel, bench: Bench) -> None:
    """The very bytes go on, in both directions."""
    raw = b' {"jsonrpc":"2.0", "id":1,"method":"tools/call","params":{"name":"look_up"}}'
    turn = await channel.from_client(raw)
    assert (turn.forward, turn.answers) == (raw, ())
    back = b'{"jsonrpc":"2.0","id":1, "result":{"content":[]}}'
    assert (await channel.from_server(back)).forward == back
    (record,) = bench.records("decision")
    assert (record["side"], record["call"]["namespace"]) == ("mcp", "billing")


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        pytest.param(result(), "committed", id="done"),
        pytest.param(result(isError=True), "released", id="failed"),
        pytest.param(result("1"), "committed", id="id-as-text"),
        pytest.param(result(isError="true"), "committed", id="no-boolean"),
        pytest.param(
            message(id=1, error={"code": -32602, "message": "m"}), "released", id="refused"
        ),
        pytest.param(
            message(id=1, error={"code": -32603, "message": "m"}), "committed", id="internal"
        ),
        pytest.param(result(2), "reserved", id="another-id"),
        pytest.param(result(resultType="input_required", requestState="s"), "reserved", id="input"),
        pytest.param(message(id=1, result={"task": {"taskId": "t"}}), "reserved", id="task"),
    ],
)
async def test_results_settle(channel: McpChannel, bench: Bench, answer: bytes, state: str) -> None:
    """A call's entry follows what the server says became of it; what it leaves open stays open."""
    await channel.from_client(call())
    await channel.from_server(answer)
    entries, _ = await bench.pipeline.session("s1")
    assert [entry.state.value for entry in entries] == [state]


async def test_an_id_used_twice_settles_nothing(channel: McpChannel, bench: Bench) -> None:
    """Two open calls under one id: a failed result may be either's, so it gives nothing back."""
    first = await channel.from_client(call())
    await channel.from_client(call(order="o2", amount=1))
    await channel.from_server(result(isError=True))
    entries, _ = await bench.pipeline.session("s1")
    assert [entry.state.value for entry in entries] == ["reserved", "reserved"]
    await channel.from_server(result(isError=True), first)  # in the first one's own response
    entries, _ = await bench.pipeline.session("s1")
    assert sorted(entry.state.value for entry in entries) == ["released", "reserved"]


async def test_tasks_settle_by_their_result(channel: McpChannel, bench: Bench) -> None:
    """A task's call is settled when its result is fetched."""
    await channel.from_client(call())
    await channel.from_server(message(id=1, result={"task": {"taskId": "t"}}))
    await channel.from_client(message(id=2, method="tasks/result", params={"taskId": "t"}))
    await channel.from_server(result(2, isError=True))
    entries, _ = await bench.pipeline.session("s1")
    assert [entry.state.value for entry in entries] == ["released"]


async def test_rounds_count_once(channel: McpChannel, bench: Bench) -> None:
    """A call that asks for input and goes on is one call; made anew it is another."""
    await channel.from_client(call())
    await channel.from_server(result(resultType="input_required", requestState="s"))
    turn = await channel.from_client(call(2, requestState="s", inputResponses={}))
    assert turn.forward is not None
    assert await bench.used() == "45"
    await channel.from_server(result(2))
    await channel.from_client(call(3, requestState="s"))  # no round is open
    assert await bench.used() == "90"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        pytest.param("delete", "Nothing is deleted", id="blocked"),
        pytest.param("unheard_of", "pending", id="unmapped-is-held"),
    ],
)
async def test_refused(channel: McpChannel, name: str, word: str) -> None:
    """Nothing goes on; the client reads a failed result under its own id."""
    turn = await channel.from_client(call("x", name))
    if turn.waiting:
        assert turn.forward is None
        await channel.park(turn)
    assert turn.forward is None
    answer = said(turn)
    assert answer["id"] == "x"
    assert answer["result"]["isError"] is True
    assert word in answer["result"]["content"][0]["text"]


async def test_a_key_twice_in_arguments(channel: McpChannel) -> None:
    """Refused under its id, whatever the rules say of the tool."""
    raw = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look_up","arguments":{"a":1,"a":2}}}'
    turn = await channel.from_client(raw)
    assert turn.forward is None
    assert said(turn)["result"]["isError"] is True


async def test_held_approved_and_progress(channel: McpChannel, bench: Bench) -> None:
    """Who asked for progress gets it while a human thinks; approved, the call goes on unchanged."""
    raw = call(amount=145, _meta={"progressToken": 7})
    turn = await channel.from_client(raw)
    assert turn.forward is None
    (note,) = turn.progress()
    assert json.loads(note)["params"]["progressToken"] == 7
    await bench.pipeline.desk.approve(turn.waiting[0].hold.id, "me")
    await channel.wait(turn, Presence(), 5)
    assert turn.forward == raw


async def test_pending_then_once(channel: McpChannel, bench: Bench) -> None:
    """Parked, then approved: the same call passes once, with a new id."""
    turn = await channel.from_client(call(amount=145))
    hold = turn.waiting[0].hold
    await channel.park(turn)
    assert "pending" in said(turn)["result"]["content"][0]["text"]
    await bench.pipeline.desk.approve(hold.id, "me")
    assert (await channel.from_client(call(2, amount=145))).forward is not None
    assert (await channel.from_client(call(3, amount=145))).forward is None


async def test_cancelled_while_held(channel: McpChannel, bench: Bench) -> None:
    """The client's own cancellation ends its hold."""
    turn = await channel.from_client(call(amount=145))
    await channel.from_client(message(method="notifications/cancelled", params={"requestId": 1}))
    hold = await bench.pipeline.desk.get(turn.waiting[0].hold.id)
    assert hold.state.value == "abandoned"
    await channel.wait(turn, Presence(), 5)
    assert turn.forward is None


async def test_batch_in_part(channel: McpChannel) -> None:
    """Of a batch the refused calls are answered, the others go on."""
    raw = b"[" + call(1) + b"," + call(2, "delete") + b"]"
    turn = await channel.from_client(raw)
    assert [m["id"] for m in json.loads(turn.forward or b"")] == [1]
    assert said(turn)["id"] == 2
    assert turn.answer is not None
    assert isinstance(json.loads(turn.answer), list)


async def test_a_refused_surrogate_does_not_stop_the_batch(channel: McpChannel) -> None:
    """Arguments that cannot be written as UTF-8 are refused; what stands beside them goes on."""
    raw = b"[" + call(1) + b"," + call(2, order="\ud800") + b"]"
    turn = await channel.from_client(raw)
    assert [m["id"] for m in json.loads(turn.forward or b"")] == [1]
    assert said(turn)["id"] == 2


async def test_both_sides_count_once(channel: McpChannel, bench: Bench) -> None:
    """The model's call and the MCP call of one action are one entry; other arguments are drift."""
    await bench.decide(bench.call("refund", '{"order": "o1", "amount": 45}'))
    assert (await channel.from_client(call())).forward is not None
    assert await bench.used() == "45"
    drifted = await channel.from_client(call(2, amount=90))
    assert drifted.waiting
    assert await bench.used() == "45"


ASKED = """
version: 1
pack: asked
tools:
  - {name: sampling/createMessage, effects: [{kind: model.ask}]}
  - {name: elicitation/create, effects: [{kind: user.ask}]}
gates:
  - {name: no-asking, when: 'effect.kind in ["model.ask", "user.ask"]', verdict: block, message: Not now.}
  - {name: no-secrets, when: 'tool == "resources/read" && args.uri.startsWith("file:///etc")', verdict: block}
unmapped: hold
"""


async def test_protocol_is_not_held_by_surprise(channel: McpChannel, bench: Bench) -> None:
    """`unmapped: hold` is about tools: reading, prompting and asking pass, and are logged."""
    for raw in (
        message(id=1, method="resources/read", params={"uri": "file:///etc/passwd"}),
        message(id=2, method="prompts/get", params={"name": "p"}),
    ):
        assert (await channel.from_client(raw)).forward == raw
    asked = message(id=3, method="sampling/createMessage", params={"messages": []})
    assert (await channel.from_server(asked)).forward == asked
    names = [r["call"]["name"] for r in bench.records("decision")]
    assert names == ["resources/read", "prompts/get", "sampling/createMessage"]


async def test_rules_that_name_the_protocol(make_bench: MakeBench) -> None:
    """Where a rule names it, the client never sees it and the server reads a refusal."""
    bench = make_bench(ASKED)
    channel = Mcp(bench.pipeline).channel(bench.who(), "billing")
    raw = message(id=1, method="sampling/createMessage", params={"messages": []})
    turn = await channel.from_server(raw)
    assert turn.forward is None
    assert said(turn)["error"]["code"] == -1
    turn = await channel.from_server(message(id=2, method="elicitation/create", params={}))
    assert said(turn)["result"] == {"action": "decline"}
    read = message(id=3, method="resources/read", params={"uri": "file:///etc/passwd"})
    assert "error" in said(await channel.from_client(read))


async def test_what_a_result_asks(make_bench: MakeBench) -> None:
    """2026-07: a refused question inside `input_required` makes the whole result a failed one."""
    bench = make_bench(ASKED + "  # tools below\n")
    channel = Mcp(bench.pipeline).channel(bench.who(), "billing")
    await channel.from_client(message(id=1, method="prompts/get", params={"name": "p"}))
    wanted = {"q": {"method": "elicitation/create", "params": {"message": "?"}}}
    turn = await channel.from_server(
        message(id=1, result={"resultType": "input_required", "inputRequests": wanted})
    )
    made = json.loads(turn.forward or b"")
    assert made["result"]["isError"] is True
    assert made["result"]["resultType"] == "complete"


@pytest.mark.parametrize(
    ("tools", "events"),
    [
        pytest.param([{"name": "a", "description": "A"}], [], id="same"),
        pytest.param([{"name": "a", "description": "B"}], [("changed", "a")], id="changed"),
        pytest.param(
            [{"name": "a", "description": "A"}, {"name": "b"}], [("added", "b")], id="added"
        ),
        pytest.param([{"name": "c"}], [("added", "c"), ("removed", "a")], id="other"),
    ],
)
async def test_pins(
    channel: McpChannel, bench: Bench, tools: list[Any], events: list[tuple[str, str]]
) -> None:
    """The first definitions are pinned without a word; what differs later is told once."""
    for id_, listed in enumerate([[{"name": "a", "description": "A"}], tools, tools]):
        await channel.from_client(message(id=id_, method="tools/list"))
        await channel.from_server(message(id=id_, result={"tools": listed}))
    assert [(r["event"], r["tool"]) for r in bench.records("signal")] == events


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(message(id=1, method="sampling/createMessage"), id="server-method"),
        pytest.param(
            message(id=1, method="tools/call", params={"name": "look_up", "arguments": [1]}),
            id="list-arguments",
        ),
        pytest.param(b"{", id="broken"),
    ],
)
async def test_unreadable(channel: McpChannel, raw: bytes) -> None:
    """What has no single reading raises, and nothing of it goes on."""
    with pytest.raises(WireError):
        await channel.from_client(raw)
