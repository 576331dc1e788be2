"""The credential of the run this process is part of, if `checkrein exec` started it.

It travels in the proxy variables (`proxy/cli/exec.py`). MCP clients pass few variables on to their
servers (both SDKs: HOME, PATH, SHELL, TERM, USER, LOGNAME), so on Linux the variables of the programs
above are looked at too; elsewhere the client's configuration has to pass `HTTPS_PROXY` on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

_PROXY = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_GENERATIONS = 6


def credential_of_run(proc: Path = Path("/proc")) -> str | None:
    """Returns the token, None outside of a run."""
    for environment in (os.environ, *_ancestors(proc)):
        if (token := token_in(environment)) is not None:
            return token
    return None


def token_in(environment: Mapping[str, str]) -> str | None:
    """Returns the token in proxy variables as `checkrein exec` sets them."""
    for name in _PROXY:
        try:
            parts = urlsplit(environment.get(name, ""))
        except ValueError:
            continue
        if parts.username == "checkrein" and parts.password:
            return unquote(parts.password)
    return None


def _ancestors(proc: Path) -> Iterator[dict[str, str]]:
    pid = os.getppid()
    for _ in range(_GENERATIONS):
        if pid <= 1:
            return
        try:
            raw = (proc / str(pid) / "environ").read_bytes()
            stat = (proc / str(pid) / "stat").read_text()
        except OSError:  # no /proc, or another user's process
            return
        pairs = (item.partition(b"=") for item in raw.split(b"\0"))
        yield {os.fsdecode(k): os.fsdecode(v) for k, _, v in pairs}
        pid = int(stat.rpartition(")")[2].split()[1])
