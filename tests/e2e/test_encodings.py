"""Compressed bodies both ways: what is judged is what was meant, and what is not read does not pass.

A raw upstream sends exact bytes, compressed although `identity` was asked. The client looks at the
raw bytes too: an SDK would undo what it should see.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import brotli
import httpx
import pytest
import zstandard

from proxy.cli.demo.speak_anthropic import AnthropicSpeaker
from proxy.cli.demo.speak_chat import ChatSpeaker
from proxy.cli.demo.speak_responses import ResponsesSpeaker
from proxy.cli.demo.speech import Ids, Speaker, Turn, ask
from tests.e2e.conftest import RULES, Proxy, free_port

pytestmark = pytest.mark.e2e

MARK = "A-77731"  # stands in the call's arguments and nowhere else
APIS = ("chat", "responses", "anthropic")
READS = "checkrein could not judge this exchange"


def zlib_raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def members(data: bytes) -> bytes:
    """gzip in three members, cut in the middle of whatever stands there (RFC 1952 section 2.2)."""
    third = len(data) // 3
    parts = (data[:third], data[third : 2 * third], data[2 * third :])
    return b"".join(gzip.compress(part) for part in parts)


type Pack = Callable[[bytes], bytes]
ENCODINGS: dict[str, tuple[str, Pack]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip-members": ("gzip", members),
    "deflate-zlib": ("deflate", zlib.compress),
    "deflate-raw": ("deflate", zlib_raw),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "gzip-over-br": ("br, gzip", lambda data: gzip.compress(brotli.compress(data))),
}


@dataclass
class RawReply:
    """An answer as it stands on the wire: pieces of a body, written one by one."""

    headers: dict[str, str]
    pieces: Sequence[bytes]
    chunked: bool
    status: int = 200


@dataclass
class Came:
    """A request as it came in."""

    head: str
    body: bytes


@dataclass
class RawUpstream:
    """A server of exact bytes; the header `x-exchange` chooses the reply."""

    replies: dict[str, RawReply] = field(default_factory=dict)
    requests: dict[str, list[Came]] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> RawUpstream:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # transports close in the next turns of the loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                pairs = [line.partition(":") for line in head.split("\r\n")[1:]]
                fields = {name.lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                self.requests.setdefault(fields["x-exchange"], []).append(Came(head, body))
                await _write(writer, self.replies[fields["x-exchange"]])
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the proxy has closed the connection, or the test is over
        finally:
            writer.close()


async def _write(writer: asyncio.StreamWriter, reply: RawReply) -> None:
    lines = [f"HTTP/1.1 {reply.status} OK", *(f"{k}: {v}" for k, v in reply.headers.items())]
    size = sum(map(len, reply.pieces))
    lines.append("transfer-encoding: chunked" if reply.chunked else f"content-length: {size}")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    for piece in reply.pieces:
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if reply.chunked else piece)
        await writer.drain()
        await asyncio.sleep(0)
    if reply.chunked:
        writer.write(b"0\r\n\r\n")
        await writer.drain()


@dataclass(frozen=True, slots=True)
class Line:
    proxy: Proxy
    upstream: RawUpstream
    client: httpx.Client

    def send(
        self, name: str, api: str, content: bytes | None = None, encoding: str | None = None
    ) -> tuple[httpx.Response, bytes]:
        """Posts a request; returns the answer's head and its raw body."""
        headers = {"x-checkrein-session": name, "x-exchange": name, "authorization": "Bearer none"}
        headers["content-type"] = "application/json"
        if encoding is not None:
            headers["content-encoding"] = encoding
        if content is None:
            content = json.dumps(request_body(api, stream=False)).encode()
        path = speaker(api).path
        with self.client.stream("POST", path, content=content, headers=headers) as answer:
            return answer, b"".join(answer.iter_raw())

    def verdicts(self, name: str) -> list[tuple[str, str]]:
        decided = [r for r in self.proxy.records("decision") if r["session"].endswith(name)]
        return [(record["call"]["name"], record["verdict"]) for record in decided]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("encodings")
    with RawUpstream() as upstream:
        proxy = make_proxy(folder, RULES, "--upstream", upstream.url).start()
        with httpx.Client(base_url=proxy.url, trust_env=False, timeout=30) as client:
            yield Line(proxy, upstream, client)
        proxy.stop()


def make_proxy(folder: Path, rules: str, *options: str) -> Proxy:
    (folder / "rules.yaml").write_text(rules)
    port = free_port()
    argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}", "--no-inbox"]
    argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
    argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "a.sock")]
    argv += ["--ca-dir", str(folder / "ca")]
    return Proxy(folder, [*argv, *options], port)


def speaker(api: str) -> Speaker:
    ids = Ids("encodings")
    kinds: dict[str, Speaker] = {
        "chat": ChatSpeaker(ids),
        "responses": ResponsesSpeaker(ids),
        "anthropic": AnthropicSpeaker(ids),
    }
    return kinds[api]


def request_body(api: str, *, stream: bool) -> dict[str, Any]:
    said = [{"role": "user", "content": "Go on."}]
    body: dict[str, Any] = {"model": "m", "stream": stream}
    if api == "responses":
        return {**body, "input": said, "store": False}
    return {**body, "messages": said, **({"max_tokens": 99} if api == "anthropic" else {})}


def answer_body(api: str, *, stream: bool, tool: str = "look_up") -> bytes:
    """One text and one call, as the API writes it."""
    made, body = speaker(api), request_body(api, stream=stream)
    made.read(body)
    answer = made.answer(Turn("Let me see.", (ask(tool, order_id=MARK, amount=45),)), body)
    return b"".join(answer.frames) if stream else json.dumps(answer.document).encode()


def reply_of(body: bytes, encoding: str | None, *, stream: bool, chunked: bool) -> RawReply:
    """Cuts a body into pieces of 7 bytes: no piece has a whole word, nor a decoder's block."""
    headers = {"content-type": "text/event-stream" if stream else "application/json"}
    if encoding is not None:
        headers["content-encoding"] = encoding
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    return RawReply(headers, pieces, chunked)


each_api = pytest.mark.parametrize("api", APIS)
each_kind = pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
each_encoding = pytest.mark.parametrize("encoding", ENCODINGS)


@each_api
@each_kind
@each_encoding
def test_allowed_answer(line: Line, api: str, stream: bool, encoding: str) -> None:
    """Buffered: the very bytes that came, with their encoding. Streamed: what they decode to."""
    header, pack = ENCODINGS[encoding]
    name = f"allow-{api}-{stream}-{encoding}"
    plain = answer_body(api, stream=stream)
    packed = pack(plain)
    line.upstream.replies[name] = reply_of(packed, header, stream=stream, chunked=stream)
    answer, raw = line.send(name, api)
    assert answer.status_code == 200
    assert raw == (plain if stream else packed)
    assert answer.headers.get("content-encoding") == (None if stream else header)
    assert line.verdicts(name) == [("look_up", "allow")]
    (came,) = line.upstream.requests[name]
    assert "accept-encoding: identity" in came.head.lower()


@each_api
@each_kind
@each_encoding
def test_blocked_answer(line: Line, api: str, stream: bool, encoding: str) -> None:
    """The call is found behind the encoding and taken out; what leaves is plain and readable."""
    header, pack = ENCODINGS[encoding]
    name = f"block-{api}-{stream}-{encoding}"
    packed = pack(answer_body(api, stream=stream, tool="forbidden"))
    line.upstream.replies[name] = reply_of(packed, header, stream=stream, chunked=stream)
    answer, raw = line.send(name, api)
    assert answer.status_code == 200
    assert MARK.encode() not in raw
    assert "content-encoding" not in answer.headers
    assert b"Let me see." in raw or stream  # a stream may cut the text
    assert b"The call forbidden was refused and did not run" in raw
    assert line.verdicts(name) == [("forbidden", "block")]


@each_api
@pytest.mark.parametrize("tool", ["look_up", "forbidden"])
def test_stream_with_content_length(line: Line, api: str, tool: str) -> None:
    """An SSE answer that says its length: the length goes, since what leaves may have another."""
    name = f"length-{api}-{tool}"
    plain = answer_body(api, stream=True, tool=tool)
    line.upstream.replies[name] = reply_of(plain, None, stream=True, chunked=False)
    answer, raw = line.send(name, api)
    assert answer.status_code == 200
    assert "content-length" not in answer.headers
    assert (raw == plain) == (tool == "look_up")
    assert (b"refused and did not run" in raw) == (tool == "forbidden")


@each_api
@pytest.mark.parametrize("lost", ["a half", "the trailer"])
def test_truncated_json(line: Line, api: str, lost: str) -> None:
    """gzip cut short, even where all of the document is there already: 502, readable, no call."""
    name = f"cut-json-{api}-{lost[-4:]}"
    packed = gzip.compress(answer_body(api, stream=False))
    packed = packed[: len(packed) // 2] if lost == "a half" else packed[:-4]
    line.upstream.replies[name] = reply_of(packed, "gzip", stream=False, chunked=True)
    answer, raw = line.send(name, api)
    assert answer.status_code == 502
    assert READS in message_of(api, raw)
    assert MARK.encode() not in raw


@each_api
def test_truncated_stream(line: Line, api: str) -> None:
    """gzip cut short inside a call's arguments: the client reads an error and none of the call."""
    name = f"cut-sse-{api}"
    plain = answer_body(api, stream=True)
    packer = zlib.compressobj(wbits=31)
    begun = plain[: plain.index(b"order") + 5]
    packed = packer.compress(begun) + packer.flush(zlib.Z_SYNC_FLUSH)
    line.upstream.replies[name] = reply_of(packed, "gzip", stream=True, chunked=True)
    answer, raw = line.send(name, api)
    assert answer.status_code == 200  # it was said before the end was seen
    assert READS.encode() in raw
    assert b"order" not in raw
    assert b"look_up" not in raw


@each_api
@each_kind
@pytest.mark.parametrize("encoding", ["compress", "gzip, lzma", "made-up"])
def test_unknown_answer_encoding(line: Line, api: str, stream: bool, encoding: str) -> None:
    """An encoding nobody knows (said of a plain body) is not let through: 502 in the API's shape."""
    name = f"unknown-{api}-{stream}-{encoding.replace(', ', '-')}"
    plain = answer_body(api, stream=stream)
    line.upstream.replies[name] = reply_of(plain, encoding, stream=stream, chunked=True)
    answer, raw = line.send(name, api)
    assert answer.status_code == 502
    assert READS in message_of(api, raw)
    assert MARK.encode() not in raw
    assert line.verdicts(name) == []


@each_kind
@pytest.mark.parametrize("behind", ["deflate-zlib", "br", "zstd"])
def test_bytes_behind_the_end(line: Line, stream: bool, behind: str) -> None:
    """What one decoder ignores and another reads is refused: a plain call behind a compressed text."""
    header, pack = ENCODINGS[behind]
    name = f"behind-{stream}-{behind}"
    packed = pack(b": hello\n\n" if stream else b"{}") + answer_body("chat", stream=stream)
    line.upstream.replies[name] = reply_of(packed, header, stream=stream, chunked=True)
    answer, raw = line.send(name, "chat")
    assert answer.status_code == (200 if stream else 502)
    assert READS.encode() in raw
    assert MARK.encode() not in raw


@each_encoding
def test_compressed_request(line: Line, encoding: str) -> None:
    """A request's compressed body is judged (its result settles) and forwarded byte for byte."""
    header, pack = ENCODINGS[encoding]
    name = f"request-{encoding}"
    answered = answer_body("chat", stream=False, tool="refund_order")
    line.upstream.replies[name] = reply_of(answered, None, stream=False, chunked=False)
    assert line.send(name, "chat")[0].status_code == 200
    assert line.verdicts(name) == [("refund_order", "allow")]
    message = json.loads(answered)["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "ok"}
    body = request_body("chat", stream=False)
    body["messages"] += [message, result]
    packed = pack(json.dumps(body).encode())
    final = json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": []})
    line.upstream.replies[name] = reply_of(final.encode(), None, stream=False, chunked=False)
    answer, raw = line.send(name, "chat", packed, header)
    assert (answer.status_code, raw) == (200, final.encode())
    came = line.upstream.requests[name][-1]
    assert came.body == packed
    assert f"content-encoding: {header}" in came.head.lower()
    settled = [r for r in line.proxy.records("settlement") if r["session"].endswith(name)]
    assert [(r["state"], r["by"]) for r in settled] == [("committed", "result")]


@each_api
@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        pytest.param("compress", lambda body: body, id="unknown"),
        pytest.param("gzip", lambda body: gzip.compress(body)[:-4], id="cut-short"),
        pytest.param("gzip", lambda body: body, id="not-gzip"),
        pytest.param("br", lambda body: brotli.compress(body) + b"x", id="bytes-behind"),
    ],
)
def test_unreadable_request(
    line: Line, api: str, encoding: str, pack: Pack, request: pytest.FixtureRequest
) -> None:
    """A request nobody can read is 415 in the API's error shape, and never reaches the upstream."""
    name = "unreadable-" + request.node.callspec.id
    body = pack(json.dumps(request_body(api, stream=False)).encode())
    answer, raw = line.send(name, api, body, encoding)
    assert answer.status_code == 415
    assert READS in message_of(api, raw)
    assert name not in line.upstream.requests


def test_the_proxy_has_no_unexpected_error(line: Line) -> None:
    """None of all that was an exception nobody had thought of."""
    assert "unexpected error" not in line.proxy.stderr
    assert "Traceback" not in line.proxy.stderr


def message_of(api: str, raw: bytes) -> str:
    """Returns an error's message, from where the API's SDK looks for it."""
    document = json.loads(raw)
    assert (document.get("type") == "error") == (api == "anthropic")
    assert document["error"].get("type") or document["error"]["code"]
    return str(document["error"]["message"])
