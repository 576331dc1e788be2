"""Problems for other programs: one object a line, `id` first."""

from __future__ import annotations

from typing import Any

from proxy.cli.rules.report.finding import Finding


def as_object(finding: Finding) -> dict[str, Any]:
    """Returns a problem as plain values; `id` stays when lines are added above it."""
    problem = finding.problem
    return {
        "id": finding.id,
        "severity": str(problem.severity),
        "code": finding.code,
        "file": problem.file,
        "line": problem.line,
        "col": problem.col,
        "end_line": finding.end_line,
        "end_col": finding.end_col,
        "text": problem.text,
        "hint": problem.hint or None,
        "related": [
            {"file": r.file, "line": r.line, "col": r.col, "text": r.text} for r in problem.related
        ],
    }
