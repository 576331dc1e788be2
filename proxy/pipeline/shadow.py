"""Shadow: what is decided and told, and stops nothing.

What belongs here: telling reasons of rules in shadow from those that count, the verdict that would have been, and
the past as files in shadow see it (`ShadowFacts`). Effects that they alone know of are in the ledger and in the
story under marked kinds; everywhere else these are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from proxy.model import SHADOW, BudgetState, Json, Origin, Reason, Source, Verdict
from proxy.policy.facts import Evidence, Facts, Hints, InForce, Position, Seen
from proxy.policy.modes import known_in_shadow, plain_kind

if TYPE_CHECKING:
    from proxy.pipeline.story import StoryFacts


def strictest(reasons: Iterable[Reason]) -> Verdict:
    """Returns the verdict that reasons add up to; those in shadow do not count."""
    return max((r.verdict for r in reasons if not r.shadow), default=Verdict.ALLOW)


def strictest_of_all(reasons: Iterable[Reason]) -> Verdict:
    """Returns the verdict that reasons would add up to if none were in shadow."""
    return max((r.verdict for r in reasons), default=Verdict.ALLOW)


def in_shadow(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Returns reasons as they are where everything is in shadow."""
    return tuple(r if r.shadow else replace(r, shadow=True) for r in reasons)


def exceeded_if_shrunk(
    states: Iterable[BudgetState], acting: InForce, would_act: InForce
) -> Iterable[tuple[BudgetState, str]]:
    """Yields budgets that would be exceeded if a signal in shadow had shrunk them, and why."""
    for state in states:
        scale = would_act.scales.get(state.name)
        if scale is None or state.exceeded:
            continue
        now = acting.scales.get(state.name, Decimal(1))
        if scale >= now or not now:
            continue
        shrunk = replace(state, limit=state.limit / now * scale)
        if shrunk.exceeded:
            yield shrunk, would_act.because[f"budget:{state.name}"]


def plain_sources(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Returns sources with all kinds as rules write them."""
    return tuple(replace(s, kinds=tuple(dict.fromkeys(map(plain_kind, s.kinds)))) for s in sources)


def enforced_sources(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """Returns sources without the kinds that only files in shadow know of."""
    if not any(known_in_shadow(kind) for source in sources for kind in source.kinds):
        return sources
    return tuple(
        replace(s, kinds=tuple(k for k in s.kinds if not known_in_shadow(k))) for s in sources
    )


class ShadowFacts:
    """The past of a family with what only files in shadow know of it."""

    def __init__(self, facts: StoryFacts) -> None:
        self._facts = facts

    @property
    def now_ms(self) -> int:
        return self._facts.now_ms

    @property
    def call_key(self) -> str:
        return self._facts.call_key

    @property
    def besides(self) -> str | None:
        return self._facts.besides

    @property
    def seen(self) -> Seen:
        kinds = dict.fromkeys(map(plain_kind, self._facts.document.kinds))
        return replace(self._facts.seen, kinds=tuple(kinds))

    @property
    def in_force(self) -> InForce:
        return self._facts.in_force

    @property
    def in_shadow(self) -> InForce:
        return self._facts.in_shadow

    def with_shadow(self) -> Facts:
        return self

    def origin(self, value: Json) -> Origin:
        found = self._facts.whole_origin(value)
        return replace(found, sources=plain_sources(found.sources))

    def trailing(self, tool: str, data: Json) -> Sequence[Source]:
        trail = self._facts.trail  # the call's own, as the enforced files read it
        found = plain_sources(self._facts.whole_trailing(tool, data))
        self._facts.trail = trail
        return found

    def is_new(self, kind: str, target: str) -> bool:
        return self._facts.is_new(kind, target) and self._facts.is_new(SHADOW + kind, target)

    def positions(self, chain: str, *, per: str, key: str) -> Sequence[Position]:
        return self._facts.positions(chain, per=per, key=key)

    def checkpoint_ms(self, *, per: str) -> int:
        return self._facts.checkpoint_ms(per=per)

    def result_of_ms(self, kind: str) -> int:
        return max(self._facts.result_of_ms(kind), self._facts.result_of_ms(SHADOW + kind))

    def label_ms(self, label: str) -> int:
        return self._facts.label_ms(label)

    def evidence(self, kinds: Sequence[str], target: str | None) -> Evidence | None:
        both = [*kinds, *(SHADOW + kind for kind in kinds)]
        found = self._facts.evidence(both, target)
        return None if found is None else replace(found, kind=plain_kind(found.kind))

    def hints(self, server: str, tool: str) -> Hints:
        return self._facts.hints(server, tool)

    def told(self, question: str, answer: Callable[[], Json]) -> Json:
        return self._facts.told(SHADOW + question, answer)

    def reads_unlogged(self, text: str) -> None:
        self._facts.reads_unlogged(text)
