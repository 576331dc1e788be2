"""Warnings at their places: a value of a file, or a part of an expression in it.

What belongs here: from a site, and characters of a compiled expression, to a line, a column and an end. A variable's name
stands in the file where its value stands in the expression.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import yaml

from proxy.policy.named_values import expand
from proxy.policy.problems import Problem, Related, Severity
from proxy.policy.site import Site

type Span = tuple[int, int]


def as_warning(problem: Problem, code: str = "") -> Problem:
    return replace(problem, severity=Severity.WARNING, code=code or problem.code)


def warning(
    site: Site,
    code: str,
    text: str,
    *,
    related: Iterable[Related] = (),
    hint: str = "",
) -> Problem:
    """Returns a warning about a value."""
    found = replace(site.problem(text), related=tuple(related), hint=hint)
    return as_warning(found, code)


def warning_inside(
    site: Site,
    expression: str,
    span: Span,
    code: str,
    text: str,
    *,
    related: Iterable[Related] = (),
    hint: str = "",
) -> Problem:
    """Returns a warning about characters [start, end) of the expression that a site has."""
    made = warning(site, code, text, related=related, hint=hint)
    node = site.document.node(site.path)
    written = node.value if isinstance(node, yaml.ScalarNode) else None
    if not isinstance(written, str):
        return made
    expanded = expand(written, site.document.variables)
    if expanded.fault is not None or expanded.text != expression:
        return made
    start, last = expanded.offset(span[0]), expanded.offset(max(span[1] - 1, span[0]))
    line, col = _position(site, written, start)
    end_line, end_col = _position(site, written, last)
    return replace(made, line=line, col=col, end=(end_line, end_col + 1))


def related(site: Site, text: str) -> Related:
    """Returns another place, for a warning to point at."""
    found = site.document.problem(site.path, text)
    return Related(found.file, found.line, found.col, text)


def _position(site: Site, written: str, offset: int) -> tuple[int, int]:
    """Returns line and column of a character of a text value."""
    if offset == 0 and len(written) > 1 and not written[1].isspace():
        # Character 0 stands for the whole value, quotes and block header too.
        after = site.problem("", offset=1)
        return after.line, after.col - 1
    found = site.problem("", offset=offset)
    return found.line, found.col
