"""What the scripted model says, before any API's wire format: turns, calls, what it read.

A script answers a `History` with a `Turn`. The `speak_*` modules read a request into a history,
refusing what the real API refuses, and write a turn as the frames the real API sends.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from proxy.model import Json


@dataclass(frozen=True, slots=True)
class Ask:
    """One tool call the model asks for; `arguments` is JSON text, so that a test can send bad text."""

    name: str
    arguments: str
    id: str | None = None  # None: the model makes one up, as providers do


def ask(tool: str, **arguments: Json) -> Ask:
    """Returns a well-formed call."""
    return Ask(tool, json.dumps(arguments))


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: reasoning, then text, then calls."""

    text: str = ""
    calls: tuple[Ask, ...] = ()
    thinking: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What the model read: how often it spoke, every tool result, and those of the newest turn."""

    turns: int
    user: str
    results: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()  # results behind the last user text


type Script = Sequence[Turn] | Callable[[History], Turn]


def next_turn(script: Script, history: History) -> Turn:
    """Returns the script's answer; a list that is used up ends in "Done."."""
    if callable(script):
        return script(history)
    return script[history.turns] if history.turns < len(script) else Turn("Done.")


class Rejected(Exception):
    """A request the real API answers with an error; the text is the provider's own."""

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status


class Ids:
    """Makes ids as long and mixed as the providers'; the same seed makes the same ids."""

    _LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._made = 0

    def mixed(self, prefix: str, length: int) -> str:
        return prefix + "".join(self._LETTERS[b % 62] for b in self._bytes(length))

    def hex(self, prefix: str, length: int) -> str:
        return prefix + self._bytes(length).hex()[:length]

    def _bytes(self, length: int) -> bytes:
        self._made += 1
        return hashlib.shake_256(f"{self._seed}/{self._made}".encode()).digest(length)


def pieces(text: str) -> Iterator[str]:
    """Cuts a text about as tokens do: a word with its space, then punctuation."""
    for found in re.finditer(r'[ ]?[A-Za-z]{1,7}|\d{1,3}|\{"|":"?|","?|\s+|.', text, re.DOTALL):
        yield found.group()


def count(text: str) -> int:
    """Returns a plausible token count for `usage`."""
    return max(1, sum(1 for _ in pieces(text)))


def compact(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def rejects(condition: bool, message: str, **fields: Any) -> None:
    """Rejects the request with the provider's text where the condition holds."""
    if condition:
        raise Rejected(message, **fields)


@dataclass(slots=True)
class Answer:
    """One turn on its way out: the document a non-streaming client gets, and the same in frames."""

    document: dict[str, Json]
    frames: list[bytes] = field(default_factory=list)


class Speaker(Protocol):
    """One API: reads its requests strictly, writes its answers exactly."""

    name: str
    path: str

    def read(self, body: dict[str, Json]) -> History:
        """Reads a request.

        Raises:
            Rejected: the real API would answer 400.
        """

    def answer(self, turn: Turn, body: dict[str, Json]) -> Answer:
        """Writes a turn and remembers what the API would."""

    def error(self, rejected: Rejected) -> dict[str, Json]:
        """Returns the API's error body."""

    def headers(self) -> Mapping[str, str]: ...
