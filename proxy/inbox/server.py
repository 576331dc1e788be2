"""The admin API's server: uvicorn in the proxy's own loop, on a unix socket that only we can open."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from proxy.errors import ConfigurationError


class _InLoop(uvicorn.Server):
    """A server that leaves signals to the proxy."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class AdminServer:
    """Serves the admin application on a unix socket."""

    def __init__(self, app: Starlette, path: Path) -> None:
        self._path = path
        self._socket = _listen(path)
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
        self._server = _InLoop(config)

    async def serve(self) -> None:
        """Serves until `stop`."""
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self.close()

    def stop(self) -> None:
        self._server.should_exit = True

    def close(self) -> None:
        """Lets go of the socket, also of one that was never served."""
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()


def _listen(path: Path) -> socket.socket:
    """Returns a listening socket of mode 0600.

    Raises:
        ConfigurationError: another proxy answers on it, or the path cannot be used.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"admin socket {path}: {error.strerror or error}; choose another with --admin PATH"
        ) from error
    if path.exists():
        _remove_stale(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        made.bind(str(path))
    except OSError as error:
        made.close()
        raise ConfigurationError(
            f"admin socket {path}: {error.strerror or error}; choose another with --admin PATH"
        ) from error
    finally:
        os.umask(before)
    made.listen(64)
    made.setblocking(False)
    return made


def _remove_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise ConfigurationError(
        f"admin socket {path}: another checkrein answers there; stop it, or choose another path "
        "with --admin PATH"
    )
