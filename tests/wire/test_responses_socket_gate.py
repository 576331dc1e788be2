"""The gate over Responses on a WebSocket without a wire: messages in, messages out, lane by lane."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from proxy.cli.demo.speak_responses import ResponsesSpeaker
from proxy.cli.demo.speech import Ask, Ids, Turn, ask
from proxy.errors import WireError
from proxy.wire.codec import Refuse, Release, Remember
from proxy.wire.responses.socket import ResponsesSocketGate
from proxy.wire.socket import Answered, Asked, Found, Ran, SocketEvent, ToClient, ToServer

ONE = ask("look_up", order_id="A-1")
TWO = ask("refund_order", order_id="A-2", amount=5)


def gate() -> ResponsesSocketGate:
    numbers = count(1)
    return ResponsesSocketGate(lambda: f"cr_{next(numbers):032x}")


def said(*calls: Ask, text: str = "Hi.", seed: str = "s", lane: str | None = None) -> list[bytes]:
    answer = ResponsesSpeaker(Ids(seed)).answer(Turn(text, calls), {"input": "go"})
    made = [json.loads(frame.partition(b"\ndata: ")[2]) for frame in answer.frames]
    more = {} if lane is None else {"stream_id": lane}
    # Indented: a message may hold line breaks, and blank ones in its texts.
    return [json.dumps({**event, **more}, indent=1).encode() for event in made]


def feed(on: ResponsesSocketGate, messages: list[bytes]) -> list[SocketEvent]:
    return [event for message in messages for event in on.from_server(message)]


def shown(events: list[SocketEvent]) -> list[bytes]:
    return [event.data for event in events if isinstance(event, ToClient)]


def found(events: list[SocketEvent]) -> list[Found]:
    return [event for event in events if isinstance(event, Found)]


@pytest.mark.parametrize("lane", [None, "a"], ids=["no lane", "lane"])
@pytest.mark.parametrize("calls", [(), (ONE,), (ONE, TWO)], ids=["none", "one", "two"])
def test_all_released_is_byte_identical(calls: tuple[Ask, ...], lane: str | None) -> None:
    """Three responses on one connection leave as they came."""
    on = gate()
    for seed in ("x", "y", "z"):
        messages = said(*calls, text="A\n\ndata: B", seed=seed, lane=lane)
        events = feed(on, messages)
        assert len(found(events)) == len(calls)
        left = shown(events)
        for call in found(events):
            left += shown(on.rule(call.key, Release()))
        assert left == messages
        assert any(isinstance(event, Answered) and event.ok for event in events)
    assert on.waiting_bytes == 0


def test_refused_call_is_stripped_and_remembered() -> None:
    """As on HTTP: a message in its place, the memory ahead of the last message."""
    on = gate()
    events = feed(on, said(ONE, lane="a"))
    key = found(events)[0].key
    ref = on.ref_of(key)
    events += on.rule(key, Refuse(f"[{ref}] No. data: x"))
    whole = b"".join(shown(events))
    assert b"function_call" not in whole
    assert ref.encode() in whole
    assert all(json.loads(data)["stream_id"] == "a" for data in shown(events))
    memories = [event for event in events if isinstance(event, Remember)]
    assert [m.response.ref for m in memories] == [ref]
    assert isinstance(events[-1], ToClient)


def test_the_next_response_waits_behind_a_held_call() -> None:
    """In one lane order is kept; the next response is read once the first has left."""
    on, first, second = gate(), said(ONE, seed="x"), said(TWO, seed="y")
    events = feed(on, first)
    key = found(events)[0].key
    assert on.from_server(second[0]) == []
    assert feed(on, second[1:]) == []
    assert on.waiting_bytes > 0
    rest = on.rule(key, Release())
    assert shown(events) + shown(rest) == [*first, *second][: len(shown(events) + shown(rest))]
    assert [call.call.name for call in found(rest)] == ["refund_order"]
    last = on.rule(found(rest)[0].key, Release())
    assert shown(events) + shown(rest) + shown(last) == [*first, *second]


def test_lanes_do_not_wait_for_each_other() -> None:
    """A held call keeps its own lane waiting."""
    on = gate()
    held = feed(on, said(ONE, lane="a"))
    other = said(lane="b", seed="o")
    assert shown(feed(on, other)) == other
    assert found(held)[0].lane == "a"


def test_requests_are_parsed_as_on_http() -> None:
    """`response.create` asks; other events go up as they are."""
    on = gate()
    body = {"type": "response.create", "model": "m", "input": "go", "stream_id": "a"}
    sent = json.dumps(body).encode()
    (asked,) = on.from_client(sent)
    assert isinstance(asked, Asked)
    assert (asked.data, asked.lane, asked.request.user_text) == (sent, "a", "go")
    other = b'{"type": "response.steer", "input": []}'
    assert on.from_client(other) == [ToServer(other)]


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b'{"type": "a", "type": "response.create"}',
        b'{"type": "response.create", "stream_id": 1}',
        b'{"type": "response.create", "input": 1}',
    ],
)
def test_a_client_message_of_two_readings_closes(data: bytes) -> None:
    with pytest.raises(WireError):
        gate().from_client(data)


CALL: dict[str, Any] = {"type": "function_call", "name": "x", "call_id": "c", "arguments": "{}"}


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "response.created", "response": {"id": "r"}}, {"type": "x", "output": [CALL]}],
        [
            {"type": "response.created", "response": {"id": "r"}},
            {"type": "response.output_item.added", "output_index": 0, "item": CALL},
            {"type": "response.created", "response": {"id": "r2"}},
        ],
        [{"type": "response.function_call_arguments.delta", "output_index": 3, "delta": "{"}],
    ],
    ids=["odd place", "a response inside a call", "orphan delta"],
)
def test_what_has_no_single_reading_closes(events: list[dict[str, Any]]) -> None:
    with pytest.raises(WireError):
        feed(gate(), [json.dumps(event).encode() for event in events])


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.output_item.done", "output_index": 0, "item": CALL},
        {"type": "response.completed", "response": {"id": "r", "output": [CALL]}},
        {"type": "Response.Completed", "response": {"id": "r", "output": [CALL]}},
    ],
    ids=["item", "completed", "odd case"],
)
@pytest.mark.parametrize("behind", [False, True], ids=["first", "behind a response"])
def test_calls_are_found_outside_a_response_too(event: dict[str, Any], behind: bool) -> None:
    """Without `response.created`, and behind a response's end."""
    on = gate()
    if behind:
        feed(on, said())
    events = feed(on, [json.dumps(event).encode()])
    assert [call.call.name for call in found(events)] == ["x"]
    assert shown(events) == []


def test_provider_calls_are_accounted_for() -> None:
    item = {"type": "web_search_call", "id": "w", "action": {"query": "q"}}
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    events = feed(gate(), [json.dumps(done).encode()])
    assert any(isinstance(event, Ran) for event in events)


def test_keepalive_is_a_message_in_its_lane() -> None:
    on = gate()
    feed(on, said(ONE, lane="a"))
    made = on.keepalive("a")
    assert made is not None
    assert json.loads(made)["type"] == "keepalive"
    assert json.loads(made)["stream_id"] == "a"
    assert on.keepalive("b") is None
