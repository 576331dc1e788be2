"""What is said of a suggestion beside it: how much there is, and what a reader should know first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from proxy.suggest.budget import plural
from proxy.suggest.suggesting import Suggestion


def summary(made: Suggestion, out: Path | None) -> Iterator[str]:
    """Yields lines for people; texts of strangers in them are quoted, not made safe for a terminal."""
    if made.text is None:
        yield "Nothing to suggest: no tool lacks an entry that could have one, and no budget is missing."
    else:
        where = f" in {out}" if out is not None else ""
        tools = plural(len(made.entries), "tool")
        yield f"{tools} and {plural(len(made.budgets), 'budget')} proposed{where}, in shadow: nothing is switched on."
    if made.torn is not None:
        yield f"{made.torn}: the last line is not finished, left out"
    yield from made.notes
