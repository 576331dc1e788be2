"""Problems as a SARIF 2.1.0 log, for code scanning and for the editors that read it.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html, read 2026-11.
Columns are counted in characters (`columnKind`), an end column is the one behind the place (section 3.30.8). A relative
path stays relative to where the command ran; GitHub wants it so, relative to the checkout.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from proxy import __version__
from proxy.cli.rules.report.finding import Finding
from proxy.policy.codes import CODES, ERRORS, Code

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def as_log(findings: Sequence[Finding], exit_code: int) -> dict[str, Any]:
    """Returns the whole log: one run, all kinds of problems as its rules, each problem as a result."""
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "checkrein",
                        "semanticVersion": __version__,
                        "rules": [_rule(code) for code in CODES.values()],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [{"executionSuccessful": True, "exitCode": exit_code}],
                "results": [_result(finding) for finding in findings],
            }
        ],
    }


def _rule(code: Code) -> dict[str, Any]:
    return {
        "id": code.id,
        "name": "".join(word.capitalize() for word in code.id.split("-")),
        "shortDescription": {"text": code.summary},
        "help": {"text": code.remedy},
        "defaultConfiguration": {"level": "error" if code in ERRORS else "warning"},
    }


def _result(finding: Finding) -> dict[str, Any]:
    problem = finding.problem
    text = f"{problem.text}\n{problem.hint}" if problem.hint else problem.text
    made: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": list(CODES).index(finding.code),
        "level": str(problem.severity),
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri_of(problem.file)},
                    "region": {
                        "startLine": problem.line,
                        "startColumn": problem.col,
                        "endLine": finding.end_line,
                        "endColumn": finding.end_col,
                    },
                }
            }
        ],
        "partialFingerprints": {"checkrein/v1": finding.id},
    }
    if problem.related:
        made["relatedLocations"] = [
            {
                "id": i,
                "physicalLocation": {
                    "artifactLocation": {"uri": uri_of(other.file)},
                    "region": {"startLine": other.line, "startColumn": other.col},
                },
                "message": {"text": other.text},
            }
            for i, other in enumerate(problem.related)
        ]
    return made


def uri_of(file: str) -> str:
    """Returns a path as a URI reference, without what a path has and a URI has not."""
    path = Path(file)
    if path.is_absolute():
        return path.as_uri()
    # A colon is escaped too: "a:b.yaml" would be read as a scheme (RFC 3986, section 4.2).
    return quote(path.as_posix(), safe="/~!$&'()*+,;=@", errors="surrogateescape")
