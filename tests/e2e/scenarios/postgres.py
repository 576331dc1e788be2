"""A private PostgreSQL for the scenarios, and what a test does where there is none.

A cluster is made by `initdb` in a folder of its own and listens on a Unix socket there, on no TCP port:
it meets no other server of the machine and ends with the tests. The server refuses to run as root, so
that it is then run as `postgres`, or `nobody` where there is no such user.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scenarios.database import PostgresDatabase

_PROGRAMS = ("initdb", "postgres", "psql")
_PLACES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/pgsql-*/bin")


@cache
def programs() -> dict[str, Path] | None:
    """Returns where the server's programs are, None where one is missing."""
    folders = [p for place in _PLACES for p in Path("/").glob(place.lstrip("/"))]
    path = os.pathsep.join([*map(str, sorted(folders, reverse=True)), os.environ.get("PATH", "")])
    found = {name: shutil.which(name, path=path) for name in _PROGRAMS}
    return {n: Path(p) for n, p in found.items() if p} if all(found.values()) else None


needs_postgres = pytest.mark.skipif(
    programs() is None and os.environ.get("CI") != "true",
    reason="PostgreSQL (initdb, postgres, psql) is not installed; scripts/test installs it where it may",
)
"""Skipped by name where there is no PostgreSQL; under CI=true the test runs, and fails."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server."""

    folder: Path
    psql: Path

    def database(self, name: str) -> PostgresDatabase:
        """Makes a database and returns it."""
        at = ("--host", str(self.folder), "--username", "checkrein")
        PostgresDatabase(self.psql, (*at, "--dbname", "postgres")).run(f'CREATE DATABASE "{name}"')
        return PostgresDatabase(self.psql, (*at, "--dbname", name))


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Makes a cluster and runs it until the block ends."""
    found = programs()
    assert found is not None, "PostgreSQL is not installed, and CI=true asks for it"
    # Not under pytest's own folder: only its owner may go there, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="checkrein-pg-"))
    user = _unprivileged()
    who: dict[str, Any] = {}
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    folder.chmod(0o755)  # the socket is asked as another user
    data = folder / "data"
    try:
        how = ["--username", "checkrein", "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        made = subprocess.run(
            [str(found["initdb"]), "--pgdata", str(data), "--no-sync", *how],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **who,
        )
        assert made.returncode == 0, made.stderr
        settings = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off"}
        server = subprocess.Popen(
            [found["postgres"], "-D", data, *(f"--{key}={v}" for key, v in settings.items())],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            **who,
        )
        try:
            _wait(server, found["psql"], folder)
            yield Cluster(folder, found["psql"])
        finally:
            server.terminate()
            server.communicate(timeout=20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> pwd.struct_passwd | None:
    """Returns as whom the server runs, None for whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("PostgreSQL does not run as root, and there is no user 'nobody'")


def _wait(server: subprocess.Popen[bytes], psql: Path, folder: Path) -> None:
    database = PostgresDatabase(
        psql, ("--host", str(folder), "--username", "checkrein", "--dbname", "postgres")
    )
    give_up = time.monotonic() + 30
    while True:
        try:
            database.run("SELECT 1")
        except RuntimeError:
            if server.poll() is not None or time.monotonic() > give_up:
                server.kill()
                said = server.communicate()[1].decode()
                raise AssertionError(f"PostgreSQL did not start: {said}") from None
            time.sleep(0.1)
        else:
            return
