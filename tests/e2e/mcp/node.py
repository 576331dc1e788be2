"""Where the pinned Node and its packages are, and what a test does where they are not."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import free_port

FOLDER = Path(__file__).parents[1] / "node"
NODE = FOLDER / "node_modules" / ".bin" / "node"
CONFORMANCE = FOLDER / "node_modules" / ".bin" / "conformance"

needs_node = pytest.mark.skipif(
    not NODE.exists() and os.environ.get("CI") != "true",
    reason="tests/e2e/node is not installed: it needs npm, then scripts/test sets it up",
)
"""Skipped by name where there is no npm; under CI=true the test runs, and fails."""


@contextlib.contextmanager
def conformance_server(folder: Path) -> Iterator[str]:
    """Starts tests/e2e/node/server.mjs; gives its base URL."""
    port = free_port()
    with (folder / "server.txt").open("w") as stderr:
        process = subprocess.Popen(
            [NODE, FOLDER / "server.mjs"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "PORT": str(port)},
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"listening\n", (folder / "server.txt").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


@contextlib.contextmanager
def everything_server(folder: Path) -> Iterator[str]:
    """Starts the official everything server over streamable HTTP; gives its base URL."""
    port = free_port()
    said = folder / "everything.txt"
    program = FOLDER / "node_modules" / "@modelcontextprotocol" / "server-everything" / "dist"
    with said.open("w") as stderr:
        process = subprocess.Popen(
            [NODE, program / "index.js", "streamableHttp"],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, "PORT": str(port)},
        )
    try:
        for _ in range(600):
            if "listening" in said.read_text():
                break
            assert process.poll() is None, said.read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)
