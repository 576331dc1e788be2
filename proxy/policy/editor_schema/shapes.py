"""Values of rule files as JSON Schema says them: names, kinds, spans, amounts, one or a list.

What belongs here: one function or constant a kind of value, after the `as_…` of `policy/values.py`. Patterns are
written so that Python and ECMAScript read them alike; where the two differ (letters beyond ASCII) the schema says
less. A variable may stand for any value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from proxy.policy.labels.schema import FIELD, LABEL
from proxy.policy.values import KIND, KIND_GLOB, METHOD, NAME, SPAN, UNIT

type Schema = dict[str, Any]


def whole(pattern: re.Pattern[str]) -> str:
    """Returns a pattern that must meet the whole text: JSON Schema's are searched for."""
    return f"^(?:{pattern.pattern})$"


def matching(pattern: re.Pattern[str] | str, what: str = "") -> Schema:
    """Returns a text of one form; `what` is said of a text that is none."""
    made: Schema = {"type": "string"}
    made["pattern"] = pattern if isinstance(pattern, str) else whole(pattern)
    return made | ({"patternErrorMessage": f"expected {what}"} if what else {})


_NAME_OF_VARIABLE = r"^\$[a-z_][a-z0-9_]*$"
VARIABLE: Schema = {"title": "a variable", "type": "string", "pattern": _NAME_OF_VARIABLE}
"""`$name`, which stands for a value of `vars:`."""

NOTHING: Schema = {
    "title": "nothing",
    "not": {"type": ["boolean", "number", "string", "array", "object"]},
}
"""A key with nothing behind it, which is as if it was not there. Said so, editors do not offer `null`."""

TEXT: Schema = matching(r"\S", "text")
"""Any text that is not empty; a variable is one."""


def any_of(*shapes: Schema) -> Schema:
    """Returns what any of some shapes fits, without shapes within shapes.

    Shapes have titles that differ, so that an editor tells which of them a value fits.
    """
    flat: list[Schema] = []
    for shape in shapes:
        flat += shape["anyOf"] if set(shape) == {"anyOf"} else [shape]
    return {"anyOf": flat}


def or_variable(shape: Schema) -> Schema:
    """Returns a shape in whose place a variable may stand: in one schema where that can be said."""
    if "type" not in shape:
        return any_of(shape, VARIABLE)
    if shape["type"] == "string":
        return shape | {"pattern": f"{_NAME_OF_VARIABLE}|{shape['pattern']}"}
    return shape | {"type": [*_types(shape), "string"], "pattern": _NAME_OF_VARIABLE}


def _types(shape: Schema) -> list[str]:
    types = shape["type"]
    return types if isinstance(types, list) else [types]


def ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def list_of(item: Schema, *, least: int = 0) -> Schema:
    return {"type": "array", "items": item, **({"minItems": least} if least else {})}


def one_or_list(item: Schema, *, least: int = 1) -> Schema:
    """Returns one value, or a list of them; a variable can be either."""
    if "type" not in item:
        return any_of(item, {"title": "a list", **list_of(item, least=least)})
    return item | list_of(item, least=least) | {"type": [*_types(item), "array"]}


def words(*meanings: tuple[str, str]) -> Schema:
    """Returns a choice of words, each with what it means."""
    return or_variable(
        {
            "enum": [word for word, _ in meanings],
            "enumDescriptions": [meaning for _, meaning in meanings],
        }
    )


def only(value: bool | int | str) -> Schema:
    return or_variable({"enum": [value]})


def number(**bounds: int) -> Schema:
    return or_variable({"type": "number", **bounds})


def whole_number(least: int, most: int) -> Schema:
    return or_variable({"type": "integer", "minimum": least, "maximum": most})


def by_name(value: Schema, names: Iterable[str] = (), *, least: int = 0) -> Schema:
    """Returns a mapping of names, of these alone where there are any, to values of one shape."""
    listed = tuple(names)
    made: Schema = {"type": "object", **({"minProperties": least} if least else {})}
    if listed:
        return made | {"properties": dict.fromkeys(listed, value), "additionalProperties": False}
    return made | {"additionalProperties": value}


def offered(shape: Schema, values: Iterable[str]) -> Schema:
    """Returns a shape with values that an editor offers; any other that fits is as good.

    They are snippets and not `examples`: those would all stand in every hover text.
    """
    return shape | {"defaultSnippets": [{"label": value, "body": value} for value in values]}


NAMED = or_variable(matching(NAME, "a name of letters, digits, '.', '_' and '-'"))
SPANNED = or_variable(matching(SPAN, "a time span such as 30s, 15m, 24h or 7d"))
HOST = or_variable(
    matching(
        r"^(?=.*\S)(?:\[[^/@]*|[^/@:]*)$",
        "a host alone, without scheme, port or path; an IPv6 address stands in [brackets]",
    )
)
PATH = or_variable(matching(r"^/[^*?#%;\\]*$", "a path such as /v1/refunds/{id}"))
METHOD_NAME = or_variable(matching(METHOD, "an HTTP method or '*'"))
LABELLED = or_variable(matching(LABEL, "a dotted label such as pii.email"))
FIELD_PATH = or_variable(matching(FIELD, "a field such as customer.email, items.*.id or **.token"))
UNIT_NAME = matching(UNIT, "a unit such as EUR")
KIND_NAME = matching(KIND, "a dotted kind such as money.refund")
KIND_PATTERN = matching(KIND_GLOB, "an effect kind or a glob over kinds")
FRACTION = number(minimum=0, maximum=1)
VERDICT = words(
    ("hold", "The call waits until a human has answered."),
    ("block", "The call is refused."),
)
MODE = words(
    ("enforce", "What the rule says is done."),
    ("shadow", "What the rule says is logged and counted; nothing is stopped by it."),
)
