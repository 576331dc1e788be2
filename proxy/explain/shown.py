"""Values as an explanation shows them: without secrets, in one line, cut where they are long.

What belongs here: `Shown`, which knows what the session has met, and the forms of numbers, times and spans.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from proxy.model import Json
from proxy.redact import redact, redact_text
from proxy.rehearsal.written import json_text

MOST_CHARS = 72


class Masking(Protocol):
    """Who knows the secrets that a session has met (`StoryFacts`)."""

    def shown(self, arguments: Json) -> Json: ...


class Shown:
    """Takes out of values what must not be read by who has a terminal."""

    def __init__(self, masking: Masking | None = None) -> None:
        self._masking = masking

    def value(self, value: Json, name: str = "") -> Json:
        """Returns a value as it may be shown; `name` is the field that it stands in."""
        masked = value if self._masking is None else self._masking.shown(value)
        plain = _plain(masked)
        if not name:
            return redact(plain)
        redacted = redact({name: plain})
        return redacted.get(name, plain) if isinstance(redacted, dict) else redacted

    def text(self, text: str) -> str:
        """Returns a text that may quote values."""
        masked = text if self._masking is None else str(self._masking.shown(text))
        return redact_text(masked)


def literal(value: Json, most: int = MOST_CHARS) -> str:
    """Returns a value as CEL writes it, cut where it is long."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        text = f"{value:.1f}"
    else:
        text = json_text(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def moment(at_ms: int) -> str:
    """Returns a moment, UTC: 2026-01-06 09:00:00Z."""
    whole, part = divmod(at_ms, 1000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{part:03}Z" if part else f"{text}Z"


def span(duration_ms: int) -> str:
    """Returns a span in its two largest units: 24h, 1h 5m, 12s."""
    left = max(0, duration_ms) // 1000
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= size and (unit != "d" or left >= 2 * size):
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2]) or "0s"


def _plain(value: Json) -> Json:
    """Returns what CEL gave as JSON: its own values (times, bytes) as text."""
    if value is None or isinstance(value, str | bool | int | float | Decimal):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
