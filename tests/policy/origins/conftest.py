"""A memory in a dict, and a short way to ask it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.model import Json, Origin, Source, Speaker
from proxy.policy.origins import Lookup, Printer, explain, origin_of


class Memory:
    """What a family has read; the store's contract, without a store."""

    def __init__(self) -> None:
        self.printer = Printer(b"a key of no importance")
        self._found: dict[int, list[Source]] = {}
        self._count = 0

    def read(self, text: str, source: Source, *, dense: bool = False) -> Source:
        self._count += 1
        source = replace(source, id=self._count)
        printed = self.printer.of_text(text, dense=dense, speaker=source.speaker)
        for print_ in printed.prints:
            self._found.setdefault(print_, []).append(source)
        return source

    def user(self, text: str) -> Source:
        return self.read(text, Source(Speaker.USER, trusted=True))

    def system(self, text: str) -> Source:
        return self.read(text, Source(Speaker.SYSTEM, trusted=True))

    def result(self, text: str, tool: str = "read_page", *, trusted: bool = False) -> Source:
        return self.read(text, Source(Speaker.RESULT, tool=tool, trusted=trusted))

    def secret(self, text: str, tool: str = "read_secret") -> Source:
        source = Source(Speaker.RESULT, tool=tool, labels=("secret.key",))
        return self.read(text, source, dense=True)

    def origin(self, value: Json) -> Origin:
        return self.answer(self.printer.of_value(value))

    def answer(self, lookup: Lookup) -> Origin:
        return origin_of(lookup, self._found)

    def explain(self, value: Json) -> tuple[tuple[str, Source], ...]:
        return explain(self.printer.of_value(value), self._found)


@pytest.fixture
def memory() -> Memory:
    return Memory()
