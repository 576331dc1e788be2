"""A client that costs next to nothing: keep-alive connections, a fixed request, answers only framed."""

from __future__ import annotations

import asyncio
import time


def chat_body(size: int, *, stream: bool = False) -> bytes:
    """Returns a chat request of about `size` bytes with a realistic shape."""
    import json

    messages: list[dict[str, object]] = [
        {"role": "system", "content": "You are a support agent. " * 20},
        {"role": "user", "content": "Please refund the broken lamp from order A-1001."},
    ]
    tools = [
        {
            "type": "function",
            "function": {
                "name": "bench_refund",
                "description": "Refunds an order.",
                "parameters": {
                    "type": "object",
                    "properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}},
                },
            },
        }
    ]
    while True:
        body = json.dumps(
            {"model": "bench", "messages": messages, "tools": tools, "stream": stream}
        ).encode()
        if len(body) >= size:
            return body
        messages.append({"role": "assistant", "content": "I am looking at the order now. " * 8})
        messages.append({"role": "user", "content": "Thank you, here is more of my story. " * 8})


def request(port: int, body: bytes, path: str = "/v1/chat/completions") -> bytes:
    """Returns the bytes of one request."""
    return (
        b"POST %b HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer sk-bench\r\nx-checkrein-session: bench\r\naccept: */*\r\n"
        b"content-length: %d\r\n\r\n%b" % (path.encode(), port, len(body), body)
    )


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.split(b"\r\n")[0].decode())
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at >= 0:
        return await reader.readexactly(int(lower[at + 15 :].split(b"\r\n", 1)[0]))
    out = b""
    while size := int(await reader.readline(), 16):
        out += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return out


async def load(
    port: int, data: bytes, *, connections: int, seconds: float
) -> tuple[float, list[float]]:
    """Keeps `connections` busy; returns requests per second and the latencies in ms."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while time.perf_counter() < end:
                before = time.perf_counter()
                answer = await _one(reader, writer, data)
                if b"tool_calls" not in answer:
                    raise RuntimeError("the call did not come through")
                latencies.append((time.perf_counter() - before) * 1000)
        finally:
            writer.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(work())
    return len(latencies) / (time.perf_counter() - began), sorted(latencies)


async def first_text_ms(port: int, data: bytes, count: int) -> list[float]:
    """Returns the times from request to first text, one stream after the other."""
    times = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        before = time.perf_counter()
        writer.write(data)
        seen = b""
        while b"word 0" not in seen:
            seen += await reader.read(65536)
        times.append((time.perf_counter() - before) * 1000)
        while b"[DONE]" not in seen:
            more = await reader.read(65536)
            if not more:
                raise RuntimeError("the stream ended early")
            seen = seen[-64:] + more
        writer.close()
    return times
