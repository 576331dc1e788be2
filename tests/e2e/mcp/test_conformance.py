"""The protocol's own conformance suite says the same of a server with and without checkrein before it.

https://github.com/modelcontextprotocol/conformance (read 2026-11), all its server scenarios, against
tests/e2e/node/server.mjs. Its client scenarios start servers of their own on free ports and judge what
arrives there; the client here is sent through checkrein as a forward proxy.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import StartProxy
from tests.e2e.mcp.node import (
    CONFORMANCE,
    FOLDER,
    NODE,
    conformance_server,
    everything_server,
    needs_node,
)

pytestmark = [pytest.mark.e2e, needs_node]

RULES = """
version: 1
pack: e2e
tools: [{name: "*", effects: []}]
unmapped: allow
"""
CLIENT_SCENARIOS = ("initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry")

type Verdicts = dict[str, list[tuple[str, str, str | None]]]


def verdicts(folder: Path) -> Verdicts:
    """Each scenario's checks: id, status, what went wrong."""
    made: Verdicts = {}
    for file in sorted(folder.glob("*/checks.json")):
        name = re.sub(r"-\d{4}-\d\d-\d\dT.*", "", file.parent.name)
        checks = json.loads(file.read_text())
        made[name] = [(c["id"], c["status"], c.get("errorMessage")) for c in checks]
    return made


def outcomes(verdicts: Verdicts) -> set[tuple[str, bool]]:
    """Each check and whether it passed: how often one is made, and times, differ from run to run."""
    made = [check for checks in verdicts.values() for check in checks]
    return {(id_, status in ("SUCCESS", "INFO")) for id_, status, _ in made if "timing" not in id_}


def run(*arguments: str, out: Path, environment: Mapping[str, str] | None = None) -> Verdicts:
    subprocess.run(
        [NODE, CONFORMANCE, *arguments, "--output-dir", out],
        capture_output=True,
        timeout=100,
        check=False,  # the checks say what failed
        cwd=FOLDER,
        env={**os.environ, **(environment or {})},
    )
    return verdicts(out)


def test_all_server_scenarios_end_as_they_do_without_a_proxy(
    start_proxy: StartProxy, tmp_path: Path
) -> None:
    """Scenario for scenario, check for check; and nearly all of them pass, so that it says something."""
    with conformance_server(tmp_path) as url:
        proxy = start_proxy("--upstream", url, rules=RULES)
        with ThreadPoolExecutor(2) as pool:
            options = ("server", "--suite", "all", "--url")
            plain = pool.submit(run, *options, url + "/mcp", out=tmp_path / "plain")
            through = pool.submit(run, *options, proxy.url + "/mcp", out=tmp_path / "through")
    assert through.result() == plain.result()
    assert len(plain.result()) >= 32
    failed = {
        name for name, checks in plain.result().items() if any(c[1] == "FAILURE" for c in checks)
    }
    assert not failed
    assert {record["side"] for record in proxy.records("decision")} == {"mcp"}


def test_the_everything_server_ends_as_it_does_without_a_proxy(
    start_proxy: StartProxy, tmp_path: Path
) -> None:
    """It lacks tools that the suite asks for, so some scenarios fail: the same, with and without."""
    with everything_server(tmp_path) as url:
        proxy = start_proxy("--upstream", url, rules=RULES)
        options = ("server", "--suite", "all", "--url")
        plain = run(*options, url + "/mcp", out=tmp_path / "plain")
        through = run(*options, proxy.url + "/mcp", out=tmp_path / "through")
    assert list(through) == list(plain)
    assert {name: outcomes({name: checks}) for name, checks in through.items()} == {
        name: outcomes({name: checks}) for name, checks in plain.items()
    }
    assert len(plain) >= 32
    assert sum(all(c[1] != "FAILURE" for c in checks) for checks in plain.values()) >= 10


@pytest.mark.parametrize("scenario", CLIENT_SCENARIOS)
def test_client_scenarios_end_as_they_do_without_a_proxy(
    start_proxy: StartProxy, tmp_path: Path, scenario: str
) -> None:
    """The suite's server sees through checkrein what it sees without it."""
    proxy = start_proxy(rules=RULES)
    command = f"{NODE} {FOLDER / 'conforming_client.mjs'}"
    options = ("client", "--scenario", scenario, "--command", command)
    through = {"HTTP_PROXY": proxy.credential(), "NODE_USE_ENV_PROXY": "1", "NO_PROXY": ""}
    plain = run(*options, out=tmp_path / "plain", environment={"HTTP_PROXY": ""})
    proxied = run(*options, out=tmp_path / "through", environment=through)
    assert outcomes(proxied) == outcomes(plain)
    assert (True,) in {checked[1:] for checked in outcomes(plain)}
    assert proxy.records("session")
