"""What tools do, in two sets.

How it works. Entries are compared name by name, for a name may move from one entry to another; of several entries of one name the
first counts. A call more that has an effect is judged more strictly, and so is what comes after it; one that was unmapped and is
known now is no more held for that, and counts for other rules: neither direction is sure of it, and the text says so.
An effect may also be what a requirement waits for, or what clears a chain; then more of it may mean less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from proxy.model import Json, Verdict
from proxy.policy.cel import Expression
from proxy.policy.diff import conditions, globs
from proxy.policy.diff.changes import Change, Direction
from proxy.policy.effects import CompiledEffect
from proxy.policy.load import Loaded
from proxy.policy.routes import Route
from proxy.policy.tools import ToolEntry

_FIELDS = ("amount", "unit", "target", "reversibility", "points", "labels", "when", "data")


@dataclass(frozen=True, slots=True)
class _Known:
    """One name or route, and the entry that is about it."""

    what: str
    entry: ToolEntry

    @property
    def place(self) -> str:
        return f"{self.entry.site.file}:{self.entry.site.line}"


def compare_tools(old: Loaded, new: Loaded) -> Iterator[Change]:
    """Yields what is otherwise about tools."""
    before, after = _by_name(old.tools), _by_name(new.tools)
    grouped: dict[tuple[Direction, str, str], list[str]] = {}
    for name, known in after.items():
        other = before.get(name)
        found = (
            _is_new(known, old, new, before)
            if other is None
            else _differences(other.entry, known.entry, old, new)
        )
        for direction, text in found:
            grouped.setdefault((direction, text, known.place), []).append(known.what)
    for name, known in before.items():
        if name not in after:
            for direction, text in _is_new(known, new, old, after):
                key = (direction.turned, text.replace("is known now", "is not known any more"))
                grouped.setdefault((*key, known.place), []).append(known.what)
    for (direction, text, place), names in grouped.items():
        listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield Change(direction, f"tool {listed}", text, place)


def _by_name(tools: Sequence[ToolEntry]) -> dict[str, _Known]:
    made: dict[str, _Known] = {}
    for tool in tools:
        if tool.route is not None:
            made.setdefault(f"http {tool.route!r}", _Known(tool.label, tool))
            continue
        for name in tool.names:
            made.setdefault(f"name {name}", _Known(f"'{name}'", tool))
    return made


def _is_new(
    known: _Known, there: Loaded, here: Loaded, others: Mapping[str, _Known]
) -> Iterator[tuple[Direction, str]]:
    """Yields what it means that a set (`here`) has an entry which the other (`there`) has not."""
    entry = known.entry
    does = _effects_words(entry)
    name = known.what.strip("'")
    rivals = [o for o in others.values() if o.entry.route is None and _meet(o.what, name)]
    if entry.route is not None:
        # A request that no entry names is not judged at all (docs/rules.md, tools).
        met = any(_same_requests(entry.route, o.entry.route) for o in others.values())
        waited = any(
            _is_waited_for(e.kind, one) for e in entry.all_effects for one in (here, there)
        )
        direction = Direction.UNSURE if met or waited else Direction.STRICTER
        yield direction, f"is known now, and judged: {does}"
    elif rivals or entry.guesses:
        text = f"is known now by an entry of its own: {does}"
        yield Direction.UNSURE, text
    elif not entry.all_effects and entry.reader is None and entry.returns is None:
        direction = Direction.NEUTRAL if there.unmapped is Verdict.ALLOW else Direction.LOOSER
        yield direction, f"is known now: {does}"
    else:
        otherwise = {
            Verdict.ALLOW: "it passed as unmapped",
            Verdict.HOLD: "it was held as unmapped",
            Verdict.BLOCK: "it was blocked as unmapped",
        }[there.unmapped]
        adds = all(_only_adds(effect.kind, (), there, here) for effect in entry.all_effects)
        passed = there.unmapped is Verdict.ALLOW and adds and entry.returns is None
        direction = Direction.STRICTER if passed else Direction.UNSURE
        yield direction, f"is known now: {does}; {otherwise}"


def _same_requests(one: Route, two: Route | None) -> bool:
    """Whether there may be a request that fits both, of which one alone is asked."""
    return (
        two is not None
        and globs.any_overlap(one.methods, two.methods)
        and globs.any_overlap(one.hosts, two.hosts)
    )


def _meet(what: str, name: str) -> bool:
    return globs.overlap(what.strip("'"), name)


def _differences(
    old: ToolEntry, new: ToolEntry, before: Loaded, after: Loaded
) -> Iterator[tuple[Direction, str]]:
    if type(old.reader) is not type(new.reader):
        yield Direction.UNSURE, f"is read another way: {_effects_words(new)}"
        return
    if old.reader is not None and _reading(old) != _reading(new):
        yield Direction.UNSURE, "is read by other keys"
    if _stated(old, "returns") != _stated(new, "returns"):
        yield Direction.UNSURE, "its results are worth something else (`returns`)"
    if old.reader is None:
        yield from effect_changes(old.effects, new.effects, before, after)


def effect_changes(
    old: Sequence[CompiledEffect], new: Sequence[CompiledEffect], before: Loaded, after: Loaded
) -> Iterator[tuple[Direction, str]]:
    """Yields what differs in two lists of effects; they are paired by kind, in order."""
    left = list(old)
    for effect in new:
        other = next((e for e in left if e.kind == effect.kind), None)
        if other is None:
            sure = _only_adds(effect.kind, old, before, after)
            direction = Direction.STRICTER if sure else Direction.UNSURE
            yield direction, f"has one effect more: {_words(effect)}"
            continue
        left.remove(other)
        told = [_field(name, other, effect) for name in _FIELDS if _differs(name, other, effect)]
        if _settled(other) != _settled(effect):
            told.append("settled otherwise")
        if told:
            yield Direction.UNSURE, f"{effect.kind}: {'; '.join(told)}"
    for effect in left:
        sure = _only_adds(effect.kind, new, before, after)
        direction = Direction.LOOSER if sure else Direction.UNSURE
        yield direction, f"has not this effect any more: {_words(effect)}"


def _only_adds(kind: str, without: Sequence[CompiledEffect], before: Loaded, after: Loaded) -> bool:
    """Whether a call with an effect of this kind is sure to be judged at least as strictly as `without` it.

    A call that has no effect at all is shown to gates as one with an empty kind, which a gate may be about.
    """
    if any(_is_waited_for(kind, loaded) for loaded in (before, after)):
        return False
    may_have_none = all(effect.when is not None for effect in without)
    gates = (*before.gates, *after.gates)
    return not may_have_none or all(conditions.needs_an_effect(g.when.text) for g in gates)


def _is_waited_for(kind: str, loaded: Loaded) -> bool:
    """Whether an effect of a kind may let something pass: as evidence, or by clearing a chain."""
    return any(r.wants(kind) for r in loaded.requires) or any(
        c.clears(kind) or c.flow != "order" for c in loaded.chains
    )


def _differs(name: str, old: CompiledEffect, new: CompiledEffect) -> bool:
    return _shown(getattr(old, name)) != _shown(getattr(new, name))


def _field(name: str, old: CompiledEffect, new: CompiledEffect) -> str:
    return f"{name} {_shown(getattr(old, name))} -> {_shown(getattr(new, name))}"


def _shown(value: object) -> str:
    if isinstance(value, Expression):
        return value.text
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _settled(effect: CompiledEffect) -> tuple[str, str]:
    settle = effect.settle
    return ("", "") if settle is None else (_shown(settle.ok), _shown(settle.amount))


def _reading(entry: ToolEntry) -> list[Json]:
    keys = ("argument", "dialect", "url", "method", "body", "headers", "effects")
    return [_stated(entry, key) for key in keys]


def _stated(entry: ToolEntry, key: str) -> Json:
    value = entry.site.document.value
    for step in entry.site.path:
        value = value[step]
    return value.get(key)


def _effects_words(entry: ToolEntry) -> str:
    if entry.reader is not None:
        return f"read by '{type(entry.reader).__name__.removesuffix('Reader').lower()}:'"
    return ", ".join(map(_words, entry.effects)) or "no effect"


def _words(effect: CompiledEffect) -> str:
    amount = "" if effect.amount is None else f" {_shown(effect.amount)}"
    unit = "" if effect.unit is None else f" {_shown(effect.unit)}"
    when = "" if effect.when is None else f" when {effect.when.text}"
    return f"{effect.kind}{amount}{unit}{when}"
