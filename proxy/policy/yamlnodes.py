"""YAML read as plain values that remember where they stood.

What belongs here: everything that is about YAML and not about rules. The C loader's node graph is
composed and turned into dicts, lists, text, int, `Decimal`, bool and None, with a mark for each
value and key. Scalars follow the YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema,
read 2026-11), so `no`, `on` and `yes` stay text. A key that stands twice is a mistake here: YAML
loaders silently keep the last one, and a budget lost that way protects nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import yaml

from proxy.model import Json
from proxy.policy.problems import Problem

if TYPE_CHECKING:
    from proxy.policy.named_values import Variable

type Path = tuple[str | int, ...]

MAX_NODES = 200_000
"""Values in one file, aliases expanded: more is a mistake or a bomb."""

_PLAIN = "checkrein:plain"
_TEXT = "checkrein:text"
_STR = "tag:yaml.org,2002:str"
_WORDS: dict[str, Json] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]{1,400}")
_BASED = re.compile(r"0o[0-7]{1,100}|0x[0-9a-fA-F]{1,100}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")


class _Loader(yaml.CSafeLoader):
    """Says of each scalar whether it stood plain or quoted, instead of guessing its type."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is not yaml.ScalarNode:
            return ""
        return _PLAIN if implicit[0] else _TEXT


@dataclass(slots=True)
class Document:
    """One file's value, and the node each part of it came from.

    A value that was put together from several files (`extending.py`) says in `moved` where its parts stood.
    """

    name: str
    lines: list[str]
    value: Json = None
    nodes: dict[Path, yaml.Node] = field(default_factory=dict)
    keys: dict[Path, yaml.Node] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    moved: dict[Path, tuple[Document, Path]] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)

    def place(self, path: Path) -> tuple[Document, Path]:
        """Returns the file that a value was written in, and its path there."""
        for length in range(len(path), -1, -1) if self.moved else ():
            found = self.moved.get(path[:length])
            if found is not None:
                document, start = found
                return document.place((*start, *path[length:]))
        return self, path

    def node(self, path: Path) -> yaml.Node | None:
        """Returns the node of a value; None where the files do not state it."""
        document, inside = self.place(path)
        return document.nodes.get(inside)

    def problem(self, path: Path, text: str, *, key: bool = False, offset: int = 0) -> Problem:
        """Returns a problem at a value (or its key), or `offset` characters into a text value.

        Where the path is not in the file (a missing key), the nearest parent is named.
        """
        document, inside = self.place(path)
        if document is not self:
            return document.problem(inside, text, key=key, offset=offset)
        marks = self.keys if key and path in self.keys else self.nodes
        while path not in marks and path:
            path, marks = path[:-1], self.nodes
        node = marks.get(path)
        if node is None:
            return Problem(self.name, 1, 1, text)
        line, col = (
            self._inside(node, offset) if offset else (node.start_mark.line, node.start_mark.column)
        )
        return Problem(self.name, line + 1, col + 1, text)

    def line(self, path: Path) -> int:
        """Returns the line a value starts at."""
        node = self.node(path)
        return node.start_mark.line + 1 if node is not None else 1

    def _inside(self, node: yaml.Node, offset: int) -> tuple[int, int]:
        """Finds where the character at `offset` of a scalar's value stands in the file.

        Value and source are walked side by side: both have the same characters in the same order,
        but for white space (folding, indentation), quotes and escapes.
        """
        line, col = node.start_mark.line, node.start_mark.column
        if not isinstance(node, yaml.ScalarNode):
            return line, col
        if node.style in ("|", ">"):
            line, col = line + 1, 0  # the header line is not part of the value
        elif node.style in ("'", '"'):
            col += 1
        value = node.value
        for at, char in enumerate(value + " "):
            if at >= offset and (at >= len(value) or not char.isspace()):
                break
            if char.isspace():
                if line < len(self.lines) and self.lines[line][col : col + 1] == char:
                    col += 1
                continue
            line, col = self._skip_space(line, col)
            col += self._width(line, col, node.style)
        else:
            return line, col
        if offset < len(value):
            line, col = self._skip_space(line, col)
        return line, col

    def _skip_space(self, line: int, col: int) -> tuple[int, int]:
        while line < len(self.lines):
            text = self.lines[line]
            while col < len(text) and text[col].isspace():
                col += 1
            if col < len(text):
                break
            line, col = line + 1, 0
        return line, col

    def _width(self, line: int, col: int, style: str | None) -> int:
        text = self.lines[line] if line < len(self.lines) else ""
        if style == "'" and text[col : col + 2] == "''":
            return 2
        if style == '"' and text[col : col + 1] == "\\":
            return {"x": 4, "u": 6, "U": 10}.get(text[col + 1 : col + 2], 2)
        return 1


def read_yaml(name: str, text: str) -> Document:
    """Reads one YAML document; mistakes are in `problems`, and the value is then partial."""
    document = Document(name, text.removeprefix("\ufeff").splitlines())
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
        if root is None:
            document.problems.append(Problem(name, 1, 1, "the file is empty"))
        else:
            document.value = _Builder(document).build(root, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, col = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = error.problem or error.context or "cannot be read"
        document.problems.append(Problem(name, line, col, f"not valid YAML: {what}"))
    except yaml.YAMLError as error:
        what = str(error).replace("\n", " ")
        document.problems.append(Problem(name, 1, 1, f"not valid YAML: {what}"))
    except RecursionError:
        document.problems.append(Problem(name, 1, 1, "nested too deeply"))
    return document


class _Builder:
    """Turns nodes into values; aliases are expanded, each place keeping its own path."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: set[int] = set()
        self._made = 0

    def build(self, node: yaml.Node, path: Path) -> Json:
        self._document.nodes[path] = node
        self._made += 1
        if self._made > MAX_NODES:
            raise yaml.MarkedYAMLError(
                problem=f"more than {MAX_NODES} values", problem_mark=node.start_mark
            )
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            raise yaml.MarkedYAMLError(
                problem="an alias inside its own anchor", problem_mark=node.start_mark
            )
        self._refuse_tag(node, path)
        self._open.add(id(node))
        made = self._children(node, path)
        self._open.discard(id(node))
        return made

    def _children(self, node: yaml.Node, path: Path) -> Json:
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        made: dict[str, Json] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._add(key_node, "a key must be text")
                continue
            key = str(key_node.value)
            if key in made:
                first = self._document.keys[(*path, key)].start_mark.line + 1
                self._add(key_node, f"duplicate key '{key}': it stands in line {first} already")
                continue
            self._document.keys[(*path, key)] = key_node
            made[key] = self.build(value_node, (*path, key))
        return made

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Json:
        text = str(node.value)
        if node.tag != _PLAIN:
            if node.tag not in (_TEXT, _STR):
                self._refuse_tag(node, path)
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            return int(text)
        if _BASED.fullmatch(text):
            return int(text, 0)
        return Decimal(text) if _FLOAT.fullmatch(text) else text

    def _refuse_tag(self, node: yaml.Node, path: Path) -> None:
        standard = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
        if node.tag and node.tag not in (*standard, _PLAIN, _TEXT, _STR):
            self._document.problems.append(
                self._document.problem(path, f"the tag '{node.tag}' is not supported; remove it")
            )

    def _add(self, node: yaml.Node, text: str) -> None:
        mark = node.start_mark
        self._document.problems.append(
            Problem(self._document.name, mark.line + 1, mark.column + 1, text)
        )
