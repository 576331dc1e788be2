"""The wheel works away from the checkout: it brings its rule packs and its vocabularies.

It is built, and installed with the locked versions into an empty environment, by uv. That needs the
package index or uv's cache; where neither is to be had the test says so and is skipped, except under
CI=true, where it fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[1]
# How uv says that it could not reach the index.
NO_NETWORK = ("Failed to fetch", "error sending request", "dns error", "Network connectivity")

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("packaging")]


def _without(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"packaging: {what}; under CI=true this must not be missing")
    pytest.skip(f"packaging: {what}")


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    return found or _without("uv is not in the environment (it is in the dev group)")


def _run(*command: str | Path, cwd: Path) -> str:
    """Runs a command away from this checkout's environment; returns what it printed."""
    kept = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    kept["UV_PYTHON_DOWNLOADS"] = "never"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    if done.returncode and any(sign in done.stderr for sign in NO_NETWORK):
        _without(f"no package index and not in uv's cache ({command[0]} {command[1]})")
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an empty environment with the wheel in it."""
    uv, away = _uv(), tmp_path_factory.mktemp("away")
    # Named, because uv would download the interpreter that .python-version asks for.
    this = ("--python", sys.executable)
    _run(uv, "build", "--quiet", "--wheel", *this, "--out-dir", away / "dist", ROOT, cwd=away)
    (wheel,) = (away / "dist").glob("*.whl")
    locked = ("--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--no-annotate")
    constraints = _run(uv, "export", "--quiet", *this, *locked, "--project", ROOT, cwd=away)
    (away / "locked.txt").write_text(constraints)
    _run(uv, "venv", "--quiet", *this, away / "env", cwd=away)
    python = away / "env" / "bin" / "python"
    pinned = ("--constraint", away / "locked.txt")
    _run(uv, "pip", "install", "--quiet", "--python", python, *pinned, wheel, cwd=away)
    return python.parent


def _ask(installed: Path, code: str) -> str:
    return _run(installed / "python", "-I", "-c", code, cwd=installed).strip()


def test_the_command_runs(installed: Path) -> None:
    version = _ask(installed, "from importlib.metadata import version; print(version('checkrein'))")
    assert version in _run(installed / "checkrein", "--version", cwd=installed)


def test_it_is_not_the_checkout(installed: Path) -> None:
    where = _ask(installed, "import proxy; print(proxy.__file__)")
    assert Path(where).is_relative_to(installed.parent)


def test_every_rule_pack_is_in_it(installed: Path) -> None:
    code = (
        "from proxy.settings import packs_directory as d\n"
        "print(*sorted(p.name for p in d().glob('*.yaml')), sep='\\n')"
    )
    packs = sorted(pack.name for pack in (ROOT / "rules").glob("*.yaml"))
    assert packs, "rules/ has no packs"
    assert _ask(installed, code).split() == packs


@pytest.mark.parametrize(("model", "count"), [("gpt-4", 2), ("gpt-4o", 2)])
def test_vocabularies_are_in_it(installed: Path, model: str, count: int) -> None:
    code = f"from proxy.tokens import count_tokens; print(count_tokens('hello world', {model!r}))"
    assert _ask(installed, code) == str(count)


def test_the_vocabularies_licence_is_in_it(installed: Path) -> None:
    code = (
        "from importlib.resources import files\n"
        "print((files('proxy.tokens') / 'LICENSE.gpt-tokenizer').read_text())"
    )
    assert "Permission is hereby granted" in _ask(installed, code)


def test_the_demo_without_an_sdk_says_what_to_install(installed: Path) -> None:
    code = (
        "from proxy.cli.demo.agents import Places, agent_for\n"
        "try: agent_for('chat', Places('http://x', 'http://x'), print)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    said = _ask(installed, code)
    assert said.startswith("ConfigurationError")
    assert "pip install 'checkrein[demo]'" in said
