"""Variables of a rule file: values with names, stated once under `vars:` and written `$name` elsewhere.

What belongs here: reading `vars:`, and putting values in the places of names. How it works. A variable has the
type of its default; a file that extends another states other values of the same type. A whole value `$name`
becomes the value itself, before the shape is checked. Inside an expression, outside of quotes, it becomes a
literal of CEL; inside a message, the text as the file has it. `$$name` is the text `$name`.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from proxy.model import Json
from proxy.policy.amounts import json_type
from proxy.policy.problems import Problem, did_you_mean
from proxy.policy.values import UNIT_MS
from proxy.policy.yamlnodes import Document, Path

TYPES = ("number", "amount", "span", "text", "texts", "bool")
_KEYS = ("type", "default", "about")
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_WHOLE = re.compile(r"\$(\$?)([a-z_][a-z0-9_]*)")
_INSIDE = re.compile(r"(?<![\w$])\$([a-z_][a-z0-9_]*)")
_SPAN = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)")
AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ([A-Za-z][A-Za-z0-9_-]{0,31})")
_TOKEN = re.compile(
    r"(?P<text>[rR]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'))"
    r"|\$(?P<name>[A-Za-z_]\w*)",
    re.DOTALL,
)
_EXPRESSIONS = frozenset({"when", "amount", "target", "data", "ok", "value", "argument", "url"})
_OF_FETCH = frozenset({"method", "body", "headers"})
"""Keys whose values are expressions: `$name` in them is a literal."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable; `value` is None where nobody has stated it."""

    name: str
    type: str
    value: Json  # int or Decimal, bool, text, tuple of texts; of a span its text
    unit: str | None = None  # of an amount

    @property
    def written(self) -> str:
        """As people write it: 100 EUR, 24h."""
        if isinstance(self.value, tuple):
            return ", ".join(self.value)
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return f"{self.value} {self.unit}" if self.unit else str(self.value)

    @property
    def literal(self) -> str:
        """As CEL writes it; a span is its seconds."""
        if self.type == "span":
            return str(_seconds(self.value))
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, tuple):
            return "[" + ", ".join(json.dumps(text) for text in self.value) + "]"
        if isinstance(self.value, str):
            return json.dumps(self.value)
        return format(self.value, "f") if isinstance(self.value, Decimal) else str(self.value)


def _seconds(span: str) -> int:
    found = _SPAN.fullmatch(span)
    return int(found[1]) * UNIT_MS[found[2]] // 1000 if found else 0


def declare(
    document: Document, inherited: Mapping[str, Variable], found: list[Problem]
) -> dict[str, Variable]:
    """Returns a file's variables over those of the packs that it extends; mistakes go to `found`."""
    made = dict(inherited)
    stated = document.value.get("vars") if isinstance(document.value, dict) else None
    if not isinstance(stated, dict):
        return made  # no mapping: the shape says so
    for name, value in stated.items():
        path: Path = ("vars", name)
        if not _NAME.fullmatch(name):
            text = f"the variable '{name}' must be named in lower case letters, digits and '_'"
            found.append(document.problem(path, text, key=True))
            continue
        read = _read(document, name, value, made.get(name), found)
        if read is not None:
            made[name] = read
    return made


def _read(
    document: Document, name: str, value: Json, before: Variable | None, found: list[Problem]
) -> Variable | None:
    path: Path = ("vars", name)
    where = f"variable '{name}': "
    if isinstance(value, dict):
        return _read_declared(document, name, value, found)
    made = _typed(name, value, before.type if before is not None else None)
    if made is None:
        if before is None:
            text = f"{where}expected a number, a text, a list of texts or {{type: …}}, got {json_type(value)}"
        else:
            text = f"{where}expected {_wanted(before)}, got {json_type(value)}" + (
                f" '{value}'" if isinstance(value, str) else ""
            )
        found.append(document.problem(path, text))
        return None
    if before is not None and before.unit is not None and made.unit != before.unit:
        text = (
            f"{where}is in {before.unit}, got {made.unit}; "
            f"to change the unit too, write {{type: amount, default: {made.written}}}"
        )
        found.append(document.problem(path, text))
        return None
    return made


def _wanted(before: Variable) -> str:
    like = {
        "number": "a number",
        "amount": f"an amount such as 100 {before.unit}",
        "span": "a time span such as 30s, 15m, 24h or 7d",
        "text": "text",
        "texts": "a list of texts",
        "bool": "true or false",
    }
    return like[before.type]


def _read_declared(
    document: Document, name: str, value: dict[str, Json], found: list[Problem]
) -> Variable | None:
    path: Path = ("vars", name)
    where = f"variable '{name}': "
    for key in value:
        if key not in _KEYS:
            text = f"{where}unknown key '{key}'{did_you_mean(key, _KEYS)}"
            found.append(document.problem((*path, key), text, key=True))
            return None
    kind = value.get("type")
    if kind not in TYPES:
        near = did_you_mean(kind, TYPES) if isinstance(kind, str) else ""
        said = "the key 'type' is missing" if kind is None else f"type: '{kind}' is not"
        text = f"{where}{said}{': it is' if kind is None else ''} one of {', '.join(TYPES)}{near}"
        found.append(document.problem((*path, "type"), text))
        return None
    if value.get("default") is None:
        return Variable(name, kind, None)
    made = _typed(name, value["default"], kind)
    if made is None:
        wanted = _wanted(Variable(name, kind, None, "EUR"))
        text = f"{where}default: expected {wanted}, got {json_type(value['default'])}"
        found.append(document.problem((*path, "default"), text))
    return made


def _typed(name: str, value: Json, kind: str | None) -> Variable | None:
    """Reads a value as a type, or as the type that it looks like; None where it is not one."""
    amount = AMOUNT.fullmatch(value) if isinstance(value, str) else None
    looks = None
    if isinstance(value, bool):
        looks = "bool"
    elif isinstance(value, int | Decimal):
        looks = "number"
    elif isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        looks = "texts"
    elif isinstance(value, str) and value:
        looks = "amount" if amount else "span" if _SPAN.fullmatch(value) else "text"
    kind = kind or looks
    if kind == "text" and isinstance(value, str):
        return Variable(name, "text", value)
    if looks is None or looks != kind:
        return None
    if amount is not None:
        number = Decimal(amount[1])
        return Variable(name, "amount", int(number) if "." not in amount[1] else number, amount[2])
    return Variable(name, kind, tuple(value) if looks == "texts" else value)


# --- putting values in ---------------------------------------------------------------------------------
def substitute(document: Document, found: list[Problem]) -> set[str]:
    """Puts values in the places of names, and returns the names that were met in the file."""
    filling = _Filling(document, found)
    if isinstance(document.value, dict):
        document.value = {
            key: value if key == "vars" else filling.value(value, (key,), in_fetch=False)
            for key, value in document.value.items()
        }
    return filling.met


class _Filling:
    """One document while its names are replaced."""

    def __init__(self, document: Document, found: list[Problem]) -> None:
        self._document = document
        self._found = found
        self.met: set[str] = set()

    def value(self, value: Json, path: Path, *, in_fetch: bool) -> Json:
        if isinstance(value, dict):
            fetch = "fetch" in value
            made = {k: self.value(v, (*path, k), in_fetch=fetch) for k, v in value.items()}
            if len(path) == 2 and path[0] == "budgets":
                self._limit(made, path)
            return made
        if isinstance(value, list):
            return list(self._items(value, path))
        if not isinstance(value, str) or "$" not in value:
            return value
        key = path[-1]
        if key == "message":
            return _INSIDE.sub(lambda name: self._written(name, path), value)
        found = _WHOLE.fullmatch(value)
        if (
            key in _EXPRESSIONS
            or (key == "from" and "unit" in path)
            or (in_fetch and key in _OF_FETCH)
        ):
            self.met.update(name["name"] for name in _TOKEN.finditer(value) if name["name"])
            number = found and self._document.variables.get(found[2])
            if key == "amount" and number and number.type in ("number", "amount"):
                return number.value
            return value
        if found is None:
            return value
        return "$" + found[2] if found[1] else self._of(found[2], path)

    def _items(self, value: Iterable[Json], path: Path) -> Iterator[Json]:
        for i, item in enumerate(value):
            made = self.value(item, (*path, i), in_fetch=False)
            if isinstance(made, list) and not isinstance(item, list):
                yield from made  # a variable that is a list, among others
            else:
                yield made

    def _of(self, name: str, path: Path) -> Json:
        variable = self._document.variables.get(name)
        self.met.add(name)
        if variable is None or variable.value is None:
            self._found.append(
                self._document.problem(path, missing(name, self._document.variables))
            )
            return f"${name}"  # what its place says of that is not told again
        if variable.type == "amount" and path[-1] == "limit":
            return variable.written
        return list(variable.value) if isinstance(variable.value, tuple) else variable.value

    def _written(self, found: re.Match[str], path: Path) -> str:
        variable = self._document.variables.get(found[1])
        if variable is None:
            return found[0]  # a price in a sentence, or anything else
        self.met.add(found[1])
        if variable.value is None:
            text = missing(found[1], self._document.variables)
            self._found.append(self._document.problem(path, text, offset=found.start()))
        return variable.written

    def _limit(self, budget: dict[str, Json], path: Path) -> None:
        """A limit may be written with its unit, which must be the one that is summed."""
        limit = budget.get("limit")
        found = AMOUNT.fullmatch(limit) if isinstance(limit, str) else None
        if found is None:
            return
        unit = budget.get("sum")
        if unit != found[2]:
            what = f"it sums {unit}" if isinstance(unit, str) else "it sums nothing"
            text = f"budget '{budget.get('name')}': limit: is in {found[2]}, but {what}"
            self._found.append(self._document.problem((*path, "limit"), text))
        budget["limit"] = int(found[1]) if "." not in found[1] else Decimal(found[1])


def missing(name: str, variables: Mapping[str, Variable]) -> str:
    """Returns what is said of a name that has no value."""
    if name in variables:
        return f"the variable '${name}' has no value yet; state it under 'vars:'"
    near = did_you_mean(f"${name}", [f"${known}" for known in variables])
    return f"unknown variable '${name}'{near or f'; state it under vars, or write $${name} for the text'}"


@dataclass(frozen=True, slots=True)
class Expanded:
    """An expression with literals in the places of names, and the way back to what was written."""

    text: str
    fault: tuple[int, str] | None = (
        None  # characters into what was written, and what is wrong there
    )
    starts: tuple[int, ...] = ()  # where each literal begins in `text`
    ends: tuple[int, ...] = ()  # and ends
    origins: tuple[tuple[int, int], ...] = ()  # where its name begins and ends in what was written

    def offset(self, at: int) -> int:
        """Returns where a character of `text` was written."""
        before = bisect_right(self.starts, at) - 1
        if before < 0:
            return at
        begin, end = self.origins[before]
        return begin if at < self.ends[before] else end + at - self.ends[before]


def expand(text: str, variables: Mapping[str, Variable]) -> Expanded:
    """Puts literals into an expression."""
    if "$" not in text:
        return Expanded(text)
    made: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    origins: list[tuple[int, int]] = []
    at = length = 0
    for token in _TOKEN.finditer(text):
        name = token["name"]
        if name is None:
            continue
        variable = variables.get(name)
        if variable is None or variable.value is None:
            return Expanded(text, (token.start(), missing(name, variables)))
        kept, literal = text[at : token.start()], variable.literal
        made += [kept, literal]
        starts.append(length + len(kept))
        length += len(kept) + len(literal)
        ends.append(length)
        origins.append(token.span())
        at = token.end()
    made.append(text[at:])
    return Expanded("".join(made), None, tuple(starts), tuple(ends), tuple(origins))
