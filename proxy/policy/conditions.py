"""Which calls a condition can be about at all, read off its text, so that a thousand gates cost as ten.

How it works. A condition that is a conjunction (`a && b && c`, nothing else outside parentheses) is false
as soon as one part is: CEL's `&&` gives false even where another part fails. A part such as
`effect.kind == "money.refund"`, `effect.kind in [...]`, `effect.kind.startsWith("money.")` or
`tool == "x"` thus names all there is to ask; every other condition is asked of every call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_TEXT = r"(?:\"([^\"\\]*)\"|'([^'\\]*)')"
_EQUALS = re.compile(rf"\s*(effect\.kind|tool)\s*==\s*{_TEXT}\s*", re.ASCII)
_STARTS = re.compile(rf"\s*(effect\.kind|tool)\s*\.\s*startsWith\s*\(\s*{_TEXT}\s*\)\s*", re.ASCII)
_IN = re.compile(r"\s*(effect\.kind|tool)\s+in\s+\[([^\[\]]*)\]\s*", re.ASCII)
_ITEM = re.compile(rf"\s*{_TEXT}\s*(?:,|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class About:
    """All values of one variable (or beginnings of them) for which a condition can be true."""

    variable: str  # "effect.kind" or "tool"
    values: frozenset[str] = frozenset()
    prefix: str | None = None


def about(text: str) -> About | None:
    """Returns what a condition is about; None where that cannot be told, so that it is always asked."""
    found = [made for part in _conjuncts(text) if (made := _read(part)) is not None]
    exact = [one for one in found if one.prefix is None]
    return min(exact, key=lambda one: len(one.values)) if exact else next(iter(found), None)


def _read(part: str) -> About | None:
    if match := _EQUALS.fullmatch(part):
        return About(match[1], frozenset({match[2] or match[3] or ""}))
    if match := _STARTS.fullmatch(part):
        return About(match[1], prefix=match[2] or match[3] or "")
    if match := _IN.fullmatch(part):
        values, at = set(), 0
        while at < len(match[2]):
            item = _ITEM.match(match[2], at)
            if item is None:
                return None
            values.add(item[1] or item[2] or "")
            at = item.end()
        return About(match[1], frozenset(values))
    return None


def _conjuncts(text: str) -> Sequence[str]:
    """Cuts at each `&&` that stands outside all brackets; nothing where there is more than those."""
    parts: list[str] = []
    depth, start, at = 0, 0, 0
    while at < len(text):
        char = text[at]
        if char in "\"'":
            if text[at - 1 : at].lower() in ("r", "b") or text.startswith(char * 3, at):
                return ()  # raw and long strings have rules of their own
            at = _quoted(text, at)
            continue
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif depth == 0 and char == "/" and text.startswith("//", at):
            return ()  # a comment
        elif depth == 0 and (char == "?" or text.startswith("||", at)):
            return ()
        elif depth == 0 and text.startswith("&&", at):
            parts.append(text[start:at])
            start = at = at + 2
            continue
        at += 1
    return [*parts, text[start:]]


def _quoted(text: str, at: int) -> int:
    """Returns where the quoted text ends that begins at `at`."""
    quote, at = text[at], at + 1
    while at < len(text) and text[at] != quote:
        at += 2 if text[at] == "\\" else 1
    return at + 1


class Index[T]:
    """Things with a condition each, found by the kinds and the tool of a call; in their own order."""

    def __init__(self, things: Iterable[tuple[str, T]]) -> None:
        self._always: list[tuple[int, T]] = []
        self._exact: dict[tuple[str, str], list[tuple[int, T]]] = {}
        self._prefixes: list[tuple[str, str, int, T]] = []
        self._found: dict[tuple[str, frozenset[str]], tuple[T, ...]] = {}
        for at, (text, thing) in enumerate(things):
            found = about(text)
            if found is None:
                self._always.append((at, thing))
            elif found.prefix is not None:
                self._prefixes.append((found.variable, found.prefix, at, thing))
            else:
                for value in found.values:
                    self._exact.setdefault((found.variable, value), []).append((at, thing))

    def of(self, tool: str, kinds: Iterable[str]) -> tuple[T, ...]:
        """Returns all whose condition can be true for one of these kinds."""
        name = (tool, frozenset(kinds))
        if name not in self._found:
            if len(self._found) >= _MOST_CACHED:
                self._found.clear()
            self._found[name] = tuple(thing for _, thing in sorted(self._fit(*name), key=_place))
        return self._found[name]

    def _fit(self, tool: str, kinds: frozenset[str]) -> Iterator[tuple[int, T]]:
        asked = [("tool", tool), *(("effect.kind", kind) for kind in kinds)]
        found = dict(self._always)
        for pair in asked:
            found.update(self._exact.get(pair, ()))
        for variable, prefix, at, thing in self._prefixes:
            if any(v == variable and value.startswith(prefix) for v, value in asked):
                found[at] = thing
        yield from found.items()


def _place[T](item: tuple[int, T]) -> int:
    return item[0]


_MOST_CACHED = 4096
"""Tool names are the agent's to choose, so the cache has an end."""
