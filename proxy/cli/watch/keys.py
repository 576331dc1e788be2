"""Keys from a terminal: its bytes as they are typed, and the terminal put back on every way out.

How it works. `KeyReader.feed` takes what was read, in any pieces, and returns whole keys; a lone ESC is one only when nothing follows,
so whoever reads calls `rest` once the terminal has been quiet for `ESC_WAIT_S`. ESC with a character in one piece is Alt and that
character, or a sequence that is not known: neither is a key, so that neither ends a question. Pasted text arrives as one
key, `paste`, in brackets that `raw` asks the terminal for: what is pasted is never read as answers.

`raw` takes the terminal out of line mode. What ends the process on purpose (SIGTERM, SIGHUP, SIGQUIT) becomes SystemExit there, so that
`finally` runs; SIGTSTP is ignored: a stopped screen would leave the shell a terminal without echo.
"""

from __future__ import annotations

import codecs
import os
import re
import signal
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from proxy.cli.watch.events import Key

ESC_WAIT_S = 0.05
_MOST_PASTED = 4096
_CONTROLS = {
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x0c": "ctrl-l",
    "\x15": "ctrl-u",
    "\x17": "ctrl-w",
}
_SEQUENCES = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "H": "home",
    "F": "end",
    "1~": "home",
    "7~": "home",
    "4~": "end",
    "8~": "end",
    "5~": "pageup",
    "6~": "pagedown",
}
_CSI = re.compile(r"\x1b(?:\[([0-?]*)[ -/]*([@-~])|O([ -~]))")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?")
_PASTE, _PASTED = "\x1b[200~", "\x1b[201~"


class KeyReader:
    """Turns bytes into keys."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._pasted: str | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether an ESC was read that may be a key or the beginning of a sequence.

        Of a sequence that has begun the rest is waited for, however slow the line is: its last character is no key.
        """
        return self._pasted is None and self._text == "\x1b"

    def feed(self, data: bytes) -> list[Key]:
        """Returns the keys that are whole with this piece."""
        self._text += self._decoder.decode(data)
        return list(self._read())

    def rest(self) -> list[Key]:
        """Returns what an ESC that nothing followed is; call it when the terminal is quiet."""
        if not self.is_waiting:
            return []
        self._text = ""
        return [Key("esc")]

    def _read(self) -> Iterator[Key]:
        while self._text:
            if self._pasted is not None:
                text = self._paste(self._pasted)
                if text is None:
                    return
                yield Key("paste", text)
                continue
            char = self._text[0]
            if char != "\x1b":
                self._text = self._text[1:]
                yield from _typed(char)
                continue
            if self._text.startswith(_PASTE):
                self._text = self._text[len(_PASTE) :]
                self._pasted = ""
                continue
            if _UNFINISHED.fullmatch(self._text):
                return
            found = _CSI.match(self._text)
            if found is None:
                # ESC ESC: the first is a key. ESC and a character: Alt, which is none.
                is_key = self._text[1] == "\x1b"
                self._text = self._text[1 if is_key else 2 :]
                if is_key:
                    yield Key("esc")
                continue
            self._text = self._text[found.end() :]
            yield from _sequence(found)

    def _paste(self, before: str) -> str | None:
        """Returns what was pasted, as one line, once its end has been read."""
        inside, end, behind = self._text.partition(_PASTED)
        if not end:  # the end may have been read in part
            parts = range(len(_PASTED) - 1, 0, -1)
            kept = next((n for n in parts if inside.endswith(_PASTED[:n])), 0)
            inside, behind = inside[: len(inside) - kept], inside[len(inside) - kept :]
        self._pasted = (before + inside)[:_MOST_PASTED]
        self._text = behind
        if not end:
            return None
        text, self._pasted = self._pasted, None
        return " ".join(re.sub(r"[\x00-\x1f\x7f]+", " ", text).split())


def _typed(char: str) -> Iterator[Key]:
    if char in _CONTROLS:
        yield Key(_CONTROLS[char])
    elif char.isprintable():
        yield Key(char, char)


def _sequence(found: re.Match[str]) -> Iterator[Key]:
    numbers, final, single = found.groups()
    if single is not None:
        name = _SEQUENCES.get(single)
    elif final == "~":
        name = _SEQUENCES.get(numbers + "~")
    else:
        name = _SEQUENCES.get(final) if not numbers else None
    if name is not None:
        yield Key(name)


@contextmanager
def raw(fd: int, write: Callable[[str], object]) -> Iterator[None]:
    """Takes a terminal out of line mode, and puts it back however it ends.

    Args:
        fd: the terminal that is read.
        write: writes to the screen, at once.
    """
    before = termios.tcgetattr(fd)
    handlers: dict[signal.Signals, Any] = {}
    try:
        for ending in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            handlers[ending] = signal.signal(ending, _end)
        handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        tty.setcbreak(fd, termios.TCSANOW)
        mode = termios.tcgetattr(fd)
        mode[0] &= ~termios.IXON  # ctrl-S would stop the screen, and its end with it
        termios.tcsetattr(fd, termios.TCSANOW, mode)
        write("\x1b[?2004h")
        yield
    finally:
        handlers[signal.SIGINT] = signal.getsignal(signal.SIGINT)
        for signum in handlers:  # a second one must not come between
            signal.signal(signum, signal.SIG_IGN)
        with suppress(OSError):  # where the terminal is gone
            write("\x1b[?2004l")
        with suppress(OSError, termios.error):
            # Without waiting for the screen, which may stand still; keys on their way are not for the shell.
            termios.tcsetattr(fd, termios.TCSANOW, before)
            termios.tcflush(fd, termios.TCIFLUSH)
        for signum, handler in handlers.items():
            signal.signal(signum, handler)


def read(fd: int) -> bytes:
    """Returns what was typed, b"" where the terminal is gone."""
    try:
        return os.read(fd, 1024)
    except OSError:
        return b""


def _end(signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)
