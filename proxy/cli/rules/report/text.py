"""Problems for people: one line each, and in the long form the place in the file with a caret under it.

What belongs here: the two text forms and how a line of a file is fitted into a terminal. Tabs become spaces, wide
characters take two columns, what is not printable is shown escaped, a long line is cut around the place.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import click

from proxy.cli.admin import plain
from proxy.cli.rules.report.finding import Finding
from proxy.policy.problems import Severity

WIDTH = 100
"""Columns of a file's line that are shown."""

_TAB = "    "
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


def concise_lines(findings: Iterable[Finding], *, colour: bool = False) -> Iterator[str]:
    """Yields a line for each problem: `file:line:col: error[code]: text`."""
    for finding in findings:
        yield _headline(finding, colour)


def text_lines(findings: Iterable[Finding], *, colour: bool = False) -> Iterator[str]:
    """Yields the same lines, each followed by its place and what else is to be said; apart by empty lines."""
    for i, finding in enumerate(findings):
        if i:
            yield ""
        yield _headline(finding, colour)
        yield from _frame(finding, colour)


def _headline(finding: Finding, colour: bool) -> str:
    problem = finding.problem
    where = plain(f"{problem.file}:{problem.line}:{problem.col}")
    kind = f"{problem.severity}[{finding.code}]"
    if colour:
        where = click.style(where, bold=True)
        kind = click.style(kind, fg=_COLOURS[problem.severity], bold=True)
    return f"{where}: {kind}: {plain(problem.text)}"


def _frame(finding: Finding, colour: bool) -> Iterator[str]:
    problem = finding.problem
    number = str(problem.line)
    margin = " " * len(number)
    if finding.source is not None:
        end = finding.end_col if finding.end_line == problem.line else len(finding.source) + 1
        shown, carets = fit(finding.source, problem.col - 1, end - 1)
        if colour:
            carets = click.style(carets, fg=_COLOURS[problem.severity], bold=True)
        yield f"{margin} |"
        yield f"{number} | {shown}".rstrip()
        yield f"{margin} | {carets}"
    for other in problem.related:
        yield f"{margin} = {plain(f'{other.file}:{other.line}:{other.col}: {other.text}')}"
    if problem.hint:
        yield f"{margin} = help: {plain(problem.hint)}"


def fit(line: str, start: int, end: int, width: int = WIDTH) -> tuple[str, str]:
    """Returns a line as it is shown, at most `width` columns of it, and the carets for its part [start, end)."""
    cells = [_cell(char) for char in line]
    start = min(start, len(cells))
    end = max(min(end, len(cells)), start + 1)
    first, last = _window([columns for _, columns in cells], start, end, width)
    ahead = "…" if first else ""
    behind = "…" if last < len(cells) else ""
    shown = ahead + "".join(text for text, _ in cells[first:last]) + behind
    indent = len(ahead) + sum(columns for _, columns in cells[first:start])
    marked = sum(columns for _, columns in cells[start : min(end, last)])
    return shown, " " * indent + "^" * max(1, marked)


def _window(columns: Sequence[int], start: int, end: int, width: int) -> tuple[int, int]:
    """Returns which characters to show: the whole line, else the place with as much around it as fits."""
    if sum(columns) <= width:
        return 0, len(columns)
    room = width - 2  # for the dots
    first, last = start, start
    used = 0
    while last < len(columns) and (last < end or used < room // 2) and used + columns[last] <= room:
        used += columns[last]
        last += 1
    while first > 0 and used + columns[first - 1] <= room:
        first -= 1
        used += columns[first]
    while last < len(columns) and used + columns[last] <= room:
        used += columns[last]
        last += 1
    return first, last


def _cell(char: str) -> tuple[str, int]:
    """Returns how a character is shown, and the columns it takes."""
    if char == "\t":
        return _TAB, len(_TAB)
    if not char.isprintable():
        text = plain(char)
        return text, len(text)
    if unicodedata.combining(char):
        return char, 0
    return char, 2 if unicodedata.east_asian_width(char) in "WF" else 1


def summary(findings: Sequence[Finding], files: int) -> str:
    """Returns the last line: how many of what, in how many files."""
    errors = sum(f.problem.severity is Severity.ERROR for f in findings)
    warnings = len(findings) - errors
    if not findings:
        return "rules are in order"
    if not errors:
        return f"rules are in order, with {_count(warnings, 'warning')}"
    said = _count(errors, "error") + (f" and {_count(warnings, 'warning')}" if warnings else "")
    return f"{said} in {_count(files, 'file')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
