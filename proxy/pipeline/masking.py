"""Secrets that a session has met, taken out of what is shown of a later call: the log, holds.

What belongs here: `masked`, which knows a secret by where it came from and not by its shape (that is `redact.py`'s), so
that a pass phrase, half a key or one in base64 is not written down either. Of a longer text only the words go that are
part of a secret, or all of it where no single word tells. What the user said, and what another result says openly, stays.
"""

from __future__ import annotations

import re
from typing import Protocol

from proxy.model import Json, Origin

MASK = "[redacted:secret]"
_SECRET = "secret"  # noqa: S105 - a label
_SPACES = re.compile(r"(\s+)")
_MOST_WORDS = 400
_MOST_LEAVES = 500
_DEEPEST = 24


class Origins(Protocol):
    """Who knows where values came from."""

    def origin(self, value: Json) -> Origin: ...


def masked(value: Json, facts: Origins) -> Json:
    """Returns a call's arguments without what is known to be a secret of the session."""
    return _Masking(facts).value(value, 0)


class _Masking:
    def __init__(self, facts: Origins) -> None:
        self._facts = facts
        self._left = _MOST_LEAVES

    def value(self, value: Json, depth: int) -> Json:
        if isinstance(value, str):
            return self._text(value)
        if depth >= _DEEPEST:
            return MASK if isinstance(value, dict | list) and value else value
        if isinstance(value, dict):
            return {self._text(key): self.value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, depth + 1) for item in value]
        if isinstance(value, bool) or value is None:
            return value
        return MASK if self._is_secret(value) else value

    def _text(self, text: str) -> str:
        if not self._is_secret(text):
            return text
        words = _SPACES.split(text)
        if 1 < len(words) <= _MOST_WORDS:
            shown = [MASK if word.strip() and self._is_secret(word) else word for word in words]
            if shown != words:
                return "".join(shown)
        return MASK

    def _is_secret(self, value: Json) -> bool:
        self._left -= 1
        if self._left < 0:
            return True  # too much to look at: what was not looked at is not shown
        origin = self._facts.origin(value)
        if origin.user or origin.system:
            return False
        secret = [s for s in origin.sources if any(x.startswith(_SECRET) for x in s.labels)]
        if not secret:
            return False
        calls = {source.call_key for source in secret}
        return all(source.call_key in calls for source in origin.sources)
