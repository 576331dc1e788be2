"""Chat as its many servers really speak it: each shape whole, cut anywhere, allowed and refused.

Three readers stand for the clients there are: openai-python's accumulator, one that adds up what has the
same index, one that goes by id. Whatever one of them finds has to be among the calls that were judged.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable
from typing import Any

import pytest

from proxy.errors import WireError
from proxy.wire.assistants.calls import PROVIDER as ASSISTANTS
from proxy.wire.chat.protocol import PROTOCOL
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    Refuse,
    Release,
    Remember,
    WireProtocol,
)
from proxy.wire.detect import protocol_for
from tests.upstreams.compatibles import ARGS, DONE, VENDORS, body, calls, chunk, entry, whole

REF = "cr_" + "0c" * 16
SSE, JSON = "text/event-stream; charset=utf-8", "application/json"


class Through:
    """A body through a gate. As the pipeline does, faulty calls are refused whatever else holds."""

    def __init__(
        self,
        data: bytes,
        *,
        refuse: bool = False,
        kind: str = SSE,
        cuts: Iterable[int] = (),
        status: int = 200,
        protocol: WireProtocol = PROTOCOL,
    ) -> None:
        self.gate = protocol.gate(content_type=kind, status=status, ref=REF, request=None)
        self.refuse, self.left = refuse, bytearray()
        self.calls: list[CallFound] = []
        self.seen: list[CallSeen] = []
        self.memories: list[Remember] = []
        ends = (0, *cuts, len(data))
        for start, end in itertools.pairwise(ends):
            self.take(self.gate.feed(data[start:end]) if end > start else [])
        self.take(self.gate.feed(b""))
        assert not self.gate.pending

    def take(self, events: list[GateEvent]) -> None:
        for one in events:
            match one:
                case Emit(data):
                    self.left += data
                case Remember():
                    self.memories.append(one)
                case CallSeen():
                    self.seen.append(one)
                case CallFound():
                    self.calls.append(one)
        for one in events:
            if isinstance(one, CallFound):
                no = self.refuse or one.call.fault is not None
                self.take(self.gate.rule(one.key, Refuse(f"[{REF}] no") if no else Release()))

    @property
    def names(self) -> list[str]:
        return [one.call.name for one in self.calls]

    @property
    def released(self) -> set[tuple[str, str]]:
        """Name and arguments of what was let through."""
        return {(c.call.name, _norm(c.call.arguments)) for c in self.calls if c.call.fault is None}


def _norm(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def found_by_readers(data: bytes) -> set[tuple[str, str]]:
    """Every runnable call (a name, arguments that are JSON) that one of the readers finds."""
    by_index: dict[int, list[str]] = {}
    by_id: list[list[str]] = []
    current: dict[int, tuple[str, list[str]]] = {}  # by index: the id and the call
    for line in data.split(b"\n"):
        if not line.startswith(b"data: {"):
            continue
        for choice in json.loads(line[6:]).get("choices") or ():
            for one in (choice.get("delta") or {}).get("tool_calls") or ():
                function = one.get("function") or {}
                name, text = function.get("name") or "", function.get("arguments") or ""
                index, call_id = one.get("index") or 0, one.get("id") or ""
                summed = by_index.setdefault(index, ["", ""])
                summed[0] += name
                summed[1] += text
                known = current.get(index)
                if known is None or (call_id and known[0] and call_id != known[0]):
                    known = current[index] = (call_id, ["", ""])
                    by_id.append(known[1])
                elif call_id:
                    current[index] = (call_id, known[1])
                known[1][0] += name if name != known[1][0] else ""
                known[1][1] += text
    made = set()
    for name, text in [*by_index.values(), *by_id]:
        try:
            made.add((name, _norm(json.loads(text or "{}"))))
        except ValueError:
            continue
    return {one for one in made if one[0]}


# --- each vendor ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", VENDORS)
def test_a_stream_is_the_same_bytes_however_it_is_cut(key: str) -> None:
    """And its one call is reported with the arguments that the fragments make."""
    data = VENDORS[key].stream("look_up")
    every = Through(data, cuts=range(1, len(data)))
    assert bytes(every.left) == data
    assert every.names == ["look_up"]
    assert every.released == {("look_up", _norm(json.loads(ARGS)))} >= found_by_readers(data)
    rng = random.Random(key)  # noqa: S311
    for _ in range(5):
        cuts = sorted(rng.sample(range(1, len(data)), 5))
        assert bytes(Through(data, cuts=cuts).left) == data
    assert bytes(Through(data + b": bye\n\n").left) == data + b": bye\n\n"


@pytest.mark.parametrize("key", VENDORS)
def test_a_refused_call_is_in_no_reading(key: str) -> None:
    """Neither streamed nor in a body; the text stands there once."""
    data = VENDORS[key].stream("look_up")
    got = Through(data, refuse=True, cuts=range(1, len(data)))
    assert not found_by_readers(bytes(got.left))
    assert b"look_up" not in got.left
    assert got.left.count(b"] no") == 1
    assert len(got.memories) == 1
    plain = VENDORS[key].plain("look_up")
    assert bytes(Through(plain, kind=JSON).left) == plain
    refused = Through(plain, refuse=True, kind=JSON)
    assert refused.names == ["look_up"]
    assert b"look_up" not in refused.left
    assert json.loads(refused.left)["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("key", VENDORS)
def test_the_paths_are_chats(key: str) -> None:
    """Wherever a vendor puts it."""
    found = protocol_for("POST", VENDORS[key].path + "?api-version=2025-01-01")
    assert found is not None
    assert found.name == "openai.chat"


# --- two calls on one index --------------------------------------------------------------------

START = chunk({"role": "assistant", "content": None})
END = chunk({}, "tool_calls") + DONE


def two(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> bytes:
    return START + b"".join(chunk(calls(one)) for one in [*first, *second]) + END


SHARED = {
    "Cerebras, whole calls": (
        two([entry(0, "a", "look_up", '{"a": 1}')], [entry(0, "b", "refund", '{"b": 1}')]),
        2,
    ),
    "SGLang, in fragments": (
        two(
            [entry(0, "0", "look_up", ""), entry(0, "0", None, '{"a": 1}')],
            [entry(0, "1", "refund", ""), entry(0, "1", None, '{"b": 1}')],
        ),
        2,
    ),
    "Gemini, no index": (
        two([entry(None, "a", "look_up", '{"a": 1}')], [entry(None, "b", "refund", '{"b": 1}')]),
        2,
    ),
    "Gemini, no index, same name": (
        two([entry(None, "a", "look_up", '{"a": 1}')], [entry(None, "b", "look_up", '{"b": 1}')]),
        2,
    ),
    "index null": (
        two(
            [entry(0, "a", "look_up", '{"a": 1}') | {"index": None}],
            [entry(1, "b", "refund", "") | {"index": None}, entry(None, None, None, '{"b": 1}')],
        ),
        2,
    ),
    "index only sometimes": (
        two([entry(0, "a", "look_up", '{"a": 1}')], [entry(None, "b", "refund", '{"b": 1}')]),
        0,
    ),
    # What an adder of indices reads as one call that nobody else finds:
    "an empty first call": (
        two([entry(0, "a", "refund", "")], [entry(0, "b", "_order", '{"b": 1}')]),
        0,
    ),
    "two numbers": (two([entry(0, "a", "x", "1")], [entry(0, "b", "y", "2")]), 0),
    "halves of an object": (
        two([entry(0, "a", "refund", '{"a":"')], [entry(0, "b", "_order", '{"}')]),
        0,
    ),
    "the id changes, no name": (
        two([entry(0, "a", "refund", "")], [entry(0, "b", None, '{"b": 1}')]),
        0,
    ),
    "arguments without an index": (
        two([entry(0, "a", "refund", "")], [entry(None, None, None, '{"b": 1}')]),
        0,
    ),
    "no name at all": (two([entry(0, "a", None, '{"b": 1}')], []), 0),
}


@pytest.mark.parametrize(("data", "good"), SHARED.values(), ids=SHARED)
def test_calls_that_share_a_place(data: bytes, good: int) -> None:
    """What leaves is read by no client as a call that was not judged."""
    got = Through(data)
    assert len([c for c in got.calls if c.call.fault is None]) == good
    assert found_by_readers(bytes(got.left)) <= got.released
    if good == len(got.calls):
        assert bytes(got.left) == data
    refused = Through(data, refuse=True)
    assert not found_by_readers(bytes(refused.left))


def test_no_interleaving_shows_a_call_that_was_not_judged() -> None:
    """Random fragments over few ids, names, indices and texts."""
    rng = random.Random(11)  # noqa: S311
    for _ in range(3000):
        pieces = [
            entry(
                rng.choice([0, 0, 1, None]),
                rng.choice([None, "", "a", "b"]),
                rng.choice([None, None, "x", "y"]),
                rng.choice([None, "", "{}", '{"a":', "1}", '{"a":1}', "2"]),
            )
            for _ in range(rng.randint(1, 4))
        ]
        data = START + b"".join(chunk(calls(one)) for one in pieces) + END
        try:
            got = Through(data)
        except WireError:
            continue
        named = {name for name, _ in got.released}
        for one in found_by_readers(bytes(got.left)):
            # A name said twice is added up by some readers; such a tool does not exist.
            assert one in got.released or (one[0] not in named and _twice(one[0], named)), pieces


def _twice(name: str, named: set[str]) -> bool:
    return any(name.replace(one, "") == "" for one in named)


# --- what the provider runs itself, errors, stored answers --------------------------------------

RAN = {
    "index": 0,
    "type": "search",
    "arguments": '{"query": "weather"}',
    "output": None,
    "search_results": None,
}


def test_groqs_executed_tools_are_seen_once() -> None:
    """In a stream they come again with their output."""
    data = (
        START
        + chunk({"executed_tools": [RAN]})
        + chunk({"executed_tools": [RAN | {"output": "sunny"}]})
        + chunk({"executed_tools": [RAN | {"index": 1, "type": "python"}]})
        + chunk({"content": "Sunny."}, "stop")
        + DONE
    )
    got = Through(data)
    assert bytes(got.left) == data
    assert [(s.call.name, s.call.arguments, s.call.executor) for s in got.seen] == [
        ("search", {"query": "weather"}, "provider"),
        ("python", {"query": "weather"}, "provider"),
    ]
    plain = body({"content": "Sunny.", "executed_tools": [RAN]}, "stop")
    got = Through(plain, kind=JSON)
    assert bytes(got.left) == plain
    assert [s.call.name for s in got.seen] == ["search"]
    both = body(whole("look_up", executed_tools=[RAN]))
    got = Through(both, kind=JSON, refuse=True)
    assert (got.names, len(got.seen)) == (["look_up"], 1)
    assert b"look_up" not in got.left


def test_groqs_failed_generation_is_an_error_and_no_call() -> None:
    """It passes: no client reads a call out of an error's text."""
    error = {
        "message": "Failed to call a function.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": '<function=look_up>{"order_id": "A-1"}</function>',
    }
    data = json.dumps({"error": error}).encode()
    got = Through(data, kind=JSON, status=400)
    assert bytes(got.left) == data
    assert not got.calls


def test_openrouters_error_inside_a_stream_cuts_the_call_off() -> None:
    """`finish_reason: error`: what was there of the call is not let through."""
    data = (
        START
        + chunk(calls(entry(0, "a", "look_up", ARGS)))
        + chunk({"content": ""}, "error", error={"code": 502, "message": "Provider disconnected"})
        + DONE
    )
    got = Through(data)
    assert not got.calls
    assert b"tool_calls" not in got.left
    assert b"Provider disconnected" in got.left


def test_stored_completions_are_judged_under_their_own_ids() -> None:
    """A list of them says again what was decided when each was made."""
    one, other = json.loads(body(whole("look_up"))), json.loads(body(whole("forbidden")))
    other["id"] = "chatcmpl-8"
    listed = json.dumps({"object": "list", "data": [one, other], "has_more": False}).encode()
    got = Through(listed, kind=JSON)
    assert bytes(got.left) == listed
    assert [(c.call.name, c.call.response_id) for c in got.calls] == [
        ("look_up", "chatcmpl-7"),
        ("forbidden", "chatcmpl-8"),
    ]
    refused = Through(listed, kind=JSON, refuse=True)
    assert b"forbidden" not in refused.left
    assert b"look_up" not in refused.left


ITEM = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "c1",
    "name": "look_up",
    "arguments": "{}",
}
OUTPUT = {"type": "function_call_output", "id": "fo_1", "call_id": "c1", "output": "ok"}
ITEMS: dict[str, tuple[Any, list[str]]] = {
    "an open call": ({"object": "list", "data": [ITEM]}, ["look_up"]),
    "an answered call": ({"object": "list", "data": [OUTPUT, ITEM]}, []),
    "one item": (ITEM, ["look_up"]),
    "one message": ({"type": "message", "id": "m", "role": "user", "content": []}, []),
    "run by the provider": ({"data": [{"type": "web_search_call", "id": "ws"}]}, []),
}


@pytest.mark.parametrize(("document", "names"), ITEMS.values(), ids=ITEMS)
def test_the_items_of_a_conversation(document: Any, names: list[str]) -> None:
    """Open calls are judged under the conversation's id, answered ones are history."""
    protocol = protocol_for("GET", "/v1/conversations/conv_1/items?limit=20")
    assert protocol is not None
    data = json.dumps(document).encode()
    got = Through(data, kind=JSON, protocol=protocol)
    assert bytes(got.left) == data
    assert got.names == names
    assert all(c.call.response_id == "conv_1" for c in got.calls)
    assert b"look_up" not in Through(data, kind=JSON, refuse=True, protocol=protocol).left or (
        not names
    )


PATHS = {
    ("GET", "/v1/chat/completions"): "openai.chat",
    ("GET", "/v1/chat/completions/chatcmpl-1/messages"): None,
    ("POST", "/v1/chat/completions/chatcmpl-1"): "openai.chat",
    ("GET", "/v1/chat/deferred-completion/abc"): "openai.chat",
    ("GET", "/v1/conversations/conv_1/items"): "openai.responses",
    ("GET", "/v1/conversations/conv_1/items/msg_1"): "openai.responses",
    ("POST", "/v1/conversations/conv_1/items"): None,
    ("GET", "/v1/responses/resp_1/input_items"): None,
    ("POST", "/v1/completions"): None,
    ("GET", "/v1/threads/t/runs/r"): ASSISTANTS,
}


@pytest.mark.parametrize(("target", "name"), PATHS.items(), ids=str)
def test_paths(target: tuple[str, str], name: str | None) -> None:
    """What shows calls is gated, what the agent sent itself is not."""
    found = protocol_for(*target)
    assert (found.name if found else None) == name


def test_a_stored_completions_metadata_can_be_changed() -> None:
    """That request has no messages."""
    found = protocol_for("POST", "/v1/chat/completions/chatcmpl-1")
    assert found is not None
    assert found.parse_request(b'{"metadata": {}}').remembered_by == ()
