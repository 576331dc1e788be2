"""Chains: ordered patterns of effects, kept as automata.

How it works. A chain's state is one position a step: the newest start from which the steps up to there
are met, in order, with gaps. Of two starts the newer one fits every window that the older one fits, so
one a step is enough: what a call costs does not grow with the session. An effect moves the chain from
the last step to the first, so that it is never two steps at once; an effect under `unless` clears it,
and so does a human's review where `unless` names `checkpoint`.

`flow` says what evidence a match needs besides the order. `possible`: a result of the first step was
observed before, and this call carries something that neither the user nor the system said. `observed`:
the very data came back, a part of this call's arguments has its origin in a result of the first step.
Two effects of one call (a pipe in a shell line) count as observed flow.

A step may also be `{label: …}`: a result with this data class was observed, whatever tool brought it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from proxy.model import Effect, Json, Origin, Reason, Source, Verdict
from proxy.policy import schema
from proxy.policy.budgets import VERDICTS
from proxy.policy.cel import GATE, Expression, ExpressionFault, Scope
from proxy.policy.facts import FORGOTTEN, Facts, Position
from proxy.policy.modes import in_shadow
from proxy.policy.problems import Problem, did_you_mean
from proxy.policy.site import Site

_CLEARED = -1
"""The position that remembers when an `unless` cleared the chain: what was met before is void."""

UNREAD = "unread"
"""The label of what was too long to be looked at whole: it may carry anything that was met."""

CHECKPOINT = "checkpoint"
"""What a human's review is called where effects' kinds stand."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: effects of some kinds, or results with some labels."""

    kinds: tuple[str, ...]
    labels: tuple[str, ...]
    when: Expression | None

    def has_kind(self, kind: str) -> bool:
        return any(fnmatchcase(kind, pattern) for pattern in self.kinds)

    def has_label(self, label: str) -> bool:
        return any(fnmatchcase(label, pattern) for pattern in self.labels)

    def speaks_of_secrets(self) -> bool:
        return self.has_label(FORGOTTEN) or any("secret" in kind for kind in self.kinds)

    def is_from(self, source: Source) -> bool:
        """Whether a source is a result that this step speaks of."""
        return any(map(self.has_kind, source.kinds)) or any(map(self.has_label, source.labels))


@dataclass(frozen=True, slots=True)
class Acting:
    """One effect of the call that is judged, as chains see it."""

    effect: Effect
    scope: Scope
    data: Json  # the part of the arguments that carries data
    tool: str


@dataclass(frozen=True, slots=True)
class Advance:
    """A chain's new state, to be written when the call is let through."""

    chain: str
    per: str
    key: str
    positions: tuple[Position, ...]  # all that stand now; none: it was cleared


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """One entry of `chains:`."""

    name: str
    steps: tuple[Step, ...]
    same_target: bool
    per: str
    window_ms: int | None
    unless: tuple[str, ...]
    flow: str
    verdict: Verdict
    message: str | None
    site: Site
    file: str
    line: int
    shadow: bool = False

    def concerns(self, kind: str) -> bool:
        """Whether an effect of this kind may move or clear the chain."""
        return self.clears(kind) or any(step.has_kind(kind) for step in self.steps)

    def clears(self, kind: str) -> bool:
        return any(fnmatchcase(kind, pattern) for pattern in self.unless)

    def walk(self, acting: Sequence[Acting], facts: Facts) -> tuple[list[Reason], list[Advance]]:
        """Moves the chain by the effects of one call; returns the matches and its new states."""
        walker = _Walk(self, facts)
        for one in acting:
            walker.take(one)
        return walker.reasons, walker.advances()


class _Walk:
    """One call's way through one chain."""

    def __init__(self, chain: Chain, facts: Facts) -> None:
        self.reasons: list[Reason] = []
        self._chain = chain
        self._facts = facts
        self._states: dict[str, dict[int, Position]] = {}
        self._before: dict[str, dict[int, Position]] = {}
        self._met_here: set[tuple[str, int]] = set()  # steps this very call has met
        self._reviewed_ms = facts.checkpoint_ms(per=chain.per) if chain.clears(CHECKPOINT) else 0

    def take(self, one: Acting) -> None:
        chain = self._chain
        kind = one.effect.kind
        if not chain.concerns(kind):
            return
        key = _key(one.effect.target or "") if chain.same_target else ""
        state = self._state(key)
        if chain.clears(kind):
            state.clear()
            state[_CLEARED] = Position(_CLEARED, self._facts.now_ms, self._facts.now_ms)
            return
        last = len(chain.steps) - 1
        for index in range(last, -1, -1):
            step = chain.steps[index]
            if not step.has_kind(kind) or not self._holds(step, one):
                continue
            before = self._met(index - 1, key) if index else None
            if index and before is None:
                continue
            via = (*(before.via if before else ()), f"{kind} by {one.tool}")
            started = before.started_ms if before else self._facts.now_ms
            if index < last:
                now_ms, key_ = self._facts.now_ms, self._facts.call_key
                state[index] = Position(index, started, now_ms, via, key_)
                self._met_here.add((key, index))
            elif before is not None and self._flows(one, before, key):
                self._match(via)

    def advances(self) -> list[Advance]:
        return [
            Advance(self._chain.name, self._chain.per, key, tuple(state.values()))
            for key, state in self._states.items()
            if state != self._before[key]
        ]

    def _state(self, key: str) -> dict[int, Position]:
        if key not in self._states:
            stored = self._facts.positions(self._chain.name, per=self._chain.per, key=key)
            found = {p.index: p for p in stored if p.started_ms > self._reviewed_ms}
            self._states[key], self._before[key] = found, dict(found)
        return self._states[key]

    def _cleared_ms(self, key: str) -> int:
        mark = self._state(key).get(_CLEARED)
        return max(self._reviewed_ms, mark.started_ms if mark is not None else 0)

    def _met(self, index: int, key: str) -> Position | None:
        """Returns the position at a step where it is met and still within the window."""
        found = self._state(key).get(index)
        if found is None and index == 0:
            found = self._by_label(self._chain.steps[0], self._cleared_ms(key))
        if found is None or not self._in_window(found.started_ms):
            return None
        if found.by and found.by == self._facts.besides:
            return None  # the other side of this very action: one action is one step
        return found

    def _by_label(self, step: Step, since_ms: int) -> Position | None:
        """A first step may be a result that was observed rather than a call that was made."""
        seen = [
            (at_ms, label)
            for label in self._facts.seen.labels
            if step.has_label(label) and (at_ms := self._facts.label_ms(label)) > since_ms
        ]
        if not seen:
            return None
        at_ms, label = max(seen)
        return Position(0, at_ms, at_ms, (f"a result with {label}",))

    def _in_window(self, started_ms: int) -> bool:
        window_ms = self._chain.window_ms
        return window_ms is None or started_ms + window_ms > self._facts.now_ms

    def _holds(self, step: Step, one: Acting) -> bool:
        """Doubt is a yes: a condition that cannot be evaluated must not lead round a chain."""
        if step.when is None:
            return True
        try:
            return step.when.truth(one.scope)
        except ExpressionFault:
            return True

    def _flows(self, one: Acting, before: Position, key: str) -> bool:
        chain = self._chain
        if chain.flow == "order" or (key, 0) in self._met_here:
            return True
        origin = self._facts.origin(one.data)
        if chain.flow == "observed":
            since_ms = self._cleared_ms(key)
            if UNREAD in origin.labels:
                return True
            sources = (*origin.sources, *self._facts.trailing(one.tool, one.data))
            if any(self._is_from_first(source, since_ms) for source in sources):
                return True
            return self._may_be_forgotten(since_ms) and _is_unexplained(origin)
        return self._was_read(chain.steps[0], before) and _is_unexplained(origin)

    def _is_from_first(self, source: Source, since_ms: int) -> bool:
        """Whether data of a first step came here.

        Not whether the middle steps came after it: of equal data only the newest source is known, and
        reading it once more after a middle step must not lead round the chain.
        """
        if not self._chain.steps[0].is_from(source) or source.at_ms <= since_ms:
            return False
        return self._in_window(source.at_ms)

    def _may_be_forgotten(self, since_ms: int) -> bool:
        """Whether a secret had to make room: then anything nobody has said may be it."""
        first = self._chain.steps[0]
        return first.speaks_of_secrets() and self._facts.label_ms(FORGOTTEN) > since_ms

    def _was_read(self, step: Step, before: Position) -> bool:
        if step.labels:
            return True  # it is met by an observed result
        times = [
            self._facts.result_of_ms(kind) for kind in self._facts.seen.kinds if step.has_kind(kind)
        ]
        return max(times, default=0) >= before.started_ms

    def _match(self, via: Sequence[str]) -> None:
        chain = self._chain
        said = f"Chain '{chain.name}': {', then '.join(via)}."
        how = {"observed": " The data itself came back.", "possible": "", "order": ""}[chain.flow]
        text = f"{chain.message} ({said}{how})" if chain.message else said + how
        self.reasons.append(
            Reason(chain.name, text, chain.verdict, chain.file, chain.line, chain.shadow)
        )


def _key(target: str) -> str:
    """Returns a target as chains compare it: case, spaces and invisible letters make no other one."""
    plain = "".join(c for c in target if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", plain).casefold().strip()


def _is_unexplained(origin: Origin) -> bool:
    """Whether a value carries something that neither the user nor the system said."""
    return origin.model or origin.result


def compile_chain(part: schema.Chain, site: Site) -> Chain | None:
    """Compiles one entry; mistakes go to the site's list."""
    steps: list[Step] = []
    for i, step in enumerate(part.steps):
        where = site.at("steps", i)
        if (step.of is None) == (step.label is None):
            where.fault("a step needs either 'of' (effect kinds) or 'label', and not both")
            return None
        if step.label is not None and i > 0:
            where.fault("only the first step of a chain can be a 'label'")
            return None
        when = (
            None
            if step.when is None
            else where.at("when").expression(step.when, GATE, "when", frozenset({"BOOL"}))
        )
        steps.append(Step(step.of or (), step.label or (), when))
    if part.same is not None and any(step.labels for step in steps):
        site.at("same").fault(
            "'same: target' has no meaning with a 'label' step: a result has none"
        )
        return None
    return Chain(
        name=part.name,
        steps=tuple(steps),
        same_target=part.same is not None,
        per=part.within["per"],
        window_ms=part.within["window_ms"],
        unless=part.unless,
        flow=part.flow,
        verdict=VERDICTS[part.on_match],
        message=part.message,
        site=site,
        file=site.file,
        line=site.line,
        shadow=in_shadow(part.mode, site),
    )


def check_steps(chain: Chain, kinds: Iterable[str]) -> Iterable[Problem]:
    """Returns a warning for each step that no tool's effect can meet."""
    produced = sorted(set(kinds))
    for i, step in enumerate(chain.steps):
        for pattern in step.kinds:
            if any(fnmatchcase(kind, pattern) for kind in produced):
                continue
            near = did_you_mean(pattern, produced)
            text = f"no tool produces an effect '{pattern}': the chain can never match{near}"
            yield chain.site.at("steps", i).problem(text)
