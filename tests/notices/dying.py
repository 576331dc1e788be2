"""A proxy's pipeline and sender in a process of its own, that dies when it has sent so many deliveries: `tests/notices/test_crash.py`.

python -m tests.notices.dying FOLDER WEBHOOK_URL NOW_MS HOLDS DIES_AFTER
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from proxy.notices.lanes import Desk
from proxy.notices.posting import Poster
from proxy.notices.recording import Recorder
from proxy.notices.sending import Sender
from proxy.notices.targets import Notices, Webhook
from tests.conftest import Bench


async def run(folder: Path, url: str, now_ms: int, holds: int, dies_after: int) -> None:
    bench = Bench(folder)
    bench.now_ms = now_ms
    hook = Webhook("siem", url, b"0123456789abcdef", frozenset({"held"}))
    notices = Notices((), None, (hook,))
    recorder = Recorder(notices, lambda: bench.now_ms)
    bench.pipeline.happenings = recorder
    poster = Poster()
    sent = 0

    async def post(*delivery: object) -> str | None:
        nonlocal sent
        fault = await poster.post(*delivery)  # type: ignore[arg-type]
        sent += 1
        if sent == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)  # it was taken, and is not marked yet
        return fault

    async def nobody(_url: str, _message: object) -> str | None:
        return None

    desk = Desk(
        bench.pipeline.in_transaction, notices, lambda: bench.now_ms, post, nobody, str(os.getpid())
    )
    sender = Sender(desk, recorder)
    for n in range(holds):
        arguments = json.dumps({"order": f"o{n}", "amount": 145})
        await bench.decide(bench.call(text=arguments, response=f"r{n}"))
    for lane in await sender.look():
        while await sender.turn(lane):
            pass
    await poster.close()
    bench.close()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])))
