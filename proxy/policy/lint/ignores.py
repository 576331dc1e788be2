"""Comments that silence a warning: `# checkrein: ignore[may-fail]` on its line, or alone on the line above.

What belongs here: finding the comments of a file, taking out what they are about, and reporting those that silence
nothing. A comment on the line where a block text begins (`when: >`) is about the whole text. Errors cannot be silenced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import yaml

from proxy.policy.codes import CODES, code_of
from proxy.policy.lint.place import as_warning
from proxy.policy.problems import Problem, did_you_mean
from proxy.policy.yamlnodes import Document

_COMMENT = re.compile(r"(?:^|(?<=\s))#\s*checkrein:\s*ignore\b(?:\[([^\]]*)\])?")
_CODE = re.compile(r"[^\s,]+")

_BESIDE = frozenset({"unproduced-kind", "impossible-step", "mapped-twice"})
"""Whether there is such a warning hangs on the files that are loaded beside: a comment may be for when they are not."""


@dataclass(slots=True)
class _Ignore:
    """One code in one comment."""

    code: str
    line: int
    col: int
    first: int  # the lines that it is about
    last: int
    used: bool = field(default=False)


def silenced(problems: Iterable[Problem], documents: Iterable[Document]) -> list[Problem]:
    """Returns the warnings that no comment silences, and those about comments that silence none."""
    kept: list[Problem] = list(problems)
    for document in documents:
        ignores = list(_ignores(document))
        if not ignores:
            continue
        here = [p for p in kept if p.file == document.name]
        quiet = [p for p in here if _is_silenced(p, ignores)]
        kept = [p for p in kept if not any(p is q for q in quiet)]
        kept += [
            _unused(document, one) for one in ignores if not one.used and one.code not in _BESIDE
        ]
    return kept


def _is_silenced(problem: Problem, ignores: Iterable[_Ignore]) -> bool:
    found = False
    for one in ignores:
        if one.code == code_of(problem) and one.first <= problem.line <= one.last:
            one.used = found = True
    return found


def _unused(document: Document, one: _Ignore) -> Problem:
    if not one.code:
        text = "say which warning to ignore: ignore[may-fail]"
    elif one.code not in CODES:
        text = f"there is no warning '{one.code}' to ignore{did_you_mean(one.code, CODES)}"
    else:
        text = f"nothing here is '{one.code}'; remove it from the comment"
    end = (one.line, one.col + max(1, len(one.code)))
    return as_warning(Problem(document.name, one.line, one.col, text, end=end), "unused-ignore")


def _ignores(document: Document) -> Iterator[_Ignore]:
    if not any("checkrein:" in line for line in document.lines):
        return
    scalars = [node for node in document.nodes.values() if isinstance(node, yaml.ScalarNode)]
    blocks = [node for node in scalars if node.style in ("|", ">")]
    for number, line in enumerate(document.lines, 1):
        for found in _COMMENT.finditer(line):
            if any(_is_inside(node, number, found.start() + 1) for node in scalars):
                continue  # it is text of a value
            first = last = number
            if not line[: found.start()].strip():
                first = last = _next_line(document, number)
            for node in blocks:
                if node.start_mark.line + 1 == first:
                    last = max(last, node.end_mark.line + 1)
            if found[1] is None:
                yield _Ignore("", number, found.start() + 1, first, last)
            for code in _CODE.finditer(found[1] or ""):
                yield _Ignore(code[0], number, found.start(1) + code.start() + 1, first, last)


def _next_line(document: Document, number: int) -> int:
    """Returns the next line that is more than a comment."""
    for at in range(number, len(document.lines)):
        stripped = document.lines[at].strip()
        if stripped and not stripped.startswith("#"):
            return at + 1
    return number


def _is_inside(node: yaml.ScalarNode, line: int, col: int) -> bool:
    """Whether a place is within the text of a value; the header of a block text is not."""
    start, end = node.start_mark, node.end_mark
    if node.style in ("|", ">"):
        return start.line + 1 < line <= end.line
    here = (line, col)
    return (start.line + 1, start.column + 1) <= here < (end.line + 1, end.column + 1)
