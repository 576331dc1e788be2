"""Lines of a stdio tool server, judged in process and over the admin API: what passes, waits, is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from proxy.inbox.api import application
from proxy.inbox.mcp_lines import Conversation, stdio_identity
from proxy.inbox.mcp_steps import From, Given, Step, To, closed
from proxy.model import Trust
from proxy.pipeline.mcp import McpChannel

if TYPE_CHECKING:
    from tests.conftest import Bench


def call(name: str, arguments: dict[str, Any], id_: int | str = 8, **meta: Any) -> bytes:
    parameters = {"name": name, "arguments": arguments, **({"_meta": meta} if meta else {})}
    message = {"jsonrpc": "2.0", "id": id_, "method": "tools/call", "params": parameters}
    return json.dumps(message).encode()


LOOK = call("look_up", {"order": "o1"})
DELETE = call("delete", {"order": "o1"})
DEPLOY = call("deploy", {"order": "o1"}, progressToken="t")


def conversation(bench: Bench) -> Conversation:
    return Conversation(bench.pipeline, McpChannel(bench.pipeline, bench.who(), "billing"))


async def steps(talk: Conversation, origin: From, line: bytes) -> list[Step]:
    return [step async for step in talk.judge(origin, line)]


def passed(made: list[Step]) -> list[tuple[str, Any]]:
    """Where each step goes, with its message; None is the line as it came."""
    return [
        (str(s.to), json.loads(s.data) if s.data is not None else None)
        for s in made
        if s.to is not To.NOBODY
    ]


HIDDEN = b'{"jsonrpc":"2.0","id":8,"method":"ping","params":{"x":\r' + LOOK + b"\r}}"
SURROGATE = LOOK.replace(b'"o1"', b'"\\ud800"')


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(HIDDEN, id="a lone carriage return ends a line in Python"),
        pytest.param(LOOK.replace(b'"method"', b'"method": "ping", "method"'), id="a method twice"),
        pytest.param(LOOK.replace(b'"id"', b'"id": 7, "id"'), id="an id twice"),
        pytest.param(LOOK.replace(b'"order"', b'"order": "o2", "order"'), id="an argument twice"),
        pytest.param(SURROGATE, id="a lone surrogate in an argument"),
        pytest.param(LOOK.replace(b'"arguments"', b'"Arguments"'), id="another spelling of a key"),
        pytest.param(LOOK.replace(b"tools/call", b"Tools/Call"), id="another spelling of a method"),
        pytest.param(LOOK.replace(b'"2.0"', b'"1.0"'), id="another JSON-RPC"),
        pytest.param(LOOK.replace(b'{"order": "o1"}', b'["o1"]'), id="arguments that are a list"),
        pytest.param(LOOK.replace(b'"o1"', b"NaN"), id="NaN"),
    ],
)
async def test_what_has_two_readings_is_answered_and_not_passed(bench: Bench, line: bytes) -> None:
    """The request that a lenient reader finds gets a refusal under its id; the server sees nothing."""
    made = await steps(conversation(bench), From.CLIENT, line)
    ((to, answer),) = passed(made)
    assert (to, answer["id"]) == ("client", 8)
    assert "error" in answer or answer["result"]["isError"]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(LOOK + b" " + LOOK, id="two messages"),
        pytest.param(LOOK.decode().encode("utf-16"), id="UTF-16"),
        pytest.param(b"\xef\xbb\xbf" + LOOK, id="BOM"),
        pytest.param(b"\x00" + LOOK, id="NUL"),
        pytest.param(LOOK[:-1], id="cut"),
        pytest.param(b"log: starting", id="no JSON"),
        pytest.param(b"[]", id="an empty batch"),
        pytest.param(b"[" * 100_000, id="nested too deeply"),
        pytest.param(LOOK.replace(b'"id": 8', b'"id": true'), id="an id that is none"),
    ],
)
@pytest.mark.parametrize("origin", list(From))
async def test_what_cannot_be_read_is_dropped(bench: Bench, line: bytes, origin: From) -> None:
    """Of either side; the operator is told."""
    (step,) = await steps(conversation(bench), origin, line)
    assert step.to is To.NOBODY
    assert step.note


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(LOOK, id="a call"),
        pytest.param(LOOK + b"\r", id="a call with CRLF"),
        pytest.param(b' {"method":"x/y","jsonrpc" :"2.0"} ', id="odd spaces"),
        pytest.param(b'{"jsonrpc":"2.0","method":"n/\\u00fc","params":{"a":1.50e0}}', id="escapes"),
        pytest.param(b'{"jsonrpc":"2.0","id":"s","result":{}}', id="an answer"),
    ],
)
async def test_what_is_allowed_is_passed_as_it_came(bench: Bench, line: bytes) -> None:
    """No bytes are named: the bridge sends its own."""
    assert passed(await steps(conversation(bench), From.CLIENT, line)) == [("server", None)]


async def test_a_blocked_call_of_a_batch_leaves_the_others(bench: Bench) -> None:
    """The server gets the rest, the client the refusal."""
    batch = b"[" + LOOK.replace(b"8", b"1") + b"," + DELETE + b"]"
    made = dict(passed(await steps(conversation(bench), From.CLIENT, batch)))
    assert [m["id"] for m in made["server"]] == [1]
    assert [m["id"] for m in made["client"]] == [8]


@pytest.mark.parametrize(("verb", "to"), [("approve", "server"), ("deny", "client")])
async def test_a_held_call_says_so_and_goes_by_the_answer(bench: Bench, verb: str, to: str) -> None:
    """First that it waits, then progress, then what the human said."""
    async with aclosing(conversation(bench).judge(From.CLIENT, DEPLOY)) as held:
        assert await anext(held) == Step(To.NOBODY)
        progress = await anext(held)
        assert progress.passing
        assert not progress.ends
        (hold,) = await bench.pipeline.desk.list()
        await getattr(bench.pipeline.desk, verb)(hold.id, by="tester")
        rest = [step async for step in held]
    assert [str(s.to) for s in rest if s.ends] == [to]


async def test_who_stops_listening_abandons_the_hold(bench: Bench) -> None:
    """A bridge that ends closes the steps."""
    async with aclosing(conversation(bench).judge(From.CLIENT, DEPLOY)) as held:
        await anext(held)
    (hold,) = await bench.pipeline.desk.list()
    assert hold.state == "abandoned"


async def test_past_the_wait_it_is_pending(make_bench: Callable[..., Bench]) -> None:
    """The hold stays, the client has its answer."""
    bench = make_bench(hold_wait_s=0.1)
    ((_, answer),) = [
        one
        for one in passed(await steps(conversation(bench), From.CLIENT, DEPLOY))
        if "id" in one[1]
    ]
    assert "pending" in answer["result"]["content"][0]["text"]
    (hold,) = await bench.pipeline.desk.list()
    assert hold.state == "pending"


@pytest.mark.parametrize(
    ("origin", "line", "expected"),
    [
        pytest.param(From.CLIENT, LOOK, [("client", "result")], id="a call: a failed result"),
        pytest.param(
            From.CLIENT,
            b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
            [("client", "error")],
            id="another request: an error",
        ),
        pytest.param(From.CLIENT, b'{"jsonrpc":"2.0","method":"x"}', [], id="a notification"),
        pytest.param(From.CLIENT, b'{"jsonrpc":"2.0","id":1,"result":{}}', [], id="an answer"),
        pytest.param(
            From.SERVER,
            b'{"jsonrpc":"2.0","id":1,"method":"ping"}',
            [("server", "error")],
            id="what the server asks",
        ),
        pytest.param(
            From.SERVER,
            b'{"jsonrpc":"2.0","id":1,"result":{}}',
            [("client", "error")],
            id="what the server answers: the client must not wait for ever",
        ),
        pytest.param(
            From.CLIENT, b'{"id":"\\ud800","method":"ping"}', [], id="an id that is no text"
        ),
        pytest.param(
            From.CLIENT,
            LOOK.replace(b'"params": {', b'"params": [{').replace(b"}}}", b"}}]}"),
            [],
            id="odd params",
        ),
    ],
)
def test_a_line_that_nobody_judged(
    origin: From, line: bytes, expected: list[tuple[str, str]]
) -> None:
    """None of it passes; what asks is answered, and the operator is told."""
    made = closed(origin, line, "gone")
    assert made[0].note
    assert [
        (to, next(k for k in ("result", "error") if k in m)) for to, m in passed(made)
    ] == expected
    assert all(step.data is not None for step in made[1:])


# --- over the admin API ---------------------------------------------------------------------------


async def test_the_api_judges_as_the_conversation_does(bench: Bench) -> None:
    """Open, a line of each side, end; a conversation that is not known is not judged."""
    transport = httpx.ASGITransport(application(bench.pipeline, lambda: {"pid": 1}))
    async with httpx.AsyncClient(transport=transport, base_url="http://checkrein") as client:
        opened = (await client.post("/v1/mcp", json={"server": "billing"})).json()
        assert (opened["session"], opened["agent"]) == ("agent:mcp:billing", "mcp:billing")
        path = f"/v1/mcp/{opened['id']}"
        answer = await client.post(path + "/client", content=DELETE)
        (given,) = [json.loads(line) for line in answer.text.splitlines()]
        assert Given(**given).step.to is To.CLIENT
        answer = await client.post(path + "/server", content=b"noise")
        assert json.loads(answer.text)["note"]
        assert (await client.post(path + "/elsewhere", content=LOOK)).status_code == 400
        await client.delete(path)
        assert (await client.post(path + "/client", content=LOOK)).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{}", id="no server"),
        pytest.param(b'{"server": ""}', id="an empty name"),
        pytest.param(b'{"server": "a\\nb"}', id="a name of two lines"),
        pytest.param(b'{"server": "a", "token": "made up"}', id="a token nobody minted"),
        pytest.param(b'{"server": "a", "sesion": "s"}', id="an unknown key"),
        pytest.param(b"x", id="no JSON"),
    ],
)
async def test_an_opening_that_does_not_say_who_is_refused(bench: Bench, body: bytes) -> None:
    transport = httpx.ASGITransport(application(bench.pipeline, lambda: {"pid": 1}))
    async with httpx.AsyncClient(transport=transport, base_url="http://checkrein") as client:
        answer = await client.post("/v1/mcp", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_identity_comes_from_the_run_then_from_the_configuration() -> None:
    """A run's credential wins over a session that is named."""
    run = stdio_identity("billing", credential=("s", "a"), session="other")
    assert (run.session, run.agent, run.agent_trust) == ("s", "a", Trust.CREDENTIAL)
    named = stdio_identity("billing", session="mine")
    assert (named.session, named.session_trust, named.agent_trust) == (
        "mine",
        Trust.CLAIMED,
        Trust.LISTENER,
    )


async def test_a_conversation_takes_lines_side_by_side(bench: Bench) -> None:
    """While one waits, others are judged."""
    talk = conversation(bench)
    async with aclosing(talk.judge(From.CLIENT, DEPLOY)) as held:
        await anext(held)
        assert passed(await asyncio.wait_for(steps(talk, From.CLIENT, LOOK), 10)) == [
            ("server", None)
        ]
