"""A model API that costs next to nothing: fixed answers with fresh ids, straight on asyncio's protocol.

POST with `"stream": true` in the body gets an event stream (`?chunks=N&gap_ms=N`), else one JSON
answer of about 2 KB with one tool call. `?hold=1` streams a call that the rules hold.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from urllib.parse import parse_qs, urlsplit

_ids = itertools.count(1)
_ID = b"000000000000"


def _answer() -> bytes:
    return json.dumps(
        {
            "id": "chatcmpl-000000000000",
            "object": "chat.completion",
            "created": 1_760_000_000,
            "model": "bench",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "tool_calls",
                    "message": {
                        "role": "assistant",
                        "content": "I looked at the order. " * 60,
                        "tool_calls": [
                            {
                                "id": "call_000000000000",
                                "type": "function",
                                "function": {
                                    "name": "bench_refund",
                                    "arguments": '{"order_id":"A-1001","amount":45}',
                                },
                            }
                        ],
                    },
                }
            ],
            "usage": {"prompt_tokens": 5000, "completion_tokens": 300, "total_tokens": 5300},
        }
    ).encode()


ANSWER = _answer()


def _chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    body = {
        "id": "chatcmpl-000000000000",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": "bench",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _call(name: str) -> list[bytes]:
    function = {"name": name, "arguments": ""}
    arguments = {"arguments": '{"order_id":"A-1001","amount":45}'}
    return [
        _chunk(
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "call_000000000000",
                        "type": "function",
                        "function": function,
                    }
                ]
            }
        ),
        _chunk({"tool_calls": [{"index": 0, "function": arguments}]}),
        _chunk({}, "tool_calls"),
        b"data: [DONE]\n\n",
    ]


class Upstream(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            target = bytes(self._buffer[:end]).split(b" ", 2)[1].decode()
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            self._handle(target, body)

    def _handle(self, target: str, body: bytes) -> None:
        fresh = b"%012d" % next(_ids)
        if b'"stream": true' in body or b'"stream":true' in body:
            query = {k: v[0] for k, v in parse_qs(urlsplit(target).query).items()}
            task = asyncio.ensure_future(self._stream(query, fresh))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        answer = ANSWER.replace(_ID, fresh)
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(answer), answer)
        )

    async def _stream(self, query: dict[str, str], fresh: bytes) -> None:
        gap_s = float(query.get("gap_ms", "10")) / 1000
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for number in range(int(query.get("chunks", "100"))):
            self._transport.write(_framed(_chunk({"content": f"word {number} "})))
            await asyncio.sleep(gap_s)
        name = "bench_held" if "hold" in query else "bench_refund"
        for frame in _call(name):
            self._transport.write(_framed(frame.replace(_ID, fresh)))
        self._transport.write(b"0\r\n\r\n")


async def main(port: int) -> None:
    """Serves until killed."""
    server = await asyncio.get_running_loop().create_server(
        Upstream, "127.0.0.1", port, backlog=4096
    )
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
