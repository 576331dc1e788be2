"""What files that are enforced and files in shadow say of one call, put together.

What belongs here: the two assessments of a set with files in both modes, made into one. What is enforced stands as
it is; what files in shadow add is a reason in shadow, a charge of their own budgets, a step of their own chains. An
effect that they alone know of stands apart (`Assessment.shadowed`), under a kind that no rule can name: so it
is in the ledger and in the session's story without any enforced rule ever meeting it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from proxy.model import SHADOW, ChargedEffect, Effect, Reason, Verdict

if TYPE_CHECKING:
    from proxy.policy.ruleset import Assessment


def beside_one_another(enforced: Assessment, beside: Assessment) -> Assessment:
    """Returns one assessment: the enforced one, with what all files together add to it."""
    effects, shadowed = enforced.effects, beside.effects
    if _are_same(effects, shadowed):
        effects = tuple(
            replace(ours, charges=(*ours.charges, *theirs.charges))
            for ours, theirs in zip(effects, shadowed, strict=True)
        )
        shadowed = ()
    return replace(
        enforced,
        effects=effects,
        reasons=(*enforced.reasons, *_news(enforced.reasons, beside.reasons)),
        call_states=(*enforced.call_states, *beside.call_states),
        advances=(*enforced.advances, *beside.advances),
        shadowed=_marked(shadowed),
    )


def in_shadow_alone(beside: Assessment) -> Assessment:
    """Returns the assessment of a request that is a call only because a file in shadow names its route."""
    return replace(
        beside, effects=(), shadowed=_marked(beside.effects), mapped=False, known_in_shadow=True
    )


def _news(said: Sequence[Reason], more: Sequence[Reason]) -> list[Reason]:
    """Returns the reasons that say more than others do: of another rule, or of the same one stricter."""
    told: dict[str, Verdict] = {}
    stopping: dict[str, Verdict] = {}
    for reason in said:
        for known in (told,) if reason.shadow else (told, stopping):
            known[reason.rule] = max(reason.verdict, known.get(reason.rule, reason.verdict))

    def is_new(reason: Reason) -> bool:
        known = told if reason.shadow else stopping
        return reason.rule not in known or reason.verdict > known[reason.rule]

    return list(filter(is_new, more))


def _are_same(ours: Sequence[ChargedEffect], theirs: Sequence[ChargedEffect]) -> bool:
    """Whether both modes read the same out of a call, so that one entry in the ledger is enough."""
    return [_deed(one.effect) for one in ours] == [_deed(one.effect) for one in theirs]


def _deed(effect: Effect) -> tuple[object, ...]:
    return (effect.kind, effect.amount, effect.unit, effect.target)


def _marked(effects: Sequence[ChargedEffect]) -> tuple[ChargedEffect, ...]:
    return tuple(
        replace(one, effect=replace(one.effect, kind=SHADOW + one.effect.kind)) for one in effects
    )
