"""2,000 holds open at once, each with its client on the line: the inbox's page, the proxy beside them, memory a hold.

Every held stream is a call of a session of its own, so that each is a hold of its own. `page_p50_ms` is what a signed-in browser waits for the inbox (a hundred holds a page, and how many there are); `ratio_p50` is a plain request's latency
beside the held ones to the same without any; `kib_per_hold` is the proxy's memory a hold, its two connections and all. `answered_ms` is from a freeze of one session to the last byte at its client.
"""

from __future__ import annotations

import asyncio
import re
import resource
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx

from benchmarks.client import chat_body, load, request
from benchmarks.deciding import quantile
from benchmarks.held import _rss_kib
from benchmarks.proxies import Running, checkrein, mitmdump, upstream
from proxy.people.people import hashed

HOLDS = 2_000
_AT_ONCE = 50
_PAGES = 20


def measure(*, rounds: int, seconds: float) -> dict[str, float | int]:
    """Holds the streams, then looks at the inbox, asks beside them, and answers one."""
    del rounds
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with upstream() as model:
        with mitmdump(model.port) as bare:
            plain_request = request(bare.port, chat_body(20_000))
            _, plain = asyncio.run(load(bare.port, plain_request, connections=1, seconds=seconds))
        with tempfile.TemporaryDirectory() as folder:
            people = Path(folder) / "people.yaml"
            people.write_text(f'version: 1\npeople: [{{name: ada, password: "{hashed("pw")}"}}]\n')
            people.chmod(0o600)
            given = ("--hold-wait", "10m", "--keepalive", "5s", "--people", str(people))
            with checkrein(model.port, *given, inbox="127.0.0.1:0") as gated:
                made = asyncio.run(_measure(gated, seconds))
    return made | {"mitmdump_p50_ms": round(median(plain), 2)}


async def _measure(gated: Running, seconds: float) -> dict[str, float | int]:
    port, pid, folder = gated.port, gated.pid, gated.folder
    plain = request(port, chat_body(20_000))
    await load(port, plain, connections=4, seconds=1.0)
    _, before = await load(port, plain, connections=1, seconds=seconds)
    empty_kib = _rss_kib(pid)
    began_s = time.perf_counter()
    streams = await _hold(port)
    transport = httpx.AsyncHTTPTransport(uds=str(folder / "admin.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://x", timeout=60) as admin:
        # Another process fills it; its list has no more than a thousand.
        while len(await _held(admin)) < HOLDS // 2:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        filling_s = time.perf_counter() - began_s
        await asyncio.sleep(2)
        full_kib = _rss_kib(pid)
        _, during = await load(port, plain, connections=1, seconds=seconds)
        inbox = (await admin.get("/v1/status")).json()["inbox"]
        pages = await _pages(f"http://{inbox}")
        _, watched = await _watched(port, plain, f"http://{inbox}", seconds)
        held = await _held(admin)
        answered_ms = await _answered_ms(admin, streams, held[0])
    for _, writer in streams.values():
        writer.close()
    return {
        "holds": len(streams),
        "page_p50_ms": round(median(pages) * 1000, 1),
        "page_max_ms": round(max(pages) * 1000, 1),
        "kib_per_hold": round((full_kib - empty_kib) / HOLDS, 1),
        "ratio_p50": round(median(during) / median(before), 2),
        "p50_ms_before": round(median(before), 2),
        "p50_ms_during": round(median(during), 2),
        "p99_ms_during": round(quantile(during, 0.99), 2),
        "p99_ms_while_looked_at": round(quantile(watched, 0.99), 2),
        "answered_ms": round(answered_ms, 1),
        "held_per_s": round(HOLDS / filling_s),
    }


async def _held(admin: httpx.AsyncClient) -> list[dict[str, str]]:
    answer = await admin.get("/v1/holds", params={"state": "pending"})
    found: list[dict[str, str]] = answer.json()["holds"]
    return found


type Streams = dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]]


async def _hold(port: int) -> Streams:
    body, path = chat_body(2_000, stream=True), "/v1/chat/completions?chunks=2&gap_ms=1&hold=1"
    data = request(port, body, path)

    async def one(session: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        named = b"x-checkrein-session: " + session.encode()
        writer.write(data.replace(b"x-checkrein-session: bench", named))
        if not await reader.read(1):
            raise RuntimeError("a held stream ended")
        return reader, writer

    streams: Streams = {}
    for start in range(0, HOLDS, _AT_ONCE):
        names = [f"s-{n}" for n in range(start, start + _AT_ONCE)]
        streams |= dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))
    return streams


async def _signed_in(inbox: str) -> httpx.AsyncClient:
    client = httpx.AsyncClient(base_url=inbox, trust_env=False, timeout=60)
    form = re.search(r'name="form" value="([^"]+)"', (await client.get("/login")).text)
    assert form is not None
    answer = await client.post("/login", data={"name": "ada", "password": "pw", "form": form[1]})
    assert answer.status_code == 303, answer.status_code
    return client


async def _pages(inbox: str) -> list[float]:
    took: list[float] = []
    client = await _signed_in(inbox)
    try:
        for _ in range(_PAGES):
            began_s = time.perf_counter()
            page = await client.get("/")
            took.append(time.perf_counter() - began_s)
            assert f"{HOLDS} wait" in page.text
    finally:
        await client.aclose()
    return took


async def _watched(
    port: int, plain: bytes, inbox: str, seconds: float
) -> tuple[float, list[float]]:
    """Plain requests while somebody loads the inbox over and over."""
    client = await _signed_in(inbox)
    try:

        async def look() -> None:
            while True:
                await client.get("/")

        async with asyncio.TaskGroup() as group:
            looking = group.create_task(look())
            measured = await load(port, plain, connections=1, seconds=seconds)
            looking.cancel()
    finally:
        await client.aclose()
    return measured


async def _answered_ms(admin: httpx.AsyncClient, streams: Streams, hold: dict[str, str]) -> float:
    reader, _ = streams[hold["session"]]
    began_s = time.perf_counter()
    await admin.post(f"/v1/sessions/{hold['session']}/freeze", json={"by": "bench"})
    seen = b""
    while b"[DONE]" not in seen:
        seen += await reader.read(65536)
    return (time.perf_counter() - began_s) * 1000
