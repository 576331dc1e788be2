"""What an operator does beside answering: verify the log, find it from anywhere, stop the proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


def _checkrein(*arguments: str, cwd: Path, admin: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proxy", *arguments, "--admin", str(admin)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_operators_day(start_proxy: Any, tmp_path: Path) -> None:
    """`log verify` finds the running proxy's log from anywhere, and misses a tail that was cut off;
    a stopped proxy leaves its state in one file."""
    proxy = start_proxy("--upstream", "http://127.0.0.1:9")
    status = proxy.ask("/v1/status")
    assert all(Path(status[name]).is_absolute() for name in ("log", "state", "ca"))

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    whole = _checkrein("log", "verify", "--json", cwd=elsewhere, admin=proxy.admin)
    assert (whole.returncode, json.loads(whole.stdout)["ok"]) == (0, True), whole.stderr

    os.truncate(proxy.log, 0)
    cut = _checkrein("log", "verify", "--json", cwd=elsewhere, admin=proxy.admin)
    assert cut.returncode == 1
    assert "the tail is missing" in json.loads(cut.stdout)["problems"][-1]["text"]
    assert len(json.loads(cut.stdout)["problems"]) == 1

    assert proxy.stop() == 0
    assert sorted(p.name for p in proxy.folder.glob("state.sqlite*")) == ["state.sqlite"]
