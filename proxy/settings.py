"""Where things are and how the proxy is set: one frozen record, filled by the command line.

What belongs here: defaults, paths, the places rule packs are found. No file is read here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def packs_directory() -> Path:
    """Returns the folder of the rule packs that came with this installation."""
    installed = PACKAGE / "packs"
    return installed if installed.is_dir() else PACKAGE.parent / "rules"


def pack_folders() -> tuple[Path, ...]:
    """Returns where packs are looked for by name: CHECKREIN_PACKS, else the user's folder; then ours."""
    named = os.environ.get("CHECKREIN_PACKS")
    if named:
        own = [Path(folder) for folder in named.split(os.pathsep) if folder]
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        own = [Path(base) / "checkrein" / "rules"]
    return (*own, packs_directory())


def default_state_path() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "checkrein" / "state.sqlite"


def admin_socket_path(state: Path | None = None) -> Path:
    """Returns where the admin socket is: CHECKREIN_ADMIN, the runtime folder, else beside the state."""
    if named := os.environ.get("CHECKREIN_ADMIN"):
        return Path(named)
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "checkrein" / "admin.sock"
    return (state or default_state_path()).parent / "admin.sock"


@dataclass(frozen=True, slots=True)
class Settings:
    """How one proxy runs."""

    state: Path
    log: Path
    admin: Path
    rules: tuple[Path, ...] = ()
    watch_rules: bool = True  # an edited rule file comes into force by itself
    listen_host: str = "127.0.0.1"
    listen_port: int = 8080
    upstream: str | None = None  # a base URL: reverse mode
    shadow: bool = False
    hold_wait_s: float = 50.0  # how long a connection is kept waiting for a human
    hold_expiry_s: float = 3600.0  # how long a hold may be answered; past it, denied
    approval_expiry_s: float = 900.0  # how long an approval waits for the call to be made again
    abandon_after_s: float = 30.0  # how long a client that went away may take to come back
    settle_after_s: float = 900.0  # a reservation with no result is committed after this
    keepalive_s: float = 5.0
    websocket: str = "gate"  # "http": models' sockets are sent back to HTTP with 426
    ca_dir: Path = field(default_factory=lambda: Path.home() / ".mitmproxy")
    trust_ca: Path | None = None  # extra CA bundle for upstream TLS
    insecure_upstream: bool = False
    people: Path | None = None  # who answers holds, and is told of them
    inbox: tuple[str, int] | None = None  # where the web inbox listens
    inbox_tls: tuple[Path, Path] | None = None  # its certificate and key
    signals_token: str | None = field(  # what `POST /v1/signals` asks for, where it is set
        default_factory=lambda: os.environ.get("CHECKREIN_SIGNALS_TOKEN") or None, repr=False
    )
