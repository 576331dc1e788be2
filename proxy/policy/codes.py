"""The kinds of problems, each by a code that a person can look up (docs/rules-checking.md has a row for each).

What belongs here: the catalogue, and how a problem's code is told. A check that knows its code states it;
of all others (the shape of a file, what compiling an entry says) the wording tells. Codes are stable: they stand in
ignore comments and in other people's dashboards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from proxy.policy.problems import Problem


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of problem; `says` are wordings that stand for it."""

    id: str
    summary: str
    remedy: str
    says: tuple[str, ...] = ()


ERRORS = (
    Code(
        "unreadable-file",
        "The file cannot be read, or is not UTF-8.",
        "Name a file that is there, saved as UTF-8.",
        (r"^not UTF-8", r"^cannot be read", r"^no \*\.yaml file"),
    ),
    Code(
        "yaml-syntax",
        "The text is not YAML that a rule file may have.",
        "Close what is open and indent by spaces; anchors and aliases are fine, tags are not.",
        (
            r"^not valid YAML",
            r"^the file is empty",
            r"^nested too deeply",
            r"^the tag '",
            r"^a key must be text",
        ),
    ),
    Code(
        "duplicate-key",
        "A key stands twice in one mapping.",
        "Keep one: YAML readers silently take the last.",
        (r"^duplicate key '",),
    ),
    Code(
        "unknown-key",
        "There is no such key here.",
        "Write the key that is meant; docs/rules.md has all keys.",
        (r"unknown key '",),
    ),
    Code(
        "missing-key",
        "A key that is needed is not there.",
        "Add it.",
        (r"the key '[^']*' is missing", r"'on: [^']*' needs '", r"expected one of the keys"),
    ),
    Code(
        "keys-together",
        "Keys that need each other stand alone, or keys that exclude each other stand together.",
        "Keep what the message names, remove the rest.",
        (
            r"needs exactly one of ",
            r"' needs an? '",
            r"stand together",
            r"has no meaning with ",
            r"' goes with '",
            r" has its effects from ",
            r"a step needs either ",
            r"an action is one of ",
            r"only the first step of a chain ",
        ),
    ),
    Code(
        "name-taken",
        "Two rules have one name.",
        "Rename one: the ledger and the log tell rules by name.",
        (r"is taken by the ", r"^the pack '[^']*' is in ", r" both have an? "),
    ),
    Code(
        "mapped-twice",
        "Two entries map one tool. Of two files the first named counts, which is a warning.",
        "Keep one entry, or narrow one.",
        (r" is mapped twice; ",),
    ),
    Code(
        "unknown-unit",
        "Nothing is measured in this unit.",
        "Use an ISO 4217 code, or a unit that an effect states.",
        (r"unknown unit '",),
    ),
    Code(
        "unknown-rule",
        "A signal names a budget or a gate that is not there.",
        "Write the name of one.",
        (r"^[^:]*: (scale|raise): no (budget|gate) '", r"no pack below has an? "),
    ),
    Code(
        "extends",
        "What `extends` names cannot be used.",
        "Name a pack that is there, and no circle.",
        (r"^extends: ",),
    ),
    Code(
        "variable",
        "A variable is unknown, has no value, or has one of another type.",
        "State it under `vars` with a value of its type.",
        (r"variable '\$", r"^variable '", r"^the variable '", r"limit: is in "),
    ),
    Code(
        "cel-syntax",
        "The expression is not CEL.",
        "Mend it at the caret.",
        (
            r"(^|: )'[^']*' is not CEL; ",
            r"' is no quote of CEL; ",
            r"' cannot stand here",
            r"the expression ends too early",
            r"' is not closed$",
            r"the text (that begins here is not closed|ends at this quote)",
            r"' is a reserved word of CEL",
            r"Syntax error",
        ),
    ),
    Code(
        "cel-name",
        "The expression speaks of something that is not there, or not in this place.",
        "Write a variable or function that docs/rules.md lists for this place.",
        (
            r"unknown (variable or function|name) '",
            r"': only .* have '",
            r"an origin has no '",
            r" has no fields?\b",
        ),
    ),
    Code(
        "cel-type",
        "The expression mixes types, or gives one that is not wanted here.",
        "Convert a side: num(x), string(x), or write the number with a fraction.",
        (
            r"must give .*, but this expression gives ",
            r"' (of .* )?does not take ",
            r"' takes true or false, not ",
            r"' needs two answers of one type",
            r"'in' (looks|does not find) ",
            r" has no items?\b",
            r"' is written ",
            r"\w\(\) (takes|asks) ",
            r"the whole number is too large",
            r"found no matching overload",
        ),
    ),
    Code(
        "unknown-word",
        "The value is not one of the words that are possible here.",
        "Write one of the listed words.",
        (
            r"' is not one of ",
            r"expected one of ",
            r"' is no signal: ",
            r"' is no day; ",
            r"' is neither an act",
        ),
    ),
    Code(
        "wrong-type",
        "The value has the wrong type.",
        "Write what the message expects.",
        (r": expected .*, got ", r"a rule file is a mapping", r"a cases file is a mapping"),
    ),
    Code(
        "invalid-value",
        "The value has the right type and cannot be used.",
        "Write a value as the message describes.",
    ),
)

WARNINGS = (
    Code(
        "never-matches",
        "A condition, or a part of one, can never be true.",
        "Mend the part that the caret marks, or remove the rule.",
    ),
    Code(
        "unknown-value",
        "A variable is compared with a value that it never has.",
        "Write one of the values that docs/rules.md lists for the variable.",
    ),
    Code(
        "unknown-tool",
        "A condition names a tool that no entry maps, and nearly the name of one that is.",
        "Write the tool's name as its entry does.",
    ),
    Code(
        "may-fail",
        "A gate reads a field that calls it is asked about may lack; a missing field holds the call.",
        "Test it first: has(args.x) && args.x > 5.",
    ),
    Code(
        "shadowed-gate",
        "Whenever this gate says no, another one says it at least as strictly.",
        "Remove the gate, or make its verdict stricter than the other's.",
    ),
    Code(
        "shadowed-chain",
        "Whenever this chain matches, another one does and is at least as strict.",
        "Remove the chain, or make its verdict stricter than the other's.",
    ),
    Code(
        "shadowed-budget",
        "Another budget over the same effects is always exceeded first.",
        "Remove the budget, or lower its limit.",
    ),
    Code(
        "single-call-exceeds",
        "One call alone is over the limit, so that none of its kind ever passes.",
        "Raise the limit; where that is meant, write a gate.",
    ),
    Code(
        "unproduced-kind",
        "No tool produces an effect of this kind.",
        "Write the kind as an entry of `tools` does, or remove it.",
        (r"no tool produces an effect '[^']*'(; did|$)",),
    ),
    Code(
        "impossible-step",
        "No effect can be this step, so that the chain never matches.",
        "Write a kind that an entry of `tools` has, or remove the chain.",
        (r": the chain can never match",),
    ),
    Code(
        "unmeasured-effect",
        "A budget cannot count an effect that it covers: every such call is held.",
        "Give the effect an amount or a target, or narrow the budget's `of`.",
        (r"every such call will be held",),
    ),
    Code(
        "unused-variable",
        "No rule of the file uses a variable that it states.",
        "Remove it, or use it.",
        (r"no rule of this file uses '\$",),
    ),
    Code(
        "unused-ignore",
        "An ignore comment silences nothing.",
        "Remove it.",
    ),
)

OTHER = "invalid-value"
"""The code of an error that no wording tells."""

CODES = {code.id: code for code in (*ERRORS, *WARNINGS)}

_BY_WORDING = [
    (re.compile("|".join(code.says)), code.id) for code in (*WARNINGS, *ERRORS) if code.says
]


def code_of(problem: Problem) -> str:
    """Returns the code of a problem, stated or told by its wording."""
    if problem.code:
        return problem.code
    return next((code for says, code in _BY_WORDING if says.search(problem.text)), OTHER)


def with_codes(problems: Iterable[Problem]) -> list[Problem]:
    """Returns the problems in order, each once and with its code."""
    return [replace(one, code=code_of(one)) for one in sorted(set(problems))]
