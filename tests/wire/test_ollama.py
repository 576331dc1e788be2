"""Ollama's answers and requests: what is a call, what is left of a refused one, what goes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import ollama
import pytest

from proxy.errors import WireError
from proxy.wire.codec import CallFound, Refuse, Release, ResponseGate, Ruling
from proxy.wire.detect import protocol_for
from proxy.wire.ollama.protocol import PROTOCOL
from tests.upstreams.driving import (
    REF,
    TEXT,
    Left,
    cuts,
    drive,
    drive_closed,
    mutations,
    refuse,
    refuse_only,
    release,
)

HEAD = {"model": "m", "created_at": "2026-01-01T00:00:00Z"}
NDJSON, JSON = "application/x-ndjson", "application/json; charset=utf-8"


def call(name: str, call_id: str | None = None, **arguments: Any) -> dict[str, Any]:
    made = {"function": {"name": name, "arguments": arguments}}
    return made if call_id is None else {"id": call_id, **made}


def line(content: str = "", *calls: dict[str, Any], **more: Any) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    message |= {"tool_calls": list(calls)} if calls else {}
    return json.dumps({**HEAD, "message": message, "done": False, **more}).encode() + b"\n"


END = line(done=True, done_reason="stop")
STREAM = b"".join(
    [
        line("Let me "),
        line("see."),
        line("", call("look_up", order="A-1"), call("forbidden", order="A-2")),
        line("", call("look_up", order="A-3")),
        END,
    ]
)


def gate(kind: str = NDJSON, *, stream: bool = True, status: int = 200) -> ResponseGate:
    asked = {"model": "m", "messages": [], "stream": stream}
    request = PROTOCOL.parse_request(json.dumps(asked).encode())
    return PROTOCOL.gate(content_type=kind, status=status, ref=REF, request=request)


def sdk_reads(body: bytes, kind: str, *, stream: bool) -> tuple[list[Any], str]:
    """Returns the calls and the text that the SDK finds; raises what it raises."""

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": kind}, content=body)

    client: Any = ollama.Client("http://x", transport=httpx.MockTransport(answer))
    try:
        made: Any = client.chat(model="m", messages=[], stream=stream)
        parts = list(made) if stream else [made]
    finally:
        client.close()
    calls = [one for part in parts for one in part.message.tool_calls or ()]
    return calls, "".join(part.message.content or "" for part in parts)


@pytest.mark.parametrize(
    ("ruling", "names"),
    [
        pytest.param(release, ["look_up", "forbidden", "look_up"], id="released"),
        pytest.param(refuse_only(1), ["look_up", "look_up"], id="one of a line"),
        pytest.param(refuse_only(2), ["look_up", "forbidden"], id="a whole line"),
        pytest.param(refuse, [], id="all"),
    ],
)
def test_a_stream_shows_the_sdk_what_was_released(
    ruling: Callable[[int], Ruling], names: list[str]
) -> None:
    """However it is cut; a refused call's line says why."""
    whole = drive(gate(), [STREAM], ruling)
    found, text = sdk_reads(whole.body, NDJSON, stream=True)
    assert [c.function.name for c in found] == names
    assert text.count(REF) == 3 - len(names)
    assert text.startswith("Let me see.")
    assert (whole.body == STREAM) == (len(names) == 3)
    for pieces in cuts(STREAM, "ollama"):
        left = drive(gate(), pieces, ruling)
        # What is remembered may lack later calls that were let through: the client has those.
        assert (left.body, left.calls) == (whole.body, whole.calls)


def test_text_leaves_at_once_and_what_is_behind_a_call_waits() -> None:
    """Only the bytes of a call wait."""
    made = gate()
    assert made.feed(line("Hello")) != []
    events = made.feed(line("", call("look_up")) + line("later") + END)
    assert [type(e) for e in events] == [CallFound]
    assert made.pending == (0,)
    assert made.rule(0, Release())[-1].data.endswith(END)  # type: ignore[union-attr]


def test_a_call_has_its_own_id_else_one_that_its_result_gives_too() -> None:
    """Ledger and history meet without ids on the wire."""
    left = drive(
        gate(), [line("", call("pay", amount=5), call("pay", "call_1", amount=5))], release
    )
    first, second = (found.call for found in left.calls)
    assert (first.name, first.arguments, second.id) == ("pay", {"amount": 5}, "call_1")
    history = [
        {"role": "assistant", "content": "", "tool_calls": [call("pay", amount=5)]},
        {"role": "tool", "tool_name": "pay", "content": "paid"},
    ]
    request = PROTOCOL.parse_request(json.dumps({"model": "m", "messages": history}).encode())
    (result,) = request.results
    assert (result.call_id, result.name, result.text) == (first.id, "pay", "paid")
    assert result.args_sha256 == first.args_sha256


@pytest.mark.parametrize("kind", [JSON, NDJSON])
def test_a_whole_answer(kind: str) -> None:
    """`stream: false`, however the server calls it."""
    body = line("Hm.", call("look_up"), call("forbidden"), done=True).strip()
    left = drive(gate(kind, stream=False), [body], refuse_only(1))
    found, text = sdk_reads(left.body, kind, stream=False)
    assert [c.function.name for c in found] == ["look_up"]
    assert text == f"Hm.\n\n{TEXT} (1)"
    assert drive(gate(kind, stream=False), [body], release).body == body


def lines_called_json() -> bytes:
    return line("", call("look_up")) + END


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(line("", call("pay")).replace(b'"tool_calls"', b'"Tool_Calls"'), id="case"),
        pytest.param(
            line("", call("pay")).replace(b'"message"', b'"me\xc5\xbf\xc5\xbfage"'), id="fold"
        ),
        pytest.param(b'{"message":{"tool_calls":[],"tool_calls":[{}]}}\n', id="a key twice"),
        pytest.param(
            b'{"message":{"\\u0074ool_calls":[],"tool_calls":[{}]}}\n', id="escaped twice"
        ),
        pytest.param(b'{"message":{"tool_calls":{"function":{"name":"x"}}}}\n', id="an object"),
        pytest.param(b'{"message":{"tool_calls":[{"name":"x"}]}}\n', id="no function"),
        pytest.param(b'{"tool_calls":[{"function":{"name":"x"}}]}\n', id="beside the message"),
        pytest.param(b'{"a":\r{"message":{"tool_calls":[]}}\r}\n', id="a line inside a line"),
        pytest.param(line("hi").strip() + line("", call("pay")), id="two on a line"),
        pytest.param(b"[]\n", id="no object"),
        pytest.param(b'{"message":\n{"tool_calls":[]}}\n', id="one over two lines"),
    ],
)
def test_what_can_be_read_in_two_ways_ends_the_stream(body: bytes) -> None:
    """Closed: nothing of it leaves."""
    with pytest.raises(WireError):
        drive(gate(), [body, b" "], release)


def test_lines_that_call_themselves_json_are_read_as_the_client_reads_them() -> None:
    """The SDK never looks at the content type."""
    left = drive(gate(JSON), [lines_called_json()], refuse)
    assert sdk_reads(left.body, JSON, stream=True)[0] == []
    assert len(left.calls) == 1


@pytest.mark.parametrize("kind", ["text/event-stream", "", "application/x-ndjson; charset=utf-16"])
def test_other_content_types_are_refused(kind: str) -> None:
    with pytest.raises(WireError):
        gate(kind)


def test_an_error_page_passes() -> None:
    """A client raises at the status and reads no calls."""
    for body in (b'{"error":"model not found"}', b"<html>502</html>"):
        assert drive(gate("text/html", status=502), [body], release).body == body


@pytest.mark.parametrize("cut", [3, 30])
def test_a_call_that_is_cut_off_is_never_emitted(cut: int) -> None:
    """The line's rest never came: the SDK raises our error."""
    body = line("Hello") + line("", call("pay"))[:-cut]
    left = drive(gate(), [body], release)
    assert left.calls == []
    with pytest.raises(ollama.ResponseError, match="ended inside"):
        sdk_reads(left.body, NDJSON, stream=True)


def test_waiting_joins_the_next_line() -> None:
    """A blank line would make `ollama` for Python raise; spaces ahead of a line do not."""
    made = gate()
    left = Left()
    made.feed(line("", call("pay")) + END)
    body = made.keepalive() * 3
    body += made.rule(0, Refuse(TEXT))[-1].data  # type: ignore[union-attr]
    assert sdk_reads(body, NDJSON, stream=True) == ([], TEXT)
    body = made.keepalive() + made.fail("closed")
    with pytest.raises(ollama.ResponseError, match="closed"):
        sdk_reads(body, NDJSON, stream=True)
    assert left.calls == []


def test_line_separators_in_a_rewritten_line_do_not_cut_it() -> None:
    """httpx cuts lines at U+2028; the server had it escaped."""
    left = drive(gate(), [line("a\u2028b\u0085c", call("pay"))], refuse)
    assert sdk_reads(left.body, NDJSON, stream=True) == ([], f"a\u2028b\u0085c\n\n{TEXT} (0)")


# --- requests ------------------------------------------------------------------------------------


def restored(messages: list[Any], refused: Callable[[int], Ruling], body: bytes) -> Any:
    memories = drive(gate(), [body], refused).memories
    request = PROTOCOL.parse_request(json.dumps({"model": "m", "messages": messages}).encode())
    assert f"ref:{REF}" in request.remembered_by
    made = PROTOCOL.restore(request, memories[-1:])
    assert made is not None
    return json.loads(made)["messages"]


def test_refused_calls_go_back_with_results_in_the_calls_order() -> None:
    """Nothing but the order tells an Ollama template which result is whose."""
    kept = [call("look_up", order="A-1"), call("look_up", order="A-3")]
    history = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": f"Let me see.{TEXT} (1)", "tool_calls": kept},
        {"role": "tool", "tool_name": "look_up", "content": "one"},
        {"role": "tool", "tool_name": "look_up", "content": "three"},
    ]
    made = restored(history, refuse_only(1), STREAM)
    calls = [kept[0], call("forbidden", order="A-2"), kept[1]]
    assert made == [
        history[0],
        {"role": "assistant", "content": "Let me see.", "tool_calls": calls},
        history[2],
        {"role": "tool", "tool_name": "forbidden", "content": f"{TEXT} (1)"},
        history[3],
    ]


def test_a_refusal_that_was_the_last_word_stands_ahead_of_the_users_next() -> None:
    history = [
        {"role": "assistant", "content": f"{TEXT} (0)"},
        {"role": "user", "content": "and now?"},
    ]
    body = line("", call("pay", "call_9")) + END
    assert restored(history, refuse, body) == [
        {"role": "assistant", "content": "", "tool_calls": [call("pay", "call_9")]},
        {
            "role": "tool",
            "tool_name": "pay",
            "content": f"{TEXT} (0)",
            "tool_call_id": "call_9",
        },
        {"role": "assistant", "content": f"{TEXT} (0)"},
        history[1],
    ]


def test_a_derived_id_finds_no_memory() -> None:
    """Another session's equal call has the same."""
    (memory,) = drive(gate(), [line("", call("pay"), call("pay"))], refuse_only(0)).memories
    assert memory.keys == (f"ref:{REF}",)


@pytest.mark.parametrize(
    ("method", "path", "known"),
    [
        ("POST", "/api/chat", True),
        ("POST", "/ollama/API//chat/", True),
        ("POST", "/api/generate", True),
        ("POST", "/api/embed", False),
        ("GET", "/api/tags", False),
    ],
)
def test_paths(method: str, path: str, known: bool) -> None:
    assert (protocol_for(method, path) is PROTOCOL) is known


def test_generate_is_closed_to_calls() -> None:
    """It has no tools; an answer with some is none of its own."""
    body = (
        b'{"response":"x","message":{"tool_calls":[{"function":{"name":"pay","arguments":{}}}]}}\n'
    )
    assert len(drive(gate(), [body], refuse).calls) == 1


def test_no_changed_stream_shows_the_sdk_a_refused_call() -> None:
    """Whatever lines are moved, doubled or broken: a call that nobody judged is never found."""
    for body in mutations(STREAM, "ollama", 400):
        left = drive_closed(gate(), body)

        def answer(_: httpx.Request, left: bytes = left) -> httpx.Response:
            return httpx.Response(200, headers={"content-type": NDJSON}, content=left)

        client: Any = ollama.Client("http://x", transport=httpx.MockTransport(answer))
        try:
            for part in client.chat(model="m", messages=[], stream=True):
                assert not part.message.tool_calls, body
        except (ollama.ResponseError, ValueError):
            pass  # an error, or a line that is no JSON
        finally:
            client.close()
