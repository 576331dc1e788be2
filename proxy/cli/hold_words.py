"""A hold in words, part by part, as every command that shows holds says it.

What belongs here: phrases from the admin API's view of a hold. They are not escaped: whoever prints one passes it through
`plain` of `proxy/cli/admin.py`, for agents write names, arguments and targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

type Part = Mapping[str, Any]


def name(hold: Part) -> str:
    """Returns the tool's name, and whose it is where the call says so."""
    call = hold["call"]
    return f"{call['namespace']}: {call['name']}" if call.get("namespace") else str(call["name"])


def call(hold: Part) -> str:
    """Returns the call as one line, with all its arguments."""
    arguments = hold["call"]["args"]
    if isinstance(arguments, dict):
        shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        return f"{name(hold)}({shown})"
    return f"{name(hold)}({arguments!r})"


def reason(reason: Part) -> str:
    """Returns a reason's text; one of a rule in shadow holds nothing, and says so."""
    if reason.get("mode") == "shadow":
        return f"(in shadow, would {reason['verdict']}) {reason['text']}"
    return str(reason["text"])


def reason_with_place(told: Part) -> str:
    """Returns a reason with its rule, and the rule's file and line."""
    at = f"  ({told['file']}:{told['line']})" if told["file"] else ""
    return f"{told['rule']}: {reason(told)}{at}"


def budget(budget: Part) -> str:
    """Returns what a budget had, would have and may have."""
    unit = f" {budget['unit']}" if budget["unit"] else ""
    return f"{budget['before']} -> {budget['after']} of {budget['limit']}{unit}"


def amount(effect: Part) -> str:
    """Returns how much, or nothing."""
    return "" if effect["amount"] is None else f"{effect['amount']} {effect['unit'] or ''}".rstrip()


def effect(effect: Part) -> str:
    """Returns what a call would do, to what, and whether that can be undone."""
    return f"{deed(effect)} ({effect['reversibility']})"


def entry(entry: Part) -> str:
    """Returns one line of a session's timeline, without its time."""
    return f"{entry['call']['name']}: {deed(entry)} [{entry['state']}]"


def deed(effect: Part) -> str:
    """Returns what was or would be done, and to what."""
    much = amount(effect)
    return f"{effect['kind']}{' ' + much if much else ''} on {effect['target']}"
