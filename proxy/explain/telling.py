"""An explanation for people: short lines, a condition with its values under it, what would have allowed the call.

What belongs here: words, columns and colours. Everything that is printed goes through `plain`: arguments and logs
are other people's, and a terminal obeys what it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from proxy.canonical import number_text
from proxy.explain.findings import (
    Asked,
    BudgetFound,
    Came,
    ChainFound,
    EffectFound,
    Explanation,
    LogSays,
    RequireFound,
    RuleFound,
)
from proxy.explain.parts import Part, State
from proxy.explain.shown import literal, moment
from proxy.explain.way import Way
from proxy.model import Json, Verdict
from proxy.policy.celtree import Kind

type Style = Callable[[str, str], str]
"""(text, what it is) to the text with a colour: allow, hold, block, dim, bold, good, bad."""

_MOST_IN_FULL = 6
"""Gates that did not match, up to which each is told with its values."""
_WIDEST = 58
_BAR = 20
_CAME = {
    Came.MATCHED: "matched",
    Came.NOT_MATCHED: "did not match",
    Came.FAULT: "could not be evaluated",
}


def no_style(text: str, _what: str) -> str:
    return text


@dataclass(frozen=True, slots=True)
class Telling:
    """How it is told: `in_full` names everything that was asked, `plain` makes a text harmless for a terminal."""

    plain: Callable[[object], str]
    style: Style = no_style
    in_full: bool = False

    def lines(self, told: Explanation) -> Iterator[str]:
        """Yields the explanation, line by line."""
        yield from self._head(told)
        yield from self._effects(told.effects)
        for reason in told.reasons:
            yield ""
            yield self._rule_head("reason", reason)
            yield f"    {self.plain(reason.text)}"
        yield from self._gates(told)
        for require in told.requires:
            yield from self._require(require)
        still = [c for c in told.chains if not (c.before or c.after or c.came is Came.MATCHED)]
        for chain in told.chains:
            if self.in_full or chain not in still:
                yield from self._chain(chain)
        if still and not self.in_full:
            yield ""
            yield f"{_count(len(still), 'chain')} not begun (--all shows the steps)"
        if told.budgets:
            yield from self._budgets(told.budgets)
        if told.signals:
            yield ""
            yield self.style("signals in force", "bold")
            yield from (f"    {self.plain(text)}" for text in told.signals)
        yield from self._ways(told)

    # --- the call --------------------------------------------------------------------------------------
    def _head(self, told: Explanation) -> Iterator[str]:
        verdict = self.style(told.verdict.label, told.verdict.label)
        call = self.plain(f"{told.name} {literal(told.arguments, 200)}")
        yield f"{verdict}: {call}"
        who = f"session {told.session}, agent {told.agent}, {moment(told.at_ms)}"
        yield f"    {self.style(self.plain(who), 'dim')}"
        if told.where:
            yield f"    {self.style(self.plain(told.where), 'dim')}"
        if told.log is not None:
            yield from self._log(told.log)
        for rule, text in told.stopping:
            yield f"    by {self.style(self.plain(rule), 'bold')}: {self.plain(text)}"
        if told.approved:
            yield f"    a human's approval lets it pass, once (hold {self.plain(told.approved)})"
        if told.would is not None and told.would is not told.verdict:
            yield f"    without shadow: {self.style(told.would.label, told.would.label)}"
        yield from (f"    {self.plain(note)}" for note in told.notes)

    def _log(self, log: LogSays) -> Iterator[str]:
        by = f" by {', '.join(log.reasons)}" if log.reasons else ""
        rules = "the same rules" if log.same_rules else f"other rules ({log.rules or 'unknown'})"
        says = self.plain(f"the log says {log.verdict}{by}, under {rules}")
        if log.verdict != log.today:
            says += self.style(f"; today's rules say {log.today}", "bad")
        yield f"    {says}"
        yield from (f"    {self.style(self.plain(note), 'dim')}" for note in log.notes)

    # --- effects ---------------------------------------------------------------------------------------
    def _effects(self, effects: Sequence[EffectFound]) -> Iterator[str]:
        yield ""
        if not effects:
            yield self.style("no effects", "bold")
            return
        for found in effects:
            where = f"  {found.place}" if found.place is not None else ""
            if not found.counted:
                kind = self.plain(found.effect["kind"])
                yield f"{self.style('no effect', 'bold')} {kind}{self.style(self.plain(where), 'dim')}  its 'when' is not true"
            else:
                what = self.plain(_effect_line(found))
                yield f"{self.style('effect', 'bold')} {what}{self.style(self.plain(where), 'dim')}"
            for asked in found.expressions:
                yield from self._values(asked, head=f"{asked.about}: ")
            yield from (f"    {self.style(self.plain(fault), 'bad')}" for fault in found.faults)

    # --- rules -----------------------------------------------------------------------------------------
    def _rule_head(self, kind: str, rule: RuleFound | RequireFound | ChainFound) -> str:
        where = f"  {rule.place}" if rule.place is not None else ""
        came = _CAME[rule.came]
        if isinstance(rule, RequireFound):
            came = "not met" if rule.came is Came.MATCHED else "met"
        if isinstance(rule, ChainFound):
            came = (
                "completed"
                if rule.came is Came.MATCHED
                else f"{rule.before} -> {rule.after} of {len(rule.steps)} steps"
            )
        said = f"  {came}"
        if rule.came is not Came.NOT_MATCHED:
            would = "would " if rule.shadow else ""
            arrow = f"-> {would}{rule.verdict.label}{' (in shadow)' if rule.shadow else ''}"
            said += f" {self.style(arrow, rule.verdict.label)}"
        head = self.style(f"{kind} '{self.plain(rule.name)}'", "bold")
        return f"{head}{self.style(self.plain(where), 'dim')}{said}"

    def _gates(self, told: Explanation) -> Iterator[str]:
        speaking = [gate for gate in told.gates if gate.came is not Came.NOT_MATCHED]
        silent = [gate for gate in told.gates if gate.came is Came.NOT_MATCHED]
        for gate in speaking:
            yield ""
            yield self._rule_head("gate", gate)
            for asked in gate.expressions:
                yield from self._expression(asked)
        in_full = self.in_full or len(silent) <= _MOST_IN_FULL
        for gate in silent if in_full else ():
            yield ""
            yield self._rule_head("gate", gate)
            for asked in gate.expressions:
                yield from self._expression(asked)
        if not in_full:
            yield ""
            yield f"{len(silent)} gates were asked and did not match (--all tells why)"
        if told.others:
            yield ""
            yield f"{_count(len(told.others), 'gate')} cannot be about this call" + (
                f": {self.plain(', '.join(told.others))}" if self.in_full else " (--all names them)"
            )

    def _require(self, found: RequireFound) -> Iterator[str]:
        yield ""
        yield self._rule_head("requires", found)
        about = f" for {literal(found.target)}" if found.target is not None else ""
        yield f"    looked for: a result of {self.plain(found.wanted + about)}"
        yield f"    found: {self.plain(found.found)}"
        for asked in found.expressions:
            yield from self._expression(asked)

    def _chain(self, found: ChainFound) -> Iterator[str]:
        yield ""
        yield self._rule_head("chain", found)
        for n, step in enumerate(found.steps, 1):
            how = {"met": "met", "now": "this call", "open": "not met"}[step.state]
            if step.state == "met" and step.at_ms is not None:
                how += f" {moment(step.at_ms)}"
            via = f": {step.via}" if step.via and step.state == "met" else ""
            yield f"    {n}  {self.plain(step.what)}  {self.style(self.plain(how + via), 'dim')}"
        if found.note:
            yield f"    {self.style(self.plain(found.note), 'dim')}"

    # --- expressions -------------------------------------------------------------------------------------
    def _expression(self, asked: Asked) -> Iterator[str]:
        if asked.about:
            yield f"    {self.style(self.plain(f'for {asked.about}:'), 'dim')}"
        yield f"    {self.plain(' '.join(asked.text.split()))}"
        parts = [part for part in asked.parts if not part.whole]
        yield from self._table(parts or list(asked.parts))

    def _values(self, asked: Asked, head: str) -> Iterator[str]:
        """Yields an effect's expression: in one line where it is one value."""
        parts = [p for p in asked.parts if self.in_full or p.whole or _tells_something(p)]
        if not parts:
            yield f"    {head}{self.plain(asked.text)}"
            return
        yield from self._table(parts, head)

    def _table(self, parts: Sequence[Part], head: str = "") -> Iterator[str]:
        texts = [f"{'  ' * part.depth}{self.plain(_cut(part.text))}" for part in parts]
        width = max((len(text) for text in texts), default=0)
        margin = " " * len(head)
        for n, (part, text) in enumerate(zip(parts, texts, strict=True)):
            lead = head if n == 0 else margin
            yield f"    {lead}{text.ljust(width)}  {self._value(part)}".rstrip()

    def _value(self, part: Part) -> str:
        if part.state is State.NOT_ASKED:
            return self.style("not asked", "dim")
        if part.state is State.FAULT:
            return self.style(self.plain(f"no value: {part.fault}"), "bad")
        return self.plain(literal(part.value))

    # --- budgets -----------------------------------------------------------------------------------------
    def _budgets(self, budgets: Sequence[BudgetFound]) -> Iterator[str]:
        yield ""
        yield self.style("budgets", "bold")
        names = [self.plain(budget.name) for budget in budgets]
        width = max(map(len, names))
        for budget, name in zip(budgets, names, strict=True):
            unit = f" {budget.unit}" if budget.unit else ""
            sums = f"{number_text(budget.before)} -> {number_text(budget.after)} of {number_text(budget.limit)}{unit}"
            said = ""
            if budget.exceeded:
                would = "would " if budget.shadow else ""
                said = "  " + self.style(f"-> {would}{budget.verdict.label}", budget.verdict.label)
            elif budget.warned:
                said = "  " + self.style("warned", "hold")
            note = ", ".join(filter(None, (budget.scope, budget.note)))
            yield f"    {name.ljust(width)}  {_bar(budget)}  {self.plain(sums)}{said}  {self.style(self.plain(note), 'dim')}"

    # --- ways --------------------------------------------------------------------------------------------
    def _ways(self, told: Explanation) -> Iterator[str]:
        if told.verdict is Verdict.ALLOW:
            return
        yield ""
        yield self.style("what would have allowed it", "bold") + self.style(
            " (for who writes the rules; told to an agent it is a way round them)", "dim"
        )
        rules = dict.fromkeys(rule for rule, _ in told.stopping)
        several = len(rules) > 1
        for rule in rules:
            ways = [way for way in told.ways if way.rule == rule]
            if several:
                yield f"    {self.style(self.plain(rule), 'bold')}"
            margin = "      " if several else "    "
            if not ways:
                yield f"{margin}nothing that was tried: no argument, and no wait, clears '{self.plain(rule)}'"
            for n, way in enumerate(ways):
                yield from self._way(way, f"{margin}{'or ' if n else ''}")
        if several:
            yield f"    {self.style('all of them', 'bold')}"
            if told.all_at_once is None:
                yield "      nothing that was tried clears them all at once"
            else:
                yield from self._way(told.all_at_once, "      ")

    def _way(self, way: Way, lead: str) -> Iterator[str]:
        text = self.plain(way.text)
        if way.kind == "condition":
            text = f"no argument clears it; it would need {text}"
        if way.remaining:
            text += self.style(self.plain(f" (then {_still(way)})"), "dim")
        yield lead + text
        yield from (f"        {self.plain(line)}" for line in way.yaml)


def _tells_something(part: Part) -> bool:
    """Whether a part is on the way to the value: not one of the cases that were not taken."""
    if part.state is State.NOT_ASKED or part.kind is Kind.CONDITION:
        return False
    return part.kind is not Kind.HAS or part.value is not False


def _effect_line(found: EffectFound) -> str:
    effect = found.effect
    amount = effect.get("amount")
    parts = [str(effect["kind"])]
    if isinstance(amount, Decimal):
        parts.append(f"{number_text(amount)} {effect.get('unit') or ''}".rstrip())
    if effect.get("target") is not None:
        parts.append(f"on {effect['target']}")
    parts.append(f"({effect.get('reversibility')}{_points(effect.get('points'))})")
    return " ".join(parts)


def _points(points: Json) -> str:
    return f", {number_text(points)} points" if isinstance(points, Decimal) and points else ""


def _still(way: Way) -> str:
    stops = "stops" if len(way.remaining) == 1 else "stop"
    *first, last = way.remaining
    named = f"{', '.join(first)} and {last}" if first else last
    return f"{named} still {stops} it"


def _bar(budget: BudgetFound) -> str:
    """Returns a bar: # used before, + by this call, ! what is over."""
    if budget.limit <= 0:
        return f"[{'!' * _BAR}]"
    before = min(_BAR, int(budget.before * _BAR / budget.limit))
    after = min(_BAR, max(before, int(budget.after * _BAR / budget.limit)))
    bar = "#" * before + "+" * (after - before) + "." * (_BAR - after)
    if budget.exceeded:
        bar = bar[:-1] + "!"
    return f"[{bar}]"


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
