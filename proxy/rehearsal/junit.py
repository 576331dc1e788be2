"""Outcomes of cases as JUnit XML, the form that CI systems read.

What belongs here: the document only. A cases file is a test suite, a case a test; a case that was decided otherwise is
a `failure`, one that could not be played, or a file that could not be read, an `error`. The form is what
https://github.com/testmoapp/junitxml (read 2026-11) describes: it has no standard of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from proxy.rehearsal.telling import fault_lines
from proxy.rehearsal.trying import CaseOutcome, FileOutcome, Outcome


def as_junit(files: Sequence[FileOutcome], elapsed_s: float) -> bytes:
    """Returns the document, in UTF-8."""
    root = Element("testsuites", name="checkrein rules test", time=_seconds(elapsed_s))
    totals = [0, 0, 0]
    for file in files:
        failures, errors = file.count(Outcome.FAIL), file.count(Outcome.ERROR)
        errors += len(file.problems)
        tests = len(file.cases) + len(file.problems)
        suite = SubElement(
            root,
            "testsuite",
            name=_text(str(file.path)),
            file=_text(str(file.path)),
            tests=str(tests),
            failures=str(failures),
            errors=str(errors),
            time=_seconds(sum(case.elapsed_s for case in file.cases)),
        )
        for case in file.cases:
            _case(suite, case)
        for problem in file.problems:
            test = SubElement(
                suite, "testcase", name="can be read", classname=_text(str(file.path)), time="0"
            )
            SubElement(test, "error", message=_text(problem), type="unreadable").text = _text(
                problem
            )
        totals = [sum(pair) for pair in zip(totals, (tests, failures, errors), strict=True)]
    for name, total in zip(("tests", "failures", "errors"), totals, strict=True):
        root.set(name, str(total))
    indent(root)
    document: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
    return document + b"\n"


def _case(suite: Element, case: CaseOutcome) -> None:
    test = SubElement(
        suite,
        "testcase",
        name=_text(case.name),
        classname=_text(str(case.path)),
        file=_text(str(case.path)),
        line=str(case.place[0]),
        time=_seconds(case.elapsed_s),
    )
    if case.fault is None:
        return
    tag, kind = (
        ("failure", "difference") if case.outcome is Outcome.FAIL else ("error", "unplayable")
    )
    first = case.fault.texts[0] if case.fault.texts else case.fault.title
    told = SubElement(test, tag, message=_text(first), type=kind)
    told.text = _text("\n".join(line.strip() for line in fault_lines(case)))


def _seconds(seconds: float) -> str:
    return f"{seconds:.4f}"


def _text(text: str) -> str:
    """Returns a text without what XML 1.0 has no place for; arguments and names are anybody's."""
    return "".join(char if _is_allowed(char) else f"\\x{ord(char):02x}" for char in text)


def _is_allowed(char: str) -> bool:
    """Whether XML has it (https://www.w3.org/TR/xml/#charsets, read 2026-11)."""
    code = ord(char)
    return (
        code in (0x9, 0xA, 0xD)
        or 0x20 <= code <= 0xD7FF
        or 0xE000 <= code <= 0xFFFD
        or code >= 0x10000
    )
