"""What a model told another model: texts in arguments that come back as if a user had said them.

What belongs here: the digests of what a call's arguments say, and a user message without what they say.
A client that starts a sub-agent puts an argument of a call (`Task(prompt=…)`) into a user message, often
under its own session's name, with lines of its own around it. Those words are the model's: an address in
them is not one that the user has named. Whole texts and single lines are compared; nothing is kept of them
but digests.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from proxy.canonical import sha256_hex
from proxy.model import Json

MOST_CALLS = 512
"""Of how many calls of a family it is known what their arguments said."""
_LEAST_CHARS = 4
_LINES = 200
_VALUES = 64
_MOST_LINES = 4096
"""Lines of a message that are looked up; what lies behind them is nobody's word."""


def told_in(arguments: Json) -> tuple[str, ...]:
    """Returns the digests of the texts in a call's arguments, the lines first, each once."""
    lines: dict[str, None] = {}
    texts: dict[str, None] = {}
    for text in _texts(arguments):
        texts[_digest(text)] = None
        if len(lines) < _LINES and "\n" in text.strip():
            lines.update(
                (_digest(line), None) for line in text.splitlines()[:_LINES] if _says(line)
            )
    return (*lines, *texts)


def without_told(text: str, among: Callable[[Sequence[str]], Collection[str]]) -> str:
    """Returns a user message without the texts and lines that a model has told.

    Args:
        text: the message.
        among: returns which of some digests are of what was told.
    """
    lines = text.splitlines()
    looked_at = lines[:_MOST_LINES]
    known = among(tuple(dict.fromkeys(map(_digest, (text, *filter(_says, looked_at))))))
    if _digest(text) in known:
        return ""
    kept = [line for line in looked_at if not _says(line) or _digest(line) not in known]
    return text if len(kept) == len(lines) else "\n".join(kept)


def _texts(value: Json) -> Iterator[str]:
    stack: list[Json] = [value]
    for _ in range(_VALUES):
        if not stack:
            return
        item = stack.pop()
        if isinstance(item, str) and _says(item):
            yield item
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _says(text: str) -> bool:
    return len(text.strip()) >= _LEAST_CHARS


def _digest(text: str) -> str:
    return sha256_hex(text.strip().encode("utf-8", "surrogatepass"))[:12]
