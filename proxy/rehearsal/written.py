"""Values as text: results as JSON, arguments with a number in them, texts cut for a line."""

from __future__ import annotations

from proxy.model import Json
from proxy.wire.jsontext import encode

_SHOWN_CHARS = 120


def json_text(value: Json) -> str:
    """Returns compact JSON; amounts with a fraction are written as numbers."""
    return encode(value).decode("utf-8", "replace")


def shown(text: str) -> str:
    """Returns a text in one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else f"{line[: _SHOWN_CHARS - 1]}…"


def with_number(value: Json, number: int) -> Json:
    """Returns a value with `{n}` in its texts replaced by a number."""
    if isinstance(value, str):
        return value.replace("{n}", str(number))
    if isinstance(value, dict):
        return {key: with_number(item, number) for key, item in value.items()}
    if isinstance(value, list):
        return [with_number(item, number) for item in value]
    return value
