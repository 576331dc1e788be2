"""Gemini's answers through the gate: framings, calls in pieces, refusals, and what is closed.

Every case is fed whole, byte by byte and in random cuts, and google-genai reads what left.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import types

from proxy.errors import WireError
from proxy.wire.codec import (
    CallFound,
    CallSeen,
    Emit,
    GateEvent,
    Refuse,
    Release,
    Remember,
    ResponseGate,
    Ruling,
)
from proxy.wire.detect import protocol_for

REF = "cr_" + "cd" * 16
TEXT = f"[checkrein {REF}] The call was refused and did not run."
PATH = "/v1beta/models/m:"


def open_gate(kind: str = "sse", *, status: int = 200, media: str | None = None) -> ResponseGate:
    verb = "generateContent" if kind == "whole" else "streamGenerateContent"
    protocol = protocol_for("POST", PATH + verb)
    assert protocol is not None
    media = media or ("text/event-stream" if kind == "sse" else "application/json; charset=UTF-8")
    return protocol.gate(content_type=media, status=status, ref=REF, request=None)


class Drive:
    """Feeds pieces to a gate and rules at once."""

    def __init__(self, gate: ResponseGate, ruling: Callable[[int], Ruling]) -> None:
        self.gate, self.ruling = gate, ruling
        self.left = bytearray()
        self.calls: list[CallFound] = []
        self.seen: list[CallSeen] = []
        self.memories: list[Remember] = []
        self.order: list[str] = []

    def feed(self, data: bytes) -> None:
        todo: list[GateEvent] = self.gate.feed(data)
        while todo:
            event = todo.pop(0)
            self.order.append(type(event).__name__)
            if isinstance(event, Emit):
                self.left += event.data
            elif isinstance(event, Remember):
                self.memories.append(event)
            elif isinstance(event, CallSeen):
                self.seen.append(event)
            else:
                self.calls.append(event)
                todo += self.gate.rule(event.key, self.ruling(event.key))

    def all(self, pieces: list[bytes]) -> Drive:
        for piece in [*pieces, b""]:
            self.feed(piece)
        assert not self.gate.pending
        return self


def release(_key: int) -> Ruling:
    return Release()


def refuse(_key: int) -> Ruling:
    return Refuse(TEXT)


def part(name: str | None = "f", id: str | None = None, **args: Any) -> dict[str, Any]:
    call: dict[str, Any] = {"args": args}
    call |= {"name": name} if name else {}
    call |= {"id": id} if id else {}
    return {"functionCall": call}


def chunk(*parts: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": index}
    candidate |= {"finishReason": finish} if finish else {}
    return {"candidates": [candidate], "responseId": "r1"}


def framed(kind: str, chunks: list[dict[str, Any]]) -> bytes:
    texts = [
        json.dumps(one, ensure_ascii=False, indent=2 if kind == "array" else None) for one in chunks
    ]
    if kind == "sse":
        return "".join(f"data: {text}\r\n\r\n" for text in texts).encode()
    if kind == "array":
        return ("[" + "\n,\r\n".join(texts) + "\n]\n").encode()
    parts = [p for one in chunks for p in one["candidates"][0]["content"]["parts"]]
    return json.dumps(chunk(*parts, finish="STOP"), indent=1).encode()


def read(kind: str, body: bytes) -> list[types.Part]:
    """Returns the parts that google-genai finds; an array is handed to it chunk by chunk."""
    bodies = [body]
    if kind == "array":
        bodies = [json.dumps(one).encode() for one in json.loads(body)]
    parts: list[types.Part] = []
    for one in bodies:
        transport = httpx.MockTransport(lambda _, one=one: httpx.Response(200, content=one))
        options = types.HttpOptions(
            httpx_client=httpx.Client(transport=transport), base_url="http://x"
        )
        with genai.Client(api_key="k", http_options=options) as client:
            answers: Any = (
                client.models.generate_content_stream(model="m", contents="x")
                if kind == "sse"
                else [client.models.generate_content(model="m", contents="x")]
            )
            for answer in answers:
                for candidate in answer.candidates or ():
                    parts += (candidate.content.parts or ()) if candidate.content else ()
    return parts


CHUNKS = [
    chunk({"text": "Grüße, ich schaue. "}),
    chunk({"text": "thinking", "thought": True}),
    chunk({"text": 'So: "{[\\'}),
    chunk({**part("a", "i1", x=1.5, s='}]"\\'), "thoughtSignature": "c2ln"}, part("b", "i2")),
    chunk(part("c", None, deep={"y": [1, None, "ü"]})),
    chunk({"text": ""}, finish="STOP"),
]
KINDS = ("sse", "array", "whole")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("refused", [(), (0,), (1,), (2,), (0, 1), (0, 1, 2)], ids=str)
def test_any_cut_gives_the_same(kind: str, refused: tuple[int, ...]) -> None:
    """Whole, byte by byte and in random cuts: the same bytes, calls and memory."""
    body = framed(kind, CHUNKS)

    def ruling(key: int) -> Ruling:
        return Refuse(f"{TEXT} ({key})") if key in refused else Release()

    whole = Drive(open_gate(kind), ruling).all([body])
    if not refused:
        assert whole.left == body
        assert whole.memories == []
    found = [(c.call.id, c.call.name, c.call.response_id, c.call.fault) for c in whole.calls]
    # A whole body names its id behind the candidates; it is known all the same.
    assert found == [("i1", "a", "r1", None), ("i2", "b", "r1", None), (None, "c", "r1", None)]
    parts = read(kind, bytes(whole.left))
    names = [p.function_call.name for p in parts if p.function_call]
    assert names == [n for k, n in enumerate("abc") if k not in refused]
    texts = "".join(p.text or "" for p in parts)
    for key in refused:
        assert f"{TEXT} ({key})" in texts
    if refused:
        kept = whole.memories[-1].response
        original = kept.original["contents"][0]["parts"]
        assert [p["functionCall"]["name"] for p in original if "functionCall" in p] == [
            "a",
            "b",
            "c",
        ]
        signed = [p for p in original if p.get("thoughtSignature")]
        assert signed[0]["functionCall"]["name"] == "a"
        assert [r.name for r in kept.refused] == ["abc"[k] for k in refused]
        places = kept.original["refused"][0]
        assert [original[n]["functionCall"]["name"] for n in places] == ["abc"[k] for k in refused]
    draw = random.Random(kind)  # noqa: S311 - the same cuts at every run
    cuts = [list(range(1, len(body)))] + [
        sorted(draw.sample(range(1, len(body)), 9)) for _ in range(5)
    ]
    for one in cuts:
        pieces = [body[a:b] for a, b in itertools.pairwise([0, *one, len(body)])]
        again = Drive(open_gate(kind), ruling).all(pieces)
        assert again.left == whole.left
        assert again.calls == whole.calls
        assert again.memories[-1:] == whole.memories[-1:]


@pytest.mark.parametrize("kind", ["sse", "array"])
def test_text_streams_and_a_call_waits(kind: str) -> None:
    """Text leaves at once, the call and what stands behind it wait, a blank line keeps the client."""
    gate = open_gate(kind)
    assert gate.streams
    body = framed(kind, CHUNKS)
    events: list[GateEvent] = []
    for n in range(len(body)):
        events += gate.feed(body[n : n + 1])
    left = b"".join(e.data for e in events if isinstance(e, Emit))
    assert b"So: " in left
    assert b"functionCall" not in left
    assert list(gate.pending) == [0, 1, 2]
    assert gate.keepalive() == b"\n"
    gate.feed(b"")
    rest = b"".join(
        e.data for key in (2, 0, 1) for e in gate.rule(key, Release()) if isinstance(e, Emit)
    )
    assert left + rest == body


def test_memory_is_durable_before_the_refusal_leaves() -> None:
    drive = Drive(open_gate(), refuse)
    drive.feed(framed("sse", CHUNKS[:4]))
    at = drive.order.index("Remember")
    assert "Emit" in drive.order[at:]
    assert drive.left.index(REF.encode()) > 0
    first = drive.memories[0].response
    assert first.ref == REF
    assert first.keys[0] == f"ref:{REF}"


PARTIAL = [
    chunk(
        {
            "functionCall": {"name": "light", "id": "p1", "willContinue": True},
            "thoughtSignature": "c2ln",
        }
    ),
    chunk(
        {
            "functionCall": {
                "partialArgs": [{"jsonPath": "$.level", "numberValue": 50}],
                "willContinue": True,
            }
        }
    ),
    chunk(
        {
            "functionCall": {
                "partialArgs": [
                    {"jsonPath": "$.room.name", "stringValue": "kit", "willContinue": True}
                ],
                "willContinue": True,
            }
        }
    ),
    chunk(
        {
            "functionCall": {
                "partialArgs": [{"jsonPath": "$['room'].name", "stringValue": "chen"}],
                "willContinue": True,
            }
        }
    ),
    chunk(
        {
            "functionCall": {
                "partialArgs": [
                    {"jsonPath": "$.on[0]", "boolValue": True},
                    {"jsonPath": "$.on[1]", "nullValue": "NULL_VALUE"},
                ],
                "willContinue": True,
            }
        }
    ),
    chunk({"functionCall": {}}),
    chunk({"text": "done"}, finish="STOP"),
]


@pytest.mark.parametrize("kind", ["sse", "array"])
def test_a_call_in_pieces(kind: str) -> None:
    """Streamed arguments make one call; nothing of it leaves before its end."""
    body = framed(kind, PARTIAL)
    drive = Drive(open_gate(kind), release).all([body])
    assert drive.left == body
    (found,) = drive.calls
    assert (found.call.id, found.call.name, found.call.fault) == ("p1", "light", None)
    assert found.call.arguments == {"level": 50, "room": {"name": "kitchen"}, "on": [True, None]}
    refused = Drive(open_gate(kind), refuse).all([body])
    parts = read(kind, bytes(refused.left))
    assert not any(p.function_call for p in parts)
    assert sum(p.text == TEXT for p in parts) == 1
    original = refused.memories[-1].response.original["contents"][0]["parts"]
    assert original[0]["thoughtSignature"] == "c2ln"
    assert original[0]["functionCall"]["args"]["room"] == {"name": "kitchen"}
    cut = Drive(open_gate(kind), release)
    cut.feed(framed(kind, PARTIAL[:4]).rstrip(b"\n]"))
    assert b"light" not in cut.left
    assert not cut.calls


IN_PIECES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "a list's first item is all text, its second a number": (
        [
            {"jsonPath": "$.o[0].a", "stringValue": "add", "willContinue": True},
            {"jsonPath": "$.o[0].a", "stringValue": ""},
            {"jsonPath": "$.o[1].p", "numberValue": 0.5},
            {"jsonPath": "$.o[2].a", "stringValue": "cut"},
        ],
        {"o": [{"a": "add"}, {"p": 0.5}, {"a": "cut"}]},
    ),
    "null as protobuf writes it": (
        [{"jsonPath": "$.a", "nullValue": None}, {"jsonPath": "$.b", "numberValue": 1}],
        {"a": None, "b": 1},
    ),
}


@pytest.mark.parametrize("name", IN_PIECES)
def test_pieces_are_put_in_the_order_in_which_they_came(name: str) -> None:
    """As Gemini 3 streams lists of objects; the last piece ends the call without an empty part."""
    pieces, arguments = IN_PIECES[name]
    calls: list[dict[str, Any]] = [{"name": "f", "willContinue": True}, {"willContinue": True}]
    calls += [{"partialArgs": [piece], "willContinue": True} for piece in pieces]
    del calls[-1]["willContinue"]
    chunks = [chunk({"functionCall": call}) for call in calls]
    body = framed("sse", [*chunks, chunk({"text": ""}, finish="STOP")])
    drive = Drive(open_gate(), release).all([body])
    assert drive.left == body
    assert [(c.call.arguments, c.call.fault) for c in drive.calls] == [(arguments, None)]


@pytest.mark.parametrize(
    "pieces",
    [
        [{"jsonPath": "$.a", "stringValue": "x"}, {"jsonPath": "$.a", "stringValue": "y"}],
        [{"jsonPath": "$.a", "numberValue": 1}, {"jsonPath": "$.a", "numberValue": 2}],
        [{"jsonPath": "$.a", "stringValue": "x", "willContinue": True}],
        [{"jsonPath": "$..a", "stringValue": "x"}],
        [{"jsonPath": "$.a", "stringValue": "x", "numberValue": 1}],
        [{"jsonPath": "$.a[3]", "stringValue": "x"}],
        [{"stringValue": "x"}],
        [{"jsonPath": "$", "stringValue": "x"}],
        [{"jsonPath": "$.a", "numberValue": 1}, {"jsonPath": "$.a.b", "numberValue": 1}],
        [{"jsonPath": "$.a", "stringValue": "x"}, {"jsonPath": "$.a", "numberValue": 1}],
        [{"jsonPath": "$.a"}],
    ],
    ids=[
        "twice",
        "overwritten",
        "unended",
        "descend",
        "two values",
        "gap",
        "no path",
        "root",
        "under",
        "text, then number",
        "no value",
    ],
)
def test_pieces_without_one_reading_are_a_fault(pieces: list[dict[str, Any]]) -> None:
    call = {"name": "f", "partialArgs": pieces}
    drive = Drive(open_gate(), refuse).all(
        [framed("sse", [chunk({"functionCall": call}, finish="STOP")])]
    )
    assert drive.calls[0].call.fault


@pytest.mark.parametrize("kind", ["sse"])
def test_a_call_cut_off_is_never_emitted(kind: str) -> None:
    """The stream ends between two parts of a call: an error follows what had left."""
    drive = Drive(open_gate(kind), release).all([framed(kind, [CHUNKS[0], *PARTIAL[:3]])])
    assert drive.calls == []
    assert b"light" not in drive.left
    with pytest.raises(genai.errors.ServerError, match="middle of a tool call"):
        read(kind, bytes(drive.left))


def raw(body: str, kind: str = "sse", **options: Any) -> Drive:
    return Drive(open_gate(kind, **options), release).all([body.encode()])


CALL = json.dumps(chunk(part("f", x=1)))


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        CALL.replace("functionCall", "function_call"),
        CALL.replace("functionCall", "FunctionCall"),
        CALL.replace("functionCall", "\\u0066unctionCall"),
        CALL.replace("candidates", "Candidates"),
        CALL.replace('"content"', '"Content"'),
        json.dumps({"response": chunk(part("f", x=1))}),
        json.dumps(
            {
                "candidates": [
                    {"content": {"parts": [{"text": "t"}]}},
                    chunk(part("f", x=1))["candidates"][0],
                ]
            }
        ),
        CALL.replace('"functionCall"', '"thought": true, "functionCall"'),
        CALL.replace('"functionCall"', '"text": "t", "functionCall"'),
    ],
    ids=[
        "camel",
        "snake",
        "pascal",
        "escaped",
        "Candidates",
        "Content",
        "wrapped",
        "second",
        "thought",
        "text",
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_calls_are_found_in_every_spelling(text: str, kind: str) -> None:
    body = {"sse": f"data: {text}\n\n", "array": f"[{text}]", "whole": text}[kind]
    drive = raw(body, kind)
    assert [(c.call.name, c.call.arguments, c.call.fault) for c in drive.calls] == [
        ("f", {"x": 1}, None)
    ]
    assert drive.left == body.encode()
    stripped = Drive(open_gate(kind), refuse).all([body.encode()])
    assert not any(p.function_call for p in read(kind, bytes(stripped.left)))
    assert b"unctionCall" not in stripped.left
    assert REF.encode() in stripped.left


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"functionCall": {"name": "f", "args": {"a": 1, "a": 2}}}', True),
        ('{"functionCall": {"name": "f", "name": "g", "args": {}}}', True),
        ('{"functionCall": {"args": {}}}', True),
        ('{"functionCall": {}}', True),
        ('{"functionCall": {"name": "f", "args": [1]}}', True),
        ('{"functionCall": {"name": "f", "args": "x"}}', True),
        ('{"functionCall": {"name": 7}}', True),
        ('{"functionCall": {"name": "f", "args": {"a": "\\ud800"}}}', True),
        ('{"functionCall": {"name": "f"}}', False),
        ('{"functionCall": {"name": "f", "args": null}}', False),
    ],
)
def test_faulty_calls(text: str, fault: bool) -> None:
    body = '{"candidates": [{"content": {"parts": [' + text + "]}}]}"
    drive = Drive(open_gate(), refuse).all([f"data: {body}\n\n".encode()])
    assert [bool(c.call.fault) for c in drive.calls] == [fault]


CLOSED = {
    "raw call line": f"{CALL}\n\n",
    "raw behind an event": f'data: {{"candidates": []}}\n\n{CALL}\n\n',
    "raw within an event": f'data: {{"candidates": []}}\n{CALL}\n\n',
    "field without a space": f'data:{{"a":\ndata: {CALL}\ndata:}}\n\n',
    "cut JSON": f"data: {CALL[:-3]}\n\n",
    "two documents": f"data: {CALL}{CALL}\n\n",
    "array in an event": f"data: [{CALL}]\n\n",
    "two spellings": 'data: {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}, "function_call": {"name": "g"}}]}}]}\n\n',
    "duplicate candidates": f'data: {{"candidates": [], {CALL[1:]}\n\n',
    "duplicate part": 'data: {"candidates": [{"content": {"parts": [{"text": "a", "text": "b"}]}}]}\n\n',
    "call as text": 'data: {"candidates": [{"content": {"parts": [{"functionCall": "f"}]}}]}\n\n',
    "parts as an object": 'data: {"candidates": [{"content": {"parts": {"functionCall": {"name": "f"}}}}]}\n\n',
    "indented field": f" data: {CALL}\n\n",
    "NaN": 'data: {"candidates": [{"avgLogprobs": NaN}]}\n\n',
}


@pytest.mark.parametrize("body", CLOSED.values(), ids=CLOSED)
def test_closed(body: str) -> None:
    """What google-genai or another client could read in another way ends the stream."""
    gate = open_gate()
    with pytest.raises(WireError):
        Drive(gate, release).all([body.encode()])
    assert gate.feed(b"data: {}\n\n") == []
    with pytest.raises(genai.errors.ServerError, match="why"):
        read("sse", gate.fail("why"))


@pytest.mark.parametrize(
    "body",
    [
        f"[{CALL}",
        f"[{CALL}]]",
        f"{CALL}{CALL}",
        f"{CALL}\n,{CALL}",
        f"[{CALL}{CALL}]",
        f"[[{CALL}]]",
        "[1]",
        "x",
        f"[{CALL},]x",
    ],
)
def test_arrays_that_are_none_are_closed(body: str) -> None:
    gate = open_gate("array")
    with pytest.raises(WireError):
        Drive(gate, release).all([body.encode()])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}', "sse"),
        ('{\n "error": {\n  "code": 429,\n  "message": "slow"\n }\n}\n', "sse"),
        ('[{"error": {"code": 429}}]', "array"),
        ('{"error": {"code": 429}}', "array"),
        ('data: {"error": {"code": 429}}\n\n', "sse"),
        (": comment\n\ndata: {}\n\ndata: [DONE]\n\n", "sse"),
        ("", "sse"),
        ("", "array"),
        ("", "whole"),
        ("[]", "array"),
        ("[\n]\n", "array"),
        ('{"promptFeedback": {"blockReason": "SAFETY"}}', "whole"),
        ('{"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}]}', "whole"),
        ('{"candidates": [{"content": {}, "finishReason": "STOP"}]}', "whole"),
    ],
)
def test_left_alone(body: str, kind: str) -> None:
    drive = raw(body, kind)
    assert drive.left == body.encode()
    assert drive.calls == []


def test_errors_of_other_statuses_leave_as_they_came() -> None:
    for body in ("<html>", '[{"error": {}}]', '{"error": {}}'):
        for kind in ("array", "whole"):
            assert raw(body, kind, status=503).left == body.encode()


@pytest.mark.parametrize(
    "media",
    [
        "application/x-protobuf",
        "text/html",
        " ; charset=utf-16",
        "application/json; charset=utf-7",
        "application/grpc",
    ],
)
def test_other_content_types_are_closed(media: str) -> None:
    with pytest.raises(WireError):
        open_gate("array", media=media)


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("generateContent", "whole"),
        ("streamGenerateContent", "array"),
        ("streamGenerateContent?alt=sse", "sse"),
        ("streamGenerateContent?key=k&alt=SSE", "sse"),
    ],
)
def test_without_a_content_type_the_method_tells(method: str, kind: str) -> None:
    """As SDKs read it; an answer that is framed in another way is closed."""

    def gate() -> ResponseGate:
        protocol = protocol_for("POST", PATH + method)
        assert protocol is not None
        return protocol.gate(content_type="", status=200, ref=REF, request=None)

    body = CALL.encode() if kind == "whole" else framed(kind, [chunk(part("f", x=1))])
    drive = Drive(gate(), release).all([body])
    assert drive.left == body
    assert [found.call.name for found in drive.calls] == ["f"]
    other = framed("array" if kind == "sse" else "sse", [chunk(part("f", x=1))])
    with pytest.raises(WireError):
        Drive(gate(), release).all([other])


def test_provider_calls_are_seen() -> None:
    parts: list[dict[str, Any]] = [
        {"executableCode": {"language": "PYTHON", "code": "print(1)", "id": "e1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["x"]}, "id": "t1"}},
        {"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "id": "t1"}},
    ]
    drive = Drive(open_gate(), refuse).all([framed("sse", [chunk(*parts, finish="STOP")])])
    seen = [(s.call.name, s.call.id, s.call.executor, s.call.fault) for s in drive.seen]
    assert seen == [
        ("code_execution", "e1", "provider", None),
        ("google_search_web", "t1", "provider", None),
    ]
    assert drive.calls == []


@pytest.mark.parametrize("fed", [0, 1, 2, 5])
def test_an_array_that_fails_is_still_an_array(fed: int) -> None:
    """The error stands where the array has got to."""
    gate = open_gate("array")
    body = framed("array", [CHUNKS[0], CHUNKS[2]])
    steps = [b"", b"[", body[: body.index(b"\n,") + 1], b"", b"", body[: body.index(b"\n,") + 3]]
    left = (
        b"".join(e.data for e in gate.feed(steps[fed]) if isinstance(e, Emit))
        if steps[fed]
        else b""
    )
    assert json.loads(left + gate.fail("why"))[-1]["error"]["message"] == "why"


PATHS = [
    ("/v1beta/models/gemini-3:generateContent", "google.gemini"),
    ("/v1beta/models/gemini-3%3AgenerateContent", "google.gemini"),
    ("/v1beta/models/gemini-3%253agenerateCONTENT/", "google.gemini"),
    ("/gateway/x/v1alpha/tunedModels/t:streamGenerateContent?alt=sse", "google.gemini"),
    ("/v1/projects/p/locations/l/publishers/google/models/m:generateContent", "google.gemini"),
    ("/v1/projects/p/locations/l/endpoints/123:streamGenerateContent", "google.gemini"),
    ("/v1beta1/publishers/google/models/m:streamGenerateContent", "google.gemini"),
    ("/v1internal:generateContent", "google.gemini"),
    ("/v1internal:streamGenerateContent?alt=sse", "google.gemini"),
    (
        "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent",
        "google.gemini",
    ),
    ("/v1/projects/p/locations/l/publishers/anthropic/models/c@1:rawPredict", "anthropic.messages"),
    (
        "/v1/projects/p/locations/l/publishers/anthropic/models/c@1:streamRawPredict",
        "anthropic.messages",
    ),
    ("/v1beta/models/m:countTokens", None),
    ("/v1beta/models/m:embedContent", None),
    ("/v1beta/models", None),
    ("/v1beta/interactions", "google.interactions"),
    ("/v1beta/interactions/v1_abc", "google.interactions"),
    ("/v1beta/interactions/v1_abc/cancel", "google.interactions"),
    ("/v1beta/interactions/v1_abc:cancel", "google.interactions"),
    ("/v1beta1/projects/p/locations/l/interactions", "google.interactions"),
    ("/v1beta/openai/chat/completions", "openai.chat"),
    ("/teams/interactions", None),
]


@pytest.mark.parametrize(("path", "name"), PATHS)
def test_targets(path: str, name: str | None) -> None:
    found = protocol_for("POST", path)
    assert (found.name if found else None) == name


def test_mistral_on_vertex_is_gated() -> None:
    path = "/v1/projects/p/locations/l/publishers/mistralai/models/m:streamRawPredict"
    assert protocol_for("POST", path) is not None


def test_error_body() -> None:
    protocol = protocol_for("POST", PATH + "generateContent")
    assert protocol is not None
    body = json.loads(protocol.error_body(403, "no"))
    assert body == {"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}
