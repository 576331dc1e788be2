"""Problems as GitHub Actions shows them beside the lines of a pull request: workflow commands.

Source: https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions#setting-an-error-message,
read 2026-11. A value is one line: `%`, CR and LF are escaped, in properties also `:` and `,`.
"""

from __future__ import annotations

from proxy.cli.admin import plain
from proxy.cli.rules.report.finding import Finding


def as_command(finding: Finding) -> str:
    """Returns `::error file=…,line=…,col=…,endLine=…,endColumn=…,title=…::text`."""
    problem = finding.problem
    properties = {
        "file": problem.file,
        "line": str(problem.line),
        "col": str(problem.col),
        "endLine": str(finding.end_line),
        "endColumn": str(finding.end_col),
        "title": f"checkrein ({finding.code})",
    }
    stated = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{problem.severity} {stated}::{_data(_message(finding))}"


def _message(finding: Finding) -> str:
    """The place again, for who reads the log; GitHub takes the rest of the line for the annotation."""
    problem = finding.problem
    said = [f"{problem.file}:{problem.line}:{problem.col}: {problem.text}"]
    said += [f"{r.file}:{r.line}:{r.col}: {r.text}" for r in problem.related]
    if problem.hint:
        said.append(f"help: {problem.hint}")
    return "\n".join(map(plain, said))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
