"""A rule set that notes what it was asked: the effects of a call, the scopes of its conditions, what it looked up.

What belongs here: `ListeningRules`, which judges as its parent does. What it notes stands in `hearings` until the next call:
one for rules that are enforced, and where files are in shadow a second one for all files together. The scopes in it can be
asked as long as the transaction is open in which the call was judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from proxy.model import Call, Effect, HttpCall, Identity, Json, Reason
from proxy.policy.cel import Scope
from proxy.policy.chains import Chain
from proxy.policy.effects import Produced
from proxy.policy.entries import Found
from proxy.policy.facts import Evidence, Facts, Position
from proxy.policy.gates import Gate
from proxy.policy.load import Loaded
from proxy.policy.requires import Require
from proxy.policy.ruleset import Assessment, RuleSet

if TYPE_CHECKING:
    from proxy.policy.ruleset import _Act


@dataclass(frozen=True, slots=True)
class Act:
    """One effect of the call, with the scope in which rules are asked about it."""

    effect: Effect
    scope: Scope
    produced: Produced | None
    data: Json


@dataclass(slots=True)
class Hearing:
    """One assessment of one call, and all that led to it."""

    loaded: Loaded
    found: tuple[Found, ...]
    base: Scope | None = None
    acts: tuple[Act, ...] = ()
    scopes: tuple[Scope, ...] = ()  # of the acts, and of what has none
    gates: tuple[Gate, ...] = ()  # that were asked
    requires: dict[int, tuple[Require, ...]] = field(default_factory=dict)  # by place in `acts`
    chains: tuple[Chain, ...] = ()  # that the call's effects concern
    positions: dict[tuple[str, str], tuple[Position, ...]] = field(default_factory=dict)
    evidence: dict[tuple[tuple[str, ...], str | None], Evidence | None] = field(
        default_factory=dict
    )
    evidence_kinds: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    facts: Facts | None = None
    assessment: Assessment | None = None
    shadow: bool = False  # of all files together, beside those that are enforced


class ListeningRules(RuleSet):
    """A rule set whose last assessment can be looked into."""

    def __init__(self, loaded: Loaded, *, shadow: bool = False) -> None:
        super().__init__(loaded)
        self.loaded = loaded
        self._heard: Hearing | None = None
        self._below: ListeningRules | None = None
        self._is_beside = shadow
        if loaded.enforced is not None:
            self._below = ListeningRules(loaded.enforced)
            self._enforced = self._below

    @property
    def hearings(self) -> tuple[Hearing, ...]:
        """What was noted of the last call, of enforced rules first; empty where nothing was asked."""
        below = self._below.hearings if self._below is not None else ()
        if self._heard is None:
            return below
        self._heard.shadow = self._below is not None
        return (*below, self._heard)

    def forget(self) -> None:
        """Begins anew: what is noted next is another call's."""
        self._heard = None
        if self._below is not None:
            self._below.forget()

    def _assess(
        self,
        call: Call,
        identity: Identity,
        http: HttpCall | None,
        found: tuple[Found, ...],
        reasons: list[Reason],
        facts: Facts,
    ) -> Assessment:
        self._heard = Hearing(self.loaded, found)
        return super()._assess(call, identity, http, found, reasons, facts)

    def _judge(
        self,
        call: Call,
        identity: Identity,
        acts: Sequence[_Act],
        scopes: Sequence[Scope],
        reasons: list[Reason],
        facts: Facts,
        mapped: bool,
    ) -> Assessment:
        heard = self._heard
        if heard is None:
            heard = self._heard = Hearing(self.loaded, ())
        kinds = [act.effect.kind for act in acts]
        heard.acts = tuple(Act(a.effect, a.scope, a.produced, a.data) for a in acts)
        heard.scopes = tuple(scopes)
        heard.gates = self._gates.of(call.name, kinds or ("",))
        heard.requires = {i: self._requires_of(kind) for i, kind in enumerate(kinds)}
        heard.chains = tuple(dict.fromkeys(c for kind in kinds for c in self._chains_of(kind)))
        heard.evidence_kinds = self._evidence
        heard.facts = facts
        noting = cast(Facts, _NotingFacts(facts, heard))
        heard.assessment = super()._judge(call, identity, acts, scopes, reasons, noting, mapped)
        return heard.assessment


class _NotingFacts:
    """A session's past that notes which chains' positions and which evidence were looked up."""

    def __init__(self, facts: Facts, heard: Hearing) -> None:
        self._facts = facts
        self._heard = heard

    def __getattr__(self, name: str) -> Json:
        return getattr(self._facts, name)

    def positions(self, chain: str, *, per: str, key: str) -> Sequence[Position]:
        found = self._facts.positions(chain, per=per, key=key)
        self._heard.positions[chain, key] = tuple(found)
        return found

    def evidence(self, kinds: Sequence[str], target: str | None) -> Evidence | None:
        found = self._facts.evidence(kinds, target)
        self._heard.evidence[tuple(kinds), target] = found
        return found
