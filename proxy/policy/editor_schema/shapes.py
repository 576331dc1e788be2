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


def matching(pattern: re.Pattern[str], **more: Any) -> Schema:
    return {"type": "string", "pattern": whole(pattern), **more}


VARIABLE: Schema = {"type": "string", "pattern": r"^\$[a-z_][a-z0-9_]*$"}
"""`$name`, which stands for a value of `vars:`."""

NOTHING: Schema = {"not": {"type": ["boolean", "number", "string", "array", "object"]}}
"""A key with nothing behind it, which is as if it was not there. Said so, editors do not offer `null`."""

TEXT: Schema = {"type": "string", "pattern": r"\S"}
"""Any text that is not empty; a variable is one."""


def any_of(*shapes: Schema) -> Schema:
    """Returns what any of some shapes fits, without shapes within shapes."""
    flat: list[Schema] = []
    for shape in shapes:
        flat += shape["anyOf"] if set(shape) == {"anyOf"} else [shape]
    return {"anyOf": flat} if len(flat) > 1 else flat[0]


def or_variable(shape: Schema) -> Schema:
    """Returns a shape in whose place a variable may stand."""
    return any_of(shape, VARIABLE)


def ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def list_of(item: Schema, *, least: int = 0) -> Schema:
    return {"type": "array", "items": item, **({"minItems": least} if least else {})}


def one_or_list(item: Schema, *, least: int = 1) -> Schema:
    """Returns one value, or a list of them; a variable can be either."""
    return any_of(item, list_of(item, least=least))


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


NAMED = or_variable(matching(NAME))
SPANNED = or_variable(matching(SPAN))
HOST = or_variable({"type": "string", "pattern": r"^(?=.*\S)(?:\[[^/@]*|[^/@:]*)$"})
PATH = or_variable({"type": "string", "pattern": r"^/[^*?#%;\\]*$"})
METHOD_NAME = or_variable(matching(METHOD))
LABELLED = or_variable(matching(LABEL))
FIELD_PATH = or_variable(matching(FIELD))
UNIT_NAME = matching(UNIT)
KIND_NAME = matching(KIND)
KIND_PATTERN = matching(KIND_GLOB)
FRACTION = number(minimum=0, maximum=1)
VERDICT = words(
    ("hold", "The call waits until a human has answered."),
    ("block", "The call is refused."),
)
MODE = words(
    ("enforce", "What the rule says is done."),
    ("shadow", "What the rule says is logged and counted; nothing is stopped by it."),
)
