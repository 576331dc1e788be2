"""The Realtime gate without a wire: what passes, what waits, what is made of a refusal."""

from __future__ import annotations

import json
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cli.demo.speech import Ask, Turn, ask
from proxy.errors import WireError
from proxy.wire.codec import Refuse, Release
from proxy.wire.realtime.gate import RealtimeGate
from proxy.wire.socket import Answered, Found, Ran, Results, SocketEvent, ToClient, ToServer
from tests.upstreams.realtime import RealtimeUpstream, _Realtime

ONE = ask("look_up", order_id="A-1")
TWO = ask("refund_order", order_id="A-2", amount=5)
type Event = dict[str, Any]


def gate() -> RealtimeGate:
    numbers = count(1)
    return RealtimeGate(lambda: f"cr_{next(numbers):032x}")


def said(*calls: Ask, text: str = "", beta: bool = False) -> list[bytes]:
    """All that a server says in one response, ahead of it the session's start."""
    model = _Realtime(RealtimeUpstream([Turn(text, calls)], beta=beta))
    events = [*model.greeting(), *model.hear({"type": "response.create"})]
    return [json.dumps(event).encode() for event in events]


def feed(on: RealtimeGate, messages: list[bytes]) -> list[SocketEvent]:
    return [event for message in messages for event in on.from_server(message)]


def shown(events: list[SocketEvent]) -> list[bytes]:
    return [event.data for event in events if isinstance(event, ToClient)]


def found(events: list[SocketEvent]) -> list[Found]:
    return [event for event in events if isinstance(event, Found)]


def item(**more: Any) -> Event:
    base = {"id": "item_1", "type": "function_call", "name": "look_up", "call_id": "call_1"}
    return {**base, "status": "completed", "arguments": "{}", **more}


def message(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, "event_id": "e", **fields}).encode()


@pytest.mark.parametrize("beta", [False, True], ids=["ga", "beta"])
@pytest.mark.parametrize(
    "calls", [(), (ONE,), (ONE, TWO)], ids=["no call", "one call", "two calls"]
)
def test_all_released_is_byte_identical(calls: tuple[Ask, ...], beta: bool) -> None:
    """Every message leaves as it came, in order; only what is free of calls goes ahead."""
    on, messages = gate(), said(*calls, text="Hello.", beta=beta)
    events = feed(on, messages)
    assert [(c.call.name, c.call.fault) for c in found(events)] == [(c.name, None) for c in calls]
    early = shown(events)
    assert not any(b"function_call" in data for data in early)
    for call in found(events):
        early += shown(on.rule(call.key, Release()))
    assert sorted(early) == sorted(messages)
    assert [m for m in early if b"rate_limits" not in m] == messages[:-1]
    assert on.waiting_bytes == 0


@pytest.mark.parametrize("beta", [False, True], ids=["ga", "beta"])
def test_refused_is_a_message_under_the_same_id(beta: bool) -> None:
    """No trace of the call is left; the server gets its failed output before `response.done`."""
    on, messages = gate(), said(ONE, beta=beta)
    events = feed(on, messages)
    events += on.rule(found(events)[0].key, Refuse("No. cr_x"))
    whole = b"".join(shown(events))
    assert b"function_call" not in whole
    assert b"A-1" not in whole
    assert b"No. cr_x" in whole
    call_item = next(json.loads(m)["item"]["id"] for m in messages if b'"item"' in m)
    done = json.loads(next(m for m in shown(events) if b"response.done" in m))
    assert [(i["id"], i["type"]) for i in done["response"]["output"]] == [(call_item, "message")]
    up = [json.loads(event.data) for event in events if isinstance(event, ToServer)]
    assert [e["item"]["type"] for e in up] == ["function_call_output"]
    assert up[0]["item"]["output"] == "No. cr_x"
    assert up[0]["previous_item_id"] == call_item
    assert len(up[0]["item"]["id"]) <= 32
    sent = [event for event in events if isinstance(event, ToServer | ToClient)]
    order = [type(e) for e in sent if isinstance(e, ToServer) or b"response.done" in e.data]
    assert order == [ToServer, ToClient]


def test_answers_to_our_items_are_hidden() -> None:
    """The acknowledgement, and an error about what we sent, are not the client's business."""
    on = gate()
    events = feed(on, said(ONE))
    events += on.rule(found(events)[0].key, Refuse("No."))
    made = json.loads(next(e.data for e in events if isinstance(e, ToServer)))
    ours = made["item"]["id"]
    assert on.from_server(message("conversation.item.added", item=made["item"])) == []
    assert on.from_server(message("error", error={"event_id": made["event_id"]})) == []
    user = {"id": "item_u", "type": "message", "role": "user"}
    later = shown(
        on.from_server(message("conversation.item.added", previous_item_id=ours, item=user))
    )
    assert json.loads(later[0])["previous_item_id"] == made["previous_item_id"]


_OPEN = message(
    "response.output_item.added", response_id="r", item=item(status="in_progress", arguments="")
)


@pytest.mark.parametrize(
    "messages",
    [
        [_OPEN, message("response.output_item.done", response_id="r", item=item())],
        [message("conversation.item.done", item=item())],
        [message("conversation.item.created", item=item())],
        [message("conversation.item.retrieved", item=item(status="in_progress"))],
        [message("response.done", response={"id": "r", "output": [item()]})],
        [_OPEN, message("response.done", response={"id": "r", "status": "cancelled", "output": []})],
        [message("response.output_item.done", response_id="r", item=item(arguments="{"))],
        [message("response.output_item.done", response_id="r", item=item(type="custom_tool_call"))],
        [message("response.output_item.done", response_id="r", item=item(type="mcp_approval_request"))],
        [message("response.created", response={"id": "r", "output": [item()]})],
    ],
    ids=[
        "item", "conversation item", "beta item", "fetched", "in done only", "cancelled",
        "bad arguments", "unknown kind", "approval", "in created",
    ],
)  # fmt: skip
def test_every_place_of_a_call_is_reported(messages: list[bytes]) -> None:
    """Wherever a client could find a call it waits for a ruling, and leaves nothing when refused."""
    on = gate()
    events = feed(on, messages)
    assert len(found(events)) == 1
    assert shown(events) == []
    events += on.rule(found(events)[0].key, Refuse("No."))
    assert not any(b"call_1" in data or b'_call"' in data for data in shown(events))


@pytest.mark.parametrize(
    "messages",
    [
        [b"\xff"],
        [b"[]"],
        [b'{"no": "type"}'],
        [b'\x00{\x00}'],
        [b'{"type": "x", "type": "y"}'],
        [b'{"type": "x", "a": {"b": 1, "b": 2}}'],
        [message("x", deep=[{"in": item()}])],
        [message("session.updated", session={"tools": [item()]})],
        [message("response.function_call_arguments.delta", item_id="item_1", delta="{")],
        [message("Response.Function_Call_Arguments.done", item_id="item_1", arguments="{}")],
        [message("response.output_item.done", item={"type": "function_call", "name": "x"})],
        [
            message("response.output_item.done", item=item()),
            message("response.output_item.done", item=item(arguments='{"a": 1}')),
        ],
        [
            message("response.output_item.done", item=item()),
            message("response.function_call_arguments.delta", item_id="item_1", delta="x"),
        ],
        [message("response.done", response={"id": "r", "output": {"0": item()}})],
    ],
    ids=[
        "not text", "no object", "no type", "utf-16", "double type", "double key", "odd place",
        "in a session", "orphan delta", "odd case", "no id", "second version", "late delta",
        "output no list",
    ],
)  # fmt: skip
def test_what_has_no_single_reading_closes(messages: list[bytes]) -> None:
    """It is never passed on."""
    on = gate()
    with pytest.raises(WireError):
        feed(on, messages)


@pytest.mark.parametrize(
    "deltas", [["{", "}"], ['{"a"', ": 1}"]], ids=["same", "other"]
)  # fmt: skip
def test_fragments_have_to_read_as_the_item(deltas: list[str]) -> None:
    """A client may act on the fragments: where they differ from the item the call is faulty."""
    kind = "response.function_call_arguments.delta"
    parts = [message(kind, item_id="item_1", delta=part) for part in deltas]
    events = feed(gate(), [_OPEN, *parts, message("response.output_item.done", item=item())])
    assert (found(events)[0].call.fault is None) == (deltas == ["{", "}"])


def test_double_key_in_arguments_is_a_fault() -> None:
    """Two parsers would run two different calls."""
    text = '{"amount": 1, "amount": 500}'
    events = feed(gate(), [message("response.output_item.done", item=item(arguments=text))])
    assert found(events)[0].call.fault


@pytest.mark.parametrize(
    ("late", "passes"),
    [
        (message("input_audio_buffer.speech_started", item_id="u"), True),
        (message("rate_limits.updated", rate_limits=[]), True),
        (message("response.output_audio.delta", item_id="spoken", delta="AA"), True),
        (message("response.output_audio.delta", item_id="unknown", delta="AA"), False),
        (message("conversation.item.added", item={"id": "n", "type": "message"}), False),
        (message("response.created", response={"id": "r2", "output": []}), False),
    ],
    ids=["buffer", "limits", "speech", "speech of an unknown item", "item", "response"],
)
def test_what_goes_on_while_a_call_waits(late: bytes, passes: bool) -> None:
    """Speech and buffers pass; what may depend on the call keeps its place."""
    on = gate()
    spoken = {"id": "spoken", "type": "message"}
    feed(on, [message("response.output_item.added", item=spoken)])
    events = feed(on, [_OPEN, message("response.output_item.done", item=item())])
    assert shown(on.from_server(late)) == ([late] if passes else [])
    left = shown(on.rule(found(events)[0].key, Release()))
    assert (late in left) == (not passes)


def test_provider_calls_are_seen_once() -> None:
    """They ran already: accounted for at their end, and passed."""
    ran = item(type="mcp_call", server_label="s")
    messages = [
        message("response.output_item.added", item={**ran, "arguments": ""}),
        message("response.mcp_call_arguments.done", item_id="item_1", arguments="{}"),
        message("response.output_item.done", item=ran),
        message("response.done", response={"id": "r", "status": "completed", "output": [ran]}),
    ]
    events = feed(gate(), messages)
    assert shown(events) == messages
    assert sum(isinstance(event, Ran) for event in events) == 1
    assert Answered("r", ok=True) in events


def test_results_carry_the_digest_of_their_call() -> None:
    """A result settles the very call that was let through."""
    on = gate()
    events = feed(on, said(ONE))
    call = found(events)[0]
    on.rule(call.key, Release())
    output = {"type": "function_call_output", "call_id": call.call.id, "output": "ok"}
    sent = message("conversation.item.create", item=output)
    results, passed = on.from_client(sent)
    assert isinstance(results, Results)
    assert results.results[0].args_sha256 == call.call.args_sha256
    assert passed == ToServer(sent)


@pytest.mark.parametrize("approve", [True, "yes", None], ids=["true", "text", "null"])
def test_a_refused_approval_cannot_be_given(approve: object) -> None:
    """The client knows the item's id, since the message has it; it must not approve by it."""
    on = gate()
    asked = item(type="mcp_approval_request")
    key = found(on.from_server(message("response.output_item.done", item=asked)))[0].key
    given = {"type": "mcp_approval_response", "approval_request_id": "item_1", "approve": approve}
    sent = message("conversation.item.create", item=given)
    assert not any(isinstance(e, ToServer) for e in on.from_client(sent))
    on.rule(key, Refuse("No."))
    assert not any(isinstance(e, ToServer) for e in on.from_client(sent))


def test_a_released_approval_can_be_given() -> None:
    on = gate()
    asked = item(type="mcp_approval_request")
    key = found(on.from_server(message("response.output_item.done", item=asked)))[0].key
    on.rule(key, Release())
    given = {"type": "mcp_approval_response", "approval_request_id": "item_1", "approve": True}
    sent = message("conversation.item.create", item=given)
    assert on.from_client(sent) == [ToServer(sent)]


def test_the_clients_own_history_is_no_call() -> None:
    """A call that the client puts into the conversation comes back as an item: nobody made it."""
    on = gate()
    on.from_client(message("conversation.item.create", item=item()))
    back = message("conversation.item.added", item=item())
    assert on.from_server(back) == [ToClient(back)]
    other = message("conversation.item.added", item=item(arguments='{"a": 1}'))
    assert len(found(on.from_server(other))) == 1


@pytest.mark.parametrize(
    "data", [b'{"type": "a", "type": "b"}', b"{", b'{"item": {"type": "x", "type": "y"}}']
)
def test_a_client_message_of_two_readings_closes(data: bytes) -> None:
    with pytest.raises(WireError):
        gate().from_client(data)


@pytest.mark.parametrize(
    ("turns", "status", "conversation", "asks"),
    [
        ({"type": "server_vad"}, "completed", "c", True),
        ({"type": "server_vad", "create_response": False}, "completed", "c", False),
        (None, "completed", "c", False),
        ({"type": "server_vad"}, "cancelled", "c", False),
        ({"type": "server_vad"}, "completed", None, False),
    ],
    ids=["live", "client asks", "text", "cancelled", "out of band"],
)
def test_who_asks_for_the_next_response(
    turns: object, status: str, conversation: object, asks: bool
) -> None:
    """We do only where nobody else would, and never for a response we asked for ourselves."""
    on = gate()
    session = {"audio": {"input": {"turn_detection": turns}}}
    feed(on, [message("session.created", session=session)])
    for response_id, expected in (("r1", asks), ("r2", False)):
        one = item(id=response_id, call_id=response_id)
        base = {"id": response_id, "conversation_id": conversation}
        done = {**base, "status": status, "output": [one]}
        events = feed(
            on,
            [
                message("response.created", response={**base, "output": []}),
                message("response.done", response=done),
            ],
        )
        events = on.rule(found(events)[0].key, Refuse("No."))
        up = [json.loads(e.data)["type"] for e in events if isinstance(e, ToServer)]
        assert ("response.create" in up) == expected
        assert ("conversation.item.create" in up) == (conversation is not None)
        assert json.loads(shown(events)[-1])["type"] == "response.done"
        if not asks:
            break


_KINDS = (
    "response.output_item.added",
    "response.output_item.done",
    "conversation.item.added",
    "conversation.item.created",
    "conversation.item.done",
    "conversation.item.retrieved",
    "something.new",
)
_ITEMS = st.builds(
    lambda n, status, text, kind: item(
        id=f"item_{n}", call_id=f"call_{n}", status=status, arguments=text, type=kind
    ),
    st.integers(1, 2),
    st.sampled_from(["in_progress", "completed", "incomplete", None]),
    st.sampled_from(["", "{}", '{"k": "SECRET"}']),
    st.sampled_from(["function_call", "function_call", "new_call", "message"]),
)
_EVENTS = st.one_of(
    st.builds(
        lambda kind, one: {"type": kind, "response_id": "r", "item": one},
        st.sampled_from(_KINDS),
        _ITEMS,
    ),
    st.builds(
        lambda n, end, text: {
            "type": f"response.function_call_arguments.{end}",
            "item_id": f"item_{n}",
            ("delta" if end == "delta" else "arguments"): text,
        },
        st.integers(1, 2),
        st.sampled_from(["delta", "done"]),
        st.sampled_from(["{}", '{"k": "SECRET"}']),
    ),
    st.builds(
        lambda end, output: {
            "type": f"response.{end}",
            "response": {"id": "r", "status": "completed", "output": output},
        },
        st.sampled_from(["created", "done"]),
        st.lists(_ITEMS, max_size=2),
    ),
)


@given(st.lists(_EVENTS, max_size=8), st.randoms(use_true_random=False))
def test_no_order_of_events_shows_a_refused_call(events: list[Event], luck: Random) -> None:
    """Whatever a server says, in any order: with every call refused no client can find one."""
    on, out, waiting = gate(), [], []
    try:
        for event in events:
            made = on.from_server(json.dumps(event).encode())
            out += shown(made)
            waiting += [call.key for call in found(made)]
            while waiting and luck.random() < 0.5:
                out += shown(on.rule(waiting.pop(0), Refuse("No.")))
        for key in waiting:
            out += shown(on.rule(key, Refuse("No.")))
    except WireError:
        pass  # closed: what left before counts
    for data in out:
        kind = json.loads(data)["type"]
        assert "function_call_arguments" not in kind
        assert b"function_call" not in data
        assert b"new_call" not in data
