"""A plain JSON answer that goes into an event stream which had begun before the server was asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from proxy.addon.mcp_events import as_events, event
from proxy.pipeline.mcp import Mcp

if TYPE_CHECKING:
    from tests.conftest import Bench

RESULT = b'{"jsonrpc":"2.0","id":1,"result":{}}'
NAMELESS = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"m"}}'


def read(events: bytes) -> list[object]:
    """The ids of the messages that a client reads."""
    return [
        json.loads(one.split(b"data: ", 1)[1].replace(b"\ndata: ", b"\n"))["id"]
        for one in events.split(b"\n\n")
        if one
    ]


@pytest.mark.parametrize(
    ("body", "unanswered", "ids"),
    [
        pytest.param(RESULT, [1], [1], id="answer"),
        pytest.param(b"[" + RESULT + b"," + RESULT.replace(b"1,", b"2,") + b"]", [], [1, 2], id="batch"),
        pytest.param(NAMELESS, [1], [1], id="error-without-an-id"),
        pytest.param(NAMELESS, [], [None], id="error-nobody-waits-for"),
        pytest.param(b"", [1, "b"], [1, "b"], id="no-message"),
        pytest.param(b"", [], [], id="nothing-at-all"),
    ],
)  # fmt: skip
async def test_a_plain_answer_as_events(
    bench: Bench, body: bytes, unanswered: list[int | str], ids: list[object]
) -> None:
    """Each message is an event of its own; each request that waits hears something."""
    channel = Mcp(bench.pipeline).channel(bench.who(), "billing")
    turn = await channel.from_server(body) if body else None
    assert read(as_events(body, turn, unanswered, 502)) == ids


def test_a_message_over_several_lines_is_one_event() -> None:
    """Line breaks between tokens do not end the event early."""
    made = event(b'{\r\n"id": 1,\n"result": {}}')
    assert read(made) == [1]
    assert made.count(b"\n\n") == 1
