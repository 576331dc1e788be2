"""The Assistants codec: runs, steps and their streams, whole and cut anywhere, as the SDK reads them."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Set
from typing import Any

import httpx2
import pytest
from openai import APIError, AssistantEventHandler, OpenAI

from proxy.errors import WireError
from proxy.wire.assistants.protocol import AssistantsProtocol, claims
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    Refuse,
    RefusedResponse,
    Release,
    Remember,
    ResponseGate,
    Target,
    WireProtocol,
)
from proxy.wire.detect import normalised, protocol_for
from tests.upstreams.assistants import ARGUMENTS, Run, event

pytestmark = pytest.mark.filterwarnings("ignore:The Assistants API:DeprecationWarning")
REF = "cr_" + "0a" * 16
SSE, JSON = "text/event-stream; charset=utf-8", "application/json"
DONE = b"event: done\ndata: [DONE]\n\n"
PROTOCOL = AssistantsProtocol()


def text_of(key: int) -> str:
    return f"[checkrein {REF}] refused #{key}"


class Through:
    """One body through a gate; `refuse` are the keys to refuse, the others are released."""

    def __init__(
        self,
        body: bytes,
        refuse: Set[int] = frozenset(),
        *,
        kind: str = SSE,
        cuts: tuple[int, ...] = (),
        status: int = 200,
    ) -> None:
        gate = PROTOCOL.gate(content_type=kind, status=status, ref=REF, request=None)
        self.gate: ResponseGate = gate
        self.refuse, self.left = refuse, bytearray()
        self.calls: list[CallFound] = []
        self.seen: list[CallSeen] = []
        self.memories: list[RefusedResponse] = []
        for start, end in zip((0, *cuts), (*cuts, len(body)), strict=True):
            if body[start:end]:
                self.take(gate.feed(body[start:end]))
        self.take(gate.feed(b""))
        assert not gate.pending

    def take(self, events: list[GateEvent]) -> None:
        for one in events:
            match one:
                case Emit(data):
                    self.left += data
                case Remember(memory):
                    self.memories.append(memory)
                case CallSeen():
                    self.seen.append(one)
                case CallFound():
                    self.calls.append(one)
        for one in events:
            if isinstance(one, CallFound):
                refused = one.key in self.refuse
                self.take(
                    self.gate.rule(one.key, Refuse(text_of(one.key)) if refused else Release())
                )

    @property
    def names(self) -> list[str]:
        return [one.call.name for one in self.calls]


def stream(rounds: list[list[str]]) -> bytes:
    return b"".join(Run("run_Ab1", "thread_1", rounds).events())


def delta(index: int, step: str = "step_1", **entry: Any) -> bytes:
    details = {"type": "tool_calls", "tool_calls": [{"index": index, **entry}]}
    data = {"id": step, "object": "thread.run.step.delta", "delta": {"step_details": details}}
    return event("thread.run.step.delta", data)


def function(name: str | None = None, arguments: str = "", **more: Any) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    return {"type": "function", "function": named | {"arguments": arguments} | more}


def run_with(*calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = Run("run_Ab1", "thread_1", [["x"]]).document()
    made["required_action"]["submit_tool_outputs"]["tool_calls"] = list(calls)
    return made | more


def call(name: str, n: int = 0, arguments: str = "{}") -> dict[str, Any]:
    return {"id": f"call_{n}", **function(name, arguments)}


def step_with(*calls: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    made = Run("run_Ab1", "thread_1", []).step(status)
    made["step_details"]["tool_calls"] = list(calls)
    return made


def opened(index: int, name: str, n: int | None = None, arguments: str = "{}") -> bytes:
    """A call's fragments, in two frames."""
    number = index if n is None else n
    return delta(index, id=f"call_{number}", **function(name)) + delta(
        index, **function(None, arguments)
    )


def sdk_stream(body: bytes) -> tuple[Any, list[str]]:
    """What openai-python's event handler makes of it: the last run and the finished tool calls."""
    finished: list[str] = []

    class Handler(AssistantEventHandler):
        def on_tool_call_done(self, tool_call: Any) -> None:
            if tool_call.type == "function":
                finished.append(tool_call.function.name)

    handler = Handler()
    with _client(body, SSE) as client:
        client_runs = client.beta.threads.runs
        with client_runs.stream(
            thread_id="thread_1", assistant_id="a", event_handler=handler
        ) as made:
            made.until_done()
    return handler.current_run, finished


def _client(body: bytes, kind: str) -> Any:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    transport = httpx2.MockTransport(answer)
    return OpenAI(
        api_key="k",
        base_url="http://model/v1",
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )


def asked(run: Any) -> list[str]:
    action = run.required_action
    return [c.function.name for c in action.submit_tool_outputs.tool_calls] if action else []


# --- allow -------------------------------------------------------------------------------------

STREAMS = {
    "text only": b"".join(Run("run_Ab1", "thread_1", []).events()),
    "one call": stream([["look_up"]]),
    "three calls": stream([["look_up", "refund_order", "look_up"]]),
    "comment and BOM": b"\xef\xbb\xbf: hello\n\n" + stream([["look_up"]]),
    "CRLF": stream([["look_up"]]).replace(b"\n", b"\r\n"),
    "trailing bytes": stream([["look_up"]]) + b": bye\n\n",
    "server side call": event(
        "thread.run.step.completed",
        step_with(
            {
                "id": "c9",
                "type": "code_interpreter",
                "code_interpreter": {"input": "1+1", "outputs": []},
            }
        ),
    )
    + DONE,
    "answered step": event(
        "thread.run.step.completed",
        step_with({"id": "c9", **function("look_up", "{}", output="fine")}),
    )
    + DONE,
}


@pytest.mark.parametrize("body", STREAMS.values(), ids=STREAMS)
def test_a_released_stream_is_the_same_bytes_however_it_is_cut(body: bytes) -> None:
    """Whole, at every byte, and by random cuts."""
    random_cuts = random.Random(7)  # noqa: S311
    assert bytes(Through(body).left) == body
    assert bytes(Through(body, cuts=tuple(range(1, len(body)))).left) == body
    for _ in range(5):
        cuts = tuple(sorted(random_cuts.sample(range(1, len(body)), 6)))
        assert bytes(Through(body, cuts=cuts).left) == body


def test_text_leaves_before_the_stream_ends() -> None:
    """Nothing waits where no call is."""
    gate = PROTOCOL.gate(content_type=SSE, status=200, ref=REF, request=None)
    body = STREAMS["text only"]
    events = gate.feed(body[: body.index(b"thread.run.completed")])
    assert b"All done." in b"".join(e.data for e in events if isinstance(e, Emit))


def test_the_calls_are_those_the_sdk_finds() -> None:
    """Every round's calls, with the arguments that the fragments make."""
    body = stream([["look_up", "refund_order"]])
    got = Through(body)
    run, finished = sdk_stream(body)
    assert got.names == asked(run) == ["look_up", "refund_order"]
    assert set(finished) == set(got.names)
    assert [c.call.arguments for c in got.calls] == [ARGUMENTS, ARGUMENTS]
    assert {c.call.response_id for c in got.calls} == {"run_Ab1"} == {got.gate.response_id}


def test_server_side_calls_are_seen_once() -> None:
    """code_interpreter at its end; its input is what was run, not what came out."""
    body = STREAMS["server side call"]
    got = Through(body.removesuffix(DONE) + body)
    assert not got.calls
    (seen,) = got.seen
    assert seen.call.name == "code_interpreter"
    assert seen.call.arguments == {"input": "1+1"}
    assert seen.call.executor == "provider"


# --- refuse ------------------------------------------------------------------------------------

NAMES = ["look_up", "forbidden", "refund_order"]


@pytest.mark.parametrize("refuse", [{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}], ids=str)
def test_a_refused_call_is_nowhere_in_what_the_sdk_reads(refuse: set[int]) -> None:
    """Deltas, snapshots and the run: the rest has dense indices and is whole."""
    body = stream([NAMES])
    got = Through(body, refuse)
    left = [name for n, name in enumerate(NAMES) if n not in refuse]
    run, finished = sdk_stream(bytes(got.left))
    assert asked(run) == left
    assert set(finished) == set(left)
    assert run.status == "requires_action"
    gone = {NAMES[n] for n in refuse}
    assert not any(f'"{name}"'.encode() in got.left for name in gone)
    (memory,) = got.memories
    assert [r.name for r in memory.refused] == [NAMES[n] for n in sorted(refuse)]
    assert "response:run_Ab1" in memory.keys
    if not left:
        assert text_of(0) in run.last_error.message
    else:
        assert run.last_error is None
    cut = Through(body, refuse, cuts=tuple(range(1, len(body))))
    assert bytes(cut.left) == bytes(got.left)


def test_the_memory_comes_before_the_run_leaves() -> None:
    """A client that answers at once finds it."""
    gate = PROTOCOL.gate(content_type=SSE, status=200, ref=REF, request=None)
    events = gate.feed(stream([["forbidden"]]))
    (found,) = [e for e in events if isinstance(e, CallFound)]
    ruled = gate.rule(found.key, Refuse("no"))
    kinds = [type(e) for e in ruled]
    assert kinds.index(Remember) < next(
        n for n, e in enumerate(ruled) if isinstance(e, Emit) and b"requires_action" in e.data
    )


def test_a_server_side_entry_moves_up_into_the_hole() -> None:
    """openai-python raises IndexError at an index ahead of its list."""
    body = (
        event("thread.run.step.created", step_with(status="in_progress"))
        + opened(0, "forbidden").replace(b"step_1", b"step_run_Ab1_0")
        + event("thread.run.requires_action", run_with(call("forbidden")))
        + delta(
            1,
            "step_run_Ab1_0",
            id="ci",
            type="code_interpreter",
            code_interpreter={"input": "1"},
        )
        + DONE
    )
    got = Through(body, {0})
    assert b'"index":0' in got.left
    sdk_stream(bytes(got.left))


# --- what may not be emitted ---------------------------------------------------------------------

CUT = {
    "no end": opened(0, "look_up"),
    "another run state": opened(0, "look_up")
    + event("thread.run.failed", run_with() | {"status": "failed", "required_action": None})
    + DONE,
    "an incomplete frame": opened(0, "look_up")
    + event("thread.run.requires_action", run_with(call("look_up")))[:-30],
    "not named by the run": opened(0, "look_up")
    + opened(1, "refund_order")
    + event("thread.run.requires_action", run_with(call("other", 7)))
    + DONE,
}


@pytest.mark.parametrize("body", CUT.values(), ids=CUT)
def test_fragments_that_nothing_completes_never_leave(body: bytes) -> None:
    """At the end of the stream, of the run, or where the run asks for other calls."""
    left = bytes(Through(body).left)
    assert b"look_up" not in left
    assert b"refund_order" not in left


CLOSED = {
    "the run asks for other arguments": opened(0, "look_up", arguments='{"a":1}')
    + event("thread.run.requires_action", run_with(call("look_up", arguments='{"a":2}'))),
    "the run asks under another name": opened(0, "look_up")
    + event("thread.run.requires_action", run_with(call("refund_order"))),
    "two runs, two versions": event("thread.run.requires_action", run_with(call("look_up")))
    + event("thread.run.requires_action", run_with(call("refund_order"))),
    "twice in one list": event(
        "thread.run.requires_action", run_with(call("look_up"), call("look_up"))
    ),
    "a fragment behind the end": opened(0, "look_up")
    + event("thread.run.requires_action", run_with(call("look_up")))
    + delta(0, **function(None, "x")),
    "no index": delta(0, **function("look_up")).replace(b'"index": 0, ', b""),
    "a duplicate key": event("thread.run.requires_action", run_with(call("look_up"))).replace(
        b'"required_action"', b'"required_action": null, "required_action"'
    ),
    "calls that are no list": event(
        "thread.run.requires_action",
        run_with() | {"required_action": {"submit_tool_outputs": {"tool_calls": {"0": {}}}}},
    ),
    "JSON outside of events": json.dumps(run_with(call("look_up"))).encode(),
    "not JSON": b'event: thread.run.requires_action\ndata: {"tool_calls": [}\n\n',
}


@pytest.mark.parametrize("body", CLOSED.values(), ids=CLOSED)
def test_what_has_two_readings_is_closed(body: bytes) -> None:
    """The stream ends with an error, and no call of it has left."""
    gate = PROTOCOL.gate(content_type=SSE, status=200, ref=REF, request=None)
    left = bytearray()
    try:
        for data in (body, b""):
            for one in gate.feed(data):
                if isinstance(one, CallFound):
                    continue
                assert isinstance(one, Emit)
                left += one.data
    except WireError:
        pass
    else:
        assert b"checkrein_refused" in left
    assert b'"look_up"' not in left
    assert b"refund_order" not in left


def test_the_failure_is_raised_by_the_sdk() -> None:
    """With its text."""
    gate = PROTOCOL.gate(content_type=SSE, status=200, ref=REF, request=None)
    with pytest.raises(APIError, match="not this"):
        sdk_stream(gate.fail("not this"))


def test_the_keepalive_is_ignored_by_the_sdk() -> None:
    """Anywhere between frames."""
    gate = PROTOCOL.gate(content_type=SSE, status=200, ref=REF, request=None)
    frames = stream([["look_up"]]).split(b"\n\n")
    body = (b"\n\n" + gate.keepalive()).join(frames)
    run, _ = sdk_stream(body)
    assert asked(run) == ["look_up"]


def test_the_name_of_an_event_decides_nothing() -> None:
    """A run that asks for calls does so under any event, and with `\\u` escapes."""
    run = json.dumps(run_with(call("look_up"))).replace("tool_calls", "tool_c\\u0061lls")
    for name in (b"", b"event: thread.run.step.delta\n", b"event: thread.message.delta\n"):
        assert Through(name + b"data: " + run.encode() + b"\n\n").names == ["look_up"]


# --- JSON --------------------------------------------------------------------------------------

BODIES: dict[str, tuple[Any, list[str]]] = {
    "run": (run_with(call("look_up"), call("forbidden", 1)), ["look_up", "forbidden"]),
    "run, nothing asked": (run_with() | {"required_action": None}, []),
    "list of runs": (
        {"object": "list", "data": [run_with(call("look_up")), run_with(call("x", 1))]},
        ["look_up", "x"],
    ),
    "step, not answered": (step_with(call("look_up")), ["look_up"]),
    "steps": ({"object": "list", "data": [step_with(call("look_up"))]}, ["look_up"]),
    "answered": (step_with({"id": "c", **function("look_up", "{}", output="ok")}), []),
    "azure approval": (
        run_with()
        | {
            "required_action": {
                "type": "submit_tool_approval",
                "submit_tool_approval": {
                    "tool_calls": [
                        {
                            "id": "m1",
                            "type": "mcp",
                            "server_label": "s",
                            "name": "pay",
                            "arguments": "{}",
                        }
                    ]
                },
            }
        },
        ["pay"],
    ),
    "error": ({"error": {"message": "no", "type": "invalid_request_error"}}, []),
}


@pytest.mark.parametrize(("document", "names"), BODIES.values(), ids=BODIES)
def test_a_body(document: Any, names: list[str]) -> None:
    """Released it is the same bytes; refused none of its calls is left."""
    body = json.dumps(document, indent=1).encode() + b"\n"
    got = Through(body, kind=JSON)
    assert got.names == names
    assert bytes(got.left) == body
    assert bytes(Through(body, kind=JSON, cuts=tuple(range(1, len(body)))).left) == body
    refused = Through(body, set(range(len(names))), kind=JSON)
    for name in names:
        assert f'"{name}"'.encode() not in refused.left


def test_a_poll_says_the_same_call_again() -> None:
    """Run, id, name and digest are those of the stream, so it is decided once."""
    whole = stream([["look_up"]])
    run = Run("run_Ab1", "thread_1", [["look_up"]]).document()
    one, other = (
        Through(whole).calls[0].call,
        Through(json.dumps(run).encode(), kind=JSON).calls[0].call,
    )
    assert one == other


def test_faulty_arguments_are_refused_by_the_pipeline() -> None:
    """Duplicate keys, no id, no name: the call carries its fault."""
    bad = (
        call("x", arguments='{"a":1,"a":2}'),
        {"id": "", **function("x", "{}")},
        {"id": "c", **function("", "{}")},
    )
    for one in bad:
        assert Through(json.dumps(run_with(one)).encode(), kind=JSON).calls[0].call.fault


# --- the next request ------------------------------------------------------------------------------


def memory(refused: Set[int], names: list[str], round_number: int = 0) -> RefusedResponse:
    run = Run("run_Ab1", "thread_1", [*([["gone"]] * round_number), names], round=round_number)
    got = Through(json.dumps(run.document()).encode(), refused, kind=JSON)
    return got.memories[0]


def restored(outputs: list[str], *memories: RefusedResponse) -> list[str] | None:
    protocol = AssistantsProtocol("thread_1", "run_Ab1")
    given = [{"tool_call_id": one, "output": "ok"} for one in outputs]
    request = protocol.parse_request(json.dumps({"tool_outputs": given, "stream": True}).encode())
    assert request.remembered_by == ("response:run_Ab1",)
    assert request.hints == {"previous_response_id": "run_Ab1"}
    body = protocol.restore(request, memories)
    if body is None:
        return None
    document = json.loads(body)
    assert document["stream"] is True
    return [one["tool_call_id"] for one in document["tool_outputs"]]


A, B = "call_run_Ab1_0_0", "call_run_Ab1_0_1"
SECOND = "call_run_Ab1_1_0"
RESTORES = {
    "the refused one is added": ([A], [memory({1}, ["a", "b"])], [A, B]),
    "all were refused": ([], [memory({0, 1}, ["a", "b"])], [A, B]),
    "polled twice": ([A], [memory({1}, ["a", "b"]), memory({1}, ["a", "b"])], [A, B]),
    "approved between two polls": ([A, B], [memory({1}, ["a", "b"])], None),
    "another round": ([SECOND], [memory({0}, ["a", "b"])], None),
    "second round all refused": ([], [memory({0}, ["a"]), memory({0}, ["c"], 1)], [SECOND]),
    "nothing remembered": ([A], [], None),
}


@pytest.mark.parametrize(("outputs", "memories", "wanted"), RESTORES.values(), ids=RESTORES)
def test_restore(
    outputs: list[str], memories: list[RefusedResponse], wanted: list[str] | None
) -> None:
    """Exactly the calls of the round that is answered, each once."""
    assert restored(outputs, *memories) == wanted


def test_an_approval_is_refused() -> None:
    """Azure's MCP approvals get `approve: false`."""
    document, _ = BODIES["azure approval"]
    (remembered,) = Through(json.dumps(document).encode(), {0}, kind=JSON).memories
    protocol = AssistantsProtocol("thread_1", "run_Ab1")
    request = protocol.parse_request(b'{"tool_approvals": []}')
    body = protocol.restore(request, [remembered])
    assert json.loads(body or b"") == {"tool_approvals": [{"tool_call_id": "m1", "approve": False}]}


# --- paths -------------------------------------------------------------------------------------

PATHS = {
    "/v1/threads/runs": True,
    "/v1/threads/thread_A/runs": True,
    "/v1/threads/thread_A/runs/run_B": True,
    "/v1/threads/thread_A/runs/run_B/submit_tool_outputs": True,
    "/v1/threads/thread_A/runs/run_B/cancel": True,
    "/v1/threads/thread_A/runs/run_B/steps": True,
    "/v1/threads/thread_A/runs/run_B/steps/step_C": True,
    "/openai/threads/thread_A/runs/run_B?api-version=2025-01-01": True,
    "/api/projects/p/threads/thread_A/runs": True,
    "/v1//THREADS/thread_A/%72uns/": True,
    "/v1/threads/thread_A": False,
    "/v1/threads/thread_A/messages": False,
    "/v1/assistants": False,
}


@pytest.mark.parametrize(("path", "ours"), PATHS.items(), ids=PATHS)
def test_paths(path: str, ours: bool) -> None:
    """However the path is spelled."""
    found = protocol_for("POST", path)
    assert (found is not None and found.name == "openai.assistants") is ours


def test_ids_keep_their_capitals() -> None:
    """The memory is under the run's own name."""
    raw = "/v1/threads/thread_A/runs/run_Ab1/submit_tool_outputs"
    found: WireProtocol | None = claims(Target("POST", normalised(raw), raw, ""))
    assert found is not None
    assert found.parse_request(b"{}").remembered_by == ("response:run_Ab1",)


# --- any order of events -----------------------------------------------------------------------


def found_by_sdk(body: bytes) -> set[tuple[str, str]]:
    """Calls with a name and arguments that are JSON, wherever openai-python's handler shows them."""
    found: set[tuple[str, str]] = set()

    def note(function: Any) -> None:
        try:
            found.add((function.name or "", json.dumps(json.loads(function.arguments or "{}"))))
        except ValueError:
            return

    class Handler(AssistantEventHandler):
        def on_tool_call_done(self, tool_call: Any) -> None:
            if tool_call.type == "function":
                note(tool_call.function)

        def on_event(self, event: Any) -> None:
            if event.event == "thread.run.requires_action":
                for one in event.data.required_action.submit_tool_outputs.tool_calls:
                    note(one.function)

    with _client(body, SSE) as client:
        # Of a stream that it cannot read, what it found so far counts.
        unreadable = (APIError, IndexError, KeyError, TypeError, RuntimeError, AssertionError)
        with (
            contextlib.suppress(*unreadable),
            client.beta.threads.runs.stream(
                thread_id="thread_1", assistant_id="a", event_handler=Handler()
            ) as made,
        ):
            made.until_done()
    return {one for one in found if one[0]}


def test_no_order_of_events_shows_the_sdk_a_call_that_was_not_judged() -> None:
    """Random fragments, runs and ends; what is refused at random is not found either."""
    rng = random.Random(3)  # noqa: S311
    created = event("thread.run.step.created", step_with(status="in_progress"))
    step = "step_run_Ab1_0"
    tails = ["{}", '{"a":1}', '{"a":', "1}", ""]
    for _ in range(250):
        frames = [created]
        for _ in range(rng.randint(1, 5)):
            n = rng.choice([0, 0, 1])
            match rng.randrange(5):
                case 0 | 1:
                    frames.append(
                        delta(
                            n,
                            step,
                            id=f"call_{n}",
                            **function(rng.choice(["x", "y"]), rng.choice(tails)),
                        )
                    )
                case 2:
                    frames.append(delta(n, step, **function(None, rng.choice(tails))))
                case 3:
                    run = run_with(call(rng.choice(["x", "y"]), n, rng.choice(tails)))
                    frames.append(event("thread.run.requires_action", run))
                case 4:
                    frames.append(event("thread.run.in_progress", run_with() | {"status": "x"}))
        body = b"".join(frames) + rng.choice([DONE, b""])
        refuse = set(rng.sample(range(3), rng.randint(0, 2)))
        try:
            got = Through(body, refuse)
        except WireError:
            continue
        judged = {
            (c.call.name, json.dumps(c.call.arguments)) for c in got.calls if c.key not in refuse
        }
        assert found_by_sdk(bytes(got.left)) <= judged, body
