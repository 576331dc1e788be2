"""Under plain mitmdump the addon switches off what a full mitmproxy has and a gate must not."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import free_port

pytestmark = pytest.mark.e2e

_ADDON = Path(__file__).resolve().parents[3] / "scripts" / "addon.py"


@contextlib.contextmanager
def _mitmdump(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    (folder / "rules.yaml").write_text("version: 1\npack: foreign\nunmapped: allow\n")
    environment = {
        "CHECKREIN_RULES": str(folder / "rules.yaml"),
        "CHECKREIN_STATE": str(folder / "state.sqlite"),
        "CHECKREIN_LOG": str(folder / "log.jsonl"),
        "CHECKREIN_ADMIN": str(folder / "a.sock"),
    }
    argv = [str(Path(sys.executable).parent / "mitmdump"), "-s", str(_ADDON), "-p", str(port)]
    argv += ["--listen-host", "127.0.0.1", "--set", f"confdir={folder / 'ca'}", *options]
    with subprocess.Popen(
        argv,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()  # a test that failed leaves it running


def _connect(port: int, process: subprocess.Popen[str]) -> socket.socket:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up and process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), 10)
        except OSError:
            time.sleep(0.05)
    raise AssertionError("mitmdump took no connection")


def test_a_tunnel_carries_nothing_that_is_not_http(tmp_path: Path) -> None:
    """Bytes of another protocol in a CONNECT tunnel do not reach the server."""
    heard: list[bytes] = []

    def listen(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(4096):
                heard.append(data)

    port = free_port()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        _mitmdump(tmp_path, port, "--set", "connection_strategy=eager") as process,
    ):
        thread = threading.Thread(target=listen, args=(server,), daemon=True)
        thread.start()
        with _connect(port, process) as tunnel:
            where = f"127.0.0.1:{server.getsockname()[1]}"
            tunnel.sendall(f"CONNECT {where} HTTP/1.1\r\nhost: {where}\r\n\r\n".encode())
            assert b" 200 " in tunnel.recv(4096)
            tunnel.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
            tunnel.shutdown(socket.SHUT_WR)
            while tunnel.recv(4096):
                pass
        process.terminate()
        process.communicate(timeout=20)
        thread.join(10)
    assert not thread.is_alive()  # the server was reached: nothing said is nothing carried
    assert heard == []


def test_streaming_of_large_bodies_is_refused(tmp_path: Path) -> None:
    """With it a tool's request would leave before it is judged: mitmdump ends and says why."""
    with _mitmdump(tmp_path, free_port(), "--set", "stream_large_bodies=1k") as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "stream_large_bodies: a streamed request leaves before it is judged" in said
