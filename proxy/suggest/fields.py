"""The arguments of one tool, as calls had them and as its definition states them.

What belongs here: counting, by path, how often an argument was there, of which types, and whether every value of it would do as
an amount or as a target. A few examples stay, as the log has them: redacted there, and here once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from proxy.model import Json
from proxy.policy.amounts import AmountFault, read_amount, read_target
from proxy.policy.units import CURRENCIES, normal_unit
from proxy.redact import redact_text

type FieldPath = tuple[str, ...]

_MOST_FIELDS = 64
_MOST_EXAMPLES = 3
_MOST_CURRENCIES = 16
_DEPTH = 3
_TYPES = {bool: "boolean", str: "text", int: "number", float: "number", Decimal: "number"}


@dataclass(slots=True)
class Field:
    """One argument; `order.id` of `{"order": {"id": …}}` is one."""

    path: FieldPath
    calls: int = 0  # that had it, and not as null
    types: Counter[str] = field(default_factory=Counter)
    amounts: int = 0  # how many values would do as an amount
    targets: int = 0  # how many would do as a target
    currencies: Counter[str] = field(
        default_factory=Counter
    )  # that values name, as budgets write them
    others: int = 0  # values that name none
    least: Decimal | None = None
    most: Decimal | None = None
    examples: dict[str, None] = field(default_factory=dict)
    stated: str | None = None  # the type that the definition states
    description: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False  # the definition asks for it, and for all that it stands in

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def add(self, other: Field) -> None:
        """Takes in the same argument of the same tool under another name."""
        self.calls += other.calls
        self.amounts += other.amounts
        self.targets += other.targets
        self.others += other.others
        self.types.update(other.types)
        self.currencies.update(other.currencies)
        for name, better in (("least", min), ("most", max)):
            both = [v for v in (getattr(self, name), getattr(other, name)) if v is not None]
            setattr(self, name, better(both, default=None))
        self.examples = dict.fromkeys([*self.examples, *other.examples][:_MOST_EXAMPLES])
        self.stated = self.stated or other.stated
        self.description = self.description or other.description
        self.choices = self.choices or other.choices
        self.required = self.required or other.required

    def take(self, value: Json) -> None:
        self.calls += 1
        kind = _TYPES.get(type(value), "list" if isinstance(value, list) else "object")
        self.types[kind] += 1
        self._as_number(value)
        try:
            read_target(value)
            self.targets += 1
        except AmountFault:
            pass
        if not isinstance(value, str):
            return
        unit = normal_unit(value)
        if unit in CURRENCIES and (
            unit in self.currencies or len(self.currencies) < _MOST_CURRENCIES
        ):
            self.currencies[unit] += 1
        else:
            self.others += 1
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples[redact_text(value[:200])] = None

    def _as_number(self, value: Json) -> None:
        try:
            amount = read_amount(value)
        except AmountFault:
            return
        self.amounts += 1
        self.least = amount if self.least is None else min(self.least, amount)
        self.most = amount if self.most is None else max(self.most, amount)


@dataclass(slots=True)
class Fields:
    """All arguments of one tool."""

    calls: int = 0
    by_path: dict[FieldPath, Field] = field(default_factory=dict)
    left_out: bool = False

    def take(self, arguments: Json) -> None:
        """Counts one call's arguments; what is no object has none that could be named."""
        self.calls += 1
        for path, value in _walk(arguments, ()) if isinstance(arguments, dict) else ():
            found = self._field(path)
            if found is not None:
                found.take(value)

    def add(self, other: Fields) -> None:
        """Takes in the arguments of the same tool under another name."""
        self.calls += other.calls
        self.left_out |= other.left_out
        for path, one in other.by_path.items():
            found = self._field(path)
            if found is not None:
                found.add(one)

    def state(self, schema: Json) -> None:
        """Takes in what a definition says of the arguments."""
        if isinstance(schema, dict):
            self._state(schema, (), required=True)

    def _state(self, schema: Mapping[str, Json], above: FieldPath, *, required: bool) -> None:
        properties, needed = schema.get("properties"), schema.get("required")
        if not isinstance(properties, dict) or len(above) >= _DEPTH:
            return
        for name, one in properties.items():
            if not isinstance(one, dict):
                continue
            is_needed = required and isinstance(needed, list) and name in needed
            if isinstance(one.get("properties"), dict):
                self._state(one, (*above, name), required=is_needed)
                continue
            found = self._field((*above, name))
            if found is None:
                return
            stated = one.get("type")
            found.stated = stated if isinstance(stated, str) else found.stated
            said = one.get("description")
            found.description = said if isinstance(said, str) else found.description
            listed = one.get("enum")
            if isinstance(listed, list):
                found.choices = tuple(c for c in listed if isinstance(c, str))
            found.required = is_needed

    def _field(self, path: FieldPath) -> Field | None:
        found = self.by_path.get(path)
        if found is None:
            if len(self.by_path) >= _MOST_FIELDS:
                self.left_out = True
                return None
            found = self.by_path[path] = Field(path)
        return found

    def is_sure(self, one: Field) -> bool:
        """Whether every call is known to have an argument: all that were seen, or else what is stated."""
        return one.calls == self.calls if self.calls else one.required

    def __iter__(self) -> Iterator[Field]:
        return iter(self.by_path.values())


def _walk(value: Mapping[str, Json], above: FieldPath) -> Iterator[tuple[FieldPath, Json]]:
    for key, item in value.items():
        path = (*above, str(key))
        if isinstance(item, dict) and item and len(path) < _DEPTH:
            yield from _walk(item, path)
        elif item is not None:
            yield path, item
