"""Proxies that start warm: one process imports checkrein once, and is forked for each proxy a test starts.

How it works. Importing takes most of a start, and the tests start a thousand proxies. `python -m tests.e2e.warm` imports what
`checkrein run` needs, then reads requests from its standard input, a JSON line each: `start` forks a child that becomes the
command (arguments, environment, standard error as asked), `poll` and `wait` tell how it ended. The child is a process of its own, to be
signalled and killed like any other; nothing ran before the fork but imports, and one thread alone. Tests that set the child's
environment, and those of the command line, start cold: a cold start is what is shipped.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO

_TICK_S = 0.02


class Warm:
    """The process that is forked; one for all tests of this worker."""

    _running: Warm | None = None

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        self._ask({"do": "ready"})

    @classmethod
    def running(cls) -> Warm:
        """Returns this worker's, started when it is first asked for."""
        if cls._running is None or cls._running._process.poll() is not None:
            cls._running = Warm()
        return cls._running

    def start(self, arguments: list[str], stderr: Path) -> WarmProcess:
        """Starts `checkrein ARGUMENTS`; what it says on standard error is appended to a file."""
        made = self._ask({"do": "start", "arguments": arguments, "stderr": str(stderr)})
        return WarmProcess(self, int(made["pid"]))

    def code(self, pid: int) -> int | None:
        found: int | None = self._ask({"do": "poll", "pid": pid})["code"]
        return found

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the warm process ended")
        made: dict[str, Any] = json.loads(answer)
        return made


class WarmProcess:
    """A forked child, as far as tests ask a `subprocess.Popen`."""

    def __init__(self, warm: Warm, pid: int) -> None:
        self._warm = warm
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._warm.code(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        give_up = time.monotonic() + (3600.0 if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > give_up:
                raise subprocess.TimeoutExpired("checkrein", timeout or 0)
            time.sleep(_TICK_S)
        return code

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


# --- the process that is forked -------------------------------------------------------------------------------
def _serve(requests: TextIO, answers: TextIO) -> None:
    ended: dict[int, int] = {}
    for line in requests:
        request = json.loads(line)
        made: dict[str, Any] = {}
        if request["do"] == "start":
            pid = os.fork()
            if pid == 0:
                _become(request)
            made = {"pid": pid}
        elif request["do"] == "poll":
            pid = request["pid"]
            if pid not in ended:
                found, status = os.waitpid(pid, os.WNOHANG)
                if found == pid:
                    ended[pid] = os.waitstatus_to_exitcode(status)
            made = {"code": ended.get(pid)}
        answers.write(json.dumps(made) + "\n")
        answers.flush()


def _become(request: dict[str, Any]) -> None:
    """Goes on as the command; never returns."""
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        errors = os.open(request["stderr"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for target, source in ((0, nothing), (1, nothing), (2, errors)):
            os.dup2(source, target)
        sys.argv = ["checkrein", *request["arguments"]]
        from proxy.cli import main

        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    finally:
        sys.stderr.flush()
        os._exit(code)


def _import_all() -> None:
    gc.disable()
    import proxy.cli.run
    import proxy.inbox.web.site
    import proxy.service  # noqa: F401

    gc.freeze()
    tasks = len(os.listdir("/proc/self/task")) if Path("/proc/self/task").is_dir() else 1
    if tasks != 1:
        raise RuntimeError(f"importing started {tasks - 1} threads: a fork would lose them")


if __name__ == "__main__":
    _import_all()
    _serve(sys.stdin, sys.stdout)
