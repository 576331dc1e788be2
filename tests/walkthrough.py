"""A page's commands, typed into one shell as a reader would type them, and what they print held against the page.

How it works. A ```console block has commands (`$ …`) and below each what it prints; `…` in a line stands for any text, a
line `…` for any lines. A ```python, ```json or ```yaml block that follows a line with a file's name in backticks at its end
(`billing.py`:) is that file. A ```diff block that names a file in its first line (`--- rules/desk.yaml`) is an edit: its
groups of `-` lines are found in the file, once each, and become the `+` lines; lines with a blank in front say where.
A command that ends with `&` goes on in the background; what it prints may come with later commands.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?P<before>[^\n]*)\n+```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
_FILE = re.compile(r"`([\w./-]+)`[^`]*$")
_PATIENCE_S = 45.0


@dataclass(frozen=True, slots=True)
class Typed:
    """One command and the lines that the page shows below it."""

    command: str
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A file that the page shows whole, or (`edited`) how it is changed."""

    path: Path
    text: str
    edited: bool = False


type Step = Typed | Written


def steps_of(page: str) -> Iterator[Step]:
    """Yields what a page has its reader do, in order."""
    for block in _BLOCK.finditer(page):
        kind, text = block["kind"], block["text"]
        if kind == "console":
            yield from _typed(text)
        elif kind == "diff":
            first, _, rest = text.partition("\n")
            yield Written(Path(first.removeprefix("--- ").strip()), rest, edited=True)
        elif kind in ("python", "yaml", "yml", "json"):
            named = _FILE.search(block["before"])
            if named is not None:
                yield Written(Path(named[1]), text)


def _typed(text: str) -> Iterator[Typed]:
    command: list[str] = []
    shown: list[str] = []
    open_command = False
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield Typed("\n".join(command), tuple(shown))
            command, shown = [line[2:]], []
        elif open_command:
            command.append(line)
        else:
            shown.append(line)
        open_command = line.endswith("\\") and (line.startswith("$ ") or open_command)
    if command:
        yield Typed("\n".join(command), tuple(shown))


def edit(text: str, change: str) -> str:
    """Applies a diff's groups of lines to a text.

    Raises:
        AssertionError: a group is not in the text, or more than once.
    """
    before: list[str] = []
    after: list[str] = []
    for line in [*change.splitlines(), "@@"]:
        if line.startswith("@@"):
            if before or after:
                old, new = "".join(before), "".join(after)
                assert text.count(old) == 1, f"{text.count(old)} times in the file:\n{old}"
                text = text.replace(old, new)
            before, after = [], []
            continue
        mark, rest = line[:1] or " ", line[1:] + "\n"
        if mark in " -":
            before.append(rest)
        if mark in " +":
            after.append(rest)
    return text


class Shell:
    """One bash in a folder; close it, or use it as a context manager: what it started ends with it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._count = 0

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        self._reader.join(10)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def type(self, typed: Typed) -> tuple[bool, list[str]]:
        """Types a command; returns whether it printed what the page shows, and what it printed."""
        assert self._process.stdin is not None
        self._count += 1
        mark = f"=== {self._count} ==="
        self._process.stdin.write(f"{typed.command}\necho '{mark}'\n")
        self._process.stdin.flush()
        printed: list[str] = []
        ended = False
        patience_s = _PATIENCE_S if typed.command.rstrip().endswith("&") else 1.0
        until_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until_s and not (ended and matches(typed.shown, printed)):
            try:
                line = self._lines.get(timeout=0.1)
            except queue.Empty:
                continue
            if line is None:
                break
            if line.endswith(mark):  # what was printed last may have no end of line
                ended, until_s = True, time.monotonic() + patience_s
                line = line.removesuffix(mark)
                if not line:
                    continue
            printed.append(line)
        return matches(typed.shown, printed), printed


def matches(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Whether lines are what a page shows."""
    pattern = "".join(
        "(?:.*\n)*?"
        if line.strip() == "…"
        else ".*".join(map(re.escape, line.rstrip().split("…"))) + "[ ]*\n"
        for line in shown
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None
