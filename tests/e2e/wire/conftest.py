"""What these tests share: a server that tells every request it can read from a connection's bytes.

It reads as a real HTTP/1 server does, one request after the other, so that bytes left over from one
are the next: what a smuggled request would be.
"""

from __future__ import annotations

import contextlib
import socketserver
import ssl
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tests.e2e.conftest import RULES, Proxy, free_port


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the upstream read it."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]  # lower-case names
    body: bytes


class _Handler(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        upstream = cast(_Server, self.server).upstream
        with contextlib.suppress(OSError, ssl.SSLError):
            if upstream.tls is not None:
                self.request = upstream.tls.wrap_socket(self.request, server_side=True)
                self.rfile = self.request.makefile("rb")
                self.wfile = socketserver._SocketWriter(self.request)  # type: ignore[attr-defined]
            while (seen := self._read()) is not None:
                upstream.seen.append(seen)
                self.wfile.write(upstream.answer)
        self.request.close()

    def _read(self) -> Seen | None:
        line = self.rfile.readline()
        if not line.strip():
            return None
        method, path, _ = line.decode("latin-1").split(" ", 2)
        headers = []
        while (field_line := self.rfile.readline().strip()) != b"":
            name, _, value = field_line.decode("latin-1").partition(":")
            headers.append((name.lower(), value.strip()))
        named = dict(headers)
        if "chunked" in named.get("transfer-encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(named.get("content-length", "0")))
        return Seen(method, path, tuple(headers), body)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, upstream: RawUpstream) -> None:
        self.upstream = upstream
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that went away is no news here."""


class RawUpstream:
    """A server that says exactly what it is told; a context manager."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.seen: list[Seen] = []
        self.answer = plain(b"{}")
        self._server = _Server(self)
        self.port = int(self._server.server_address[1])
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> RawUpstream:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def plain(body: bytes, status: int = 200, content_type: str = "application/json") -> bytes:
    """A whole answer with its length."""
    lines = (f"HTTP/1.1 {status} Said", f"content-type: {content_type}")
    head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""])
    return head.encode() + body


def make_proxy(folder: Path, *options: str, rules: str = RULES) -> Proxy:
    """Returns a checkrein that is not started yet."""
    (folder / "rules.yaml").write_text(rules)
    port = free_port()
    argv = [sys.executable, "-m", "proxy", "run", "--listen", f"127.0.0.1:{port}", "--no-inbox"]
    argv += ["--rules", str(folder / "rules.yaml"), "--state", str(folder / "state.sqlite")]
    argv += ["--log", str(folder / "log.jsonl"), "--admin", str(folder / "a.sock")]
    argv += ["--ca-dir", str(folder / "ca")]
    return Proxy(folder, [*argv, *options], port)


@contextlib.contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    """A proxy that ends with the block."""
    try:
        yield proxy.start()
    finally:
        if proxy.process is not None and proxy.process.poll() is None:
            proxy.stop()
