"""Python's regular expressions as RE2's, which CEL has.

What belongs here: when a pattern may be taken over, and what differs. Both must be able to read it. They read some signs otherwise
(https://github.com/google/re2/wiki/Syntax and https://docs.python.org/3/library/re.html, read 2026-11): `\\d`, `\\w`, `\\s`, `\\b`
and `(?i)` know all scripts in Python and ASCII alone in RE2, `$` may stand before a last line break. Of texts of
printable ASCII both say the same; so these alone are asked where a pattern has such a sign. `[[:…:]]` is a set of letters in the one and a class in
the other, and is not taken over.
"""

from __future__ import annotations

import re
import warnings

from proxy.importers.celtext import all_of, any_of, literal
from proxy.policy.cel import GATE, ExpressionErrors, ExpressionFault, Scope

PRINTABLE = '.matches("\\\\A[ -~]*\\\\z")'
_DIFFER = re.compile(r"\\[dDwWsSbB]|\(\?|[$^]")


def why_not(pattern: str) -> str | None:
    """Returns why a pattern cannot be taken over, None where it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error"
            )  # such as of a set in a set, which Python may read otherwise some day
            re.compile(pattern)
    except Warning:
        return "has signs that RE2 or a later Python reads otherwise"
    except (re.error, OverflowError, RecursionError) as error:
        return f"is no regular expression ({error})"
    try:
        GATE.compile(f'"x".matches({whole(pattern)})').value(Scope({}))
    except (ExpressionErrors, ExpressionFault):
        return "cannot be read by RE2 (look-around, back references and the like)"
    return None


def whole(pattern: str) -> str:
    """Returns a CEL literal of a pattern that must match the whole text."""
    return literal(f"\\A(?:{pattern})\\z")


def is_surely(subject: str, pattern: str) -> str:
    """Returns a condition that is true only where Python's `fullmatch` of a text is."""
    matches = f"{subject}.matches({whole(pattern)})"
    return all_of([matches, subject + PRINTABLE]) if _DIFFER.search(pattern) else matches


def may_be(subject: str, pattern: str) -> str:
    """Returns a condition that is true wherever Python's `fullmatch` of a text is."""
    matches = f"{subject}.matches({whole(pattern)})"
    return any_of([matches, f"!{subject}{PRINTABLE}"]) if _DIFFER.search(pattern) else matches


_EXAMPLES = (
    (r"\.\*|\.\+", "x"),
    (r"\\d[+*]?", "1"),
    (r"\\w[+*]?", "a"),
    (r"\[\^[^\]]*\][+*]?", "x"),
)


def example(pattern: str) -> str | None:
    """Returns a text that a simple pattern matches; None for one that is not simple."""
    text = pattern.removeprefix("^").removesuffix("$")
    for sign, put in _EXAMPLES:
        text = re.sub(sign, put, text)
    text = re.sub(
        r"\(\?:([^|()]*)[^()]*\)|\(([^?|()][^|()]*)[^()]*\)", lambda m: m[1] or m[2] or "", text
    )
    text = re.sub(r"\[([a-zA-Z0-9])[^\]]*\][+*]?", r"\1", text)
    text = re.sub(r"\\(.)", r"\1", text)
    for candidate in (text, text.partition("|")[0], pattern):
        if candidate and candidate.isprintable() and re.fullmatch(pattern, candidate):
            return candidate
    return None
