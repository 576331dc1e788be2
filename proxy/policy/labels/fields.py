"""Reads the fields of a result with their places in the text: JSON, and dumps in YAML.

What belongs here: from text to leaves (path, place, value), and globs over paths. A list is no
step of a path: `items.email` is the e-mail of every item. `*` is one step or part of one, `**` any
number; upper and lower case are one. A text that is neither, or too large, has no fields (None), and
whoever asks takes the stricter outcome.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import re2
import yaml

MAX_LEAVES = 20_000
MAX_JSON_CHARS = 1_048_576
MAX_YAML_CHARS = 131_072
_MAX_DEPTH = 64
_STEP = "\0"

_TOKEN = re.compile(
    r'[ \t\r\n]*(?:("(?:[^"\\]|\\.)*+")|(-?[0-9][0-9.eE+-]*|true|false|null)|([{}\[\],:]))',
    re.DOTALL,
)
# The C composer recurses without a bound: what can nest deep in few characters is not given to it.
_DEEP_YAML = re.compile(r"(?:[-?:][ \t]+){16}|^ {160}", re.MULTILINE)
_MAX_BRACKETS = 400  # the walk recurses too


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that holds no others: its place, its text, its path.

    `objects[i]` is the object in which `path[i]` is a key; each has a number of its own.
    """

    path: tuple[str, ...]
    objects: tuple[int, ...]
    start: int
    end: int
    value: str


class Glob:
    """A dotted glob over paths."""

    __slots__ = ("_exact", "_known", "_under")

    def __init__(self, pattern: str) -> None:
        parts = [
            f"(?:[^{_STEP}]*{_STEP})*"
            if step == "**"
            else f"[^{_STEP}]*".join(re2.escape(p) for p in step.casefold().split("*")) + _STEP
            for step in pattern.split(".")
        ]
        self._exact = re2.compile("".join(parts))
        self._under = re2.compile("".join(parts) + f"(?:[^{_STEP}]*{_STEP})*")
        self._known: dict[tuple[str, ...], bool] = {}

    def is_at(self, path: tuple[str, ...]) -> bool:
        """Tells whether a path is meant itself."""
        return self._exact.fullmatch(_written(path)) is not None

    def covers(self, path: tuple[str, ...]) -> bool:
        """Tells whether a path, or what it stands in, is meant."""
        known = self._known.get(path)
        if known is None:
            if len(self._known) > 1000:
                self._known.clear()
            known = self._known[path] = self._under.fullmatch(_written(path)) is not None
        return known


def _written(path: tuple[str, ...]) -> str:
    steps = "".join(step.replace(_STEP, " ").casefold() + _STEP for step in path)
    return steps.encode("utf-8", "replace").decode()


def leaves(text: str) -> tuple[Leaf, ...] | None:
    """Returns the leaves of a text that is JSON or YAML with fields; None where it is not."""
    made = _json(text) if text[:64].lstrip()[:1] in ("{", "[") else None
    return made if made is not None else _yaml(text)


def _json(text: str) -> tuple[Leaf, ...] | None:
    if len(text) > MAX_JSON_CHARS:
        return None
    try:
        msgspec.json.decode(text.encode("utf-8"))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    made: list[Leaf] = []
    for leaf in _scanned(text):
        made.append(leaf)
        if len(made) > MAX_LEAVES or len(leaf.objects) > _MAX_DEPTH:
            return None
    return tuple(made)


def _scanned(text: str) -> Iterator[Leaf]:
    """Yields the leaves of a text that is known to be JSON."""
    objects: list[int] = []
    keys: list[str] = []
    open_objects: list[bool] = []  # for each bracket: an object?
    numbers = itertools.count(1)
    is_key = False
    at = 0
    while (found := _TOKEN.match(text, at)) is not None:
        at = found.end()
        string, scalar, mark = found.groups()
        if mark == "{":
            objects.append(next(numbers))
            keys.append("")
            open_objects.append(True)
            is_key = True
        elif mark == "[":
            open_objects.append(False)
            is_key = False
        elif mark in ("}", "]"):
            if open_objects.pop():
                objects.pop()
                keys.pop()
            is_key = False
        elif mark == ",":
            is_key = open_objects[-1]
        elif mark == ":":
            is_key = False
        elif is_key:
            keys[-1] = _text(string)
        else:
            start = found.start(1) + 1 if string is not None else found.start(2)
            end = at - 1 if string is not None else at
            value = _text(string) if string is not None else scalar
            yield Leaf(tuple(keys), tuple(objects), start, end, value)


def _text(string: str) -> str:
    try:
        return msgspec.json.decode(string.encode("utf-8", "surrogatepass"), type=str)
    except (msgspec.MsgspecError, UnicodeError):
        return string[1:-1]


def _yaml(text: str) -> tuple[Leaf, ...] | None:
    if len(text) > MAX_YAML_CHARS or ":" not in text or _DEEP_YAML.search(text):
        return None
    if text.count("[") + text.count("{") > _MAX_BRACKETS:
        return None
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeError, RecursionError, ValueError):
        return None
    if not isinstance(node, yaml.MappingNode | yaml.SequenceNode):
        return None
    made: list[Leaf] = []
    return tuple(made) if _walked(node, (), (), made, set()) and made else None


def _walked(
    node: yaml.Node,
    path: tuple[str, ...],
    objects: tuple[int, ...],
    made: list[Leaf],
    seen: set[int],
) -> bool:
    """Collects a node's leaves; False where there are too many, too deep, or twice in one place."""
    if id(node) in seen or len(seen) > MAX_LEAVES or len(path) > _MAX_DEPTH:
        return False  # an alias stands where its value does not
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        place = node.start_mark.index, node.end_mark.index
        made.append(Leaf(path, objects, *place, str(node.value)))
        return True
    if isinstance(node, yaml.SequenceNode):
        return all(_walked(item, path, objects, made, seen) for item in node.value)
    if isinstance(node, yaml.MappingNode):
        inner = (*objects, len(seen))  # grows with every node: a number of its own
        return all(
            _walked(value, (*path, _key(key)), inner, made, seen) for key, value in node.value
        )
    return False


def _key(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""
