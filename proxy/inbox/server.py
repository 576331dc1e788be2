"""The humans' servers: uvicorn in the proxy's own loop, on a unix socket that only we can open, and for the web on a port of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

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


class WebServer:
    """Serves the web inbox on a port of its own."""

    def __init__(self, address: tuple[str, int], tls: tuple[Path, Path] | None = None) -> None:
        """Takes the port; `app` is set before it is served.

        Raises:
            ConfigurationError: the address, or the certificate, cannot be had.
        """
        self.tls = tls
        if tls is not None:
            _try_certificate(*tls)
        self._socket = _bound(address)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._server: _InLoop | None = None

    async def serve(self, app: ASGIApp) -> None:
        """Serves until `stop`."""
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=512,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16_384,
            ssl_certfile=self.tls[0] if self.tls is not None else None,
            ssl_keyfile=self.tls[1] if self.tls is not None else None,
        )
        self._server = _InLoop(config)
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self.close()

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True

    def close(self) -> None:
        self._socket.close()


def _try_certificate(cert: Path, key: Path) -> None:
    """Finds a certificate that does not fit while the message can still say what to do; nobody is asked for a passphrase."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        reason = (
            getattr(error, "reason", None) or error.strerror
            if isinstance(error, OSError)
            else error
        )
        raise ConfigurationError(
            f"--inbox-tls {cert} {key}: {reason}; name a PEM certificate (with its chain), and its key without a passphrase"
        ) from error


def _bound(address: tuple[str, int]) -> socket.socket:
    try:
        family, kind, proto, _, where = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, proto)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where)
        made.listen(128)
    except OSError as error:
        raise ConfigurationError(
            f"--inbox {address[0]}:{address[1]}: {error.strerror or error}; choose another address"
        ) from error
    made.setblocking(False)
    return made


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
