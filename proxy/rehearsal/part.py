"""A mapping of a cases file while it is read: each key taken once, each mistake with its place.

What belongs here: taking values of a stated type out of a mapping, and noticing the keys that nobody
took. Reading goes on after a mistake, so that one run finds all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from proxy.model import Json
from proxy.policy.problems import did_you_mean
from proxy.policy.yamlnodes import Document, Path

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_LONGEST_S = 10 * 366 * 86400


class Part:
    """One mapping of a document; mistakes go to the document's list."""

    def __init__(self, document: Document, path: Path, what: str) -> None:
        value: Json = document.value
        for step in path:
            value = value[step]
        self.document = document
        self.path = path
        self.what = what
        self._taken: dict[str, None] = {}
        self.is_mapping = isinstance(value, dict)
        if not self.is_mapping:
            self.fault(None, f"expected a mapping of keys to values, got {kind_of(value)}")
        self.value: dict[str, Json] = value if isinstance(value, dict) else {}

    @property
    def place(self) -> tuple[int, int]:
        """Line and column, from one."""
        problem = self.document.problem(self.path, "")
        return problem.line, problem.col

    def fault(self, key: str | None, text: str, *, at_key: bool = False) -> None:
        """Notes a mistake, at a key's value where one is named."""
        path = self.path if key is None else (*self.path, key)
        named = f"{self.what}: " if key is None else f"{self.what}: {key}: "
        self.document.problems.append(self.document.problem(path, named + text, key=at_key))

    def has(self, key: str) -> bool:
        return key in self.value

    def take(self, key: str) -> Json:
        """Returns a value of any type, None where the key is not there."""
        self._taken[key] = None
        return self.value.get(key)

    def text(self, key: str) -> str | None:
        """Returns a text; numbers are read as they would be written."""
        value = self.take(key)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return str(value)
        self.fault(key, f"expected text, got {kind_of(value)}")
        return None

    def need_text(self, key: str) -> str:
        if self.value.get(key) is None:
            self._taken[key] = None
            if self.is_mapping:
                self.fault(None, f"the key '{key}' is missing")
            return ""
        return self.text(key) or ""

    def texts(self, key: str) -> tuple[str, ...]:
        """Returns a list of texts; one text stands for a list of one."""
        value = self.take(key)
        if value is None:
            return ()
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.fault(key, f"expected text or a list of texts, got {kind_of(value)}")
        return ()

    def flag(self, key: str) -> bool:
        value = self.take(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.fault(key, f"expected true or false, got {kind_of(value)}")
        return False

    def count(self, key: str, *, most: int) -> int | None:
        value = self.take(key)
        if value is None:
            return None
        if type(value) is int and 1 <= value <= most:
            return value
        self.fault(key, f"expected a whole number from 1 to {most}")
        return None

    def number(self, key: str) -> Decimal | None:
        value = self.take(key)
        if value is None:
            return None
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return Decimal(value)
        self.fault(key, f"expected a number, got {kind_of(value)}")
        return None

    def duration_s(self, key: str) -> Decimal:
        text = self.text(key) or ""
        found = _DURATION.fullmatch(text)
        seconds = Decimal(found[1]) * _SECONDS[found[2]] if found else Decimal(-1)
        if found is None or seconds > _LONGEST_S:
            self.fault(key, f"'{text}' is no duration; write for example 30s, 15m, 24h or 7d")
            return Decimal(0)
        return seconds

    def moment_ms(self, key: str) -> int | None:
        text = self.text(key)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fault(key, f"'{text}' is no date and time; write for example 2026-01-05T22:30:00Z")
            return None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)

    def word(self, key: str, words: Sequence[str]) -> str | None:
        text = self.text(key)
        if text is None or text in words:
            return text
        near = did_you_mean(text, words)
        self.fault(key, f"'{text}' is not one of {', '.join(words)}{near}")
        return None

    def mapping(self, key: str) -> dict[str, Json]:
        value = self.take(key)
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        self.fault(key, f"expected a mapping of keys to values, got {kind_of(value)}")
        return {}

    def texts_by_name(self, key: str) -> dict[str, str]:
        """Returns a mapping of names to texts (headers, a query)."""
        made: dict[str, str] = {}
        for name, value in self.mapping(key).items():
            if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
                self.fault(key, f"{name}: expected text, got {kind_of(value)}")
                continue
            made[name] = str(value)
        return made

    def part(self, key: str, what: str) -> Part:
        """Returns the mapping under a key, to be read by itself."""
        self._taken[key] = None
        return Part(self.document, (*self.path, key), what)

    def parts(self, key: str, what: str) -> Iterator[Part]:
        """Yields the mappings of the list under a key."""
        value = self.take(key)
        if not isinstance(value, list):
            self.fault(key, f"expected a list, got {kind_of(value)}")
            return
        for i in range(len(value)):
            yield Part(self.document, (*self.path, key, i), f"{what} {i + 1}")

    def end(self) -> None:
        """Notes the keys that nobody took."""
        for key in self.value:
            if key not in self._taken:
                near = did_you_mean(key, self._taken)
                where = (*self.path, key)
                text = f"{self.what}: unknown key '{key}'{near}"
                self.document.problems.append(self.document.problem(where, text, key=True))


def kind_of(value: Json) -> str:
    """Returns what a value is called in messages."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | Decimal):
        return "a number"
    return "a list" if isinstance(value, list) else "a mapping"
