"""The loop of `checkrein holds watch`: keys and news in, a screen out.

How it works. One thread waits for keys, signals and news at once (a selector), so that a key is read while the proxy is asked; the messenger
asks it. The screen is drawn after each of them, and once a second for the ages.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from proxy.cli.admin import plain
from proxy.cli.watch import keys
from proxy.cli.watch.events import Event, Quit, Refresh, Refused
from proxy.cli.watch.messenger import Messenger
from proxy.cli.watch.rendering import screen, text_of
from proxy.cli.watch.state import State, step
from proxy.errors import ConfigurationError

_DRAW_S = 1.0
_LAST_ANSWER_S = 10.0
_SHORTEST_S = 0.1


def watch(admin: Path | None, by: str | None, interval_s: float) -> None:
    """Shows what waits until a key quits.

    Raises:
        ConfigurationError: there is no terminal to draw on.
    """
    if interval_s < _SHORTEST_S:
        raise ConfigurationError(f"--interval must be at least {_SHORTEST_S:g}s")
    console = Console(highlight=False, markup=False, emoji=False)
    is_drawn = sys.stdout.isatty() and sys.stdin.isatty() and not console.is_dumb_terminal
    if not is_drawn:
        raise ConfigurationError(
            "`holds watch` draws on a terminal, and this is none; `checkrein holds list` prints "
            "what waits"
        )
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8
    with _waking() as (woken, wake):
        messenger = Messenger(admin, by, wake)
        messenger.start()
        try:
            with (
                keys.raw(sys.stdin.fileno(), _write),
                Live(
                    console=console, screen=True, auto_refresh=False, redirect_stderr=False
                ) as live,
            ):
                _Loop(
                    messenger, live, State(by=by or "the owner of the API token"), interval_s
                ).run(woken)
        except KeyboardInterrupt:
            return
        finally:
            _say_last(messenger)


class _Loop:
    """The screen's state, and when what is next."""

    def __init__(self, messenger: Messenger, live: Live, state: State, interval_s: float) -> None:
        self._messenger = messenger
        self._live = live
        self._state = state
        self._interval_s = interval_s
        self._reader = keys.KeyReader()
        self._look_at = 0.0
        self._read_at = 0.0
        self._is_over = False

    def run(self, woken: socket.socket) -> None:
        fd = sys.stdin.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while not self._is_over:
                now = time.monotonic()
                if now >= self._look_at and not self._messenger.looks:
                    self._look_at = now + self._interval_s
                    self._messenger.send(Refresh(self._state.shown))
                self._draw()
                ready = {key.fileobj for key, _ in selector.select(self._wait_s())}
                if woken in ready:
                    woken.recv(4096)
                # What was shown when a key was pressed comes before what is news.
                if fd in ready:
                    data, self._read_at = keys.read(fd), time.monotonic()
                    self._is_over = not data
                    self._take(self._reader.feed(data))
                elif self._is_quiet():  # news may have come between an ESC and its sequence
                    self._take(self._reader.rest())
                self._take(self._messenger.take())

    def _is_quiet(self) -> bool:
        return time.monotonic() - self._read_at >= keys.ESC_WAIT_S

    def _wait_s(self) -> float:
        if self._reader.is_waiting:
            return keys.ESC_WAIT_S
        if self._messenger.looks:
            return _DRAW_S
        return min(_DRAW_S, max(0.0, self._look_at - time.monotonic()))

    def _take(self, events: Sequence[Event]) -> None:
        for event in events:
            self._state, command = step(self._state, event, datetime.now().astimezone())
            if isinstance(command, Quit):
                self._is_over = True
                return
            if command is not None:
                self._messenger.send(command)

    def _draw(self) -> None:
        size = self._live.console.size
        drawn = screen(self._state, int(time.time() * 1000), size.width, size.height)
        if self._state.scroll > drawn.most_scroll:
            self._state = replace(self._state, scroll=drawn.most_scroll)
        self._live.update(text_of(drawn.lines), refresh=True)


@contextmanager
def _waking() -> Iterator[tuple[socket.socket, Callable[[], None]]]:
    """A socket that can be read when there is news, or when the window has another size."""
    woken, waker = socket.socketpair()
    with woken, waker:
        woken.setblocking(False)
        waker.setblocking(False)

        def wake() -> None:
            try:
                waker.send(b"n")
            except OSError:
                return  # it is full: somebody has been woken already; or the screen is left

        before = signal.signal(signal.SIGWINCH, lambda *_: wake())
        try:
            yield woken, wake
        finally:
            signal.signal(signal.SIGWINCH, before)


def _say_last(messenger: Messenger) -> None:
    """An answer that was on its way when the screen was left: it is waited for, and told if it failed."""
    for event in messenger.finish(_LAST_ANSWER_S):
        if isinstance(event, Refused):
            click.echo(f"checkrein: {plain(event.text)}", err=True)
    if messenger.answers:
        click.echo(
            "checkrein: an answer may not have arrived; see `checkrein holds list`", err=True
        )


def _write(text: str) -> None:
    os.write(sys.stdout.fileno(), text.encode())
