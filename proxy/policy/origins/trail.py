"""Follows what is sent in pieces: a secret that leaves four letters a call.

What belongs here: the `Trail`, a small value that stands for what the last outbound calls of a
family sent, and `follow`, which adds a call and says what to look up.

How it works. A piece shorter than a dense window matches nothing by itself, but pieces put together
again do. An argument's letters and digits stand in runs; run number three of `url` in one call
follows run number three of `url` in the call before. So a trail keeps the last characters of every
such column and looks at them with the new piece attached; the arguments as a whole, less what they
share with those before, make one more column, so do the new short runs of all tools in one. What is
put together is decoded and looked up as any argument is: a secret is found once `DENSE` letters of
it have gone, an encoded one once its encoding shows as much.

A trail holds text, not prints: at most `TAIL_CHARS` a column, and only of short pieces. Where a
part of a secret is recognised, `after_match` keeps the last seven of it: the next piece is then
recognised at once, and the trail holds no part that would be recognised by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from proxy.model import Json
from proxy.policy.origins.folding import fold, squash
from proxy.policy.origins.prints import DENSE, Lookup, Printer

TAIL_CHARS = 64
MAX_COLUMNS = 96
_PIECE_CHARS = 24  # longer runs are looked up by themselves
_RUNS_A_STRING = 16
_RUN = re.compile(r"[A-Za-z0-9]+|[^\x00-\x7f]+")
_VARYING = 256  # characters of a value that are compared with the one before


@dataclass(frozen=True, slots=True)
class Trail:
    """What the last outbound calls sent in short pieces; oldest column first."""

    columns: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, text: str) -> Trail:
        """Reads what `write` wrote; an empty or damaged text is an empty trail."""
        try:
            return cls(msgspec.json.decode(text, type=tuple[tuple[str, str], ...]))
        except (msgspec.MsgspecError, UnicodeError):
            return cls()

    def write(self) -> str:
        return msgspec.json.encode(self.columns).decode()

    def follow(self, tool: str, arguments: Json, printer: Printer) -> tuple[Trail, Lookup]:
        """Adds a call.

        Args:
            tool: the tool's name: its arguments follow those of its earlier calls.
            arguments: as sent, or the part of them that leaves.
            printer: the family's.

        Returns:
            The trail after the call, and what to look up for what the pieces say together.
        """
        columns = dict(self.columns)
        tool = _storable(tool)
        together: list[str] = []
        every: list[str] = []
        for name, text in _strings(arguments):
            runs = [run for run in _RUN.findall(text)[:_RUNS_A_STRING] if len(run) <= _PIECE_CHARS]
            for index, run in enumerate(runs):
                key = f"{tool}\0{name}\0{index}"
                before = columns.pop(key, "")
                together.append(before + run)
                columns[key] = (before + run)[-TAIL_CHARS:]
                if run.isdecimal() and 2 <= len(run) <= 3:  # a character code, perhaps
                    key = f"#{key}"
                    codes = f"{columns.pop(key, '')} {run}".strip()
                    together.append(codes)
                    columns[key] = codes[-TAIL_CHARS:]
            if len(runs) == 1:
                every.extend(runs)
            key = f"={tool}\0{name}"
            last = columns.pop(key, "")
            columns[key] = text[:_VARYING]
            if last and (new := _new(last, text[:_VARYING])):
                key = f"~{tool}\0{name}"
                before = columns.pop(key, "")
                together.append(before + new)
                columns[key] = (before + new)[-TAIL_CHARS:]
        if every:
            before = columns.pop("*", "")
            new = "".join(every)
            together.append(before + new)
            columns["*"] = (before + new)[-TAIL_CHARS:]
        kept = tuple(columns.items())[-MAX_COLUMNS:]
        return Trail(kept), printer.of_value(_worth(together))

    def after_match(self) -> Trail:
        """Returns the trail with no more of each column than says nothing by itself."""
        return Trail(tuple((key, text[-(DENSE - 1) :]) for key, text in self.columns))


def _worth(together: list[str]) -> list[str]:
    """Leaves out what is too short to match."""
    return list(dict.fromkeys(text for text in together if len(squash(fold(text))) >= DENSE))


def _new(before: str, now: str) -> str:
    """Returns what is between the start and the end that two values share."""
    if before == now:
        return ""
    first = 0
    shorter = min(len(before), len(now))
    while first < shorter and before[first] == now[first]:
        first += 1
    last = 0
    while last < shorter - first and before[-1 - last] == now[-1 - last]:
        last += 1
    new = now[first : len(now) - last]
    return new if len(new) <= _PIECE_CHARS else ""


def _storable(text: str) -> str:
    """Half a surrogate pair can be in an argument, but not in what is written down."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _strings(value: Json) -> Iterator[tuple[str, str]]:
    stack: list[tuple[str, Json]] = [("", value)]
    for _ in range(512):
        if not stack:
            return
        path, item = stack.pop()
        if isinstance(item, str):
            yield _storable(path), _storable(item)
        elif isinstance(item, bool) or item is None:
            continue
        elif isinstance(item, float | Decimal) or (isinstance(item, int) and abs(item) < 10**64):
            yield _storable(path), str(item)
        elif isinstance(item, dict):
            stack.extend((f"{path}.{key}"[:80], child) for key, child in reversed(item.items()))
        elif isinstance(item, list | tuple):
            stack.extend((path, child) for child in reversed(item))
