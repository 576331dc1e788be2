"""What to do about mistakes in YAML itself: its reader says what it met, not what a person has to change.

What belongs here: a hint for each of libyaml's sentences that people meet in rule files, where expressions have colons,
quotes and signs that YAML reads as its own.
"""

from __future__ import annotations

from proxy.policy.problems import Problem

_QUOTE_WHOLE = "put the whole value in quotes, or write it as a block behind '>-'"

_HINTS = (
    ("mapping values are not allowed", f"a colon and a space begin a value: {_QUOTE_WHOLE}"),
    ("did not find expected key", f"a value that begins with a quote ends with it: {_QUOTE_WHOLE}"),
    (
        "did not find expected alphabetic or numeric character",
        f"a value that begins with '!', '&' or '*' means something else in YAML: {_QUOTE_WHOLE}",
    ),
    ("found undefined alias", "a value that begins with '*' is an alias: put it in quotes"),
    ("found unexpected end of stream", "a quote is not closed above this line"),
    ("did not find expected ',' or '}'", "a '{' is not closed above, or a comma is missing"),
    ("did not find expected ',' or ']'", "a '[' is not closed above, or a comma is missing"),
    ("did not find expected '-' indicator", "this line is indented less than its list's entries"),
    ("could not find expected ':'", "a key needs a colon and a space behind it"),
    ("found another document", "'---' begins a second document: give it a file of its own"),
)
_TAB = "indent with spaces: YAML takes no tabs"
_START = f"a value that begins with this character means something else in YAML: {_QUOTE_WHOLE}"


def hint_of(problem: Problem, source: str | None) -> str:
    """Returns what to do about a problem; nothing where its own text says it."""
    if problem.hint or problem.code != "yaml-syntax":
        return problem.hint
    if "cannot start any token" in problem.text:
        return _TAB if (source or "")[: problem.col].strip(" ").startswith("\t") else _START
    return next((hint for said, hint in _HINTS if said in problem.text), "")
