"""Names of gates made of what rules are called elsewhere."""

from __future__ import annotations

import re

_MOST_CHARS = 40


def slug(text: str, otherwise: str) -> str:
    """Returns small letters, digits and dashes; `otherwise` where nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_MOST_CHARS] or otherwise


def free(name: str, taken: set[str]) -> str:
    """Returns a name that is not taken, with a number where it has to be, and takes it."""
    made, number = name, 2
    while made in taken:
        made, number = f"{name}-{number}", number + 1
    taken.add(made)
    return made
