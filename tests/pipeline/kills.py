"""Children that are killed in the middle of a hold's step: `python -m tests.pipeline.kills FOLDER` runs every case, each in a folder of its own.

How it works. One process imports everything and forks a child for each case, which has a real ledger file and a real log. The child goes as far as the
step, arms a kill, and takes the step: SIGKILL comes before anything is written, between the log and the ledger's commit, or behind the commit and ahead
of the answer. What the child was told by then it has written to a file; the rest is for the test to find out.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from proxy.ledger.connection import Connection
from proxy.model import Verdict
from proxy.pipeline.grant_desk import Asking
from proxy.policy.ruleset import RuleSet
from tests.conftest import BENCH_RULES, Bench

POINTS = ("before-the-log", "before-the-commit", "after-the-commit")
TWO = "\napprovals: [{name: money, for: refunds, approvals: 2}]\n"
GATE = BENCH_RULES.replace("gates:\n", 'gates:\n  - {name: big, when: tool == "refund"}\n')
BIG = '{"order": "o1", "amount": 145}'

type Step = Callable[[Bench, str], Awaitable[Any]]


async def make(bench: Bench, _hold: str) -> Any:
    return await bench.decide(bench.call(text=BIG.replace("o1", "o2"), response="r5"))


async def use(bench: Bench, _hold: str) -> Any:
    decision = await bench.decide(bench.call(text=BIG, response="r2"))
    assert decision.verdict is Verdict.ALLOW
    return "released"


async def supersede(bench: Bench, _hold: str) -> Any:
    return await bench.decide(bench.call(text=BIG, response="r2"))


async def expire(bench: Bench, _hold: str) -> Any:
    bench.now_ms += 3_600_000
    return await bench.pipeline.desk.expire_due()


STEPS: dict[str, tuple[str, Step]] = {
    # what is done ahead of it, and the step itself
    "made": ("", make),
    "consented": ("two", lambda b, h: b.pipeline.desk.approve(h, "ada")),
    "approved": ("", lambda b, h: b.pipeline.desk.approve(h, "ada")),
    "approved-by-the-second": ("two consented", lambda b, h: b.pipeline.desk.approve(h, "bob")),
    "granted": ("", lambda b, h: b.pipeline.grants.give(h, Asking(), "ada")),
    "denied": ("", lambda b, h: b.pipeline.desk.deny(h, "ada", "no")),
    "denied-and-frozen": ("", lambda b, h: b.pipeline.desk.deny(h, "ada", "no", freeze=True)),
    "taken-back": ("approved", lambda b, h: b.pipeline.desk.deny(h, "ada", "no")),
    "used": ("approved", use),
    "expired": ("", expire),
    "lapsed": ("approved", expire),
    "abandoned": ("", lambda b, h: b.pipeline.desk.abandon(h)),
    "superseded": ("gate", supersede),
    "frozen": ("", lambda b, _h: b.pipeline.signals.freeze_scope("fleet", "ada", None)),
}


async def case(folder: Path, ahead: str, step: Step, point: str) -> None:
    bench = Bench(folder, BENCH_RULES + (TWO if "two" in ahead else ""))
    decision = await bench.decide(bench.call(text=BIG))
    assert decision.hold is not None
    hold = decision.hold.id
    (folder / "hold").write_text(hold)
    if "consented" in ahead or "approved" in ahead:
        await bench.pipeline.desk.approve(hold, "ada")
    if "gate" in ahead:
        await bench.pipeline.change_rules(RuleSet.load_text("bench.yaml", GATE))
    arm(bench, point)
    await step(bench, hold)
    (folder / "told").write_text("told")  # only what is behind the answer gets here
    os.kill(os.getpid(), signal.SIGKILL)


def arm(bench: Bench, point: str) -> None:
    """From here on the process dies at a point of the next step that writes."""

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    append, commit = bench.log.append, Connection.commit
    logged = False

    def appended(records: Any) -> Any:
        nonlocal logged
        if point == "before-the-log":
            die()
        placed = append(records)
        if point == "before-the-commit":
            die()
        logged = True
        return placed

    def committed(self: Connection) -> None:
        commit(self)
        if logged:
            die()

    bench.writer._sink = appended
    Connection.commit = committed  # type: ignore[method-assign]


def main(folder: Path) -> None:
    for name, (ahead, step) in STEPS.items():
        for point in POINTS:
            own = folder / f"{name}.{point}"
            own.mkdir()
            pid = os.fork()
            if pid == 0:
                try:
                    asyncio.run(case(own, ahead, step, point))
                finally:
                    os._exit(7)
            _, status = os.waitpid(pid, 0)
            (own / "status").write_text(str(os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
