"""The rule file that is proposed, as text: entries and budgets, each below a comment that says why.

What belongs here: laying out. The file is in shadow; whoever wants it in force takes that line away.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from proxy.policy.yaml_text import scalar
from proxy.suggest.budget import Meter, Proposed
from proxy.suggest.unknown import Entry

_WIDTH = 118
_IGNORED = "  # checkrein: ignore[unproduced-kind]"


def file_text(
    pack: str, head: Sequence[str], entries: Sequence[Entry], budgets: Sequence[Proposed]
) -> str:
    """Returns the file."""
    lines = [*_comment(head, ""), "version: 1", f"pack: {scalar(pack)}", "mode: shadow"]
    if entries:
        lines += ["", "tools:"]
    for entry in entries:
        lines += _entry(entry)
    if budgets:
        lines += ["", "budgets:"]
    for budget in budgets:
        lines += _comment(budget.about(), "  ")
        extra = _IGNORED if budget.elsewhere else ""
        lines.append(f"  {budget.meter.written(budget.name, budget.limit, extra)}")
    return "\n".join(lines) + "\n"


def measuring_text(pack: str, entries: Sequence[Entry], meters: Sequence[tuple[str, Meter]]) -> str:
    """Returns a file with the same entries and budgets that never end."""
    lines = ["version: 1", f"pack: {scalar(pack)}", "mode: shadow"]
    lines += ["tools:"] if entries else []
    for entry in entries:
        lines += _bare(entry)
    lines += ["budgets:"] if meters else []
    lines += [f"  {meter.written(name, _ENDLESS)}" for name, meter in meters]
    return "\n".join(lines) + "\n"


_ENDLESS = Decimal(10) ** 17


def _entry(entry: Entry) -> Iterator[str]:
    yield from _comment(entry.about(), "  ")
    yield from _bare(entry)
    if entry.deed.trusted and entry.deed.kind is None:
        yield "    # returns: {trust: trusted}  # if all that it brings is your own"


def _bare(entry: Entry) -> Iterator[str]:
    names = [scalar(name) for name in entry.names]
    yield f"  - name: {names[0] if len(names) == 1 else f'[{", ".join(names)}]'}"
    deed, told = entry.deed, entry.measured
    if deed.kind is None:
        yield "    effects: []"
        return
    yield "    effects:"
    yield f"      - kind: {scalar(deed.kind)}"
    if told.amount is not None:
        yield f"        amount: {told.amount}"
        yield f"        unit: {f'{{from: {told.unit_from}}}' if told.unit_from else scalar(told.unit or '')}"
    if told.target is not None:
        yield f"        target: {told.target}"
    yield f"        reversibility: {deed.reversibility.value}"


def _comment(sentences: Iterable[str], indent: str) -> Iterator[str]:
    for sentence in sentences:
        lead = f"{indent}# "
        yield from textwrap.wrap(
            sentence,
            _WIDTH,
            initial_indent=lead,
            subsequent_indent=f"{lead}  ",
            break_long_words=False,
            break_on_hyphens=False,
        ) or [lead.rstrip()]
