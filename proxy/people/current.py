"""The people file as it is now: read again when it has changed.

What belongs here: noticing a change by the file's stamp whenever somebody is asked for. A broken edit leaves the people who were there, and is
told once; who was taken out of the file is nobody from the next question on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from proxy.errors import CheckreinError
from proxy.people.people import People, load_people

type Told = Callable[[str], None]


class CurrentPeople:
    """One people file."""

    def __init__(self, path: Path, told: Told = lambda _text: None) -> None:
        """Reads the file; `told` is called with what is wrong with a later edit.

        Raises:
            ConfigurationError, RuleErrors: it cannot be used.
        """
        self._path = path
        self._told = told
        self._stamp = self._stamp_now()
        self._people = load_people(path)
        self._has_named = not self._people.names_nobody

    @property
    def people(self) -> People:
        """Everybody who may come to the desk now."""
        stamp = self._stamp_now()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._people = load_people(self._path)
            except CheckreinError as error:
                self._told(f"{error}; the people from before stay")
            self._has_named |= not self._people.names_nobody
        return self._people

    @property
    def asks_nobody(self) -> bool:
        """Whether the socket's mode alone says who answers: the file has never named anybody since the start.

        Taking out the last person leaves nobody who may answer, and not everybody.
        """
        return self.people.names_nobody and not self._has_named

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
