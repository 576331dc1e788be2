"""Texts of strangers as text of a YAML file: values that are read as they were, and comments that end where they should.

What belongs here: quoting, and which names a rule file can state at all. A value is plain where it is a word, else double-quoted
with everything escaped that is not printed. A text within a comment is quoted likewise, on one line, cut, and
without a `#` of its own: `# checkrein: ignore[…]` in a tool's description would silence a warning.
"""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[.-][A-Za-z0-9_]+)*", re.ASCII)
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_VARIABLE = re.compile(r"\$(\$?)[a-z_][a-z0-9_]*", re.ASCII)
_GLOB = frozenset("*?[]")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
MOST_NAME_CHARS = 256
MOST_SHOWN_CHARS = 60


def why_unwritable(name: str) -> str | None:
    """Returns why a rule file cannot name this tool and no other, None where it can."""
    if not name.strip() or len(name) > MOST_NAME_CHARS:
        return "is empty or too long"
    if not name.isprintable():
        return "has letters that are not printed"
    if _GLOB & set(name):
        return "would be a pattern that other names fit too"
    found = _VARIABLE.fullmatch(name)
    if found is not None and found[1]:
        return "begins with two dollar signs, which a rule file reads as one"
    return None


def scalar(text: str) -> str:
    """Returns a value of a rule file that is read as this text; `$name` becomes `$$name`."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    written = f"${text}" if _VARIABLE.fullmatch(text) else text
    return f'"{"".join(map(_escaped, written))}"'


def shown(text: str, most: int = MOST_SHOWN_CHARS) -> str:
    """Returns a text within a comment: quoted, in one line, cut."""
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    made = "".join(map(_escaped, cut))
    for sign in ("#", "checkrein:"):
        made = made.replace(sign, f"{sign[:-1]}\\u{ord(sign[-1]):04x}")
    return f'"{made}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
