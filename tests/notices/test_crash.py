"""kill -9 between sending and marking: what was not marked is sent again under the same id, and nothing is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from proxy.notices.lanes import LEASE_MS
from tests.conftest import START_MS
from tests.notices.receiving import receiver

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, url: str, now_ms: int, *, holds: int, dies_after: int) -> int:
    words = [str(folder), url, str(now_ms), str(holds), str(dies_after)]
    argv = [sys.executable, "-m", "tests.notices.dying", *words]
    return subprocess.run(argv, cwd=ROOT, timeout=60, check=False).returncode


def test_nothing_is_lost_and_what_is_sent_again_has_the_same_id(tmp_path: Path) -> None:
    """Of five holds, the second one's delivery was taken when the process died; the other three were never tried."""
    with receiver() as there:
        died = run(tmp_path, there.url, START_MS, holds=5, dies_after=2)
        assert died == -signal.SIGKILL
        assert len(there.got) == 2
        later_ms = START_MS + LEASE_MS
        assert run(tmp_path, there.url, later_ms, holds=0, dies_after=0) == 0
    orders = [request.json["hold"]["call"]["args"]["order"] for request in there.got]
    assert orders == ["o0", "o1", "o1", "o2", "o3", "o4"]
    ids = [request.headers["x-checkrein-delivery"] for request in there.got]
    assert ids == [request.json["id"] for request in there.got]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 5
    assert there.got[1].body == there.got[2].body
