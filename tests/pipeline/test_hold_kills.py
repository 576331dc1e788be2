"""SIGKILL at every step of a hold, at three points of each: nothing is lost, nothing answered twice, nothing released without a durable yes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.errors import HoldError
from proxy.logtail import verify
from proxy.model import HoldState, Verdict
from tests.conftest import BENCH_RULES, Bench
from tests.pipeline.kills import BIG, GATE, POINTS, STEPS, TWO

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")

ENDS = {
    "consented": "pending",
    "approved": "approved",
    "approved-by-the-second": "approved",
    "granted": "approved",
    "denied": "denied",
    "denied-and-frozen": "denied",
    "taken-back": "denied",
    "used": "used",
    "expired": "expired",
    "lapsed": "expired",
    "abandoned": "abandoned",
    "superseded": "superseded",
    "frozen": "denied",
    "made": "pending",
}
CASES = [(name, point) for name in STEPS for point in POINTS]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    root = Path(__file__).resolve().parents[2]
    argv = [sys.executable, "-m", "tests.pipeline.kills", str(folder)]
    subprocess.run(argv, cwd=root, check=True, timeout=110, capture_output=True)
    return folder


@pytest.fixture
def after(killed: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Bench, str, str, str]]:
    """The proxy that is started on what the killed one left."""
    name, point = request.param
    folder = killed / f"{name}.{point}"
    assert (folder / "status").read_text() == "-9"
    assert not (folder / "told").exists()
    rules = GATE if "gate" in STEPS[name][0] else BENCH_RULES
    bench = Bench(folder, rules + (TWO if "two" in STEPS[name][0] else ""))
    yield bench, (folder / "hold").read_text(), name, point
    bench.close()


@pytest.mark.parametrize("after", CASES, indirect=True, ids=[f"{n}-{p}" for n, p in CASES])
async def test_killed(after: tuple[Bench, str, str, str]) -> None:
    bench, hold_id, name, point = after
    hold = await bench.pipeline.desk.get(hold_id)
    ahead = HoldState.APPROVED if STEPS[name][0].endswith("approved") else HoldState.PENDING
    # Either the step was taken as a whole or not at all: the commit decides, nothing else.
    was_taken = point == "after-the-commit"
    assert hold.state == (HoldState(ENDS[name]) if was_taken else ahead)
    holds = await bench.pipeline.desk.list()
    more = 1 if name in ("made", "superseded") and was_taken else 0
    assert len(holds) == 1 + more
    consents = 1 if name == "approved-by-the-second" or (name == "consented" and was_taken) else 0
    if hold.state is HoldState.PENDING:
        assert len(hold.consents) == consents
    assert verify([bench.settings.log]).ok
    # The call passes exactly once where a yes is durable and unused, and waits or is refused where not.
    passes = []
    for n in range(3):
        decision = await bench.decide(bench.call(text=BIG, response=f"later-{n}"))
        passes.append(decision.verdict is Verdict.ALLOW)
    is_granted = bool(await bench.pipeline.grants.list())
    if hold.state is HoldState.APPROVED and not is_granted:
        assert passes == [True, False, False]
    elif not is_granted:
        assert passes == [False, False, False]
    if hold.state not in (HoldState.PENDING, HoldState.APPROVED):
        with pytest.raises(HoldError, match="already"):
            await bench.pipeline.desk.approve(hold_id, "eve")
