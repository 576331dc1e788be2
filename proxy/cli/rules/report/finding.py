"""A problem with all that formats show of it: its code, how far its place goes, the line it stands in.

What belongs here: `Sources`, which reads a file once more for its lines, and finds the end of a place. A problem that
does not say where its place ends is held against the YAML nodes: one that starts there is meant whole; inside of a
text it is an expression, and the word, text or sign at that point is meant.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from proxy.cli.rules.report.hints import hint_of
from proxy.policy.codes import CODES, with_codes
from proxy.policy.problems import Problem
from proxy.policy.yamlnodes import Document, read_yaml

type Place = tuple[int, int]

_TOKEN = re.compile(
    r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"  # a name with its fields
    r"|\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?"
    r"|\d[\w.]*"
    r"|&&|\|\||[=!<>]=|[=!<>&|+*/%?:-]+"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem, ready to be shown; lines and columns count from one, `end_col` is behind the place."""

    id: str
    problem: Problem
    end_line: int
    end_col: int
    source: str | None  # the line that it stands in; None where there is none to show

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def title(self) -> str:
        return CODES[self.code].summary if self.code in CODES else self.code


class Sources:
    """The files that problems stand in."""

    def __init__(self, read: Callable[[Path], bytes] = Path.read_bytes) -> None:
        self._read = read
        self._documents: dict[str, Document | None] = {}
        self._starts: dict[str, dict[Place, yaml.Node]] = {}

    def findings(self, problems: Iterable[Problem]) -> list[Finding]:
        """Returns the problems in order, each with its code and its end."""
        seen: Counter[str] = Counter()
        made: list[Finding] = []
        for problem in with_codes(problems):
            source = self.line(problem.file, problem.line)
            end_line, end_col = problem.end or self._end(problem)
            name = _fingerprint(problem, source)
            seen[name] += 1
            if seen[name] > 1:
                name = f"{name}-{seen[name]}"
            shown = replace(problem, hint=hint_of(problem, source))
            made.append(Finding(name, shown, end_line, end_col, source))
        return made

    def line(self, file: str, number: int) -> str | None:
        document = self._document(file)
        if document is None or not 0 < number <= len(document.lines):
            return None
        return document.lines[number - 1]

    def _document(self, file: str) -> Document | None:
        if file not in self._documents:
            try:
                self._documents[file] = read_yaml(file, self._read(Path(file)).decode("utf-8"))
            except (OSError, UnicodeDecodeError, ValueError):
                self._documents[file] = None
        return self._documents[file]

    def _end(self, problem: Problem) -> Place:
        """Returns line and column behind a place; at least one character long, in one line where it may be."""
        here = (problem.line, problem.col)
        document = self._document(problem.file)
        if document is None:
            return problem.line, problem.col + 1
        if problem.file not in self._starts:
            self._starts[problem.file] = _starts(document)
        node = None if problem.code == "cel-name" else self._starts[problem.file].get(here)
        if node is not None:
            return _end_of(node, document, here)
        line = self.line(problem.file, problem.line) or ""
        inside = _around(document, here)
        found = _TOKEN.match(line, problem.col - 1) if inside is not None else None
        end = max(problem.col + 1, found.end() + 1 if found else 0)
        if inside is not None and (problem.line, end) > (last := _last(inside)) and last > here:
            return last
        return problem.line, end


def _starts(document: Document) -> dict[Place, yaml.Node]:
    """Returns the smallest value or key that starts at each place."""
    made: dict[Place, yaml.Node] = {}
    for node in (*document.keys.values(), *document.nodes.values()):
        place = (node.start_mark.line + 1, node.start_mark.column + 1)
        if place not in made or _last(node) < _last(made[place]):
            made[place] = node
    return made


def _around(document: Document, here: Place) -> yaml.Node | None:
    """Returns the text that a place stands in."""
    return next(
        (
            node
            for node in document.nodes.values()
            if isinstance(node, yaml.ScalarNode)
            and (node.start_mark.line + 1, node.start_mark.column + 1) <= here <= _last(node)
        ),
        None,
    )


def _last(node: yaml.Node) -> Place:
    return node.end_mark.line + 1, node.end_mark.column + 1


def _end_of(node: yaml.Node, document: Document, here: Place) -> Place:
    line, col = _last(node)
    if line == here[0]:
        return line, max(col, here[1] + 1)
    # What goes over several lines is marked to the end of its first.
    first = document.lines[here[0] - 1].rstrip() if here[0] <= len(document.lines) else ""
    return here[0], max(len(first) + 1, here[1] + 1)


def _fingerprint(problem: Problem, source: str | None) -> str:
    """Names a problem so that it keeps its name when lines are added above it."""
    parts = (problem.file, problem.code, problem.text, (source or "").strip())
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]
