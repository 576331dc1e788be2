"""Rules edited under a running proxy: while calls come in, with mistakes, in every way in which files are put down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.policy.ruleset import RuleSet
from tests.e2e.conftest import Proxy, StartProxy

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ALLOW = """
version: 1
pack: live
tools:
  - http: {method: POST, host: localhost, path: "/refunds/{order}"}
    effects: [{kind: money.refund, amount: body.amount, unit: EUR, target: path.order}]
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 1000000, per: session}
gates: []
"""
BLOCK = ALLOW.replace(
    "gates: []", "gates: [{name: none, when: effect.kind == 'money.refund', verdict: block}]"
)
BROKEN = ALLOW.replace("limit: 1000000", "limmit: 1000000")

REQUESTS = 1000
PER_S = 200


class Billing:
    """A tool API that counts what reaches it."""

    def __init__(self) -> None:
        self.orders: list[str] = []
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    int(line.split(":")[1])
                    for line in head.lower().splitlines()
                    if line.startswith("content-length")
                )
                await reader.readexactly(length)
                self.orders.append(head.split()[1].rpartition("/")[2])
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Billing]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self


async def test_under_load_every_call_is_judged_once_by_one_set(start_proxy: StartProxy) -> None:
    proxy = start_proxy(rules=ALLOW)
    answers: dict[str, int] = {}
    edits = Counter[str]()
    async with Billing().running() as billing, _client(proxy) as client:

        async def pay(n: int) -> None:
            url = f"http://localhost:{billing.port}/refunds/o{n}"
            answers[f"o{n}"] = (await client.post(url, json={"amount": 1})).status_code

        editing = asyncio.ensure_future(_edit_for_ever(proxy.folder / "rules.yaml", edits))
        started_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for n in range(REQUESTS):
                await asyncio.sleep(max(0.0, started_s + n / PER_S - time.monotonic()))
                group.create_task(pay(n))
        editing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await editing
    assert len(answers) == REQUESTS
    allow, block = (RuleSet.load_text("r", text).digest[:16] for text in (ALLOW, BLOCK))
    verdicts = {allow: "allow", block: "block"}
    decided = {r["effects"][0]["target"]: r for r in proxy.records("decision")}
    assert len(proxy.records("decision")) == len(decided) == REQUESTS
    in_force = ""
    for record in proxy.records():
        if record["type"] == "rules":
            in_force = record["rules"]
        elif record["type"] == "decision":
            assert record["rules"] == in_force
            assert record["verdict"] == verdicts[record["rules"]]
    allowed = {order for order, record in decided.items() if record["verdict"] == "allow"}
    assert {order for order, status in answers.items() if status == 200} == allowed
    assert {order for order, status in answers.items() if status == 403} == set(decided) - allowed
    assert sorted(billing.orders) == sorted(allowed)
    assert 0 < len(allowed) < REQUESTS, "neither set was ever in force: nothing was shown"
    events = Counter(record["event"] for record in proxy.records("rules"))
    assert events["reloaded"] > 3
    assert events["rejected"] > 0
    total = proxy.ask("/v1/sessions/load")["budgets"]
    assert [float(budget["used"]) for budget in total] == [len(allowed)]
    assert proxy.stop() == 0
    verified = _run("log", "verify", str(proxy.log))
    assert verified.returncode == 0, verified.stdout


async def _edit_for_ever(path: Path, edits: Counter[str]) -> None:
    """Puts another set down every now and then: over the file, or in its place; now and then a broken one."""
    for n in range(10_000):
        name = ("block", "broken", "allow", "block", "allow", "broken")[n % 6]
        _put(path, {"allow": ALLOW, "block": BLOCK, "broken": BROKEN}[name], renamed=n % 2 == 0)
        edits[name] += 1
        await asyncio.sleep(0.45)


def _put(path: Path, text: str, *, renamed: bool) -> None:
    if not renamed:
        path.write_text(text)
        return
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def _client(proxy: Proxy) -> httpx.AsyncClient:
    headers = {"x-checkrein-session": "load"}
    limits = httpx.Limits(max_connections=32)
    return httpx.AsyncClient(
        proxy=proxy.url, headers=headers, limits=limits, timeout=60, trust_env=False
    )


def _run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proxy", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


# --- one edit ------------------------------------------------------------------------------------------
def _in_force(proxy: Proxy) -> dict[str, Any]:
    return proxy.ask("/v1/rules")


def _wait_for(proxy: Proxy, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        rules = _in_force(proxy)
        if what(rules):
            return rules
        time.sleep(0.05)
    raise AssertionError(f"{_in_force(proxy)}\n{proxy.stderr}")


def _digest(text: str) -> str:
    return RuleSet.load_text("r", text).digest[:16]


def _over(path: Path) -> None:
    path.write_text(BLOCK)


def _in_its_place(path: Path) -> None:
    _put(path, BLOCK, renamed=True)


def _removed_first(path: Path) -> None:
    path.unlink()
    time.sleep(0.3)
    path.write_text(BLOCK)


def _in_pieces(path: Path) -> None:
    with path.open("w") as file:
        for piece in (BLOCK[:60], BLOCK[60:200], BLOCK[200:]):
            file.write(piece)
            file.flush()
            time.sleep(0.03)


@pytest.mark.parametrize(
    "edit", [_over, _in_its_place, _removed_first, _in_pieces], ids=lambda edit: edit.__name__
)
def test_an_edit_comes_into_force_by_itself(
    edit: Callable[[Path], None], start_proxy: StartProxy
) -> None:
    proxy = start_proxy(rules=ALLOW)
    edit(proxy.folder / "rules.yaml")
    assert _wait_for(proxy, lambda r: r["rules"] == _digest(BLOCK))["rejected"] is None


def test_a_link_that_is_turned_to_a_new_folder_is_an_edit(
    start_proxy: StartProxy, tmp_path: Path
) -> None:
    """As Kubernetes brings a ConfigMap: rules.yaml -> ..data/rules.yaml, ..data -> ..2026_1."""
    mount = tmp_path / "mount"
    for name, text in (("..1", ALLOW), ("..2", BLOCK)):
        (mount / name).mkdir(parents=True)
        (mount / name / "live.yaml").write_text(text)
    (mount / "..data").symlink_to("..1")
    (mount / "live.yaml").symlink_to("..data/live.yaml")
    proxy = start_proxy("--rules", str(mount), rules="version: 1\n")
    before = _in_force(proxy)["rules"]
    (mount / "..tmp").symlink_to("..2")
    (mount / "..tmp").replace(mount / "..data")
    assert _wait_for(proxy, lambda r: r["rules"] != before)["rejected"] is None
    assert _gate_speaks(proxy)


def _gate_speaks(proxy: Proxy) -> bool:
    with httpx.Client(proxy=proxy.url, trust_env=False, timeout=20) as client:
        answer = client.post("http://localhost:9/refunds/o1", json={"amount": 1})
    return answer.status_code == 403


def test_a_new_file_in_the_folder_and_a_pack_below_are_edits(
    start_proxy: StartProxy, tmp_path: Path
) -> None:
    folder = tmp_path / "rules"
    below = tmp_path / "packs" / "base.yaml"
    folder.mkdir()
    below.parent.mkdir()
    below.write_text(ALLOW)
    (folder / "live.yaml").write_text(f"version: 1\npack: over\nextends: {below}\n")
    proxy = start_proxy("--rules", str(folder), rules="version: 1\npack: other\n")
    before = _in_force(proxy)
    assert str(below) in before["files"]
    below.write_text(BLOCK)
    after = _wait_for(proxy, lambda r: r["rules"] != before["rules"])
    assert _gate_speaks(proxy)
    (folder / "more.yaml").write_text("version: 1\nunmapped: block\n")
    _wait_for(proxy, lambda r: r["rules"] != after["rules"] and len(r["files"]) == 4)


def test_a_bad_edit_is_told_everywhere_once_and_changes_nothing(start_proxy: StartProxy) -> None:
    proxy = start_proxy(rules=ALLOW)
    (proxy.folder / "rules.yaml").write_text(BROKEN)
    rejected = _wait_for(proxy, lambda r: r["rejected"] is not None)
    where = f"{proxy.folder}/rules.yaml:8:49: "
    problem = f"{where}budget 'refunds': unknown key 'limmit'; did you mean 'limit'?"
    assert problem in rejected["rejected"]["problems"]
    assert rejected["rules"] == _digest(ALLOW)
    for _ in range(2):
        said = _run("rules", "reload", "--admin", str(proxy.admin))
        assert (said.returncode, problem in said.stdout) == (1, True)
    shown = _run("rules", "status", "--json", "--admin", str(proxy.admin))
    assert (shown.returncode, json.loads(shown.stdout)["rejected"]["problems"]) == (
        1,
        rejected["rejected"]["problems"],
    )
    assert proxy.stderr.count(problem) == 1
    (proxy.folder / "rules.yaml").write_text(ALLOW)
    _wait_for(proxy, lambda r: r["rejected"] is None)
    assert [r["event"] for r in proxy.records("rules")] == ["loaded", "rejected", "in-order"]
    assert proxy.records("rules")[1]["problems"] == rejected["rejected"]["problems"]
    assert "in order again" in proxy.stderr


def test_without_watching_a_signal_or_a_command_does_it(start_proxy: StartProxy) -> None:
    proxy = start_proxy("--no-watch", rules=ALLOW)
    path = proxy.folder / "rules.yaml"
    path.write_text(BLOCK)
    time.sleep(1.0)
    assert _in_force(proxy)["rules"] == _digest(ALLOW)
    said = _run("rules", "reload", "--admin", str(proxy.admin))
    assert (said.returncode, said.stdout.splitlines()[0]) == (0, "reloaded")
    assert _run("rules", "reload", "--admin", str(proxy.admin)).stdout.startswith("nothing has")
    path.write_text(ALLOW)
    assert proxy.process is not None
    os.kill(proxy.process.pid, signal.SIGHUP)
    _wait_for(proxy, lambda r: r["rules"] == _digest(ALLOW))


def test_killed_in_the_middle_it_starts_with_the_files_as_they_are(
    start_proxy: StartProxy, tmp_path: Path
) -> None:
    proxy = start_proxy(rules=ALLOW)
    (proxy.folder / "rules.yaml").write_text(BLOCK)
    time.sleep(0.15)
    proxy.kill()
    proxy.start()
    assert _in_force(proxy)["rules"] == _digest(BLOCK)
    assert proxy.stop() == 0
    assert _run("log", "verify", str(proxy.log)).returncode == 0


def test_rules_that_went_are_told_and_those_in_force_stay(start_proxy: StartProxy) -> None:
    proxy = start_proxy(rules=ALLOW)
    shutil.move(proxy.folder / "rules.yaml", proxy.folder / "away")
    rejected = _wait_for(proxy, lambda r: r["rejected"] is not None)
    assert "cannot be read: No such file" in rejected["rejected"]["problems"][0]
    assert rejected["rules"] == _digest(ALLOW)
